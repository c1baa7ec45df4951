"""Quality and cost, with intervals and a verdict.

A score says how one model did on one example: right or wrong (1 or 0), or a number such as its loss in nats. Scores of S
models (one recipe, S seeds) on N examples are a table (S, N), and both its rows and its columns were drawn by chance: with
other seeds or other pictures the mean would have been another. An interval here counts both.
"""

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy import stats
from torch.utils.flop_counter import FlopCounterMode

LEVEL = 0.95  # every interval in the course
OVER = ("examples", "seeds", "seeds and examples")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval, n in words ("16 seeds, 359 examples"), and what varied (one of OVER)."""

    value: float
    low: float
    high: float
    n: str
    over: str

    def __post_init__(self):
        if self.over not in OVER:
            raise ValueError(f"an Estimate says what varied: over is one of {', '.join(OVER)}; got {self.over!r}")
        if not (isinstance(self.n, str) and any(c.isdigit() for c in self.n)):
            raise ValueError(f'an Estimate says how many: n="359 examples", say; got {self.n!r}')
        if not self.low <= self.value <= self.high:
            raise ValueError(f"expected low <= value <= high; got {self.low}, {self.value}, {self.high}")

    def __format__(self, spec):
        spec = spec or ".1%"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}] (n={self.n})"

    __str__ = __repr__ = lambda self: format(self)


def correct(logits, labels):
    """1 where the largest logit is the label's, else 0. logits (N, C) or (S, N, C), labels (N,) -> (N,) or (S, N)."""
    return (logits.argmax(-1) == labels).float()


def same_answer(logits, other_logits):
    """1 where both give the same answer, else 0: agreement, example by example. (N, C) or (S, N, C) -> (N,) or (S, N)."""
    return (logits.argmax(-1) == other_logits.argmax(-1)).float()


def estimate(scores):
    """The mean score with its interval. (N,): one model, over examples. (S, N): over seeds and examples."""
    scores = torch.as_tensor(scores).double()
    seeds, n = (1, len(scores)) if scores.ndim == 1 else scores.shape
    mean, se, df = _mean_and_error(scores)
    half = stats.t.ppf(0.5 + LEVEL / 2, df) * se
    over = "examples" if seeds == 1 else "seeds and examples"
    words = f"{n:,} examples" if scores.ndim == 1 else f"{seeds} seeds, {n:,} examples"
    return Estimate(mean, mean - half, mean + half, words, over)


def _mean_and_error(scores):
    if scores.ndim == 1 or len(scores) == 1:
        scores = scores.reshape(-1)
        return float(scores.mean()), float(scores.std() / len(scores) ** 0.5), len(scores) - 1
    s, n = scores.shape
    mean = scores.mean()
    rows, columns = scores.mean(1, keepdim=True) - mean, scores.mean(0, keepdim=True) - mean
    parts = (  # the mean squares of a two-way table and their degrees of freedom
        (n * float((rows**2).sum()) / (s - 1), s - 1),
        (s * float((columns**2).sum()) / (n - 1), n - 1),
        (float(((scores - mean - rows - columns) ** 2).sum()) / ((s - 1) * (n - 1)), (s - 1) * (n - 1)),
    )
    total = max(parts[0][0] + parts[1][0] - parts[2][0], parts[0][0], parts[1][0])
    df = total**2 / sum(ms**2 / df for ms, df in parts) if total else 1.0
    return float(mean), math.sqrt(total / (s * n)), df


def accuracy(logits, labels):
    """The share of right answers, an Estimate. logits (N, C) or (S, N, C), labels (N,)."""
    return estimate(correct(logits, labels))


def agreement(logits, teacher_logits):
    """The share of examples on which the answer is the teacher's, an Estimate."""
    return estimate(same_answer(logits, teacher_logits))


class Calibration(NamedTuple):
    """ece: Estimate; confidence, accuracy, count: (bins,), the reliability curve."""

    ece: Estimate
    confidence: torch.Tensor
    accuracy: torch.Tensor
    count: torch.Tensor


def calibration(logits, labels, bins=10):
    """Expected calibration error and the reliability curve. logits (N, C) or (S, N, C), labels (N,)."""
    table = logits if logits.ndim == 3 else logits[None]
    sure, right = table.softmax(-1).amax(-1).double(), correct(table, labels).double()
    which = (sure * bins).long().clamp(max=bins - 1)
    generator = torch.Generator().manual_seed(0)
    s, n = sure.shape

    def ece(rows, columns):
        w = which[rows][:, columns] + bins * torch.arange(s)[:, None]
        gap = (sure - right)[rows][:, columns]
        return torch.zeros(s * bins).double().index_add(0, w.flatten(), gap.flatten()).abs().sum().item() / (s * n)

    draws = torch.tensor(
        [
            ece(torch.randint(s, (s,), generator=generator), torch.randint(n, (n,), generator=generator))
            for _ in range(200)
        ]
    )
    value = ece(torch.arange(s), torch.arange(n))
    low, high = draws.quantile(0.025).item(), draws.quantile(0.975).item()
    words = f"{n:,} examples" if s == 1 else f"{s} seeds, {n:,} examples"
    estimate = Estimate(value, min(low, value), max(high, value), words, "examples" if s == 1 else "seeds and examples")
    count = torch.zeros(bins).double().index_add(0, which.flatten(), torch.ones(s * n).double())
    mean = [torch.zeros(bins).double().index_add(0, which.flatten(), t.flatten()) / count for t in (sure, right)]
    return Calibration(estimate, *mean, count.long())


@dataclass(frozen=True)
class Verdict:
    """What a comparison came to; print it for one sentence. word speaks of a against b."""

    word: str  # BETTER, WORSE or NOT SEPARABLE
    difference: Estimate  # a minus b
    seeds_needed: int | None
    method: str
    name_a: str
    name_b: str
    exploratory: bool = False
    points: bool = True

    def __str__(self):
        d, scale, spec, unit = self.difference, 1, "+.3f", ""
        if self.points:
            scale, spec, unit = 100, "+.1f", " points"
        numbers = f"{d.value * scale:{spec}}{unit} [{d.low * scale:{spec}}, {d.high * scale:{spec}}]"
        kind = "Exploratory." if self.exploratory else "Primary comparison."
        verb = f"is {self.word} than" if self.word in ("BETTER", "WORSE") else "is NOT SEPARABLE from"
        return f"{self.name_a} {verb} {self.name_b}: {numbers}, {d.n} ({self.method}). {kind}"

    __repr__ = __str__


def compare(scores_a, scores_b, name_a, name_b, higher_is_better=True, exploratory=False):
    """Is a better than b? Paired: the same examples, and seed s of a against seed s of b. (N,) or (S, N) each."""
    a, b = torch.as_tensor(scores_a).double(), torch.as_tensor(scores_b).double()
    difference = estimate(a - b)
    word = "NOT SEPARABLE"
    if difference.low > 0 or difference.high < 0:
        word = "BETTER" if (difference.value > 0) == higher_is_better else "WORSE"
    points = bool(((a == 0) | (a == 1)).all() and ((b == 0) | (b == 1)).all())
    return Verdict(word, difference, None, "two-way paired t interval", name_a, name_b, exploratory, points)


# ---- cost ----


class Cost(NamedTuple):
    """What one model costs: flops_per_example forward, flops_per_example of a training step, bytes of its weights."""

    forward_flops: float
    training_flops: float
    bytes: int
    seconds: float

    def __str__(self):
        return (
            f"{self.forward_flops:,.0f} FLOPs per answer, {self.training_flops:,.0f} per example in training, "
            f"{self.bytes:,} bytes, {self.seconds * 1e6:.2g} µs per answer"
        )


def count_flops(model, x, training=False):
    """FLOPs per example: of a forward pass, or (training=True) of forward and backward. x (B, ...)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    with FlopCounterMode(display=False) as counter:
        if training:
            torch.autograd.grad(model(x).sum(), parameters)
        else:
            with torch.no_grad():
                model(x)
    return counter.get_total_flops() / len(x)


def count_bytes(model):
    """Bytes of a model's weights in memory."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def cost(model, x):
    """The Cost of a model on the examples x (B, ...)."""
    start = time.perf_counter()
    with torch.no_grad():
        model(x)
    seconds = (time.perf_counter() - start) / len(x)
    return Cost(count_flops(model, x), count_flops(model, x, training=True), count_bytes(model), seconds)
