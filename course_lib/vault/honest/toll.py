"""What a policy takes from honest users: labels, confidences, time.

cost() compares what honest.serve() brought them on some days with what an undefended vault says to the same questions.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from course_lib import measure
from course_lib.vault.honest.users import behaviour_of

LATE = 1.0  # seconds: an answer that comes later is late
OFF = 0.1  # a confidence that differs by more from the undefended one is no longer that one
TAIL = 0.025  # on either side of a 95% interval


@dataclass(frozen=True)
class Cost:
    """What honest users lost by a policy. Every behaviour counts the same; the days are what varied."""

    label_lost: measure.Estimate  # share of questions refused, late, or with another label than the undefended vault's
    confidence_lost: measure.Estimate  # share refused, late, without a confidence, or with one off by more than OFF
    accuracy: measure.Estimate  # share of questions with the right label; no answer is no right answer
    calibration: measure.Estimate  # expected calibration error of the answers that came
    refused: measure.Estimate  # share of questions that were given up
    delay: measure.Estimate  # mean seconds of the answers that came
    false_alarms: measure.Estimate  # share of users whose key (or cohort) was called unusual


def cost(days, undefended, unusual=()):
    """The Cost of a policy. days: a list of serve()'s lists, one per day (two or more).

    undefended: x (B, D) -> probs (B, C), what the vault says without a policy. unusual: one set of users per day.
    """
    if len(days) < 2:
        raise ValueError(f"an interval over days needs two or more of them; got {len(days)}")
    users = sum(len({one.question.user for one in day}) for day in days)
    tables = [_rows(day, undefended) for day in days]
    shares = {
        name: _over_days([_mean(table, name) for table in tables], users)
        for name in ("label_lost", "confidence_lost", "accuracy", "refused")
    }
    answered = [{key: value[table["answered"]] for key, value in table.items()} for table in tables]
    delay = _over_days([_mean(table, "delay") for table in answered])
    ece = _over_days([_ece(table) for table in answered])
    unusual = list(unusual) or [set()] * len(days)
    alarms = [_alarmed(day, alarmed) for day, alarmed in zip(days, unusual, strict=True)]
    return Cost(**shares, calibration=ece, delay=delay, false_alarms=_over_days(alarms, users))


def only(days, behaviour):
    """The days with the questions of one behaviour alone."""
    return [[one for one in day if behaviour_of(one.question.user) == behaviour] for day in days]


def _rows(day, undefended):
    """{name: (rows,)}: what became of each row that was asked on a day."""
    whole = undefended(np.concatenate([one.question.x for one in day]))  # (rows, C)
    probs, sizes = np.full(whole.shape, np.nan), [len(one.question.x) for one in day]
    for one, end, size in zip(day, np.cumsum(sizes), sizes, strict=True):
        if one.probs is not None:
            probs[end - size : end] = one.probs
    answered = np.repeat([one.probs is not None for one in day], sizes)
    delay = np.repeat([one.delay for one in day], sizes)
    in_time = answered & (delay <= LATE)
    top = np.where(answered[:, None], probs, 0.0)
    label, sure = top.argmax(1), top.max(1)
    bare = np.repeat([one.probs is not None and one.probs.dtype.kind == "i" for one in day], sizes)  # labels alone
    labels = np.concatenate([one.question.labels for one in day])
    return {
        "behaviour": np.repeat([behaviour_of(one.question.user) for one in day], sizes),
        "answered": answered,
        "refused": ~answered,
        "delay": delay,
        "label_lost": ~(in_time & (label == whole.argmax(1))),
        "confidence_lost": ~(in_time & ~bare & (np.abs(sure - whole.max(1)) <= OFF)),
        "accuracy": answered & (label == labels),
        "sure": sure,
    }


def _mean(table, name):
    """The mean over rows of each behaviour, then over the behaviours."""
    means = [table[name][table["behaviour"] == one].mean() for one in np.unique(table["behaviour"])]
    return float(np.mean(means)) if means else math.nan


def _ece(table, bins=10):
    which = np.minimum((table["sure"] * bins).astype(int), bins - 1)
    gaps = table["sure"] - table["accuracy"]
    return float(sum(abs(gaps[which == b].sum()) for b in range(bins)) / max(len(gaps), 1))


def _alarmed(day, unusual):
    users = {one.question.user for one in day}
    return len(users & set(unusual)) / len(users)


def _over_days(values, users=None):
    """A mean over days with its t interval; users: how many asked, for the interval of a share that was 0 or 1 every day."""
    values = np.array([value for value in values if not math.isnan(value)])
    mean, n = float(values.mean()) if len(values) else 0.0, f"{len(values)} days"
    if len(values) < 2:
        return measure.Estimate(
            mean, -math.inf if users is None else 0.0, math.inf if users is None else 1.0, n, "seeds"
        )
    half = float(stats.t.isf(TAIL, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    low, high = mean - half, mean + half
    if users is not None:
        low, high = max(low, 0.0), min(high, 1.0)
        rare = 1 - TAIL ** (1 / users)  # what never happened to so many users is rarer than this, or we had met it
        low, high = (1 - rare if mean == 1.0 else low), (rare if mean == 0.0 else high)
    else:
        low = max(low, 0.0)
    return measure.Estimate(mean, min(low, mean), max(high, mean), n, "seeds")


def honest_cost(service, model, x):
    """(share of pictures that get another label, share without a confidence or with one off by more than OFF) by the policy.

    By what leaves alone: waiting and refusals are not counted; toll.cost() counts them.
    """
    true, served = service.victims[model].answer(x), service.controlled(model, x)
    label = float((true.argmax(1) != served.argmax(1)).mean())
    bare = service.policy.output.kind == "label"
    return label, 1.0 if bare else float((np.abs(true.max(1) - served.max(1)) > OFF).mean())
