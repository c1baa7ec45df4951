"""Right and wrong answers to the exercises of lesson 02."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special

from tests.answers import Answers

LN2 = math.log(2)

# ---- 2.1 ----


def soft_by_hand(logits, T):
    z = logits.sum(0) / len(logits) / T
    e = (z - z.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True)


# ---- 2.2 ----


def map_by_index_add(probs, labels):
    sums = torch.zeros(probs.shape[1], probs.shape[1]).index_add(0, labels, probs)
    return sums / labels.bincount(minlength=probs.shape[1])[:, None]


def map_by_einsum(probs, labels):
    mine = (labels[:, None] == torch.arange(probs.shape[1])).double()
    return torch.einsum("nc,nk->ck", mine, probs.double()) / mine.sum(0)[:, None]


# ---- 2.3 ----


def kl_by_loop(p, q):
    rows = []
    for row_p, row_q in zip(p.tolist(), q.tolist(), strict=True):
        terms = [a * math.log(a / b) if b > 0 else math.inf for a, b in zip(row_p, row_q, strict=True) if a > 0]
        rows.append(sum(terms))
    return torch.tensor(rows)


def kl_by_scipy(p, q):
    return torch.from_numpy(special.rel_entr(p.numpy(), q.numpy())).sum(-1)


def kl_masked(p, q):
    said, terms = p > 0, torch.zeros_like(p)
    terms[said] = p[said] * (p[said].log() - q[said].log())
    return torch.einsum("nc->n", terms)


def kl_clamped(p, q):
    p, q = p.clamp(min=1e-6), q.clamp(min=1e-6)
    return (p * (p / q).log()).sum(-1)


# ---- 2.4 ----


def entropy(p):
    return torch.special.entr(p).sum(-1)


def parts_by_difference(p, q):
    whole = -torch.xlogy(p, q).sum(-1)
    floor = torch.distributions.Categorical(probs=p).entropy()
    return [floor, whole - floor]


# ---- 2.5 ----


def bits_by_entropies(probs, labels):
    total = 0.0
    for c in labels.unique():
        mine = probs[labels == c]
        total += len(mine) * (entropy(mine.mean(0)) - entropy(mine).mean())
    return float(total / len(labels)) / LN2


def bits(probs, labels, typical=None):
    typical = map_by_index_add(probs, labels)[labels] if typical is None else typical
    return kl_by_scipy(probs, typical).mean() / LN2


def bits_sorted(probs, labels):
    return bits(probs, labels.sort().values)


# ---- 2.7 ----


def accuracy(logits, labels):
    return (logits.argmax(-1) == labels).float().mean().item()


def biased(logits, cls, bias):
    return torch.cat([logits[..., :cls], logits[..., cls : cls + 1] + bias, logits[..., cls + 1 :]], -1)


def bias_by_max(logits, labels, cls, biases):
    return max(biases, key=lambda bias: accuracy(biased(logits, cls, bias), labels))


def bias_in_place(logits, labels, cls, biases):
    scores = []
    for bias in biases:
        logits[..., cls] += bias
        scores.append(accuracy(logits, labels))
    return biases[scores.index(max(scores))]


def bias_all_at_once(logits, labels, cls, biases):
    moved = logits.expand(len(biases), *logits.shape).clone()
    moved[..., cls] += torch.tensor(biases)[:, None, None]
    return torch.tensor(biases)[(moved.argmax(-1) == labels).sum((1, 2)).argmax()]


ANSWERS = {
    "2.1": Answers(
        right=[
            lambda logits, T: F.softmax(torch.mean(logits, dim=0) / T, dim=1),
            soft_by_hand,
            lambda logits, T: torch.einsum("mnc->nc", logits.double()).div(len(logits) * T).softmax(-1),
        ],
        wrong={
            "votes": (lambda z, T: F.one_hot(z.argmax(-1), z.shape[-1]).float().mean(0), "gave 0.5, 0.5, 0"),
            "divided by two": (lambda z, T: torch.softmax(z.sum(0) / 2 / T, -1), "three networks"),
            "squeezed": (lambda z, T: torch.softmax(z.mean(0).squeeze() / T, -1), "three networks and one picture"),
            "the median": (lambda z, T: torch.softmax(z.quantile(0.5, 0) / T, -1), "gave 0.7311, 0.2689"),
        },
    ),
    "2.2": Answers(
        right=[map_by_index_add, map_by_einsum],
        wrong={
            "sorted by label": (lambda p, y: map_by_index_add(p, y.sort().values), "Row c holds a mean answer"),
            "its own label left out": (
                lambda p, y: map_by_index_add(p, y).fill_diagonal_(0),
                "gave 0, 0.2, 0.1 in row 0",
            ),
            "divided by C": (lambda p, y: F.one_hot(y).float().T @ p / p.shape[1], "expected is 0.15"),
        },
        garbage=[lambda p, y: map_by_index_add(p, y).numpy()],
    ),
    "2.3": Answers(
        right=[kl_by_loop, kl_by_scipy, kl_masked, lambda p, q: torch.where(p > 0, p * (p / q).log(), 0).sum(dim=1)],
        wrong={
            "reversed, by hand": (lambda p, q: kl_by_loop(q, p), "That is KL(q || p)"),
            "clamped": (kl_clamped, "hides the others"),
            "no infinity": (lambda p, q: kl_by_scipy(p, q).nan_to_num(posinf=1e6), "expected is inf"),
            "both directions": (lambda p, q: (kl_by_scipy(p, q) + kl_by_scipy(q, p)) / 2, "expected is 0.1064"),
            "a column": (lambda p, q: kl_by_scipy(p, q)[:, None], "gave a tensor of shape (3, 1)"),
        },
    ),
    "2.4": Answers(
        right=[
            lambda p, q: (entropy(p), kl_by_scipy(p, q)),
            parts_by_difference,
            lambda p, q: torch.stack([entropy(p), kl_masked(p, q)]),
        ],
        wrong={
            "a clamp": (lambda p, q: (entropy(p), kl_clamped(p, q)), "gave 6.215 as the second of 2"),
            "of the whole batch": (lambda p, q: (entropy(p).sum(), kl_by_scipy(p, q).sum()), "one number per row"),
            "in bits, both": (lambda p, q: (entropy(p) / LN2, kl_by_scipy(p, q) / LN2), "gave 1.846"),
        },
    ),
    "2.5": Answers(
        right=[
            bits,
            bits_by_entropies,
            lambda p, y: kl_masked(p, map_by_einsum(p, y)[y].float()).mean().reshape(1) / LN2,
        ],
        wrong={
            "rows in another order": (bits_sorted, "gave 0.1892"),
            "base 10": (lambda p, y: bits(p, y) * LN2 / math.log(10), "in the mean over all five"),
            "the largest": (lambda p, y: kl_by_scipy(p, map_by_index_add(p, y)[y]).max() / LN2, "expected is 0.09458"),
            "against winners": (lambda p, y: bits(p, y, map_by_index_add(p, y)[p.argmax(-1)]), "expected is"),
        },
    ),
    "2.6": Answers(
        right=[
            lambda labels, cls: torch.arange(len(labels))[labels != cls],
            lambda labels, cls: np.flatnonzero(labels.numpy() != cls),
            lambda labels, cls: [row for row, label in enumerate(labels.tolist()) if label != cls],
        ],
        wrong={
            "not in order": (lambda labels, cls: (labels != cls).nonzero()[:, 0].flip(0), "in order"),
            "each label once": (lambda labels, cls: torch.tensor([0, 1, 2, 4, 7])[: len(labels)], "expected is 1"),
            "the first is left out": (lambda labels, cls: (labels[1:] != cls).nonzero()[:, 0] + 1, "expected is"),
        },
    ),
    "2.7": Answers(
        right=[bias_by_max, bias_all_at_once],
        wrong={
            "in place": (bias_in_place, "changed what it was given"),
            "probabilities averaged": (
                lambda z, y, cls, biases: bias_by_max(z.softmax(-1).mean(0, True).log(), y, cls, biases),
                "gave 1; expected is -2",
            ),
            "most wrong": (lambda z, y, cls, biases: bias_by_max(-z, y, cls, [-b for b in biases]), "expected is 2.5"),
        },
    ),
}
