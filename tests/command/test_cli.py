"""The way in: an old Python, a wrong folder, the README's commands and table, the licences."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import __main__ as door
from course_lib.command import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "tools"))
import readme  # noqa: E402

OLD = [f"python{version}" for version in ("2.7", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10")]
TOO_NEW = ("JoinedStr", "AnnAssign", "NamedExpr", "Match", "AsyncFunctionDef", "TryStar", "TypeAlias", "Starred")


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_an_old_python_can_read_the_door(name):
    text = (ROOT / "course_lib" / name).read_text(encoding="ascii")
    tree = ast.parse(text, feature_version=(3, 4))
    for node in ast.walk(tree):
        assert type(node).__name__ not in TOO_NEW, ast.dump(node)
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            bare = not any(argument.annotation for argument in arguments.args) and node.returns is None
            assert bare and not arguments.kwonlyargs and not arguments.posonlyargs, node.name
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert names <= {"sys"} and not any(isinstance(node, ast.ImportFrom) for node in tree.body)


@pytest.mark.parametrize("name", OLD)
def test_an_old_python_says_that_it_is_too_old(name):
    """By running it; where no old Python is installed, test_an_old_python_can_read_the_door stands for it."""
    python = shutil.which(name)
    if not python or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"{name} is not installed here")
    done = subprocess.run([python, "-B", "-m", "course_lib", "lab"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and f"this is Python {name[6:]} (" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("version", "refused"), [((2, 7), 1), ((3, 10), 1), ((3, 11), 0), ((3, 14), 0), ((4, 0), 0)])
def test_the_sentence_names_what_was_needed_what_came_and_what_to_do(version, refused):
    sentence = door.too_old(version, "/usr/bin/python")
    assert bool(sentence) == bool(refused)
    if refused:
        assert (
            "needs Python 3.11 or newer" in sentence
            and f"this is Python {version[0]}.{version[1]} (/usr/bin/python)" in sentence
        )
        assert "python3.11 -m course_lib lab" in sentence


def test_a_bare_python_can_start_the_command():
    """-I -S: no package but the standard library. The help has to come before anything is installed."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from course_lib.command import cli; cli.main(['--help'])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "lab" in done.stdout, done.stderr


def test_outside_the_course_a_sentence_says_where_to_go(tmp_path, monkeypatch, capsys):
    """As where course_lib was installed without its lessons."""
    monkeypatch.setattr(cli, "HERE", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lab"]) == 1
    said = capsys.readouterr().err
    assert "lessons/" in said and str(tmp_path) in said and "cd into its folder" in said


def test_every_command_in_the_readme_exists(capsys):
    typed = re.findall(r"python -m course_lib (\w+)", README)
    assert {"lab", "test", "doctor", "progress", "reset", "train", "vault"} == set(typed)
    for name in set(typed):
        with pytest.raises(SystemExit) as ended:
            cli.run([name, "--help"])
        assert ended.value.code == 0 and name in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed here")
@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("make lab", "-m course_lib lab"),
        ("make lab LESSON=03", "-m course_lib lab 03"),
        ("make lab TORCH=cpu", "-m course_lib lab --torch cpu"),
        ("make test", "-m course_lib test"),
    ],
)
def test_make_calls_the_same_commands(typed, called):
    assert typed in README
    settings = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run([*typed.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=True, env=settings)
    assert " ".join(done.stdout.split()).endswith(called)


def test_the_ci_calls_what_the_readme_tells_a_maintainer():
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()[-1] == "make test"
    assert os.access(ROOT / ".ci/run", os.X_OK) or os.name == "nt"


def test_the_table_and_the_picture_are_those_of_the_lessons():
    assert readme.put(README, "lessons", readme.table()) == README, "run: python tools/readme.py"
    shown = re.findall(r"^\| \[(\d\d)\]\(lessons/(\S+?)\), \[solved\]\(solutions/(\S+?)\)", README, re.M)
    names = sorted(path.name for path in (ROOT / "lessons").glob("*.ipynb"))
    assert [lesson for _, lesson, _ in shown] == [solution for *_, solution in shown] == names
    assert [number for number, *_ in shown] == [name[:2] for name in names]


def test_every_file_that_the_readme_and_contributing_name_is_there():
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
        paths = re.findall(r"`((?:course_lib|lessons|solutions|tests|tools|docs)/[\w./]*)`", text)
        for name in [*links, *paths]:
            assert "NN" in name or (ROOT / name).exists(), f"{page} names {name}"
        assert re.findall(r"!\[\s*\]\(", text) == []


def test_the_lessons_that_are_named_for_workshops_exist():
    part = README.partition("## Teach with it")[2].partition("## Change it")[0]
    for number in set(re.findall(r"\b(\d\d)\b(?! minutes)", part)):
        assert list((ROOT / "lessons").glob(f"{number}_*.ipynb")), number


def test_the_licences_are_those_that_the_package_declares():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    assert "CC BY 4.0" in (ROOT / "LICENSE-LESSONS").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'license = "MIT AND CC-BY-4.0"' in project
