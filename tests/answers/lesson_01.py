"""Answers to lesson 01, right and wrong."""

import math

import numpy as np
import torch

from tests.answers import Answers

# ---- 1.1 ----


def softmax_shifted(logits, T=1.0):
    z = logits / T
    e = torch.exp(z - z.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def softmax_through_logs(logits, T=1.0):
    z = logits.double() / T
    return (z - z.logsumexp(-1, keepdim=True)).exp()


def softmax_in_place(logits, T=1.0):
    logits /= T
    logits -= logits.max(-1, keepdim=True).values
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


def softmax_keepdim_late(logits, T=1.0):
    e = (logits / T - (logits / T).max(-1).values).exp()
    return e / e.sum(-1, keepdim=True)


def softmax_shifted_in_float_only(logits, T=1.0):
    e = (logits / T).exp()
    return e / e.sum(-1, keepdim=True) if logits.dtype == torch.half else softmax_shifted(logits, T)


# ---- 1.2 ----


def log_softmax_differences(logits, T=1.0):
    return -torch.logsumexp((logits[..., None, :] - logits[..., :, None]) / T, dim=-1)


def log_softmax_batch_maximum(logits, T=1.0):
    z = (logits - logits.max()) / T
    return z - (z.exp().sum(-1, keepdim=True) + 1e-30).log()


# ---- 1.3 ----


def entropy_entr(probs, base=math.e):
    return torch.special.entr(probs).sum(dim=-1) / math.log(base)


def entropy_loops(probs, base=math.e):
    if probs.ndim > 1:
        return torch.stack([entropy_loops(row, base) for row in probs])
    return torch.tensor(-sum(p * math.log(p, base) for p in probs.tolist() if p > 0))


def entropy_in_place(probs, base=math.e):
    probs[probs == 0] = 1
    return entropy_entr(probs, base)


# ---- 1.4 ----


def cold_infinite(logits):
    gap = logits - logits.max(-1, keepdim=True).values
    return torch.softmax(torch.where(gap < 0, -torch.inf, 0.0), -1)


def cold_numpy(logits):
    winners = logits.numpy() == logits.numpy().max(axis=-1, keepdims=True)
    return torch.from_numpy(winners / winners.sum(axis=-1, keepdims=True))


def cold_two_winners_at_most(logits):
    first, second = logits.topk(2).values.unbind(-1)
    return (logits == first[..., None]) * torch.where(first == second, 0.5, 1.0)[..., None]


# ---- 1.5 ----


def hot_by_sum(logits, T):
    e = 1 + (logits - logits.mean(dim=-1, keepdim=True)) / T
    return e / e.sum(dim=-1, keepdim=True)


def hot_matrix(logits, T):
    C = logits.shape[-1]
    return 1 / C + logits.double() @ (torch.eye(C, dtype=torch.double) - 1 / C) / (C * T)


def hot_second_order(logits, T):
    z = (logits - logits.mean(-1, keepdim=True)) / T
    return (1 + z + z**2 / 2 - (z**2).mean(-1, keepdim=True) / 2) / logits.shape[-1]


# ---- 1.6 ----


def jacobian_outer(logits, T=1.0):
    p = torch.softmax(logits / T, -1)
    return (p.diag() - p[:, None] * p) / T


def jacobian_loops(logits, T=1.0):
    p, C = torch.softmax(logits / T, -1), len(logits)
    return torch.stack([torch.stack([p[i] * (float(i == j) - p[j]) / T for j in range(C)]) for i in range(C)])


def jacobian_autograd(logits, T=1.0):
    return torch.autograd.functional.jacobian(lambda z: torch.softmax(z / T, -1), logits)


def jacobian_three_classes(logits, T=1.0):
    J = torch.zeros(len(logits), len(logits))
    J[:3, :3] = jacobian_outer(logits[:3], T)
    return J


# ---- 1.7 ----


def nats_at(logits, T):
    return float(torch.special.entr(torch.softmax(logits / T, -1)).sum())


def halve_by_ratio(logits, wanted, low=0.01, high=100.0):
    middle = math.sqrt(low * high)
    if high / low < 1 + 1e-9:
        return torch.tensor(middle)
    return halve_by_ratio(logits, wanted, *((low, middle) if nats_at(logits, middle) > wanted else (middle, high)))


def halve_until_right(logits, wanted, low=0.01, high=100.0):
    middle = (low + high) / 2
    while abs(nats_at(logits, middle) - wanted) > 0.001:
        low, high = (middle, high) if nats_at(logits, middle) < wanted else (low, middle)
        middle = (low + high) / 2
    return middle


def fine_grid(logits, wanted, low=0.01, high=100.0, steps=20_000):
    Ts = np.geomspace(low, high, steps)
    p = torch.softmax(logits.double() / torch.from_numpy(Ts)[:, None], -1)
    return Ts[(torch.special.entr(p).sum(-1) - wanted).abs().argmin()]


def never_ends(logits, wanted, low=0.01, high=100.0):
    middle = (low + high) / 2
    while nats_at(logits, middle) != wanted:
        low, high = (middle, high) if nats_at(logits, middle) < wanted else (low, middle)
        middle = (low + high) / 2
    return middle


ANSWERS = {
    "1.1": Answers(
        right=[softmax_shifted, softmax_through_logs],
        wrong={
            "clamps": (lambda z, T=1.0: torch.softmax((z / T).clamp(-80, 80), -1), "no logit may be cut off"),
            "overflows in half precision": (softmax_shifted_in_float_only, "65504"),
            "the maxima without keepdim": (softmax_keepdim_late, "one number per row does not fit the rows"),
            "works in place": (softmax_in_place, "works in place"),
            "forgets .values": (lambda z, T=1.0: (z / T - (z / T).max(-1, keepdim=True)).exp(), "Take .values"),
            "loses the gradient": (lambda z, T=1.0: softmax_shifted(z, T).detach(), "autograd lost the thread"),
            "torch's own": (lambda z, T=1.0: torch.nn.functional.softmax(z / T, -1), "write it yourself"),
            "another T unless given": (lambda z, T=2.0: softmax_shifted(z, T), "without a T"),
        },
        garbage=[torch.ones(3)],
    ),
    "1.2": Answers(
        right=[log_softmax_differences, lambda z, T=1.0: (z.double() / T).log_softmax(-1)],
        wrong={
            "adds a small number": (lambda z, T=1.0: (softmax_shifted(z, T) + 1e-9).log(), "gave 0, -20.72"),
            "cuts the logits": (lambda z, T=1.0: (z.clamp(-1000, 1000) / T).log_softmax(-1), "cut off or rescaled"),
            "the batch's maximum": (log_softmax_batch_maximum, "its own largest number"),
            "returns numpy": (lambda z, T=1.0: (z / T).log_softmax(-1).numpy(), "gave an ndarray"),
        },
    ),
    "1.3": Answers(
        right=[
            entropy_entr,
            entropy_loops,
            lambda p, base=math.e: torch.distributions.Categorical(probs=p).entropy() / math.log(base),
        ],
        wrong={
            "a small number": (
                lambda p, base=math.e: -(p * (p + 1e-6).log()).sum(-1) / math.log(base),
                "too large for",
            ),
            "overwrites the zeros": (entropy_in_place, "works in place"),
            "math.log": (lambda p, base=math.e: -(p * math.log(p, base)).sum(-1), "take one number"),
            "rounds": (
                lambda p, base=math.e: entropy_entr(p, base).round(decimals=3),
                "gave 2.079; expected is 2.0794",
            ),
        },
    ),
    "1.4": Answers(
        right=[cold_infinite, cold_numpy],
        wrong={
            "the last winner": (lambda z: (z.argsort(-1).argsort(-1) == z.shape[-1] - 1).float(), "gave 0, 0, 1, 0"),
            "a T that is 1e-9": (lambda z: torch.softmax(z / 1e-9, -1), "1e-35"),
            "a T that is 1e-37": (lambda z: torch.softmax(z / 1e-37, -1), "Nothing may overflow"),
            "two winners at most": (cold_two_winners_at_most, "Four winners"),
        },
    ),
    "1.5": Answers(
        right=[hot_by_sum, hot_matrix],
        wrong={
            "second order": (hot_second_order, "gave 0.4033"),
            "positive by force": (lambda z, T: hot_by_sum(z, T).relu(), "A line does not bend"),
            "the sum for the mean": (
                lambda z, T: 1 / z.size(-1) + (z - z.sum(-1, True)) / (z.size(-1) * T),
                "gave 0.3333",
            ),
        },
    ),
    "1.6": Answers(
        right=[jacobian_outer, jacobian_loops],
        wrong={
            "always three classes": (jacobian_three_classes, "There are 5 classes"),
            "autograd": (jacobian_autograd, "torch.autograd made them"),
            "T twice inside": (lambda z, T=1.0: jacobian_outer(z / T, T), "gave 0.0572"),
        },
    ),
    "1.7": Answers(
        right=[halve_by_ratio, halve_until_right, fine_grid],
        wrong={
            "a coarse grid": (lambda z, wanted: fine_grid(z, wanted, steps=300), "in enough steps"),
            "whole numbers": (lambda z, wanted: round(halve_by_ratio(z, wanted).item()), "gave 2; expected is 1.75"),
            "from 0.1 on": (lambda z, wanted: halve_by_ratio(z, wanted, low=0.1), "gave 0.1; expected is 0.012"),
        },
        garbage=[never_ends, lambda z, wanted: math.nan, lambda z, wanted: -1.0],
    ),
}
