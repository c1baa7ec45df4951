"""Checks of lesson 01, judged against torch in double precision and numbers made by hand, not against our own code."""

import math

import torch

from course_lib.checks.exercise import Exercise
from course_lib.checks.table import Case, Table

# ---- what the lesson goes on with until the learner's own answers are right ----


def softmax(logits, T=1.0):
    z = logits / T
    e = (z - z.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def log_softmax(logits, T=1.0):
    return torch.log_softmax(logits / T, dim=-1)


def entropy(probs, base=math.e):
    return torch.special.entr(probs).sum(-1) / math.log(base)


def cold(logits):
    winners = (logits == logits.max(-1, keepdim=True).values).to(logits.dtype)
    return winners / winners.sum(-1, keepdim=True)


def hot(logits, T):
    C = logits.shape[-1]
    return 1 / C + (logits - logits.mean(-1, keepdim=True)) / (C * T)


def jacobian(logits, T=1.0):
    p = softmax(logits, T)
    return (torch.diag(p) - torch.outer(p, p)) / T


def temperature_for(logits, wanted, low=0.01, high=100.0):
    for _ in range(60):
        middle = (low + high) / 2
        if entropy(softmax(logits, middle)) < wanted:
            low = middle
        else:
            high = middle
    return middle


# ---- 1.1 and 1.2 ----

TOY = torch.tensor([2.0, 1.0, 0.0])
ROWS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.5, 3.0]])
CUBE = torch.stack([ROWS, ROWS.flip(-1)])  # (2, 2, 3)
FAR = torch.tensor([10_000.0, 9_999.0, -10_000.0])
APART = torch.tensor([[10_000.0, 9_999.0], [-10_000.0, -9_999.0]])
NO_T = "T divides the logits, before anything else."
TOO_FAR = (
    "No exponent may get large, and no logit may be cut off or rescaled: exp(10000) is larger than any float32. Adding "
    "one number to every logit changes no probability; which one makes the largest exponent 0?"
)
LOGITS = (  # (what is given, the logits, T, what to look at, how far off)
    ("the logits 2, 1, 0 at T = 1", TOY, 1.0, "By hand: exp gives 7.389, 2.718 and 1, 11.11 in all.", 1e-6),
    (
        "the logits -3, 0.5, 1, 0.5 at T = 1",
        torch.tensor([-3.0, 0.5, 1.0, 0.5]),
        1.0,
        "Two are equal, one is negative.",
        1e-6,
    ),
    ("the batch (2, 1, 0), (0, 0.5, 3)", ROWS, 1.0, "Each row is one answer, and its probabilities add up to 1.", 1e-6),
    ("logits of shape (2, 2, 3)", CUBE, 1.0, "The classes are always the last dim, and dim=-1 is its name.", 1e-6),
    ("the logits 2, 1, 0 at T = 2", TOY, 2.0, NO_T, 1e-6),
    ("the batch (2, 1, 0), (0, 0.5, 3) at T = 0.5", ROWS, 0.5, NO_T, 1e-6),
    (
        "the logits 0, -200",
        torch.tensor([0.0, -200.0]),
        1.0,
        "exp(-200) is rounded to 0, and the log of that is lost; a small number added (or a clamp) hides it and changes the "
        "answer. Write the log of the fraction as a difference: no probability is ever made.",
        1e-6,
    ),
    ("the logits 10000, 9999", FAR[:2], 1.0, TOO_FAR, 2e-3),
    ("the logits 10000, 9999, -10000", FAR, 1.0, TOO_FAR, 2e-3),
    ("the logits 10000, 9999, -10000 at T = 0.5", FAR, 0.5, TOO_FAR, 2e-3),
    ("the rows (10000, 9999) and (-10000, -9999)", APART, 1.0, "Does each row get its own largest number?", 2e-3),
    (
        "the logits 12, 11, -12 in half precision",
        torch.tensor([12.0, 11.0, -12.0], dtype=torch.half),
        1.0,
        "The largest float16 is 65504 and exp(12) is 162755: no exponential may get that large.",
        1e-2,
    ),
)


def cases(function):
    """The logits above, with what torch's own function makes of them in double precision."""
    right = [(seen, (z, T), function(z.double() / T, -1).float(), why, off) for seen, z, T, why, off in LOGITS]
    return tuple(Case(*one) for one in right) + (Case("the logits 2, 1, 0 without a T", (TOY,), function(TOY, -1)),)


def exps(z, T):
    return (z / T).exp()


def share(e):
    return e / e.sum(-1, keepdim=True)


def less(z, largest):
    return share((z - largest).exp())


SOFTMAX = Table(
    "softmax",
    "one probability per class",
    cases(torch.softmax),
    (
        lambda z, T: torch.log_softmax(z / T, -1),
        "These are logs of probabilities. A probability lies between 0 and 1.",
        exps,
        "The exponentials are there. What makes them add up to 1?",
        lambda z, T: exps(z - z.max(), T),
        "The exponentials are there, the largest of them 1. What makes them add up to 1?",
        lambda z, T: share(z / T),
        "That is each logit as a share of their sum. What would a negative logit get?",
        lambda z, T: torch.softmax(z / T, 0),
        "Each column adds up to 1, where each row should. A row is one answer. Which dim holds the classes?",
        lambda z, T: exps(z, T) / exps(z, T).sum(),
        "The whole batch adds up to 1, where each row should. What do you sum over?",
        lambda z, T: exps(z, T) / exps(z, T).sum(-1),
        "After .sum(-1) or .max(-1) the last dim is gone, and one number per row does not fit the rows: keepdim=True.",
        lambda z, T: torch.softmax(z / T, 1 if z.ndim > 1 else 0),
        "One dim and two are right, three are not. The classes are always the last dim, and dim=-1 is its name.",
        lambda z, T: torch.softmax(z * T, -1),
        "A higher temperature takes from the winner, which had 0.6652 at T = 1; yours gives to it. What does T do to the logits?",
        lambda z, T: torch.softmax(z, -1),
        "That is the same as at T = 1. Where does your softmax use T?",
        lambda z, T: torch.softmax(z, -1) / T,
        "They add up to 0.5: T divided the finished probabilities. Where must it act instead?",
        lambda z, T: torch.softmax(z, -1) ** (1 / T),
        "They add up to 1.61: T acted after the normalising. Where must it act instead?",
        lambda z, T: share(exps(z, T)),
        "exp(10000) is larger than any float32. Adding one number to every logit changes no probability. Which number "
        "leaves no large exponent?",
        lambda z, T: less(z / T, (z / T).mean(-1, keepdim=True)),
        "With the mean taken away an exponent is still too large here. Which logit is the largest, and what should it become?",
        lambda z, T: less(z / T, (z / T).max()),
        "Each row needs its own largest number taken away, not that of the whole batch.",
    ),
    gradient=lambda z, T: torch.softmax(z / T, -1),
    forbids=(
        {"softmax", "log_softmax", "special_softmax", "special_log_softmax", "_sparse_softmax", "cross_entropy"},
        "the numbers are right, and torch's own softmax made them. This once, write it yourself: exp, sum, a division.",
    ),
)

LOG_SOFTMAX = Table(
    "log_softmax",
    "one log-probability per class",
    cases(torch.log_softmax),
    (
        lambda z, T: torch.softmax(z / T, -1),
        "These are the probabilities. Asked for are their natural logs.",
        lambda z, T: -torch.log_softmax(z / T, -1),
        "A probability is at most 1, so its log is at most 0: check the sign.",
        lambda z, T: torch.log_softmax(z / T, -1) / math.log(2),
        "These are logs with base 2. In this course log is the natural one, ln.",
        lambda z, T: z / T - (z / T).max(),
        "The largest is taken away, and exp of these adds up to more than 1. The log of a sum is missing.",
        lambda z, T: torch.log_softmax(z / T, 0),
        "exp of each column adds up to 1, where each row should. Which dim holds the classes?",
        lambda z, T: z / T - exps(z, T).sum().log(),
        "exp of the whole batch adds up to 1, where each row should. What do you sum over?",
        lambda z, T: z / T - exps(z, T).sum(-1).log(),
        "After .sum(-1) or .max(-1) the last dim is gone, and one number per row does not fit the rows: keepdim=True.",
        lambda z, T: torch.log_softmax(z / T, 1 if z.ndim > 1 else 0),
        "One dim and two are right, three are not. The classes are always the last dim, and dim=-1 is its name.",
        lambda z, T: torch.log_softmax(z, -1) / T,
        "exp of these adds up to 1.61: you divided the finished log-probabilities by T. What must be divided before the normalising?",
        lambda z, T: torch.log_softmax(z * T, -1),
        "A higher temperature takes from the winner, which had -0.4076 at T = 1; yours gives to it. What does T do to the logits?",
        lambda z, T: torch.log_softmax(z, -1),
        "That is the same as at T = 1. Where does your log_softmax use T?",
        lambda z, T: torch.softmax(z / T, -1).log(),
        "The probability exp(-200) is rounded to 0 and its log is lost. Write the log of the fraction as a difference, so "
        "that no probability is ever made.",
        lambda z, T: z / T - exps(z, T).sum(-1, keepdim=True).log(),
        "An exponential overflowed. What did you take away from the logits in your softmax?",
        lambda z, T: z / T - (z / T).max() - exps(z - z.max(), T).sum(-1, keepdim=True).log(),
        "Each row needs its own largest number taken away, not that of the whole batch.",
    ),
    gradient=lambda z, T: torch.log_softmax(z / T, -1),
)

# ---- 1.3 ----

EIGHT = torch.full((8,), 1 / 8)
FLAT = torch.full((3, 4, 8), 1 / 8)
RARE = torch.tensor([1 - 1e-4, 1e-4])
ADDED = "A number added before the log (or a clamp) is too large for a rare class."
ANSWERS = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])


def shannon(p, base=math.e):
    """Entropy by torch's own special function, in double precision."""
    return torch.special.entr(p.double()).sum(-1) / math.log(base)


def plogp(p, log=torch.log):
    """-p log p, with its zeros as zeros."""
    return -p * log(torch.where(p > 0, p, 1.0))


ENTROPY = Table(
    "entropy",
    "one number per answer",
    (
        Case("eight equally likely classes, in nats,", (EIGHT,), torch.tensor(math.log(8)), "By hand it is ln 8."),
        Case(
            "0.1, 0.2, 0.3, 0.4, in nats,", (ANSWERS[1],), shannon(ANSWERS[1]), "Each surprise, weighed by its class."
        ),
        Case("two answers, in nats,", (ANSWERS[1:],), shannon(ANSWERS[1:]), "One number for each row."),
        Case("answers of shape (3, 4, 8)", (FLAT,), shannon(FLAT), "Sum over dim=-1, the classes."),
        Case("eight equally likely classes, with base=2,", (EIGHT, 2), torch.tensor(3.0), "Three yes-or-no questions."),
        Case(
            "eight equally likely classes, with base=10,", (EIGHT, 10), torch.tensor(math.log10(8)), "Not only base 2."
        ),
        Case("1/2, 1/4, 1/4, 0, with base=2,", (ANSWERS[0], 2), torch.tensor(1.5), "1/2·1 + 1/4·2 + 1/4·2 + 0 = 1.5."),
        Case("the probabilities 0.9999, 0.0001", (RARE,), shannon(RARE), ADDED, 3e-7),
        Case("the certain answer 1, 0, 0", (torch.eye(3)[0],), torch.tensor(0.0), ADDED, 3e-7),
        Case("a batch with a zero", (ANSWERS,), shannon(ANSWERS), "Zeros in a batch, too."),
    ),
    (
        lambda p, base=math.e: -plogp(p).sum(-1) / math.log(base),
        "The log of a probability is negative and entropy is not: check the sign.",
        lambda p, base=math.e: plogp(p).mean(-1) / math.log(base),
        "The definition sums over the classes, it does not average.",
        lambda p, base=math.e: plogp(p, torch.log2).sum(-1),
        "That is in bits. Without a base the answer is in nats: logarithms with base e.",
        lambda p, base=math.e: plogp(p, torch.log10).sum(-1),
        "That is a logarithm with base 10. Nats take base e.",
        lambda p, base=math.e: plogp(p).sum() / math.log(base),
        "One number came for the whole batch. Each row is one answer: sum over the classes only.",
        lambda p, base=math.e: plogp(p) / math.log(base),
        "That is one number per class. What do you sum over?",
        lambda p, base=math.e: plogp(p).sum(0) / math.log(base),
        "You sum over the rows. Which dim holds the classes?",
        lambda p, base=math.e: plogp(p).sum(1 if p.ndim > 1 else 0) / math.log(base),
        "One dim and two are right, three are not. The classes are always the last dim, and dim=-1 is its name.",
        lambda p, base=math.e: plogp(p).sum(-1),
        "That is the same as in nats. Is base used?",
        lambda p, base=math.e: plogp(p).sum(-1) * math.log(base),
        "A bit is smaller than a nat, so there must be more of them. How does one change the base of a logarithm?",
        lambda p, base=math.e: plogp(p, torch.log2 if base == 2 else torch.log).sum(-1),
        "Nats and bits are right. But base may be any number above 1, 10 for one.",
        lambda p, base=math.e: -(p * p.log()).sum(-1) / math.log(base),
        "log(0) is -inf, and 0 times -inf is nan. A class that never happens adds nothing, since p log p goes to 0 with p. "
        "How can its term become 0?",
    ),
)

# ---- 1.4 ----

NO_NEARLY = (
    "A lead, however small, divided by a T that goes to 0 grows without end: the limit knows no nearly, and no T."
)


def winners(z):
    return (z == z.amax(-1, keepdim=True)).float()


def cold_case(seen, z, right, why):
    return Case(seen, (torch.tensor(z),), torch.tensor(right), why)


COLD = Table(
    "cold",
    "one probability per class: the whole answer as T → 0",
    (
        cold_case("the logits 2, 1, 0", [2.0, 1.0, 0.0], [1.0, 0.0, 0.0], "The winner's lead grows without end."),
        cold_case("the logits -3, -1, -2", [-3.0, -1.0, -2.0], [0.0, 1.0, 0.0], "The largest wins, also below 0."),
        cold_case("the logits 3, 1, 3, 0", [3.0, 1.0, 3.0, 0.0], [0.5, 0.0, 0.5, 0.0], "Both winners get the same."),
        cold_case("the logits 0, 0, 0, 0", [0.0] * 4, [0.25] * 4, "Four winners: what does each get?"),
        cold_case("the logits 1, 1.001, 0", [1.0, 1.001, 0.0], [0.0, 1.0, 0.0], NO_NEARLY),
        cold_case("the logits 5000, 4999, -5000", [5000.0, 4999.0, -5000.0], [1.0, 0.0, 0.0], "Nothing may overflow."),
        cold_case("the logits 1e-35, 0", [1e-35, 0.0], [1.0, 0.0], NO_NEARLY),
        cold_case("the logits 100, 100.0005", [100.0, 100.0005], [0.0, 1.0], NO_NEARLY),
        cold_case(
            "the rows (2, 1) and (7, 9)", [[2.0, 1.0], [7.0, 9.0]], [[1.0, 0.0], [0.0, 1.0]], "Each has its winner."
        ),
        Case("logits of shape (2, 2, 3)", (CUBE,), winners(CUBE), "The classes are always the last dim: dim=-1."),
    ),
    (
        lambda z: z.argmax(-1),
        "That is the winner's place. Asked for is the whole answer as T → 0, a probability for each class.",
        lambda z: z == z.amax(-1, keepdim=True),
        "Probabilities are numbers that add up to 1, also when two are True.",
        lambda z: torch.softmax(z / 0, -1),
        "Something was divided by 0. No T = 0 is needed: write down what the answers tend to as T gets smaller.",
        lambda z: torch.softmax(z, -1),
        "That is T = 1. As T → 0 the winner's lead, divided by T, grows without end. What is left for the others?",
        lambda z: torch.softmax(z / 0.1, -1),
        "That is T = 0.1, a small T and not the limit: the winner's lead, divided by T, grows without end. What is left for the others?",
        lambda z: winners(-z),
        "Everything went to the smallest logit. Who wins when T gets small?",
        winners,
        "These add up to 2. There are two winners: what does each get?",
        lambda z: torch.eye(z.shape[-1])[z.argmax(-1)],
        "The first and the third logit are equal, so they have equal probabilities at every T, and in the limit too.",
        lambda z: torch.softmax(z / 0.01, -1),
        "That is T = 0.01, a small T and not the limit: a lead of 0.001, divided by a T that goes to 0, grows without end, too.",
        lambda z: share(torch.isclose(z, z.amax(-1, keepdim=True)).float()),
        "A lead of 1e-35 is a lead. No T is small enough for every lead, and isclose takes what is nearly equal for equal.",
        lambda z: (z == z.max()).float() / (z == z.max()).sum(),
        "Only one row has a winner. Each row has its own.",
        lambda z: share(winners(z.transpose(0, -1)).transpose(0, -1)),
        "The winners are those of the columns. Which dim holds the classes?",
    ),
)

# ---- 1.5 ----


FOURS = torch.tensor([[[3.0, 0.0, 0.0, -1.0]], [[30.0, 31.0, 32.0, 33.0]]])  # (2, 1, 4)
BY_HAND = torch.tensor([[[0.2625, 0.2475, 0.2475, 0.2425]], [[0.2425, 0.2475, 0.2525, 0.2575]]])  # at T = 50


def hot_case(seen, z, T, right, why):
    return Case(seen, (torch.tensor(z), T), torch.tensor(right), why)


def centred(z):
    return z - z.mean(-1, keepdim=True)


def line(z, T):
    return 1 / z.shape[-1] + centred(z) / (z.shape[-1] * T)


HOT = Table(
    "hot",
    "one number per class",
    (
        hot_case(
            "the logits 3, 0, 0 at T = 10", [3.0, 0.0, 0.0], 10.0, [0.4, 0.3, 0.3], "By hand: 1/3 + 2/30, 1/3 - 1/30."
        ),
        hot_case("the logits 3, 1 at T = 4", [3.0, 1.0], 4.0, [0.625, 0.375], "C is 2 here."),
        Case(
            "the rows (3, 0, 0, -1), (30, 31, 32, 33) at T = 50",
            (FOURS[:, 0], 50.0),
            BY_HAND[:, 0],
            "A mean for each row.",
        ),
        Case(
            "logits of shape (2, 1, 4) at T = 30",
            (FOURS, 30.0),
            0.25 + (BY_HAND - 0.25) * 5 / 3,
            "The classes are dim=-1.",
        ),
        hot_case(
            "the logits 6, 0, 0 at T = 1",
            [6.0, 0.0, 0.0],
            1.0,
            [5 / 3, -1 / 3, -1 / 3],
            "A line does not bend at 0 or 1.",
        ),
    ),
    (
        lambda z, T: torch.softmax(z / T, -1),
        "That is the exact softmax. Asked for is the straight line in 1/T that it approaches, without any exp.",
        lambda z, T: torch.full_like(z, 1 / z.shape[-1]),
        "That is the limit itself. The term that knows the logits and shrinks like 1/T is missing.",
        lambda z, T: 1 / z.shape[-1] + z / (z.shape[-1] * T),
        "These add up to more than 1. Adding a number to every logit must change nothing: what has to be taken away from them first?",
        lambda z, T: (1 + z / T) / (z.shape[-1] + (z / T).sum(-1, keepdim=True)),
        "These add up to 1, but a number added to every logit changes them, and they are no straight line in 1/T: "
        "1 / (1 + x) is about 1 - x.",
        lambda z, T: centred(z) / (z.shape[-1] * T),
        "These add up to 0. The correction is there; where does the answer go when T grows without end?",
        lambda z, T: 1 / z.shape[-1] + centred(z) / T,
        "The direction fits, and the step is C times too long: the exact winner has 0.403.",
        lambda z, T: 1 / z.shape[-1] + centred(z) * T / z.shape[-1],
        "The correction grows with T, and it has to fade.",
        lambda z, T: 1 / z.shape[-1] + centred(z) / (z.shape[-1] * T**2),
        "The correction fades too fast: the exact winner has 0.403. Which power of 1/T is the first?",
        lambda z, T: 1 / 3 + centred(z) / (3 * T),
        "Three classes are right, other numbers of classes are not: count them, logits.shape[-1].",
        lambda z, T: 1 / z.shape[-1] + (z - z.mean()) / (z.shape[-1] * T),
        "Each row needs its own mean, not that of the whole batch.",
        lambda z, T: 1 / z.shape[-1] + (z - z.mean(0)) / (z.shape[-1] * T) if z.ndim > 1 else line(z, T),
        "The mean is that of each column. A row is one answer: which dim holds the classes?",
        lambda z, T: line(z, T).clamp(0, 1),
        "The straight line leaves 0…1 where T is not large. That is where it ends to be good; do not cut it off.",
    ),
)

# ---- 1.6 ----


def slopes(formula, z, T, *, inside=True, outside=1.0):
    """A formula of the probabilities, at T inside the softmax or at 1; times a factor outside."""
    return formula(torch.softmax(z / T if inside else z, -1)) * outside


def spread(p):
    return torch.diag(p) - torch.outer(p, p)


def jacobian_case(seen, z, *T, why=""):
    """What torch's autograd makes of its own softmax in double precision."""
    z, t = torch.tensor(z), T[0] if T else 1.0
    exact = torch.autograd.functional.jacobian(lambda z: torch.softmax(z / t, -1), z.double())
    return Case(seen, (z, *T), exact.float(), why)


JACOBIAN = Table(
    "jacobian",
    "row i, column j holds dp_i / dz_j",
    (
        jacobian_case("the logits 2, 1, 0 without a T", [2.0, 1.0, 0.0], why="Each column adds up to 0."),
        jacobian_case("the logits 2, 1, 0 at T = 4", [2.0, 1.0, 0.0], 4.0, why="T divides the logits on the way in."),
        jacobian_case(
            "the logits 1, -1, 0.5, 2, 0 at T = 0.5", [1.0, -1.0, 0.5, 2.0, 0.0], 0.5, why="There are 5 classes."
        ),
        jacobian_case("the logits 0, 3 at T = 2", [0.0, 3.0], 2.0, why="There are two classes here."),
        jacobian_case("the logits 500, 499, 0 at T = 1", [500.0, 499.0, 0.0], 1.0, why="Is your softmax stable?"),
    ),
    (
        lambda z, T=1.0: slopes(lambda p: torch.diag(p * (1 - p)), z, T) / T,
        "The diagonal is right and all beside it is 0. When one logit rises, the other probabilities fall: what is "
        "dp_i / dz_j for two different classes?",
        lambda z, T=1.0: slopes(lambda p: torch.diag(p) + torch.outer(p, p), z, T) / T,
        "The second number, dp_0 / dz_1, is positive. When a rival's logit rises, does your probability rise?",
        lambda z, T=1.0: -slopes(spread, z, T) / T,
        "The first number, dp_0 / dz_0, is negative. When your own logit rises, does your probability fall?",
        lambda z, T=1.0: slopes(lambda p: torch.outer(p, 1 - p), z, T) / T,
        "The diagonal is right, but p_i (1 − p_j) holds on the diagonal only. The probabilities always add up to 1, so each "
        "column must add up to 0.",
        lambda z, T=1.0: slopes(lambda p: torch.eye(len(p)) - p, z, T) / T,
        "That is the derivative of the log-probabilities. How do small steps in log p and in p relate?",
        lambda z, T=1.0: slopes(lambda p: p * (1 - p), z, T) / T,
        "Is that the diagonal alone? The table has a row for each probability and a column for each logit.",
        lambda z, T=1.0: slopes(spread, z, T),
        "The logits are divided by T on the way in: and the chain rule? Nudge a logit and look.",
        lambda z, T=1.0: slopes(spread, z, 1.0),
        "That is the same as at T = 1. Where does your jacobian use T?",
        lambda z, T=1.0: slopes(spread, z, 1.0) / T,
        "The factor in front has its T; do the probabilities have it too?",
        lambda z, T=1.0: slopes(spread, z, T) / T**2,
        "The chain rule gives one factor of 1/T; you have two.",
    ),
    forbids=(
        {"grad", "backward", "_make_dual"},
        "the numbers are right, and torch.autograd made them. It may check you; the formula is yours to write.",
    ),
)

# ---- 1.7 ----

FIVE = torch.tensor([4.0, 2.0, 1.0, 0.0, -2.0])


def nats_at(z, T):
    return float(shannon(torch.softmax(z.double() / T, -1)))


def search_case(seen, z, T):
    """The T is chosen, and its entropy asked for; 0.001 nats off are 0.001 · T³ / Var(z) off in T."""
    p = torch.softmax(z.double() / T, -1)
    variance = float((p * z**2).sum() - (p * z).sum() ** 2)
    nats = nats_at(z, T)
    why = (
        "Print low, high and the entropy at the middle, step by step. Is it searched from 0.01 to 100, in enough steps?"
    )
    return Case(f"{seen} and a wanted entropy of {nats:.4f} nats", (z, nats), T, why, 1.1e-3 * T**3 / variance)


def bisect(z, wanted, low=0.01, high=100.0, steps=60, entropy=nats_at):
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if entropy(z, middle) < wanted else (low, middle)
    return middle


TEMPERATURE = Table(
    "temperature_for",
    "one number, the temperature",
    (
        search_case("the logits 4, 2, 1, 0, -2", FIVE, 1.75),
        search_case("the logits 4, 2, 1, 0, -2", FIVE, 0.45),
        search_case("the logits 4, 2, 1, 0, -2", FIVE, 24.0),
        search_case("the logits 240, 120, 60, 0, -120", FIVE * 60, 99.5),
        search_case("the logits 0.02, 0.01, 0.005, 0, -0.01", FIVE / 200, 0.012),
        search_case("the logits 1004, 1002, 1001, 1000, 998", FIVE + 1000, 0.9),
        search_case("the logits 3, 0, 3", torch.tensor([3.0, 0.0, 3.0]), 6.5),
        search_case("the logits 2, 1, 0", TOY, 0.3),
    ),
    (
        lambda z, wanted: wanted,
        "That is the entropy. Asked for is the temperature at which you find it.",
        lambda z, wanted: bisect(z, wanted * math.log(2)),
        "At yours the entropy is that many bits. Leave the base of your entropy at e.",
        lambda z, wanted: bisect(z, wanted, entropy=lambda z, T: -nats_at(z, T) + 2 * wanted),
        "That is one end of the interval: each step kept the wrong half. When the answer at the middle is too sharp, is the "
        "T you look for above or below?",
        lambda z, wanted: (0.01, 100.0),
        "Asked for is one number: the middle, once the interval is small.",
        lambda z, wanted: bisect(z, wanted, steps=1),
        "That is the first middle. Does a return stand inside the loop?",
        lambda z, wanted: bisect(z, wanted, steps=12),
        "That is near, but not within 0.001 nats. Each step halves the interval, which begins 100 wide: do you stop too early?",
        lambda z, wanted: bisect(z, wanted, 0.5, 10.0),
        "You search from 0.5 to 10, it seems. The wanted T may lie anywhere from 0.01 to 100.",
    ),
)


EXERCISES = {
    one.number: one
    for one in (
        Exercise("1.1", "a softmax that survives", 6, 2, softmax, SOFTMAX).hinted(
            "Divide the logits by T, take exp, divide by the sum over the classes: dim=-1, keepdim=True.",
            "Adding the same number to all logits of an answer changes nothing, since exp(z + a) = exp(z) · exp(a). "
            "Choose the number so that the largest exponent is 0.",
            "z = logits / T, then z - z.max(dim=-1, keepdim=True).values, then exp, then divide by the sum.",
        ),
        Exercise("1.2", "log-softmax, without the log of a zero", 5, 2, log_softmax, LOG_SOFTMAX).hinted(
            "log(a / b) = log a − log b. Here a is an exponential, and its log is free.",
            "log softmax(z) = z − log(sum(exp(z))), and that still holds after the largest z is taken away.",
            "z = logits / T; z = z - z.max(dim=-1, keepdim=True).values; then z minus the log of the sum of z.exp().",
        ),
        Exercise("1.3", "entropy in nats and bits", 5, 1, entropy, ENTROPY).hinted(
            "Write p · log p for each class, sum over the last dim, turn the sign.",
            "Where p is 0 the term is 0: torch.where(probs > 0, ..., ...) chooses, and torch.xlogy knows it already.",
            "To change the base, divide by math.log(base).",
        ),
        Exercise("1.4", "the coldest answer", 4, 1, cold, COLD).hinted(
            "Compare each logit with the largest of its row: which classes reach it?",
            "logits == logits.max(dim=-1, keepdim=True).values is True for every winner, also when there are two.",
            "Turn True and False into numbers with .float(), and share: divide by their sum over the last dim.",
        ),
        Exercise("1.5", "nearly as hot as it gets", 6, 2, hot, HOT).hinted(
            "For a small x, exp(x) is about 1 + x. Put x = z / T into the softmax, above and below.",
            "Above: 1 + z/T. Below: C + (sum of z)/T, which is C · (1 + mean/T). And 1 / (1 + x) is about 1 − x.",
            "p is about (1/C) · (1 + (z − mean) / T). The mean is the row's own: dim=-1, keepdim=True.",
        ),
        Exercise("1.6", "which probability moves when a logit moves", 7, 3, jacobian, JACOBIAN).hinted(
            "Start at T = 1. With p_i = exp(z_i) / sum: what is dp_i / dz_i, and what is dp_i / dz_j for another j?",
            "At T = 1: p_i (1 − p_i) on the diagonal and −p_i p_j beside it, which is diag(p) − p pᵀ in one go.",
            "torch.diag(p) and torch.outer(p, p). For T: the softmax sees z / T, so the chain rule adds one factor.",
        ),
        Exercise("1.7", "the temperature that gives a wanted entropy", 9, 3, temperature_for, TEMPERATURE).hinted(
            "The entropy rises with T. Look at the middle between low and high: is it too small or too large there?",
            "If the entropy at the middle is below the wanted one, the answer is too sharp, T must rise: low = middle.",
            "Repeat 60 times: middle = (low + high) / 2, compare, move one end. Return the middle.",
        ),
    )
}
