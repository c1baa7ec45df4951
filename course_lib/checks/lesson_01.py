"""Checks of lesson 01, judged against torch in double precision and numbers made by hand, not against our own code."""

import math

import torch

from course_lib.checks.exercise import Exercise, NotYet, expect
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
    p = torch.softmax(logits / T, dim=-1)
    return (torch.diag(p) - torch.outer(p, p)) / T


def temperature_for(logits, wanted, low=0.01, high=100.0):
    for _ in range(60):
        middle = (low + high) / 2
        if entropy(softmax(logits, middle)) < wanted:
            low = middle
        else:
            high = middle
    return middle


# ---- what several checks ask ----

TOY = torch.tensor([2.0, 1.0, 0.0])
ROWS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.5, 3.0]])
CUBE = torch.stack([ROWS, ROWS.flip(-1)])  # (2, 2, 3)
FAR = torch.tensor([10_000.0, 9_999.0, -10_000.0])
APART = torch.tensor([[10_000.0, 9_999.0], [-10_000.0, -9_999.0]])


def said(numbers):
    """The numbers as one would read them out: 0.6652, 0.2447, 0.09003."""
    numbers = torch.as_tensor(numbers).detach().flatten()[:6]
    return ", ".join(f"{number:.4g}" for number in numbers.tolist())


def close(came, wanted, off=1e-4):
    """True where the tensor `came` holds the wanted numbers, give or take `off`."""
    wanted = torch.as_tensor(wanted, dtype=torch.double)
    return came.shape == wanted.shape and torch.allclose(came.double(), wanted, rtol=1e-4, atol=off)


def compare(came, right, seen, *mistakes, off=1e-4):
    """Pass when `came` is right; else say the sentence of the mistake that gives these numbers, else what was expected.

    mistakes: (the numbers that it gives, the sentence that recognises it).
    """
    if close(came, right, off):
        return
    for wrong, sentence in mistakes:
        if close(came, wrong, off):
            raise NotYet(f"{seen} came {said(came)}{sentence}")
    raise NotYet(f"{seen} came {said(came)}; expected is {said(right)}.")


def is_function(answer, name):
    expect(
        callable(answer),
        f"check takes the function {name} itself, without parentheses; it was given {str(answer):.60}.",
    )


TORCH_TRAPS = {  # a part of torch's own words: what they mean
    "return_types.max": "x.max(dim=-1) gives back two things, the largest values and where they are. Take .values, "
    "or x.amax(dim=-1, keepdim=True).",
    "converted to": "math.log, math.exp, float and .item() take one number, and a tensor holds many. Write x.log(), x.exp().",
}


def ask(answer, given, *rest, name, what, shape):
    """What the answer makes of the tensor `given`; NotYet if that is no tensor of this shape, or if `given` changed."""
    is_function(answer, name)
    mine = given.clone()
    try:
        came = answer(mine, *rest)
    except (TypeError, ValueError, RuntimeError) as error:
        for words, sentence in TORCH_TRAPS.items():
            expect(words not in str(error), f"your {name} raised {type(error).__name__}: {sentence}")
        raise
    expect(came is not None, f"your {name} gave back None. Does it end with a return?")
    expect(
        torch.is_tensor(came),
        f"your {name} gave back something of type {type(came).__name__}; expected is a torch tensor: {what}. "
        "Torch's own functions keep tensors tensors.",
    )
    expect(
        torch.equal(mine, given),
        f"your {name} changed the numbers it was given: {said(given)} had become {said(mine)} afterwards. "
        "Something works in place (a name that ends in _, a +=, an assignment to x[...]); make a new tensor instead.",
    )
    expect(
        tuple(came.shape) == tuple(shape),
        f"for an input of shape {tuple(given.shape)} your {name} gave shape {tuple(came.shape)}; "
        f"expected is {tuple(shape)}: {what}. Along which dim do you work, and does a batch keep its rows?",
    )
    return came


def gradient_flows(answer, name):
    """Networks are trained through these two: the answer must hang together with the logits for autograd."""
    expect(
        answer(TOY.clone().requires_grad_()).requires_grad,
        f"your {name} gives the right numbers, but autograd lost the thread: no network could be trained through it. "
        "Keep to torch operations, without .item(), .detach(), .numpy() or a new torch.tensor(...).",
    )


# ---- 1.1 ----


def case(seen, z, *T, why="", off=1e-6, function=torch.softmax):
    """A case of 1.1 or 1.2; right is torch's own function in double precision."""
    z = torch.as_tensor(z)
    return Case(seen, (z, *T), function(z.double() / (T[0] if T else 1.0), -1), why, off)


def exps(z, T=1.0):
    return (z / T).exp()


def shifted(z, T=1.0, largest=lambda z: z.amax(-1, keepdim=True)):
    """exp of the logits, less a number that leaves none of them large."""
    return (z / T - largest(z / T)).exp()


def share(e, **dim):
    return e / e.sum(**(dim or {"dim": -1, "keepdim": True}))


SOFTMAX = Table(
    "softmax",
    "one probability per class",
    (
        case("the logits 2, 1, 0 at T = 1", TOY),
        case("the logits -3, 0.5, 1, 0.5 at T = 1", [-3.0, 0.5, 1.0, 0.5], why="A row adds up to 1."),
        case("the batch (2, 1, 0), (0, 0.5, 3)", ROWS, why="A row is one answer and adds up to 1."),
        case(
            "a batch of three rows of three", torch.stack([TOY, TOY.flip(0), TOY * 2]), why="Does each row add up to 1?"
        ),
        case("logits of shape (2, 2, 3)", CUBE, why="The classes are always the last dim, and dim=-1 is its name."),
        case("the logits 2, 1, 0 at T = 2", TOY, 2.0, why="T divides the logits, before anything else."),
        case(
            "the batch (2, 1, 0), (0, 0.5, 3) at T = 0.5", ROWS, 0.5, why="T divides the logits, before anything else."
        ),
        case(
            "the logits 10000, 9999",
            [10_000.0, 9_999.0],
            why="Are the logits cut off or rescaled? exp(10000) is larger than any float32, but adding one number to "
            "every logit changes no probability. Which number leaves no large exponent?",
            off=2e-3,
        ),
        case(
            "the logits 10000, 9999, -10000",
            FAR,
            why="What you take away from the logits still leaves an exponent that is too large, or the logits were cut "
            "off. Which one is the largest, and what should it become?",
            off=2e-3,
        ),
        case(
            "the logits 10000, 9999, -10000 at T = 0.5",
            FAR,
            0.5,
            why="Is the largest exponent 0 after T, too?",
            off=2e-3,
        ),
        case(
            "the rows (10000, 9999) and (-10000, -9999)",
            APART,
            why="Does each row get its own largest number, or that of the whole batch?",
            off=2e-3,
        ),
        case("the row (-200, -201)", [[-200.0, -201.0]], why="Is the largest exponent 0 here, too?"),
        case(
            "the logits 12, 11, -12 in half precision",
            torch.tensor([12.0, 11.0, -12.0], dtype=torch.half),
            why="The largest float16 is 65504 and exp(12) is 162755: no exponential may get that large.",
            off=2e-3,
        ),
    ),
    (
        lambda z, T=1.0: torch.log_softmax(z / T, -1),
        "These are logs of probabilities. A probability lies between 0 and 1.",
        exps,
        "The exponentials are there. What makes them add up to 1?",
        shifted,
        "The exponentials of the differences are there, and they add up to more than 1. What makes them add up to 1?",
        lambda z, T=1.0: share(z / T),
        "That is each logit as a share of their sum. What would a negative logit get?",
        lambda z, T=1.0: torch.softmax(z / T, 0),
        "Each column adds up to 1, where each row should. A row is one answer. Which dim holds the classes?",
        lambda z, T=1.0: share(exps(z, T), dim=None),
        "The whole batch adds up to 1, where each row should. What do you sum over?",
        lambda z, T=1.0: exps(z, T) / exps(z, T).sum(-1),
        "The sums of the rows stand in the wrong places: after .sum(-1) the last dim is gone, and keepdim=True keeps it.",
        lambda z, T=1.0: torch.softmax(z / T, 1 if z.ndim > 1 else 0),
        "One dim and two dims are right, three are not. The classes are always the last, and dim=-1 is its name.",
        lambda z, T=1.0: torch.softmax(z * T, -1),
        "A higher temperature takes from the winner; yours gives to it. What does T do to the logits?",
        lambda z, T=1.0: torch.softmax(z, -1),
        "That is the same as at T = 1. Where does your softmax use T?",
        lambda z, T=1.0: torch.softmax(z, -1) / T,
        "They do not add up to 1: T divided the finished probabilities. Where must it act instead?",
        lambda z, T=1.0: torch.softmax(z, -1) * T,
        "They do not add up to 1: T multiplied the finished probabilities. Where must it act instead?",
        lambda z, T=1.0: torch.softmax(z, -1) ** (1 / T),
        "They do not add up to 1: T acted after the normalising. Where must it act instead?",
        lambda z, T=1.0: share(exps(z, T)),
        "exp(10000) is larger than any float32. Adding one number to every logit changes no probability. Which number "
        "leaves no large exponent?",
        lambda z, T=1.0: share(shifted(z, T, lambda z: z.mean(-1, keepdim=True))),
        "With the mean taken away an exponent is still too large here. Which logit is the largest, and what should it "
        "become?",
        lambda z, T=1.0: share(shifted(z, T, torch.max)),
        "Each row needs its own largest number taken away, not that of the whole batch.",
    ),
    gradient=lambda z: torch.softmax(z, -1),
    forbids=(
        {"softmax", "log_softmax", "special_softmax", "special_log_softmax", "_sparse_softmax", "cross_entropy"},
        "the numbers are right, and torch's own softmax made them. This once, write it yourself: exp, sum, a division.",
    ),
)


# ---- 1.2 ----


def examine_log_softmax(log_softmax):
    def come(z, *T):
        return ask(log_softmax, z, *T, name="log_softmax", what="one log-probability per class", shape=z.shape)

    one = torch.log_softmax(TOY, 0)
    compare(
        come(TOY),
        one,
        "for the logits 2, 1, 0 at T = 1",
        (one.exp(), ": these are the probabilities. Asked for are their natural logs."),
        (-one, ". A probability is at most 1, so its log is at most 0: check the sign."),
        (one / math.log(2), ": these are logs with base 2. In this course log is the natural one, ln."),
        (one / math.log(10), ": these are logs with base 10. In this course log is the natural one, ln."),
        (TOY - 2, ", and exp of these adds up to 1.503. The largest is taken away; the log of a sum is missing."),
    )

    came = come(ROWS)
    compare(
        came,
        torch.log_softmax(ROWS, -1),
        "for the batch (2, 1, 0), (0, 0.5, 3)",
        (
            torch.log_softmax(ROWS, 0),
            ": exp of each column adds up to 1, where each row should. Which dim holds the classes?",
        ),
        (
            ROWS - ROWS.logsumexp((0, 1)),
            ": exp of the whole batch adds up to 1, where each row should. What do you sum over?",
        ),
    )

    compare(
        come(TOY, 2.0),
        torch.log_softmax(TOY / 2, 0),
        "for the logits 2, 1, 0 at T = 2",
        (
            one / 2,
            ", and exp of these adds up to 1.61. You divided the finished log-probabilities by T; "
            "what must be divided before the normalising?",
        ),
        (
            torch.log_softmax(TOY * 2, 0),
            ". At T = 1 the winner had -0.408. A higher temperature takes from the winner; yours gives to it. "
            "What does T do to the logits?",
        ),
        (one, ", the same as at T = 1. Where does your log_softmax use T?"),
    )

    came = come(torch.tensor([0.0, -200.0]))
    expect(
        not came.isinf().any(),
        f"for the logits 0, -200 came {said(came)}; expected is 0, -200. The probability exp(-200) is rounded to 0 and "
        "its log is lost. Write the log of the fraction as a difference, so that no probability is ever made.",
    )
    expect(
        close(came, [0.0, -200.0], 1e-3),
        f"for the logits 0, -200 came {said(came)}; expected is 0, -200. A small number added (or a clamp) before the "
        "log hides the -inf and changes the answer. Can you do without making the probability?",
    )
    came = come(FAR)
    expect(
        bool(came.isfinite().all()),
        f"for the logits 10000, 9999, -10000 came {said(came)}: an exponential overflowed. "
        "What did you take away from the logits in your softmax?",
    )
    expect(
        close(came, torch.log_softmax(FAR.double(), 0), 2e-3),
        f"for the logits 10000, 9999, -10000 came {said(came)}; expected is -0.3133, -1.313, -20000. "
        "Were the logits cut off or rescaled?",
    )
    came = come(APART)
    expect(
        close(came, torch.log_softmax(APART.double(), -1), 2e-3),
        f"beside the row 10000, 9999 the row -10000, -9999 came as {said(came[1])}; expected is -1.313, -0.3133. "
        "Does each row get its own largest number, or that of the whole batch?",
    )
    came = come(torch.tensor([12.0, 0.0, -12.0], dtype=torch.half))
    expect(
        close(came, torch.log_softmax(torch.tensor([12.0, 0.0, -12.0]), 0), 3e-2),
        f"in half precision the logits 12, 0, -12 came as {said(came)}; expected is -6.144e-06, -12, -24. "
        "The largest float16 is 65504 and exp(12) is 162755: no exponential may get that large.",
    )
    gradient_flows(log_softmax, "log_softmax")


# ---- 1.3 ----

EIGHT = torch.full((8,), 1 / 8)
QUARTERS = torch.tensor([0.5, 0.25, 0.25, 0.0])


def examine_entropy(entropy):
    def come(p, *base):
        return ask(entropy, p, *base, name="entropy", what="one number per answer", shape=p.shape[:-1])

    nats, seen = math.log(8), "for eight equally likely classes, in nats,"
    compare(
        come(EIGHT),
        nats,
        seen,
        (-nats, ". The log of a probability is negative and entropy is not: check the sign."),
        (nats / 8, "; expected is ln 8 = 2.079. The definition sums over the classes, it does not average."),
        (3.0, ", which is their entropy in bits. Without a base the answer is in nats: logarithms with base e."),
        (math.log10(8), ": that is a logarithm with base 10. Nats take base e."),
    )
    compare(
        come(EIGHT, 2),
        3.0,
        "for eight equally likely classes, with base=2,",
        (nats, ", the same as in nats; expected is 3: that many yes-or-no questions name one of eight. Is base used?"),
        (
            nats * math.log(2),
            "; expected is 3. A bit is smaller than a nat, so there must be more of them. "
            "How does one change the base of a logarithm?",
        ),
    )
    came = come(QUARTERS, 2)
    expect(
        not came.isnan(),
        "for the probabilities 1/2, 1/4, 1/4, 0 came nan: log(0) is -inf, and 0 times -inf is nan. A class that never "
        "happens adds nothing, since p log p goes to 0 with p. How can its term become 0?",
    )
    expect(
        close(came, 1.5, 1e-3),
        f"for the probabilities 1/2, 1/4, 1/4, 0 came {said(came)} bits; expected is 1/2·1 + 1/4·2 + 1/4·2 + 0 = 1.5.",
    )
    came = come(torch.tensor([1.0, 0.0, 0.0]))
    expect(
        close(came, 0.0),
        f"for the certain answer 1, 0, 0 came {said(came)}; expected is 0: there is nothing left to ask.",
    )
    came = come(torch.tensor([1 - 1e-4, 1e-4]))
    expect(
        close(came, 1.02103e-3, 2e-6),
        f"for the probabilities 0.9999, 0.0001 came {said(came)} nats; expected is 0.001021. "
        "A number added before the log (or a clamp) is too large for the rare class.",
    )
    came = come(torch.stack([EIGHT, torch.eye(8)[0]]))
    expect(
        close(came, [nats, 0.0]),
        f"for a batch of an even and a certain answer came {said(came)} nats; expected is 2.079, 0: one for each row.",
    )


# ---- 1.4 ----


def examine_cold(cold):
    is_function(cold, "cold")
    came = cold(TOY.clone())
    expect(
        not (torch.is_tensor(came) and came.numel() == 1),
        f"for the logits 2, 1, 0 came {came}: one number. Asked for is the whole answer as T → 0, "
        "a probability for each class.",
    )

    def come(z):
        return ask(cold, z, name="cold", what="one probability per class", shape=z.shape)

    came = come(TOY)
    expect(
        came.dtype != torch.bool,
        "your cold gave True and False. Probabilities are numbers that add up to 1, also when two are True.",
    )
    expect(
        not came.isnan().any(),
        f"for the logits 2, 1, 0 came {said(came)}: something was divided by 0. No T = 0 is needed: "
        "write down what the answers tend to as T gets smaller.",
    )
    expect(
        not bool(((came > 1e-3) & (came < 0.999)).any()),
        f"for the logits 2, 1, 0 came {said(came)}. That is a small T, not the limit: as T → 0 "
        "the winner's lead, divided by T, grows without end. What is left for the others?",
    )
    compare(
        came,
        [1.0, 0.0, 0.0],
        "for the logits 2, 1, 0",
        ([0.0, 0.0, 1.0], ": everything went to the smallest logit. Who wins when T gets small?"),
    )
    compare(
        come(torch.tensor([3.0, 1.0, 3.0, 0.0])),
        [0.5, 0.0, 0.5, 0.0],
        "for the logits 3, 1, 3, 0",
        ([1.0, 0.0, 1.0, 0.0], ", which adds up to 2. There are two winners: what does each get?"),
        (
            [1.0, 0.0, 0.0, 0.0],
            ". The first and the third logit are equal, so they have equal probabilities at every T, "
            "and in the limit too.",
        ),
        (
            [0.0, 0.0, 1.0, 0.0],
            ". The first and the third logit are equal, so they have equal probabilities at every T, "
            "and in the limit too.",
        ),
    )
    came = come(torch.tensor([1.0, 1.001, 0.0]))
    expect(
        close(came, [0.0, 1.0, 0.0]),
        f"for the logits 1, 1.001, 0 came {said(came)}; expected is 0, 1, 0. A lead of 0.001, divided by a T that goes "
        "to 0, grows without end too: the limit knows no nearly.",
    )
    came = come(torch.tensor([[2.0, 1.0], [7.0, 9.0]]))
    expect(
        close(came, [[1.0, 0.0], [0.0, 1.0]]),
        f"for the rows (2, 1) and (7, 9) came {said(came)}; expected is 1, 0 and 0, 1. Each row has its own winner.",
    )


# ---- 1.5 ----


def examine_hot(hot):
    def come(z, T):
        return ask(hot, z, T, name="hot", what="one number per class", shape=z.shape)

    z, T, C = torch.tensor([3.0, 0.0, 0.0]), 10.0, 3
    centred = z - 1
    seen = "for the logits 3, 0, 0 at T = 10"
    compare(
        come(z, T),
        [0.4, 0.3, 0.3],  # 1/3 + 2/30 and 1/3 - 1/30
        seen,
        (
            torch.softmax(z / T, 0),
            ": the exact softmax. Asked for is the straight line in 1/T that it approaches, without any exp.",
        ),
        (
            torch.full((3,), 1 / 3),
            ": the limit itself. The term that knows the logits and shrinks like 1/T is missing.",
        ),
        (
            1 / C + z / (C * T),
            ", which adds up to 1.1. Adding a number to every logit must change nothing: "
            "what has to be taken away from them first?",
        ),
        (
            centred / (C * T),
            ", which adds up to 0. The correction is there; where does the answer go when T grows without end?",
        ),
        (
            1 / C + centred / T,
            ", and the exact winner has 0.403. The direction fits, the step is 3 times too long.",
        ),
        (1 / C + centred * T / C, ": the correction grows with T, and it has to fade."),
        (
            1 / C + centred / (C * T**2),
            ", and the exact winner has 0.403. The correction fades too fast: which power of 1/T is the first?",
        ),
    )
    batch = torch.tensor([[3.0, 0.0, 0.0, -1.0], [30.0, 31.0, 32.0, 33.0]])
    came = come(batch, 50.0)
    expect(
        bool(((came - torch.softmax(batch.double() / 50, -1)).abs() < 2e-3).all()),
        "at T = 50 the rows (3, 0, 0, -1) and (30, 31, 32, 33) came with sums of "
        f"{float(came[0].sum()):.3f} and {float(came[1].sum()):.3f} and a first number of {float(came[0, 0]):.4f}; "
        "expected are sums of 1 and 0.2625. Does each row get its own mean, and do you count its classes (4 here)?",
    )


# ---- 1.6 ----


def examine_jacobian(jacobian):
    def come(z, *T):
        what = "row i, column j holds dp_i / dz_j"
        return ask(jacobian, z, *T, name="jacobian", what=what, shape=(len(z), len(z)))

    def exact(z, T):
        return torch.autograd.functional.jacobian(lambda z: torch.softmax(z / T, -1), z.double())

    p = torch.softmax(TOY, 0)
    compare(
        come(TOY),
        exact(TOY, 1.0),
        "for the logits 2, 1, 0 at T = 1",
        (
            torch.diag(p * (1 - p)),
            ", …: the diagonal is right and all beside it is 0. When one logit rises, the other probabilities fall: "
            "what is dp_i / dz_j for two different classes?",
        ),
        (
            torch.diag(p) + torch.outer(p, p),
            ", …: the second number, dp_0 / dz_1, is positive. When a rival's logit rises, does your probability rise?",
        ),
        (
            torch.outer(p, p) - torch.diag(p),
            ", …: the first number, dp_0 / dz_0, is negative. When your own logit rises, does your probability fall?",
        ),
        (
            torch.outer(p, 1 - p),
            ", …: the diagonal is right, but p_i (1 − p_j) holds on the diagonal only. "
            "The probabilities always add up to 1, so each column must add up to 0.",
        ),
        (
            torch.eye(3) - p,
            ", …: that is the derivative of the log-probabilities. How do small steps in log p and in p relate?",
        ),
    )
    right, one = exact(TOY, 4.0), exact(TOY, 1.0)
    nudge = f"nudging the logits and looking gives {float(right[0, 0]):.4f} for the first number"
    compare(
        come(TOY, 4.0),
        right,
        "for the logits 2, 1, 0 at T = 4",
        (
            right * 4,
            f", …; {nudge}, a quarter of yours. The logits are divided by T on the way in: and the chain rule?",
        ),
        (one, ", …, the same as at T = 1. Where does your jacobian use T?"),
        (one / 4, f", …; {nudge}. The factor in front has its T; do the probabilities have it too?"),
        (right / 4, f", …; {nudge}, 4 times yours. The chain rule gives one factor of 1/T; you have two."),
    )
    five = torch.tensor([1.0, -1.0, 0.5, 2.0, 0.0])
    expect(
        close(come(five, 0.5), exact(five, 0.5)),
        "three classes are right, five at T = 0.5 are not. Does the size of the first example hide in your code?",
    )


# ---- 1.7 ----


def examine_temperature_for(temperature_for):
    is_function(temperature_for, "temperature_for")

    def nats_at(z, T):
        return float(torch.special.entr(torch.softmax(z.double() / T, -1)).sum())

    def come(z, wanted):
        mine = z.clone()
        came = temperature_for(mine, wanted)
        expect(came is not None, "your temperature_for gave back None. Does it end with a return?")
        try:
            T = float(came)
        except (TypeError, ValueError, RuntimeError):
            raise NotYet(f"your temperature_for gave back {str(came):.60}; expected is one number: T.") from None
        expect(torch.equal(mine, z), "your temperature_for changed the logits it was given; make a new tensor instead.")
        expect(math.isfinite(T) and T > 0, f"your temperature is {T}; expected is a finite number above 0.")
        return T, nats_at(z, T)

    z, wanted = torch.tensor([4.0, 2.0, 1.0, 0.0, -2.0]), 1.0
    T, nats = come(z, wanted)
    seen = f"for a wanted entropy of 1 nat came T = {T:.4f}"
    expect(
        abs(T - wanted) > 1e-3,
        f"{seen}: that looks like the entropy. Asked for is the temperature at which you find it.",
    )
    expect(
        abs(nats / math.log(2) - wanted) > 2e-3,
        f"{seen}, where the entropy is 1 bit, which is {nats:.3f} nats. Leave the base of your entropy at e.",
    )
    expect(
        0.0101 < T < 99.9,
        f"{seen}, one end of the interval, where the entropy is {nats:.3f} nats. Each step kept the wrong half. "
        "When the answer at the middle is too sharp, is the T you look for above or below?",
    )
    expect(
        abs(nats - wanted) < 0.1,
        f"{seen}, where the entropy is {nats:.3f} nats. Follow the first three steps by hand: "
        "print low, high and the entropy at the middle.",
    )
    expect(
        abs(nats - wanted) < 1e-3,
        f"{seen}, where the entropy is {nats:.4f} nats: near, but not within 0.001. "
        "Each step halves the interval, which begins 100 wide. Do you stop too early?",
    )
    for logits, wanted in ((z, 0.01), (z, 1.6), (20 * z, 1.0), (z / 40, 1.0), (z + 1000, 0.5)):
        T, nats = come(logits, wanted)
        expect(
            abs(nats - wanted) < 1e-3,
            f"1 nat for the logits 4, 2, 1, 0, -2 is right. For {said(logits)}, wanted {wanted:g}, came T = {T:.4f}, "
            f"where the entropy is {nats:.4f}. Do you search all the way from 0.01 to 100, in enough steps?",
        )


EXERCISES = {
    "1.1": Exercise(
        number="1.1",
        title="a softmax that survives",
        minutes=6,
        difficulty=2,
        reference=softmax,
        examine=SOFTMAX,
        hints=(
            "Divide the logits by T, take exp, divide by the sum over the classes: dim=-1, keepdim=True.",
            "Adding the same number to all logits of an answer changes nothing, since exp(z + a) = exp(z) · exp(a). "
            "Choose the number so that the largest exponent is 0.",
            "z = logits / T, then z - z.max(dim=-1, keepdim=True).values, then exp, then divide by the sum.",
        ),
    ),
    "1.2": Exercise(
        number="1.2",
        title="log-softmax, without the log of a zero",
        minutes=5,
        difficulty=2,
        reference=log_softmax,
        examine=examine_log_softmax,
        hints=(
            "log(a / b) = log a − log b. Here a is an exponential, and its log is free.",
            "log softmax(z) = z − log(sum(exp(z))), and that still holds after the largest z is taken away.",
            "z = logits / T; z = z - z.max(dim=-1, keepdim=True).values; then z minus the log of the sum of z.exp().",
        ),
    ),
    "1.3": Exercise(
        number="1.3",
        title="entropy in nats and bits",
        minutes=5,
        difficulty=1,
        reference=entropy,
        examine=examine_entropy,
        hints=(
            "Write p · log p for each class, sum over the last dim, turn the sign.",
            "Where p is 0 the term is 0: torch.where(probs > 0, ..., ...) chooses, and torch.xlogy knows it already.",
            "To change the base, divide by math.log(base).",
        ),
    ),
    "1.4": Exercise(
        number="1.4",
        title="the coldest answer",
        minutes=4,
        difficulty=1,
        reference=cold,
        examine=examine_cold,
        hints=(
            "Compare each logit with the largest of its row: which classes reach it?",
            "logits == logits.max(dim=-1, keepdim=True).values is True for every winner, also when there are two.",
            "Turn True and False into numbers with .float(), and share: divide by their sum over the last dim.",
        ),
    ),
    "1.5": Exercise(
        number="1.5",
        title="nearly as hot as it gets",
        minutes=6,
        difficulty=2,
        reference=hot,
        examine=examine_hot,
        hints=(
            "For a small x, exp(x) is about 1 + x. Put x = z / T into the softmax, above and below.",
            "Above: 1 + z/T. Below: C + (sum of z)/T, which is C · (1 + mean/T). And 1 / (1 + x) is about 1 − x.",
            "p is about (1/C) · (1 + (z − mean) / T). The mean is the row's own: dim=-1, keepdim=True.",
        ),
    ),
    "1.6": Exercise(
        number="1.6",
        title="which probability moves when a logit moves",
        minutes=7,
        difficulty=3,
        reference=jacobian,
        examine=examine_jacobian,
        hints=(
            "Start at T = 1. With p_i = exp(z_i) / sum: what is dp_i / dz_i, and what is dp_i / dz_j for another j?",
            "At T = 1: p_i (1 − p_i) on the diagonal and −p_i p_j beside it, which is diag(p) − p pᵀ in one go.",
            "torch.diag(p) and torch.outer(p, p). For T: the softmax sees z / T, so the chain rule adds one factor.",
        ),
    ),
    "1.7": Exercise(
        number="1.7",
        title="the temperature that gives a wanted entropy",
        minutes=9,
        difficulty=3,
        reference=temperature_for,
        examine=examine_temperature_for,
        hints=(
            "The entropy rises with T. Look at the middle between low and high: is it too small or too large there?",
            "If the entropy at the middle is below the wanted one, the answer is too sharp, T must rise: low = middle.",
            "Repeat 60 times: middle = (low + high) / 2, compare, move one end. Return the middle.",
        ),
    ),
}
