"""Calibration: is a model as often right as it is sure?"""

import math
from typing import NamedTuple

import torch
from scipy import stats

from course_lib.measure.intervals import TAIL, Estimate, as_table, n_words, what_varied, wilson
from course_lib.measure.quality import correct


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
    right = as_table(correct(logits, labels))  # (S, N)
    sure = as_table(logits.double().softmax(-1).amax(-1))
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
        n_words(sure),
        what_varied(sure),
        "bootstrap spread, ECE is biased upwards",
    )
    chance = in_bins(sure * (1 - sure)).sum(-1)  # variance of the gap of a calibrated model, per seed and bin
    floor = float((2 / math.pi * chance).sqrt().sum(-1).mean() / n)  # E|z| of a normal z
    count = in_bins(torch.ones_like(sure)).sum((0, -1))
    confidence, share = (in_bins(values).sum((0, -1)) / count for values in (sure, right))
    low, high = wilson(share, count / s, stats.norm.isf(TAIL))
    return Calibration(ece, confidence, share, count.long(), low, high, floor)
