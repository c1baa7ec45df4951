"""A learner of 0.1.0 opens the course under this version: nothing is lost, and old names work and say the new ones."""

import json

import nbformat
from playwright.sync_api import expect

from course_lib.command import workspace
from tests.browser import in_a_browser, picture
from tests.test_browser import ROOT, RUN_ALL, Evening, cell_with, evening

__all__ = ["evening"]  # the fixture
pytestmark = in_a_browser

KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
TOUCHED, UNTOUCHED = "03_distillation_loss.ipynb", "04_teacher_and_student.ipynb"
OLD = """from course_lib import exercises, losses, museum
from course_lib.cache import Cached
print(len(museum.LOSSES), "exhibits")"""  # as lessons of 0.1.0 had it


def of_0_1_0(folder):
    """The workspace as 0.1.0 left it: two copies of its lessons, one of them touched, and the note of what was copied."""
    folder.mkdir()
    noted = {}
    for name, mine in ((TOUCHED, ["# my own words"]), (UNTOUCHED, [])):
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate([OLD])]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / name)
        fingerprint = workspace._fingerprint(folder / name)
        noted[name] = {"offered": fingerprint, "files": {name: fingerprint}}
        cells += [nbformat.v4.new_code_cell(text, id=f"m{i}") for i, text in enumerate(mine)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / name)
    (folder / ".copied.json").write_text(json.dumps(noted))


def sources(path):
    return [cell.source for cell in nbformat.read(path, 4).cells]


def test_a_workspace_of_0_1_0_loses_nothing_and_an_old_name_says_the_new_one(evening: Evening, browser):
    place = evening.folder / "COURSE_WORKSPACE"
    of_0_1_0(place)
    page, notebook = evening.open(browser, evening.start("03"))
    said = (evening.folder / "said").read_text()
    assert f"{TOUCHED} has a new version. Yours is kept as it is" in said
    assert f"{UNTOUCHED} has a new version. You had changed nothing in yours, so it is the new one." in said

    cell = cell_with(notebook, "exhibits")
    page.evaluate(RUN_ALL)  # once the kernel is there
    told = cell.locator(".jp-OutputArea")
    expect(told).to_contain_text("exhibits")  # it works
    expect(told).to_contain_text("import it from course_lib.checks.museum")
    expect(told).to_contain_text("The old name works until version 0.3.0")
    assert "Traceback" not in told.inner_text() and "site-packages" not in told.inner_text()
    picture(page, "upgrade")

    assert sources(place / TOUCHED) == [OLD, "# my own words"]
    assert sources(place / "03_distillation_loss (new version).ipynb") == sources(ROOT / "lessons" / TOUCHED)
    assert sources(place / UNTOUCHED) == sources(ROOT / "lessons" / UNTOUCHED)
