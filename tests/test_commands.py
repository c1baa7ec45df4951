"""What a page, a lesson or a message tells somebody to type is held against what reads it: the parsers and the Makefile."""

import argparse
import importlib
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from course_lib.command import cli
from tools import prove

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "bench/README.md", "Makefile", "environment.yml")]
PAGES += sorted(ROOT.glob("docs/**/*.md"))
CODE = [
    path for folder in ("course_lib", "tools", "bench", "solutions") for path in sorted(ROOT.glob(f"{folder}/**/*.py"))
]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^(\w+):", MAKEFILE, re.M))
VARIABLES = set(re.findall(r"\$\((\w+)\)", MAKEFILE)) | {"PYTHON"}
COURSE = "|".join(next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices)

# Where a command begins: anywhere for the first three, and for those that are words of plain English only as code.
ANYWHERE = re.compile(
    r"-m course_lib\b|-m (?=pytest\b)|python\d?(?:\.\d+)? (?=(?:tools|bench)/)|\bmake (?=[a-z]+(?:  | [A-Z]+=))"
)
AS_CODE = re.compile(rf"(?:course|make) (?=[a-z])|(?=(?:{COURSE}) .*--[a-z])|(?=--[a-z])")
END = re.compile(r"[`\"'{}()|;#\\<>&$]|  |\t|, |: |\.(?:\s|$)|…")
BLANK = re.compile(r"[A-Z_]+|\[.*\]?|\.{3}|N+")  # a word that the reader fills in


class Command(NamedTuple):
    """What stands in `file`, line `line`: the words of a command; whole: it ends where its code ends, not in prose."""

    file: str
    line: int
    words: list
    whole: bool


def commands(path, text=None):
    """All commands of a file, in the order of their lines."""
    name, fenced = str(path.relative_to(ROOT)), False
    lines = (path.read_text(encoding="utf-8") if text is None else text).splitlines()
    for number, line in enumerate(lines, 1):
        if re.match(r"(# )?```", line):
            fenced = not fenced
            continue
        pieces = re.split(r"`+", line) if not fenced else ["", line]
        for place, piece in enumerate(pieces):  # every second one is code
            starts = {
                match.start() if match[0].startswith("make") else match.end() for match in ANYWHERE.finditer(piece)
            }
            as_code = place % 2 == 1 or re.match(rf"\s*course (?:\w+ .*  |(?:{COURSE})\b)", piece)
            if as_code and (match := AS_CODE.match(piece.strip())):
                starts.add(len(piece) - len(piece.lstrip()) + (match.end() if match[0].startswith("course") else 0))
            for start in starts:
                said = piece[start:]
                end = END.search(said)
                words = said[: end.start() if end else None].rstrip(" .,:").split()
                if words:
                    yield Command(name, number, words, place % 2 == 1 and (not end or end[0] in "#  "))


def flags(parser):
    """Every flag of a parser and of those below it."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return set(parser._option_string_actions).union(*(flags(p) for a in below for p in a.choices.values()))


def script(path):
    """The parser that a script's main() builds, caught where it begins to read; None where it builds none."""

    class Caught(Exception):
        pass

    def caught(parser, *_):
        raise Caught(parser)

    if "argparse" not in path.read_text(encoding="utf-8"):
        return None
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Caught) as found:
        patch.setattr(argparse.ArgumentParser, "parse_args", caught)
        patch.syspath_prepend(str(path.parent))  # scripts import one another as neighbours do
        importlib.import_module(path.stem).main()
    return found.value.args[0]


def unknown(parser, words):
    """The first word that a parser does not know: a flag, or the name of a subcommand; None where it knows all."""
    for word in words:
        below = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if word.startswith("-"):
            if word.partition("=")[0] not in parser._option_string_actions:
                return word
        elif below and BLANK.fullmatch(word):
            return None
        elif below and word not in below[0]:
            return word
        elif below:
            parser = below[0][word]
    return None


class Slip(Exception):
    """What the parser itself says of a command."""


def read(parser, words):
    """The parser reads the words; a Slip where they cannot be, save that something is still to be filled in."""

    def error(message):
        if "required" not in message:
            raise Slip(message)
        raise SystemExit(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "error", lambda _, message: error(message))
        try:
            parser.parse_args(words)
        except SystemExit:
            pass


def no_step(names):
    """A sentence about the first step that `make test` has not, else ""."""
    return next((f"there is no step {name}" for name in names if name not in prove.STEPS and not BLANK.match(name)), "")


def wrong(command):
    """What is wrong with a command, in a sentence; "" where nothing is."""
    first, *rest = command.words
    if first == "make":
        target, *settings = rest
        names = [word.partition("=")[0] for word in settings]
        if target not in TARGETS:
            return f"the Makefile has no target {target}"
        if strange := [name for name in names if name not in VARIABLES]:
            return f"the Makefile reads no {strange[0]}"
        return no_step(word.partition("=")[2] for word in settings if word.startswith("STEPS="))
    if first == "pytest":
        lacking = [word for word in rest if "/" in word and "NN" not in word and not list(ROOT.glob(word))]
        return f"there is no {lacking[0]}" if lacking else ""
    if first.startswith("--"):  # a flag alone: of anything that the pages speak of
        return "" if first.partition("=")[0] in FLAGS else f"nothing knows {first}"
    if re.match(r"(tools|bench)/", first):
        path = ROOT / first
        if not path.is_file():
            return f"there is no {first}"
        parser = script(path)
        if parser is None:
            text = path.read_text(encoding="utf-8")
            strange = [word for word in rest if word.startswith("-") and f'"{word}"' not in text]
            return f"{first} does not know {strange[0]}" if strange else ""
    else:
        parser, rest = cli.parser(), command.words
    if word := unknown(parser, rest):
        return f"{parser.prog} does not know {word}"
    if rest[:1] == ["test"] and no_step(rest[1:]):
        return no_step(rest[1:])
    if command.whole and not any(BLANK.fullmatch(word.rpartition("=")[2]) for word in rest):
        try:
            read(parser, shlex.split(" ".join(rest)))
        except Slip as slip:
            return str(slip)
    return ""


FLAGS = flags(cli.parser())
for each in [*ROOT.glob("tools/*.py"), *ROOT.glob("bench/*.py")]:
    FLAGS |= set(re.findall(r'"(--[a-z][\w-]+)', each.read_text(encoding="utf-8")))  # also pytest's, in tools/prove.py


@pytest.mark.parametrize("path", [*PAGES, *CODE], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_told_to_be_typed_can_be_typed(path):
    found = [(one, wrong(one)) for one in commands(path)]
    assert not [f"{one.file}, line {one.line}: {' '.join(one.words)}: {why}" for one, why in found if why]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Then `python -m course_lib trian teacher`.", "does not know trian"),
        ("Then `python -m course_lib train pupil`.", "invalid choice: 'pupil'"),
        ("Then `python -m course_lib vault key nwe ant`.", "does not know nwe"),
        ("Then python -m course_lib vault key new ant --hour 3, and so on", "does not know --hour"),
        ('    raise Refused(f"Try: python -m course_lib lab --browser{more}, then look")', "does not know --browser"),
        ("Then `python -m course_lib train alone --epochs many`.", "a whole number from 1 was expected"),
        ("Then `course vault srve`, then wait", "does not know srve"),
        ("course trian ROLE     train a teacher", "does not know trian"),
        ("Then `train student --techer FOLDER`", "does not know --techer"),
        ("torchrun --nproc_per_node 2 -m course_lib train teacher --epoch 3", "does not know --epoch"),
        ("Give each a `--cohrt red`.", "nothing knows --cohrt"),
        ("`make labs`", "no target labs"),
        ("Or: make lab TROCH=cpu (without CUDA)", "reads no TROCH"),
        ("`make test STEPS=lnt`", "no step lnt"),
        ("python -m course_lib test lnt  # one step", "no step lnt"),
        ("`python -m pytest -q tests/test_commandos.py`", "there is no tests/test_commandos.py"),
        ("# make labs                 set up what is missing", "no target labs"),
        ("    python tools/house.py --jsn       for programs", "does not know --jsn"),
        ("Run python tools/redme.py", "there is no tools/redme.py"),
        ("`python tools/readme.py --chek`", "does not know --chek"),
        ("`python bench/fit_many.py --record --epochs 3 --block 2`", "does not know --block"),
    ],
)
def test_a_slip_is_found_with_its_line(line, why):
    (one,) = [one for one in commands(ROOT / "README.md", f"first\n\n{line}\n") if wrong(one)]
    assert one.line == 3 and why in wrong(one)


@pytest.mark.parametrize(
    "line",
    ["we make a copy of `make` and of course lab work", "`python -m course_lib lab 03`, the first time", "`--hours 30`"]
    + ["`python -m course_lib vault key move PSEUDONYM --cohort NAME`.", "`course vault ...` says more", "make a test"]
    + ["python -m course_lib test [STEP ...].", "`make lab LESSON=03`", "`python tools/build_lessons.py NN --execute`"],
)
def test_what_is_right_is_left_alone(line):
    assert [wrong(one) for one in commands(ROOT / "README.md", line) if wrong(one)] == []


def test_the_pages_hold_commands_to_look_at():
    found = {str(path.relative_to(ROOT)): sum(1 for _ in commands(path)) for path in PAGES}
    assert found["README.md"] > 12 and found["docs/vault.md"] > 12 and found["CONTRIBUTING.md"] > 6
    assert found["bench/README.md"] > 3 and found["Makefile"] > 4
    assert sum(1 for path in CODE for _ in commands(path)) > 30
