"""Checks of lesson 02, judged against torch in double precision and numbers made by hand, not against our own code."""

import math

import torch
import torch.nn.functional as F

from course_lib.checks.exercise import Exercise, expect
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


# ---- what several checks ask ----


def said(numbers):
    """The numbers as a learner would write them: 0.665, 0.245, 0.09."""
    return ", ".join(f"{number:.4g}" for number in torch.as_tensor(numbers).detach().flatten()[:6].tolist())


def close(came, wanted, off=1e-4):
    """True where came has the shape and the numbers of wanted (infinities too)."""
    wanted = torch.as_tensor(wanted)
    return came.shape == wanted.shape and torch.allclose(came.double(), wanted.double(), rtol=1e-4, atol=off)


def call(answer, name, *given):
    """What the answer returns for these inputs; in words when it is no function or changed a tensor it was given."""
    expect(
        callable(answer), f"check takes the function {name} itself, without parentheses; it was given {answer!r:.60}."
    )
    mine = [one.clone() if torch.is_tensor(one) else one for one in given]
    came = answer(*mine)
    expect(came is not None, f"your {name} gave back None. Does it end with a return?")
    for before, after in zip(given, mine, strict=True):
        expect(
            not torch.is_tensor(before) or torch.equal(before, after),
            f"your {name} changed a tensor that it was given. Something works in place (an operation that ends in _, "
            "+=, or an assignment to x[...]); take a .clone() first, or make a new tensor.",
        )
    return came


def shaped(came, name, shape, what):
    """Says in words what came when it is not a tensor of this shape."""
    expect(
        torch.is_tensor(came),
        f"your {name} gave back a {type(came).__name__}; expected is a torch tensor of {what}.",
    )
    expect(
        tuple(came.shape) == tuple(shape),
        f"your {name} gave shape {tuple(came.shape)}; expected is {tuple(shape)}, {what}.",
    )
    return came


# ---- 2.1 ----

VOTES = torch.tensor([[[4.0, 0.0, -1.0], [0.0, 1.0, 3.0]], [[0.0, 2.0, -1.0], [2.0, 5.0, 1.0]]])  # (2, 2, 3)


def examine_soft_targets(soft_targets):
    name, what = "soft_targets", "one row of probabilities per picture"

    def come(logits, T):
        came = call(soft_targets, name, logits, T)
        expect(
            not (torch.is_tensor(came) and came.shape == logits.shape),
            f"logits of shape {tuple(logits.shape)} gave an answer for each of the {len(logits)} networks. "
            "Together they give one answer per picture: over which dim is the mean?",
        )
        return shaped(came, name, logits.shape[1:], what)

    first = VOTES[:, 0]  # two networks say (4, 0, -1) and (0, 2, -1): their mean is (2, 1, -1)
    came, right = come(VOTES, 1.0), torch.softmax(VOTES.double().mean(0), -1)
    expect(
        not close(came, VOTES.mean(0)) and not close(came, torch.log_softmax(VOTES.mean(0), -1)),
        f"two networks with the logits 4, 0, -1 and 0, 2, -1 gave {said(came[0])}. A target is a row of probabilities: "
        "none is negative, and they add up to 1.",
    )
    expect(
        not close(came, torch.softmax(VOTES, -1).mean(0)),
        f"two networks with the logits 4, 0, -1 and 0, 2, -1 gave {said(came[0])}: the mean of their probabilities. "
        "Another good way, but the exercise takes the mean of the logits. Which of the two steps comes first?",
    )
    expect(
        not close(came, torch.softmax(VOTES.sum(0), -1)),
        f"two networks with the logits 4, 0, -1 and 0, 2, -1 gave {said(came[0])}, as surely as the logits 4, 2, -2 "
        "would. With more networks your teacher gets surer and surer. Mean or sum?",
    )
    expect(
        not close(came, torch.softmax(torch.softmax(VOTES.mean(0), -1), -1)),
        f"two networks with the logits 4, 0, -1 and 0, 2, -1 gave {said(came[0])}: that is a softmax of probabilities, "
        "which flattens them. One softmax is enough, and it takes logits.",
    )
    expect(
        not close(came, torch.softmax(VOTES.mean(0), 0)),
        f"the first picture's probabilities add up to {float(came[0].sum()):.3f}: the softmax runs over the pictures. "
        "After the mean over the networks, which dim holds the classes?",
    )
    expect(
        close(came, right),
        f"two networks with the logits {said(first[0])} and {said(first[1])} gave {said(came[0])} at T = 1; "
        f"expected is {said(right[0])}, the softmax of 2, 1, -1.",
    )
    came, right = come(VOTES, 4.0), torch.softmax(VOTES.double().mean(0) / 4, -1)
    expect(
        not close(came, torch.softmax(VOTES.mean(0) * 4, -1)),
        f"at T = 4 the winner of the first picture got {float(came[0, 0]):.3f}, at T = 1 it had 0.705. A higher "
        "temperature takes from the winner. What does T do to the logits?",
    )
    expect(
        not close(came, torch.softmax(VOTES.mean(0), -1)),
        f"T = 1 and T = 4 gave the same {said(came[0])}. Where does your function use T?",
    )
    expect(
        not close(came, torch.softmax(VOTES.mean(0), -1) / 4),
        f"at T = 4 the first row adds up to {float(came[0].sum()):.3f}. T acted after the softmax; where must it act?",
    )
    expect(close(came, right), f"at T = 4 the first picture gave {said(came[0])}; expected is {said(right[0])}.")
    big = torch.tensor([[[300.0, 0.0]], [[500.0, 0.0]], [[100.0, 0.0]]])
    came = come(big, 2.0)
    expect(
        close(came, [[1.0, 0.0]]),
        f"three networks with logits such as 300, 0 gave {said(came)} at T = 2; expected is 1, 0. Large logits need a "
        "stable softmax: lesson 01, or torch.softmax.",
    )


# ---- 2.2 ----

PROBS = torch.tensor(
    [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.6, 0.3, 0.1], [0.0, 0.1, 0.9], [0.1, 0.5, 0.4], [0.7, 0.2, 0.1]]
)
LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
MAP = torch.tensor([[0.7, 0.2, 0.1], [0.15, 0.55, 0.3], [0.0, 0.1, 0.9]])  # by hand


def examine_similarity_map(similarity_map):
    came = call(similarity_map, "similarity_map", PROBS, LABELS)
    came = shaped(came, "similarity_map", (3, 3), "one row per label, one column per class")
    sums = torch.tensor([2.1, 0.6, 0.3]), torch.tensor([0.3, 1.1, 0.6]), MAP[2]
    expect(
        not close(came, MAP.T),
        f"the first row is {said(came[0])}, and the first column is right as a row. A row belongs to a label and "
        "a column to what the teacher answers: you have them the other way round.",
    )
    expect(
        not close(came, torch.stack(sums)),
        f"the row of label 0, which has 3 examples, adds up to {float(came[0].sum()):.2f}. You have the sums: a mean "
        "answer is itself a row of probabilities.",
    )
    expect(
        not close(came, torch.stack(sums) / 6),
        f"the row of label 0 adds up to {float(came[0].sum()):.2f}, its share of all 6 examples. How many examples "
        "does each row's mean run over?",
    )
    expect(
        not close(came, torch.stack(sums) / torch.stack(sums).sum(0)),
        f"each column adds up to 1, and the row of label 0 to {float(came[0].sum()):.2f}. Each row is an answer, so "
        "each row must add up to 1.",
    )
    winners = F.one_hot(PROBS.argmax(-1), 3).float()
    expect(
        not close(came, torch.stack([winners[LABELS == c].mean(0) for c in range(3)])),
        f"the row of label 0 is {said(came[0])}: it counts winners. The map is made of whole answers, also of what did "
        "not win.",
    )
    by_winner = torch.stack([PROBS[PROBS.argmax(-1) == c].mean(0) for c in range(3)])
    swapped = torch.tensor([1, 0, 2])  # labels that disagree with every winner of the first two classes
    other = call(similarity_map, "similarity_map", PROBS, swapped[LABELS])
    expect(
        not close(other, by_winner),
        "the examples are grouped by the teacher's own answer. Group them by their label: where the teacher is wrong, "
        "the two differ.",
    )
    expect(close(came, MAP), f"the row of label 0 is {said(came[0])}; expected is {said(MAP[0])}.")
    expect(
        close(other, MAP[swapped]),
        f"with the labels 0 and 1 exchanged, the row of label 0 is {said(other[0])}; expected is {said(MAP[1])}.",
    )


# ---- 2.3 ----

LN2 = math.log(2)
P = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
Q = torch.tensor([[0.25, 0.25, 0.5], [0.2, 0.3, 0.5]])
HALVES = torch.tensor([[0.5, 0.5, 0.0]])
THREE_P = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
THREE_Q = THREE_P.flip(0, 1)
FAR_P = torch.softmax(torch.tensor([[20.0, 2e-5, 0.0]]), -1)
FAR_Q = torch.softmax(torch.tensor([[-20.0, -2e-5, 0.0]]), -1)


def true_kl(p, q):
    """By torch's own distributions, which know nothing of this course; without zeros."""
    Categorical = torch.distributions.Categorical
    return torch.distributions.kl_divergence(Categorical(probs=p.double()), Categorical(probs=q.double()))


def crossed(p, q):
    return -torch.xlogy(p, q).sum(-1)


KL = Table(
    "kl",
    "one number per row",
    (
        Case(
            "p = (0.5, 0.25, 0.25), (0.9, 0.05, 0.05) and q = (0.25, 0.25, 0.5), (0.2, 0.3, 0.5)", (P, Q), true_kl(P, Q)
        ),
        Case("three rows of four classes", (THREE_P, THREE_Q), true_kl(THREE_P, THREE_Q), "Sum over the classes only."),
        Case(
            "p = 0.5, 0.5, 0 and q = 0.25, 0.25, 0.5",
            (HALVES, torch.tensor([[0.25, 0.25, 0.5]])),
            torch.tensor([LN2]),
            "By hand it is ln 2: the third term is 0, since p never says it, and the others are as before.",
        ),
        Case(
            "p = q = 1, 0, 0",
            (torch.tensor([[1.0, 0.0, 0.0]]),) * 2,
            torch.tensor([0.0]),
            "An answer is at distance 0 from itself.",
        ),
        Case(
            "p = 0.5, 0.5, 0 and q = 1, 0, 0",
            (HALVES, torch.tensor([[1.0, 0.0, 0.0]])),
            torch.tensor([math.inf]),
            "Here q rules out what p says half of the time. Only the zeros of p are harmless; a small number added to q "
            "(or a clamp) hides the others.",
        ),
        Case(
            f"p = {FAR_P[0].tolist()} and q the other way round",
            (FAR_P, FAR_Q),
            true_kl(FAR_P, FAR_Q),
            "Small probabilities count too: was something added to them, or were they cut off?",
            off=1e-3,
        ),
    ),
    (
        lambda p, q: kl(q, p),
        "That is KL(q || p). The divergence has a direction: which of the two weighs the terms, and which stands below "
        "the line?",
        lambda p, q: (p * (q / p).log()).sum(-1),
        "A KL divergence is never negative. Which way up is the fraction in the logarithm?",
        lambda p, q: (q * (p / q).log()).sum(-1),
        "No KL divergence is negative. The terms are weighed by q, the fraction is p / q; in the formula the same letter "
        "stands in front of the log and above the line.",
        lambda p, q: kl(p, q) / p.shape[-1],
        "With three classes that is a third of it: it looks like a mean over the classes. The formula has a sum.",
        lambda p, q: kl(p, q) / LN2,
        "That is right in bits. Asked for are nats: the logarithm with base e.",
        crossed,
        "That is the cross-entropy, and for q = p it would not be 0. What of it is p's own?",
        lambda p, q: (p.log() - q.log()).sum(-1),
        "These are the log-ratios added up, each class as important as the next. What weighs them?",
        lambda p, q: (p - q).abs().sum(-1),
        "These are the differences of the probabilities. The divergence takes the logs of their ratios.",
        lambda p, q: F.kl_div(p, q, reduction="none").sum(-1),
        "torch's F.kl_div takes the logs of q first, and then p: it is KL of the second to the first.",
        lambda p, q: kl(p, q).mean(),
        "Two examples need two numbers. Keep one per row: sum over the classes only.",
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


# ---- 2.4 ----


def examine_floor_and_gap(floor_and_gap):
    def come(p, q):
        came = call(floor_and_gap, "floor_and_gap", p, q)
        expect(
            isinstance(came, (tuple, list)) and len(came) == 2,
            f"your floor_and_gap gave back a {type(came).__name__}; expected are two things: return floor, gap.",
        )
        parts, what = zip(came, ("floor", "gap"), strict=True), "one number per row"
        return [shaped(part, f"floor_and_gap, {which},", p.shape[:1], what) for part, which in parts]

    floor, gap = come(P, Q)
    low, apart = torch.special.entr(P.double()).sum(-1), true_kl(P, Q)
    given = f"p = {said(P[1])} and q = {said(Q[1])}"
    expect(
        not (close(floor, apart) and close(gap, low)),
        f"both numbers are right, in the wrong order: for {given} the first is {said(floor[1])}, the KL. "
        "The docstring asks for the entropy first.",
    )
    expect(
        not close(floor, torch.special.entr(Q).sum(-1)),
        f"for {given} the floor is {said(floor[1])}, the entropy of q. The floor is the teacher's own doubt, whoever "
        "the student is.",
    )
    expect(
        not close(floor, -low),
        f"for {given} the floor is {said(floor[1])}: an entropy is never negative. Which sign stands before the sum?",
    )
    expect(
        not close(floor, low / math.log(2)),
        f"for {given} the floor is {said(floor[1])}: that is in bits, and nats are asked for.",
    )
    expect(
        not close(floor, low + apart),
        f"for {given} the floor is {said(floor[1])}: the whole cross-entropy. The floor is what is left of it when q = "
        "p.",
    )
    expect(close(floor, low), f"for {given} the floor is {said(floor[1])}; expected is {said(low[1])} nats.")
    expect(
        not close(gap, low + apart),
        f"for {given} the gap is {said(gap[1])}: the whole cross-entropy, floor included. The two parts add up to it.",
    )
    expect(
        not close(gap, true_kl(Q, P)),
        f"for {given} the gap is {said(gap[1])}, which is KL(q || p). With it, floor and gap don't add up to the "
        "cross-entropy.",
    )
    expect(close(gap, apart), f"for {given} the gap is {said(gap[1])}; expected is {said(apart[1])} nats.")
    p, q = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.25, 0.5, 0.25]])
    floor, gap = come(p, q)
    expect(
        not floor.isnan().any() and not gap.isnan().any(),
        "a label (p = 0, 1, 0) gave nan. A term with p = 0 is 0, in the entropy as in the KL: torch.xlogy, or "
        "torch.where.",
    )
    expect(
        close(floor, [0.0]) and close(gap, [math.log(2)]),
        f"a label (p = 0, 1, 0) and q = 1/4, 1/2, 1/4 gave the floor {said(floor)} and the gap {said(gap)}; expected "
        "are 0, since a label has no doubt, and ln 2 = 0.6931.",
    )


# ---- 2.5 ----

PAIRS = torch.tensor([[0.6, 0.4, 0.0], [1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.3, 0.4, 0.3]])
TWINS = torch.tensor([0, 0, 1, 1, 2])


def examine_bits_beyond_label(bits_beyond_label):
    def come(probs, labels):
        came = call(bits_beyond_label, "bits_beyond_label", probs, labels)
        expect(
            isinstance(came, float) or torch.is_tensor(came),
            f"your bits_beyond_label gave back a {type(came).__name__}; expected is one number.",
        )
        came = torch.as_tensor(came)
        expect(
            came.shape != probs.shape[:1],
            f"{len(probs)} examples gave {len(probs) if came.ndim else 0} numbers. Asked for is their mean: bits per "
            "example.",
        )
        expect(came.numel() == 1, f"your bits_beyond_label gave shape {tuple(came.shape)}; expected is one number.")
        return came.reshape(())

    # by hand: only the two examples of label 0 differ, and their mean answer is (0.8, 0.2, 0)
    typical = PROBS.new_tensor([0.8, 0.2, 0.0])
    apart = 0.6 * math.log(0.6 / 0.8) + 0.4 * math.log(0.4 / 0.2), math.log(1 / 0.8)
    nats = sum(apart) / 5
    came = come(PAIRS, TWINS)
    entr = torch.special.entr(PAIRS.double()).sum(-1)
    whole = PAIRS.double().mean(0)
    overall = torch.where(PAIRS > 0, torch.xlogy(PAIRS.double(), PAIRS / whole), 0.0).sum(-1).mean()
    given = "five answers, of which only the two of label 0 differ from their label's mean,"
    expect(
        not came.isnan(),
        f"{given} gave nan. Some probabilities are exactly 0, in an answer and in its row of the map: does your KL "
        "take 0 ln(0/0) as 0?",
    )
    expect(
        not close(came, nats),
        f"{given} gave {said(came)}, which is right in nats. A bit is ln 2 of a nat, so there are more bits than nats.",
    )
    expect(
        not close(came, nats * math.log(2)),
        f"{given} gave {said(came)}: the nats were multiplied by ln 2. A bit is smaller than a nat, so there must be "
        "more of them.",
    )
    expect(
        not close(came, entr.mean() / math.log(2)) and not close(came, entr.mean()),
        f"{given} gave {said(came)}: that is the mean entropy. It counts doubt, also the doubt that every picture of "
        "the label shares. How far is each answer from its label's row of the map?",
    )
    expect(
        not close(came, overall / math.log(2)),
        f"{given} gave {said(came)}: you compare with the mean of all answers, which counts what the label says too. "
        "Compare each answer with the mean answer of its own label.",
    )
    expect(
        not came.isinf(),
        f"{given} gave inf: the divergence from the row of the map to the answer. The answer comes first, the row is "
        "q.",
    )
    expect(
        not close(came, 5 * nats / math.log(2)),
        f"{given} gave {said(came)}, five times too much: the sum. Bits per example is the mean over the examples.",
    )
    by_class = (sum(apart) / 2) / 3
    expect(
        not close(came, by_class / math.log(2)),
        f"{given} gave {said(came)}: the mean over the labels of each label's mean. Every example counts once, so take "
        "one mean over all examples.",
    )
    expect(
        close(came, nats / math.log(2)),
        f"{given} gave {said(came)} bits per example; expected is {nats / math.log(2):.4f}. Their row of the map is "
        f"{said(typical)}.",
    )
    same = torch.tensor([[0.5, 0.3, 0.2]]).repeat(4, 1)
    came = come(same, torch.tensor([0, 1, 2, 2]))
    expect(
        close(came, 0.0),
        f"four equal answers gave {said(came)} bits; expected is 0: none says a thing about its picture.",
    )
    probs = torch.softmax(2 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), -1)
    labels = torch.tensor([0] * 3 + [1] * 12 + [2] * 14 + [3])
    came = come(probs, labels)
    means = torch.stack([probs[labels == c].mean(0) for c in range(4)])
    # another way to the same number: entropy of the mean answer minus mean of the entropies, label by label
    right = (torch.special.entr(means.double()).sum(-1)[labels] - torch.special.entr(probs.double()).sum(-1)).mean()
    right = right / math.log(2)
    expect(
        not close(came, true_kl(means[labels], probs).mean() / math.log(2)),
        f"thirty answers gave {said(came)}; expected is {said(right)}. The divergence runs from the row of the map to "
        "the answer; the answer comes first.",
    )
    expect(
        close(came, right),
        f"five answers are right, but thirty answers with four labels gave {said(came)} bits; expected is "
        f"{said(right)}. Is each example compared with the row of its own label?",
    )


# ---- 2.6 ----


def examine_rows_without(rows_without):
    labels = torch.tensor([3, 0, 5, 3, 2, 3, 0, 9])

    def come(labels, cls):
        came = call(rows_without, "rows_without", labels, cls)
        came = torch.as_tensor(came) if isinstance(came, list) and came and isinstance(came[0], int) else came
        expect(
            torch.is_tensor(came),
            f"your rows_without gave back a {type(came).__name__}; expected is a tensor of row numbers.",
        )
        expect(
            came.dtype != torch.bool,
            "your rows_without gave back True and False. That is the right first step; which rows are the True ones?",
        )
        expect(
            came.ndim != 2 or 1 not in came.shape,
            f"your rows_without gave shape {tuple(came.shape)}: each row number sits in a row of its own. Expected is "
            "one dim, (n,). nonzero() gives one column per dim of what it looks at.",
        )
        return came

    given = "for the labels 3, 0, 5, 3, 2, 3, 0, 9 without class 3"
    came = come(labels, 3)
    expect(
        not (came.shape == (3,) and came.tolist() == [0, 3, 5]),
        f"{given} came the rows 0, 3, 5: these are the threes. You keep what must go.",
    )
    expect(
        came.tolist() != [0, 5, 2, 0, 9],
        f"{given} came 0, 5, 2, 0, 9: the labels that stay. Asked for are their row numbers, so that the pictures and "
        "the teacher's answers can be picked by them too.",
    )
    expect(
        came.tolist() != [0, 1, 2, 4, 5, 6, 7],
        f"{given} came every row but row 3: the class was taken for a row number. Which rows hold a label that is not "
        "3?",
    )
    expect(
        came.tolist() == [1, 2, 4, 6, 7],
        f"{given} came {said(came)}; expected are the rows 1, 2, 4, 6, 7, counted from 0 and in order.",
    )
    expect(
        not came.is_floating_point(),
        f"{given} came row numbers with decimals ({came.dtype}); only whole numbers can pick rows.",
    )
    came = come(labels, 0)
    expect(
        came.tolist() == [0, 2, 3, 4, 5, 7],
        f"without class 3 is right, but without class 0 came {said(came)}. Is a 3 written where cls should be, or does "
        "a 0 count as nothing?",
    )
    expect(
        come(labels, 7).tolist() == list(range(8)),
        "without class 7, which is not there, all 8 rows must stay.",
    )


# ---- 2.7 ----


def table(gaps):
    """Logits (S, N, 3) by hand: where the bias is above its gap, an example goes to class 1, else to class 0."""
    logits = torch.zeros(*torch.tensor(gaps).shape, 3)
    logits[..., 1] = -torch.tensor(gaps)
    logits[..., 2] = -50.0
    return logits


def share_right(logits, labels, cls, bias):
    moved = logits + bias * F.one_hot(torch.tensor(cls), logits.shape[-1])
    return float((moved.argmax(-1) == labels).double().mean())


def examine_choose_bias(choose_bias):
    def come(logits, labels, cls, biases):
        came = call(choose_bias, "choose_bias", logits, labels, cls, biases)
        try:
            return float(came)
        except (TypeError, ValueError, RuntimeError):
            expect(False, f"your choose_bias gave back {came!r:.60}; expected is one number, the bias.")

    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0])
    logits = table([[1.2, 2.2, 5.2, 3.2, 3.3, 3.4, 3.4], [1.4, 2.3, 5.1, 3.1, 3.3, 3.4, 3.4]])
    biases = [0.0, 1.0, 1.75, 2.5, 6.0, -2.5]
    came = come(logits, labels, 1, biases)
    given = f"of the biases {said(biases)} for class 1"
    expect(
        came in biases,
        f"{given} came {came:g}, which is none of them. Return the bias itself, not its place in the list and not the "
        "accuracy that it reaches.",
    )
    reached = f"{share_right(logits, labels, 1, came):.0%} of all answers are right; with 2.5 it is 86%"
    expect(
        came != 6.0,
        f"{given} came 6. There, every example of class 1 is right, every other one is wrong, and {reached}. Best "
        "means the accuracy over all examples.",
    )
    expect(
        came != -2.5,
        f"{given} came -2.5, where {reached}. This class needs help, and got a push down. Is the bias added, with a "
        "plus, and to class cls?",
    )
    expect(
        came != 0.0,
        f"{given} came 0, where {reached}. It looks as if no bias changed a winner: a bias added to all classes moves "
        "none past another. Which place of the last dim is class cls?",
    )
    expect(
        came != 1.75,
        f"{given} came 1.75, where {reached}. 1 + 1.75 is 2.75, a good bias: do yours add up from one try to the next?",
    )
    expect(came == 2.5, f"{given} came {came:g}, where {reached}.")

    moved = logits[..., [1, 0, 2]]
    came = come(moved, 1 - labels, 0, biases)
    expect(
        came == 2.5,
        f"for class 1 the bias is right; with the classes 0 and 1 exchanged and cls = 0 came {came:g}, expected is 2.5 "
        "again. Does the bias go to class cls, whichever it is?",
    )
    labels = torch.tensor([1, 1, 0])
    logits = table([[1.5, 1.6, 3.0], [3.5, 3.5, 1.0], [3.5, 3.5, 1.0]])
    came = come(logits, labels, 1, [0.0, 2.0, 4.0])
    expect(
        came == 4.0,
        f"three students together are right most often with the bias 4 of 0, 2, 4 (67%), and came {came:g}, where "
        f"{share_right(logits, labels, 1, came):.0%} are. For the first student alone 2 is best. Do all students "
        "count?",
    )


EXERCISES = {
    one.number: one
    for one in (
        Exercise("2.1", "the soft targets of several networks", 5, 1, soft_targets, examine_soft_targets).hinted(
            "Two steps: one mean over the networks, which are dim 0, then a softmax with a temperature.",
            "The temperature divides the mean logits. The classes are the last dim.",
            "logits.mean(0) is (N, C); divide it by T and give it to torch.softmax(..., dim=-1).",
        ),
        Exercise("2.2", "the map of what looks like what", 6, 2, similarity_map, examine_similarity_map).hinted(
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
        Exercise("2.4", "the floor and the gap", 5, 1, floor_and_gap, examine_floor_and_gap).hinted(
            "The floor is the entropy of p: set q = p in the cross-entropy. The gap is what you built in 2.3.",
            "torch.xlogy(p, p) is p ln p with 0 where p is 0. Mind the sign, and sum over the last dim.",
            "return -torch.xlogy(p, p).sum(-1), kl(p, q)",
        ),
        Exercise("2.5", "bits beyond the label", 6, 2, bits_beyond_label, examine_bits_beyond_label).hinted(
            "Three steps: the map, the row of the map for each example, the mean KL from each answer to that row.",
            "If typical is the map (C, C), then typical[labels] is (N, C): each example's row.",
            "kl(probs, typical[labels]).mean() is in nats; divide by math.log(2), or torch.tensor(2.0).log(), for "
            "bits.",
        ),
        Exercise("2.6", "take a class out", 3, 1, rows_without, examine_rows_without).hinted(
            "labels != cls is True for the rows that stay. What turns True into row numbers?",
            ".nonzero() gives the places of the True ones, as (n, 1); take its only column with [:, 0].",
        ),
        Exercise("2.7", "choose the bias", 8, 3, choose_bias, examine_choose_bias).hinted(
            "For one bias: copy the logits, add the bias to class cls, take the winners, compare with the labels, "
            "average.",
            "moved = logits.clone(); moved[..., cls] += bias. Then (moved.argmax(-1) == labels).float().mean().",
            "Keep the best accuracy so far and its bias while you go through biases; or max(biases, key=score).",
        ),
    )
}
