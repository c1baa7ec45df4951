"""The learner's own copy of the lessons: made once, never overwritten once a cell was changed.

workspace/NN_name.ipynb    the copy; touched means that the source of a cell differs, not an output
workspace/.copied.json     what was copied: {lesson: {"offered": fingerprint, "files": {copy: fingerprint}}}
workspace/.progress/       which exercises were tried and passed
"""

import hashlib
import itertools
import json
import os
import re
import time
from pathlib import Path

from course_lib.checks import exercise
from course_lib.files import sync, whole

ASKED = r"""\bcheck\(\s*["'](\d+\.\d+)["']|\bquiz\(\s*r?\"{3}\s*(\d+\.q\d+)\s+([^\n]*)"""


def folder(root):
    """Where the copies are: COURSE_WORKSPACE, or workspace/ beside lessons/, so that relative links still resolve."""
    return Path(os.environ.get("COURSE_WORKSPACE") or Path(root) / "workspace").resolve()


def open_workspace(root, replace=True):
    """Copy what is new; returns sentences for the learner, none when there is nothing to say.

    An untouched copy follows its lesson. A touched one is kept, and the lesson's new version is laid beside it.
    replace=False leaves every copy that is there as it is: for a workspace that a running server has open.
    """
    place = folder(root)
    copied, sentences = _read_record(place)
    try:
        if not place.is_dir():
            place.mkdir(parents=True)
            sentences.append(f"Your own copies of the lessons are in {place}")
        for lesson in sorted((Path(root) / "lessons").glob("[0-9][0-9]_*.ipynb")):
            sentences += filter(None, [_update(lesson, place, copied, replace)])
        _write_record(place, copied)
    except OSError as error:
        sentences.append(_refused(place, error))
    return sentences


def reset(root, name):
    """Begin the lesson "03_name.ipynb" anew; what was there is kept under a dated name. Returns a sentence."""
    place, lesson = folder(root), Path(root) / "lessons" / name
    copy = place / name
    try:
        with whole(copy) as file:
            file.write(lesson.read_bytes())
            sync(file)  # before the old one moves, so that a full disk changes nothing
            kept = _put_aside(copy, "kept") if copy.exists() else None
        copied, _ = _read_record(place)
        _remember(copied, name, copy, _fingerprint(lesson))
        _write_record(place, copied)
    except OSError as error:
        return _refused(place, error)
    was = f" What was there is kept as {kept.name!r}." if kept else ""
    return f"{name} is as new.{was} If it is open in the browser, close its tab and open it again."


def progress_table(root):
    """Every exercise and question of every lesson with its state, to do, tried or passed, as lines of text."""
    states = exercise.progress(exercise.progress_folder() or folder(root) / ".progress")
    lines, total, questions = [], dict.fromkeys(("passed", "tried", "to do"), 0), 0
    for lesson in sorted((Path(root) / "lessons").glob("[0-9][0-9]_*.ipynb")):
        titles = _exercises(lesson)
        here = [states.get(number, "to do") for number in titles]
        lines.append(f"{lesson.stem}: {here.count('passed')} of {len(here)} passed")
        lines += [f"  {n:<5} {states.get(n, 'to do'):<7} {title}" for n, title in titles.items()]
        for state in here:
            total[state] += 1
        questions += sum("q" in number for number in titles)
    counts = ", ".join(f"{count} {state}" for state, count in total.items())
    what = f"{sum(total.values()) - questions} exercises" + f" and {questions} questions" * bool(questions)
    return "\n".join([*lines, f"All {what}: {counts}"])


# ---- one lesson ----


def _update(lesson, place, copied, replace):
    """Bring the copy of one lesson up to date; returns what the learner should know, "" mostly."""
    now, copy = _fingerprint(lesson), place / lesson.name
    if now is None:
        return f"lessons/{lesson.name} cannot be read as a notebook. Get it anew: git checkout lessons/{lesson.name}"
    offered, files = copied.get(lesson.name, {"offered": None, "files": {}}).values()
    said = _set_aside(copy) if copy.exists() and _fingerprint(copy) is None else ""
    theirs = _fingerprint(copy) if copy.exists() else None
    if theirs is None:
        _write(copy, lesson.read_bytes())
        said = said or (f"{copy.name} was missing; a fresh copy is there." if offered else "")
    elif theirs != now:
        if offered is None:  # the note was lost, and what differs counts as touched
            copied[lesson.name] = {"offered": now, "files": {}}
        if offered in (None, now):
            return said
        if theirs == files.get(copy.name):
            if not replace:
                return said
            said = f"{lesson.name} has a new version. You had changed nothing in yours, so it is the new one."
        else:
            names = _names(copy, "new version")  # never over a file in which the learner has changed something
            copy = next(
                name for name in names if not name.exists() or _fingerprint(name) in (now, files.get(name.name))
            )
            said = f"{lesson.name} has a new version. Yours is kept as it is; the new one is {copy.name!r}, beside it."
        _write(copy, lesson.read_bytes())
    _remember(copied, lesson.name, copy, now)
    return said


def _set_aside(copy):
    """Move a copy that cannot be read out of the way, and bring back Jupyter's own checkpoint of it if there is one."""
    kept = _put_aside(copy, "damaged")
    checkpoint = copy.parent / ".ipynb_checkpoints" / f"{copy.stem}-checkpoint.ipynb"
    good = checkpoint.exists() and _fingerprint(checkpoint) is not None
    if good:
        _write(copy, checkpoint.read_bytes())
    instead = "the last version that Jupyter had kept" if good else "a fresh copy"
    return f"{copy.name} could not be read (a crash while saving?). It is kept as {kept.name!r}; {instead} is there."


def _remember(copied, lesson, copy, fingerprint):
    entry = copied.setdefault(lesson, {"offered": None, "files": {}})
    entry["offered"] = entry["files"][copy.name] = fingerprint


# ---- files ----


def _cells(path):
    """[[type, source], ...] of a notebook; None when the file is not one."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError):
        return None


def _fingerprint(path):
    """Of the sources of a notebook's cells, in order; None when the file is not a notebook."""
    cells = _cells(path)
    return None if cells is None else hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def _exercises(lesson):
    """{number: title} of the exercises and questions of a notebook, in order.

    An exercise's title is in the heading above its check, a question's is its first line.
    """
    cells = _cells(lesson) or []
    text = "\n".join(source for kind, source in cells if kind == "markdown")
    titles = dict(re.findall(r"^#+ Exercise (\d+\.\d+)\s*·\s*([^·\n]+?)\s*(?:·|$)", text, re.M))
    code = "\n".join(source for kind, source in cells if kind == "code")
    asked = re.findall(ASKED, code)  # (an exercise's number, a question's number, its first line)
    return {exercise or question: first.strip() or titles.get(exercise, "") for exercise, question, first in asked}


def _read_record(place):
    """(what was copied, sentences): an unreadable or lost record costs one sentence and no file."""
    path = place / ".copied.json"
    try:
        copied = json.loads(path.read_text(encoding="utf-8"))
        if all(set(entry) == {"offered", "files"} for entry in copied.values()):
            return copied, []
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    if not any(place.glob("[0-9][0-9]_*.ipynb")):
        return {}, []
    return {}, [
        f"The note of what was copied to {place} was lost, so every copy that differs from its lesson counts as yours "
        "and is kept. `course reset 03` gives a fresh copy of lesson 03."
    ]


def _write_record(place, copied):
    """Also when it is as before: a folder that takes no file is noticed now, and not when the learner's work is saved."""
    with whole(place / ".copied.json", "w") as file:
        json.dump(copied, file, indent=1)


def _refused(place, error):
    return (
        f"{place} could not be written ({error.strerror or error}), so nothing new is saved. What is in it is unharmed. "
        "Make room or mend the permissions, or name another folder in the environment variable COURSE_WORKSPACE."
    )


def _names(copy, words):
    """03_name (words).ipynb, 03_name (words 2).ipynb, ..."""
    for i in itertools.count(1):
        yield copy.with_name(f"{copy.stem} ({words}{f' {i}' if i > 1 else ''}).ipynb")


def _put_aside(copy, word):
    """Move a copy to a dated name beside it. The name is claimed first: a second process finds it taken."""
    for name in _names(copy, f"{word} {time.strftime('%Y-%m-%d %H.%M')}"):
        try:
            name.open("x").close()
        except FileExistsError:
            continue
        try:
            os.replace(copy, name)
        except OSError:
            name.unlink()
            raise
        return name


def _write(path, content):
    if not path.exists() or path.read_bytes() != content:
        with whole(path) as file:
            file.write(content)
