"""Exercises: check an answer, give a hint, remember what was passed.

A check never raises in a learner's notebook. It shows one line (to do, not yet, passed) and returns what the rest of the
lesson uses: the learner's answer when it is right, the reference otherwise. In a solution, `strict()` makes a check that
does not pass an error.
"""

import contextlib
import html
import json
import linecache
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_PER_CHECK = 10  # an answer that takes longer is interrupted


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


_strict = False


def strict(on=True):
    """From here on, a check that does not pass raises CheckFailed. Solutions call it; lessons don't."""
    global _strict
    _strict = on


def check(exercise, answer):
    """Judge the answer, show the result in one line, and return what the lesson goes on with."""
    state, sentence = judge(exercise, answer)
    record(exercise.number, state)
    _say(state, f"Exercise {exercise.number}", sentence)
    if _strict and state != "passed":
        raise CheckFailed(f"Exercise {exercise.number}, {state}: {sentence}")
    return answer if state == "passed" else exercise.reference


def judge(exercise, answer, seconds=SECONDS_PER_CHECK):
    """(state, sentence) for the answer; state is "to do", "not yet" or "passed"."""
    if answer is exercise.reference:
        return "to do", (
            "this is the course's own answer, which the lesson uses until yours is right. "
            "Run the cell with your answer first, then this one."
        )
    if answer is None or answer is ...:
        return "to do", f"{exercise.title}. Write your answer in the cell above, run it, then run this cell again."
    try:
        with _time_limit(seconds):
            exercise.examine(answer)
    except NotImplementedError:
        return "to do", f"{exercise.title}. Write your answer in the cell above, run it, then run this cell again."
    except NotYet as wrong:
        return "not yet", str(wrong)
    except _TookTooLong:
        return "not yet", (
            f"your answer was still running after {seconds} s and was stopped. Does a loop in it never end?"
        )
    except KeyboardInterrupt:
        raise
    except Exception as error:
        return "not yet", _where(error)
    return "passed", "well done."


def hint(exercise, which=None):
    """Show the next hint; hint(exercise, 2) shows the second one again."""
    shown = _read(exercise.number).get("hints", 0)
    which = min(shown + 1, len(exercise.hints)) if which is None else which
    if not 1 <= which <= len(exercise.hints):
        _say(
            "hint", f"Exercise {exercise.number}", f"there are hints 1 to {len(exercise.hints)}; you asked for {which}."
        )
        return
    _write(exercise.number, hints=max(shown, which))
    _say("hint", f"Hint {which} of {len(exercise.hints)}", exercise.hints[which - 1])


# ---- an answer that never returns, and an answer that fails ----


class _TookTooLong(Exception):
    pass


@contextlib.contextmanager
def _time_limit(seconds):
    """Interrupt the main thread's Python code after `seconds`; on every system, since it needs no alarm signal."""
    import _thread

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    fired = threading.Event()

    def interrupt():
        fired.set()
        _thread.interrupt_main()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if fired.is_set():
            raise _TookTooLong from None
        raise
    finally:
        timer.cancel()


def _where(error):
    """One sentence for an exception in the learner's code: what it was, and the learner's line."""
    words = f"your code raised {type(error).__name__}: {error}"
    here = str(Path(__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        ours = (
            frame.filename.startswith((here, sys.prefix, sys.base_prefix, "<frozen"))
            or "site-packages" in frame.filename
        )
        if not ours:
            line = linecache.getline(frame.filename, frame.lineno).strip()
            return f"{words} (line {frame.lineno} of your cell: {line})"
    return words


# ---- what the learner sees ----

LOOK = {  # state: (sign, colour of the bar); the words carry the meaning, never the colour alone
    "to do": ("○", "#6b7280"),
    "not yet": ("△", "#b45309"),
    "passed": ("✓", "#15803d"),
    "hint": ("→", "#1d4ed8"),
}


def _say(state, what, sentence):
    sign, colour = LOOK[state]
    words = state.capitalize()
    text = f"{sign} {what} · {words}: {sentence}" if state != "hint" else f"{sign} {what}: {sentence}"
    page = (
        f'<div role="status" style="border-left:5px solid {colour};padding:.3em .8em;margin:.3em 0">'
        f'<span aria-hidden="true" style="color:{colour}">{sign}</span> <strong>{html.escape(what)}'
        f"{'' if state == 'hint' else ' · ' + words}</strong>: {html.escape(sentence)}</div>"
    )
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(text)
    else:
        display({"text/plain": text, "text/html": page}, raw=True)


# ---- progress: one small file per exercise, so that two notebooks never overwrite each other ----


def progress_folder():
    """Where progress is kept: COURSE_PROGRESS, set by `course lab`; None keeps nothing (in CI, in a bare clone)."""
    name = os.environ.get("COURSE_PROGRESS")
    return Path(name) if name else None


def record(number, state):
    """Remember the state; "passed" stays passed, and a "to do" never hides an earlier try."""
    if state == "to do":
        return
    before = _read(number).get("state")
    _write(number, state="passed" if "passed" in (before, state) else "tried")


def progress():
    """{exercise number: "tried" or "passed"} as remembered on this machine."""
    folder = progress_folder()
    files = sorted(folder.glob("*.json")) if folder and folder.is_dir() else []
    states = {file.stem: _read(file.stem).get("state") for file in files}
    return {number: state for number, state in states.items() if state}


def _read(number):
    folder = progress_folder()
    try:
        return json.loads((folder / f"{number}.json").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        return {}


def _write(number, **facts):
    folder = progress_folder()
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{number}.{os.getpid()}.tmp"
    facts = {**_read(number), **facts, "when": time.strftime("%Y-%m-%dT%H:%M:%S")}
    temporary.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(temporary, folder / f"{number}.json")
