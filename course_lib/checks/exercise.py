"""Exercises: check an answer, give a hint, remember what was passed.

A check never raises in a learner's notebook. It shows one line (to do, not yet, passed) and returns what the rest of
the lesson uses: the learner's answer when it is right, the reference otherwise. In a solution, `strict()` makes a
check that does not pass an error.
"""

import html
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.checks import trial
from course_lib.files import quoted, whole

SECONDS_PER_CHECK = 10  # an answer that takes longer is interrupted
SECONDS_OF_A_SOLUTION = 300  # which is right, and may run on a machine that is busy


@dataclass(frozen=True)
class Exercise:
    """One exercise: what a right answer is, and how a wrong one is recognised.

    examine(answer) returns when the answer is right and raises NotYet(sentence) when it is not.
    reference is what the lesson goes on with until the learner's answer is right.
    """

    number: str  # "1.2" is the second exercise of lesson 01
    title: str
    minutes: int
    difficulty: int  # 1 to 3
    reference: Any
    examine: Callable[[Any], None]
    hints: tuple[str, ...] = ()  # at most three, of growing help

    def hinted(self, *hints):
        """The same exercise with these hints."""
        return replace(self, hints=hints)


class NotYet(Exception):
    """An answer that is not right yet; the message says what to look at."""


class CheckFailed(AssertionError):
    """A check that did not pass where it must (in a solution)."""

    def _render_traceback_(self):
        return [str(self)]


def expect(condition, sentence):
    """Raise NotYet(sentence) unless the condition holds; the sentence says what was expected, what came, what to do."""
    if not condition:
        raise NotYet(sentence)


STILL_RAISES = "your code is there, and so is the line `raise NotImplementedError(...)`. Delete that line."
_strict = False
NOT_WRITTEN = ("", "not written yet")  # what the stub of an exercise raises NotImplementedError with
WRITE_IT = "Write your answer in the cell above, run it, then run this cell again."


def strict(on=True):
    """From here on, a check that does not pass raises CheckFailed, and nothing is remembered. For solutions."""
    global _strict
    _strict = on


def is_strict():
    """Whether we are in a solution: strict() was called."""
    return _strict


def check(exercise, answer):
    """Judge the answer, show the result in one line, and return what the lesson goes on with."""
    state, sentence = judge(exercise, answer, SECONDS_OF_A_SOLUTION if _strict else SECONDS_PER_CHECK)
    if not _strict:
        sentence += record(exercise.number, state)
    _say(state, f"Exercise {exercise.number}", sentence)
    if _strict and state != "passed":
        raise CheckFailed(f"Exercise {exercise.number}, {state}: {sentence}")
    return answer if state == "passed" else exercise.reference


def judge(exercise, answer, seconds=SECONDS_PER_CHECK):
    """(state, sentence) for the answer; state is "to do", "not yet" or "passed". Stops an answer after `seconds`."""
    if answer is exercise.reference:
        return "to do", (
            "this is the course's own answer, which the lesson uses until yours is right. "
            "Run the cell with your answer first, then this one."
        )
    if answer is None or answer is ...:
        return "to do", f"{exercise.title}. {WRITE_IT}"
    if callable(exercise.reference) and not callable(answer):
        return "not yet", (
            f"the check takes your function itself and got {trial.describe(answer)}. "
            "Hand over its name alone, without brackets and arguments behind it."
        )

    def examine(answer):
        trial.own_functions()
        with trial.undisturbed():
            trial.within(seconds, lambda: exercise.examine(answer))

    try:
        examine(answer)
    except (NotYet, trial.LeftChanged) as wrong:
        return "not yet", str(wrong)
    except trial.TookTooLong:
        return "not yet", f"your answer still ran after {seconds} s and was stopped. Does a loop in it never end?"
    except (Exception, SystemExit) as error:
        if isinstance(error, NotImplementedError) and str(error) in NOT_WRITTEN:
            if trial.unfinished(error, answer):
                return "not yet", STILL_RAISES
            return "to do", f"{exercise.title}. {WRITE_IT}"
        return "not yet", trial.explain(error, answer, exercise.reference, examine)
    return "passed", "well done."


def hint(exercise, which=None):
    """Show the next hint; hint(exercise, 2) shows the second one again."""
    there = len(exercise.hints)
    shown = _read(exercise.number).get("hints", 0)
    which = min(shown + 1, there) if which is None else which
    if which not in range(1, there + 1):
        sentence = f"there are hints 1 to {there}, and you asked for {quoted(which)}." if there else "there is no hint."
        return _say("hint", f"Exercise {exercise.number}", sentence)
    if which > shown:
        _write(exercise.number, hints=which)
    more = " (The next one: run this cell again.)" if which < there else ""
    _say("hint", f"Hint {which} of {there}", exercise.hints[which - 1] + more)


# ---- what the learner sees ----

LOOK = {  # state: (sign, colour). The words carry the meaning; each colour reads on white and on black
    "to do": ("○", "#71757e"),
    "not yet": ("△", "#b45309"),
    "passed": ("✓", "#15803d"),
    "hint": ("→", "#2563eb"),
}


def line(state, what, sentence, role="status"):
    """(text, HTML) of one line: "✓ Exercise 1.1 · Passed: well done."; `code` in the sentence is shown as code.

    role: for screen readers; "alert" where the line takes another one's place, so that it is read out at once.
    """
    sign, colour = LOOK[state]
    what = what if state == "hint" else f"{what} · {state.capitalize()}"
    words = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(sentence))
    box = f"border-left:5px solid {colour};padding:.3em .8em;margin:.3em 0;white-space:pre-line"
    page = (
        f'<div role="{role}" style="{box}"><span aria-hidden="true" style="color:{colour}">{sign}</span> '
        f"<strong>{html.escape(what)}</strong>: {words}</div>"
    )
    return f"{sign} {what}: {sentence}", page


def show(text, page):
    """Put HTML below the cell, with its text beside it; print the text where nothing shows HTML."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(text)
    else:
        display({"text/plain": text, "text/html": page}, raw=True)


def _say(state, what, sentence):
    show(*line(state, what, sentence))


# ---- progress: one small file per exercise, so that two notebooks never overwrite each other ----

_this_session = {}  # number -> facts, where no folder keeps them


def progress_folder():
    """Where progress is kept: COURSE_PROGRESS, set by `course lab`; None forgets with the session (a bare clone)."""
    name = os.environ.get("COURSE_PROGRESS")
    return Path(name) if name else None


def record(number, state):
    """Remember a try; "passed" stays passed. Returns what the learner should know about it, "" mostly."""
    before = _read(number).get("state")
    lost = ""
    if state != "to do":
        lost = _write(number, state="passed" if "passed" in (before, state) else "tried")
    return (" (You have passed this one before; that stays.)" if before == "passed" != state else "") + lost


def progress(folder=None):
    """{exercise number: "tried" or "passed"} as remembered in the folder; what is not there is to do."""
    folder = folder or progress_folder()
    numbers = [file.stem for file in sorted(folder.glob("*.json"))] if folder else list(_this_session)
    states = {number: _read(number, folder).get("state") for number in numbers}
    return {number: state for number, state in states.items() if state in ("tried", "passed")}


def _read(number, folder=None):
    folder = folder or progress_folder()
    if folder is None:
        return _this_session.get(number, {})
    try:
        facts = json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(number, **facts):
    """Remember the facts; returns "", or a sentence when the disk would not take them."""
    folder = progress_folder()
    facts = {**_read(number), **facts, "when": time.strftime("%Y-%m-%dT%H:%M:%S")}
    if folder is None:
        _this_session[number] = facts
        return ""
    try:
        with whole(folder / f"{number}.json", "w") as file:
            json.dump(facts, file)
    except OSError as error:
        return f" (This could not be remembered in {folder}: {error.strerror}.)"
    return ""
