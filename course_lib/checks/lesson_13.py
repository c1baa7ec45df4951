"""Checks of lesson 13: a defence from each of four families, and what an alarm is worth."""

import hmac
import math

import numpy as np
from scipy import special
from scipy.spatial.distance import cdist

from course_lib.checks.exercise import Exercise, NotYet, expect

# ---- 13.1 reverse sigmoid ----


def reverse_sigmoid(probs, beta=1.0, gamma=0.2):
    bent = probs - beta * (special.expit(gamma * special.logit(probs)) - 0.5)
    return bent / bent.sum(-1, keepdims=True)


def examine_reverse_sigmoid(answer):
    probs = np.array([[0.70, 0.20, 0.10], [0.05, 0.90, 0.05], [0.30, 0.25, 0.45], [0.02, 0.02, 0.96]])
    beta, gamma = 0.8, 0.3
    given = probs.copy()
    with np.errstate(all="ignore"):
        got = _array(answer(given, beta, gamma), probs.shape, "one answer a row")
    expect(
        np.array_equal(given, probs),
        "your function changed the probabilities that it was given. Make new ones: the ledger and the next control need the old.",
    )
    expect(np.isfinite(got).all(), "some of your numbers are not finite, for probabilities well inside 0 and 1.")

    logit, half = special.logit(probs), 0.5

    def bend(r):
        return probs - r

    def rows(y):
        return y / y.sum(-1, keepdims=True)

    right = bend(beta * (special.expit(gamma * logit) - half))
    if np.allclose(got, rows(right), atol=1e-6):
        return _expect_ends(answer)
    usual = (
        (right, f"a row sums to {got[0].sum():.3f}. Divide each row by its own sum, so that it is an answer again."),
        (
            right / right.sum(0),
            "you divided by the sum of each column, over the batch. Each answer sums to 1 by itself.",
        ),
        (special.softmax(right, -1), "a softmax is not what makes a row sum to 1 here: divide the row by its sum."),
        (rows(bend(-beta * (special.expit(gamma * logit) - half))), "the bend is added; it must be taken off: y - r."),
        (
            rows(bend(beta * special.expit(gamma * logit))),
            "the 1/2 is missing: without it every class loses something, and one half of the curve is not turned round.",
        ),
        (
            rows(bend(beta * (gamma * special.expit(logit) - half))),
            "gamma stands outside the sigmoid. It squeezes the logit before the sigmoid: s(gamma * logit).",
        ),
        (
            rows(bend(beta * (special.expit(logit) - half))),
            "gamma is not used: s(logit(y)) is y again, so only a straight line was taken off.",
        ),
        (
            rows(bend(beta * (special.expit(gamma * probs) - half))),
            "the sigmoid was given gamma * y. It takes gamma times the *logit* of y: log(y / (1 - y)).",
        ),
        (
            rows(bend(beta * (special.expit(gamma * np.log(probs)) - half))),
            "the sigmoid was given gamma * log(y). Its inverse is the logit, log(y / (1 - y)).",
        ),
        (rows(bend(special.expit(gamma * logit) - half)), "beta is not used: it says how far the answer is bent."),
    )
    for wrong, sentence in usual:
        expect(not np.allclose(got, wrong, atol=1e-6), sentence)
    raise NotYet(
        f"for the answer (0.70, 0.20, 0.10), beta 0.8 and gamma 0.3, the formula gives {_row(rows(right)[0])}; yours is "
        f"{_row(got[0])}. Compute y - beta * (s(gamma * logit(y)) - 1/2), then divide the row by its sum."
    )


def _expect_ends(answer):
    with np.errstate(all="ignore"):
        sure = _array(answer(np.array([[1.0, 0.0, 0.0]]), 0.5, 0.2), (1, 3), "one answer a row")
    expect(
        np.isfinite(sure).all(),
        "a probability of exactly 0 or 1 gave a number that is not finite, and the vault would send it. The logit is infinite "
        "there, its sigmoid is not: use special.logit and special.expit, or clip y a hair's breadth inside 0 and 1.",
    )


# ---- 13.2 noise that is a function of the question ----


def keyed_noise(x, secret, sd, classes=10):
    noise = []
    for row in np.round(np.asarray(x) * 16).astype(np.int16):
        digest = hmac.new(secret, row.tobytes(), "sha256").digest()
        noise.append(np.random.default_rng(int.from_bytes(digest, "big")).normal(0, sd, classes))
    return np.stack(noise)


def examine_keyed_noise(answer):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 17, (240, 64)) / 16
    inside = rng.integers(1, 16, (40, 64)) / 16  # no pixel at 0, where -0.0 and 0.0 could differ
    sd = 0.2

    def noise(x, secret=b"of the vault", sd=sd):
        return _array(answer(x.copy(), secret, sd), (len(x), 10), "ten numbers for each question")

    got = noise(x)
    expect(np.isfinite(got).all(), "some of the noise is not a finite number.")
    expect(not np.allclose(got, 0), "there is no noise: every number is 0.")
    expect(
        np.array_equal(got, noise(x)),
        "asked again, the same question got other noise. Then a thief asks it a hundred times and takes the mean. Let the seed "
        "be made of the question and the secret alone.",
    )
    expect(
        not np.allclose(got[0], got[1]),
        "two different questions got the same noise. Who knows one true answer could subtract it from all the others.",
    )
    expect(
        np.array_equal(got[::-1], noise(x[::-1])),
        "the noise of a question depends on its place in the batch, or on its neighbours there. Make it row by row: otherwise the "
        "same question in another batch gets fresh noise.",
    )
    expect(
        not np.allclose(got, noise(x, b"of another")),
        "the secret changes nothing. Then whoever reads this code can compute the noise and subtract it.",
    )
    expect(not np.allclose(got, got[:, :1]), "all ten classes got the same number; draw one for each class.")
    off = 0.01 * rng.uniform(-1, 1, inside.shape)
    up, down = (np.array_equal(noise(inside), noise(inside + step)) for step in (np.abs(off), -np.abs(off)))
    expect(
        up or down,
        "a question moved by a hundredth, which no eye sees, got other noise: a thief moves it a hundred times and takes the "
        "mean. Round each pixel to sixteenths first.",
    )
    expect(
        up and down,
        "a pixel moved by a hundredth in one direction changes the noise, and in the other it does not: it was cut off, not "
        "rounded. Use np.round.",
    )
    expect(
        np.array_equal(got, noise(x - 0.01)),
        "a pixel just below 0 gets other noise than 0 does: rounded, it is -0.0, whose bytes differ from those of 0.0. Make whole "
        "numbers of the rounded pixels: .astype(np.int16).",
    )
    moved = x.copy()
    moved[:, 20] = np.where(x[:, 20] > 0.5, x[:, 20] - 1 / 16, x[:, 20] + 1 / 16)
    expect(
        not (noise(moved) == got).all(-1).any(),
        "two questions that differ by a sixteenth in one pixel got the same noise. Round to sixteenths, and use all 64 pixels.",
    )
    seen = got.std()
    expect(
        not math.isclose(seen, sd**0.5, rel_tol=0.08),
        f"the noise has standard deviation {seen:.2f}: sd was taken for a variance.",
    )
    expect(
        math.isclose(seen, sd, rel_tol=0.08) and abs(got.mean()) < 0.025,
        f"with sd=0.2 your noise has mean {got.mean():+.3f} and standard deviation {seen:.3f}; expected 0 and 0.2.",
    )


# ---- 13.3 a token bucket ----


def take(bucket, rows, now, rate, burst):
    tokens, when = bucket
    now = max(now, when)
    tokens = min(burst, tokens + rate * (now - when))
    if rows > burst:
        return (tokens, now), math.inf
    if rows > tokens:
        return (tokens, now), (rows - tokens) / rate
    return (tokens - rows, now), 0.0


def examine_take(answer):
    def ask(bucket, rows, now, rate=2.0, burst=10.0):
        got = answer(bucket, rows, now, rate, burst)
        good = isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[0], tuple | list) and len(got[0]) == 2
        expect(good, f"expected ((tokens, when), wait): a bucket and a number; got {_short(got)}.")
        for value in (*got[0], got[1]):
            expect(
                isinstance(value, int | float | np.number) and not math.isnan(value),
                f"expected numbers for tokens, when and wait; one of yours is {_short(value)}.",
            )
        return (float(got[0][0]), float(got[0][1])), float(got[1])

    (tokens, when), wait = ask((10.0, 100.0), 4, 100.0)
    expect(
        wait == 0,
        f"a full bucket of 10 was asked for 4 rows and let them wait {wait:g} s. The wait is 0 where rows are granted.",
    )
    expect(
        not _close(tokens, 9),
        "one token was taken for a request of 4 rows: a thief would send all rows in one request. Charge by rows.",
    )
    expect(_close(tokens, 6), f"10 tokens less 4 rows are 6; {tokens:g} are left in yours.")
    (tokens, when), wait = ask((4.0, 100.0), 4, 100.0)
    expect(
        _close(tokens, 0) and wait == 0, "4 tokens are enough for 4 rows. Refuse only where rows are more than tokens."
    )
    (tokens, when), wait = ask((6.0, 100.0), 2, 101.0)
    expect(
        not _close(tokens, 4),
        "a second has passed and nothing was poured in: `rate` tokens come for every second since `when`.",
    )
    expect(_close(tokens, 6), f"6 tokens, 2 more in a second, 2 rows: 6 are left; yours has {tokens:g}.")
    expect(
        _close(when, 101),
        f"the bucket still says {when:g}, not 101: at the next request the same second would be poured in again.",
    )
    (tokens, when), wait = ask((5.0, 100.0), 1, 160.0)
    expect(
        _close(tokens, 9),
        f"after a minute's silence a bucket of 10 holds {tokens + 1:g} tokens in yours. It never holds more than `burst`: cap it "
        "before you take.",
    )
    (tokens, when), wait = ask((1.0, 100.0), 6, 101.0)
    expect(wait > 0, "3 tokens were there and 6 rows were granted. What is refused gets a wait above 0.")
    expect(tokens >= 0, f"a refused request left {tokens:g} tokens. Refused means nothing is taken.")
    expect(_close(tokens, 3), f"a refused request takes nothing: 3 tokens were there, {tokens:g} are left in yours.")
    expect(
        _close(when, 101),
        "after a refusal the bucket keeps its old time although it was filled: the next request is given the same seconds again, "
        "and a thief who knocks fast fills it at will.",
    )
    expect(not _close(wait, 3), "you wait one second per token that lacks; 2 come each second. Divide by the rate.")
    expect(_close(wait, 1.5), f"3 tokens lack and 2 come each second: wait 1.5 s; yours is {wait:g}.")
    (tokens, when), wait = ask((3.0, 100.0), 1, 40.0)
    expect(
        tokens < 2 + 1e-6,
        f"the clock went back a minute, and the bucket went from 3 tokens to {tokens + 1:g} before 1 was taken.",
    )
    expect(
        _close(tokens, 2) and wait == 0,
        "the clock went back a minute, and an honest user was punished for it: 3 tokens were there. Read it as: no time has passed.",
    )
    expect(
        _close(when, 100),
        f"the clock went back from 100 to 40 and the bucket now says {when:g}: when the clock is set right, that minute is poured in "
        "twice. Keep the later time.",
    )
    expect(
        ask((10.0, 100.0), 11, 100.0)[1] == math.inf,
        "11 rows never fit into a bucket of 10, however long one waits: the wait is math.inf.",
    )
    _expect_no_window_over_the_limit(ask)


def _expect_no_window_over_the_limit(ask):
    """The law of a token bucket: in no stretch of w seconds are more than burst + rate * w rows granted."""
    rng = np.random.default_rng(3)
    bucket, now, granted = (10.0, 0.0), 0.0, []
    for _ in range(400):
        now += float(rng.choice([0.01, 0.1, 1.0, 4.0]))
        rows = int(rng.integers(1, 8))
        bucket, wait = ask(bucket, rows, now)
        granted += [(now, rows)] if wait == 0 else []
    times, sums = [t for t, _ in granted], np.cumsum([rows for _, rows in granted])
    for i, start in enumerate(times):
        over = sums[i:] - (sums[i - 1] if i else 0) - (10 + 2 * (np.array(times[i:]) - start))
        expect(
            over.max() <= 1e-6,
            f"in one stretch {over.max():.0f} more rows were granted than burst + rate * seconds. Fill by the time that passed, not "
            "at full minutes.",
        )


# ---- 13.4 how far is a question from those before it? ----


def nearest_earlier(x, answers):
    found = np.full(len(x), np.inf)
    for i in range(len(x)):
        before = x[:i][answers[:i] == answers[i]]
        if len(before):
            found[i] = np.sqrt(((before - x[i]) ** 2).sum(-1)).min()
    return found


def examine_nearest_earlier(answer):
    rng = np.random.default_rng(11)
    x, answers = rng.uniform(0, 1, (30, 64)), rng.integers(0, 3, 30)
    x[20] = x[4] + 0.001  # near another question, of the same answer
    answers[20] = answers[4]
    all_pairs = cdist(x, x)
    earlier = np.tri(30, k=-1, dtype=bool)
    same = answers[:, None] == answers

    def least(allowed, distances=all_pairs):
        return np.where(allowed, distances, np.inf).min(1)

    right = least(earlier & same)
    got = _array(answer(x.copy(), answers.copy()), (30,), "one distance for each question")
    first = np.isinf(right)
    expect(
        not np.allclose(got, 0),
        "every distance is 0: a question is nearest to itself. Compare it with those *before* it only.",
    )
    if np.allclose(got[~first], right[~first], atol=1e-9):
        expect(
            np.isinf(got[first]).all() and (got[first] > 0).all(),
            "the first question with an answer has none to be near to: give it np.inf, so that it can be left out later.",
        )
        return
    previous = np.array(
        [all_pairs[i, np.flatnonzero(same[i, :i])[-1]] if same[i, :i].any() else np.inf for i in range(30)]
    )
    others = ~np.eye(30, dtype=bool)
    farthest = np.where(earlier & same, all_pairs, -np.inf).max(1)
    usual = (
        (
            least(earlier),
            "the answers are not used: look for the nearest among earlier questions with the *same* answer.",
        ),
        (least(same & others), "later questions were used too. The alarm has to act now: only earlier ones are there."),
        (least(others), "you looked at all other questions, later ones and those with another answer too."),
        (right**2, "the distances are squared. Take the square root."),
        (
            least(earlier & same, cdist(x, x, "cityblock")),
            "these are sums of absolute differences. Take the Euclidean distance.",
        ),
        (
            previous,
            "this is the distance to the *latest* earlier question with that answer; take the nearest of them all.",
        ),
        (
            least(earlier & ~same),
            "you looked among earlier questions with *another* answer; it is the same answer that counts.",
        ),
        (farthest, "this is the distance to the farthest earlier question; take the nearest."),
    )
    for wrong, sentence in usual:
        there = np.isfinite(wrong) & ~first
        expect(not np.allclose(got[there], wrong[there], atol=1e-9), sentence)
    place = int(np.flatnonzero(~first & ~np.isclose(got, right, atol=1e-9))[0])
    raise NotYet(
        f"question {place} is {right[place]:.3f} from the nearest earlier one with its answer; you say {got[place]:.3f}."
    )


# ---- 13.5 a threshold from honest traffic ----


def threshold(honest, share=0.01):
    return np.sort(honest)[int(np.floor(share * len(honest) + 1e-9))]


def examine_threshold(answer):
    rng = np.random.default_rng(2)
    for n, share in ((250, 0.01), (90, 0.05), (60, 0.01)):
        honest = 0.98 - 0.02 * rng.exponential(1.0, n)
        given = honest.copy()
        got = answer(given, share)
        good = isinstance(got, int | float | np.number) or (hasattr(got, "shape") and tuple(got.shape) == ())
        expect(good, f"expected one number; got {_short(got)}.")
        got = float(got)
        expect(not math.isnan(got), "expected one number; got nan.")
        expect(
            np.array_equal(given, honest), "your function put the traffic it was given into another order. Use np.sort."
        )
        allowed, alarms = math.floor(share * n), int((honest < got).sum())
        expect(
            alarms < 0.9 * n,
            f"{alarms} of {n} honest streams lie below {got:.3f}. The alarm rings for *low* statistics: start at the low end.",
        )
        expect(
            not (alarms == 0 < allowed),
            f"no honest stream rings at all, although {share:.0%} may. The lowest one alone sets your threshold: one odd user more, and it "
            "moves.",
        )
        expect(
            alarms <= allowed,
            f"{alarms} of {n} honest streams lie below {got:.4f}, which is {alarms / n:.1%}; at most {share:.0%} may, which is {allowed}. "
            "(np.quantile interpolates, and then one too many can lie below.)",
        )
        expect(
            alarms == allowed,
            f"{alarms} of {n} honest streams ring; {allowed} may. A higher threshold sees more and keeps the promise: of the sorted "
            f"statistics, take number {allowed} (counting from 0).",
        )


# ---- 13.6 keys that act together ----


def cohorts(seen):
    of = {}  # key -> the set of keys that it is in
    blocks = {}
    for key, block in seen:
        mine = of.setdefault(key, {key})
        other = of[blocks.setdefault(block, key)]
        if mine is not other:
            mine |= other
            for one in other:
                of[one] = mine
    return list({id(group): group for group in of.values()}.values())


def examine_cohorts(answer):
    def groups(seen):
        got = answer(list(seen))
        good = isinstance(got, list | tuple | set | frozenset) and all(
            isinstance(g, set | frozenset | list | tuple) for g in got
        )
        expect(good, f"expected a list of sets of keys; got {_short(got)}.")
        return [frozenset(g) for g in got]

    seen = [
        ("ant", "10.0.1"),
        ("bee", "10.0.1"),
        ("cat", "10.0.9"),
        ("dog", "10.0.3"),
        ("bee", "10.0.4"),
        ("dog", "10.0.4"),
    ]
    got = groups(seen)
    everyone = {"ant", "bee", "cat", "dog"}
    keys = [key for group in got for key in group]
    blocks = sorted(set(keys) - everyone)
    expect(
        not blocks, f"{blocks[0]!r} is no key. A cohort is a set of keys; addresses only join them." if blocks else ""
    )
    twice = sorted({key for key in keys if keys.count(key) > 1})
    expect(
        not twice,
        f"{', '.join(twice)} came in two cohorts: bee shares an address with ant, and another with dog, so all three are one cohort. "
        "Join whole cohorts, not pairs.",
    )
    missing = sorted(everyone - set(keys))
    expect(not missing, f"{', '.join(missing)} is in no cohort. A key that shares nothing is a cohort of its own.")
    expect(len(got) > 1, "all keys are one cohort in yours; cat shares no address with anybody.")
    expect(
        set(got) != {frozenset({"ant", "bee"}), frozenset({"cat"}), frozenset({"dog"})},
        "dog and bee were both seen at 10.0.4. Is only a key's first address used?",
    )
    expect(
        set(got) == {frozenset({"ant", "bee", "dog"}), frozenset({"cat"})},
        f"ant-bee share 10.0.1 and bee-dog share 10.0.4, so the cohorts are ant, bee, dog and, alone, cat; yours are {_sets(got)}.",
    )
    rng = np.random.default_rng(4)
    chain = [(f"k{i}", f"b{i}") for i in range(40)] + [(f"k{i + 1}", f"b{i}") for i in range(39)]
    for order in range(3):
        shuffled = [chain[i] for i in rng.permutation(len(chain))]
        found = groups(shuffled)
        expect(
            len(found) == 1,
            f"forty keys in a chain, each sharing an address with the next, are one cohort; in the order of try {order + 1} yours makes "
            f"{len(found)}. When a key joins two cohorts, are these two made one, for all their keys?",
        )
    expect(groups([]) == [], "no traffic, no cohort: expected an empty list.")


# ---- 13.7 what an alarm means ----


def share_of_thieves(thieves, caught, false_alarms):
    true, false = thieves * caught, (1 - thieves) * false_alarms
    return true / (true + false)


def examine_share_of_thieves(answer):
    def ask(*numbers):
        got = answer(*numbers)
        good = isinstance(got, int | float | np.number) or (hasattr(got, "shape") and tuple(got.shape) == ())
        expect(good, f"expected one number, a share; got {_short(got)}.")
        return float(got)

    # counted by hand: of 1,000 keys 10 are a thief's, of which 8 ring; of the 990 others 99 ring. 8 of 107 alarms.
    thieves, caught, false = 0.01, 0.8, 0.1
    got = ask(thieves, caught, false)
    right = 8 / 107
    usual = (
        (caught, "that is the share of thieves who ring. Asked is the share of those who ring that are thieves."),
        (1 - right, "that is the share of alarms that honest users raise; asked is the thieves' share."),
        (
            thieves * caught / (thieves * caught + false),
            "all keys were counted as if they were honest when they ring falsely. Only 1 - thieves of them are honest.",
        ),
        (
            caught / (caught + false),
            "you counted as many thieves as honest users. How many keys are a thief's to begin with?",
        ),
        (
            thieves * caught,
            "that is the share of all keys that are thieves' and ring. Divide by the share of all keys that ring.",
        ),
        (1 - false, "one minus the false alarms says how many honest users are left in peace."),
    )
    for wrong, sentence in usual:
        expect(not math.isclose(got, wrong, abs_tol=1e-6), sentence)
    expect(not math.isclose(got, 100 * right, abs_tol=1e-3), f"expected a share between 0 and 1; got {got:.3g}.")
    expect(
        math.isclose(got, right, abs_tol=1e-6),
        f"of 1,000 keys, 10 are a thief's and 8 of these ring; 99 of the 990 others ring: 8 of 107 alarms, {right:.3f}. You say "
        f"{got:.3f}.",
    )
    expect(
        math.isclose(ask(0.5, 0.5, 0.5), 0.5) and math.isclose(ask(0.2, 1.0, 0.0), 1.0),
        "an alarm that rings for nobody honest is always right: expected 1.0 for share_of_thieves(0.2, 1.0, 0.0).",
    )


# ---- in common ----


def _array(got, shape, what):
    """The answer as a float64 array of this shape, or a sentence."""
    try:
        array = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):
        raise NotYet(f"expected an array of shape {shape}, {what}; got {_short(got)}.") from None
    expect(array.shape == shape, f"expected an array of shape {shape}, {what}; got shape {array.shape}.")
    return array


def _close(a, b):
    return math.isclose(a, b, abs_tol=1e-6)


def _row(values):
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"


def _sets(groups):
    return "; ".join(", ".join(sorted(map(str, group))) for group in groups)


def _short(value):
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "13.1",
            "Reverse sigmoid",
            7,
            2,
            reverse_sigmoid,
            examine_reverse_sigmoid,
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
            examine_keyed_noise,
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
            examine_take,
            (
                "First time, then tokens, then the decision. The time is the later of `now` and `when`.",
                "tokens = min(burst, tokens + rate * (now - when)). Granted or refused, the new bucket says `now`.",
                "Three ends: more rows than burst, (tokens, now) and math.inf; more than there are, (tokens, now) and what lacks, over "
                "rate; else (tokens - rows, now) and 0.0.",
            ),
        ),
        Exercise(
            "13.4",
            "How far from the questions before?",
            6,
            2,
            nearest_earlier,
            examine_nearest_earlier,
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
            examine_threshold,
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
            examine_cohorts,
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
            examine_share_of_thieves,
            (
                "Count in 1,000 keys: how many are thieves and ring, how many are honest and ring?",
                "true = thieves * caught; false = (1 - thieves) * false_alarms; the share is true / (true + false).",
            ),
        ),
    )
}
