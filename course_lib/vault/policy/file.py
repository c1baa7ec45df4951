"""The policy: one TOML file that a team edits. load(path), parse(text); what is wrong is said with its line."""

import difflib
import hashlib
import re
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path

LARGEST_INPUT = 8.0  # inputs are numbers from -8 to 8; pictures from 0 to 1
MOST_ROWS = 1024  # in one request


class PolicyError(ValueError):
    """A policy that cannot be: the message has the line (also as .line), what was expected and what came."""

    def __init__(self, message, line=None):
        super().__init__(message)
        self.line = line

    def _render_traceback_(self):
        return [f"PolicyError: {self}"]


def _number(default, low, high, doc):
    return field(default=default, metadata={"low": low, "high": high, "doc": doc})


def _word(default, choices, doc):
    return field(default=default, metadata={"choices": choices, "doc": doc})


@dataclass(frozen=True)
class ReverseSigmoid:
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
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


SECTIONS = [f.name for f in fields(Policy) if f.name != "text"]


def load(path):
    """The policy in a file. Raises PolicyError with the file's name and the line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'})") from None
    try:
        return parse(text)
    except PolicyError as error:
        raise PolicyError(f"{Path(path).name}, {error}", error.line) from None


def parse(text):
    """The policy in a text; what it does not say is as in Policy(). Raises PolicyError with the line."""
    try:
        return _parsed(text)
    except PolicyError:
        raise
    except (RecursionError, ValueError, OverflowError):  # what no setting needs, and Python's own limits stop
        raise PolicyError(
            "a policy has short numbers and a few brackets; this has far longer ones, or far more"
        ) from None


def _parsed(text):
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else text.count("\n") + 1
        sentence = f"line {line}: this is not TOML: {str(error).partition(' (at')[0]}"
        raise PolicyError(sentence, int(line)) from None
    parts = {}
    for name, section in table.items():
        where = _Where(text, name)
        if name not in SECTIONS:
            raise where.error(f"there is no section [{name}]{_did_you_mean(name, SECTIONS)}", SECTIONS)
        parts[name] = _filled(getattr(Policy(), name), section, where)
    return Policy(**parts, text=text)


def default_text():
    """The default policy as a file with its explanation: what `course vault init` writes."""
    lines = [
        "# What leaves the vault, how much, for whom, and what counts as unusual. Edit; the server reads it again.",
        "",
    ]
    for name in SECTIONS:
        part = getattr(Policy(), name)
        lines += [
            f"# {line.strip()}" for line in (type(part).__doc__ or "").splitlines() if "(" not in line[: 9 + len(name)]
        ]
        lines.append(f"[{name}]")
        for f in fields(part):
            value, doc = _toml(getattr(part, f.name)), f.metadata.get("doc")
            if choices := f.metadata.get("choices"):
                doc += f" ({', '.join(choices)})"
            lines.append(f"{f.name} = {value}" + (f"  # {doc}" if doc else ""))
        lines.append("")
    return "\n".join(lines)


class _Where:
    """The place of a section in a text, to name lines with."""

    def __init__(self, text, section):
        self.lines, self.section = text.splitlines(), section

    def line(self, key=None):
        """The line of a key in this section, else of the section, else 1."""
        inside, found = False, 1
        for number, line in enumerate(self.lines, 1):
            words = re.findall(r"[\w-]+", line.partition("#")[0].partition("=")[0])
            if line.lstrip().startswith("[") or words[:1] == [self.section]:
                inside = words[:1] == [self.section]
                found = number if inside else found
            if inside and key in (words[-1:] or [None]) + re.findall(r"([\w-]+)\s*=", line):
                return number
        return found

    def error(self, what, key=None):
        line = self.line(key if isinstance(key, str) else None)
        return PolicyError(f"line {line}: {what}", line)


def _filled(default, table, where, prefix=""):
    """A section like `default` with what the table says."""
    if not isinstance(table, dict):
        raise where.error(f"{prefix or where.section} takes names and values; got {table!r}", prefix)
    known = {f.name: f for f in fields(default)}
    values = {}
    for name, value in table.items():
        if name not in known:
            raise where.error(f"[{where.section}] has no {name}{_did_you_mean(name, known)}", name)
        now = getattr(default, name)
        values[name] = _filled(now, value, where, name) if is_dataclass(now) else _checked(known[name], value, where)
    return replace(default, **values)


def _checked(f, value, where):
    kind, low, high = type(f.default), f.metadata.get("low"), f.metadata.get("high")
    if kind is float and type(value) is int:
        value = float(value)
    names = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    if type(value) is not kind:
        raise where.error(f"{f.name} takes {names[kind]}; got {_toml(value)}", f.name)
    if low is not None and not low <= value <= high:
        raise where.error(f"{f.name} takes {names[kind]} from {low:g} to {high:g}; got {value}", f.name)
    choices = f.metadata.get("choices")
    if choices and value not in choices:
        raise where.error(
            f"{f.name} is one of {', '.join(choices)}; got {value!r}{_did_you_mean(value, choices)}", f.name
        )
    return value


def _did_you_mean(name, known):
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def _toml(value):
    if is_dataclass(value):
        return "{ " + ", ".join(f"{f.name} = {_toml(getattr(value, f.name))}" for f in fields(value)) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
