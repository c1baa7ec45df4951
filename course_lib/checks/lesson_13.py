"""Checks of lesson 13: a defence from each of four families, and what an alarm is worth."""

import hmac
import math
import random

import numpy as np
import torch
from scipy import special
from scipy.spatial.distance import cdist

from course_lib.checks import trial
from course_lib.checks.exercise import Exercise, expect
from course_lib.checks.table import Case, Table, instead

# ---- what the lesson goes on with until the learner's own answers are right ----


def reverse_sigmoid(probs, beta=1.0, gamma=0.2):
    bent = probs - beta * (special.expit(gamma * special.logit(probs)) - 0.5)
    return bent / bent.sum(-1, keepdims=True)


def keyed_noise(x, secret, sd, classes=10):
    noise = []
    for row in np.round(np.asarray(x) * 16).astype(np.int16):
        digest = hmac.new(secret, row.tobytes(), "sha256").digest()
        noise.append(np.random.default_rng(int.from_bytes(digest, "big")).normal(0, sd, classes))
    return np.stack(noise)


def take(bucket, rows, now, rate, burst):
    tokens, when = bucket
    now = max(now, when)
    tokens = min(burst, tokens + rate * (now - when))
    if rows <= tokens:
        return (tokens - rows, now), 0.0
    never = rows > burst or rate == 0
    return (tokens, now), math.inf if never else (rows - tokens) / rate


def nearest_earlier(x, answers):
    found = np.full(len(x), np.inf)
    for i in range(len(x)):
        before = x[:i][answers[:i] == answers[i]]
        if len(before):
            found[i] = np.sqrt(((before - x[i]) ** 2).sum(-1)).min()
    return found


def threshold(honest, share=0.01):
    return np.sort(honest)[int(np.floor(share * len(honest) + 1e-9))]


def cohorts(seen):
    group, first_at = {}, {}  # key -> its cohort, block -> the first key seen there
    for key, block in seen:
        mine = group.setdefault(key, {key})
        other = group[first_at.setdefault(block, key)]
        if mine is not other:
            mine |= other
            for one in other:
                group[one] = mine
    return list({id(one): one for one in group.values()}.values())


def share_of_thieves(thieves, caught, false_alarms):
    true, false = thieves * caught, (1 - thieves) * false_alarms
    return true / (true + false)


def numbers(came):
    """What came as a tensor of float64, where it is an array, or a list of numbers."""
    try:
        return torch.as_tensor(np.asarray(came, np.float64))
    except (TypeError, ValueError):
        return came


# ---- 13.1 reverse sigmoid ----


def bending(seen, probs, why, beta=None, gamma=None, off=1e-6):
    y = torch.tensor(probs).double()
    bent = y - (beta or 1.0) * (torch.sigmoid((gamma or 0.2) * torch.logit(y)) - 0.5)
    return Case(seen, (y.numpy(), beta, gamma) if beta else (y.numpy(),), bent / bent.sum(-1, keepdim=True), why, off)


def quietly(answer, *given):
    with np.errstate(all="ignore"):
        return answer(*given)


FORMULA = "Compute y - beta * (s(gamma * logit(y)) - 1/2), then divide each row by its sum."
SMALL = "Small probabilities are bent most. Were they cut off, or was something added to them?"
ENDS = "special.logit and special.expit take exact zeros and ones. Who clips, clips within a hair's breadth of them: 1e-15."
LOGIT, SUM = "special.logit(probs)", "bent / bent.sum(-1, keepdims=True)"
REVERSE_SIGMOID = Table(
    "reverse_sigmoid",
    "an array, one answer a row",
    (
        bending("the answer (0.7, 0.2, 0.1), beta 0.8 and gamma 0.3", [[0.7, 0.2, 0.1]], FORMULA, 0.8, 0.3),
        bending("three answers, beta 1.5 and gamma 0.6", [[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], FORMULA, 1.5, 0.6),
        bending("the answer (0.7, 0.2, 0.1), no beta and no gamma", [[0.7, 0.2, 0.1]], "They are 1.0 and 0.2 then."),
        bending("(0.999998, 1e-6, 1e-6), beta 0.05 and gamma 0.2", [[0.999998, 1e-6, 1e-6]], SMALL, 0.05, 0.2),
        bending("the answer (1, 0, 0), beta 0.5 and gamma 0.5", [[1.0, 0.0, 0.0]], ENDS, 0.5, 0.5, 1e-4),
    ),
    (
        instead(reverse_sigmoid, SUM, "bent"),
        "The rows do not add up to 1. Divide each row by its own sum, so that it is an answer again.",
        instead(reverse_sigmoid, "sum(-1", "sum(0"),
        "You divided by the sum of each column, over the batch. Each answer sums to 1 by itself.",
        instead(reverse_sigmoid, SUM, "special.softmax(bent, -1)"),
        "A softmax is not what makes a row sum to 1 here: divide the row by its sum.",
        instead(reverse_sigmoid, "probs - beta", "probs + beta"),
        "The bend is added; it must be taken off: y - r.",
        instead(reverse_sigmoid, " - 0.5", ""),
        "The 1/2 is missing: without it every class loses something, and one half of the curve is not turned round.",
        instead(reverse_sigmoid, "special.expit(gamma * special.logit(probs))", "gamma * probs"),
        "gamma stands outside the sigmoid. It squeezes the logit before the sigmoid: s(gamma * logit).",
        instead(reverse_sigmoid, "gamma * special", "special"),
        "gamma is not used: s(logit(y)) is y again, so only a straight line was taken off.",
        instead(reverse_sigmoid, LOGIT, "probs"),
        "The sigmoid was given gamma * y. It takes gamma times the *logit* of y: log(y / (1 - y)).",
        instead(reverse_sigmoid, LOGIT, "np.log(probs)"),
        "The sigmoid was given gamma * log(y). Its inverse is the logit, log(y / (1 - y)).",
        instead(reverse_sigmoid, "special.expit(gamma", "(lambda z: np.exp(z) / (1 + np.exp(z)))(gamma"),
        "A probability of exactly 0 or 1 gave nan, and the vault would send it: exp(z) / (1 + exp(z)) is inf / inf there. "
        "special.expit is not.",
    ),
    read=numbers,
    play=quietly,
)


# ---- 13.2 noise that is a function of the question ----

DICE = np.random.default_rng(5)
X = DICE.integers(0, 17, (40, 64)) / 16
INSIDE = DICE.integers(1, 16, (40, 64)) / 16  # no pixel at 0, where -0.0 and 0.0 could differ
NEAR = 0.03 * DICE.uniform(0, 1, INSIDE.shape)
PIXELS = np.vstack([X[:1], np.abs(X[:1] - np.eye(64) / 16), X[:1][:, [1, 0, *range(2, 64)]]])  # 1 question, 65 like it
MANY = DICE.integers(0, 17, (1500, 64)) / 16


def look_at(answer, look):
    """look(ask), where ask(x, secret, sd, classes) is the answer; nobody else's random numbers may be touched by it."""

    def ask(x, secret=b"of the vault", sd=0.2, classes=10):
        given = x.copy()
        came = numbers(answer(given, secret, sd, classes) if classes != 10 else answer(given, secret, sd))
        expect(np.array_equal(given, x), "your keyed_noise changed the questions that it was given. Make new numbers.")
        expect(
            isinstance(came, torch.Tensor) and came.shape == (len(x), classes) and bool(came.isfinite().all()),
            f"for {len(x)} questions and {classes} classes an array of shape ({len(x)}, {classes}) was expected, a finite number "
            f"for each; {trial.describe(came)} came. Is `classes` used?",
        )
        return came.numpy()

    def states():
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    before = states()
    came = look(ask)
    expect(
        states() == before,
        "your keyed_noise draws from everybody's random numbers, or sets their seed (np.random, random, torch): whatever draws "
        "after it is foreseeable. Make a generator of its own for each row: np.random.default_rng(seed).",
    )
    return came


def elsewhere(answer, look=lambda ask: ask(X[:4])):
    here = look_at(answer, look)
    with trial.other_process(answer):
        expect(
            np.array_equal(here, look_at(answer, look)),
            "the noise is made with Python's hash(), which gives a text another number in every process: after a restart the same "
            "question gets fresh noise. Take the digest of hmac.",
        )


def same(seen, looks, why, right="the same noise"):
    """looks(ask) -> two arrays."""
    return Case(seen, (lambda ask: "the same noise" if np.array_equal(*looks(ask)) else "other noise",), right, why)


def other(seen, looks, why):
    return same(seen, looks, why, "other noise")


def distinct(noise):
    return len(np.unique(noise.round(9), axis=0))


AGAIN = "A thief asks it a hundred times and takes the mean. Make the seed of the question and the secret alone."
KNOWN = "Who knows one true answer could subtract it from all the others."
PLACE = "The noise of a question depends on its place in the batch, or on its neighbours there. Make it row by row."
SECRET = "Then whoever reads this code can compute the noise and subtract it. All of the secret goes in."
CLASSES = "All classes got the same number, which changes no winner. Draw one for each."
RAISED = (
    "No eye sees it, and a thief moves them a hundred times and takes the mean. Round each pixel to sixteenths first."
)
LOWERED = "Was the pixel cut off, as .astype(np.int16) does, where it should be rounded? Use np.round before it."
MINUS = "Rounded, they are -0.0, whose bytes differ from those of 0.0. Make whole numbers of them: .astype(np.int16)."
COARSE = "That many have noise of their own. Round to sixteenths, no coarser, and use all 64 pixels in their order."
SEEDS = (
    "Too little of the digest went into the seed. Two bytes are 65,536 seeds, which a thief can also try: take all 32."
)
SPREAD = "sd is the standard deviation of each number, no variance, and each is drawn by itself."
KEYED_NOISE = Table(
    "keyed_noise",
    "so that it cannot be averaged out",
    (
        same("a question asked again", lambda ask: (ask(X), ask(X)), AGAIN),
        other("two different questions", lambda ask: ask(X[:2]), KNOWN),
        same("the same questions in another order", lambda ask: (ask(X)[::-1], ask(X[::-1])), PLACE),
        other("another secret", lambda ask: (ask(X), ask(X, b"of the vaulu")), SECRET),
        other("two of the ten classes", lambda ask: ask(X).T[[3, 8]], CLASSES),
        same("pixels raised by less than half a sixteenth", lambda ask: (ask(INSIDE), ask(INSIDE + NEAR)), RAISED),
        same("pixels lowered by less than half a sixteenth", lambda ask: (ask(INSIDE), ask(INSIDE - NEAR)), LOWERED),
        same("pixels a little below 0", lambda ask: (ask(X), ask(X - 0.01)), MINUS),
        Case(
            "a question and 65 that differ from it by a sixteenth in one pixel, or by two pixels exchanged",
            (lambda ask: distinct(ask(PIXELS)),),
            66,
            COARSE,
        ),
        Case(
            "1,500 different questions, how many have noise of their own",
            (lambda ask: distinct(ask(MANY)),),
            1500,
            SEEDS,
        ),
        Case("3 classes", (lambda ask: ask(X, classes=3).shape,), (40, 3)),
        Case(
            "sd=0.5, the standard deviation of much noise", (lambda ask: ask(MANY, sd=0.5).std(),), 0.5, SPREAD, 0.017
        ),
        Case(
            "sd=0.5, the share of the noise between -0.5 and 0.5",
            (lambda ask: (np.abs(ask(MANY, sd=0.5)) < 0.5).mean(),),
            0.683,
            "The noise is to be normal, around 0: rng.normal(0, sd, classes).",
            0.025,
        ),
        Case(
            "the noise of two classes, the largest correlation",
            (lambda ask: np.abs(np.corrcoef(ask(MANY).T) - np.eye(10)).max(),),
            0.0,
            "Each class gets a number of its own.",
            0.15,
        ),
    ),
    (
        instead(keyed_noise, "0, sd", "0, sd**0.5"),
        "sd was taken for a variance.",
        instead(keyed_noise, "0, sd", "0, 1"),
        "Is sd used?",
        instead(keyed_noise, "normal(0, sd", "uniform(-sd, sd"),
        "These numbers are spread evenly between -sd and sd. Take rng.normal.",
    ),
    play=look_at,
    also=elsewhere,
)


# ---- 13.3 a token bucket ----


def said(tokens, when, wait):
    return ", ".join(f"{what} {round(x, 6) + 0:g}" for what, x in (("tokens", tokens), ("when", when), ("wait", wait)))


def poured(came):
    """((tokens, when), wait) in words."""
    try:
        (tokens, when), wait = came
        return said(*(float(number) for number in (tokens, when, wait) if number is not True and number is not False))
    except (TypeError, ValueError):
        return came


def asking(seen, bucket, rows, now, right, why, rate=2.0, burst=10.0):
    seen = f"{seen}: bucket {bucket}, {rows} wanted at {now:g} s, rate {rate:g} and burst {burst:g},"
    return Case(seen, (bucket, rows, now, rate, burst), said(*right), why)


REFUSED = (
    "Refused: nothing is taken, what dripped in stays, the bucket says `now`, and the wait is what lacks over rate."
)
PARTS = "Tokens come in parts, and int() takes one away at every request."
BACK = "Read a clock that went back as: no time has passed. The bucket keeps the later time, and everything else is as ever."
NEVER = "What never comes has to wait math.inf: more rows than burst, or a rate of 0."
TAKE = Table(
    "take",
    "((tokens, when), wait)",
    (
        asking("enough", (10.0, 100.0), 4, 100.0, (6, 100, 0), "Granted: the rows are taken, and the wait is 0."),
        asking("just enough", (4.0, 100.0), 4, 100.0, (0, 100, 0), "4 tokens are enough for 4 rows."),
        asking("a second later", (6.0, 100.0), 2, 101.0, (6, 101, 0), "2 tokens came, 2 rows go, and it is 101 s now."),
        asking("a minute later", (5.0, 100.0), 1, 160.0, (9, 160, 0), "A bucket never holds more than `burst`."),
        asking("over a full minute", (1.0, 119.0), 3, 121.0, (2, 121, 0), "Fill by what passed, not by the clock."),
        asking("all of it", (7.0, 100.0), 10, 102.0, (0, 102, 0), "10 rows fit into a bucket of 10."),
        asking("too few", (2.0, 100.0), 6, 101.0, (4, 101, 1), REFUSED),
        asking("too few for all of it", (4.0, 100.0), 10, 101.0, (6, 101, 2), REFUSED),
        asking("parts of tokens", (0.25, 100.0), 2, 100.5, (0.75, 100.5, 1.25), PARTS, 1.0),
        asking("parts of tokens", (0.75, 100.0), 1, 100.5, (0.25, 100.5, 0), PARTS, 1.0),
        asking("a small bucket", (2.75, 100.0), 1, 104.0, (2, 104, 0), "It never holds more than `burst`.", 0.5, 3.0),
        asking("a small bucket", (0.5, 7.0), 300, 1000.0, (1.5, 1000, math.inf), NEVER, 0.1, 1.5),
        asking("no rows", (3.0, 100.0), 0, 101.0, (5, 101, 0), "0 rows take 0 tokens."),
        asking("the clock went back", (3.0, 100.0), 1, 40.0, (2, 100, 0), BACK),
        asking("the clock went back", (3.0, 100.0), 5, 40.0, (3, 100, 1), BACK),
        asking("more than burst", (4.0, 100.0), 11, 101.0, (6, 101, math.inf), NEVER),
        asking("nothing drips in", (3.0, 100.0), 5, 200.0, (3, 200, math.inf), NEVER, 0.0),
        asking("nothing drips in", (3.0, 100.0), 2, 200.0, (1, 200, 0), "What is there can be had.", 0.0),
    ),
    (
        instead(take, "tokens - rows", "tokens - 1"),
        "One token was taken for a request of 4 rows: a thief would send all rows in one request. Charge by rows.",
        instead(take, "+ rate * (now - when)", ""),
        "A second has passed and nothing was poured in: `rate` tokens come for every second since `when`.",
        instead(take, ", now)", ", when)"),
        "The bucket still says the old time: at the next request the same second would be poured in again.",
        instead(take, "min(burst, tokens + rate * (now - when))", "tokens + rate * (now - when)"),
        "After a long silence yours holds more tokens than `burst`. It never does: cap it before you take.",
        instead(take, "return (tokens, now)", "return (tokens, when)"),
        "After a refusal the bucket keeps its old time although it was filled: the next request is given the same seconds again, "
        "and a thief who knocks fast fills it at will.",
        instead(take, "/ rate", ""),
        "You wait one second per token that lacks; 2 come each second. Divide by the rate.",
        instead(take, "(rows - tokens) /", "rows /"),
        "You wait for all rows, and some tokens are there: only what lacks has to come.",
        instead(take, "rows > burst", "rows >= burst"),
        "As many rows as `burst` can be had from a full bucket: they wait until it is full, and not for ever.",
        instead(take, " or rate == 0", ""),
        "At a rate of 0 nothing ever comes, and what lacks cannot be divided by it: the wait is math.inf.",
    ),
    read=poured,
)


# ---- 13.4 how far is a question from those before it? ----


def earlier(seen, n, pixels, labels, why):
    dice = np.random.default_rng(n)
    x, answers = dice.uniform(0, 1, (n, pixels)), dice.choice(labels, n)
    if n > 20:
        x[20], answers[20] = x[4] + 0.001, answers[4]  # near another question, of the same answer
        x[-1], answers[-1] = x[2], answers[2]  # an old question once more
    allowed = (answers[:, None] == answers) & np.tri(n, k=-1, dtype=bool)
    return Case(seen, (x, answers), torch.from_numpy(np.where(allowed, cdist(x, x), np.inf).min(1)), why, 1e-7)


NEAREST = "For each, in order, the nearest earlier one with its answer; np.inf where there is none."
BEFORE = "x[:i][answers[:i] == answers[i]]"
DISTANCE = "np.sqrt(((before - x[i]) ** 2).sum(-1))"
NEAREST_EARLIER = Table(
    "nearest_earlier",
    "an array, one distance for each question",
    (
        earlier("8 questions with 2 answers", 8, 2, [0, 1], NEAREST),
        earlier(
            "the same 8 questions in a second call", 8, 2, [0, 1], "Does it remember what a call before was given?"
        ),
        earlier("1 question", 1, 4, [3], "There is none before it: np.inf."),
        earlier("30 questions with 3 answers", 30, 64, [0, 1, 9], "A question asked again is at distance 0."),
        earlier("260 questions with 2 answers", 260, 100, [4, 7], "All that came before count, however long ago."),
    ),
    (
        instead(nearest_earlier, "[:i]", "[: i + 1]"),
        "A question is nearest to itself. Compare it with those *before* it only.",
        instead(nearest_earlier, BEFORE, "x[:i]"),
        "The answers are not used: look for the nearest among earlier questions with the *same* answer.",
        instead(nearest_earlier, BEFORE, "x[(answers == answers[i]) & (np.arange(len(x)) != i)]"),
        "Later questions were used too. The alarm has to act now: only earlier ones are there.",
        instead(nearest_earlier, "np.sqrt(", "("),
        "The distances are squared. Take the square root.",
        instead(nearest_earlier, DISTANCE, "np.abs(before - x[i]).sum(-1)"),
        "These are sums of absolute differences. Take the Euclidean distance.",
        instead(nearest_earlier, ".min()", "[-1]"),
        "This is the distance to the *latest* earlier question with that answer; take the nearest of them all.",
        instead(nearest_earlier, "== answers[i]", "!= answers[i]"),
        "You looked among earlier questions with *another* answer; it is the same answer that counts.",
        instead(nearest_earlier, "np.full(len(x), np.inf)", "np.zeros(len(x))"),
        "The first question with an answer has none to be near to: give it np.inf, so that it can be left out later.",
    ),
    read=numbers,
)


# ---- 13.5 a threshold from honest traffic ----


def quiet(n, share, right, why, times=1):
    """n statistics in no order: 1.03 (so many times), 2.06, 3.09 and so on; `right` is such a multiple."""
    honest = 1.03 * np.maximum(1, np.arange(n) - times + 2)
    seen = f"{n} honest values, 1.03{' four times' if times > 1 else ''}, 2.06, 3.09 and so on, share={share or 'not given'},"
    given = np.random.default_rng(n).permutation(honest)
    return Case(seen, (given, share) if share else (given,), 1.03 * right, why)


def keeps_the_promise(answer):
    below = math.ceil(float(answer(np.arange(200.0), 0.01)))
    expect(below == 2, f"of 200 honest values {below} lie below your threshold, and at most 1%, which are 2, may.")


THRESHOLD = Table(
    "threshold",
    "one number",
    (
        quiet(250, 0.01, 3, "2 of 250 may lie below."),
        quiet(90, 0.05, 5, "4 of 90 may lie below."),
        quiet(200, 0.01, 3, "Exactly 2 of 200 may lie below."),
        quiet(40, 0.25, 11, "Exactly 10 of 40 may lie below."),
        quiet(60, 0.01, 1, "None of 60 may lie below."),
        quiet(300, None, 4, "The stub's share=0.01 is meant to stay."),
        quiet(10, 0.3, 1, "3 of 10 may lie below, and with 2.06 it would be 4.", 4),
    ),
    (
        lambda honest, share=0.01: honest.min(),
        "The lowest value alone sets your threshold: one odd user more, and it moves. Some may lie below.",
        lambda honest, share=0.01: np.sort(honest)[::-1][int(share * len(honest))],
        "That is the high end. The alarm rings for *low* statistics.",
        lambda honest, share=0.01: np.quantile(honest, share),
        "np.quantile interpolates, and then one too many can lie below. Take one of the sorted values.",
        lambda honest, share=0.01: np.sort(honest)[math.ceil(share * len(honest)) - 1],
        "One more could lie below. A higher threshold sees more and keeps the promise: count from 0.",
        lambda honest, share=0.01: np.sort(honest)[int(share * len(honest)) + 1],
        "One too many lies below. np.sort(honest)[k] has k values below it, since k counts from 0.",
        lambda honest, share=0.01: honest[int(share * len(honest))],
        "The values are in the order in which they came. Sort them first: np.sort.",
        lambda honest, share=0.01: np.sort(honest)[int(0.01 * len(honest))],
        "That is right for 1%. Is `share` used?",
    ),
    also=keeps_the_promise,
)


# ---- 13.6 keys that act together ----


def in_words(came):
    """Cohorts as text: "ant bee dog, cat"; only how many, where they are many or none."""
    several = (set, frozenset, list, tuple)
    if not isinstance(came, several) or not all(isinstance(group, several) for group in came):
        return came
    if sum(map(len, came)) > 12 or not came:
        return f"cohorts: {len(came)}, keys: {sum(map(len, came))}"
    words = [sorted(key if isinstance(key, str) else f"#{key}" for key in group) for group in came]
    return ", ".join(sorted(map(" ".join, words)))


def linked(seen, pairs, right, why):
    return Case(seen, ([tuple(pair.split()) if isinstance(pair, str) else pair for pair in pairs],), right, why)


def chain(order, n=40):
    """n keys, each sharing a block with the next."""
    pairs = [f"k{i} b{i}" for i in range(n)] + [f"k{i + 1} b{i}" for i in range(n - 1)]
    pairs = np.random.default_rng(order).permutation(pairs).tolist()
    return linked(f"forty keys in a chain, in order {order},", pairs, "cohorts: 1, keys: 40", MEET)


def by_first(seen):
    """A key takes the name of the cohort of whoever was seen first at its block."""
    name, first_at = {}, {}
    for key, block in seen:
        name.setdefault(key, key)
        name[key] = name[first_at.setdefault(block, key)]
    return [{key for key in name if name[key] == one} for one in set(name.values())]


def per_block(seen):
    return [{key for key, at in seen if at == block} for block in dict.fromkeys(block for _, block in seen)]


MEET = "When a key joins two cohorts, are these two made one, for all their keys?"
FEW = ["ant 1", "bee 1", "cat 9", "dog 3", "bee 4", "dog 4"]
COHORTS = Table(
    "cohorts",
    "every key once",
    (
        linked("ant at 1, bee at 1 and 4, cat at 9, dog at 3 and 4", FEW, "ant bee dog, cat", "bee joins ant and dog."),
        linked("the same in another order", FEW[::-1], "ant bee dog, cat", "The order of the pairs does not matter."),
        linked("ant at 1 and 2, bee at 3, twice each", ["ant 1", "ant 2", "bee 3"] * 2, "ant, bee", "Each key once."),
        linked("numbers as keys", [(1, "a"), (2, "b"), (3, "a")], "#1 #3, #2", "Keys stay as they are, here numbers."),
        linked("addresses 10.0.1 and 10.0.12", ["ant 10.0.1", "bee 10.0.12"], "ant, bee", "Compare whole blocks."),
        *map(chain, (1, 2, 3)),
        linked("no traffic", [], "cohorts: 0, keys: 0", "Then the list is empty."),
    ),
    (
        per_block,
        "There is one cohort per address, and a key with two stands in both. Join whole cohorts, not pairs.",
        lambda seen: per_block(dict(reversed(seen)).items()),
        "Only a key's first address is used.",
        lambda seen: per_block(dict(seen).items()),
        "Only a key's last address is used.",
        lambda seen: [group for group in cohorts(seen) if len(group) > 1],
        "A key that shares nothing is missing. It is a cohort of its own.",
        lambda seen: [group | {block for key, block in seen if key in group} for group in cohorts(seen)],
        "An address is no key. A cohort is a set of keys; addresses only join them.",
        lambda seen: [{key for key, _ in seen}],
        "All keys are one cohort, and cat shares no address with anybody.",
        lambda seen: [{key} for key in {key for key, _ in seen}],
        "Each key is alone. Those that share an address are together.",
        by_first,
        "A key moved into another cohort and left those behind that it was with. These two cohorts are one from then on.",
    ),
    read=in_words,
)


# ---- 13.7 what an alarm means ----


def alarms(seen, thieves, caught, false_alarms, right, why):
    seen = f"{seen} (thieves={thieves:.3g}, caught={caught:.3g}, false_alarms={false_alarms:.3g})"
    return Case(seen, (thieves, caught, false_alarms), right, why)


COUNTED = "Of 1,000 keys 10 are a thief's and 8 of these ring, as do 99 of the 990 others: 8 of 107 alarms are right."
ROUNDED = "In a thousand keys there is less than one thief. Do not round: count parts of keys, or more keys."
SHARE_OF_THIEVES = Table(
    "share_of_thieves",
    "one number, a share",
    (
        alarms("one thief in a hundred", 0.01, 0.8, 0.1, 8 / 107, COUNTED),
        alarms("half of the keys a thief's, half of all ringing", 0.5, 0.5, 0.5, 0.5, "Then an alarm says nothing."),
        alarms("alarms that ring for nobody honest", 0.2, 1.0, 0.0, 1.0, "Such an alarm is always right."),
        alarms("one thief in ten million, who rings, and 50 others", 1e-7, 1.0, 50 / 9_999_999, 1 / 51, ROUNDED),
    ),
    (
        lambda thieves, caught, false_alarms: caught,
        "That is the share of thieves who ring. Asked is the share of those who ring that are thieves.",
        lambda *given: 1 - share_of_thieves(*given),
        "That is the share of alarms that honest users raise; asked is the thieves' share.",
        lambda thieves, caught, false_alarms: thieves * caught / (thieves * caught + false_alarms),
        "All keys were counted as if they were honest when they ring falsely. Only 1 - thieves of them are.",
        lambda thieves, caught, false_alarms: caught / (caught + false_alarms),
        "You counted as many thieves as honest users. How many keys are a thief's to begin with?",
        lambda thieves, caught, false_alarms: thieves * caught,
        "That is the share of all keys that are thieves' and ring. Divide by the share of all keys that ring.",
        lambda *given: 100 * share_of_thieves(*given),
        "That is in percent. A share lies between 0 and 1.",
        lambda thieves, caught, false_alarms: thieves * caught / (1 - thieves) / false_alarms,
        "These are the odds, thieves to honest users. The share is of all who ring: divide by both together.",
    ),
)


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "13.1",
            "Reverse sigmoid",
            7,
            2,
            reverse_sigmoid,
            REVERSE_SIGMOID,
            (
                "Three steps: the bend r of every probability, then y - r, then each row divided by its own sum.",
                "special.logit is the inverse of the sigmoid and special.expit is the sigmoid: r is beta times "
                "(special.expit(gamma * special.logit(y)) - 0.5).",
                "bent = probs - r; return bent / bent.sum(-1, keepdims=True).",
            ),
        ),
        Exercise(
            "13.2",
            "Noise that does not average out",
            9,
            3,
            keyed_noise,
            KEYED_NOISE,
            (
                "Row by row: round the pixels to sixteenths, make a seed of them and of the secret, draw from a generator with that "
                "seed.",
                'row = np.round(x[i] * 16).astype(np.int16); hmac.new(secret, row.tobytes(), "sha256").digest() is 32 bytes that only '
                "the owner of the secret can compute.",
                'np.random.default_rng(int.from_bytes(digest, "big")).normal(0, sd, classes) are the numbers of one row; np.stack puts '
                "the rows together.",
            ),
        ),
        Exercise(
            "13.3",
            "A bucket of tokens",
            9,
            3,
            take,
            TAKE,
            (
                "First time, then tokens, then the decision. The time is the later of `now` and `when`.",
                "tokens = min(burst, tokens + rate * (now - when)). Granted or refused, the new bucket says `now`.",
                "Three ends: enough, (tokens - rows, now) and 0.0; never enough (rows > burst, or a rate of 0), (tokens, now) and "
                "math.inf; else (tokens, now) and what lacks, over rate.",
            ),
        ),
        Exercise(
            "13.4",
            "How far from the questions before?",
            6,
            2,
            nearest_earlier,
            NEAREST_EARLIER,
            (
                "One loop over the questions. x[:i] are those before question i; a mask keeps those with its answer.",
                "before = x[:i][answers[:i] == answers[i]]; if there are none, the distance is np.inf.",
                "np.sqrt(((before - x[i]) ** 2).sum(-1)).min() is the distance to the nearest.",
            ),
        ),
        Exercise(
            "13.5",
            "A threshold from honest traffic",
            4,
            1,
            threshold,
            THRESHOLD,
            (
                "Sort the honest statistics. How many of the lowest may ring?",
                "Of n, floor(share * n) may lie below. np.sort(honest)[k] has exactly k below it.",
            ),
        ),
        Exercise(
            "13.6",
            "Keys that act together",
            8,
            2,
            cohorts,
            COHORTS,
            (
                "Begin with every key alone. Each pair (key, block) may join two groups: the key's, and that of the key seen at that "
                "block before.",
                "Keep a dict from key to its group (a set), and a dict from block to the first key seen there. When two groups meet, "
                "put all keys of one into the other, and let each of them point to it.",
                "At the end, each group once: list({id(g): g for g in group.values()}.values()).",
            ),
        ),
        Exercise(
            "13.7",
            "What an alarm means",
            3,
            1,
            share_of_thieves,
            SHARE_OF_THIEVES,
            (
                "Count in a million keys: how many are thieves and ring, how many are honest and ring?",
                "true = thieves * caught; false = (1 - thieves) * false_alarms; the share is true / (true + false).",
            ),
        ),
    )
}
