"""Checks of lesson 03: the distillation loss, its gradient, its limit, and the invariants that convict a wrong one.

Judged against torch in float64 and against numbers worked out by hand.
"""

import copy
import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import losses
from course_lib.checks import museum
from course_lib.checks.exercise import Exercise, expect
from course_lib.checks.table import Case, Table, instead

# ---- what the lesson goes on with until the learner's own answers are right ----


def kd_gradient(student_logits, teacher_logits, T=4.0):
    return T * (soft(student_logits, T) - soft(teacher_logits, T)) / len(student_logits)


def high_T_loss(student_logits, teacher_logits):
    d = student_logits - teacher_logits
    return 0.5 * (d - d.mean(-1, keepdim=True)).square().mean()


def zero_and_flat(loss):
    return is_zero(loss) and is_flat(loss)


def steady_in_T(loss):
    cool, warm = (slope(loss, *PAIR, T).norm() for T in (4.0, 16.0))
    return bool(cool / 2 <= warm <= 2 * cool)


def teacher_unchanged(epoch, student, teacher, x):
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    epoch(student, teacher, x)
    return all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


# ---- what several checks ask ----


def logits(seed, *shape):
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PAIR = logits(1, 6, 5), logits(2, 6, 5)  # (B, C) student, teacher
FEW = logits(3, 3, 4).float(), logits(4, 3, 4).float()
QUARTER, HALF = torch.tensor([[0.0, math.log(3)]]).double(), torch.zeros(1, 2).double()  # (1/4, 3/4) and (1/2, 1/2)
FAR = torch.tensor([[300.0, 0.0, -300.0]]).float(), torch.tensor([[0.0, 300.0, -300.0]]).float()
SIX = "six examples of five classes at T = 3"
NO_T = "three examples of four classes, with no T given"


def cases(right, *rows):
    """rows: what is given in words, the arguments, and why, in turn; right(*arguments) is right."""
    rows = zip(rows[::3], rows[1::3], rows[2::3], strict=True)
    return tuple(Case(seen, given, right(*given), why) for seen, given, why in rows)


def soft(z, T=4.0):
    return F.softmax(z / T, -1)


def terms(z, v, T=4.0):
    """p (log p - log q) of each example and class, by torch itself: (B, C)."""
    return F.kl_div(F.log_softmax(z / T, -1), F.log_softmax(v / T, -1), reduction="none", log_target=True)


def kd(z, v, T=4.0):
    return T**2 * terms(z, v, T).sum(-1).mean()


def slope(loss, z, v, T=4.0):
    """The gradient of loss(z, v, T) in z, by autograd, whatever the session's settings are."""
    with torch.enable_grad():
        z = z.clone().requires_grad_()
        return torch.autograd.grad(loss(z, v, T), z)[0]


# ---- 3.1 ----

KD_LOSS = Table(
    "kd_loss",
    "nats per example",
    cases(
        kd,
        *(SIX, (*PAIR, 3.0), "Check each step of the definition, on paper for two classes."),
        "a teacher of (1/2, 1/2) and a student of (1/4, 3/4) at T = 1",
        (QUARTER, HALF, 1.0),
        "By hand it is ln(2/√3). Is a number of classes or examples written into your code?",
        *("three examples of four classes at T = 1/2", (*FEW, 0.5), "A T below 1 is a T like others."),
        *(NO_T, FEW, "Without a T the stub's T=4.0 holds. Keep the default."),
        "a student that is its teacher",
        (PAIR[0], PAIR[0], 2.0),
        "There the KL is 0, and nothing may be added to it, or keep it away from 0.",
        "logits 300 apart in float32",
        (*FAR, 1.0),
        "A probability that rounds to 0 has no log, and no small number in its place is right: which function takes the "
        "softmax and its log in one stable step (lesson 01)?",
    ),
    (
        lambda z, v, T=4.0: T**2 * terms(z, v, T).mean(),
        "That is 5 times too small, and there are 5 classes: a KL is a sum over the classes.",
        lambda z, v, T=4.0: kd(z, v, T) / T**2,
        "That is the right KL without its factor: 9 times too small at T = 3, and right at T = 1.",
        lambda z, v, T=4.0: kd(z, v, T) / T,
        "That is 3 times too small: the factor T is there once, and it is wanted squared.",
        lambda z, v, T=4.0: kd(v, z, T),
        "That is the KL the other way, weighed by the student's probabilities. Whose surprises does the loss count?",
        lambda z, v, T=4.0: T**2 * terms(z, v, T).sum(),
        "That is the sum over the examples; the loss is their mean, so that it does not grow with the batch.",
        lambda z, v, T=4.0: T**2 * F.cross_entropy(z / T, soft(v, T)),
        "That is the cross-entropy: the teacher's own entropy is still in it, so it will not reach 0.",
        lambda z, v, T=4.0: T**2 * F.kl_div(soft(z, T), soft(v, T), reduction="batchmean"),
        "It looks as if probabilities stand where F.kl_div wants logs: read what its first argument is.",
        lambda z, v, T=4.0: T**2 * F.kl_div(F.log_softmax(z / T, -1), F.log_softmax(v / T, -1), reduction="batchmean"),
        "nan is what comes of the log of a negative number. Is F.kl_div's target a log, too? Read what log_target does.",
        lambda z, v, T=4.0: T**2 * kd(z, v, 1.0),
        "T multiplies the result, but the logits are not divided by it.",
        lambda z, v, T=4.0: kd(z, v, 1.0),
        "T is not used: this is the KL at T = 1.",
        lambda z, v, T=4.0: T**2 * kd(z, v / T, 1.0),
        "Only the teacher's answers are softened; the student's are compared at T = 1.",
        lambda z, v, T=4.0: T**2 * kd(z / T, v, 1.0),
        "Only the student's answers are softened; the teacher's are compared at T = 1.",
        lambda z, v, T=4.0: T**2 * terms(z.T, v.T, T).T.sum(-1).mean(),
        "The softmax runs over the examples (dim 0); the classes are the last dimension.",
        lambda z, v, T=4.0: kd(z, v, T) / math.log(2),
        "That is the number in bits; nats use the natural logarithm.",
        lambda z, v, T=4.0: -kd(z, v, T),
        "The sign is turned: a KL is never negative.",
        lambda z, v, T=4.0: T**2 * terms(z, v, T).sum(-1),
        "One number per example: the mean over the examples is still to be taken.",
    ),
    gradient=kd,
)


# ---- 3.2 ----

KD_GRADIENT = Table(
    "kd_gradient",
    "a slope for each example and class",
    cases(
        functools.partial(slope, kd),
        *(SIX, (*PAIR, 3.0), "Write it for one example first, and compare with the formula."),
        "three examples of four classes at T = 1/2",
        (*FEW, 0.5),
        "Is a number written into your code where T or the batch size belongs, or is it an approximation?",
        *(NO_T, FEW, "Without a T the stub's T=4.0 holds. Keep the default."),
        *("logits 300 apart in float32, at T = 2", (*FAR, 2.0), "Large logits need a stable softmax: lesson 01."),
    ),
    (
        lambda z, v, T=4.0: -kd_gradient(z, v, T),
        "The sign is turned: where the student says too much, the loss grows with its logit.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) * len(z),
        "Yours is 6 times too large, and there are 6 examples: the loss is their mean.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) / T,
        "Yours is 3 times too small: T**2 stands before the loss, and one 1/T comes from inside the softmax.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) / T**2,
        "Yours is 9 times too small: that is the slope of the KL alone. T**2 is still to be multiplied.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) * T,
        "Yours is 3 times too large: z stands inside the softmax as z/T, and that gives one 1/T.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) * len(z) / z.shape[-1],
        "It is divided by the 5 classes where the 6 examples belong: nothing here is averaged over classes.",
        lambda z, v, T=4.0: kd_gradient(z, v, T) * len(z) / T,
        "That is B and T at once: the mean over 6 examples and a factor T = 3 are missing.",
        lambda z, v, T=4.0: T * kd_gradient(z, v, 1.0),
        "The probabilities must be those at temperature T; yours are those at T = 1.",
        lambda z, v, T=4.0: kd_gradient(z.T, v.T, T).T * z.shape[-1] / len(z),
        "The softmax runs over the examples (dim 0); the classes are the last dimension.",
        lambda z, v, T=4.0: (z - v) / len(z),
        "That is the difference of the logits, which the slope tends to at a high T: take the probabilities.",
    ),
    forbids=(
        {"grad", "backward", "requires_grad_"},
        "the slopes are right, and autograd made them. Here the formula is wanted; the next cell holds it against autograd.",
    ),
)


# ---- 3.3 ----


def by_variance(z, v):
    return (z - v).var(-1, correction=0).mean() / 2


HIGH_T_LOSS = Table(
    "high_T_loss",
    "nats per example",
    cases(
        by_variance,
        "four examples of three classes, the student's logits 1.5 higher",
        (logits(5, 4, 3) + 1.5, logits(6, 4, 3)),
        "By hand: z = (1, 0) and v = (0, 0) give 0.125 nats.",
        "z = (1, 0) and v = (0, 0)",
        (torch.tensor([[1.0, 0.0]]).double(), HALF),
        "The centred difference is (1/2, -1/2). Is a number of classes or examples written into your code?",
        "logits in the thousands",
        (600 * logits(5, 4, 3) + 1000, 600 * logits(6, 4, 3)),
        "The limit is a mean of squares, however large they are. kd_loss at some high T is not it: the formula has no T.",
        *("a student that is its teacher", (PAIR[0], PAIR[0]), "There the limit is 0."),
    ),
    (
        lambda z, v: 0.5 * (z - v).square().mean(),
        "The logits are not centred: 1.5 added to all logits of an example changes yours, and no probability.",
        lambda z, v: (z - v).square().mean(),
        "The logits are not centred, and the 1/2 is missing: that is the plain mean squared error.",
        lambda z, v: 0.5 * ((z - v) - (z - v).mean(-1)).square().mean(),
        "After .mean(-1) the last dim is gone, so the means meet the wrong numbers, or none: keepdim=True keeps it.",
        lambda z, v: 0.5 * ((z - v) - (z - v).mean(0)).square().mean(),
        "The mean that is taken off runs over the examples; each example is centred over its own classes.",
        lambda z, v: 0.5 * ((z - v) - (z - v).mean()).square().mean(),
        "One mean over the whole batch is taken off; each example has its own.",
        lambda z, v: 2 * by_variance(z, v),
        "That is twice the limit: the 1/2 of the formula is missing.",
        lambda z, v: z.shape[-1] * by_variance(z, v),
        "That is 3 times too large: the formula has 1/C, a mean over the classes.",
        lambda z, v: len(z) * by_variance(z, v),
        "That is 4 times too large: the loss is the mean over the 4 examples.",
        lambda z, v: 0.5 * (z - v).var(-1).mean(),
        "A variance that divides by C - 1 was taken; here it is C.",
        lambda z, v: 0.5 * ((z - v) - (z - v).mean(-1, keepdim=True)).mean(),
        "The differences were averaged without squaring, and a centred difference averages to 0.",
        lambda z, v: 0.5 * (z.softmax(-1) - v.softmax(-1)).square().mean(),
        "Probabilities were compared; in this limit it is the logits.",
    ),
    gradient=by_variance,
)


# ---- 3.4 ----

LABELLED = PAIR[0], torch.tensor([0, 3, 1, 3, 2, 2]), PAIR[1]


def mix(z, y, v, T=4.0, hard_weight=0.1, soft_weight=0.9):
    return hard_weight * F.cross_entropy(z, y) + soft_weight * kd(z, v, T)


DISTILL_LOSS = Table(
    "distill_loss",
    "nats per example",
    cases(
        mix,
        "T = 3, hard_weight = 0.3 and soft_weight = 1.5",
        (*LABELLED, 3.0, 0.3, 1.5),
        "Print the two terms, one by one.",
        "no T and no weights",
        LABELLED,
        "The stub's defaults are T=4.0, hard_weight=0.1, soft_weight=0.9: keep them.",
        *("T = 3 and hard_weight = 0", (*LABELLED, 3.0, 0.0, 1.0), "What is left is the soft term, T**2 and all."),
        *("T = 3 and soft_weight = 0", (*LABELLED, 3.0, 1.2, 0.0), "What is left is the labels' term, weighted."),
    ),
    (
        lambda z, y, v, T=4.0, h=0.1, s=0.9: mix(z, y, v, T, s, h),
        "The two weights have changed places.",
        instead(mix, "(z, y)", "(z, v.argmax(-1))"),
        "The hard term uses the teacher's favourite class; the labels are given.",
        instead(mix, "(z, y)", "(z / T, y)"),
        "The hard term is softened too: labels are answered at T = 1.",
        instead(mix, "kd(z, v, T)", "kd(z, v, T) / T**2"),
        "The soft term has lost its T**2.",
        instead(mix, "kd(z, v, T)", "kd(z, v, T) * T**2"),
        "The soft term has T**2 twice: it is inside kd_loss already.",
        instead(mix, "return ", "return T**2 * "),
        "T**2 multiplies the hard term too; it belongs to the soft one.",
        instead(mix, "+ soft_weight", "+ (1 - hard_weight)"),
        "The soft weight was taken as 1 - hard_weight; both weights are given, and need not add to 1.",
        instead(mix, "return hard_weight", "return (1 - soft_weight)"),
        "The hard weight was taken as 1 - soft_weight; both weights are given, and need not add to 1.",
        lambda z, y, v, T=4.0, h=0.1, s=0.9: mix(z, y, v, T, h, s) / (h + s),
        "The sum was divided by the sum of the weights; they are used as they are.",
        lambda z, y, v, T=4.0, h=0.1, s=0.9: mix(z, y, v, T, 1, 1),
        "The weights are not used.",
        instead(mix, "hard_weight * F.cross_entropy(z, y) +", ""),
        "Only the soft term is there.",
        instead(mix, "+ soft_weight * kd(z, v, T)", ""),
        "Only the hard term is there.",
        instead(mix, "(z, y)", "(z.softmax(-1), y)"),
        "F.cross_entropy was given probabilities; it wants logits, and takes the softmax itself.",
        instead(mix, "kd(z, v, T)", "kd(v, z, T)"),
        "The soft term runs from the student to the teacher: kd_loss takes the student first.",
        instead(mix, "kd(z, v, T)", "kd(z, v)"),
        "The soft term is taken at the default T = 4 and not at the T that was given.",
    ),
    gradient=mix,
    also=lambda answer: answer(*LABELLED, T=1.0, hard_weight=0.9, soft_weight=0.1),  # as the lesson calls it
)


# ---- 3.5 to 3.7: invariants, tried on the innocent and on the guilty ----

VERDICT = "True for the innocent and False for the guilty"
UNEVEN = torch.tensor([[3.0, 1.0, -2.0, 0.5], [0.0, -1.0, 2.0, 4.0], [1.0, 2.0, 0.0, -1.0]]).double()


def like(change):
    """A correct loss, changed: change(loss, teacher's logits - student's, teacher's probabilities, T)."""

    def loss(student_logits, teacher_logits, T=4.0):
        right = correct_loss(student_logits, teacher_logits, T)
        return change(right, teacher_logits - student_logits, soft(teacher_logits, T), T)

    return loss


def correct_loss(student_logits, teacher_logits, T=4.0):
    """A correct loss for answers of any shape (..., C), by torch."""
    q, p = F.log_softmax(student_logits / T, -1), soft(teacher_logits, T)
    return F.kl_div(q.flatten(0, -2), p.flatten(0, -2), reduction="batchmean") * T**2


def judged(right, *rows):
    """The same for the accused, one loss or epoch or a tuple of them, who are all to get this verdict, or these."""
    return cases(lambda *accused: right, *(row if isinstance(row, (str, tuple)) else (row,) for row in rows))


def verdicts(invariant, *accused):
    """True or False for each of the accused; for a single one, no tuple."""
    said = tuple(map(invariant, accused))
    return said if len(said) > 1 else said[0]


def is_zero(loss, T=4.0, off=1e-6):
    return bool(loss(UNEVEN, UNEVEN, T).abs() < off)


def is_flat(loss, T=4.0, off=1e-6, size=lambda slopes: slopes.abs().max()):
    return bool(size(slope(loss, UNEVEN, UNEVEN, T)) < off)


ZERO_AND_FLAT = Table(
    "zero_and_flat",
    VERDICT,
    (
        *judged(
            (True, False), "a correct loss and F.kl_div on two softmaxes", (losses.kd_loss, museum.LOSSES["f"]), ""
        ),
        *judged(True, "another correct loss", correct_loss, "Leave room for rounding, 0.00001 say."),
        *judged(
            (False, False, False),
            "three losses of which one is flat at equality and not zero, and two are zero and push up, or down",
            (museum.LOSSES["a"], like(lambda kl, d, p, T: (p * d).sum()), like(lambda kl, d, p, T: -(p * d).sum())),
            "Look at the value and at the gradient: at the size of each slope, whatever its sign.",
        ),
        *judged(
            False,
            "a loss that is zero at equality and pushes some logits up and others down",
            like(lambda kl, d, p, T: ((p - p.mean(-1, keepdim=True)) * d).sum()),
            "Its slopes cancel when they are added up. Look at the size of each.",
            "a loss that softens the teacher only",
            lambda student_logits, teacher_logits, T=4.0: correct_loss(student_logits * T, teacher_logits, T),
            "At T = 1, or where all logits are equal, that cannot be seen: take uneven logits and a T above 1.",
            *("a loss that is -1 at equality, and flat", like(lambda kl, d, p, T: kl - 1), "Take abs(value)."),
            "a loss that is zero at equality and pushes the last class of the last example",
            like(lambda kl, d, p, T: kl + d[-1, -1]),
            "Where one example or class is flat, another may not be. Look at all of the slopes.",
            "a loss that never falls below 0.005",
            like(lambda kl, d, p, T: kl.clamp(min=0.005)),
            "In float32 a correct loss reads about 0.0000001: is your room for rounding far wider than that?",
            "a loss with slopes of 0.005 at equality",
            like(lambda kl, d, p, T: kl + 0.005 * d.sum()),
            "In float32 rounding leaves slopes of about 0.0000001: is your room far wider than that?",
        ),
    ),
    (
        lambda loss: not zero_and_flat(loss),
        "The verdict is turned: True means innocent.",
        lambda loss: True,
        "It acquits everyone. Does what it measures depend on the loss that it is given?",
        lambda loss: False,
        "A correct loss is convicted. Does z equal v where you ask it, and is there room for rounding? In float32 it reads "
        "about 0.0000001 there, and not exactly 0.",
        lambda loss: is_flat(loss),
        "The first is as flat as it should be, so it is only the gradient that was asked. Look at the value too.",
        lambda loss: is_zero(loss) or is_flat(loss),
        "One of the two facts is enough for yours. Both must hold: `and`.",
        lambda loss: is_zero(loss),
        "Two of them are 0 and still push. Look at the gradient too.",
        lambda loss: is_zero(loss) and is_flat(loss, size=torch.max),
        "What pushes up has negative slopes, and so is the largest of them. Look at their sizes: .abs().max().",
        lambda loss: is_zero(loss) and is_flat(loss, size=lambda slopes: -slopes.min()),
        "What pushes down has positive slopes, and so is the smallest of them. Look at their sizes: .abs().max().",
        lambda loss: is_zero(loss) and is_flat(loss, size=lambda slopes: slopes.sum().abs()),
        "Added up, its slopes are 0, as those of most losses are. Look at each of them: .abs().max().",
        lambda loss: loss(UNEVEN, UNEVEN, 4.0),
        "That is the loss itself. Return a comparison, or several joined by `and`.",
    ),
    play=verdicts,
    also=lambda invariant: [invariant(loss) for loss in museum.LOSSES.values()],  # none may stop the lesson
)


def grows(loss, low=4.0, high=16.0, size=lambda loss, T: slope(loss, *PAIR, T).norm()):
    """The length of the gradient at the higher temperature over that at the lower one."""
    return size(loss, high) / size(loss, low)


STEADY_IN_T = Table(
    "steady_in_T",
    VERDICT,
    (
        *judged(
            (True, False, False),
            "a correct loss, one whose gradient falls 16-fold from T = 4 to T = 16, and one whose gradient grows 16-fold",
            (losses.kd_loss, like(lambda kl, d, p, T: 100 * kl / T**2), like(lambda kl, d, p, T: T**2 * kl)),
            "",
        ),
        *judged(
            True,
            *("a correct loss plus 10 T", like(lambda kl, d, p, T: kl + 10 * T), "Compare gradients."),
            *(
                "a correct loss times T**0.15",
                like(lambda kl, d, p, T: kl * T**0.15),
                "A factor of 2 is allowed, each way.",
            ),
        ),
        *judged(
            (True, False),
            "a thousand times a correct loss, and a thousandth of one without T**2",
            (like(lambda kl, d, p, T: 1000 * kl), like(lambda kl, d, p, T: kl / T**2 / 1000)),
            "Divide the one length by the other: how large a difference may be depends on the scale of the loss.",
        ),
        *judged(
            (False, False),
            "a loss with T where T**2 belongs, and one with T**3",
            (like(lambda kl, d, p, T: kl / T), like(lambda kl, d, p, T: kl * T)),
            "From T = 4 to T = 16 the one's gradient falls 4-fold, the other's grows. A factor of 2 is allowed, each way.",
        ),
        *judged(
            False,
            "a loss without T**2 whose own number is steady",
            like(lambda kl, d, p, T: kl.detach() + (kl - kl.detach()) / T**2),
            "What must stay the same is the gradient, and not the loss.",
            "a loss whose gradient is steady up to T = 4, and 16-fold smaller at T = 16",
            like(lambda kl, d, p, T: kl * min(1.0, 16 / T**2)),
            "Measure at T = 4 and at T = 16. Below, even a correct loss may change more: T**2 is for high temperatures.",
        ),
    ),
    (
        lambda loss: not steady_in_T(loss),
        "The verdict is turned: True means innocent.",
        lambda loss: True,
        "It acquits all three. Take logits z and v that differ, measure at T = 4 and T = 16, and compare the two lengths.",
        lambda loss: bool(0.999 <= grows(loss) <= 1.001),
        "It convicts a correct loss. Do z and v differ? T**2 makes the gradient steady only nearly: allow a factor of 2.",
        lambda loss: bool(0.5 <= grows(loss, size=lambda loss, T: loss(*PAIR, T)) <= 2),
        "It is the loss that you compare at the two temperatures. Compare its gradient: gradient(loss, z, v, T).norm().",
        lambda loss: bool(grows(loss) <= 2),
        "The ratio has a lower bound too: 1/2. (abs(ratio - 1) < 1 has none.)",
        lambda loss: bool(0.5 <= grows(loss)),
        "A gradient that grows is acquitted, however much: the ratio has an upper bound too, 2.",
        lambda loss: grows(loss),
        "That is the ratio. Return one comparison, or two joined by `and`.",
    ),
    play=verdicts,
    also=lambda invariant: [invariant(loss) for loss in museum.LOSSES.values()],  # none may stop the lesson
)


@functools.cache
def networks():
    """A student, a teacher whose unit 0 never answers to these pictures, and x (40, 1, 4, 4)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
        teacher[2].bias.data[0] = -50.0
        return student, teacher, torch.rand(40, 1, 4, 4)


def after_each(answer, *epochs):
    """The verdicts of a teacher_unchanged on these epochs, each with networks of its own."""

    def ask(epoch):
        (student, teacher, x), ran = copy.deepcopy(networks()), []
        said = answer(lambda student, teacher, x: ran.append(1) or epoch(student, teacher, x), student, teacher, x)
        expect(ran, "your teacher_unchanged never runs the epoch: epoch(student, teacher, x), between the two looks.")
        return said

    return verdicts(ask, *epochs)


def epoch_with(harm):
    """A fair epoch of one step, after which harm(teacher, x) is done."""

    def epoch(student, teacher, x):
        with torch.no_grad():
            given = teacher.eval()(x)
        shown = student.train()(x)
        correct_loss(shown, given).backward()
        with torch.no_grad():
            for weight in student.parameters():
                weight -= weight.grad
        harm(teacher, x)
        return [(x, shown.detach(), given)]

    return epoch


def moving(name, change=lambda tensor: tensor.add_(0.001)):
    return epoch_with(lambda teacher, x: change(teacher.state_dict()[name]))


FAIR = epoch_with(lambda teacher, x: None)
AWAKE = epoch_with(lambda teacher, x: (teacher.train()(x), teacher.eval()))


def compared(look, same=lambda before, after: before == after):
    """A teacher_unchanged that compares look(teacher, x) before and after."""

    def answer(epoch, student, teacher, x):
        before = look(teacher, x)
        epoch(student, teacher, x)
        return same(before, look(teacher, x))

    return answer


TEACHER_UNCHANGED = Table(
    "teacher_unchanged",
    VERDICT,
    (
        *judged(
            (True, False, False, False),
            "a fair epoch and three that move the teacher (its first weights; its last biases; its batch-norm statistics)",
            (FAIR, moving("1.weight"), moving("4.bias"), AWAKE),
            "Compare every tensor of its state, weights and buffers, number by number.",
        ),
        *judged(False, "an epoch that trains the teacher in the student's place", lambda s, t, x: FAIR(t, s, x), ""),
        *(
            Case(
                f"an epoch that changes the teacher's {name} alone", (moving(name),), False, "Compare the whole state."
            )
            for name in ("1.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var", "4.weight")
        ),
        *judged(
            (False, False),
            "an epoch that turns round the order of the teacher's first biases, and one that turns their signs",
            (moving("1.bias", lambda tensor: tensor.copy_(tensor.flip(0))), moving("1.bias", torch.Tensor.neg_)),
            "A sum, a mean or a norm stays the same, and the teacher does not. Compare number by number: torch.equal.",
        ),
        *judged(
            False,
            "an epoch that changes the teacher's last weights by one part in a million",
            moving("4.weight", lambda tensor: tensor.mul_(1 + 1e-6)),
            "Nearly is not exactly: a teacher that moves a little each epoch has moved. torch.equal leaves no room.",
            "an epoch that changes a weight which these pictures do not need",
            moving("4.weight", lambda tensor: tensor[:, 0].add_(1)),
            "To x it answers as before, and to other pictures it does not. Compare the state.",
        ),
    ),
    (
        lambda *given: not teacher_unchanged(*given),
        "The verdict is turned: True means that the teacher is the same after the epoch as before.",
        compared(lambda teacher, x: list(teacher.state_dict().values()), lambda a, b: all(map(torch.equal, a, b))),
        "It acquits all of them. Is the state from before a copy, taken before the epoch? A state_dict holds living tensors.",
        lambda epoch, student, teacher, x: teacher_unchanged(lambda t, s, x: epoch(s, t, x), teacher, student, x),
        "It convicts a fair epoch. Do you look at the teacher, and not at the student (which must change), and compare each "
        "tensor with its own earlier copy?",
        torch.no_grad()(teacher_unchanged),
        "Your torch.no_grad() holds the epoch too, and an epoch needs gradients. Take it away: looking needs none.",
        compared(lambda teacher, x: [buffer.tolist() for buffer in teacher.buffers()]),
        "The weights changed, and only the batch-norm statistics were compared. A state_dict holds both.",
        compared(lambda teacher, x: [weight.tolist() for weight in teacher.parameters()]),
        "Batch-norm statistics are buffers, not parameters, and they change its answers too. What holds both?",
        compared(lambda teacher, x: teacher(x).tolist()),
        "The teacher's answers to x were compared. They are the same, and to other pictures it answers differently now.",
    ),
    play=after_each,
)


EXERCISES = {
    one.number: one
    for one in (
        Exercise("3.1", "The distillation loss", 6, 2, losses.kd_loss, KD_LOSS).hinted(
            "Three steps: both log-probabilities at temperature T, then the sum over the classes, then the mean over "
            "the examples. One factor stands before it all.",
            "With log_q and log_p in hand, one example's KL is the sum of p · (log p − log q), and p is log_p.exp().",
            "Take torch.log_softmax(logits / T, dim=-1) for both, sum over dim -1, .mean(), times T**2.",
        ),
        Exercise("3.2", "Its gradient, by hand", 5, 2, kd_gradient, KD_GRADIENT).hinted(
            "The formula just above is for one example. Which factor does the mean over B examples add?",
            "You need q and p at temperature T, both (B, C), their difference, and two factors.",
            "T * (q - p) / B, with B = len(student_logits).",
        ),
        Exercise("3.3", "The limit of high temperature", 5, 2, high_T_loss, HIGH_T_LOSS).hinted(
            "Start from the difference d of the logits, (B, C). Its mean over the classes, example by example, goes.",
            "d.mean(-1, keepdim=True) keeps the shape (B, 1), so that it can be taken from d.",
            "Half of the mean of the squares of the centred d; one .mean() over everything does both means.",
        ),
        Exercise("3.4", "Hard and soft", 3, 1, losses.distill_loss, DISTILL_LOSS).hinted(
            "Two terms, each with its weight. One is cross_entropy, the other is your kd_loss.",
            "The labels are answered at T=1: only kd_loss gets T, and T**2 is inside it already.",
        ),
        Exercise("3.5", "Zero and flat at equality", 6, 2, zero_and_flat, ZERO_AND_FLAT).hinted(
            "Take some uneven logits z and give the loss the same logits twice: loss(z, z, 4.0).",
            "Two facts, joined by `and`: the value is nearly 0, and so is every number in gradient(loss, z, z, 4.0).",
            "abs(value) < 1e-5 and slope.abs().max() < 1e-5; bool(...) turns the tensor into True or False.",
        ),
        Exercise("3.6", "Steady in T", 5, 2, steady_in_T, STEADY_IN_T).hinted(
            "Measure gradient(loss, z, v, T).norm() for the same z and v at two temperatures.",
            "A correct loss keeps it within a factor of 2 between T=4 and T=16; without T**2 it falls 16-fold.",
            "Return 0.5 < ratio < 2, with the ratio of the two norms.",
        ),
        Exercise("3.7", "The teacher, unchanged", 6, 2, teacher_unchanged, TEACHER_UNCHANGED).hinted(
            "Three steps: note the teacher's state, run epoch(student, teacher, x), compare.",
            "teacher.state_dict() holds weights and buffers, but it holds the living tensors: .clone() each of them.",
            "all(torch.equal(before[name], now) for name, now in teacher.state_dict().items())",
        ),
    )
}
