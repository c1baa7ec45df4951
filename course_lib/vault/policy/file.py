"""The policy: one TOML file that a team edits. load(path), parse(text); what is wrong is said with its line."""

import difflib
import re
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from course_lib.files import cut, quoted
from course_lib.vault.policy.settings import SECTIONS, Policy

DEEPEST = 8  # brackets within brackets; a policy needs one
# TOML's texts in quotes, and its comments: what is in there opens no bracket. One that is not closed goes on to the end.
NOT_A_BRACKET = re.compile(
    r""""{3}(?:[^\\]|\\.)*?(?:"{3}|\Z)|\'{3}.*?(?:\'{3}|\Z)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|#[^\n]*""", re.S
)


class PolicyError(ValueError):
    """A policy that cannot be: the message has the line (also as .line), what was expected and what came."""

    def __init__(self, message, line=None):
        super().__init__(message)
        self.line = line

    def _render_traceback_(self):
        return [f"PolicyError: {self}"]


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
        if _depth(text) > DEEPEST:
            raise RecursionError  # where Python would give up depends on who called us
        return _parsed(text)
    except PolicyError:
        raise
    except (RecursionError, ValueError, OverflowError):  # what no setting needs, and Python's own limits stop
        raise PolicyError(
            "a policy has short numbers and a few brackets; this has far longer ones, or far more"
        ) from None


def _depth(text):
    """How many brackets are open at a time, at most."""
    deepest = depth = 0
    for bracket in re.findall(r"[][{}]", NOT_A_BRACKET.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _parsed(text):
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else text.count("\n") + 1
        sentence = f"line {line}: this is not TOML: {cut(str(error).partition(' (at')[0])}"
        raise PolicyError(sentence, int(line)) from None
    parts = {}
    for name, section in table.items():
        where = _Where(text, name)
        if name not in SECTIONS:
            raise where.error(f"there is no section [{cut(name)}]{_did_you_mean(name, SECTIONS)}", SECTIONS)
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
        if name != "price":  # its one setting says it
            lines += [f"# {line.strip()}" for line in type(part).__doc__.splitlines()]
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
        raise where.error(f"{prefix or where.section} takes names and values; got {quoted(table)}", prefix)
    known = {f.name: f for f in fields(default)}
    values = {}
    for name, value in table.items():
        if name not in known:
            raise where.error(f"[{where.section}] has no {cut(name)}{_did_you_mean(name, known)}", name)
        now = getattr(default, name)
        values[name] = _filled(now, value, where, name) if is_dataclass(now) else _checked(known[name], value, where)
    return replace(default, **values)


def _checked(f, value, where):
    kind, low, high = type(f.default), f.metadata.get("low"), f.metadata.get("high")
    if kind is float and type(value) is int:
        value = float(value)
    names = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    if type(value) is not kind:
        raise where.error(f"{f.name} takes {names[kind]}; got {cut(_toml(value))}", f.name)
    if low is not None and not low <= value <= high:
        raise where.error(f"{f.name} takes {names[kind]} from {low:g} to {high:g}; got {cut(str(value))}", f.name)
    choices = f.metadata.get("choices")
    if choices and value not in choices:
        raise where.error(
            f"{f.name} is one of {', '.join(choices)}; got {quoted(value)}{_did_you_mean(value, choices)}", f.name
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
    return f'"{value}"' if isinstance(value, str) else quoted(value)
