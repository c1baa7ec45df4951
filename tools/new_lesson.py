"""Write the skeleton of a new lesson: it runs, its checks check, its tests pass; then you put your lesson in its place.

python tools/new_lesson.py 06 beyond_logits

solutions/06_beyond_logits.py    the source: one exercise, three questions, slides, notes for whoever teaches it
course_lib/checks/lesson_06.py   the check of the exercise, with what learners get wrong
tests/answers/lesson_06.py       right and wrong answers that try the check
CONTRIBUTING.md goes on from there, and says how a lesson is taken out again.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKELETON = Path(__file__).resolve().parent / "skeleton"
HOW = "python tools/new_lesson.py 06 beyond_logits"


class Refused(Exception):
    """What was typed cannot be done; the message says what was expected, what came, and what to do."""


def new_lesson(number, name, root=ROOT):
    """Write the files of lesson `number` ("06") called `name` ("beyond_logits"); returns their paths in the root."""
    if not re.fullmatch(r"\d\d?", number):
        raise Refused(f"A lesson's number from 00 to 99 was expected; {number!r} came. Write for example: {HOW}")
    number = number.zfill(2)
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise Refused(
            f"A name in small letters and digits, its words joined by _, was expected; {name!r} came. "
            f"Write for example: {HOW}"
        )
    there = sorted(path for path in root.glob(f"solutions/{number}_*.py"))
    if there:
        raise Refused(f"Lesson {number} is there already: solutions/{there[0].name}. Choose another number.")
    texts = {path: text for path, text in _files(number, name)}
    if taken := [path for path in texts if (root / path).exists()]:
        raise Refused(
            f"{taken[0]} is there already, and nothing is written over it. Move it away, or choose another number."
        )
    for path, text in texts.items():
        (root / path).write_text(text, encoding="utf-8", newline="\n")
    return list(texts)


def _files(number, name):
    """[(path, text), ...] of a lesson's files."""
    targets = {
        "solution.py": f"solutions/{number}_{name}.py",
        "checks.py": f"course_lib/checks/lesson_{number}.py",
        "answers.py": f"tests/answers/lesson_{number}.py",
    }
    for skeleton, path in targets.items():
        text = (SKELETON / skeleton).read_text(encoding="utf-8")
        text = re.sub(r"\bN\.(?=q?\d)", f"{int(number)}.", text)
        yield path, re.sub(r"\bNN\b", number, text).replace("TITLE", name.replace("_", " "))


def main(arguments):
    """Write the lesson, and say what comes next; returns the exit code."""
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    try:
        if len(arguments) != 2:
            raise Refused(f"A number and a name were expected; {' '.join(arguments) or 'nothing'} came. Write: {HOW}")
        if ROOT != Path.cwd() or not (ROOT / "solutions").is_dir():
            raise Refused(
                f"This was expected to run in the course's folder, {ROOT}; it ran in {Path.cwd()}. cd there first."
            )
        paths = new_lesson(*arguments)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    number = arguments[0].zfill(2)
    print("wrote", "\n      ".join(paths))
    print(f"next: python tools/build_lessons.py {number} --execute")
    print("then: python tools/readme.py, and go on with step 3 in CONTRIBUTING.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
