"""A new lesson is there by one command, is built, timed and tested like the others, and goes without a trace."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import new_lesson  # noqa: E402

NEW = "98_try_me"
NOT_OURS = {".git", ".venv", "workspace", "artefacts", "data", "build", ".ruff_cache", ".pytest_cache"}  # at the top


@pytest.fixture
def empty(tmp_path):
    """A course without a lesson."""
    for folder in ("solutions", "course_lib/checks", "tests/answers"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "number, name, part",
    [
        ("100", "try_me", "A lesson's number from 00 to 99 was expected; '100' came"),
        ("-1", "try_me", "A lesson's number from 00 to 99 was expected; '-1' came"),
        ("six", "try_me", "'six' came"),
        ("06", "Try-me", "A name in small letters and digits, its words joined by _, was expected; 'Try-me' came"),
        ("06", "../try", "'../try' came"),
        ("06", "6_tries", "'6_tries' came"),
        ("06", "try__me", "'try__me' came"),
        ("06", "", "'' came"),
    ],
)
def test_a_number_or_a_name_that_is_none_is_refused_in_a_sentence(empty, number, name, part):
    with pytest.raises(new_lesson.Refused) as refused:
        new_lesson.new_lesson(number, name, empty)
    assert part in str(refused.value) and "Write for example: python tools/new_lesson.py 06 beyond_logits" in str(
        refused.value
    )
    assert not [path for path in empty.rglob("*") if path.is_file()]


def test_a_number_that_is_taken_is_refused_and_nothing_is_overwritten(empty):
    new_lesson.new_lesson("06", "first", empty)
    before = {path: path.read_bytes() for path in empty.rglob("*.py")}
    with pytest.raises(new_lesson.Refused, match="Lesson 06 is there already: solutions/06_first.py"):
        new_lesson.new_lesson("6", "second", empty)
    (empty / "solutions" / "06_first.py").unlink()
    with pytest.raises(new_lesson.Refused, match="course_lib/checks/lesson_06.py is there already"):
        new_lesson.new_lesson("06", "second", empty)
    assert {path: path.read_bytes() for path in empty.rglob("*.py")}.items() <= before.items()


def test_without_a_number_and_a_name_it_says_what_to_write_and_help_is_no_error(capsys):
    assert new_lesson.main(["06"]) == 1
    assert capsys.readouterr().err == f"A number and a name were expected; 06 came. Write: {new_lesson.HOW}\n"
    assert new_lesson.main(["--help"]) == 0 and new_lesson.HOW in capsys.readouterr().out


def test_outside_the_repository_it_says_where_to_go(tmp_path):
    command = [sys.executable, ROOT / "tools" / "new_lesson.py", "98", "try_me"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and f"expected to run in the course's folder, {ROOT}" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(ROOT.glob("solutions/98_*"))


def test_the_skeleton_says_its_own_number_and_name_and_no_placeholder(empty):
    for path in new_lesson.new_lesson("7", "small_enough", empty):
        text = (empty / path).read_text(encoding="utf-8")
        assert "07" in text and not re.search(r"\bNN\b|\bN\.q?\d|TITLE", text)
    assert "What does the lesson small enough ask?" in (empty / "solutions/07_small_enough.py").read_text(
        encoding="utf-8"
    )


# ---- a whole course, with one more lesson ----


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of this course, to add a lesson to; command(*words) runs Python in it."""
    folder = tmp_path_factory.mktemp("copy") / "course"
    left_out = {str(ROOT): NOT_OURS}
    shutil.copytree(ROOT, folder, ignore=lambda place, names: left_out.get(str(place), {"__pycache__"}) & set(names))

    def command(*words):
        settings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *words], cwd=folder, env=settings, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    command.folder = folder
    return command


def files(folder):
    """{path: bytes} of every file that git would keep."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if not {".ruff_cache", ".pytest_cache", "__pycache__"} & set(path.relative_to(folder).parts)
    }


def test_a_lesson_is_added_and_passes_every_test_of_a_lesson_then_goes_without_a_trace(course):
    course("tools/build_lessons.py"), course("tools/readme.py")  # whatever was stale is not this test's matter
    before = files(course.folder)
    course("tools/new_lesson.py", "98", "try_me")
    course("tools/build_lessons.py", "98", "--execute")
    course("tools/readme.py")
    added = {path for path in files(course.folder) if path not in before}
    assert added == {
        *(f"solutions/{NEW}.{kind}" for kind in ("py", "ipynb")),
        *(f"lessons/{NEW}.ipynb", "course_lib/checks/lesson_98.py", "tests/answers/lesson_98.py"),
    }
    course("-m", "ruff", "check", *sorted(path for path in added if path.endswith(".py")))
    course("-m", "ruff", "format", "--check", *sorted(path for path in added if path.endswith(".py")))
    tests = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not browser", "tests/test_lessons.py")
    more = ("tests/checks/test_answers.py", "tests/tools/test_readme.py", "tests/tools/test_glossary.py")
    assert "passed" in course(*tests, *more, "-k", f"98.1 or {NEW} or timed or readme or glossary")
    assert "  98.q1 to do" in course("-m", "course_lib", "progress")

    # As CONTRIBUTING.md says.
    for path in added:
        (course.folder / path).unlink()
    course("tools/build_lessons.py"), course("tools/readme.py")
    after = files(course.folder)
    assert set(after) == set(before)
    assert [path for path in before if after[path] != before[path]] == []
    assert "passed" in course(*tests, "-k", "next or timed or header")
