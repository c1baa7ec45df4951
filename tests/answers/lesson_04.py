"""Answers to lesson 04's exercises, right and wrong."""

import copy
import random

import torch
from scipy import stats

from course_lib.checks.table import instead
from course_lib.losses import kd_loss
from course_lib.train import predict
from tests.answers import Answers

# ---- 4.1 ----


def freeze_by_hand(model):
    for p in model.parameters():
        p.requires_grad = False
    return model.train(False)


def freeze_children(model):
    for layer in (model, *model.children()):
        layer.training = False
    return model.requires_grad_(False)


def freeze_one(model):
    next(model.parameters()).requires_grad_(False)
    return model.eval()


def freeze_and_wipe(model):
    next(model.requires_grad_(False).parameters()).zero_()
    return model.eval()


# ---- 4.2 ----


def distil_plainly(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    student.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            loss = kd_loss(student(x[rows]), teacher(x[rows]), T)
            student.zero_grad()
            loss.backward()
            optimiser.step()
    return student.eval()


def distil_cached(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    """Asks the teacher once for everything; AdamW without its decay is Adam."""
    answers = predict(teacher, x)
    optimiser = torch.optim.AdamW(student.parameters(), lr=lr, weight_decay=0)
    order = random.Random(seed)
    for _ in range(epochs):
        student.train()
        rows = list(range(len(x)))
        order.shuffle(rows)
        for start in range(0, len(rows), batch_size):
            batch = torch.tensor(rows[start : start + batch_size])
            loss = kd_loss(student(x[batch]), answers[batch], T)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        student.eval()
        kd_loss(student(x), answers, T)  # looks at the loss, and does not learn from it
    return student


def distil(there, here):
    return instead(distil_plainly, there, here)


ADAM, PERMUTED = "torch.optim.Adam(student.parameters(), lr=lr)", "torch.randperm(len(x), generator=generator)"
LOSS, STEP = "kd_loss(student(x[rows]), teacher(x[rows]), T)", "            optimiser.step()\n"

# ---- 4.3 ----


def evaluate_with_predict(student, teacher, x, labels):
    mine, theirs = predict(student, x).argmax(-1), predict(teacher, x).argmax(-1)
    return float((mine == labels).double().mean()), float((mine == theirs).double().mean())


def evaluate_by_hand(student, teacher, x, labels):
    mode = student.training
    student.eval()
    with torch.inference_mode():
        mine, theirs = student(x).max(1).indices, teacher(x).max(1).indices
    student.train(mode)
    right = sum(int(a == b) for a, b in zip(mine, labels, strict=True))
    same = sum(int(a == b) for a, b in zip(mine, theirs, strict=True))
    return [right / len(x), same / len(x)]


def mean_of_batches(student, teacher, x, labels):
    each = [evaluate_by_hand(student, teacher, *batch) for batch in zip(x.split(100), labels.split(100), strict=True)]
    return [sum(values) / len(each) for values in zip(*each, strict=True)]


# ---- 4.4 ----


def interval_by_scipy(a, b):
    result = stats.ttest_rel(a.double().numpy(), b.double().numpy())
    return (a - b).mean().item(), *result.confidence_interval(0.95)


def interval_by_hand(a, b):
    d = [float(one) - float(other) for one, other in zip(a, b, strict=True)]
    n, mean = len(d), sum(d) / len(d)
    error = (sum((v - mean) ** 2 for v in d) / (n - 1) / n) ** 0.5
    t = stats.t.ppf(0.975, n - 1)
    return mean, mean - t * error, mean + t * error


# ---- 4.5 ----


def shuffle_by_sorting(teacher_logits, labels, seed=0):
    """Sorts random numbers inside each class."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(labels), generator=generator)
    target = torch.tensor(sorted(range(len(labels)), key=lambda i: labels[i].item()))
    source = torch.tensor(sorted(range(len(labels)), key=lambda i: (labels[i].item(), noise[i].item())))
    shuffled = torch.empty_like(teacher_logits)
    shuffled[target] = teacher_logits[source]
    return shuffled


def shuffle_by_masks(teacher_logits, labels, seed=0):
    order = random.Random(seed)
    out = teacher_logits.clone()
    for label in sorted(set(labels.tolist())):
        mine = (labels == label).nonzero()[:, 0].tolist()
        other = order.sample(mine, len(mine))
        out[mine] = teacher_logits[other]
    return out


def shuffle(there, here):
    return instead(shuffle_by_masks, there, here)


SAMPLE = "order.sample(mine, len(mine))"

# ---- 4.6 ----


def choose_with_a_loop(settings, try_out):
    best, best_mean = None, float("-inf")
    for setting in settings:
        mean = float(try_out(setting).mean())
        if mean > best_mean:
            best, best_mean = setting, mean
    return best


def choose_with_stack(settings, try_out):
    return settings[torch.stack([try_out(setting) for setting in settings]).mean(1).argmax()]


ANSWERS = {
    "4.1": Answers(
        right=[freeze_by_hand, lambda model: model.eval().requires_grad_(False)],
        wrong={
            "gradients off only": (lambda model: model.requires_grad_(False), "still in training mode (Sequential"),
            "eval mode only": (lambda model: model.eval(), "6 of the 6 weight tensors"),
            "one layer only": (freeze_one, "5 of the 6"),
            "layers inside layers": (freeze_children, "layers inside layers is still in training mode"),
            "a copy": (lambda model: freeze_by_hand(copy.deepcopy(model)), "the model is as it was"),
            "no return": (lambda model: None, "returned None"),
            "wiped the weights": (freeze_and_wipe, "the weights changed"),
        },
    ),
    "4.2": Answers(
        right=[distil_plainly, distil_cached],
        wrong={
            "no return": (distil("return student.eval()", "student.eval()"), "return student"),
            "left in train mode": (distil("return student.eval()", "return student"), "came back in train mode"),
            "student in eval mode": (distil("student.train()", "student.eval()"), "eval mode in 16 of 16 steps"),
            "the teacher thawed": (
                distil("student.train()", "student.train(), teacher.requires_grad_()"),
                "came frozen",
            ),
            "no zero_grad": (distil("student.zero_grad()", ""), "zero_grad()"),
            "no step": (distil("optimiser.step()", ""), "did not move"),
            "one epoch": (distil("range(epochs)", "range(1)"), "shown 1 to 1 times"),
            "in their own order": (distil(PERMUTED, "torch.arange(len(x))"), "come together"),
            "a batch size of its own": (distil("split(batch_size)", "split(20)"), "yours came as [20, 20, 10"),
            "no seed": (distil("generator=generator", "generator=None"), "gave another order"),
            "seed 0": (distil("manual_seed(seed)", "manual_seed(0)"), "Is the seed used"),
            "SGD": (distil("optim.Adam", "optim.SGD"), "plain gradient descent"),
            "AdamW": (distil("optim.Adam", "optim.AdamW"), "draws every weight towards 0"),
            "weight decay": (distil("lr=lr)", "lr=lr, weight_decay=1e-4)"), "clipping, decay, a schedule"),
            "a step size of its own": (distil("lr=lr)", "lr=1e-2)"), "step size is 0.01"),
            "a new Adam for each batch": (distil("optimiser.step()", f"{ADAM}.step()"), "each batch gets a new Adam"),
            "clipped": (
                distil("optimiser.step()", "torch.nn.utils.clip_grad_norm_(student.parameters(), 1), optimiser.step()"),
                "clipped to length 1",
            ),
            "no T squared": (distil(LOSS, f"{LOSS} / T**2"), "your loss is 0.111 times"),
            "T not handed on": (distil(", T)", ")"), "T is 4.0"),
            "the top answer": (
                distil(LOSS, "torch.nn.functional.cross_entropy(student(x[rows]), teacher(x[rows]).argmax(-1))"),
                "top answer",
            ),
            "swapped": (distil(LOSS, "kd_loss(teacher(x[rows]), student(x[rows]), T)"), "swapped"),
            "probabilities": (
                distil("teacher(x[rows])", "teacher(x[rows]).softmax(-1)"),
                "the teacher's probabilities",
            ),
            "misaligned answers": (distil("teacher(x[rows])", "teacher(x[: len(rows)])"), "same pictures"),
        },
    ),
    "4.3": Answers(
        right=[evaluate_with_predict, evaluate_by_hand],
        wrong={
            "left in eval mode": (instead(evaluate_by_hand, "student.train(mode)", ""), "came out in eval mode"),
            "left in train mode": (instead(evaluate_by_hand, "train(mode)", "train()"), "came out in train mode"),
            "means of unequal batches": (mean_of_batches, "Each picture counts as much"),
            "the first 100": (lambda m, t, x, y: evaluate_by_hand(m, t, x[:100], y[:100]), "Is any left out"),
            "rounded": (
                lambda *given: tuple(round(share, 2) for share in evaluate_by_hand(*given)),
                "or the share rounded",
            ),
        },
    ),
    "4.4": Answers(
        right=[interval_by_scipy, interval_by_hand],
        wrong={
            "S is 5": (instead(interval_by_hand, "(n - 1) / n)", "(n - 1) / 5)"), "gave"),
            "from -1 to 1": (lambda a, b: [max(-1, min(1, end)) for end in interval_by_hand(a, b)], "in percent"),
        },
    ),
    "4.5": Answers(
        right=[shuffle_by_sorting, shuffle_by_masks],
        wrong={
            "across classes": (shuffle("order.sample(mine", "order.sample(range(len(labels))"), "another class"),
            "columns": (shuffle("[other]", "[other].flip(1)"), "came apart"),
            "in place": (shuffle("teacher_logits.clone()", "teacher_logits"), "changed the answers"),
            "with replacement": (shuffle(SAMPLE, "order.choices(mine, k=len(mine))"), "come twice"),
            "one class only": (shuffle("    return", "        return"), "of the 24 pictures of class 2, 24"),
            "two rows swapped": (shuffle(SAMPLE, "mine[:2][::-1] + mine[2:]"), "of the 30 pictures of class 0, 28"),
            "the first three numbers": (
                shuffle("sorted(set(labels.tolist()))", "range(3)"),
                "of the 8 pictures of class 5, 8",
            ),
            "ten classes": (shuffle("sorted(set(labels.tolist()))", "range(10)"), "of the 36 pictures of class 11, 36"),
            "no seed": (shuffle("Random(seed)", "Random()"), "gave another shuffle"),
            "ignores the seed": (shuffle("Random(seed)", "Random(7)"), "seeds 0 and 1 shuffle class 0 alike"),
        },
    ),
    "4.6": Answers(
        right=[choose_with_a_loop, choose_with_stack],
        wrong={
            "tries twice": (lambda s, t: [t(one) for one in s] and choose_with_a_loop(s, t), "a second time"),
            "the first": (lambda s, t: s[0], "never tried"),
            "the first ten seeds": (
                instead(choose_with_stack, "try_out(setting)", "try_out(setting)[:10]"),
                "All sixteen",
            ),
        },
    ),
}
