"""The learner's copies: made once, never overwritten once touched; no update, crash or reset loses anything."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.command import workspace

NAME = "03_loss.ipynb"


def notebook(*sources, output=None):
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    if output:
        cells[0].outputs = [nbformat.v4.new_output("stream", text=output)]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    (tmp_path / "lessons").mkdir()
    lesson(tmp_path, "old")
    return tmp_path


def lesson(root, *sources):
    (root / "lessons" / NAME).write_text(notebook(*sources), encoding="utf-8")


def learner_writes(root, *sources, name=NAME, output=None):
    (root / "workspace" / name).write_text(notebook(*sources, output=output), encoding="utf-8")


def sources(path):
    return [cell.source for cell in nbformat.read(path, 4).cells]


def copies(root):
    """{file name: its cells' sources} of every notebook in the workspace."""
    return {path.name: sources(path) for path in sorted((root / "workspace").glob("*.ipynb"))}


def test_a_lesson_is_copied_once_and_a_second_opening_says_and_changes_nothing(root):
    assert len(workspace.open_workspace(root)) == 1
    learner_writes(root, "mine")
    before = (root / "workspace" / NAME).read_bytes()
    assert workspace.open_workspace(root) == []
    assert (root / "workspace" / NAME).read_bytes() == before


def test_an_untouched_copy_follows_its_lesson_even_when_it_was_run_and_saved_by_jupyter(root):
    workspace.open_workspace(root)
    learner_writes(root, "old", output="it was run\n")
    lesson(root, "new")
    assert len(workspace.open_workspace(root)) == 1
    assert copies(root) == {NAME: ["new"]}
    assert workspace.open_workspace(root) == []


@pytest.mark.parametrize("mine", [["mine"], ["old", "an added cell"], []], ids=["changed", "added", "removed"])
def test_a_touched_copy_is_kept_and_the_new_version_laid_beside_it_once(root, mine):
    workspace.open_workspace(root)
    learner_writes(root, *mine)
    lesson(root, "new")
    (sentence,) = workspace.open_workspace(root)
    assert "03_loss (new version).ipynb" in sentence
    assert copies(root) == {NAME: mine, "03_loss (new version).ipynb": ["new"]}
    assert workspace.open_workspace(root) == []


def test_cells_in_another_order_are_a_touched_copy(root):
    lesson(root, "a", "b")
    workspace.open_workspace(root)
    learner_writes(root, "b", "a")
    lesson(root, "new")
    workspace.open_workspace(root)
    assert copies(root)[NAME] == ["b", "a"]


def test_a_new_version_that_was_touched_is_never_overwritten_and_an_untouched_one_is_replaced(root):
    workspace.open_workspace(root)
    learner_writes(root, "mine")
    lesson(root, "new 1")
    workspace.open_workspace(root)
    lesson(root, "new 2")
    workspace.open_workspace(root)
    assert copies(root) == {NAME: ["mine"], "03_loss (new version).ipynb": ["new 2"]}
    learner_writes(root, "mine too", name="03_loss (new version).ipynb")
    lesson(root, "new 3")
    workspace.open_workspace(root)
    assert copies(root) == {
        NAME: ["mine"],
        "03_loss (new version).ipynb": ["mine too"],
        "03_loss (new version 2).ipynb": ["new 3"],
    }


def test_while_a_server_has_it_open_an_untouched_copy_waits(root):
    workspace.open_workspace(root)
    lesson(root, "new")
    assert workspace.open_workspace(root, replace=False) == []
    assert copies(root) == {NAME: ["old"]}
    workspace.open_workspace(root)
    assert copies(root) == {NAME: ["new"]}


def test_a_deleted_copy_comes_back_fresh(root):
    workspace.open_workspace(root)
    (root / "workspace" / NAME).unlink()
    (sentence,) = workspace.open_workspace(root)
    assert "missing" in sentence and copies(root) == {NAME: ["old"]}


@pytest.mark.parametrize("record", [None, "", "{", "[]", '{"03_loss.ipynb": 3}'])
def test_a_lost_or_damaged_note_overwrites_nothing(root, record):
    workspace.open_workspace(root)
    learner_writes(root, "mine")
    note = root / "workspace" / ".copied.json"
    note.unlink() if record is None else note.write_text(record, encoding="utf-8")
    (sentence,) = workspace.open_workspace(root)
    assert "was lost" in sentence
    assert copies(root) == {NAME: ["mine"]}
    assert workspace.open_workspace(root) == []
    lesson(root, "new")
    workspace.open_workspace(root)
    assert copies(root)[NAME] == ["mine"]


@pytest.mark.parametrize("rest", [b"", b'{"cells": [{"cell_type": "co', b"\xff\xfe\x00", b"[]"])
def test_a_copy_that_a_crash_cut_off_is_kept_and_replaced(root, rest):
    workspace.open_workspace(root)
    (root / "workspace" / NAME).write_bytes(rest)
    (sentence,) = workspace.open_workspace(root)
    (kept,) = (root / "workspace").glob("03_loss (damaged *).ipynb")
    assert kept.name in sentence and kept.read_bytes() == rest
    assert sources(root / "workspace" / NAME) == ["old"]


def test_a_copy_that_a_crash_cut_off_comes_back_from_jupyters_checkpoint(root):
    workspace.open_workspace(root)
    (root / "workspace" / NAME).write_bytes(b"{")
    (root / "workspace" / ".ipynb_checkpoints").mkdir()
    learner_writes(root, "mine", name=".ipynb_checkpoints/03_loss-checkpoint.ipynb")
    (sentence,) = workspace.open_workspace(root)
    assert "the last version that Jupyter had kept" in sentence
    assert sources(root / "workspace" / NAME) == ["mine"]


def test_a_lesson_that_cannot_be_read_leaves_the_copy_alone(root):
    workspace.open_workspace(root)
    (root / "lessons" / NAME).write_text("<<<<<<< a merge", encoding="utf-8")
    (sentence,) = workspace.open_workspace(root)
    assert "git checkout" in sentence and copies(root) == {NAME: ["old"]}


def test_a_workspace_that_takes_no_file_is_told_before_the_work_begins(root):
    """Also when there is nothing to copy."""
    workspace.open_workspace(root)
    mount = ["mount", "--bind", str(root / "workspace"), str(root / "workspace")]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a folder can be made read-only for root by root on Linux only")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(root / "workspace")], check=True)
        (sentence,) = workspace.open_workspace(root)
        assert "Read-only file system" in sentence and "nothing new is saved" in sentence
    finally:
        subprocess.run(["umount", str(root / "workspace")], check=True)


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("do", [workspace.open_workspace, lambda root: [workspace.reset(root, NAME)]])
def test_a_full_or_locked_disk_costs_a_sentence_and_harms_nothing(root, monkeypatch, trouble, do):
    workspace.open_workspace(root)
    lesson(root, "new")
    before = {path.name: path.read_bytes() for path in (root / "workspace").iterdir()}

    def refuse(descriptor):
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, "fsync", refuse)  # the disk says so when the bytes are to reach it
    (sentence,) = do(root)
    assert os.strerror(trouble) in sentence
    assert {path.name: path.read_bytes() for path in (root / "workspace").iterdir()} == before


def test_reset_keeps_the_old_file_under_a_dated_name_and_never_over_an_earlier_one(root):
    workspace.open_workspace(root)
    for mine in ("first", "second", "third"):
        learner_writes(root, mine)
        assert "03_loss (kept 20" in workspace.reset(root, NAME)
    found = copies(root)
    assert found.pop(NAME) == ["old"]
    assert sorted(found.values()) == [["first"], ["second"], ["third"]]
    assert workspace.open_workspace(root) == []


def test_a_reset_in_the_middle_of_another_one_loses_nothing(root, monkeypatch):
    """Just before the first moves the learner's copy to its dated name, a second process resets the lesson too."""
    workspace.open_workspace(root)
    learner_writes(root, "mine")
    move = os.replace
    code = f"from course_lib.command import workspace; print(workspace.reset({str(root)!r}, {NAME!r}))"

    def interrupted(source, target):
        if "(kept" in target.name:
            subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
        move(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    assert "kept as" in workspace.reset(root, NAME)
    found = copies(root)
    assert found.pop(NAME) == ["old"] and sorted(found.values()) == [["mine"], ["old"]]


def test_the_workspace_lies_beside_the_lessons_so_that_relative_links_resolve(root, monkeypatch, tmp_path):
    assert workspace.folder(root).parent == (root / "lessons").resolve().parent
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "elsewhere"))
    workspace.open_workspace(root)
    assert (tmp_path / "elsewhere" / NAME).exists()


def test_the_table_lists_every_exercise_with_its_state_and_the_totals(root):
    cells = [
        nbformat.v4.new_markdown_cell("### Exercise 3.1 · The loss · 6 minutes · difficulty ●●○"),
        nbformat.v4.new_code_cell('kd_loss = check("3.1", kd_loss)'),
        nbformat.v4.new_markdown_cell("### Exercise 3.2 · Its gradient · 6 minutes · difficulty ●●●"),
        nbformat.v4.new_code_cell('grad = check("3.2", grad)'),
        nbformat.v4.new_markdown_cell("### Exercise 3.3 · Mixing · 6 minutes · difficulty ●○○"),
        nbformat.v4.new_code_cell('mix = check("3.3", mix)'),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "lessons" / NAME)
    (root / "workspace" / ".progress").mkdir(parents=True)
    for number, state in (("3.1", "passed"), ("3.2", "tried")):
        (root / "workspace" / ".progress" / f"{number}.json").write_text(json.dumps({"state": state}))
    assert workspace.progress_table(root).splitlines() == [
        "03_loss: 1 of 3 passed",
        "  3.1   passed  The loss",
        "  3.2   tried   Its gradient",
        "  3.3   to do   Mixing",
        "All 3 exercises: 1 passed, 1 tried, 1 to do",
    ]


def test_the_table_counts_questions_beside_exercises(root):
    cells = [
        nbformat.v4.new_markdown_cell("### Exercise 3.1 · The loss · 6 minutes · difficulty ●●○"),
        nbformat.v4.new_code_cell('kd_loss = check("3.1", kd_loss)'),
        nbformat.v4.new_code_cell('quiz("""\n3.q1 Why T²?\n- so: No.\n* thus: Yes.\n""")'),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "lessons" / NAME)
    (root / "workspace" / ".progress").mkdir(parents=True)
    (root / "workspace" / ".progress" / "3.q1.json").write_text('{"state": "passed"}')
    assert workspace.progress_table(root).splitlines() == [
        "03_loss: 1 of 2 passed",
        "  3.1   to do   The loss",
        "  3.q1  passed  Why T²?",
        "All 1 exercises and 1 questions: 1 passed, 0 tried, 1 to do",
    ]


def test_the_table_needs_no_torch():
    code = "import sys; from course_lib.command import workspace; workspace.progress_table('.'); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.stdout == "False\n", run.stderr
