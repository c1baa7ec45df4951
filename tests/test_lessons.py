"""The lessons as a learner meets them: unfilled and without a network, each with all its parts, as a page of its own."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jupytext
import nbformat
import pytest

from tests.browser import new_page

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
import build_lessons
import export_html
import lesson_seconds
import readme

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))
every_lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

# Written before lessons had questions, slides and a teacher's notes. One that has got them is taken off this list.
WITHOUT_QUESTIONS_SLIDES_AND_NOTES = ["00", "01", "02", "03", "04", "05", "11", "13"]


def cells(source, kind=None):
    return [cell for cell in jupytext.read(source).cells if kind in (None, cell.cell_type)]


def prose(source):
    return "\n\n".join(cell.source for cell in cells(source, "markdown"))


def solution(source):
    return nbformat.read(source.with_suffix(".ipynb"), 4)


def lesson(source):
    return nbformat.read(ROOT / "lessons" / f"{source.stem}.ipynb", 4)


def tagged(source, tag):
    return [cell for cell in cells(source) if tag in cell.metadata.get("tags", [])]


def about(source):
    """The header of a lesson."""
    return build_lessons.header(source)


def checks(source):
    return importlib.import_module(f"course_lib.checks.lesson_{source.stem[:2]}").EXERCISES


# ---- nothing filled in, no network ----

RUNNER = """
import fcntl, socket, struct, sys
import nbformat
from nbclient import NotebookClient

path, out, folder, alone = sys.argv[1:]
if alone == "alone":  # in a network of our own: switch loopback on, and prove that there is nothing else
    with socket.socket() as s:
        lo = fcntl.ioctl(s, 0x8913, struct.pack("16sh22x", b"lo", 0))  # SIOCGIFFLAGS
        flags = struct.unpack("16sh22x", lo)[1]
        fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        s.settimeout(5)
        try:
            s.connect(("192.0.2.1", 80))
            raise SystemExit("there is a network here")
        except OSError as error:
            assert error.errno == 101, error  # network is unreachable
nb = nbformat.read(path, 4)
NotebookClient(nb, timeout=None, startup_timeout=300, resources={"metadata": {"path": folder}}).execute()
nbformat.write(nb, out)
"""


def without_network():
    """The start of a command that runs in a network namespace of its own, or None where this system has none."""
    flags = ["-n"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["-r", "-n"]
    command = ["unshare", *flags]
    if sys.platform != "linux" or not shutil.which("unshare"):
        return None
    return command if subprocess.run([*command, "true"], capture_output=True).returncode == 0 else None


@every_lesson
def test_an_unfilled_lesson_runs_to_its_end_without_a_network_and_every_check_says_to_do(source, tmp_path):
    alone = without_network()
    settings = {
        **os.environ,
        "COURSE_DATA": str(tmp_path / "data"),  # nothing there
        "COURSE_PROGRESS": str(tmp_path / "progress"),
    }
    command = [sys.executable, "-c", RUNNER, ROOT / "lessons" / f"{source.stem}.ipynb", tmp_path / "out.ipynb"]
    command += [ROOT / "lessons", "alone" if alone else "not alone"]
    run = subprocess.run([*(alone or []), *command], env=settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    ran = nbformat.read(tmp_path / "out.ipynb", 4)
    checked = [cell for cell in ran.cells if "check" in cell.metadata.get("tags", [])]
    assert len(checked) == len(checks(source))
    for cell in checked:
        (output,) = cell.outputs
        assert output.data["text/plain"].startswith("○ Exercise ") and "· To do: " in output.data["text/plain"]
        assert 'role="status"' in output.data["text/html"]
    assert not (tmp_path / "progress").exists()  # what is to do is no try
    if not alone:
        pytest.skip("it ran to its end, but with a network: no network namespace can be made here")


# ---- the parts of a lesson ----


@every_lesson
def test_the_header_says_the_question_the_minutes_and_what_is_shown(source):
    said = about(source)
    assert set(said) - {"draft"} == {"question", "minutes", "cpu_seconds", "workshop", "shows"}
    assert said["question"].endswith("?") and 20 <= said["minutes"] <= 60 and len(said["shows"]) > 20
    assert 0 < said["cpu_seconds"] <= 120 and said["workshop"] in [*readme.WORKSHOPS, "further"]
    assert prose(source).startswith(f"# {source.stem[:2]} · ")
    assert f"{said['minutes']} minutes" in "\n".join(cell.source for cell in cells(source, "markdown")[:2])


@every_lesson
def test_what_is_no_draft_holds_nothing_that_is_still_to_do(source):
    """A draft, `draft: true` in its header, may have one exercise alone, and the sentences of the skeleton."""
    if not about(source).get("draft"):
        left = [n for n, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1) if "TODO" in line]
        assert not left, f"{source.name} is no draft and says TODO in lines {left}"


@every_lesson
def test_a_lesson_has_three_questions_slides_and_notes_for_whoever_teaches_it(source):
    asked = re.findall(r"^quiz\(", "\n".join(cell.source for cell in cells(source, "code")), re.M)
    has = len(asked) >= 3 and len(tagged(source, "slide")) >= 3 and len(tagged(source, "teacher")) >= 1
    if source.stem[:2] in WITHOUT_QUESTIONS_SLIDES_AND_NOTES:
        assert not has, "it has them all by now: take it off the list at the top"
    else:
        assert has, f"three questions ({len(asked)}), three slides, one cell of notes tagged teacher"


@every_lesson
def test_the_last_line_names_the_lesson_that_comes_next(source):
    assert prose(source).count(build_lessons.NEXT) == 1, "the line <!-- next --> at the end of Go further"
    after = SOURCES[SOURCES.index(source) + 1 :]
    for there in (lesson(source), solution(source)):
        said = [
            line
            for cell in there.cells
            for line in cell.source.splitlines()
            if re.match("Next: |This is the last", line)
        ]
        if after:
            number, name = after[0].stem[:2], after[0].stem
            assert said == [f"Next: [lesson {number}]({name}.ipynb). {about(after[0])['question']}"]
        else:
            assert said == ["This is the last lesson so far."]


@every_lesson
def test_each_exercise_has_its_heading_its_stub_its_check_and_its_hint(source):
    heading = r"^#+ Exercise (\d+\.\d+) · [^·\n]+ · (\d+) minutes? · difficulty ([●○]{3})$"
    headings = {number: rest for number, *rest in re.findall(heading, prose(source), re.M)}
    exercises = checks(source)
    few, many = (1, 7) if source.stem.startswith("00") or about(source).get("draft") else (4, 7)
    assert few <= len(exercises) <= many, (
        f"{few} to {many} exercises; 1 is enough in a draft (`draft: true` in the header)"
    )
    assert list(headings) == list(exercises), "a heading reads: ### Exercise 1.2 · name · 6 minutes · difficulty ●●○"
    for number, (minutes, difficulty) in headings.items():
        assert (int(minutes), difficulty.count("●")) == (exercises[number].minutes, exercises[number].difficulty), (
            number
        )
    there = lesson(source).cells
    for place, cell in enumerate(there):
        if "check" in cell.metadata.get("tags", []):
            name, number = re.match(r'(\w+) = check\("([\d.]+)"', cell.source).groups()
            stub = next(above.source for above in reversed(there[:place]) if above.cell_type == "code")
            assert f"def {name}(" in stub and '"""' in stub and "NotImplementedError" in stub, (
                f"above the check of {number}"
            )
    assert {n for n in exercises if f'# hint("{n}")' not in "\n".join(c.source for c in there)} == set()


@every_lesson
def test_a_lesson_predicts_shows_says_its_limits_and_goes_further(source):
    code = "\n".join(cell.source for cell in cells(source, "code"))
    assert re.search(r"^\w+ = .*# change me", code, re.M), "a prediction: my_guess = 0.50  # change me before you go on"
    assert re.search(r"\b(show|explore)\(", code), "a picture"
    assert re.search(r"What this cannot show", prose(source), re.I)
    further = re.split(r"Go further", prose(source), flags=re.I)
    assert len(further) > 1, "two tasks under Go further"
    assert any("nbval-check-output" in cell.metadata.get("tags", []) for cell in cells(source)), "a number that holds"


@every_lesson
def test_cells_are_of_a_size_that_reads_well(source):
    for cell in cells(source):
        if cell.cell_type == "markdown" and "Glossary" not in cell.source:
            assert len(re.findall(r"\w[\w'-]*", cell.source)) <= 120, cell.source
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 40, cell.source


@every_lesson
def test_at_most_one_comparison_is_the_primary_one(source):
    calls = [
        node
        for cell in cells(source, "code")
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "compare"
    ]
    primary = [call for call in calls if "exploratory" not in {keyword.arg for keyword in call.keywords}]
    assert len(primary) <= 1, [ast.unparse(call) for call in primary]
    if calls:
        assert re.search(r"primary", prose(source), re.I), "the primary comparison is named before it runs"


class Tags(HTMLParser):
    """Every start tag of a page, with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@every_lesson
def test_every_picture_has_an_alt_text_and_no_cell_shows_one_without(source):
    assert "![](" not in prose(source)
    assert "pyplot" not in source.read_text(encoding="utf-8"), "pictures come from plots.figure and show(fig, alt)"
    pictures = 0
    for cell in solution(source).cells:
        for output in cell.get("outputs", []):
            assert not [kind for kind in output.get("data", {}) if kind.startswith("image/")], cell.source
            for tag, attributes in Tags(output.get("data", {}).get("text/html", "")).found:
                if tag == "img":
                    pictures += 1
                    assert len(attributes.get("alt", "")) > 40, f"{cell.source}\n{attributes.get('alt')}"
    assert pictures


@every_lesson
def test_the_stored_solution_passed_everything_and_warned_of_nothing(source):
    for cell in solution(source).cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr", f"{cell.source}\n{output}"
        if "check" in cell.metadata.get("tags", []):
            assert "· Passed: " in cell.outputs[0].data["text/plain"]


@every_lesson
def test_every_link_leads_somewhere_from_the_lesson_and_from_the_solution(source):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(source)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        for folder in ("lessons", "solutions"):
            path = (ROOT / folder / name).resolve() if name else ROOT / folder / f"{source.stem}.ipynb"
            assert path.exists(), f"{target} from {folder}/"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", "\n".join(c.source for c in nbformat.read(path, 4).cells), re.M)
                assert anchor in [heading.strip().replace(" ", "-") for heading in headings], target


@every_lesson
def test_what_is_built_is_what_the_source_says(source):
    assert build_lessons.stale(source) == []


def test_every_lesson_was_timed_and_keeps_to_the_budget_in_its_header():
    """Recorded seconds, measured once by tools/build_lessons.py; a tenth more than the budget is what one run may vary by."""
    seconds = lesson_seconds.recorded(ROOT)["lessons"]
    missing = {source.stem[:2] for source in SOURCES} - {name[:2] for name in seconds}
    assert not missing, f"run: python tools/build_lessons.py {' '.join(sorted(missing))} --execute"
    assert set(seconds) == {source.stem for source in SOURCES}
    for source in SOURCES:
        assert seconds[source.stem] <= 1.1 * about(source)["cpu_seconds"], source.stem


# ---- the exported page ----


@pytest.mark.browser
@every_lesson
def test_the_exported_page_asks_no_other_host_and_shows_every_picture(source, browser, tmp_path):
    page_file = export_html.export(source.with_suffix(".ipynb"), tmp_path)
    page = new_page(browser)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri(), wait_until="load")
    elsewhere = [url for url in asked if not url.startswith(("file://", "data:", "blob:"))]
    pictures = page.locator("img").evaluate_all("all => all.map(i => [i.naturalWidth > 0, i.alt])")
    formulas = page.locator("math").evaluate_all("all => all.map(m => m.querySelectorAll('mi, mn').length)")
    text = page.locator("body").inner_text()
    page.close()
    assert elsewhere == []
    stored = sum(page.count("<img") for page in export_html.pages(solution(source)))
    assert len(pictures) >= stored > 0 and all(drawn and alt for drawn, alt in pictures)
    assert all(formulas) and (formulas or "$" not in prose(source))
    assert not re.search(r"\$[^$\n]*\\[a-z]+", text), "a formula that was left as TeX"


# ---- without Jupyter ----

BARE = """
import runpy, sys
for name in ("IPython", "ipywidgets", "ipykernel", "jupyterlab", "accelerate"):
    sys.modules[name] = None  # an import of it fails
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_lesson_05_runs_as_a_script_where_jupyter_and_accelerate_are_not_installed(tmp_path):
    (source,) = [source for source in SOURCES if source.stem.startswith("05")]
    settings = {**os.environ, "COURSE_DATA": str(tmp_path), "COURSE_PROGRESS": str(tmp_path / "progress")}
    (tmp_path / "accelerate.py").write_text(
        "raise ImportError('none here')"
    )  # nor do processes that the lesson starts have it
    settings["PYTHONPATH"] = str(tmp_path)
    run = subprocess.run([sys.executable, "-c", BARE, source], cwd=ROOT, env=settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("✓ Exercise 5.") == len(checks(source))
    assert "Pictures per second by rung. here" in run.stdout
    assert "2 processes did not end well" in run.stdout and "pip install accelerate" in run.stdout
