"""Answers to lesson 03, right and wrong."""

import copy

import torch
import torch.nn.functional as F

from course_lib.checks.table import instead
from tests.answers import Answers

# ---- 3.1 to 3.4 ----


def kd_by_hand(student_logits, teacher_logits, T=4.0):
    log_q = student_logits / T - torch.logsumexp(student_logits / T, dim=-1, keepdim=True)
    log_p = teacher_logits / T - torch.logsumexp(teacher_logits / T, dim=-1, keepdim=True)
    return T**2 * torch.einsum("bc,bc->b", log_p.exp(), log_p - log_q).mean()


def kd_by_torch(student_logits, teacher_logits, T=4.0):
    log_q, p = F.log_softmax(student_logits / T, dim=1), F.softmax(teacher_logits / T, dim=1)
    return F.kl_div(log_q, p, reduction="batchmean") * (T * T)


def gradient_by_hand(student_logits, teacher_logits, T=4.0):
    difference = torch.softmax(student_logits / T, -1) - torch.softmax(teacher_logits / T, -1)
    return difference * T / student_logits.shape[0]


def gradient_by_rows(student_logits, teacher_logits, T=4.0):
    rows = [
        (torch.exp(F.log_softmax(z / T, 0)) - torch.exp(F.log_softmax(v / T, 0))) * T
        for z, v in zip(student_logits, teacher_logits, strict=True)
    ]
    return torch.stack(rows) / len(rows)


def slope_of(loss, student_logits, teacher_logits, T=4.0):
    z = student_logits.clone().requires_grad_()
    return torch.autograd.grad(loss(z, teacher_logits, T), z)[0]


def limit_by_hand(student_logits, teacher_logits):
    z = student_logits - student_logits.mean(-1, keepdim=True)
    v = teacher_logits - teacher_logits.mean(-1, keepdim=True)
    return F.mse_loss(z, v) / 2


def limit_by_squares(student_logits, teacher_logits):
    d = student_logits - teacher_logits
    return 0.5 * (d.square().mean(1) - d.mean(1).square()).mean()


def distill_by_hand(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    hard = -F.log_softmax(student_logits, -1).gather(1, labels[:, None]).mean()
    return hard_weight * hard + soft_weight * kd_by_hand(student_logits, teacher_logits, T)


def distill_by_torch(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    soft = kd_by_torch(student_logits, teacher_logits, T)
    return soft_weight * soft + hard_weight * F.cross_entropy(student_logits, labels)


# ---- 3.5 and 3.6 ----

Z = torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.0, 1.0, -2.0, 1.0], [1.0, 1.0, 4.0, -1.0]])
V = torch.tensor([[-1.0, 2.0, 1.5, 0.0], [3.0, 1.0, 2.0, -1.0], [0.0, -2.0, 1.0, 1.0]])


def flat_by_backward(loss):
    z = Z.clone().requires_grad_()
    value = loss(z, Z.clone(), 3.0)
    value.backward()
    return value.item() < 1e-5 and value.item() > -1e-5 and torch.allclose(z.grad, torch.zeros_like(z), atol=1e-5)


def flat_by_helper(loss):
    z = Z.double()
    return bool(loss(z, z, 5.0).abs() < 1e-9) and bool((slope_of(loss, z, z, 5.0).abs() < 1e-9).all())


SIZE = "slope_of(loss, z, z, 5.0).abs()"


def steady_by_ratio(loss):
    return bool(0.5 < slope_of(loss, Z, V, 32.0).norm() / slope_of(loss, Z, V, 6.0).norm() < 2)


def steady_by_backward(loss):
    sizes = []
    for T in (4.0, 8.0, 20.0):
        z = Z.clone().requires_grad_()
        loss(z, V, T).backward()
        sizes.append(z.grad.abs().sum().item())
    return max(sizes) <= 2 * min(sizes)


def steady(low, high, size=lambda loss, T: slope_of(loss, Z, V, T).norm()):
    return lambda loss: bool(low * size(loss, 4.0) <= size(loss, 16.0) <= high * size(loss, 4.0))


# ---- 3.7 ----


def same_by_clone(epoch, student, teacher, x):
    before = [tensor.clone() for tensor in teacher.state_dict().values()]
    epoch(student, teacher, x)
    return all((a == b).all().item() for a, b in zip(before, teacher.state_dict().values(), strict=True))


def same_by_copy(epoch, student, teacher, x):
    twin = copy.deepcopy(teacher)
    epoch(student=student, teacher=teacher, x=x)
    parts = ((twin.parameters(), teacher.parameters()), (twin.buffers(), teacher.buffers()))
    return all(torch.equal(a, b) for both in parts for a, b in zip(*both, strict=True))


STATE, EPOCH = "teacher.state_dict().values()", "    epoch(student, teacher, x)\n"
NO_MEANS = "[tensor for name, tensor in teacher.state_dict().items() if 'mean' not in name]"

ANSWERS = {
    "3.1": Answers(
        right=[kd_by_hand, kd_by_torch],
        wrong={
            "reversed, no T**2": (lambda z, v, T=4.0: kd_by_hand(v, z, T) / T**2, "Check each step"),
            "never below 0.01": (lambda z, v, T=4.0: kd_by_hand(z, v, T).clamp(min=0.01), "keep it away from 0"),
            "a small number in the log": (
                instead(kd_by_hand, "log_p.exp(), log_p - log_q", "log_p.exp(), log_p - (log_q.exp() + 1e-8).log()"),
                "no small number in its place",
            ),
            "detached": (lambda z, v, T=4.0: kd_by_hand(z.detach(), v, T), "autograd lost the thread"),
            "batch size written in": (lambda z, v, T=4.0: kd_by_hand(z, v, T) * len(z) / 6, "written into your code"),
        },
        loss=("teacher_logits",),
    ),
    "3.2": Answers(
        right=[gradient_by_hand, gradient_by_rows],
        wrong={
            "by autograd": (lambda z, v, T=4.0: slope_of(kd_by_hand, z, v, T), "autograd made them"),
            "T written in": (lambda z, v, T=4.0: gradient_by_hand(z, v, 3.0), "where T or the batch size belongs"),
        },
    ),
    "3.3": Answers(
        right=[limit_by_hand, limit_by_squares],
        wrong={
            "forgotten keepdim": (lambda z, v: F.mse_loss(z - z.mean(-1), v - v.mean(-1)) / 2, "keepdim=True keeps it"),
            "at T = 10,000": (lambda z, v: kd_by_torch(z, v, 1e4), "not it: the formula has no T"),
            "classes written in": (lambda z, v: limit_by_hand(z, v) * z.shape[-1] / 3, "written into your code"),
        },
        loss=("teacher_logits",),
    ),
    "3.4": Answers(
        right=[distill_by_hand, distill_by_torch],
        wrong={
            "a weight of 0": (
                instead(distill_by_hand, "return hard_weight", "return (hard_weight or 0.1)"),
                "the soft term",
            ),
            "names of its own": (lambda z, y, v, T=4.0, a=0.1, b=0.9: distill_by_hand(z, y, v, T, a, b), "first line"),
            "teacher before labels": (lambda z, v, y, *rest: distill_by_hand(z, y, v, *rest), "your code raised"),
        },
        loss=("labels", "teacher_logits"),
    ),
    "3.5": Answers(
        right=[flat_by_backward, flat_by_helper],
        wrong={
            "no room for rounding": (
                instead(flat_by_helper, "Z.double()", "Z * 9", "< 1e-9", "== 0"),
                "room for rounding",
            ),
            "the mean of the gradient": (
                instead(flat_by_helper, SIZE, "slope_of(loss, z, z, 5.0).mean().abs()"),
                "Added up",
            ),
            "the first class": (
                instead(flat_by_helper, SIZE, "slope_of(loss, z, z, 5.0)[:, 0].abs()"),
                "all of the slopes",
            ),
            "a verdict in words": (lambda loss: "innocent" if flat_by_helper(loss) else "guilty", "gave 'innocent'"),
        },
    ),
    "3.6": Answers(
        right=[steady_by_ratio, steady_by_backward],
        wrong={
            "the loss for its gradient": (steady(0.5, 2, lambda loss, T: loss(Z, V, T)), "It is the loss"),
            "T = 1 and 4": (
                steady(0.5, 2, lambda loss, T: slope_of(loss, Z, V, T / 4).norm()),
                "for high temperatures",
            ),
            "a wide band": (steady(0.01, 100), "It acquits all three"),
            "divides by no gradient": (
                lambda loss: 0.5 < slope_of(loss, Z, V, 16.0).norm().item() / slope_of(loss, Z, V).norm().item() < 2,
                "ZeroDivisionError",
            ),
        },
    ),
    "3.7": Answers(
        right=[same_by_clone, same_by_copy],
        wrong={
            "looked twice after": (
                instead(same_by_clone, EPOCH, "", "    before", EPOCH + "    before"),
                "before the epoch",
            ),
            "never runs it": (lambda e, s, t, x: same_by_clone(lambda *args: None, s, t, x), "never runs the epoch"),
            "sums": (
                instead(same_by_clone, ".clone()", ".double().sum()", "b).all()", "b.double().sum()).all()"),
                "number by number",
            ),
            "running_mean left out": (instead(same_by_clone, STATE, NO_MEANS), "running_mean alone"),
        },
    ),
}
