"""Intervals that hold the truth as often as they say, and verdicts that say no more than that."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from course_lib.measure import (
    Estimate,
    accuracy,
    agreement,
    calibration,
    compare,
    correct,
    estimate,
    intervals,
    same_answer,
)

# ---- simulated experiments: a world with a known truth, seeds and examples both drawn anew each time ----
#
# A student of arm a is right on an example when  level + example + seed + rest > 0,  all three normal. Arm b's three
# parts are correlated with arm a's, 1 - `own` each: seeds and examples are paired. A teacher (fixed) is wrong on hard
# examples, and a student that is wrong where the teacher is gives the teacher's wrong answer 6 times in 10.

WORLDS = {  # accuracy of a and b, examples, standard deviation of example and of seed (that of rest is 1)
    "few labels": dict(a=0.90, b=0.877, n=359, example=2.0, seed=0.15, own=(0.3, 0.5, 0.7)),
    "no difference, most examples tie": dict(a=0.955, b=0.955, n=359, example=4.0, seed=0.1, own=(0.03, 0.5, 0.3)),
    "near the ceiling": dict(a=0.98, b=0.975, n=359, example=2.0, seed=0.1, own=(0.2, 0.5, 0.7)),
    "seeds differ much": dict(a=0.80, b=0.82, n=500, example=2.0, seed=0.4, own=(0.3, 0.5, 0.7)),
    "seeds hardly differ": dict(a=0.95, b=0.94, n=800, example=3.0, seed=0.02, own=(0.1, 0.5, 0.5)),
    "36 threes": dict(a=0.82, b=0.70, n=36, example=1.5, seed=0.5, own=(0.3, 0.5, 0.7)),
}
TEACHER, SAME_MISTAKE, EXPERIMENTS = 0.96, 0.6, 2000


def truth(accuracy, example, seed, shared):
    """Agreement with the teacher of an arm of this accuracy, over all seeds and examples there could be."""
    rho = shared * example**2 / math.sqrt((example**2 + seed**2 + 1) * (example**2 + 1))  # student's and teacher's sums
    where = [stats.norm.ppf(accuracy), stats.norm.ppf(TEACHER)]
    both_right = stats.multivariate_normal.cdf(where, cov=[[1, rho], [rho, 1]])
    both_wrong = 1 - accuracy - TEACHER + both_right
    return both_right + SAME_MISTAKE * both_wrong


def simulate(seeds, a, b, n, example, seed, own, experiments, generator):
    """Scores of right answers of a and b, and of the teacher's answers of a and b, each (experiments, S, N)."""

    def normal(*shape):
        return torch.randn(experiments, *shape, generator=generator)

    parts = [(example, (1, n)), (seed, (seeds, 1)), (1.0, (seeds, n))]
    arm_a = [sd * normal(*shape) for sd, shape in parts]
    arm_b = [
        (1 - new) * part + math.sqrt(1 - (1 - new) ** 2) * sd * normal(*shape)
        for part, new, (sd, shape) in zip(arm_a, own, parts, strict=True)
    ]
    spread = math.sqrt(example**2 + seed**2 + 1)
    teacher_right = arm_a[0] + normal(1, n) > -stats.norm.ppf(TEACHER) * math.sqrt(example**2 + 1)
    same_mistake = torch.rand(experiments, seeds, n, generator=generator) < SAME_MISTAKE
    right = [sum(arm) + stats.norm.ppf(level) * spread > 0 for level, arm in ((a, arm_a), (b, arm_b))]
    same = [torch.where(one, teacher_right, ~teacher_right & same_mistake) for one in right]
    return [one.double() for one in right + same]


@pytest.mark.parametrize("seeds", [5, 16])
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_the_truth_in_93_to_97_percent_of_simulated_experiments(world, seeds):
    world = WORLDS[world]
    same = [
        truth(world[arm], world["example"], world["seed"], 1 - new) for arm, new in (("a", 0), ("b", world["own"][0]))
    ]
    generator = torch.Generator().manual_seed(seeds)
    size, held = 2_000_000 // (seeds * world["n"]), {}
    for start in range(0, EXPERIMENTS, size):
        experiments = min(size, EXPERIMENTS - start)
        right_a, right_b, same_a, same_b = simulate(seeds, **world, experiments=experiments, generator=generator)
        for name, value, (low, high) in (
            ("accuracy", world["a"], intervals.share_interval(right_a)),
            ("agreement", same[0], intervals.share_interval(same_a)),
            ("difference of accuracies", world["a"] - world["b"], intervals.mean_interval(right_a - right_b)),
            ("difference of agreements", same[0] - same[1], intervals.mean_interval(same_a - same_b)),
        ):
            held.setdefault(name, []).append((low <= value) & (value <= high))
    for name, one in held.items():
        assert 0.93 <= torch.cat(one).double().mean() <= 0.97, name


@pytest.mark.parametrize("seeds", [5, 16])
def test_paired_differences_of_losses_hold_the_truth_too_and_their_means_as_often_as_stated(seeds):
    generator = torch.Generator().manual_seed(seeds)

    def losses(*shape):  # nats, with a long tail
        return torch.nn.functional.softplus(2 * torch.randn(*shape, generator=generator, dtype=torch.double) - 2)

    def parts(n):
        return losses(200, 1, n) + 0.2 * losses(200, seeds, 1) + losses(200, seeds, n)

    held, held_means, mean = [], [], 2.2 * float(losses(4_000_000).mean())
    for _ in range(EXPERIMENTS // 200):
        shared = parts(100)
        low, high = intervals.mean_interval((shared + parts(100)) - (shared + parts(100) + 0.1))
        held.append((low <= -0.1) & (-0.1 <= high))
        low, high = intervals.mean_interval(shared)
        held_means.append((low <= mean) & (mean <= high))
    assert 0.93 <= torch.cat(held).double().mean() <= 0.97
    assert float(torch.cat(held_means).double().mean()) == pytest.approx(0.93, abs=0.02)


@pytest.mark.parametrize(
    ("seeds", "world", "stated"),
    [
        (2, WORLDS["seeds differ much"], 0.87),
        (3, WORLDS["seeds differ much"], 0.91),
        (16, WORLDS["near the ceiling"] | {"a": 0.995}, 0.98),
    ],
)
def test_the_limits_that_are_stated_are_as_stated(seeds, world, stated):
    generator = torch.Generator().manual_seed(seeds)
    held = []
    for _ in range(EXPERIMENTS // 100):
        right, *_ = simulate(seeds, **world, experiments=100, generator=generator)
        low, high = intervals.share_interval(right)
        held.append((low <= world["a"]) & (world["a"] <= high))
    assert float(torch.cat(held).double().mean()) == pytest.approx(stated, abs=0.02)


def test_one_experiment_is_measured_as_the_many_simulated_ones():
    right_a, right_b, *_ = simulate(
        5, **WORLDS["few labels"], experiments=3, generator=torch.Generator().manual_seed(0)
    )
    low, high = intervals.share_interval(right_a)
    for i, one in enumerate(right_a):
        assert (estimate(one).low, estimate(one).high) == pytest.approx((float(low[i]), float(high[i])))
    low, high = intervals.mean_interval(right_a - right_b)
    for i in range(3):
        difference = compare(right_a[i], right_b[i], "a", "b").difference
        assert (difference.low, difference.high) == pytest.approx((float(low[i]), float(high[i])))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_over_examples_alone_the_interval_holds_the_truth_too(level):
    held = 0.0
    for k in range(360):  # not simulated: every number of right answers there can be, with its probability
        chance = stats.binom.pmf(k, 359, level)
        if chance > 1e-6:
            one = estimate(ones(k, 359))
            held += chance * (one.low <= level <= one.high)
    assert 0.93 <= held <= 0.97


def test_over_examples_alone_the_difference_holds_the_truth_too():
    n, only_a, only_b, held = 359, 0.03, 0.02, 0.0  # shares of examples that only a, or only b, gets right
    for i in range(30):
        for j in range(30):
            chance = stats.multinomial.pmf([i, j, n - i - j], n, [only_a, only_b, 1 - only_a - only_b])
            if chance > 1e-4:
                difference = compare(ones(i, n), ones(j, n).flip(0), "a", "b").difference
                held += chance * (difference.low <= only_a - only_b <= difference.high)
    assert 0.93 <= held <= 0.97


def ones(k, n):
    """(n,) scores, the first k of them right."""
    return torch.tensor([1.0] * k + [0.0] * (n - k))


# ---- laws, and others' intervals ----


@pytest.mark.parametrize("k, n", [(0, 50), (1, 50), (328, 359), (359, 359)])
def test_one_models_share_has_scipys_wilson_interval(k, n):
    scipys = stats.binomtest(k, n).proportion_ci(method="wilson")
    one = estimate(ones(k, n))
    assert (one.value, one.low, one.high) == pytest.approx((k / n, scipys.low, scipys.high))
    assert (one.n, one.over) == (f"{n} examples", "examples")


def test_one_models_losses_have_scipys_t_interval():
    losses = torch.rand(40, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 3
    scipys = stats.ttest_1samp(losses, 0).confidence_interval()
    assert (estimate(losses).low, estimate(losses).high) == pytest.approx(tuple(scipys))


def test_seeds_that_all_score_alike_are_worth_one_model_and_examples_that_all_score_alike_one_number_per_seed():
    values = torch.rand(12, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 3
    scipys = tuple(stats.ttest_1samp(values, 0).confidence_interval())
    same_seeds = estimate(values.expand(16, 12))
    same_examples = estimate(values[:, None].expand(12, 359))
    assert (same_seeds.low, same_seeds.high) == pytest.approx(scipys)
    assert (same_examples.low, same_examples.high) == pytest.approx(scipys)
    assert (same_examples.n, same_examples.over) == ("12 seeds, 359 examples", "seeds and examples")


def test_a_comparison_over_seeds_is_scipys_paired_t_test():
    a, b = torch.rand(2, 9, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    difference = compare(a[:, None].expand(9, 20), b[:, None].expand(9, 20), "a", "b").difference
    scipys = stats.ttest_rel(a, b).confidence_interval()
    assert (difference.low, difference.high) == pytest.approx(tuple(scipys))


def test_the_order_of_seeds_and_examples_changes_nothing():
    scores = (torch.rand(6, 30, generator=torch.Generator().manual_seed(0)) < 0.8).float()
    one, other = estimate(scores), estimate(scores.flip(0).roll(7, 1))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_all_right_is_not_certain():
    assert estimate(torch.ones(16, 359)).high == 1
    assert 0.98 < estimate(torch.ones(16, 359)).low < 0.99  # sixteen seeds cannot make up for examples never seen
    assert estimate(torch.ones(2, 359)).low < 0.99
    almost = torch.ones(16, 359)
    almost[3, 5] = 0
    assert estimate(almost).low == pytest.approx(estimate(torch.ones(16, 359)).low, abs=0.003)


def test_estimates_cannot_be_made_without_n_and_what_varied():
    for wrong in (dict(n="359 examples"), dict(over="examples"), dict(n="", over="examples")):
        with pytest.raises((TypeError, ValueError)):
            Estimate(0.5, 0.4, 0.6, **wrong)
    with pytest.raises(ValueError, match="over is one of examples, seeds"):
        Estimate(0.5, 0.4, 0.6, "3 folds", "folds")
    with pytest.raises(ValueError, match="low <= value <= high"):
        Estimate(0.5, 0.6, 0.7, "3 seeds", "seeds")


def test_an_estimate_reads_as_a_number_its_interval_and_its_n():
    one = Estimate(0.913, 0.907, 0.918, "10,000 examples", "examples")
    assert f"{one}" == str(one) == "91.3% [90.7%, 91.8%] (n=10,000 examples)"
    assert f"{one:.2f}" == "0.91 [0.91, 0.92] (n=10,000 examples)"


# ---- scores ----


def test_scores_are_scikit_learns_accuracy():
    from sklearn.metrics import accuracy_score

    logits = torch.randn(3, 50, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 10
    scores = correct(logits, labels)
    assert scores.shape == (3, 50)
    for one, row in zip(logits, scores, strict=True):
        assert float(row.mean()) == pytest.approx(accuracy_score(labels, one.argmax(-1)))
    assert accuracy(logits, labels) == estimate(scores)


def test_agreement_holds_one_teacher_against_every_seed():
    teacher = torch.eye(3)
    students = torch.stack([teacher, teacher.roll(1, 0), teacher[[0, 1, 1]]])
    assert same_answer(students, teacher).tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert agreement(students, teacher).value == pytest.approx(5 / 9)
    assert agreement(teacher, teacher).value == 1


LOGITS = torch.randn(4, 30, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: correct(LOGITS, torch.zeros(30)), "whole numbers such as 7; got torch.float32"),
        (lambda: correct(LOGITS, torch.zeros(4, dtype=torch.long)), "one label for each of the 30 examples"),
        (lambda: correct(LOGITS, torch.full((30,), 10)), "labels go from 0 to 9"),
        (lambda: correct(LOGITS[0, :, 0], torch.zeros(30, dtype=torch.long)), "expected logits"),
        (lambda: correct(LOGITS.argmax(-1), torch.zeros(30, dtype=torch.long)), "expected logits"),
        (lambda: correct(LOGITS.log(), torch.zeros(30, dtype=torch.long)), "NaN"),
        (lambda: same_answer(LOGITS, LOGITS[:3]), "same examples and classes"),
        (lambda: same_answer(LOGITS, LOGITS[0, :29]), "same examples and classes"),
        (lambda: estimate(LOGITS), r"expected scores \(N,\) or \(S, N\)"),
        (lambda: estimate([1.0]), "at least 2 examples"),
        (lambda: estimate([1.0, float("nan")]), "NaN or infinity"),
        (lambda: compare(torch.ones(3, 5), torch.ones(3, 6), "new", "old"), "new has 5 and old has 6"),
        (lambda: compare(torch.ones(3, 5), torch.ones(4, 5), "new", "old"), "new has 3 seeds and old has 4"),
    ],
)
def test_wrong_input_gets_a_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


# ---- verdicts ----


def arms(gain, seeds=16, n=359):
    """Two arms right on about 90%: b with `gain` less, on mostly the same examples."""
    generator = torch.Generator().manual_seed(0)
    luck = torch.rand(1, n, generator=generator) * 0.8 + 0.2 * torch.rand(seeds, n, generator=generator)
    return (luck < 0.9 * 0.9).float(), (luck + 0.02 * torch.randn(seeds, n, generator=generator) < 0.81 - gain).float()


def test_the_verdict_is_a_sentence_with_difference_interval_n_and_method():
    a, b = arms(0.03)
    verdict = compare(a, b, "distilled", "alone")
    d = verdict.difference
    assert verdict.word == "BETTER" and d.low > 0 and verdict.seeds_needed is None
    assert str(verdict) == (
        f"distilled is BETTER than alone: {100 * d.value:+.1f} points [{100 * d.low:+.1f}, {100 * d.high:+.1f}]\n"
        "    16 paired seeds, 359 examples (two-way paired t interval). Primary comparison."
    )
    assert compare(b, a, "alone", "distilled").word == "WORSE"
    assert compare(a, b, "a", "b", higher_is_better=False).word == "WORSE"
    assert str(compare(a, b, "a", "b", exploratory=True)).endswith("Exploratory.")


def test_a_bound_next_to_zero_shows_its_side():
    verdict = compare(*arms(0.03), "a", "b")
    near = dataclasses.replace(verdict, difference=Estimate(0.008, -0.0002, 0.016, "2 seeds", "seeds"))
    assert "+0.80 points [-0.02, +1.60]" in str(near)


def test_a_difference_of_losses_is_not_told_in_points():
    a = torch.rand(16, 100, generator=torch.Generator().manual_seed(0)) + 1
    verdict = compare(a, a + 0.5 + torch.rand(16, 100), "a", "b", higher_is_better=False)
    assert verdict.word == "BETTER" and "points" not in str(verdict)


def test_models_that_never_differ_are_not_separable_and_their_interval_has_a_width():
    a, _ = arms(0)
    verdict = compare(a, a, "copy", "teacher")
    assert verdict.word == "NOT SEPARABLE" and verdict.seeds_needed is None
    assert verdict.difference.high == pytest.approx(1 - 0.025 ** (1 / 359))  # if 1% differed, 359 would have shown it
    assert "+0.0 points" in str(verdict) and "differ on only 0 of 359" in str(verdict)


def test_one_model_each_speaks_of_these_two_models_only():
    verdict = compare(ones(350, 359), ones(300, 359), "a", "b")
    assert verdict.word == "BETTER" and verdict.difference.over == "examples"
    assert "not of how they were made" in str(verdict)


def test_one_teacher_is_compared_with_every_student():
    verdict = compare(torch.ones(359), arms(0)[0], "teacher", "student")
    assert verdict.word == "BETTER" and verdict.difference.n == "16 seeds, 359 examples"


def test_seeds_needed_are_those_of_the_textbook_when_only_seeds_vary():
    d = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    d = (d - d.mean()) / d.std() * 0.02 + 0.005  # mean 0.005, standard deviation 0.02
    verdict = compare(d[:, None].expand(6, 100), torch.zeros(6, 100), "a", "b")
    n = verdict.seeds_needed
    assert f"About {n} seeds would be needed" in str(verdict)
    power = stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, 0.005 / 0.02 * math.sqrt(n))  # scipy's, of n paired seeds
    assert power == pytest.approx(0.8, abs=0.01)


def test_more_seeds_are_not_promised_to_help_where_the_examples_limit():
    rng = np.random.default_rng(0)
    d = torch.tensor(rng.normal(0.01, 1, (1, 100)) + rng.normal(0, 0.01, (16, 100)))
    verdict = compare(d, torch.zeros(16, 100), "a", "b")
    assert verdict.word == "NOT SEPARABLE" and verdict.seeds_needed is None
    assert "More seeds alone would not show" in str(verdict) and "the 100 examples limit it" in str(verdict)


# ---- calibration ----


def test_calibration_of_a_table_made_by_hand():
    sure = torch.tensor([0.95, 0.95, 0.95, 0.95, 0.65, 0.65])
    right = torch.tensor([True, True, True, False, True, False])
    logits = torch.stack([sure.log(), (1 - sure).log()], 1)
    found = calibration(logits, torch.where(right, 0, 1))
    assert found.ece.value == pytest.approx((4 * 0.20 + 2 * 0.15) / 6)  # |0.75 - 0.95| and |0.5 - 0.65|
    assert found.count.tolist() == [0] * 6 + [2, 0, 0, 4]
    assert found.confidence[[6, 9]].tolist() == pytest.approx([0.65, 0.95])
    assert found.accuracy[[6, 9]].tolist() == pytest.approx([0.5, 0.75])
    assert found.accuracy[0].isnan()
    wilson = stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert (float(found.low[9]), float(found.high[9])) == pytest.approx((wilson.low, wilson.high))


def test_a_perfectly_calibrated_model_gets_the_floor_by_chance_and_the_words_say_ece_is_biased():
    generator, found = torch.Generator().manual_seed(0), []
    sure = 0.5 + 0.5 * torch.rand(400, generator=generator)
    logits = torch.stack([sure.log(), (1 - sure).log()], 1)
    for _ in range(60):
        labels = (torch.rand(400, generator=generator) > sure).long()  # right as often as it is sure
        found.append(calibration(logits, labels))
    assert np.mean([one.ece.value for one in found]) == pytest.approx(found[0].floor, rel=0.1)
    assert "biased upwards" in str(found[0]) and "bootstrap spread" in f"{found[0].ece}"


def test_calibration_of_several_seeds_is_the_mean_of_theirs():
    logits, labels = 3 * LOGITS, torch.arange(30) % 10
    together = calibration(logits, labels)
    assert together.ece.value == pytest.approx(np.mean([calibration(one, labels).ece.value for one in logits]))
    assert together.ece.n == "4 seeds, 30 examples" and together.count.sum() == 4 * 30
