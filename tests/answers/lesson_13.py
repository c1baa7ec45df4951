"""Answers to lesson 13's exercises, right and wrong."""

import hashlib
import hmac
import math

import numpy as np
import torch
from scipy.spatial.distance import cdist

from tests.answers import Answers

# ---- 13.1 ----


def reverse_by_logs(probs, beta=1.0, gamma=0.2, hair=1e-15):
    """The sigmoid and its inverse written out, a hair's breadth inside 0 and 1."""
    y = np.clip(probs, hair, 1 - hair)
    logit = np.log(y) - np.log1p(-y)
    bent = y - beta * (1 / (1 + np.exp(-gamma * logit)) - 0.5)
    return bent / bent.sum(1)[:, None]


def reverse_with_tanh(probs, beta=1.0, gamma=0.2):
    y = torch.tensor(probs)
    bent = y - beta / 2 * torch.tanh(gamma * torch.logit(y) / 2)
    return (bent / bent.sum(-1, keepdim=True)).numpy()


# ---- 13.2 ----


def by_sha256(secret, row):
    return hashlib.sha256(secret + bytes(row)).digest()


def keyed_by_hash(x, secret, sd, classes=10, digest=by_sha256):
    """A hash of secret and pixels, and torch's generator."""
    rows = []
    for row in (np.asarray(x) * 16 + 0.5).astype(int).tolist():
        generator = torch.Generator().manual_seed(int.from_bytes(digest(secret, row)[:7], "big"))
        rows.append(sd * torch.randn(classes, generator=generator, dtype=torch.float64))
    return torch.stack(rows)


def keyed_by_words(x, secret, sd, classes=10, random=np.random.RandomState):
    def one(row):
        text = " ".join(str(round(float(value) * 16)) for value in row)
        digest = hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()
        return random(int(digest[:7], 16)).standard_normal(classes)

    return sd * np.array([one(row) for row in x])


def keyed(of, **slip):
    return lambda x, secret, sd, classes=10: of(x, secret, sd, classes, **slip)


def shared_random(seed):
    np.random.seed(seed)
    return np.random


def keyed_by_python(x, secret, sd, classes=10):
    whole = np.round(np.asarray(x) * 16).astype(int)
    seeds = [abs(hash(secret + row.tobytes())) for row in whole]
    return np.stack([np.random.default_rng(seed).normal(0, sd, classes) for seed in seeds])


# ---- 13.3 ----


def take_by_numbers(bucket, rows, now, rate, burst, part=float):
    """The same with plain ifs."""
    tokens, when = bucket
    if now > when:
        tokens, when = tokens + part(rate * (now - when)), now
    if tokens > burst:
        tokens = burst
    wait = 0.0
    if rows <= tokens:
        tokens -= rows
    elif rows > burst or not rate:
        wait = math.inf
    else:
        wait = (rows - tokens) / rate
    return (tokens, when), wait


def take_at_once(bucket, rows, now, rate, burst):
    """Nothing but expressions; a division by a rate of 0 is numpy's, which gives inf."""
    when = max(now, bucket[1])
    tokens = min(burst, bucket[0] + (when - bucket[1]) * rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        wait = np.float64(max(0.0, rows - tokens)) / rate if rows > tokens else 0.0
    return [tokens - rows * (rows <= tokens), when], wait if rows <= burst else np.inf


def closed_when_time_goes_back(bucket, rows, now, rate, burst):
    return (bucket, math.inf) if now < bucket[1] else take_by_numbers(bucket, rows, now, rate, burst)


# ---- 13.4 ----


def nearest_by_cdist(x, answers):
    allowed = (answers[:, None] == answers) & np.tri(len(x), k=-1, dtype=bool)
    return np.where(allowed, cdist(x, x), np.inf).min(1)


def nearest_with_a_dict(x, answers, before=None, newest=None):
    before, found = {} if before is None else before, []
    for row, answer in zip(x, answers, strict=True):
        there = before.setdefault(int(answer), [])
        found.append(min((math.dist(row, other) for other in there[newest:]), default=math.inf))
        there.append(row)
    return found


ALL_CALLS = {}

# ---- 13.5 ----


def threshold_by_partition(honest, share=0.01):
    k = int(share * len(honest) + 1e-9)
    return np.partition(honest, k)[k]


def threshold_by_counting(honest, share=0.01, rings=lambda lower, n, share: lower <= share * n + 1e-9):
    values = honest.tolist()
    return max(v for v in values if v == min(values) or rings(sum(one < v for one in values), len(values), share))


# ---- 13.6 ----


def cohorts_by_merging(seen):
    """Merges sets of keys that share a block, one pair after the other."""
    groups = []
    for key, block in seen:
        meet = [g for g in groups if key in g[0] or block in g[1]]
        rest = [g for g in groups if g not in meet]
        groups = [*rest, ({key}.union(*(g[0] for g in meet)), {block}.union(*(g[1] for g in meet)))]
    return [keys for keys, _ in groups]


def cohorts_by_walking(seen):
    """Walks from key to block to key."""
    left, found = {key for key, _ in seen}, []
    while left:
        group, todo = set(), [next(iter(left))]
        while todo:
            key = todo.pop()
            if key not in group:
                group.add(key)
                todo += [other for one, block in seen for other, at in seen if one == key and at == block]
        left -= group
        found.append(frozenset(group))
    return found


def cohorts_by_emptying(seen):
    pairs = [seen.pop() for _ in range(len(seen))]
    return cohorts_by_merging(pairs)


def first_that_fits(seen):
    """One pass over the blocks: each joins the first group that it meets, and no other."""
    groups = []
    for block in dict.fromkeys(block for _, block in seen):
        keys = {key for key, at in seen if at == block}
        meet = [group for group in groups if group & keys]
        groups.append(keys) if not meet else meet[0].update(keys)
    return groups


# ---- 13.7 ----


def share_by_counting(thieves, caught, false_alarms, keys=1_000_000, whole=float):
    ring = whole(keys * thieves * caught)
    return ring / (ring + whole(keys * (1 - thieves) * false_alarms) or 1)


def share_by_odds(thieves, caught, false_alarms):
    if false_alarms == 0:
        return 1.0
    odds = thieves / (1 - thieves) * caught / false_alarms
    return odds / (1 + odds)


ANSWERS = {
    "13.1": Answers(
        right=[reverse_by_logs, reverse_with_tanh],
        wrong={
            "clipped": (lambda *given: reverse_by_logs(*given, hair=1e-4), "Were they cut off"),
            "one row": (lambda *given: reverse_by_logs(*given)[0], "an array, one answer a row"),
        },
    ),
    "13.2": Answers(
        right=[keyed_by_hash, keyed_by_words],
        wrong={
            "np.random.seed": (keyed(keyed_by_words, random=shared_random), "everybody's random numbers"),
            "Python's hash": (keyed_by_python, "Python's hash()"),
            "two bytes": (keyed(keyed_by_hash, digest=lambda *given: by_sha256(*given)[:2]), "65,536"),
            "ten classes": (lambda x, secret, sd, classes=10: keyed_by_hash(x, secret, sd), "Is `classes` used?"),
        },
    ),
    "13.3": Answers(
        right=[take_by_numbers, take_at_once],
        wrong={
            "whole tokens drip": (lambda *given: take_by_numbers(*given, part=int), "Tokens come in parts"),
            "closed when time goes back": (closed_when_time_goes_back, "went back as: no time has passed"),
            "the wait alone": (lambda *given: take_by_numbers(*given)[1], "gave 0, a float"),
        },
        garbage=[lambda *args: (("x", "y"), "z"), lambda *args: ((1.0, math.nan), 0.0)],
    ),
    "13.4": Answers(
        right=[nearest_by_cdist, nearest_with_a_dict],
        wrong={
            "the last 50": (lambda x, answers: nearest_with_a_dict(x, answers, newest=-50), "however long ago"),
            "of all calls": (lambda x, answers: nearest_with_a_dict(x, answers, ALL_CALLS), "a call before was given"),
        },
    ),
    "13.5": Answers(
        right=[threshold_by_partition, threshold_by_counting],
        wrong={
            "fewer than the share": (
                lambda honest, share=0.01: threshold_by_counting(honest, share, lambda low, n, share: low < share * n),
                "One more could lie below",
            ),
            "sorts the traffic": (
                lambda honest, share=0.01: honest.sort() or threshold_by_partition(honest, share),
                "changed what it was given",
            ),
        },
    ),
    "13.6": Answers(
        right=[cohorts_by_merging, cohorts_by_walking],
        wrong={
            "empties the list": (cohorts_by_emptying, "changed"),
            "the first that fits": (first_that_fits, "bee joins ant and dog"),
            "texts": (
                lambda seen: [{str(key) for key in group} for group in cohorts_by_merging(seen)],
                "stay as they are",
            ),
        },
        garbage=[lambda seen: {"ant": 1}, lambda seen: ["ant", "bee"]],
    ),
    "13.7": Answers(
        right=[share_by_counting, share_by_odds],
        wrong={
            "whole keys": (lambda *given: share_by_counting(*given, keys=10_000, whole=round), "count parts of keys"),
            "nobody honest, nobody": (
                lambda *given: share_by_counting(*given) if given[2] else 0.0,
                "always right",
            ),
        },
    ),
}
