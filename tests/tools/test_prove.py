"""What `make test` runs, and what it says below the tests: each file's seconds, its sum the sum of its tests'."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import prove, seconds

ROOT = Path(__file__).resolve().parents[2]


def test_a_files_seconds_are_those_of_all_that_its_tests_took_the_longest_first():
    took = [
        ("a.py::one", 0.5),
        ("b.py::one", 2.0),
        ("a.py::one", 1.0),
        ("c.py::X::one[a::b]", 0.25),
        ("d.py::one", 0.5),
    ]
    assert seconds.per_file(took) == [("b.py", 2.0), ("a.py", 1.5), ("2 more, each less than 1 s", 0.75)]
    assert seconds.per_file([]) == []


def test_the_list_stands_below_tests_that_ran_side_by_side_too(tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"test_{name}.py").write_text("def test_nothing():\n    pass\n")
    command = [
        *prove.PYTEST,
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--rootdir",
        tmp_path,
        tmp_path,
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seconds per file" in done.stdout and "2 more, each less than 1 s" in done.stdout


def test_contributing_tells_about_each_step_and_no_other():
    told = re.findall(r"^\| `(\w+)` \| ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)
    assert told == list(prove.STEPS)


def test_a_step_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(SystemExit, match="The steps are lint, built, tests, browser; test came"):
        prove.main(["test"])
    done = subprocess.run([sys.executable, ROOT / "tools/prove.py", "lnt"], capture_output=True, text=True)
    assert done.returncode == 1 and "lnt came" in done.stderr
