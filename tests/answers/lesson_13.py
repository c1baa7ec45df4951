"""Answers to lesson 13's exercises, right and wrong."""

import hashlib
import hmac
import math

import numpy as np
import torch
from scipy import special
from scipy.spatial.distance import cdist

from tests.answers import Answers

# ---- 13.1 ----


def reverse_by_logs(probs, beta=1.0, gamma=0.2):
    """The sigmoid and its inverse written out, a hair's breadth inside 0 and 1."""
    y = np.clip(probs, 1e-15, 1 - 1e-15)
    logit = np.log(y) - np.log1p(-y)
    bent = y - beta * (1 / (1 + np.exp(-gamma * logit)) - 0.5)
    return bent / bent.sum(1)[:, None]


def reverse_with_torch(probs, beta=1.0, gamma=0.2):
    y = torch.tensor(probs)
    bent = y - beta * (torch.sigmoid(gamma * torch.logit(y)) - 0.5)
    return (bent / bent.sum(-1, keepdim=True)).numpy()


def reverse(bend, whole=lambda bent: bent / bent.sum(-1, keepdims=True)):
    def reverse_sigmoid(probs, beta=1.0, gamma=0.2):
        return whole(probs - bend(probs, special.logit(probs), beta, gamma))

    return reverse_sigmoid


def bend(y, z, beta, gamma):
    return beta * (special.expit(gamma * z) - 0.5)


def reverse_in_place(probs, beta=1.0, gamma=0.2):
    probs -= bend(probs, special.logit(probs), beta, gamma)
    probs /= probs.sum(-1, keepdims=True)
    return probs


def reverse_with_nan(probs, beta=1.0, gamma=0.2):
    odds = np.log(probs / (1 - probs))
    bent = probs - beta * (np.exp(gamma * odds) / (1 + np.exp(gamma * odds)) - 0.5)
    return bent / bent.sum(-1, keepdims=True)


# ---- 13.2 ----


def keyed_by_hash(x, secret, sd, classes=10):
    """A hash of secret and pixels, and torch's generator."""
    rows = []
    for row in (np.asarray(x) * 16 + 0.5).astype(int):
        seed = int.from_bytes(hashlib.sha256(secret + bytes(row.tolist())).digest()[:7], "big")
        rows.append(sd * torch.randn(classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return torch.stack(rows)


def keyed_by_words(x, secret, sd, classes=10):
    def one(row):
        text = " ".join(str(round(float(value) * 16)) for value in row)
        digest = hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()
        return np.random.RandomState(int(digest[:7], 16)).standard_normal(classes) * sd

    return np.array([one(row) for row in x])


def keyed(round_=lambda row: np.round(row * 16).astype(np.int16), secret_=lambda s: s, sd_=lambda sd: sd, same=False):
    def keyed_noise(x, secret, sd, classes=10):
        rows = []
        for row in np.asarray(x):
            digest = hmac.new(secret_(secret), np.ascontiguousarray(round_(row)).tobytes(), "sha256").digest()
            rng = np.random.default_rng(int.from_bytes(digest, "big"))
            rows.append(np.full(classes, rng.normal(0, sd_(sd))) if same else rng.normal(0, sd_(sd), classes))
        return np.stack(rows)

    return keyed_noise


def fresh_noise(x, secret, sd, classes=10):
    return np.random.default_rng().normal(0, sd, (len(x), classes))


def one_noise_for_all(x, secret, sd, classes=10):
    rng = np.random.default_rng(list(secret))
    return np.tile(rng.normal(0, sd, classes), (len(x), 1))


def noise_of_the_batch(x, secret, sd, classes=10):
    whole = np.round(np.asarray(x) * 16).astype(np.int16).tobytes()
    digest = hmac.new(secret, whole, "sha256").digest()
    return np.random.default_rng(int.from_bytes(digest, "big")).normal(0, sd, (len(x), classes))


# ---- 13.3 ----


def take_by_numbers(bucket, rows, now, rate, burst):
    """The same with plain ifs."""
    tokens, when = bucket
    if now > when:
        tokens, when = tokens + rate * (now - when), now
    if tokens > burst:
        tokens = burst
    wait = 0.0
    if rows <= tokens:
        tokens -= rows
    elif rows > burst:
        wait = math.inf
    else:
        wait = (rows - tokens) / rate
    return (tokens, when), wait


def take_by_time(bucket, rows, now, rate, burst):
    """Thinks in the time at which the bucket was last empty."""
    tokens, when = bucket
    now = max(when, now)
    empty = max(when - tokens / rate, now - burst / rate)
    after = empty + rows / rate
    if rows > burst:
        return [(now - empty) * rate, now], math.inf
    if after > now + 1e-12:
        return [(now - empty) * rate, now], after - now
    return [(now - after) * rate, now], 0.0


def bucket(
    cap=True,
    fill=True,
    cost=lambda rows: rows,
    refused=lambda tokens, rows: tokens,
    enough=lambda rows, tokens: rows <= tokens,
    moves=True,
    moves_on_refusal=True,
    wait_=lambda lacks, rate: lacks / rate,
    back="still",
    never=True,
):
    """A bucket with one thing left out or wrong."""

    def take(bucket, rows, now, rate, burst):
        tokens, when = bucket
        if back == "still":
            now = max(now, when)
        passed = abs(now - when) if back == "either way" else now - when
        if back == "empty" and passed < 0:
            return (0.0, when), rows / rate
        if back == "turned" and passed < 0:
            passed = 0.0
        tokens = tokens + (rate * passed if fill else 0)
        tokens = min(burst, tokens) if cap else tokens
        if never and rows > burst:
            return (tokens, now), math.inf
        if not enough(rows, tokens):
            return (refused(tokens, rows), now if moves_on_refusal and moves else when), wait_(rows - tokens, rate)
        return (tokens - cost(rows), now if moves else when), 0.0

    return take


def fixed_window(bucket, rows, now, rate, burst):
    """Right where it is looked at step by step (from 100 s on); before, full again at every round five seconds."""
    tokens, when = bucket
    if now < 100 and now // 5 > when // 5:
        tokens = burst
    return take_by_numbers((tokens, when), rows, now, rate, burst)


# ---- 13.4 ----


def nearest_by_cdist(x, answers):
    distances = cdist(x, x)
    allowed = (answers[:, None] == answers) & np.tri(len(x), k=-1, dtype=bool)
    return np.where(allowed, distances, np.inf).min(1)


def nearest_with_a_dict(x, answers):
    before, found = {}, []
    for row, answer in zip(x, answers, strict=True):
        there = before.setdefault(int(answer), [])
        found.append(min((math.dist(row, other) for other in there), default=math.inf))
        there.append(row)
    return found


def nearest(allowed, distances=cdist, empty=np.inf):
    def nearest_earlier(x, answers):
        same = answers[:, None] == answers
        earlier = np.tri(len(x), k=-1, dtype=bool)
        least = np.where(allowed(same, earlier), distances(x, x), np.inf).min(1)
        return np.where(np.isinf(least), empty, least)

    return nearest_earlier


def nearest_latest(x, answers):
    found = []
    for i in range(len(x)):
        there = np.flatnonzero(answers[:i] == answers[i])
        found.append(np.linalg.norm(x[i] - x[there[-1]]) if len(there) else np.inf)
    return np.array(found)


def nearest_farthest(x, answers):
    found = []
    for i in range(len(x)):
        there = x[:i][answers[:i] == answers[i]]
        found.append(np.linalg.norm(x[i] - there, axis=1).max() if len(there) else np.inf)
    return np.array(found)


# ---- 13.5 ----


def threshold_by_partition(honest, share=0.01):
    k = int(share * len(honest) + 1e-9)
    return np.partition(honest, k)[k]


def threshold_by_counting(honest, share=0.01):
    best = -math.inf
    for value in honest.tolist():
        if sum(other < value for other in honest.tolist()) / len(honest) <= share + 1e-12:
            best = max(best, value)
    return best


def threshold_sorts_the_traffic(honest, share=0.01):
    honest.sort()
    return honest[int(share * len(honest) + 1e-9)]


# ---- 13.6 ----


def cohorts_by_merging(seen):
    """Merges sets of keys that share a block until nothing changes."""
    groups = []
    for key, block in seen:
        meet = [g for g in groups if key in g[0] or block in g[1]]
        rest = [g for g in groups if g not in meet]
        keys, blocks = {key}, {block}
        for one in meet:
            keys |= one[0]
            blocks |= one[1]
        groups = [*rest, (keys, blocks)]
    return [keys for keys, _ in groups]


def cohorts_by_walking(seen):
    """Walks from key to block to key."""
    keys_of, blocks_of = {}, {}
    for key, block in seen:
        keys_of.setdefault(block, []).append(key)
        blocks_of.setdefault(key, []).append(block)
    left, found = set(blocks_of), []
    while left:
        group, todo = set(), [next(iter(left))]
        while todo:
            key = todo.pop()
            if key not in group:
                group.add(key)
                todo += [other for block in blocks_of[key] for other in keys_of[block]]
        left -= group
        found.append(frozenset(group))
    return found


def one_cohort_per_block(seen):
    blocks = {}
    for key, block in seen:
        blocks.setdefault(block, set()).add(key)
    return list(blocks.values())


def first_address_only(seen):
    first = dict(reversed(seen))
    blocks = {}
    for key, block in first.items():
        blocks.setdefault(block, set()).add(key)
    return list(blocks.values())


def without_the_lonely(seen):
    return [group for group in cohorts_by_merging(seen) if len(group) > 1]


def with_addresses(seen):
    return [group | {block for key, block in seen if key in group} for group in cohorts_by_merging(seen)]


def everybody(seen):
    return [{key for key, _ in seen}]


def moves_one_key(seen):
    """Moves the key into the other's group, and leaves behind those that it was with."""
    group, blocks = {}, {}
    for key, block in seen:
        group.setdefault(key, key)
        group[key] = group[blocks.setdefault(block, key)]
    return [{key for key in group if group[key] == name} for name in set(group.values())]


# ---- 13.7 ----


def share_by_counting(thieves, caught, false_alarms):
    keys = 1_000_000
    ring = keys * thieves * caught
    return ring / (ring + keys * (1 - thieves) * false_alarms)


def share_by_odds(thieves, caught, false_alarms):
    if false_alarms == 0:
        return 1.0
    odds = thieves / (1 - thieves) * caught / false_alarms
    return odds / (1 + odds)


ANSWERS = {
    "13.1": Answers(
        right=[reverse_by_logs, reverse_with_torch],
        wrong={
            "no normalising": (reverse(bend, lambda bent: bent), "a row sums to"),
            "over the batch": (reverse(bend, lambda bent: bent / bent.sum(0)), "sum of each column"),
            "softmax": (reverse(bend, lambda bent: special.softmax(bent, -1)), "a softmax is not"),
            "added": (reverse(lambda *args: -bend(*args)), "must be taken off"),
            "no half": (reverse(lambda y, z, b, g: b * special.expit(g * z)), "the 1/2 is missing"),
            "gamma outside": (reverse(lambda y, z, b, g: b * (g * special.expit(z) - 0.5)), "stands outside"),
            "no gamma": (reverse(lambda y, z, b, g: b * (special.expit(z) - 0.5)), "gamma is not used"),
            "no logit": (reverse(lambda y, z, b, g: b * (special.expit(g * y) - 0.5)), "gamma * y"),
            "log for logit": (reverse(lambda y, z, b, g: b * (special.expit(g * np.log(y)) - 0.5)), "gamma * log(y)"),
            "no beta": (reverse(lambda y, z, b, g: special.expit(g * z) - 0.5), "beta is not used"),
            "in place": (reverse_in_place, "changed the probabilities"),
            "nan at the ends": (reverse_with_nan, "exactly 0 or 1"),
            "another formula": (reverse(lambda y, z, b, g: b * g * y), "the formula gives"),
        },
    ),
    "13.2": Answers(
        right=[keyed_by_hash, keyed_by_words],
        wrong={
            "fresh": (fresh_noise, "asked again"),
            "one for all": (one_noise_for_all, "two different questions"),
            "of the batch": (noise_of_the_batch, "place in the batch"),
            "no secret": (keyed(secret_=lambda secret: b"public"), "the secret changes nothing"),
            "one number": (keyed(same=True), "all ten classes"),
            "no rounding": (keyed(round_=lambda row: row.astype(np.float64)), "moved by a hundredth, which no eye"),
            "cut off": (keyed(round_=lambda row: np.floor(row * 16 + 1e-9).astype(np.int16)), "in one direction"),
            "minus zero": (keyed(round_=lambda row: np.round(row * 16)), "-0.0"),
            "too coarse": (
                keyed(round_=lambda row: np.round(row * 8 + 0.25).astype(np.int16)),
                "differ by a sixteenth",
            ),
            "a variance": (keyed(sd_=lambda sd: sd**0.5), "taken for a variance"),
            "twice as much": (keyed(sd_=lambda sd: 2 * sd), "expected 0 and 0.2"),
            "nothing": (lambda x, secret, sd, classes=10: np.zeros((len(x), classes)), "there is no noise"),
        },
    ),
    "13.3": Answers(
        right=[take_by_numbers, take_by_time],
        wrong={
            "per request": (bucket(cost=lambda rows: 1), "Charge by rows"),
            "strictly less": (bucket(enough=lambda rows, tokens: rows < tokens), "4 tokens are enough"),
            "never filled": (bucket(fill=False), "nothing was poured in"),
            "the time stays": (bucket(moves=False), "same second would be poured in"),
            "no cap": (bucket(cap=False), "never holds more than"),
            "takes what is refused": (bucket(refused=lambda tokens, rows: tokens - rows), "Refused means nothing"),
            "empties what is refused": (bucket(refused=lambda tokens, rows: 0.0), "request takes nothing"),
            "grants all": (bucket(enough=lambda rows, tokens: True), "6 rows were granted"),
            "the time stays at a refusal": (bucket(moves_on_refusal=False), "knocks fast"),
            "waits in tokens": (bucket(wait_=lambda lacks, rate: lacks), "Divide by the rate"),
            "waits for all rows": (bucket(wait_=lambda lacks, rate: lacks / rate + 1), "wait 1.5 s"),
            "fills when time goes back": (bucket(back="either way"), "went back a minute, and the bucket"),
            "punishes when time goes back": (bucket(back="empty"), "honest user was punished"),
            "believes the earlier time": (bucket(back="turned"), "Keep the later time"),
            "waits for ever, finitely": (bucket(never=False), "the wait is math.inf"),
            "fixed window": (fixed_window, "not at full minutes"),
        },
        garbage=[lambda *args: (("x", "y"), "z"), lambda *args: ((1.0, math.nan), 0.0)],
    ),
    "13.4": Answers(
        right=[nearest_by_cdist, nearest_with_a_dict],
        wrong={
            "itself": (nearest(lambda same, earlier: same), "nearest to itself"),
            "any answer": (nearest(lambda same, earlier: earlier), "answers are not used"),
            "later ones": (nearest(lambda same, earlier: same & (earlier | earlier.T)), "later questions were used"),
            "all others": (nearest(lambda same, earlier: earlier | earlier.T), "all other questions"),
            "squared": (nearest(lambda s, e: s & e, lambda a, b: cdist(a, b) ** 2), "squared"),
            "city block": (nearest(lambda s, e: s & e, lambda a, b: cdist(a, b, "cityblock")), "Euclidean"),
            "the latest": (nearest_latest, "*latest*"),
            "another answer": (nearest(lambda same, earlier: ~same & earlier), "with *another* answer"),
            "the farthest": (nearest_farthest, "farthest"),
            "nan for none": (nearest(lambda s, e: s & e, empty=np.nan), "give it np.inf"),
            "zero for none": (nearest(lambda s, e: s & e, lambda a, b: cdist(a, b) + 1e-3, empty=0.0), "you say"),
        },
    ),
    "13.5": Answers(
        right=[threshold_by_partition, threshold_by_counting],
        wrong={
            "the lowest": (lambda honest, share=0.01: honest.min(), "no honest stream rings"),
            "the high end": (lambda honest, share=0.01: np.sort(honest)[::-1][int(share * len(honest))], "low end"),
            "interpolated": (lambda honest, share=0.01: np.quantile(honest, share), "interpolates"),
            "one too few": (
                lambda honest, share=0.01: np.sort(honest)[max(0, int(share * len(honest) + 1e-9) - 1)],
                "A higher threshold sees more",
            ),
            "sorts the traffic": (threshold_sorts_the_traffic, "another order"),
            "an array": (lambda honest, share=0.01: np.sort(honest)[: int(share * len(honest))], "expected one number"),
            "always 1%": (lambda honest, share=0.01: threshold_by_partition(honest, 0.02), "of 250 honest streams lie"),
        },
    ),
    "13.6": Answers(
        right=[cohorts_by_merging, cohorts_by_walking],
        wrong={
            "one per block": (one_cohort_per_block, "came in two cohorts"),
            "the first address": (first_address_only, "first address"),
            "drops the lonely": (without_the_lonely, "cohort of its own"),
            "holds addresses": (with_addresses, "is no key"),
            "everybody": (everybody, "all keys are one cohort"),
            "leaves keys behind": (moves_one_key, "these two made one"),
            "each alone": (lambda seen: [{key} for key in {key for key, _ in seen}], "the cohorts are ant, bee, dog"),
        },
        garbage=[lambda seen: {"ant": 1}, lambda seen: ["ant", "bee"]],
    ),
    "13.7": Answers(
        right=[share_by_counting, share_by_odds],
        wrong={
            "of the thieves": (lambda thieves, caught, false_alarms: caught, "share of thieves who ring"),
            "the honest": (lambda *args: 1 - share_by_counting(*args), "that honest users raise"),
            "all are honest": (
                lambda thieves, caught, false_alarms: thieves * caught / (thieves * caught + false_alarms),
                "counted as if they were honest",
            ),
            "no base rate": (lambda thieves, caught, false_alarms: caught / (caught + false_alarms), "as many thieves"),
            "of all keys": (lambda thieves, caught, false_alarms: thieves * caught, "share of all keys"),
            "in peace": (lambda thieves, caught, false_alarms: 1 - false_alarms, "left in peace"),
            "percent": (lambda *args: 100 * share_by_counting(*args), "between 0 and 1"),
            "the thieves": (lambda thieves, caught, false_alarms: thieves, "8 of 107"),
        },
    ),
}
