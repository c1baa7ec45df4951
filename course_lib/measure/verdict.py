"""Is a better than b? A paired comparison, and what it came to."""

import math
from dataclasses import dataclass

import torch
from scipy import stats

from course_lib.measure.intervals import (
    TAIL,
    Estimate,
    as_table,
    is_share,
    mean_interval,
    mean_squares,
    n_words,
    what_varied,
)


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
            # 0.0 would hide on which side of zero it is
            hidden = any(0 < abs(100 * end) < 0.05 for end in (d.low, d.high))
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
    a, b = as_table(scores_a), as_table(scores_b)
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
    share, paired, table = is_share(a) and is_share(b), len(a) == len(b), a - b
    low, high = (float(end) for end in _difference_interval(table, share))
    value = float(table.mean())
    difference = Estimate(
        value, min(low, value), max(high, value), n_words(table, "paired " if paired else ""), what_varied(table)
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
        return mean_interval(table)
    if s == 1:  # one example more for either side keeps the interval honest when few differ (Bonett and Price, 2012)
        low, high = mean_interval(torch.cat([table, torch.tensor([[1.0, -1.0]], dtype=table.dtype)], 1))
    elif (table == 0).all():  # they never differ: examples on which they do are rarer than this, or we had met one
        high = torch.tensor(1 - TAIL ** (1 / n))
        low = -high
    else:
        low, high = mean_interval(table)
    return low.clamp(min=-1), high.clamp(max=1)


def _seeds_needed(table):
    """Seeds with which a true difference of the size seen is separable 4 times in 5; None if no number is enough."""
    s, n = table.shape
    if s == 1:
        return None
    seed, example, rest = (float(ms) for ms in mean_squares(table))
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
