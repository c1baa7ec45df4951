"""Checks of lesson 02, judged against torch in double precision and numbers made by hand, not against our own code."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special

from course_lib.checks.exercise import Exercise
from course_lib.checks.table import Case, Table

# ---- what the lesson goes on with until the learner's own answers are right ----


def soft_targets(logits, T):
    return torch.softmax(logits.mean(0) / T, dim=-1)


def similarity_map(probs, labels):
    members = F.one_hot(labels, probs.shape[-1]).to(probs.dtype)  # (N, C)
    return members.T @ probs / members.sum(0)[:, None]


def kl(p, q):
    return torch.where(p > 0, torch.xlogy(p, p) - torch.xlogy(p, q), 0.0).sum(-1)


def floor_and_gap(p, q):
    return torch.special.entr(p).sum(-1), kl(p, q)


def bits_beyond_label(probs, labels):
    return kl(probs, similarity_map(probs, labels)[labels]).mean() / math.log(2)


def rows_without(labels, cls):
    return torch.where(labels != cls)[0]


def choose_bias(logits, labels, cls, biases):
    scores = []
    for bias in biases:
        moved = logits + bias * F.one_hot(torch.tensor(cls), logits.shape[-1])
        scores.append(float((moved.argmax(-1) == labels).double().mean()))
    return list(biases)[scores.index(max(scores))]


# ---- 2.1 ----

VOTES = torch.tensor([[[4.0, 0.0, -1.0], [0.0, 1.0, 3.0]], [[0.0, 2.0, -1.0], [2.0, 5.0, 1.0]]])  # (2, 2, 3)
THREE = torch.tensor([[[3.0, 1.0], [0.0, 2.0]], [[-1.0, 1.0], [4.0, 0.5]], [[9.0, 0.0], [0.0, 0.0]]])  # (3, 2, 2)


def softened(seen, logits, T, why="Two steps: the mean of the logits over the networks, then the softmax at T."):
    """A case of 2.1: the mean is made by hand, the softmax is torch's own in double precision."""
    total = sum(logits.double()) / len(logits)
    return Case(seen, (logits, T), torch.softmax(total / T, -1).float(), why)


SOFT_TARGETS = Table(
    "soft_targets",
    "one row of probabilities per picture",
    (
        softened("two networks, which say 4, 0, -1 and 0, 2, -1 to the first picture, at T = 1", VOTES, 1.0),
        softened("two networks, which say 4, 0, -1 and 0, 2, -1 to the first picture, at T = 4", VOTES, 4.0),
        softened("three networks, which say 3, 1 and -1, 1 and 9, 0 to the first picture, at T = 2", THREE, 2),
        softened("one network at T = 1", VOTES[:1], 1.0, "A single network's mean is its own logits."),
        softened("three networks and one picture at T = 0.5", THREE[:, :1], 0.5, "One picture keeps its row: (1, C)."),
        softened("logits such as 300, 0 at T = 2", 100 * THREE, 2.0, "Large logits need a stable softmax."),
    ),
    (
        lambda z, T: torch.softmax(z / T, -1).mean(0),
        "That is the mean of their probabilities. Another good way, but the exercise takes the mean of the logits. Which of "
        "the two steps comes first?",
        lambda z, T: torch.softmax(z / T, -1),
        "That is one answer per network. Together they give one answer per picture: over which dim is the mean?",
        lambda z, T: z.mean(0) / T,
        "These are logits. A target is a row of probabilities: none is negative, and they add up to 1.",
        lambda z, T: torch.softmax(z.sum(0) / T, -1),
        "With more networks your teacher gets surer and surer. Mean or sum?",
        lambda z, T: torch.softmax(torch.softmax(z.mean(0), -1) / T, -1),
        "That is a softmax of probabilities, which flattens them. One softmax is enough, and it takes logits.",
        lambda z, T: torch.softmax(z.mean(0) / T, 0),
        "Each column adds up to 1: the softmax runs over the pictures. After the mean over the networks, which dim holds the classes?",
        lambda z, T: torch.softmax(z[0] / T, -1),
        "That is the first network's answer. The teacher is all of them together.",
        lambda z, T: torch.softmax(z.mean(0) * T, -1),
        "A higher temperature takes from the winner, which had 0.7054 at T = 1. What does T do to the logits?",
        lambda z, T: torch.softmax(z.mean(0), -1),
        "T = 1 and T = 4 give the same. Where does your function use T?",
        lambda z, T: torch.softmax(z.mean(0), -1) / T,
        "The rows do not add up to 1. T acted after the softmax; where must it act?",
        lambda z, T: (z.mean(0) / T).exp() / (z.mean(0) / T).exp().sum(-1, keepdim=True),
        "An exponential got too large. Large logits need a stable softmax: lesson 01, or torch.softmax.",
    ),
)

# ---- 2.2 ----

PROBS = torch.tensor(
    [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.6, 0.3, 0.1], [0.0, 0.1, 0.9], [0.1, 0.5, 0.4], [0.7, 0.2, 0.1]]
)
LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
BY_HAND = torch.tensor([[0.7, 0.2, 0.1], [0.15, 0.55, 0.3], [0.0, 0.1, 0.9]])
SWAP = torch.tensor([1, 0, 2])  # labels that disagree with every winner of the first two classes
FIVE = torch.tensor([1, 0, 1, 0, 0])
FOUR = (0.6 * torch.eye(4) + 0.1)[[2, 0, 3, 1]]
TWO = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.3, 0.7], [0.8, 0.2]])


def members(probs, labels):
    """(C, N): 1 where an example has the label, else 0."""
    return F.one_hot(labels, probs.shape[-1]).to(probs.dtype).T


def means(probs, weights):
    """The mean answer of each row of weights (C, N)."""
    return weights @ probs / weights.sum(1, keepdim=True)


def winners(probs):
    return F.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs.dtype)


MAP = Table(
    "similarity_map",
    "one row per label, one column per class",
    (
        Case(
            "six answers, where label 0 has the rows 0, 2, 5,", (PROBS, LABELS), BY_HAND, "Row c holds a mean answer."
        ),
        Case(
            "these six with the labels 0 and 1 exchanged", (PROBS, SWAP[LABELS]), BY_HAND[SWAP], "Group them by label."
        ),
        Case("five answers of two classes", (TWO, FIVE), torch.tensor([[0.5, 0.5], [0.7, 0.3]]), "Count the classes."),
        Case("an answer of each of four labels", (FOUR, FOUR.argmax(-1)), 0.6 * torch.eye(4) + 0.1, "A mean of one."),
    ),
    (
        lambda p, y: means(p, members(p, y)).T,
        "The columns are right as rows. A row belongs to a label and a column to what the teacher answers: you have them the "
        "other way round.",
        lambda p, y: members(p, y) @ p,
        "You have the sums: a mean answer is itself a row of probabilities, and adds up to 1.",
        lambda p, y: members(p, y) @ p / len(y),
        "The row does not add up to 1: it is the label's share of all examples. How many does its mean run over?",
        lambda p, y: members(p, y) @ p / (members(p, y) @ p).sum(0),
        "Each column adds up to 1. Each row is an answer, so each row must.",
        lambda p, y: means(winners(p), members(p, y)),
        "It counts winners. The map is made of whole answers, also of what did not win.",
        lambda p, y: p.mean(0),
        "That is the mean of all answers. The map has a mean for each label.",
        lambda p, y: torch.stack([p[y == c].mean() for c in range(p.shape[-1])]),
        "That is one number per label. Which dim does the mean run over? An answer has C of them.",
        lambda p, y: means(p, winners(p).T),
        "The examples are grouped by the teacher's own answer. Group them by their label: where the teacher is wrong, the two differ.",
        lambda p, y: torch.stack([p[y == c].mean(0) for c in range(3)]),
        "Three classes are right, other numbers of classes are not: probs.shape[-1] counts them.",
    ),
)

# ---- 2.3 and 2.4 ----

LN2 = math.log(2)
P, Q = [[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]], [[0.25, 0.25, 0.5], [0.2, 0.3, 0.5]]
FOURS = [[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]]
HALVES, QUARTER, LABEL = [[0.5, 0.5, 0.0]], [[0.25, 0.5, 0.25]], [[0.0, 1.0, 0.0]]
NO_TERM = "What p never says adds nothing, whatever q says of it: a term with p = 0 is 0, in the entropy as in the KL."
RULED_OUT = (
    "q rules out what p says, and that makes the KL infinite. Only the zeros of p are harmless; a small number added to q "
    "(or a clamp) hides the others."
)
ANSWERS = (  # (what is given, p, q, what to look at, how far off)
    (
        "p, q of three rows and four classes",
        FOURS,
        [row[::-1] for row in FOURS[::-1]],
        "Sum over the classes only.",
        1e-6,
    ),
    ("p = (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), q = (0.25, 0.25, 0.5), (0.2, 0.3, 0.5)", P, Q, "Row by row.", 1e-6),
    ("p = 0.5, 0.5, 0 and q = 0.25, 0.5, 0.25", HALVES, QUARTER, NO_TERM, 1e-6),
    ("p = q = 0, 1, 0", LABEL, LABEL, NO_TERM, 1e-6),
    ("p = 0.5, 0.5, 0 and q = 0, 1, 0", HALVES, LABEL, RULED_OUT, 1e-6),
    (
        "p = 1, 4e-18, 2e-9 and q = 2e-9, 4e-18, 1",
        [[1.0, 4e-18, 2e-9]],
        [[2e-9, 4e-18, 1.0]],
        "Small ones count.",
        1e-3,
    ),
)


def doubt(p):
    return torch.special.entr(p).sum(-1)


def crossed(p, q):
    return -torch.xlogy(p, q).sum(-1)


def true_kl(p, q):
    """By scipy, in double precision."""
    return torch.from_numpy(special.rel_entr(p.double().numpy(), q.double().numpy())).sum(-1)


def told_apart(right):
    """The answers above, with what right(p, q) makes of them."""
    given = [(seen, torch.tensor(p), torch.tensor(q), why, off) for seen, p, q, why, off in ANSWERS]
    return tuple(Case(seen, (p, q), right(p, q), why, off) for seen, p, q, why, off in given)


KL = Table(
    "kl",
    "one number per row",
    told_apart(true_kl),
    (
        lambda p, q: kl(q, p),
        "That is KL(q || p). The divergence has a direction: which of the two weighs the terms, and which stands below the line?",
        lambda p, q: (p * (q / p).log()).sum(-1),
        "A KL divergence is never negative. Which way up is the fraction in the logarithm?",
        lambda p, q: (q * (p / q).log()).sum(-1),
        "No KL divergence is negative. The terms are weighed by q, the fraction is p / q; in the formula the same letter "
        "stands in front of the log and above the line.",
        lambda p, q: kl(p, q) / p.shape[-1],
        "With four classes that is a quarter of it: it looks like a mean over the classes. The formula has a sum.",
        lambda p, q: kl(p, q) / LN2,
        "That is right in bits. Asked for are nats: the logarithm with base e.",
        crossed,
        "That is the cross-entropy, and for q = p it would not be 0. What of it is p's own?",
        lambda p, q: (p.log() - q.log()).sum(-1),
        "These are the log-ratios added up, each class as important as the next. What weighs them?",
        lambda p, q: F.kl_div(p, q, reduction="none").sum(-1),
        "torch's F.kl_div takes the logs of q first, and then p: it is KL of the second to the first.",
        lambda p, q: kl(p, q).mean(),
        "Three examples need three numbers. Keep one per row: sum over the classes only.",
        lambda p, q: p * (p / q).log(),
        "That is a number for each class. The divergence of a row is the sum of its classes' terms.",
        lambda p, q: (p * (p / q).log()).sum(0),
        "That is one number for each class. Which dim holds the classes?",
        lambda p, q: (p * (p / q).log()).sum(-1),
        "log(0) is -inf, and 0 times -inf is nan. What p never says adds nothing: how can its term become 0?",
        lambda p, q: F.kl_div(q.log(), p, reduction="none").sum(-1),  # p ln p is guarded, p ln q is not
        "Both are 0 in the same class, so ln(p / q) is ln(0 / 0). The term is still 0, since p never says it: whatever "
        "stands in q, p = 0 must win.",
        lambda p, q: torch.where((p > 0) & (q > 0), p * (p / q).log(), 0.0).sum(-1),
        "The zeros of q are left out, and only those of p are harmless: what p says and q rules out makes it infinite.",
    ),
)


PARTS = Table(
    "floor_and_gap",
    "two things, the floor and the gap, one number per row each",
    told_apart(lambda p, q: (doubt(p.double()), true_kl(p, q))),
    (
        lambda p, q: (kl(p, q), doubt(p)),
        "These are the two parts in the wrong order: the floor comes first.",
        lambda p, q: (doubt(q), kl(p, q)),
        "The floor is the entropy of q. Whose doubt is it that no student gets below?",
        lambda p, q: (-doubt(p), kl(p, q)),
        "Entropy is never negative: check the sign of the floor.",
        lambda p, q: (doubt(p), crossed(p, q)),
        "The gap is the whole cross-entropy, floor included. The two parts add up to it.",
        lambda p, q: (crossed(p, q), kl(p, q)),
        "The floor is the whole cross-entropy. The floor is what is left of it when q = p.",
        lambda p, q: (doubt(p) / LN2, kl(p, q)),
        "The floor is in bits, and nats are asked for.",
        lambda p, q: (doubt(p), kl(q, p)),
        "The gap is KL(q || p). With it, floor and gap don't add up to the cross-entropy.",
        lambda p, q: doubt(p) + kl(p, q),
        "That is one thing, their sum. Expected are two: return floor, gap.",
        lambda p, q: (doubt(p).mean(), kl(p, q).mean()),
        "These are means over the rows. Keep one number per row: sum over the classes only.",
        lambda p, q: (torch.special.entr(p), p * (p / q).log()),
        "These are numbers for each class. Each part of a row is a sum over the classes.",
        lambda p, q: (-(p * p.log()).sum(-1), kl(p, q)),
        "The floor is nan where p is 0: 0 times -inf. A term with p = 0 is 0: torch.xlogy, or torch.where.",
        lambda p, q: (doubt(p), (p * (p / q).log()).sum(-1)),
        "The gap is nan where p is 0: 0 times -inf. A term with p = 0 is 0: torch.xlogy, or torch.where.",
    ),
)

# ---- 2.5 ----

PAIRS = torch.tensor([[0.1, 0.9, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.3, 0.4, 0.3], [1.0, 0.0, 0.0]])
EQUAL = torch.tensor([[0.5, 0.3, 0.2]]).repeat(4, 1)
NEAR = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.999, 0.001, 0.0]])
TWINS = torch.tensor([1, 0, 1, 2, 0])
MANY = torch.softmax(2 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), -1)
UNEVEN = torch.tensor([1, 2, 2, 0, 1, 2, 3, 2, 1, 1, 2, 2, 0, 1, 2, 1, 2, 1, 2, 2, 1, 0, 1, 2, 2, 1, 2, 1, 2, 1])


def by_entropies(probs, labels):
    """Another way to the same bits: entropy of the mean answer minus mean of the entropies, label by label."""
    rows = torch.stack([probs[labels == c].double().mean(0) for c in range(probs.shape[-1])])
    return float((doubt(rows)[labels] - doubt(probs.double())).mean()) / LN2


def typical(probs, labels):
    """The row of the map that each example has, (N, C)."""
    return means(probs, members(probs, labels))[labels]


def bits(p, y):
    return kl(p, typical(p, y)) / LN2


BITS = Table(
    "bits_beyond_label",
    "one number, the mean over the examples",
    (
        Case(
            "five answers, of which only the two of label 0 differ from their row of the map, 0.8, 0.2, 0,",
            (PAIRS, TWINS),
            (0.6 * math.log2(0.6 / 0.8) + 0.4 * math.log2(0.4 / 0.2) + math.log2(1 / 0.8)) / 5,
            "How far is each answer from its label's row of the map, in bits, in the mean over all five?",
        ),
        Case("four equal answers", (EQUAL, TWINS[:4]), 0.0, "None of them says a thing about its picture."),
        Case("answers such as 0.999, 0.001, 0", (NEAR, TWINS[1:]), by_entropies(NEAR, TWINS[1:]), "Do all zeros stay?"),
        Case("thirty answers of four labels", (MANY, UNEVEN), by_entropies(MANY, UNEVEN), "Is each one counted once?"),
    ),
    (
        lambda p, y: bits(p, y).mean() * LN2,
        "That is right in nats. A bit is ln 2 of a nat, so there are more bits than nats.",
        lambda p, y: bits(p, y).mean() * LN2**2,
        "The nats were multiplied by ln 2. A bit is smaller than a nat, so there must be more of them.",
        lambda p, y: doubt(p).mean() / LN2,
        "That is the mean entropy. It counts doubt, also the doubt that every picture of the label shares. How far is each "
        "answer from its label's row of the map?",
        lambda p, y: doubt(typical(p, y)).mean() / LN2,
        "That is the mean entropy of the rows of the map, and the cross-entropy with them. The KL takes each answer's own entropy away.",
        lambda p, y: kl(p, p.mean(0).expand_as(p)).mean() / LN2,
        "You compare with the mean of all answers, which counts what the label says too. Compare each answer with the mean "
        "answer of its own label.",
        lambda p, y: kl(typical(p, y), p).mean() / LN2,
        "So it comes from the row of the map to the answer, which rules out what the row says. The answer comes first, the row is q.",
        lambda p, y: bits(p, y).sum(),
        "That is the sum. Bits per example is the mean over the examples.",
        lambda p, y: bits(p, y),
        "That is one number for each example. Asked for is their mean: bits per example.",
        lambda p, y: torch.stack([bits(p, y)[y == c].mean() for c in y.unique()]).mean(),
        "That is the mean over the labels of each label's mean. Every example counts once, so take one mean over all examples.",
        lambda p, y: (p * (p / typical(p, y)).log2()).sum(-1).mean(),
        "Some probabilities are exactly 0, in an answer and in its row of the map: does your KL take 0 ln(0/0) as 0?",
    ),
)

# ---- 2.6 ----

DIGITS = torch.tensor([3, 0, 5, 3, 2, 3, 0, 9])


def row_numbers(came):
    """Lists, arrays and tensors pick rows alike."""
    listed = isinstance(came, list | np.ndarray) and all(
        isinstance(one, int | np.integer | torch.Tensor) for one in came
    )
    return torch.tensor([int(one) for one in came], dtype=torch.long) if listed else came


def picked(seen, labels, cls, rows, why):
    return Case(seen, (labels, cls), torch.tensor(rows, dtype=torch.long), why)


ROWS = Table(
    "rows_without",
    "one row number for each example that stays",
    (
        picked(
            "the labels 3, 0, 5, 3, 2, 3, 0, 9 without 3", DIGITS, 3, [1, 2, 4, 6, 7], "Counted from 0 and in order."
        ),
        picked(
            "the labels 3, 0, 5, 3, 2, 3, 0, 9 without 0", DIGITS, 0, [0, 2, 3, 4, 5, 7], "Does a 0 count as nothing?"
        ),
        picked("the labels 3, 0, 5, 3, 2, 3, 0, 9 without 7", DIGITS, 7, list(range(8)), "All 8 rows stay."),
        picked(
            "the labels 3, 3, 5, 3 without 3", DIGITS[[0, 0, 2, 0]], 3, [2], "One row stays: a tensor of shape (1,)."
        ),
        picked("the labels 3, 3 without 3", DIGITS[[0, 0]], 3, [], "No row stays: a tensor of shape (0,)."),
    ),
    (
        lambda y, cls: (y == cls).nonzero()[:, 0],
        "These are the threes. You keep what must go.",
        lambda y, cls: y != cls,
        "That is the right first step; which rows are the True ones?",
        lambda y, cls: (y != cls).nonzero(),
        "Each row number sits in a row of its own: nonzero() gives one column per dim of what it looks at. Take the only column.",
        lambda y, cls: torch.where(y != cls),
        "torch.where gives a tuple, one tensor for each dim: take the first, [0].",
        lambda y, cls: torch.arange(len(y))[torch.arange(len(y)) != cls],
        "That is every row but row 3: the class was taken for a row number. Which rows hold a label that is not 3?",
        lambda y, cls: (y != cls).nonzero()[:, 0].float(),
        "Only whole numbers can pick rows.",
        lambda y, cls: y[y != cls],
        "These are the labels that stay. Asked for are their row numbers, so that the pictures and the teacher's answers can "
        "be picked by them too.",
        lambda y, cls: (y != 3).nonzero()[:, 0],
        "Is a 3 written where cls should be?",
        lambda y, cls: torch.where((y != cls) & (y > 0))[0],
        "The zeros are gone, and 0 is a class like the others.",
        lambda y, cls: (y != cls).nonzero().squeeze(),
        "squeeze() takes away every dim of size 1, also the one that counts the rows when a single one stays: squeeze(1), or [:, 0].",
    ),
    read=row_numbers,
)

# ---- 2.7 ----

LIKELY = [[1.2, 2.2, 5.2, 3.2, 3.3, 3.4, 3.4], [1.4, 2.3, 5.1, 3.1, 3.3, 3.4, 3.4]]
TRIED = [0.0, 1.0, 1.75, 2.5, 6.0, -2.5, 2.0]
SPLIT = torch.tensor(  # what three students say to five pictures; together they choose otherwise than one by one
    [
        [[-3.0, 2.5, 1.25], [1.0, 3.5, 0.25], [3.0, -0.5, -0.75], [-1.0, -1.5, -1.75], [-1.0, -1.5, -0.75]],
        [[-1.0, 0.5, -1.75], [-3.0, 0.5, 1.25], [-1.0, -0.5, -1.75], [1.0, 0.5, 2.25], [-1.0, 1.5, 1.25]],
        [[-3.0, 2.5, -1.75], [-1.0, 0.5, -2.75], [-3.0, 3.5, -0.75], [-3.0, 1.5, 0.25], [-2.0, 5.5, 4.25]],
    ]
)


def gaps(rows):
    """Logits (S, N, 3): where the bias of class 1 is above its gap, an example goes to class 1, else to class 0."""
    gap = torch.tensor(rows)
    return torch.stack([torch.zeros_like(gap), -gap, torch.full_like(gap, -50.0)], -1)


def moved(logits, cls, bias):
    return logits + bias * F.one_hot(torch.tensor(cls), logits.shape[-1])


def share_right(logits, labels):
    return float((logits.argmax(-1) == labels).double().mean())


def best(score):
    """A choice by another score: score(logits, labels, cls, bias)."""
    return lambda logits, labels, cls, biases: max(biases, key=lambda bias: score(logits, labels, cls, bias))


def running(z, y, cls, biases):
    """The biases add up from one try to the next."""
    scores = [share_right(moved(z, cls, sum(biases[: i + 1])), y) for i in range(len(biases))]
    return biases[scores.index(max(scores))]


BIAS = Table(
    "choose_bias",
    "one of the biases",
    (
        Case(
            f"the biases {TRIED} for class 1, where 2.5 makes 86% right,",
            (gaps(LIKELY), torch.tensor([1, 1, 1, 0, 0, 0, 0]), 1, TRIED),
            2.5,
            "Return the bias itself, the one with which most answers are right: over all examples and all students.",
        ),
        Case(
            f"the biases {TRIED} with the classes 0 and 1 exchanged, cls = 0,",
            (gaps(LIKELY)[..., [1, 0, 2]], torch.tensor([0, 0, 0, 1, 1, 1, 1]), 0, TRIED),
            2.5,
            "Does the bias go to class cls, whichever it is?",
        ),
        Case(
            "three students and the biases 4, 0, 2, where 4 makes 67% right,",
            (gaps([[1.5, 1.6, 3.0], [3.5, 3.5, 1.0], [3.5, 3.5, 1.0]]), torch.tensor([1, 1, 0]), 1, [4.0, 0.0, 2.0]),
            4.0,
            "For the first student alone 2 is best. Do all students count, each by itself?",
        ),
        Case(
            "three students that disagree, cls = 2 and the biases -2 to 3",
            (SPLIT, torch.tensor([1, 1, 0, 0, 2]), 2, [1.0, 2.0, -1.0, 3.0, 0.0, -2.0]),
            -2.0,
            "Each answer of each student is right or wrong by itself: (moved.argmax(-1) == labels) is (S, N).",
        ),
    ),
    (
        lambda z, y, cls, biases: biases.index(
            best(lambda *a: share_right(moved(a[0], *a[2:]), a[1]))(z, y, cls, biases)
        ),
        "That is its place in the list. Return the bias itself.",
        lambda z, y, cls, biases: max(share_right(moved(z, cls, bias), y) for bias in biases),
        "That is the accuracy that it reaches. Return the bias itself.",
        best(lambda z, y, cls, bias: share_right(moved(z, cls, bias)[:, y == cls], y[y == cls])),
        "There, the class has what it can have, and many others are wrong. Best means the accuracy over all examples.",
        best(lambda z, y, cls, bias: share_right(moved(z, cls, -bias), y)),
        "This class needs help, and that is a push down. Is the bias added, with a plus?",
        best(lambda z, y, cls, bias: share_right(z + bias, y)),
        "It looks as if no bias changed a winner: a bias added to all classes moves none past another. Which place of the "
        "last dim is class cls?",
        running,
        "1 + 1.75 is 2.75, a good bias: do yours add up from one try to the next?",
        best(lambda z, y, cls, bias: share_right(moved(z, 1, bias), y)),
        "So it comes when the bias goes to class 1. Class cls is another one here.",
        best(lambda z, y, cls, bias: share_right(moved(z[:1], cls, bias), y)),
        "For one of the students alone that is best. All students count.",
        best(lambda z, y, cls, bias: share_right(moved(z, cls, bias).mean(0), y)),
        "So it comes when the students are averaged first. Each answer of each student counts by itself: (S, N) of them.",
        best(lambda z, y, cls, bias: share_right(F.one_hot(moved(z, cls, bias).argmax(-1), z.shape[-1]).sum(0), y)),
        "So it comes when the students vote first. Each answer of each student counts by itself: (S, N) of them.",
    ),
)


EXERCISES = {
    one.number: one
    for one in (
        Exercise("2.1", "the soft targets of several networks", 5, 1, soft_targets, SOFT_TARGETS).hinted(
            "Two steps: one mean over the networks, which are dim 0, then a softmax with a temperature.",
            "The temperature divides the mean logits. The classes are the last dim.",
            "logits.mean(0) is (N, C); divide it by T and give it to torch.softmax(..., dim=-1).",
        ),
        Exercise("2.2", "the map of what looks like what", 6, 2, similarity_map, MAP).hinted(
            "For one class c: which rows of probs have the label c, and what is their mean row?",
            "probs[labels == c] are the rows of class c; .mean(0) is their mean answer, (C,).",
            "Make a list of these rows for c in range(probs.shape[-1]) and torch.stack it.",
        ),
        Exercise("2.3", "KL, with its zeros", 8, 2, kl, KL).hinted(
            "Without zeros it is one line: p times the difference of the two logs, summed over the last dim.",
            "Where p is 0 the term must be 0, whatever q is: torch.where(p > 0, term, 0.0). Where q is 0 and p is not, "
            "leave the inf that comes by itself.",
            "torch.where(p > 0, p * (p.log() - q.log()), 0.0).sum(-1): the branch that is not chosen may be nan.",
        ),
        Exercise("2.4", "the floor and the gap", 5, 1, floor_and_gap, PARTS).hinted(
            "The floor is the entropy of p: set q = p in the cross-entropy. The gap is what you built in 2.3.",
            "torch.xlogy(p, p) is p ln p with 0 where p is 0. Mind the sign, and sum over the last dim.",
            "return -torch.xlogy(p, p).sum(-1), kl(p, q)",
        ),
        Exercise("2.5", "bits beyond the label", 6, 2, bits_beyond_label, BITS).hinted(
            "Three steps: the map, the row of the map for each example, the mean KL from each answer to that row.",
            "If typical is the map (C, C), then typical[labels] is (N, C): each example's row.",
            "kl(probs, typical[labels]).mean() is in nats; divide by math.log(2), or torch.tensor(2.0).log(), for bits.",
        ),
        Exercise("2.6", "take a class out", 3, 1, rows_without, ROWS).hinted(
            "labels != cls is True for the rows that stay. What turns True into row numbers?",
            ".nonzero() gives the places of the True ones, as (n, 1); take its only column with [:, 0].",
        ),
        Exercise("2.7", "choose the bias", 8, 3, choose_bias, BIAS).hinted(
            "For one bias: copy the logits, add the bias to class cls, take the winners, compare with the labels, average.",
            "moved = logits.clone(); moved[..., cls] += bias. Then (moved.argmax(-1) == labels).float().mean().",
            "Keep the best accuracy so far and its bias while you go through biases; or max(biases, key=score).",
        ),
    )
}
