"""A question in a real JupyterLab, answered by keyboard alone. A picture is left in artefacts/browser/ (not kept by git)."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from course_lib.command.lab import SETTINGS
from tests.browser import in_a_browser, new_page, picture

ROOT = Path(__file__).resolve().parents[2]
RUN_ALL = """async () => {
    const app = window.jupyterapp; await app.restored;
    const page = app.shell.currentWidget; await page.context.ready; await page.sessionContext.ready;
    await app.commands.execute('notebook:run-all-cells');
}"""
CHOSEN = """() => {
    const page = window.jupyterapp.shell.currentWidget.content;
    page.activeCellIndex = 1; page.mode = 'command'; page.widgets[1].node.focus();
}"""
QUIZ = '''quiz("""
6.q1 What does a hint loss compare?
- logits: No. That is lesson 03.
* hidden layers: Yes. The student's is mapped to the teacher's width first.
- labels: No. It needs none.
""")'''

pytestmark = in_a_browser


@pytest.fixture
def address(tmp_path):
    """Where a JupyterLab of our own has a notebook with a question open."""
    cells = ["from course_lib.checks import quiz", QUIZ, "1 + 1"]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)])
    nb.cells[1].metadata["jupyter"] = {"source_hidden": True}  # as build_lessons.py does
    nb.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nb, tmp_path / "question.ipynb")
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    settings = {**os.environ, **{name: str(tmp_path / name) for name in own}, "PYTHONPATH": str(ROOT)}
    settings |= {"JUPYTER_CONFIG_PATH": str(SETTINGS), "COURSE_PROGRESS": str(tmp_path / "progress")}
    token = secrets.token_hex(16)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    options = f"--no-browser --allow-root --port={port} --ServerApp.port_retries=0 --IdentityProvider.token={token}"
    with open(tmp_path / "said", "w") as said:
        lab = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options.split(), "--expose-app-in-browser"],
            **dict(cwd=tmp_path, env=settings, stdout=said, stderr=subprocess.STDOUT, start_new_session=True),
        )
    try:
        while lab.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}")
                break
            except OSError:
                time.sleep(0.1)
        assert lab.poll() is None, (tmp_path / "said").read_text()
        yield f"http://127.0.0.1:{port}/lab/tree/question.ipynb?token={token}"
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait()


def test_a_question_is_answered_by_keyboard_alone_and_remembered(browser, address, tmp_path):
    page = new_page(browser, viewport={"width": 1100, "height": 800})
    page.goto(address)
    notebook = page.locator(".jp-NotebookPanel:visible")
    notebook.locator(".jp-CodeCell").first.wait_for()
    page.evaluate(RUN_ALL)
    buttons, line = notebook.locator("button.course-choice"), notebook.get_by_role("alert")
    expect(buttons).to_have_text(["logits", "hidden layers", "labels"])
    expect(notebook.get_by_role("status")).to_contain_text("Question 6.q1 · To do: choose an answer.")
    assert "Yes. The student" not in notebook.inner_text()  # the code, which holds the answer, is folded away

    page.evaluate(CHOSEN)  # the cell, as the arrow keys choose it
    page.keyboard.press("Tab")
    expect(buttons.nth(0)).to_be_focused()
    page.keyboard.press("Space")
    expect(line).to_have_text("△ Question 6.q1 · Not yet: logits. No. That is lesson 03.")
    page.keyboard.press("Tab")
    expect(buttons.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(line).to_contain_text("✓ Question 6.q1 · Passed: hidden layers. Yes. The student's is mapped")
    expect(buttons.nth(1)).to_be_focused()  # the page stays where it is, and no cell was added or changed
    assert page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length") == 3
    picture(page, "quiz")
    assert json.loads((tmp_path / "progress" / "6.q1.json").read_text(encoding="utf-8"))["state"] == "passed"
