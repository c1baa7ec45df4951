"""Checks of lesson 03: the distillation loss, its gradient, its limit, and the invariants that convict a wrong one.

Judged against torch in float64 and against numbers worked out by hand.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import losses
from course_lib.checks import museum
from course_lib.checks.exercise import Exercise, NotYet, expect

# ---- what is right, and what the common wrong answers come to ----


def _logits(seed, *shape, scale=2.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _kl(student_logits, teacher_logits, T=1.0):
    """KL(teacher || student) at T, by torch itself, without T**2: () in nats per example."""
    log_q, log_p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def _same(got, wanted):
    return got.shape == wanted.shape and torch.allclose(got.double(), wanted.double(), rtol=1e-4, atol=1e-7)


def _first(got, cases):
    """The sentence of the first wrong answer that `got` equals, or None. cases: {sentence: value}."""
    return next((sentence for sentence, value in cases.items() if _same(got, torch.as_tensor(value))), None)


def _tensor(value, shape, meaning):
    """The answer's value as a tensor of the wanted shape; a sentence when it is something else."""
    expect(value is not None, "your function returned None. End it with `return` and the tensor.")
    expect(
        torch.is_tensor(value),
        f"a tensor of shape {shape} was expected ({meaning}); a {type(value).__name__} came. Return the tensor itself.",
    )
    got = tuple(value.shape)
    why = ""
    if len(got) == 1 and shape == ():
        why = " One number per example: the mean over the examples is still to be taken."
    elif len(got) == 2 and shape == ():
        why = " One number per example and class: two steps are still to be taken, over the classes and over the examples."
    elif got == () and len(shape) == 2:
        why = " One number came: each example and each class has its own slope."
    expect(got == shape, f"a tensor of shape {shape} was expected ({meaning}); shape {got} came.{why}")
    return value.detach()


# ---- 3.1 ----


def _examine_kd_loss(kd_loss):
    z, v, T, B, C = _logits(1, 6, 5), _logits(2, 6, 5), 3.0, 6, 5
    value = kd_loss(z.clone().requires_grad_(), v.clone(), T)
    got, kl, truth = _tensor(value, (), "nats per example"), _kl(z, v, T), T**2 * _kl(z, v, T)
    log_q, log_p = (z / T).log_softmax(-1), (v / T).log_softmax(-1)
    q, p = log_q.exp(), log_p.exp()
    seen = f"On logits of shape ({B}, {C}) at T={T:g} the loss is {truth:.4f} nats; yours is {got:.4f}."
    entropy = -(p * log_p).sum(-1).mean()
    wrong = {
        f"{seen} That is {C} times too small, and there are {C} classes: a KL is a sum over the classes.": truth / C,
        f"{seen} That is the right KL without its factor: it is {T**2:g} times too small at T={T:g}, and would be right "
        "at T=1.": kl,
        f"{seen} That is {T:g} times too small: the factor T is there once, and it is wanted squared.": T * kl,
        f"{seen} That is {C * T**2:g} times too small: {C} for a mean over the classes, {T**2:g} for a factor that "
        "depends on T.": kl / C,
        f"{seen} That is the KL in the other direction, with the student's probabilities as the weights of the sum. "
        "Whose surprises does the loss count?": T**2 * _kl(v, z, T),
        f"{seen} That is the KL in the other direction, and without its factor T**2.": _kl(v, z, T),
        f"{seen} That is the sum over the {B} examples; the loss is their mean, so that it does not grow with the "
        "batch.": truth * B,
        f"{seen} That is {B} times too small: the mean over the {B} examples is taken twice.": truth / B,
        f"{seen} That is the cross-entropy: the teacher's own entropy, {T**2 * entropy:.4f} nats here, is still in it, "
        "so it will not reach 0.": T**2 * (kl + entropy),
        f"{seen} That is the cross-entropy without T**2: the teacher's entropy is still in it.": kl + entropy,
        f"{seen} It looks as if probabilities stand where F.kl_div wants log-probabilities: read what its first argument "
        "is.": T**2 * F.kl_div(q, p, reduction="batchmean"),
        f"{seen} It looks as if F.kl_div is given two probabilities, the teacher's first: read which argument is which, "
        "and what each must be.": T**2 * F.kl_div(p, q, reduction="batchmean"),
        f"{seen} T multiplies the result, but the logits are not divided by it.": T**2 * _kl(z, v),
        f"{seen} T is not used: this is the KL at T=1.": _kl(z, v),
        f"{seen} Only the teacher's answers are softened; the student's are compared at T=1.": T**2 * _kl(z, v / T),
        f"{seen} Only the student's answers are softened; the teacher's are compared at T=1.": T**2 * _kl(z / T, v),
        f"{seen} The logits are multiplied by T where they should be divided.": T**2 * _kl(z * T, v * T),
        f"{seen} The softmax runs over the examples (dim 0); the classes are the last dimension.": T**2
        * _kl(z.T / T, v.T / T)
        * C
        / B,
        f"{seen} The weights of the sum are the teacher's log-probabilities; the formula has its probabilities, "
        "log_p.exp().": T**2 * (log_p * (log_p - log_q)).sum(-1).mean(),
        f"{seen} That is the number in bits; nats use the natural logarithm.": truth / math.log(2),
        f"{seen} The sign is turned: a KL is never negative.": -truth,
    }
    log_target_missing = F.kl_div(log_q, log_p, reduction="batchmean")
    if torch.isnan(got):
        both = "two log-softmaxes go in: F.kl_div then must be told that the target is a log, too"
        raise NotYet(
            f"On ordinary logits of shape ({B}, {C}) yours is nan, where {truth:.4f} nats was expected. nan is what comes "
            f"of the log of a negative number ({both})."
        )
    wrong[
        f"{seen} It looks as if the target of F.kl_div is a log-probability and F.kl_div was not told so: read what "
        "log_target does."
    ] = T**2 * log_target_missing
    expect(
        _same(got, truth), _first(got, wrong) or f"{seen} Check each step of the definition, on paper for two classes."
    )
    expect(
        value.requires_grad,
        "the number is right, but no gradient can flow back from it to the student. Is there a .item(), a .detach() or a "
        "no_grad around the student's part?",
    )
    half, quarter = torch.zeros(1, 2).double(), torch.tensor([[0.0, math.log(3)]]).double()
    got = _tensor(kd_loss(quarter, half, 1.0), (), "nats per example")
    expect(
        _same(got, torch.tensor(math.log(2 / math.sqrt(3)))),
        f"for a teacher of (1/2, 1/2) and a student of (1/4, 3/4) at T=1 the KL is ln(2/√3) = 0.1438 nats; yours is "
        f"{got:.4f}. Is a number of classes or examples written into your code?",
    )
    got = _tensor(kd_loss(z[:4], v[:4]), (), "nats per example")
    expect(
        _same(got, 16 * _kl(z[:4], v[:4], 4.0)),
        f"without a T the stub's T=4.0 holds, and the loss on 4 examples is {16 * _kl(z[:4], v[:4], 4.0):.4f}; yours is "
        f"{got:.4f}. Keep the default, and let the shapes come from the logits.",
    )
    z, v = torch.tensor([[300.0, 0.0, -300.0]]), torch.tensor([[0.0, 300.0, -300.0]])
    got = kd_loss(z, v, 1.0)
    expect(
        bool(torch.isfinite(got)) and abs(float(got) - 300) < 0.1,
        f"for logits 300 apart in float32 the loss is 300 nats; yours is {float(got):.4g}. A probability that rounds to 0 "
        "has no log: which function takes the softmax and its log in one stable step (lesson 01)?",
    )


# ---- 3.2 ----


def _examine_kd_gradient(kd_gradient):
    z, v, T, B, C = _logits(3, 6, 5), _logits(4, 6, 5), 3.0, 6, 5
    got = _tensor(kd_gradient(z.clone(), v.clone(), T), (B, C), "a slope for each example and class")
    z_ = z.clone().requires_grad_()
    (truth,) = torch.autograd.grad(T**2 * _kl(z_, v, T), z_)
    q, p = (z / T).softmax(-1), (v / T).softmax(-1)
    seen = f"The slope for example 0, class 0, is {truth[0, 0]:+.4f} (autograd, T={T:g}, B={B}); yours is {got[0, 0]:+.4f}."
    wrong = {
        f"{seen} The sign is turned: where the student says too much, the loss grows with its logit.": -truth,
        f"{seen} Yours is {B} times too large, and there are {B} examples: the loss is their mean.": truth * B,
        f"{seen} Yours is {T:g} times too small: T**2 stands before the loss, and one 1/T comes from inside the "
        "softmax.": truth / T,
        f"{seen} Yours is {T**2:g} times too small: that is the slope of the KL alone. T**2 is still to be "
        "multiplied.": truth / T**2,
        f"{seen} Yours is {T:g} times too large: z stands inside the softmax as z/T, and that gives one 1/T.": truth
        * T,
        f"{seen} Yours is {C} times too small: nothing here is averaged over the {C} classes.": truth / C,
        f"{seen} Yours is {B * C} times too small: a mean was taken over everything, classes included.": truth
        / (B * C),
        f"{seen} That is B and T at once: the mean over {B} examples and a factor T={T:g} are missing.": (q - p),
        f"{seen} The sign is turned, and B={B} and T={T:g} are missing.": (p - q),
        f"{seen} The sign is turned, and the mean over the {B} examples is missing.": -truth * B,
        f"{seen} The probabilities must be those at temperature T; yours are those at T=1.": T
        * (z.softmax(-1) - v.softmax(-1))
        / B,
        f"{seen} The softmax runs over the examples (dim 0); the classes are the last dimension.": T
        * ((z / T).softmax(0) - (v / T).softmax(0))
        / B,
        f"{seen} That is the difference of the logits, which is what the slope tends to when T is large: the "
        "probabilities are wanted.": (z - v) / B,
    }
    expect(
        _same(got, truth),
        _first(got, wrong) or f"{seen} Write it for one example first, and compare both with the formula above.",
    )
    with torch.no_grad():
        try:
            again = kd_gradient(z[:2].clone(), v[:2].clone(), 5.0)
        except RuntimeError as error:
            raise NotYet(
                f"the slope is right, but it comes from autograd ({str(error)[:60]}…). Here the formula is wanted, written "
                "by hand; the next cell holds it against autograd."
            ) from None
    z_ = z[:2].clone().requires_grad_()
    (truth,) = torch.autograd.grad(25 * _kl(z_, v[:2], 5.0), z_)
    expect(
        _same(again, truth),
        f"right at T=3 with 6 examples, wrong at T=5 with 2: {again[0, 0]:+.4f} for {truth[0, 0]:+.4f}. Is a number "
        "written into your code where T or the batch size belongs?",
    )


# ---- 3.3 ----


def _examine_high_T_loss(high_T_loss):
    z, v, B, C = _logits(5, 4, 3) + 1.5, _logits(6, 4, 3), 4, 3
    got = _tensor(high_T_loss(z.clone(), v.clone()), (), "nats per example")
    d = z - v
    truth = 0.5 * d.var(-1, correction=0).mean()
    seen = f"On logits of shape ({B}, {C}) the limit is {truth:.4f} nats; yours is {got:.4f}."
    batch = (d - d.mean(0)).square().mean()
    centred = d - d.mean(-1, keepdim=True)
    wrong = {
        f"{seen} The logits are not centred: adding 1.5 to all of an example's logits changes yours, and changes no "
        "probability.": 0.5 * d.square().mean(),
        f"{seen} The logits are not centred, and the 1/2 is missing: that is the plain mean squared error.": d.square().mean(),
        f"{seen} The mean that is taken off runs over the examples; each example is centred over its own classes.": 0.5
        * batch,
        f"{seen} One mean over the whole batch is taken off; each example has its own.": 0.5
        * (d - d.mean()).square().mean(),
        f"{seen} That is twice the limit: the 1/2 of the formula is missing.": 2 * truth,
        f"{seen} That is {C} times too large: the formula has 1/C, a mean over the classes.": C * truth,
        f"{seen} That is {2 * C} times too large: both the 1/2 and the 1/C are missing.": 2 * C * truth,
        f"{seen} That is {B} times too large: the loss is the mean over the {B} examples.": B * truth,
        f"{seen} A variance that divides by C - 1 was taken; here it is C.": 0.5 * d.var(-1).mean(),
        f"{seen} A square root was taken: the limit is a squared distance.": 0.5
        * centred.square().mean(-1).sqrt().mean(),
        f"{seen} The differences were averaged without squaring, and a centred difference averages to 0.": torch.tensor(
            0.0
        ),
        f"{seen} The absolute differences were averaged; the formula squares them.": 0.5 * centred.abs().mean(),
        f"{seen} Probabilities were compared; in this limit it is the logits.": 0.5
        * (z.softmax(-1) - v.softmax(-1)).square().mean(),
    }
    expect(_same(got, truth), _first(got, wrong) or f"{seen} By hand: z = (1, 0) and v = (0, 0) give 0.1250 nats.")
    z, v = torch.tensor([[1.0, 0.0]]).double(), torch.zeros(1, 2).double()
    got = _tensor(high_T_loss(z, v), (), "nats per example")
    expect(
        _same(got, torch.tensor(0.125)),
        f"for z = (1, 0) and v = (0, 0) the centred difference is (1/2, -1/2) and the limit 0.1250 nats; yours is {got:.4f}. "
        "Is a number of classes or examples written into your code?",
    )


# ---- 3.4 ----


def _examine_distill_loss(distill_loss):
    z, v, T, hard, soft = _logits(7, 6, 5), _logits(8, 6, 5), 3.0, 0.3, 1.5
    y = torch.tensor([0, 3, 1, 4, 2, 2])
    got = distill_loss(z.clone(), y.clone(), v.clone(), T, hard_weight=hard, soft_weight=soft)
    got = _tensor(got, (), "nats per example")
    ce, kl = F.cross_entropy(z, y), T**2 * _kl(z, v, T)
    truth = hard * ce + soft * kl
    seen = f"With hard_weight={hard}, soft_weight={soft}, T={T:g} the loss is {truth:.4f} nats; yours is {got:.4f}."
    ce_T = F.cross_entropy(z / T, y)
    wrong = {
        f"{seen} The two weights have changed places.": soft * ce + hard * kl,
        f"{seen} The hard term is softened too: labels are answered at T=1.": hard * ce_T + soft * kl,
        f"{seen} The hard term is softened and multiplied by T**2: labels are answered at T=1, with no factor.": hard
        * T**2
        * ce_T
        + soft * kl,
        f"{seen} The soft term has lost its T**2.": hard * ce + soft * kl / T**2,
        f"{seen} T**2 multiplies the hard term too; it belongs to the soft one.": T**2 * hard * ce + soft * kl,
        f"{seen} The soft weight was taken as 1 - hard_weight; both weights are given, and need not add to 1.": hard
        * ce
        + (1 - hard) * kl,
        f"{seen} The hard weight was taken as 1 - soft_weight; both weights are given, and need not add to 1.": (
            1 - soft
        )
        * ce
        + soft * kl,
        f"{seen} The sum was divided by the sum of the weights; they are used as they are.": truth / (hard + soft),
        f"{seen} The weights are not used.": ce + kl,
        f"{seen} Only the soft term is there.": soft * kl,
        f"{seen} Only the hard term is there.": hard * ce,
        f"{seen} The hard term uses the teacher's favourite class; the labels are given.": hard
        * F.cross_entropy(z, v.argmax(-1))
        + soft * kl,
        f"{seen} The hard term is the teacher's cross-entropy with the labels; it is the student that learns.": hard
        * F.cross_entropy(v, y)
        + soft * kl,
        f"{seen} F.cross_entropy was given probabilities; it wants logits, and takes the softmax itself.": hard
        * F.cross_entropy(z.softmax(-1), y)
        + soft * kl,
        f"{seen} The soft term runs from the student to the teacher: kd_loss takes the student first.": hard * ce
        + soft * T**2 * _kl(v, z, T),
        f"{seen} The soft term is taken at the default T=4 and not at the T that was given.": hard * ce
        + soft * 16 * _kl(z, v, 4.0),
    }
    expect(_same(got, truth), _first(got, wrong) or f"{seen} Print the two terms: they are {ce:.4f} and {kl:.4f} nats.")
    got = _tensor(distill_loss(z.clone(), y.clone(), v.clone()), (), "nats per example")
    truth = 0.1 * ce + 0.9 * 16 * _kl(z, v, 4.0)
    expect(
        _same(got, truth),
        f"with the stub's defaults (T=4.0, hard_weight=0.1, soft_weight=0.9) the loss is {truth:.4f}; yours is {got:.4f}. "
        "Keep the defaults, and use the arguments.",
    )
    got = _tensor(distill_loss(z.clone(), y.clone(), v.clone(), T, 0.0, 1.0), (), "nats per example")
    expect(
        _same(got, kl),
        f"with hard_weight=0 the loss is the soft term alone, T**2 and all: {kl:.4f}; yours is {got:.4f}.",
    )


# ---- 3.5 to 3.7: invariants, tried on the innocent and on the guilty ----


def _by_hand(student_logits, teacher_logits, T=4.0):
    q, p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return (p.exp() * p - p.exp() * q).sum(-1).mean() * T * T


def _by_torch(student_logits, teacher_logits, T=4.0):
    q, p = (student_logits / T).log_softmax(-1), (teacher_logits / T).softmax(-1)
    return F.kl_div(q.flatten(0, -2), p.flatten(0, -2), reduction="batchmean") * T**2


INNOCENT = (_by_hand, _by_torch)


def _no_normaliser(student_logits, teacher_logits, T=4.0):
    return T**2 * ((teacher_logits / T).softmax(-1) * (teacher_logits - student_logits) / T).sum(-1).mean()


def _student_not_softened(student_logits, teacher_logits, T=4.0):
    return _by_hand(student_logits * T, teacher_logits, T)


def _times_T(student_logits, teacher_logits, T=4.0):
    return _by_hand(student_logits, teacher_logits, T) / T


def _squared_twice(student_logits, teacher_logits, T=4.0):
    return _by_hand(student_logits, teacher_logits, T) * T**2


def _verdict(invariant, *args):
    """What the learner's invariant says, as True or False."""
    said = invariant(*args)
    if hasattr(said, "item") and getattr(said, "shape", None) == ():
        said = said.item()
    expect(
        isinstance(said, bool),
        f"True (innocent) or False (guilty) was expected; {said!r:.60} came. Return one comparison, or several joined "
        "by `and`.",
    )
    return said


def _examine_loss_invariant(invariant, guilty, too_strict):
    innocent = [_verdict(invariant, loss) for loss in INNOCENT]
    convicted = {sentence: not _verdict(invariant, loss) for sentence, loss in guilty.items()}
    if not any(innocent) and not any(convicted.values()):
        raise NotYet(
            "your invariant says False of two correct losses and True of the wrong ones: the verdict is turned. True "
            "means innocent."
        )
    if all(innocent) and not any(convicted.values()):
        raise NotYet(
            f"your invariant acquits everyone: two correct losses, and all {len(guilty)} wrong ones too. Does what it "
            "measures depend on the loss it is given?"
        )
    expect(all(innocent), too_strict)
    for sentence, yes in convicted.items():
        expect(yes, sentence)
    for loss in museum.LOSSES.values():
        _verdict(invariant, loss)


def _examine_zero_and_flat(zero_and_flat):
    _examine_loss_invariant(
        zero_and_flat,
        {
            "it acquits a loss that is flat at equality but not zero: 5 classes, equal logits, and it reads above 1 nat. "
            "Look at the value too.": museum.LOSSES["a"],
            "it acquits a loss that is zero at equality but not flat: it is 0 and still pushes every logit up. Look at "
            "the gradient too.": _no_normaliser,
            "it acquits a loss that softens the teacher only. At T=1, or where all logits are 0, that cannot be seen: "
            "take uneven logits and a T above 1.": _student_not_softened,
            "it acquits a loss that is neither zero nor flat at equality: F.kl_div on two probabilities. Are the "
            "student's logits and the teacher's equal where you look?": museum.LOSSES["f"],
        },
        "it convicts a correct loss. In float32 a correct loss at equality reads about 0.0000001 and not exactly 0: leave "
        "room for rounding, 0.00001 say.",
    )


def _examine_steady_in_T(steady_in_T):
    agree = []

    def watched(student_logits, teacher_logits, T=4.0):
        agree.append(torch.equal(student_logits, teacher_logits))
        return _by_hand(student_logits, teacher_logits, T)

    _verdict(steady_in_T, watched)
    expect(
        not agree or not all(agree),
        "it asks the loss only where student and teacher agree: there the gradient is 0 at every T. Take two different "
        "logits, z and v.",
    )
    _examine_loss_invariant(
        steady_in_T,
        {
            "it acquits a loss without T**2, whose gradient falls 16-fold from T=4 to T=16. Measure at two temperatures "
            "that are some way apart, and compare the two.": museum.LOSSES["d"],
            "it acquits a loss with T where T**2 belongs: its gradient falls 4-fold from T=4 to T=16. Take temperatures "
            "further apart, or a narrower band.": _times_T,
            "it acquits a loss with T**4, whose gradient grows 16-fold from T=4 to T=16. The ratio has an upper bound "
            "too.": _squared_twice,
        },
        "it convicts a correct loss. T**2 makes the gradient steady only nearly: between T=4 and T=16 it may change by a "
        "tenth or two. Allow a factor of 2, and keep away from T=1.",
    )


def _cached_epoch(student, teacher, x):
    with torch.no_grad():
        cache = teacher.eval()(x)
    student_logits = student.train()(x)
    _by_hand(student_logits, cache).backward()
    torch.optim.SGD(student.parameters(), lr=0.1).step()
    return [(x, student_logits.detach(), cache)]


def _drifting_epoch(student, teacher, x):
    seen = museum.fair_epoch(student, teacher, x)
    with torch.no_grad():
        next(teacher.parameters()).mul_(1.001)
    return seen


def _examine_teacher_unchanged(teacher_unchanged):
    def case(epoch):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            student = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
            teacher = nn.Sequential(
                nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
            ).eval()
            return _verdict(teacher_unchanged, epoch, student, copy.deepcopy(teacher), torch.rand(64, 1, 4, 4))

    innocent = [case(museum.fair_epoch), case(_cached_epoch)]
    weights, buffers = case(_drifting_epoch), case(museum.SETUPS["l"])
    if not any(innocent) and weights and buffers:
        raise NotYet("the verdict is turned: True means that the teacher is the same after the epoch as before.")
    expect(
        all(innocent),
        "it convicts a fair epoch, which leaves the teacher as it was. Do you look at the teacher, and not at the student "
        "(which must change), and compare each tensor with its own earlier copy?",
    )
    expect(
        not weights or buffers,
        "it sees the batch-norm statistics move, but not the weights: an epoch that multiplies the teacher's first weights "
        "by 1.001 is acquitted. Compare exactly, and compare every tensor.",
    )
    expect(
        not weights,
        "it acquits an epoch that multiplies the teacher's first weights by 1.001. Is the state from before a copy? A "
        "state_dict holds the living tensors: they change along. And does your function run the epoch at all?",
    )
    expect(
        not buffers,
        "it sees weights move, but not the batch-norm statistics: they are buffers, not parameters, and they change the "
        "teacher's answers too. What holds both?",
    )
    case(museum.SETUPS["m"]), case(museum.SETUPS["n"]), case(museum.SETUPS["o"])


def _zero_and_flat(loss):
    z = torch.tensor([[3.0, 1.0, -2.0, 0.5], [0.0, -1.0, 2.0, 4.0]], requires_grad=True)
    value = loss(z, z.detach(), 4.0)
    (slope,) = torch.autograd.grad(value, z)
    return bool(abs(value) < 1e-5 and slope.abs().max() < 1e-5)


def _steady_in_T(loss):
    def size(T):
        z = _logits(0, 8, 10).requires_grad_()
        return torch.autograd.grad(loss(z, _logits(1, 8, 10), T), z)[0].norm()

    return bool(0.5 * size(4.0) <= size(16.0) <= 2 * size(4.0))


def _teacher_unchanged(epoch, student, teacher, x):
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    epoch(student, teacher, x)
    return all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def _high_T_loss(student_logits, teacher_logits):
    d = student_logits - teacher_logits
    return 0.5 * (d - d.mean(-1, keepdim=True)).square().mean()


def _kd_gradient(student_logits, teacher_logits, T=4.0):
    q, p = (student_logits / T).softmax(-1), (teacher_logits / T).softmax(-1)
    return T * (q - p) / len(student_logits)


EXERCISES = {
    exercise.number: exercise
    for exercise in (
        Exercise(
            "3.1",
            "The distillation loss",
            6,
            2,
            losses.kd_loss,
            _examine_kd_loss,
            (
                "Three steps: both log-probabilities at temperature T, then the sum over the classes, then the mean over "
                "the examples. One factor stands before it all.",
                "With log_q and log_p in hand, one example's KL is the sum of p · (log p − log q), and p is log_p.exp().",
                "Take torch.log_softmax(logits / T, dim=-1) for both, sum over dim -1, .mean(), times T**2.",
            ),
        ),
        Exercise(
            "3.2",
            "Its gradient, by hand",
            5,
            2,
            _kd_gradient,
            _examine_kd_gradient,
            (
                "The formula just above is for one example. Which factor does the mean over B examples add?",
                "You need q and p at temperature T, both (B, C), their difference, and two factors.",
                "T * (q - p) / B, with B = len(student_logits).",
            ),
        ),
        Exercise(
            "3.3",
            "The limit of high temperature",
            5,
            2,
            _high_T_loss,
            _examine_high_T_loss,
            (
                "Start from the difference d of the logits, (B, C). Its mean over the classes, example by example, goes.",
                "d.mean(-1, keepdim=True) keeps the shape (B, 1), so that it can be taken from d.",
                "Half of the mean of the squares of the centred d; one .mean() over everything does both means.",
            ),
        ),
        Exercise(
            "3.4",
            "Hard and soft",
            3,
            1,
            losses.distill_loss,
            _examine_distill_loss,
            (
                "Two terms, each with its weight. One is cross_entropy, the other is your kd_loss.",
                "The labels are answered at T=1: only kd_loss gets T, and T**2 is inside it already.",
            ),
        ),
        Exercise(
            "3.5",
            "Zero and flat at equality",
            6,
            2,
            _zero_and_flat,
            _examine_zero_and_flat,
            (
                "Take some uneven logits z and give the loss the same logits twice: loss(z, z, 4.0).",
                "Two facts, joined by `and`: the value is nearly 0, and so is every number in gradient(loss, z, z, 4.0).",
                "abs(value) < 1e-5 and slope.abs().max() < 1e-5; bool(...) turns the tensor into True or False.",
            ),
        ),
        Exercise(
            "3.6",
            "Steady in T",
            5,
            2,
            _steady_in_T,
            _examine_steady_in_T,
            (
                "Measure gradient(loss, z, v, T).norm() for the same z and v at two temperatures.",
                "A correct loss keeps it within a factor of 2 between T=4 and T=16; without T**2 it falls 16-fold.",
                "Return 0.5 < ratio < 2, with the ratio of the two norms.",
            ),
        ),
        Exercise(
            "3.7",
            "The teacher, unchanged",
            6,
            2,
            _teacher_unchanged,
            _examine_teacher_unchanged,
            (
                "Three steps: note the teacher's state, run epoch(student, teacher, x), compare.",
                "teacher.state_dict() holds weights and buffers, but it holds the living tensors: .clone() each of them.",
                "all(torch.equal(before[name], now) for name, now in teacher.state_dict().items())",
            ),
        ),
    )
}
