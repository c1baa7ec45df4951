"""The losses against torch in float64, hand-made numbers and laws. Accuracy sees none of these bugs; these tests do."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib.losses import cross_entropy, distill_loss, kd_loss


def logits(*shape, seed=0, scale=3.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


STUDENT, TEACHER = logits(32, 10, seed=1), logits(32, 10, seed=2)
LABELS = torch.arange(32) % 10


def slope(loss, student, *rest, **settings):
    """d loss / d student logits."""
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss(student, *rest, **settings), student)[0]


@pytest.mark.parametrize("T", [0.5, 1, 4, 20])
def test_kd_loss_is_torchs_kl_divergence_times_T_squared(T):
    log_q, log_p = (STUDENT / T).log_softmax(-1), (TEACHER / T).log_softmax(-1)
    expected = T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    torch.testing.assert_close(kd_loss(STUDENT, TEACHER, T=T), expected, rtol=1e-12, atol=0)


def test_kd_loss_of_a_hand_made_pair_goes_from_the_teacher_to_the_student():
    teacher, student = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[0.0, 0.0]])  # 3/4, 1/4 against 1/2, 1/2
    from_teacher = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)  # 0.1308; the other way round 0.1438
    assert kd_loss(student, teacher, T=1).item() == pytest.approx(from_teacher, rel=1e-6)


@pytest.mark.parametrize("T", [1, 4])
def test_kd_loss_is_zero_and_flat_where_the_student_equals_the_teacher(T):
    assert kd_loss(TEACHER, TEACHER, T=T).item() == pytest.approx(0, abs=1e-12)
    assert slope(kd_loss, TEACHER, TEACHER, T=T).abs().max() < 1e-12


def test_kd_loss_ignores_a_constant_added_to_all_logits_and_is_positive_elsewhere():
    shifted = kd_loss(STUDENT + 5, TEACHER - 7)
    torch.testing.assert_close(shifted, kd_loss(STUDENT, TEACHER))
    assert shifted > 0


def test_the_slope_of_kd_loss_is_T_times_the_difference_of_the_probabilities_over_B():
    for T in (1.0, 4.0):
        by_hand = T * ((STUDENT / T).softmax(-1) - (TEACHER / T).softmax(-1)) / len(STUDENT)
        torch.testing.assert_close(slope(kd_loss, STUDENT, TEACHER, T=T), by_hand)


def test_at_a_high_temperature_the_slope_no_longer_depends_on_T_and_matches_centred_logits():
    centred = (STUDENT - STUDENT.mean(-1, keepdim=True)) - (TEACHER - TEACHER.mean(-1, keepdim=True))
    limit = centred / (10 * len(STUDENT))  # Hinton et al., 2015, equation 4
    torch.testing.assert_close(slope(kd_loss, STUDENT, TEACHER, T=1e4), limit, rtol=1e-2, atol=1e-5)


def test_classes_without_probability_change_nothing():
    none = torch.full((32, 90), -1e4, dtype=torch.float64)
    wide = kd_loss(torch.cat([STUDENT, none], 1), torch.cat([TEACHER, none], 1))
    torch.testing.assert_close(wide, kd_loss(STUDENT, TEACHER))


def test_the_loss_is_per_example_so_a_repeated_batch_costs_the_same():
    torch.testing.assert_close(kd_loss(STUDENT.repeat(3, 1), TEACHER.repeat(3, 1)), kd_loss(STUDENT, TEACHER))
    sentences = STUDENT.view(8, 4, 10), TEACHER.view(8, 4, 10)  # (B, L, C): per token
    torch.testing.assert_close(kd_loss(*sentences), kd_loss(STUDENT, TEACHER))


def test_no_gradient_reaches_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    distill_loss(student, LABELS, teacher).backward()
    assert student.grad.abs().max() > 0
    assert teacher.grad is None


@pytest.mark.parametrize("T", [0.05, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_logits_of_ten_thousand_give_finite_losses_and_slopes(dtype, T):
    student, teacher = torch.zeros(4, 10, dtype=dtype), torch.zeros(4, 10, dtype=dtype)
    student[:, 0], student[:, 1], teacher[:, 1], teacher[:, 2] = 1e4, -1e4, 1e4, -1e4
    assert kd_loss(student, teacher, T=T).isfinite()
    assert slope(kd_loss, student, teacher, T=T).isfinite().all()
    assert cross_entropy(student, LABELS[:4]).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_float32(dtype):
    student, teacher = STUDENT.to(dtype), TEACHER.to(dtype)
    expected = kd_loss(student.double(), teacher.double())
    assert kd_loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-5)


def test_cross_entropy_is_torchs_and_label_smoothing_too():
    for smoothing in (0.0, 0.1):
        expected = F.cross_entropy(STUDENT, LABELS, label_smoothing=smoothing)
        torch.testing.assert_close(cross_entropy(STUDENT, LABELS, label_smoothing=smoothing), expected)


@pytest.mark.parametrize("hard_weight, soft_weight", [(0.1, 0.9), (1.0, 0.0), (0.0, 1.0), (1e-9, 1.0)])
def test_distill_loss_is_the_weighted_sum_of_its_parts_at_every_weight(hard_weight, soft_weight):
    hard, soft = F.cross_entropy(STUDENT, LABELS), kd_loss(STUDENT, TEACHER, T=3.0)
    weights = {"hard_weight": hard_weight, "soft_weight": soft_weight}
    got = distill_loss(STUDENT, LABELS, TEACHER, T=3.0, **weights)
    torch.testing.assert_close(got, hard_weight * hard + soft_weight * soft)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: kd_loss(STUDENT, TEACHER[:, 0]), r"teacher_logits .* \(B, C\).*float64 \(32,\)"),
        (lambda: kd_loss(STUDENT, TEACHER[:1]), r"\(32, 10\) and float64 \(1, 10\)"),
        (lambda: kd_loss(STUDENT, TEACHER[:, :9]), "same classes"),
        (lambda: kd_loss(STUDENT, LABELS), r"int64 \(32,\)"),
        (lambda: kd_loss(STUDENT, None), "NoneType"),
        (lambda: kd_loss(STUDENT, TEACHER, T=0), "above 0"),
        (lambda: kd_loss(STUDENT, TEACHER, T=-1), "above 0"),
        (lambda: kd_loss(STUDENT, TEACHER, T=float("nan")), "above 0"),
        (lambda: distill_loss(STUDENT, TEACHER, LABELS), "swapped"),
        (lambda: cross_entropy(LABELS, STUDENT), "student_logits are"),
        (lambda: cross_entropy(STUDENT, LABELS[:5]), r"labels \(B,\).*\(5,\)"),
        (lambda: cross_entropy(STUDENT, [1, 2]), "list"),
    ],
)
def test_a_wrong_argument_is_answered_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
