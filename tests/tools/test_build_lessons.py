"""One source, two notebooks: what is left out, what keeps its id and its output, and what --check says."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert import SlidesExporter

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import build_lessons
import lesson_seconds

SOURCE = """\
# ---
# jupyter:
#   course:
#     question: Why?
# ---

# %% [markdown]
# # 07 · A tiny lesson

# %% tags=["solution-only"]
strict = True

# %% [markdown]
# ### Exercise 7.1 · Twice · 1 minute · difficulty ●○○

# %%
def twice(x):
    \"\"\"x: (B,) -> (B,)\"\"\"
    # BEGIN SOLUTION
    two = 2
    return two * x
    # END SOLUTION

# %% tags=["check"]
twice = check("7.1", twice)
"""
CHECKED = SOURCE.replace('twice = check("7.1", twice)', 'check = lambda number, f: f\ntwice = check("7.1", twice)')


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "solutions").mkdir()
    monkeypatch.setattr(build_lessons, "ROOT", tmp_path)
    monkeypatch.setattr(lesson_seconds, "measure", lambda: {"calibration": 1000.0, "date": "2026-01-01"})
    return tmp_path


def put(root, text, name="07_tiny"):
    path = root / "solutions" / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


def notebook(root, folder, name="07_tiny"):
    return nbformat.read(root / folder / f"{name}.ipynb", 4)


def test_a_lesson_has_stubs_for_solutions_and_a_solution_has_no_marks(root):
    put(root, SOURCE)
    assert build_lessons.main([]) == 0
    lesson, solution = notebook(root, "lessons"), notebook(root, "solutions")
    assert [cell.source for cell in lesson.cells][2] == (
        'def twice(x):\n    """x: (B,) -> (B,)"""\n    # TODO: your code here\n'
        '    raise NotImplementedError("not written yet")'
    )
    assert [cell.source for cell in solution.cells][3] == (
        'def twice(x):\n    """x: (B,) -> (B,)"""\n    two = 2\n    return two * x'
    )
    assert "strict" not in str(lesson) and "strict" in str(solution)
    assert {cell.id for cell in lesson.cells} < {cell.id for cell in solution.cells}
    assert lesson.cells[3].metadata == {"tags": ["check"]} and set(lesson.metadata) == {"kernelspec", "language_info"}


def test_building_twice_writes_nothing_the_second_time(root, capsys):
    put(root, SOURCE)
    build_lessons.main([])
    capsys.readouterr()
    build_lessons.main([])
    assert capsys.readouterr().out == ""


def test_an_inserted_cell_moves_no_other_id_and_takes_no_other_output(root):
    put(root, SOURCE)
    build_lessons.main([])
    before = notebook(root, "solutions")
    for number, cell in enumerate(cell for cell in before.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
        cell.outputs = [nbformat.v4.new_output("stream", text=cell.source)]
    nbformat.write(before, root / "solutions" / "07_tiny.ipynb")
    put(root, SOURCE.replace("# %% [markdown]\n# ### Ex", "# %%\nnew = 1\n\n# %% [markdown]\n# ### Ex"))
    build_lessons.main([])
    after = notebook(root, "solutions")
    assert [cell.id for cell in after.cells if cell.source != "new = 1"] == [cell.id for cell in before.cells]
    for cell in after.cells:
        if cell.cell_type == "code":
            assert [output.text for output in cell.outputs] == ([] if cell.source == "new = 1" else [cell.source])


def test_two_equal_cells_have_two_ids(root):
    put(root, SOURCE + "\n# %%\nx = 1\n\n# %%\nx = 1\n")
    build_lessons.main([])
    ids = [cell.id for cell in notebook(root, "lessons").cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "old, new, line, part",
    [
        ("    # END SOLUTION\n", "", 19, "not closed in its cell"),
        ("    # BEGIN SOLUTION\n", "", 21, "closed that was never opened"),
        ("    two = 2\n", "    # BEGIN SOLUTION\n", 20, "open already"),
        ("    # BEGIN SOLUTION", "# BEGIN SOLUTION", 19, "inside a function"),
        ("    # BEGIN SOLUTION", "    #BEGIN SOLUTION", 19, "expected an indented"),
        ("    # BEGIN SOLUTION", "    # begin solution", 19, "expected an indented"),
        ('# %% tags=["check"]', "# %%", 25, "is tagged"),
        ('# %% tags=["check"]', '# %% [markdown] tags=["check"]', 24, "must be a code cell"),
        ('check("7.1", twice)', 'check("7.1", thrice)', 25, "a check reads"),
        ('check("7.1", twice)', 'check("8.1", twice)', 25, "a check reads"),
    ],
)
def test_a_mistake_in_a_source_is_named_with_its_file_and_line(root, capsys, old, new, line, part):
    assert old in SOURCE
    put(root, SOURCE.replace(old, new))
    assert build_lessons.main([]) == 1
    assert any(
        said.startswith(f"solutions/07_tiny.py:{line}: ") and part in said
        for said in capsys.readouterr().err.splitlines()
    )
    assert not (root / "lessons").exists()


def test_check_is_quiet_after_an_execution_and_names_what_is_stale(root, capsys):
    put(root, CHECKED)
    build_lessons.main(["--check"])
    assert "lessons/07_tiny.ipynb differs from its source" in capsys.readouterr().err
    build_lessons.main([])
    assert build_lessons.main(["--check"]) == 1
    assert "solutions/07_tiny.ipynb is not executed" in capsys.readouterr().err
    assert build_lessons.main(["--execute", "07"]) == 0
    assert build_lessons.main(["--check"]) == 0

    solution = root / "solutions" / "07_tiny.ipynb"
    text = solution.read_text(encoding="utf-8")
    solution.write_text(
        text.replace('"outputs": []', '"outputs": [{"name": "stdout", "output_type": "stream", "text": "3"}]')
    )
    assert build_lessons.main(["--check"]) == 0  # an output is never compared
    solution.write_text(text.replace("two = 2", "two = 3"))
    capsys.readouterr()
    assert build_lessons.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("solutions/07_tiny.ipynb differs from its source")
    solution.write_text(text.replace('"check"', '"chess"'))
    assert build_lessons.main(["--check"]) == 1
    solution.write_text(text[:100])  # cut off
    assert build_lessons.main(["--check"]) == 1


def test_a_notebook_without_a_source_is_named(root, capsys):
    put(root, CHECKED)
    build_lessons.main([])
    put(root, CHECKED, name="07_tidy")
    (root / "solutions" / "07_tiny.py").unlink()
    build_lessons.main([])
    assert "lessons/07_tiny.ipynb has no source" in capsys.readouterr().err


def test_execution_stores_counts_and_still_pictures_and_no_trace_of_time_or_widgets(root):
    cells = """
# %%
from IPython.display import display
import ipywidgets
display({**ipywidgets.IntSlider()._repr_mimebundle_(), "text/html": "<p>still</p>"}, raw=True)

# %%
print("10%\\r50%\\rdone in 3 s")
"""
    put(root, CHECKED + cells)
    assert build_lessons.main(["--execute", "07"]) == 0
    nb = notebook(root, "solutions")
    assert [cell.execution_count for cell in nb.cells if cell.cell_type == "code"] == [1, 2, 3, 4, 5]
    assert nb.cells[-1].outputs[0].text == "done in 3 s\n"
    assert set(nb.cells[-2].outputs[0].data) == {"text/plain", "text/html"}
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in nb.cells)


def test_a_failing_cell_is_named_in_one_line_and_nothing_is_written(root, capsys):
    put(root, CHECKED + "\n# %%\nx = 1\nx / 0\n")
    assert build_lessons.main(["--execute"]) == 1
    said = capsys.readouterr().err.strip()
    assert said == "solutions/07_tiny.ipynb: cell 6 (`x = 1`, line 2) raised ZeroDivisionError: division by zero"
    assert not (root / "solutions" / "07_tiny.ipynb").exists() and not (root / "results").exists()


# ---- the next lesson, questions, a talk ----


def test_the_last_line_leads_to_the_next_lesson_and_asks_its_question(root):
    put(root, SOURCE + "\n# %% [markdown]\n# <!-- next -->\n")
    put(root, SOURCE.replace("Why?", "And then?").replace("7.1", "9.1"), name="09_next")
    build_lessons.main([])
    for folder in ("lessons", "solutions"):
        assert notebook(root, folder).cells[-1].source == "Next: [lesson 09](09_next.ipynb). And then?"
    (root / "solutions" / "09_next.py").unlink()
    build_lessons.main([])
    assert notebook(root, "lessons").cells[-1].source == "This is the last lesson so far."


def test_building_a_new_lesson_builds_the_link_of_the_one_before_and_runs_it_not(root):
    put(root, SOURCE + "\n# %% [markdown]\n# <!-- next -->\n\n# %%\n1 / 0\n")
    build_lessons.main([])
    put(root, CHECKED.replace("7.1", "8.1"), name="08_new")
    assert build_lessons.main(["--execute", "08"]) == 0
    assert [cell.source for cell in notebook(root, "solutions").cells][-2].startswith("Next: [lesson 08]")
    assert list(json.loads((root / "results" / "lesson_seconds.json").read_text())["lessons"]) == ["08_new"]


QUIZ = '''
# %%
quiz("""
7.q1 Why?
- so: No.
* thus: Yes.
""")
'''


def test_the_code_of_a_question_is_folded_away_in_the_lesson_for_it_holds_the_answer(root):
    put(root, SOURCE + QUIZ)
    build_lessons.main([])
    assert notebook(root, "lessons").cells[-1].metadata == {"jupyter": {"source_hidden": True}}
    assert notebook(root, "solutions").cells[-1].metadata == {}


@pytest.mark.parametrize(
    "old, new, line, part",
    [
        ("* thus: Yes.", "- thus: Yes.", 30, "starts with `* `; here none do"),
        ("- so: No.", "- so No.", 30, "a choice reads"),
        ("7.q1", "7.q2", 28, "question 1 of this lesson has the number 7.q1, not 7.q2"),
        ("7.q1", "8.q1", 28, "has the number 7.q1, not 8.q1"),
        ("7.q1 ", "", 29, "a question starts with its number"),
        ('""")', '""" + rest)', 28, "a question reads `quiz("),
        ('""")', '""", 3)', 28, "a question reads `quiz("),
        ("# %%\nquiz", "# %%\nx = 1\nquiz", 29, "a cell of its own"),
        ('""")', '""")\nx = 1', 28, "a cell of its own"),
        ('""")', '"""', 28, "this is not Python"),
    ],
)
def test_a_slip_in_a_question_is_named_with_its_file_and_line(root, capsys, old, new, line, part):
    assert old in QUIZ
    put(root, SOURCE + QUIZ.replace(old, new))
    assert build_lessons.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"solutions/07_tiny.py:{line}: ") and part in said


TALK = """
# %% [markdown] tags=["slide"]
# The idea

# %% [markdown] tags=["teacher"]
# Ask them first.

# %% tags=["slide", "nbval-check-output"]
print("a number")
"""


def test_a_teachers_notes_are_left_out_of_the_lesson_and_a_talk_shows_the_slides_alone(root):
    put(root, SOURCE + TALK)
    build_lessons.main([])
    assert "Ask them first" not in str(notebook(root, "lessons"))
    assert "slideshow" not in str(notebook(root, "lessons"))
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in notebook(root, "solutions").cells]
    assert kinds == ["skip"] * 5 + ["slide", "notes", "slide"]
    page, _ = SlidesExporter().from_notebook_node(notebook(root, "solutions"))
    shown = page.partition('<div class="slides">')[2]
    assert "The idea" in shown and "a number" in shown and "A tiny lesson" not in shown
    assert shown.index("<aside") < shown.index("Ask them first") < shown.index("</aside>")


def test_without_slides_a_lesson_keeps_its_metadata_as_it_was(root):
    put(root, SOURCE + TALK.replace('"slide"', '"other"'))
    build_lessons.main([])
    assert "slideshow" not in str(notebook(root, "solutions"))
