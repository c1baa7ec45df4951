"""Answers to lesson 03, right and wrong."""

import copy

import torch
import torch.nn.functional as F

from tests.answers import Answers

# ---- 3.1 ----


def kd_by_hand(student_logits, teacher_logits, T=4.0):
    log_q = student_logits / T - torch.logsumexp(student_logits / T, dim=-1, keepdim=True)
    log_p = teacher_logits / T - torch.logsumexp(teacher_logits / T, dim=-1, keepdim=True)
    return T**2 * torch.einsum("bc,bc->b", log_p.exp(), log_p - log_q).mean()


def kd_by_torch(student_logits, teacher_logits, T=4.0):
    log_q, p = F.log_softmax(student_logits / T, dim=1), F.softmax(teacher_logits / T, dim=1)
    return F.kl_div(log_q, p, reduction="batchmean") * (T * T)


def kd(change=lambda kl, T: T**2 * kl.sum(-1).mean(), T_student=None, T_teacher=None):
    """A kd_loss with one thing changed: change(p (log p - log q), T), or the temperature of one side."""

    def loss(student_logits, teacher_logits, T=4.0):
        log_q = F.log_softmax(student_logits / (T_student or T), -1)
        log_p = F.log_softmax(teacher_logits / (T_teacher or T), -1)
        return change(log_p.exp() * (log_p - log_q), T)

    return loss


def unstable(student_logits, teacher_logits, T=4.0):
    q, p = (student_logits / T).softmax(-1), (teacher_logits / T).softmax(-1)
    return T**2 * (p * (p.log() - q.log())).sum(-1).mean()


def no_log_target(student_logits, teacher_logits, T=4.0):
    log_q, log_p = F.log_softmax(student_logits / T, -1), F.log_softmax(teacher_logits / T, -1)
    return T**2 * F.kl_div(log_q, log_p, reduction="batchmean")


def probabilities_in(student_logits, teacher_logits, T=4.0):
    return T**2 * F.kl_div(F.softmax(student_logits / T, -1), F.softmax(teacher_logits / T, -1), reduction="batchmean")


def probabilities_in_swapped(student_logits, teacher_logits, T=4.0):
    return probabilities_in(teacher_logits, student_logits, T)


def cross_entropy_form(student_logits, teacher_logits, T=4.0):
    return T**2 * F.cross_entropy(student_logits / T, F.softmax(teacher_logits / T, -1))


def weighted_by_log(student_logits, teacher_logits, T=4.0):
    log_q, log_p = F.log_softmax(student_logits / T, -1), F.log_softmax(teacher_logits / T, -1)
    return T**2 * (log_p * (log_p - log_q)).sum(-1).mean()


# ---- 3.2 ----


def gradient_over_examples(student_logits, teacher_logits, T=4.0):
    return T * ((student_logits / T).softmax(0) - (teacher_logits / T).softmax(0)) / len(student_logits)


def gradient_by_hand(student_logits, teacher_logits, T=4.0):
    difference = torch.softmax(student_logits / T, -1) - torch.softmax(teacher_logits / T, -1)
    return difference * T / student_logits.shape[0]


def gradient_by_rows(student_logits, teacher_logits, T=4.0):
    rows = [
        (torch.exp(F.log_softmax(z / T, 0)) - torch.exp(F.log_softmax(v / T, 0))) * T
        for z, v in zip(student_logits, teacher_logits, strict=True)
    ]
    return torch.stack(rows) / len(rows)


def slope(factor):
    """The difference q - p at temperature T, times factor(T, B, C)."""

    def kd_gradient(student_logits, teacher_logits, T=4.0):
        difference = torch.softmax(student_logits / T, -1) - torch.softmax(teacher_logits / T, -1)
        return difference * factor(T, *student_logits.shape)

    return kd_gradient


def by_autograd(student_logits, teacher_logits, T=4.0):
    z = student_logits.clone().requires_grad_()
    return torch.autograd.grad(kd_by_hand(z, teacher_logits, T), z)[0]


# ---- 3.3 ----


def limit_by_hand(student_logits, teacher_logits):
    z = student_logits - student_logits.mean(-1, keepdim=True)
    v = teacher_logits - teacher_logits.mean(-1, keepdim=True)
    return F.mse_loss(z, v) / 2


def limit_by_variance(student_logits, teacher_logits):
    d = student_logits - teacher_logits
    return 0.5 * (d.square().mean(1) - d.mean(1).square()).mean()


# ---- 3.4 ----


def distill_by_hand(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    log_q = F.log_softmax(student_logits, -1)
    hard = -log_q.gather(1, labels[:, None]).mean()
    return hard_weight * hard + soft_weight * kd_by_hand(student_logits, teacher_logits, T)


def distill_by_torch(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    soft = kd_by_torch(student_logits, teacher_logits, T)
    return soft_weight * soft + hard_weight * F.cross_entropy(student_logits, labels)


def distill(mix):
    """A distill_loss with another mix(ce, kl, T, hard, soft): ce at T=1, kl without T**2."""

    def loss(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
        ce = F.cross_entropy(student_logits, labels)
        kl = kd_by_hand(student_logits, teacher_logits, T) / T**2
        return mix(ce, kl, T, hard_weight, soft_weight)

    return loss


def hard_softened(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    hard = F.cross_entropy(student_logits / T, labels)
    return hard_weight * hard + soft_weight * kd_by_hand(student_logits, teacher_logits, T)


def hard_by_teacher(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    return distill_by_torch(student_logits, teacher_logits.argmax(-1), teacher_logits, T, hard_weight, soft_weight)


# ---- 3.5 and 3.6 ----

Z = torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.0, 1.0, -2.0, 1.0], [1.0, 1.0, 4.0, -1.0]])
V = torch.tensor([[-1.0, 2.0, 1.5, 0.0], [3.0, 1.0, 2.0, -1.0], [0.0, -2.0, 1.0, 1.0]])


def slope_of(loss, student_logits, teacher_logits, T):
    z = student_logits.clone().requires_grad_()
    return torch.autograd.grad(loss(z, teacher_logits, T), z)[0]


def flat_by_backward(loss):
    z = Z.clone().requires_grad_()
    value = loss(z, Z.clone(), 3.0)
    value.backward()
    return value.item() < 1e-5 and value.item() > -1e-5 and torch.allclose(z.grad, torch.zeros_like(z), atol=1e-5)


def flat_by_helper(loss):
    z = Z.double()
    return bool(loss(z, z, 5.0).abs() < 1e-9) and bool((slope_of(loss, z, z, 5.0).abs() < 1e-9).all())


def only_zero(loss):
    return bool(loss(Z, Z, 4.0).abs() < 1e-5)


def only_flat(loss):
    return bool(slope_of(loss, Z, Z, 4.0).abs().max() < 1e-5)


def exactly_zero(loss):
    z = torch.linspace(-5, 7, 40).reshape(4, 10).sin() * 9
    return bool(loss(z, z + 1, 4.0) == 0) and bool((slope_of(loss, z, z + 1, 4.0) == 0).all())


def only_at_zero_logits(loss):
    z = torch.zeros(3, 4)
    return bool(loss(z, z, 4.0).abs() < 1e-5 and slope_of(loss, z, z, 4.0).abs().max() < 1e-5)


def steady_by_ratio(loss):
    return bool(0.5 < slope_of(loss, Z, V, 32.0).norm() / slope_of(loss, Z, V, 6.0).norm() < 2)


def steady_by_backward(loss):
    sizes = []
    for T in (4.0, 8.0, 20.0):
        z = Z.clone().requires_grad_()
        loss(z, V, T).backward()
        sizes.append(z.grad.abs().sum().item())
    return max(sizes) <= 2 * min(sizes)


def steady(low, high, T1=4.0, T2=16.0):
    def steady_in_T(loss):
        before, after = slope_of(loss, Z, V, T1).norm(), slope_of(loss, Z, V, T2).norm()
        return bool(low * before <= after <= high * before)

    return steady_in_T


def steady_of_equals(loss):
    return bool(0.5 < slope_of(loss, Z, Z, 16.0).norm() / slope_of(loss, Z, Z, 4.0).norm() < 2)


# ---- 3.7 ----


def same_by_clone(epoch, student, teacher, x):
    before = [tensor.clone() for tensor in teacher.state_dict().values()]
    epoch(student, teacher, x)
    return all((a == b).all().item() for a, b in zip(before, teacher.state_dict().values(), strict=True))


def same_by_copy(epoch, student, teacher, x):
    twin = copy.deepcopy(teacher)
    epoch(student, teacher, x)
    parts = (
        *zip(twin.parameters(), teacher.parameters(), strict=True),
        *zip(twin.buffers(), teacher.buffers(), strict=True),
    )
    return all(torch.equal(a, b) for a, b in parts)


def forgot_to_copy(epoch, student, teacher, x):
    before = teacher.state_dict()
    epoch(student, teacher, x)
    return all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def parameters_only(epoch, student, teacher, x):
    before = [p.clone() for p in teacher.parameters()]
    epoch(student, teacher, x)
    return all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))


def buffers_only(epoch, student, teacher, x):
    before = [b.clone() for b in teacher.buffers()]
    epoch(student, teacher, x)
    return all(torch.equal(a, b) for a, b in zip(before, teacher.buffers(), strict=True))


def looks_at_the_student(epoch, student, teacher, x):
    return same_by_clone(lambda student, teacher, x: epoch(teacher, student, x), teacher, student, x)


def true_and_false(function):
    return lambda *args: not function(*args)


ANSWERS = {
    "3.1": Answers(
        right=[kd_by_hand, kd_by_torch],
        wrong={
            "averaged over classes": (kd(lambda kl, T: T**2 * kl.mean()), "5 times too small, and there are 5 classes"),
            "forgot T**2": (kd(lambda kl, T: kl.sum(-1).mean()), "without its factor"),
            "T, not T**2": (kd(lambda kl, T: T * kl.sum(-1).mean()), "wanted squared"),
            "both": (kd(lambda kl, T: kl.mean()), "45 times too small"),
            "reversed": (lambda z, v, T=4.0: kd_by_hand(v, z, T), "in the other direction, with the student's"),
            "reversed, no T**2": (lambda z, v, T=4.0: kd_by_hand(v, z, T) / T**2, "and without its factor T**2"),
            "sum over the batch": (kd(lambda kl, T: T**2 * kl.sum()), "the sum over the 6 examples"),
            "averaged over the batch twice": (kd(lambda kl, T: T**2 * kl.sum(-1).mean() / len(kl)), "taken twice"),
            "one number per example": (kd(lambda kl, T: T**2 * kl.sum(-1)), "One number per example:"),
            "one per example and class": (kd(lambda kl, T: T**2 * kl), "two steps are still to be taken"),
            "softmax where log_softmax belongs": (probabilities_in, "what its first argument is"),
            "two softmaxes, swapped": (probabilities_in_swapped, "which argument is which"),
            "log_target missing": (no_log_target, "log"),
            "cross-entropy": (cross_entropy_form, "That is the cross-entropy: the teacher's own entropy"),
            "weighted by log p": (weighted_by_log, "The weights of the sum are the teacher's log-probabilities"),
            "no return": (lambda z, v, T=4.0: None, "returned None"),
            "T not used": (kd(lambda kl, T: kl.sum(-1).mean(), T_student=1, T_teacher=1), "T is not used"),
            "T only in front": (kd(T_student=1, T_teacher=1), "not divided by it"),
            "student not softened": (kd(T_student=1), "the student's are compared at T=1"),
            "teacher not softened": (kd(T_teacher=1), "the teacher's are compared at T=1"),
            "log of softmax": (unstable, "300 apart"),
            "detached": (lambda z, v, T=4.0: kd_by_hand(z.detach(), v, T), "no gradient can flow back"),
            "a plain number": (lambda z, v, T=4.0: kd_by_hand(z, v, T).item(), "a float came"),
            "batch size written in": (kd(lambda kl, T: T**2 * kl.sum() / 6), "written into your code"),
            "default T lost": (lambda z, v, T=1.0: kd_by_hand(z, v, T), "T=4.0 holds"),
        },
        loss=("teacher_logits",),
    ),
    "3.2": Answers(
        right=[gradient_by_hand, gradient_by_rows],
        wrong={
            "sign turned": (slope(lambda T, B, C: -T / B), "The sign is turned: where"),
            "no 1/B": (slope(lambda T, B, C: T), "6 times too large, and there are 6 examples"),
            "forgot T": (slope(lambda T, B, C: 1 / B), "one 1/T comes from inside"),
            "no T**2": (slope(lambda T, B, C: 1 / T / B), "the slope of the KL alone"),
            "T**2": (slope(lambda T, B, C: T**2 / B), "3 times too large"),
            "mean over classes": (slope(lambda T, B, C: T / B / C), "5 times too small"),
            "mean over classes, twice over": (slope(lambda T, B, C: T / B / B / C), "30 times too small"),
            "q - p": (slope(lambda T, B, C: 1.0), "That is B and T at once"),
            "p - q": (slope(lambda T, B, C: -1.0), "and B=6 and T=3 are missing"),
            "not softened": (
                lambda z, v, T=4.0: T * (z.softmax(-1) - v.softmax(-1)) / len(z),
                "yours are those at T=1",
            ),
            "over the examples": (gradient_over_examples, "The softmax runs over the examples"),
            "the loss, not its slope": (kd_by_hand, "each class has its own slope"),
            "by autograd": (by_autograd, "it comes from autograd"),
            "T written in": (lambda z, v, T=4.0: gradient_by_hand(z, v, 3.0), "right at T=3"),
        },
    ),
    "3.3": Answers(
        right=[limit_by_hand, limit_by_variance],
        wrong={
            "not centred": (lambda z, v: 0.5 * (z - v).square().mean(), "not centred: adding 1.5"),
            "plain mean squared error": (lambda z, v: F.mse_loss(z, v), "plain mean squared error"),
            "centred over the batch": (
                lambda z, v: 0.5 * ((z - v) - (z - v).mean(0)).square().mean(),
                "runs over the examples",
            ),
            "one mean for all": (
                lambda z, v: 0.5 * ((z - v) - (z - v).mean()).square().mean(),
                "each example has its own",
            ),
            "no half": (lambda z, v: 2 * limit_by_hand(z, v), "the 1/2 of the formula is missing"),
            "sum over classes": (lambda z, v: 3 * limit_by_hand(z, v), "3 times too large"),
            "sum over classes, no half": (lambda z, v: 6 * limit_by_hand(z, v), "both the 1/2 and the 1/C"),
            "sum over the batch": (lambda z, v: 4 * limit_by_hand(z, v), "the mean over the 4 examples"),
            "divides by C - 1": (lambda z, v: 0.5 * (z - v).var(-1).mean(), "divides by C - 1"),
            "not squared": (lambda z, v: 0.5 * ((z - v) - (z - v).mean(-1, keepdim=True)).mean(), "without squaring"),
            "probabilities": (
                lambda z, v: 0.5 * F.mse_loss(z.softmax(-1), v.softmax(-1)),
                "Probabilities were compared",
            ),
            "classes written in": (
                lambda z, v: (z - v).var(-1, correction=0).mean() * 1.5 / z.shape[-1],
                "written into",
            ),
        },
        loss=("teacher_logits",),
    ),
    "3.4": Answers(
        right=[distill_by_hand, distill_by_torch],
        wrong={
            "weights swapped": (distill(lambda ce, kl, T, h, s: s * ce + h * T**2 * kl), "changed places"),
            "hard term at T": (hard_softened, "The hard term is softened too"),
            "no T**2": (distill(lambda ce, kl, T, h, s: h * ce + s * kl), "has lost its T**2"),
            "T**2 on both": (distill(lambda ce, kl, T, h, s: T**2 * (h * ce + s * kl)), "multiplies the hard term too"),
            "1 - hard_weight": (
                distill(lambda ce, kl, T, h, s: h * ce + (1 - h) * T**2 * kl),
                "taken as 1 - hard_weight",
            ),
            "1 - soft_weight": (
                distill(lambda ce, kl, T, h, s: (1 - s) * ce + s * T**2 * kl),
                "taken as 1 - soft_weight",
            ),
            "normalised": (distill(lambda ce, kl, T, h, s: (h * ce + s * T**2 * kl) / (h + s)), "sum of the weights"),
            "not weighted": (distill(lambda ce, kl, T, h, s: ce + T**2 * kl), "The weights are not used"),
            "soft only": (distill(lambda ce, kl, T, h, s: s * T**2 * kl), "Only the soft term"),
            "teacher's favourite as label": (hard_by_teacher, "teacher's favourite class"),
            "teacher first": (
                lambda z, y, v, T=4.0, hard_weight=0.1, soft_weight=0.9: (
                    hard_weight * F.cross_entropy(z, y) + soft_weight * kd_by_hand(v, z, T)
                ),
                "takes the student first",
            ),
            "T=4 whatever is given": (
                lambda z, y, v, T=4.0, hard_weight=0.1, soft_weight=0.9: distill_by_hand(
                    z, y, v, 4.0, hard_weight, soft_weight
                ),
                "default T=4",
            ),
            "T**2 dropped with the hard term": (
                distill(lambda ce, kl, T, h, s: h * ce + s * T**2 * kl if h else s * kl),
                "T**2 and all",
            ),
        },
        loss=("labels", "teacher_logits"),
    ),
    "3.5": Answers(
        right=[flat_by_backward, flat_by_helper],
        wrong={
            "value only": (only_zero, "Look at the gradient too"),
            "gradient only": (only_flat, "Look at the value too"),
            "no room for rounding": (exactly_zero, "leave room for rounding"),
            "at zero logits only": (only_at_zero_logits, "where all logits are 0"),
            "turned": (true_and_false(flat_by_backward), "the verdict is turned"),
            "always innocent": (lambda loss: True, "acquits everyone"),
            "the value itself": (lambda loss: loss(Z, Z, 4.0), "True (innocent) or False (guilty)"),
        },
    ),
    "3.6": Answers(
        right=[steady_by_ratio, steady_by_backward],
        wrong={
            "too strict": (steady(0.999, 1.001), "Allow a factor of 2"),
            "too lenient": (steady(0.01, 100), "acquits everyone"),
            "lower bound only": (steady(0.5, 1e9), "The ratio has an upper bound"),
            "upper bound only": (steady(0, 2), "falls 16-fold"),
            "band too wide for T": (steady(0.2, 5), "falls 4-fold"),
            "equal logits": (steady_of_equals, "only where student and teacher agree"),
            "turned": (true_and_false(steady_by_ratio), "the verdict is turned"),
            "returns the ratio": (lambda loss: slope_of(loss, Z, V, 16.0).norm(), "Return one comparison"),
        },
    ),
    "3.7": Answers(
        right=[same_by_clone, same_by_copy],
        wrong={
            "forgot to copy": (forgot_to_copy, "Is the state from before a copy"),
            "parameters only": (parameters_only, "they are buffers"),
            "buffers only": (buffers_only, "but not the weights"),
            "looks at the student": (looks_at_the_student, "convicts a fair epoch"),
            "turned": (true_and_false(same_by_clone), "the verdict is turned"),
        },
    ),
}
