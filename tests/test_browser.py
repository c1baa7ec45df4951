"""A learner's first evening, in a real browser: `make lab`, lesson 01, a wrong answer, a right one, the slider, tomorrow.

Pictures of every station are left in artefacts/browser/ (not kept by git).
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import expect

from tests.browser import in_a_browser, new_page, picture
from tests.waiting import HANG, until

ROOT = Path(__file__).resolve().parent.parent
LESSON = "01_softmax_and_temperature.ipynb"
RUN_ALL = """async () => {
    const app = window.jupyterapp; await app.restored;
    const page = app.shell.currentWidget; await page.context.ready; await page.sessionContext.ready;
    await app.commands.execute('notebook:run-all-cells');
}"""
WRONG = """def softmax(logits, T=1.0):
    e = (logits / T).exp()
    return e / e.sum(dim=-1, keepdim=True)"""
RIGHT = """def softmax(logits, T=1.0):
    # my own words
    z = logits / T
    e = (z - z.amax(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)"""

pytestmark = [
    *in_a_browser,
    pytest.mark.skipif(shutil.which("make") is None, reason="no make here"),
]


class Evening:
    """`make lab` in a terminal, with a workspace of its own, and a browser that counts what it asks for and of whom."""

    def __init__(self, folder):
        self.folder, self.token, self.hosts = folder, secrets.token_hex(16), set()
        own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "COURSE_WORKSPACE")
        self.settings = {**os.environ, **{name: str(folder / name) for name in own}, "PYTHON": sys.executable}
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            self.port = door.getsockname()[1]

    def start(self, lesson="01"):
        """Type `make lab LESSON=01`; returns the address that it prints."""
        options = f"--no-browser --port={self.port} --IdentityProvider.token={self.token} --expose-app-in-browser"
        said = self.folder / "said"
        with open(said, "w") as file:
            self.lab = subprocess.Popen(
                ["make", "lab", f"LESSON={lesson}", f"ARGS={options}"],
                **dict(cwd=ROOT, env=self.settings, stdout=file, stderr=subprocess.STDOUT, start_new_session=True),
            )
        try:
            return until(lambda: re.search(r"http://\S+", said.read_text()), lambda: self.lab.poll() is None).group()
        except AssertionError:
            pytest.fail(f"make lab printed no address:\n{said.read_text()}")

    def stop(self):
        """Ctrl-C, as a terminal sends it: to everything that runs in it."""
        if self.lab.poll() is None:
            os.killpg(self.lab.pid, signal.SIGINT)
            self.lab.wait(HANG)

    def open(self, browser, address):
        page = new_page(browser, viewport={"width": 1250, "height": 1100})
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))
        page.goto(address)
        notebook = page.locator(".jp-NotebookPanel:visible")
        notebook.locator(".jp-CodeCell").first.wait_for()
        return page, notebook


@pytest.fixture
def evening(tmp_path):
    evening = Evening(tmp_path)
    yield evening
    evening.stop()


def cell_with(notebook, text):
    """The code cell whose source holds this text; scrolled to, since JupyterLab draws a cell when it comes into sight."""
    cell = notebook.locator(".jp-CodeCell", has_text=text).first
    cell.scroll_into_view_if_needed()
    return cell


def answer(page, notebook, text):
    """Type an answer to exercise 1.1, run it, run its check; the line that the check says."""
    editor = cell_with(notebook, "def softmax").locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    page.keyboard.press("Shift+Enter")
    check = cell_with(notebook, 'check("1.1", softmax)')
    check.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    return check.locator('[role="status"]')


def stored(evening):
    """What the learner's file holds; "" in the moment in which JupyterLab writes it."""
    try:
        cells = json.loads((evening.folder / "COURSE_WORKSPACE" / LESSON).read_text(encoding="utf-8"))["cells"]
    except json.JSONDecodeError:
        return ""
    return "\n".join("".join(cell["source"]) for cell in cells)


def test_a_learners_first_evening(evening, browser):
    page, notebook = evening.open(browser, evening.start())
    picture(page, "1_opened")

    # Run everything, with nothing filled in: every check says "To do", and the page reaches its end.
    page.evaluate(RUN_ALL)
    lines = [cell for cell in state(page) if cell["check"]]
    assert len(lines) >= 4 and all("To do" in cell["text"] for cell in lines), lines
    assert not [cell for cell in state(page) if cell["error"]]

    # A wrong answer gets its own message, a right one passes.
    said = answer(page, notebook, WRONG)
    expect(said).to_contain_text("Not yet")
    expect(said).to_contain_text("larger than any float32")
    picture(page, "2_not_yet")
    expect(answer(page, notebook, RIGHT)).to_contain_text("Passed")
    picture(page, "3_passed")

    # The temperature, by keyboard and by mouse; the new value is read from the picture's alt text.
    live = cell_with(notebook, 'slider("temperature T"')
    knob, image = live.locator(".noUi-handle").first, live.locator(".widget-html img")
    expect(image).to_have_attribute("alt", re.compile(r"T = 1\.0\b"))
    knob.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(image).to_have_attribute("alt", re.compile(r"T = 1\.5\b"))
    expect(image).to_have_attribute("alt", re.compile(r"Ranking: cat > dog > fox > car"))
    box = knob.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + box["height"] / 2, steps=10)
    page.mouse.up()
    shown = live.locator(".widget-readout").first.inner_text()
    assert float(shown) > 1.6
    expect(image).to_have_attribute("alt", re.compile(rf"T = {float(shown):.1f}\b"))
    expect(image).to_have_attribute("alt", re.compile(r"Ranking: cat > dog > fox > car"))
    picture(page, "4_slider")

    # Nobody presses save: it is saved. Then the evening ends with Ctrl-C.
    until(lambda: "my own words" in stored(evening), rest=lambda: page.wait_for_timeout(500))
    page.close()
    evening.stop()

    # Tomorrow: the work is there, and so is the progress; and the check is passed again without typing.
    page, notebook = evening.open(browser, evening.start())
    expect(cell_with(notebook, "def softmax").locator(".cm-content")).to_contain_text("my own words")
    picture(page, "5_tomorrow")
    page.evaluate(RUN_ALL)
    said = {cell["check"]: cell["text"] for cell in state(page) if cell["check"]}
    assert "Passed" in said["1.1"] and "To do" in said["1.2"]
    told = subprocess.run(
        [sys.executable, "-m", "course_lib", "progress"], cwd=ROOT, env=evening.settings, capture_output=True, text=True
    )
    assert told.returncode == 0 and re.search(r"1\.1\b.*passed", told.stdout), told.stdout + told.stderr
    assert re.search(r"1\.2\b.*to do", told.stdout), told.stdout
    assert evening.hosts <= {"localhost", "127.0.0.1"}, evening.hosts  # no request to another host


def state(page):
    """What every code cell of the open notebook shows, read from its model: cells out of sight count too."""
    return page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.widgets
        .filter(cell => cell.model.type === 'code').map(cell => {
            const outputs = cell.model.toJSON().outputs, source = cell.model.toJSON().source;
            const number = String(source).match(/= check\\("(\\d+\\.\\d+)"/);
            return {check: number && number[1], error: outputs.some(o => o.output_type === 'error'),
                    text: outputs.map(o => o.data ? String(o.data['text/plain']) : '').join('')};
        })""")
