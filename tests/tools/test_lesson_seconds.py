"""The record of how long lessons take: all in one go, or one merged into the rest, each with its machine and date."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import lesson_seconds

OLD = {"what": "seconds", "calibration": 1000.0, "lessons": {"01_one": 10.0, "03_three": 30.0}, "date": "2026-01-01"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(lesson_seconds, "measure", lambda: {"calibration": 500.0, "cores": 4, "date": "2026-02-02"})
    lesson_seconds.write(tmp_path, dict(OLD), list(OLD["lessons"]))
    return tmp_path


def test_one_lesson_is_merged_scaled_to_the_files_calibration_and_keeps_what_was_measured(root):
    lesson_seconds.record(root, {"02_two": 20.04}, ["01_one", "02_two", "03_three"])
    there = lesson_seconds.recorded(root)
    assert there["lessons"] == {
        "01_one": 10.0,
        "02_two": 10.0,
        "03_three": 30.0,
    }  # a machine half as fast takes twice as long
    assert there["calibration"] == 1000.0 and there["date"] == "2026-01-01"
    apart = there["apart"]["02_two"]
    assert (apart["seconds"], apart["calibration"], apart["cores"], apart["date"]) == (20.0, 500.0, 4, "2026-02-02")
    assert list(there["lessons"]) == sorted(there["lessons"])


def test_all_lessons_in_one_go_make_the_file_anew(root):
    lesson_seconds.record(root, {"02_two": 20.0}, ["01_one", "02_two", "03_three"])
    lesson_seconds.record(root, {"01_one": 1.23, "03_three": 3.0}, ["01_one", "03_three"])
    there = lesson_seconds.recorded(root)
    assert there["lessons"] == {"01_one": 1.2, "03_three": 3.0} and "apart" not in there
    assert there["calibration"] == 500.0 and there["date"] == "2026-02-02"


def test_the_first_lesson_of_all_makes_the_file(tmp_path, root):
    lesson_seconds.path(root).unlink()
    lesson_seconds.record(root, {"01_one": 1.0}, ["01_one", "02_two"])
    assert lesson_seconds.recorded(root)["lessons"] == {"01_one": 1.0}


def test_a_lesson_that_was_added_and_removed_leaves_the_file_as_it_was_byte_for_byte(root):
    before = lesson_seconds.path(root).read_bytes()
    lesson_seconds.forget_the_removed(root, list(OLD["lessons"]))
    assert lesson_seconds.path(root).read_bytes() == before
    lesson_seconds.record(root, {"02_two": 20.0}, ["01_one", "02_two", "03_three"])
    assert lesson_seconds.path(root).read_bytes() != before
    lesson_seconds.forget_the_removed(root, list(OLD["lessons"]))
    assert lesson_seconds.path(root).read_bytes() == before


def test_the_measured_seconds_come_with_the_machine_the_versions_and_the_date(tmp_path):
    lesson_seconds.record(tmp_path, {"07_tiny": 1.23}, ["07_tiny"])
    facts = json.loads((tmp_path / "results" / "lesson_seconds.json").read_text(encoding="utf-8"))
    assert facts["lessons"] == {"07_tiny": 1.2} and facts["n"] == 1 and facts["calibration"] > 0
    assert facts["processor"] and facts["cores"] >= 1 and facts["threads"] >= 1
    assert {"python", "torch"} <= set(facts["versions"]) and len(facts["date"]) == 10
