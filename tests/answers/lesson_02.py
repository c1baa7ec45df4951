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


def map_by_loop(probs, labels):
    C = probs.shape[1]
    out = torch.zeros(C, C)
    for c in range(C):
        rows = [probs[n] for n in range(len(labels)) if labels[n] == c]
        out[c] = sum(rows) / len(rows)
    return out


def map_by_index_add(probs, labels):
    sums = torch.zeros(probs.shape[1], probs.shape[1]).index_add(0, labels, probs)
    return sums / labels.bincount(minlength=probs.shape[1])[:, None]


def map_sums(probs, labels):
    return F.one_hot(labels).float().T @ probs


def map_by_winner(probs, labels):
    return torch.stack([probs[probs.argmax(-1) == c].mean(0) for c in range(probs.shape[1])])


def map_of_winners(probs, labels):
    return map_by_index_add(F.one_hot(probs.argmax(-1), probs.shape[1]).float(), labels)


# ---- 2.3 ----


def kl_by_loop(p, q):
    rows = []
    for row_p, row_q in zip(p.tolist(), q.tolist(), strict=True):
        total = 0.0
        for a, b in zip(row_p, row_q, strict=True):
            if a > 0:
                total += a * math.log(a / b) if b > 0 else math.inf
        rows.append(total)
    return torch.tensor(rows)


def kl_by_scipy(p, q):
    return torch.from_numpy(special.rel_entr(p.numpy(), q.numpy())).sum(-1)


def kl_naive(p, q):
    return (p * (p / q).log()).sum(-1)


def kl_masked(p, q):
    said = p > 0
    terms = torch.zeros_like(p)
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


def bits(probs, labels, nat=LN2, typical=None, swap=False, mean=torch.mean):
    typical = map_by_index_add(probs, labels)[labels] if typical is None else typical
    return mean(kl_by_scipy(typical, probs) if swap else kl_by_scipy(probs, typical)) / nat


def bits_naive(probs, labels):
    return kl_naive(probs, map_by_index_add(probs, labels)[labels]).mean() / LN2


def bits_by_label(probs, labels):
    each = bits(probs, labels, mean=lambda one: one)
    return torch.stack([each[labels == c].mean() for c in labels.unique()]).mean()


# ---- 2.7 ----


def accuracy(logits, labels):
    return (logits.argmax(-1) == labels).float().mean().item()


def biased(logits, cls, bias):
    return torch.cat([logits[..., :cls], logits[..., cls : cls + 1] + bias, logits[..., cls + 1 :]], -1)


def bias_by_max(logits, labels, cls, biases):
    return max(biases, key=lambda bias: accuracy(biased(logits, cls, bias), labels))


def bias_by_loop(logits, labels, cls, biases):
    best, best_bias = -1.0, None
    for bias in biases:
        moved = logits.clone()
        moved[:, :, cls] += bias
        right = sum(int(winner == label) for row in moved.argmax(-1) for winner, label in zip(row, labels, strict=True))
        if right > best:
            best, best_bias = right, bias
    return best_bias


def bias_adding_up(logits, labels, cls, biases):
    moved, scores = logits.clone(), []
    for bias in biases:
        moved[..., cls] += bias
        scores.append(accuracy(moved, labels))
    return biases[scores.index(max(scores))]


def bias_in_place(logits, labels, cls, biases):
    scores = []
    for bias in biases:
        logits[..., cls] += bias
        scores.append(accuracy(logits, labels))
    return biases[scores.index(max(scores))]


def bias_best_recall(logits, labels, cls, biases):
    mine = labels == cls
    return max(biases, key=lambda bias: accuracy(biased(logits, cls, bias)[:, mine], labels[mine]))


def place_of_best(logits, labels, cls, biases):
    return biases.index(bias_by_max(logits, labels, cls, biases))


ANSWERS = {
    "2.1": Answers(
        right=[lambda logits, T: F.softmax(torch.mean(logits, dim=0) / T, dim=1), soft_by_hand],
        wrong={
            "averaged the probabilities": (
                lambda logits, T: torch.softmax(logits / T, -1).mean(0),
                "the mean of their probabilities",
            ),
            "one answer per network": (lambda logits, T: torch.softmax(logits / T, -1), "over which dim is the mean"),
            "summed the logits": (lambda logits, T: torch.softmax(logits.sum(0) / T, -1), "Mean or sum"),
            "T multiplied": (lambda logits, T: torch.softmax(logits.mean(0) * T, -1), "takes from the winner"),
            "forgot T": (lambda logits, T: torch.softmax(logits.mean(0), -1), "T = 1 and T = 4 gave the same"),
            "softmax of probabilities": (
                lambda logits, T: torch.softmax(torch.softmax(logits.mean(0), -1) / T, -1),
                "that is a softmax of probabilities",
            ),
            "T after the softmax": (lambda logits, T: torch.softmax(logits.mean(0), -1) / T, "T acted after"),
            "over the pictures": (lambda logits, T: torch.softmax(logits.mean(0) / T, 0), "runs over the pictures"),
            "no softmax": (lambda logits, T: logits.mean(0) / T, "none is negative"),
            "overflows": (
                lambda logits, T: (logits.mean(0) / T).exp() / (logits.mean(0) / T).exp().sum(-1, keepdim=True),
                "stable",
            ),
        },
    ),
    "2.2": Answers(
        right=[map_by_loop, map_by_index_add],
        wrong={
            "columns are labels": (lambda p, y: map_by_index_add(p, y).T, "the other way round"),
            "sums": (map_sums, "You have the sums"),
            "divided by all examples": (lambda p, y: map_sums(p, y) / len(y), "its share of all 6"),
            "normalised per column": (lambda p, y: map_sums(p, y) / map_sums(p, y).sum(0), "each column adds up to 1"),
            "counts winners": (map_of_winners, "it counts winners"),
            "grouped by the teacher's answer": (map_by_winner, "grouped by the teacher's own answer"),
            "one mean for all": (lambda p, y: p.mean(0), "expected is (3, 3)"),
        },
        garbage=[lambda p, y: map_by_index_add(p, y).numpy()],
    ),
    "2.3": Answers(
        right=[
            kl_by_loop,
            kl_by_scipy,
            lambda p, q: torch.nan_to_num(p * (p / q).log(), nan=0.0, posinf=torch.inf).sum(-1),
            lambda p, q: torch.where(p > 0, p * (p / q).log(), 0).sum(dim=1),
            lambda p, q: torch.xlogy(p.double(), p.double()).sum(-1) - torch.xlogy(p.double(), q.double()).sum(-1),
            kl_masked,
        ],
        wrong={
            "reversed, by hand": (lambda p, q: kl_by_loop(q, p), "That is KL(q || p)"),
            "clamped": (kl_clamped, "hides the others"),
            "a small number": (lambda p, q: (p * ((p + 1e-8) / (q + 1e-8)).log()).sum(-1), "hides the others"),
            "only infinities": (lambda p, q: (p * (p / q).log()).nan_to_num(posinf=1e6).sum(-1), "expected is inf"),
            "base 10": (lambda p, q: kl_by_scipy(p, q) / math.log(10), "expected is 0.1733"),
            "summed over the batch": (lambda p, q: kl_by_scipy(p, q).sum(), "Keep one per row"),
            "both directions": (lambda p, q: (kl_by_scipy(p, q) + kl_by_scipy(q, p)) / 2, "expected is 0.1733"),
            "a column": (lambda p, q: kl_by_scipy(p, q)[:, None], "gave a tensor of shape (2, 1)"),
        },
    ),
    "2.4": Answers(
        right=[lambda p, q: (entropy(p), kl_by_scipy(p, q)), parts_by_difference],
        wrong={
            "the other order": (lambda p, q: (kl_by_scipy(p, q), entropy(p)), "in the wrong order"),
            "entropy of the student": (lambda p, q: (entropy(q), kl_by_scipy(p, q)), "the entropy of q"),
            "wrong sign": (lambda p, q: (-entropy(p), kl_by_scipy(p, q)), "never negative"),
            "gap is the whole": (lambda p, q: (entropy(p), -torch.xlogy(p, q).sum(-1)), "floor included"),
            "floor is the whole": (lambda p, q: (-torch.xlogy(p, q).sum(-1), kl_by_scipy(p, q)), "what is left of it"),
            "floor in bits": (lambda p, q: (entropy(p) / LN2, kl_by_scipy(p, q)), "in bits"),
            "gap reversed": (lambda p, q: (entropy(p), kl_by_scipy(q, p)), "KL(q || p)"),
            "0 log 0": (lambda p, q: (-(p * p.log()).sum(-1), kl_naive(p, q)), "gave nan"),
            "their sum": (lambda p, q: entropy(p) + kl_by_scipy(p, q), "two things"),
        },
    ),
    "2.5": Answers(
        right=[bits, bits_by_entropies],
        wrong={
            "in nats": (lambda p, y: bits(p, y, nat=1), "right in nats"),
            "times ln 2": (lambda p, y: bits(p, y, nat=1 / LN2), "multiplied by ln 2"),
            "entropy": (lambda p, y: entropy(p).mean() / LN2, "the mean entropy"),
            "against the mean of all": (lambda p, y: bits(p, y, typical=p.mean(0).expand_as(p)), "mean of all answers"),
            "reversed": (lambda p, y: bits(p, y, swap=True), "the row is q"),
            "sum": (lambda p, y: bits(p, y, mean=torch.sum), "five times too much"),
            "mean of the labels' means": (bits_by_label, "Every example counts once"),
            "one number per example": (lambda p, y: bits(p, y, mean=lambda one: one), "Asked for is their mean"),
            "0 log 0": (bits_naive, "gave nan"),
        },
    ),
    "2.6": Answers(
        right=[
            lambda labels, cls: torch.arange(len(labels))[labels != cls],
            lambda labels, cls: torch.from_numpy(np.flatnonzero(labels.numpy() != cls)),
        ],
        wrong={
            "kept the class": (lambda labels, cls: (labels == cls).nonzero()[:, 0], "these are the threes"),
            "a mask": (lambda labels, cls: labels != cls, "True and False"),
            "a column": (lambda labels, cls: (labels != cls).nonzero(), "a row of its own"),
            "the labels": (lambda labels, cls: labels[labels != cls], "the labels that stay"),
            "3 is fixed": (lambda labels, cls: (labels != 3).nonzero()[:, 0], "Is a 3 written"),
            "row number cls": (
                lambda labels, cls: torch.arange(len(labels))[torch.arange(len(labels)) != cls],
                "row 3",
            ),
        },
    ),
    "2.7": Answers(
        right=[bias_by_max, bias_by_loop],
        wrong={
            "best recall": (bias_best_recall, "came 6"),
            "added to every class": (
                lambda logits, labels, cls, biases: max(biases, key=lambda b: accuracy(logits + b, labels)),
                "no bias changed a winner",
            ),
            "subtracted": (
                lambda logits, labels, cls, biases: -bias_by_max(logits, labels, cls, [-b for b in biases]),
                "with a plus",
            ),
            "biases add up": (bias_adding_up, "do yours add up"),
            "in place": (bias_in_place, "changed a tensor"),
            "its place in the list": (place_of_best, "not its place"),
            "the first student only": (
                lambda logits, labels, cls, biases: bias_by_max(logits[:1], labels, cls, biases),
                "Do all students count",
            ),
            "always class 1": (
                lambda logits, labels, cls, biases: bias_by_max(logits, labels, 1, biases),
                "whichever it is",
            ),
        },
    ),
}
