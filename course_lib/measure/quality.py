"""Quality, with intervals and a verdict.

A score says how one model did on one example: right or wrong (1 or 0), or a number such as its loss in nats. The scores
of S models (one recipe, S seeds) on N examples are a table (S, N). Its rows and its columns were both drawn by chance:
other seeds or other pictures would have given another mean. An interval here counts both.

How: the table is split into a part per seed, a part per example and a rest (two-way random effects), with mean squares
MS_seed, MS_example and MS_rest. The mean of the table has variance (MS_seed + MS_example - MS_rest) / (S N), with
Satterthwaite's (1946) degrees of freedom. Shares get a Wilson (1927) interval for as many independent examples as that
variance is worth; other means, and differences, get a t interval.

How good: tests/measure/test_quality.py simulates experiments whose truth is known. With 5 and with 16 seeds these intervals
hold it in 93-97% of 2,000. Limits, tested there too: two seeds that differ much (87%) and three (91%); shares of 0.995
of a few hundred examples (98%: rather too wide); the mean of losses with a long tail, over a hundred examples (93%;
their paired differences hold). And fewer than ten examples that tell two recipes apart: a verdict says so.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

OVER = ("examples", "seeds", "seeds and examples")
TAIL = 0.025  # on either side: every interval of the course is a 95% interval


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, n in words ("16 seeds, 359 examples"), what varied (one of OVER), the interval's kind."""

    value: float
    low: float
    high: float
    n: str
    over: str
    kind: str = "95% interval"

    def __post_init__(self):
        if self.over not in OVER:
            raise ValueError(f"an Estimate says what varied: over is one of {', '.join(OVER)}; got {self.over!r}")
        if not (isinstance(self.n, str) and any(c.isdigit() for c in self.n)):
            raise ValueError(f'an Estimate says how many in words: n="359 examples", say; got {self.n!r}')
        if not self.low <= self.value <= self.high:
            raise ValueError(f"expected low <= value <= high; got low={self.low}, value={self.value}, high={self.high}")

    def __format__(self, spec):
        spec = spec or ".1%"
        kind = "" if self.kind == "95% interval" else f"; {self.kind}"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}] (n={self.n}{kind})"

    def __str__(self):
        return format(self)


# ---- scores: one number per model and example ----


def correct(logits, labels):
    """1 where the largest logit is the label's, else 0. logits (N, C) or (S, N, C), labels (N,) -> (N,) or (S, N)."""
    answers = _answers(logits)
    labels = torch.as_tensor(labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels are class numbers, whole numbers such as 7; got {labels.dtype}")
    if labels.shape != answers.shape[-1:]:
        raise ValueError(
            f"expected one label for each of the {answers.shape[-1]:,} examples, labels {tuple(answers.shape[-1:])}; "
            f"got labels of shape {tuple(labels.shape)}"
        )
    if labels.numel() and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise ValueError(
            f"labels go from 0 to {logits.shape[-1] - 1}, one per column of the logits; "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return (answers == labels.to(answers.device)).float()


def same_answer(logits, other_logits):
    """1 where both give the same answer, else 0: the scores of agreement. (N, C) or (S, N, C) each -> (N,) or (S, N).

    One model's logits (N, C) are held against each of S models' (S, N, C).
    """
    answers, others = _answers(logits), _answers(other_logits)
    if logits.shape[-2:] != other_logits.shape[-2:] or (answers.ndim == others.ndim and answers.shape != others.shape):
        raise ValueError(
            "expected logits of both on the same examples and classes, (N, C) or (S, N, C); "
            f"got {tuple(logits.shape)} and {tuple(other_logits.shape)}"
        )
    return (answers == others).float()


def _answers(logits):
    if not torch.is_tensor(logits) or logits.ndim not in (2, 3) or not logits.is_floating_point():
        what = f"{logits.dtype} of shape {tuple(logits.shape)}" if torch.is_tensor(logits) else type(logits).__name__
        raise TypeError(f"expected logits (N, C) or (S, N, C) as a tensor of floats; got {what}")
    if logits.isnan().any():
        raise ValueError("the logits hold NaN (not a number): did the training diverge? Look at the loss first")
    return logits.argmax(-1)


# ---- the mean of scores, and its interval ----


def estimate(scores):
    """The mean score with its 95% interval. Scores (N,) of one model: over examples. (S, N): over seeds and examples.

    Scores of 0 and 1 get a Wilson interval, any other numbers (nats per example, say) a t interval.
    """
    scores = _table(scores)
    low, high = _share_interval(scores) if _is_share(scores) else _mean_interval(scores)
    value = float(scores.mean())
    return Estimate(value, min(float(low), value), max(float(high), value), _n(scores), _over(scores))


def accuracy(logits, labels):
    """The share of right answers, an Estimate. logits (N, C) or (S, N, C), labels (N,)."""
    return estimate(correct(logits, labels))


def agreement(logits, teacher_logits):
    """The share of examples that get the teacher's answer, an Estimate. logits (N, C) or (S, N, C) each."""
    return estimate(same_answer(logits, teacher_logits))


def _table(scores):
    """Any scores as (S, N) float64 on the CPU; one model's scores become (1, N)."""
    scores = torch.as_tensor(scores).detach().cpu()
    if scores.ndim not in (1, 2) or scores.is_complex():
        raise ValueError(f"expected scores (N,) or (S, N), one per model and example; got shape {tuple(scores.shape)}")
    if scores.shape[-1] < 2 or len(scores) < 1:
        raise ValueError(f"an interval needs at least 2 examples; got scores of shape {tuple(scores.shape)}")
    if not scores.double().isfinite().all():
        raise ValueError("the scores hold NaN or infinity: find the example that gave it before you average")
    return scores.double().reshape(-1, scores.shape[-1])


def _is_share(scores):
    return bool(((scores == 0) | (scores == 1)).all())


def _n(scores, paired=""):
    s, n = scores.shape
    return f"{n:,} examples" if s == 1 else f"{s:,} {paired}seeds, {n:,} examples"


def _over(scores):
    return "examples" if len(scores) == 1 else "seeds and examples"


def _mean_squares(scores):
    """(seed, example, rest) mean squares of tables (..., S, N), each (...). With S = 1 only examples vary."""
    s, n = scores.shape[-2:]
    scores = scores - scores.mean((-2, -1), keepdim=True)
    seed = n * scores.mean(-1).square().sum(-1)
    example = s * scores.mean(-2).square().sum(-1)
    if s == 1:
        return torch.zeros_like(example), example / (n - 1), torch.zeros_like(example)
    rest = (scores.square().sum((-2, -1)) - seed - example).clamp(min=0)
    return seed / (s - 1), example / (n - 1), rest / ((s - 1) * (n - 1))


def _variance(scores):
    """Of the mean of tables (..., S, N): its variance and that variance's degrees of freedom, each (...)."""
    s, n = scores.shape[-2:]
    seed, example, rest = _mean_squares(scores)
    total = torch.maximum(
        seed + example - rest, rest / 2
    )  # chance can make the difference negative, the truth never is
    noise = seed**2 / max(s - 1, 1) + example**2 / (n - 1) + rest**2 / max((s - 1) * (n - 1), 1)
    df = torch.where(noise > 0, total**2 / noise, torch.full_like(noise, n - 1.0)).clamp(min=1)
    return total / (s * n), df


def _mean_interval(scores):
    """The t interval (low, high) of the mean of tables (..., S, N)."""
    variance, df = _variance(scores)
    half = torch.as_tensor(stats.t.isf(TAIL, df)) * variance.sqrt()
    return scores.mean((-2, -1)) - half, scores.mean((-2, -1)) + half


def _share_interval(scores):
    """The Wilson interval (low, high) of the share of ones in tables (..., S, N)."""
    s, n = scores.shape[-2:]
    share = scores.mean((-2, -1))
    if s == 1:
        return _wilson(share, n, stats.norm.isf(TAIL))
    variance, df = _variance(scores)
    worth = (share * (1 - share) / variance.clamp(min=1e-300)).clamp(max=s * n)  # independent examples
    # Near 0 or 1 few examples show how much examples vary; where none does, the table is worth N: lean towards N.
    seen = n * torch.minimum(share, 1 - share)
    worth = torch.where(worth > n, (seen + 0.5) / (seen / worth + 0.5 / n), worth)
    worth = torch.where(seen > 0, worth, torch.full_like(worth, n))
    return _wilson(share, worth, torch.as_tensor(stats.t.isf(TAIL, df)))


def _wilson(share, n, t):
    """Wilson's score interval (1927) for a share seen in n independent examples."""
    middle = (share + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * (share * (1 - share) / n + t**2 / (4 * n**2)) ** 0.5
    return middle - half, middle + half


# ---- is a better than b? ----


@dataclass(frozen=True)
class Verdict:
    """What a comparison came to. word speaks of a against b; print the verdict for what was found, and how."""

    word: str  # BETTER, WORSE or NOT SEPARABLE
    difference: Estimate  # a minus b
    seeds_needed: int | None  # to see a difference of this size 4 times in 5; None: separable, or seeds cannot do it
    method: str
    name_a: str
    name_b: str
    exploratory: bool
    note: str  # what the reader must know beside the numbers
    share: bool  # a difference of shares, told in percent points

    def __str__(self):
        d = self.difference
        verb = "is NOT SEPARABLE from" if self.word == "NOT SEPARABLE" else f"is {self.word} than"
        if self.share:
            hidden = any(
                0 < abs(100 * end) < 0.05 for end in (d.low, d.high)
            )  # 0.0 would hide on which side of zero it is
            value, low, high = (f"{100 * number:+z.{2 if hidden else 1}f}" for number in (d.value, d.low, d.high))
            numbers = f"{value} points [{low}, {high}]"
        else:
            numbers = f"{d.value:+z.3g} [{d.low:+z.3g}, {d.high:+z.3g}]"
        kind = "Exploratory." if self.exploratory else "Primary comparison."
        found, how = f"{self.name_a} {verb} {self.name_b}: {numbers}", f"{d.n} ({self.method}). {kind}"
        return "\n    ".join([found, how] + [self.note] * bool(self.note))


def compare(scores_a, scores_b, name_a, name_b, higher_is_better=True, exploratory=False):
    """Is a better than b, on the same examples? A Verdict on the mean of scores_a - scores_b, (N,) or (S, N) each.

    Paired: example n of a against example n of b, and seed s of a against seed s of b (the same first weights, the same
    rows). One model (N,) is held against each of S models (S, N). A lesson has one comparison that is not exploratory.
    """
    a, b = _table(scores_a), _table(scores_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            "a paired comparison needs both on the same examples; "
            f"{name_a} has {a.shape[1]:,} and {name_b} has {b.shape[1]:,}"
        )
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(
            "a paired comparison needs seed s of one against seed s of the other; "
            f"{name_a} has {len(a)} seeds and {name_b} has {len(b)}"
        )
    share, paired, table = _is_share(a) and _is_share(b), len(a) == len(b), a - b
    low, high = (float(end) for end in _difference_interval(table, share))
    value = float(table.mean())
    difference = Estimate(
        value, min(low, value), max(high, value), _n(table, "paired " if paired else ""), _over(table)
    )
    word = "NOT SEPARABLE"
    if low > 0 or high < 0:
        word = "BETTER" if (value > 0) == higher_is_better else "WORSE"
    seeds_needed = None if word != "NOT SEPARABLE" else _seeds_needed(table)
    method = "paired t interval over examples" if len(table) == 1 else f"two-way {'paired ' * paired}t interval"
    note = _note(table, share, word, seeds_needed)
    return Verdict(word, difference, seeds_needed, method, name_a, name_b, exploratory, note, share)


def _difference_interval(table, share):
    """(low, high) of a mean difference. table (S, N); share: of two shares, so that each entry is -1, 0 or 1."""
    s, n = table.shape
    if not share:
        return _mean_interval(table)
    if s == 1:  # one example more for either side keeps the interval honest when few differ (Bonett and Price, 2012)
        low, high = _mean_interval(torch.cat([table, torch.tensor([[1.0, -1.0]], dtype=table.dtype)], 1))
    elif (table == 0).all():  # they never differ: examples on which they do are rarer than this, or we had met one
        high = torch.tensor(1 - TAIL ** (1 / n))
        low = -high
    else:
        low, high = _mean_interval(table)
    return low.clamp(min=-1), high.clamp(max=1)


def _seeds_needed(table):
    """Seeds with which a true difference of the size seen is separable 4 times in 5; None if no number is enough."""
    s, n = table.shape
    if s == 1:
        return None
    seed, example, rest = (float(ms) for ms in _mean_squares(table))
    from_examples = max(example - rest, 0) / (s * n)  # stays, however many seeds there are
    per_seed = max(seed, rest) / n
    wanted = (float(table.mean()) / (stats.norm.isf(TAIL) + stats.norm.isf(0.2))) ** 2
    return max(s + 1, math.ceil(per_seed / (wanted - from_examples))) if wanted > from_examples else None


def _note(table, share, word, seeds_needed):
    s, n = table.shape
    if s == 1:
        return "One model each: this speaks of these two models, not of how they were made."
    notes = []
    differ = int((table != 0).any(0).sum())
    if share and differ < 10:
        notes.append(f"They differ on only {differ} of {n:,} examples: read the interval with care.")
    if seeds_needed:
        many = f"About {seeds_needed:,}" if seeds_needed <= 1000 else "More than 1,000"
        notes.append(f"{many} seeds would be needed to see a difference of this size 4 times in 5.")
    elif word == "NOT SEPARABLE":
        notes.append(f"More seeds alone would not show a difference of this size: the {n:,} examples limit it.")
    return " ".join(notes)


# ---- calibration: is a model as often right as it is sure? ----


class Calibration(NamedTuple):
    """ECE and the reliability curve, in equal bins of confidence. Tensors (bins,); NaN where a bin is empty.

    floor is the ECE that a perfectly calibrated model of the same confidences would get by chance: ECE is biased up.
    """

    ece: Estimate
    confidence: torch.Tensor  # mean confidence of the answers in the bin
    accuracy: torch.Tensor  # share of them that is right
    count: torch.Tensor  # how many there are, all seeds together
    low: torch.Tensor  # Wilson interval of accuracy, as if the seeds taught nothing new: rather too wide
    high: torch.Tensor
    floor: float

    def __str__(self):
        return f"ECE {self.ece}; biased upwards, a perfectly calibrated model would get about {self.floor:.1%} here"


def calibration(logits, labels, bins=10):
    """Expected calibration error: the gap between confidence and accuracy, averaged over answers (Guo et al., 2017).

    logits (N, C) or (S, N, C), labels (N,). Several seeds: the mean of each seed's ECE. ECE is biased: in a finite
    sample even a perfect model's gaps are not zero. So its interval is only the spread of 1,000 bootstrap draws (of
    seeds and examples both, about the value): how far the number would move, with no promise that it holds the truth.
    """
    right = _table(correct(logits, labels))  # (S, N)
    sure = _table(logits.double().softmax(-1).amax(-1))
    s, n = sure.shape
    which = (sure * bins).long().clamp(max=bins - 1)[:, None]  # (S, 1, N)

    def in_bins(values):
        return torch.zeros(s, bins, n, dtype=values.dtype).scatter(1, which, values[:, None])

    gaps = in_bins(sure - right)  # (S, bins, N)
    per_seed = gaps.sum(-1).abs().sum(-1) / n  # (S,)
    generator = torch.Generator().manual_seed(0)

    def draws(size):  # how often each of `size` is drawn, in each of 1,000 bootstrap samples: (size, 1000)
        drawn = torch.randint(size, (size, 1000), generator=generator)
        return torch.zeros(size, 1000, dtype=torch.double).scatter_add(0, drawn, torch.ones_like(drawn).double())

    drawn = (gaps @ draws(n)).abs().sum(1) / n  # (S, 1000)
    drawn = (drawn * draws(s)).mean(0)
    shift = drawn.quantile(torch.tensor([TAIL, 1 - TAIL], dtype=torch.double)) - drawn.mean()
    value = float(per_seed.mean())
    ece = Estimate(
        value,
        max(value + float(shift[0]), 0.0),
        value + float(shift[1]),
        _n(sure),
        _over(sure),
        "bootstrap spread, ECE is biased upwards",
    )
    chance = in_bins(sure * (1 - sure)).sum(-1)  # variance of the gap of a calibrated model, per seed and bin
    floor = float((2 / math.pi * chance).sqrt().sum(-1).mean() / n)  # E|z| of a normal z
    count = in_bins(torch.ones_like(sure)).sum((0, -1))
    confidence, share = (in_bins(values).sum((0, -1)) / count for values in (sure, right))
    low, high = _wilson(share, count / s, stats.norm.isf(TAIL))
    return Calibration(ece, confidence, share, count.long(), low, high, floor)


def clustered(scores, base):
    """The mean of scores (N,) as an Estimate over base pictures: base (N,) says which of them each row was made from.

    Copies of one picture are no independent examples, so each picture gives one number, the mean over its copies.
    """
    pictures, which = np.unique(base, return_inverse=True)
    found = estimate(torch.from_numpy(np.bincount(which, scores) / np.bincount(which)))
    n = f"{len(scores):,} copies of {len(pictures):,} pictures"
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0), n, "examples")
