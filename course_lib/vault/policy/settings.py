"""What a policy can say: each setting with its default, its range and what it means, section by section."""

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property

LARGEST_INPUT = 8.0  # inputs are numbers from -8 to 8; pictures from 0 to 1
MOST_ROWS = 1024  # in one request


def _number(default, low, high, doc):
    return field(default=default, metadata={"low": low, "high": high, "doc": doc})


def _word(default, choices, doc):
    return field(default=default, metadata={"choices": choices, "doc": doc})


@dataclass(frozen=True)
class ReverseSigmoid:
    """The winner stays, the rest misleads: controls.reverse_sigmoid."""

    beta: float = _number(0.0, 0.0, 2.0, "how strongly; 0 is off")
    gamma: float = _number(0.2, 0.01, 2.0, "how wide")


@dataclass(frozen=True)
class Output:
    """What leaves. In this order: temperature, reverse sigmoid, noise, planted answers, rounding, top-k, label."""

    kind: str = _word("probabilities", ("probabilities", "label"), "the answer: all probabilities, or the label alone")
    top_k: int = _number(0, 0, 1000, "only the k largest probabilities leave, as they are; 0: all")
    decimals: int = _number(
        0, 0, 15, "each probability is rounded to so many, then divided by the row's sum; 0: full precision"
    )
    temperature: float = _number(1.0, 0.05, 100.0, "probabilities are softened at this T; 1: as they are")
    noise: float = _number(0.0, 0.0, 1.0, "standard deviation of noise that is the same whenever the input is; 0: off")
    fresh_noise: float = _number(0.0, 0.0, 1.0, "standard deviation of noise that is new at every question; 0: off")
    reverse_sigmoid: ReverseSigmoid = field(
        default=ReverseSigmoid(), metadata={"doc": "the winner stays, the rest misleads"}
    )


@dataclass(frozen=True)
class Limits:
    """How much. Everything counts rows; a request of 256 pictures is 256 rows. 0: no limit."""

    rows_per_request: int = _number(MOST_ROWS, 1, MOST_ROWS, "the largest request")
    rows_per_minute_per_key: int = _number(2_400_000, 0, 10**9, "a token bucket that fills at this rate; 0: no limit")
    burst_per_key: int = _number(40_000, 0, 10**9, "rows that may come at once; 0: a minute's worth")
    rows_per_minute_per_cohort: int = _number(0, 0, 10**9, "one bucket for all keys of a cohort; 0: no limit")
    burst_per_cohort: int = _number(0, 0, 10**9, "rows that may come at once; 0: a minute's worth")
    budget_per_key: int = _number(
        0, 0, 10**12, "rows that a key may ask in all, where the key has no budget of its own"
    )
    budget_per_cohort: int = _number(0, 0, 10**12, "rows that all keys of a cohort may ask together")


@dataclass(frozen=True)
class Identity:
    """For whom."""

    keys_per_person: int = _number(0, 0, 1000, "keys that one pseudonym may hold at a time; 0: any number")
    cohort_by: str = _word(
        "class", ("class", "person", "address"), "which keys act together: by code, pseudonym, or network"
    )
    who: str = field(default="anyone who has the class code", metadata={"doc": "who gets a key; a sentence for people"})


@dataclass(frozen=True)
class Monitor:
    """What counts as unusual, and what happens then. A statistic with 0 is not judged."""

    enabled: bool = field(
        default=True, metadata={"doc": "false: nothing is watched, and nothing is kept to watch it with"}
    )
    per: str = _word("both", ("key", "cohort", "both"), "whose questions are judged together")
    action: str = _word(
        "log", ("log", "slow", "coarsen", "block"), "what an alarm does, to the question that raised it, too"
    )
    slow_rows_per_minute: int = _number(60, 1, 10**6, "what an unusual key may still ask, where the action is slow")
    prada_delta: float = _number(0.90, 0.0, 1.0, "alarm where the distances' Shapiro-Wilk W is below (PRADA's delta)")
    ood_share: float = _number(
        0.5, 0.0, 1.0, "alarm where more than this share of the last 200 rows looks like no picture we know"
    )
    duplicate_share: float = _number(
        0.3, 0.0, 1.0, "alarm where more than this share of the last 200 rows nearly repeats another"
    )
    coverage: float = _number(
        0.98, 0.0, 1.0, "alarm where a key has visited more than this share of the input space's cells"
    )
    volume: int = _number(
        20_000, 0, 10**9, "alarm at more rows than this in an hour; a cohort's: times its keys that asked in it"
    )


@dataclass(frozen=True)
class Planted:
    """Answers that are wrong on purpose, so that a copy can be told. Honest users get them, too."""

    share: float = _number(0.0, 0.0, 0.5, "of the inputs; which ones is a secret function of the input")


@dataclass(frozen=True)
class Price:
    """What answers cost, on paper."""

    cents_per_1000_rows: float = _number(10.0, 0.0, 10**6, "a stated price; nobody pays")


@dataclass(frozen=True)
class Policy:
    """A policy. version: 8 hex digits of its text's hash, stamped in every row of the ledger."""

    output: Output = Output()
    limits: Limits = Limits()
    identity: Identity = Identity()
    monitor: Monitor = Monitor()
    planted: Planted = Planted()
    price: Price = Price()
    text: str = ""

    @cached_property
    def version(self):
        """8 hex digits of the text's sha256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


SECTIONS = [f.name for f in fields(Policy) if f.name != "text"]
