"""Build both notebooks of a lesson from its one source.

python tools/build_lessons.py              build what is stale
python tools/build_lessons.py --execute    build, and run the solutions so that their outputs are stored;
                                           results/lesson_seconds.json then says how long each took, and where
python tools/build_lessons.py --check      exit 1 and name what is stale
A number (or several) as an argument does it for these lessons only; the lesson before is built too, for its last line
says which lesson comes next.

solutions/NN_name.py    the source, jupytext percent format, the only file that is edited
solutions/NN_name.ipynb everything, executed
lessons/NN_name.ipynb   `# BEGIN SOLUTION ... # END SOLUTION` becomes a stub; the code of a quiz, which holds its answer,
                        is folded away; cells tagged solution-only or teacher are left out

Cells tagged slide are shown in a talk, and those tagged teacher are its speaker's notes; the rest is skipped there:
jupyter nbconvert --to slides --no-input solutions/NN_name.ipynb. <!-- next --> becomes the link to the next lesson.
"""

import argparse
import copy
import re
import sys
import time
from pathlib import Path

import lesson_seconds
import nbformat
from lesson_source import header, read, tags
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
REGION = re.compile(r"^([ \t]+)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION$", re.M | re.S)
MARK = re.compile(r"^[ \t]*# (BEGIN|END) SOLUTION\n?", re.M)
STUB = r'\1# TODO: your code here\n\1raise NotImplementedError("not written yet")'
NEXT = "<!-- next -->"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS_PER_CELL = 600


# ---- from the source to the notebooks ----


def solution(source):
    """The solved notebook, without outputs; with what a talk shows of it, where the source has slides."""
    cells = read(source)
    talk = any("slide" in tags(cell) for cell in cells)
    for cell in cells:
        cell.source = _with_next(source, MARK.sub("", cell.source).rstrip("\n"))
        if talk:
            kind = "slide" if "slide" in tags(cell) else "notes" if "teacher" in tags(cell) else "skip"
            cell.metadata["slideshow"] = {"slide_type": kind}
    return _notebook(cells)


def lesson(source):
    """The learner's notebook: stubs for solutions, questions folded away, no notes for whoever teaches."""
    cells = [cell for cell in read(source) if not {"solution-only", "teacher"} & set(tags(cell))]
    for cell in cells:
        cell.source = _with_next(source, REGION.sub(STUB, cell.source))
        if cell.cell_type == "code" and cell.source.startswith("quiz("):
            cell.metadata["jupyter"] = {"source_hidden": True}
    return _notebook(cells)


def sources():
    """The sources of all lessons, in their order."""
    return sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))


def _with_next(source, text):
    """The text with <!-- next --> replaced by the link to the next lesson and its question."""
    if NEXT not in text:
        return text
    after = [other for other in sources() if other.stem > source.stem]
    if not after:
        return text.replace(NEXT, "This is the last lesson so far.")
    link = f"[lesson {after[0].stem[:2]}]({after[0].stem}.ipynb)"
    return text.replace(NEXT, f"Next: {link}. {header(after[0])['question']}")


def _notebook(cells):
    return nbformat.v4.new_notebook(metadata=nbformat.from_dict(copy.deepcopy(METADATA)), cells=cells)


def keep_outputs(new, path):
    """Give every unchanged cell the outputs that are stored on disk."""
    old = {cell.id: cell for cell in stored(path).cells if cell.cell_type == "code"}
    for cell in new.cells:
        if cell.cell_type == "code" and cell.id in old:
            cell.outputs, cell.execution_count = old[cell.id].outputs, old[cell.id].execution_count


def stored(path):
    """The notebook on disk; an empty one where there is none, or where it cannot be read."""
    try:
        return nbformat.read(path, 4)
    except (OSError, ValueError):
        return _notebook([])


def write(nb, path):
    """Write the notebook, and say so."""
    nbformat.validate(nb)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote {path.parent.name}/{path.name}", flush=True)


def skeleton(nb):
    """What --check compares: never a picture, never a number."""
    return nb.metadata, [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in nb.cells]


def stale(source):
    """["lessons/03_x.ipynb differs ...", ...]: what --check has to say about one lesson."""
    found = []
    for folder, make in (("lessons", lesson), ("solutions", solution)):
        path = ROOT / folder / f"{source.stem}.ipynb"
        there, code = stored(path), [cell for cell in stored(path).cells if cell.cell_type == "code"]
        if skeleton(there) != skeleton(make(source)):
            found.append(f"{folder}/{path.name} differs from its source (python tools/build_lessons.py)")
        elif folder == "lessons" and any(cell.outputs or cell.execution_count for cell in code):
            found.append(f"{folder}/{path.name} has outputs, and a lesson has none (python tools/build_lessons.py)")
        elif folder == "solutions" and not all(cell.execution_count for cell in code):
            found.append(f"{folder}/{path.name} is not executed (python tools/build_lessons.py --execute)")
        elif any(output.output_type == "error" for cell in code for output in cell.outputs):
            found.append(f"{folder}/{path.name} holds an error (python tools/build_lessons.py --execute)")
    return found


# ---- running the solutions ----


def execute(nb, path):
    """Run the notebook in its folder, in place; returns the seconds, or raises SystemExit with one readable line."""
    start = time.perf_counter()
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        nb,
        timeout=SECONDS_PER_CELL,
        startup_timeout=SECONDS_PER_CELL,
        store_widget_state=False,
        record_timing=False,
        resources=place,
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise SystemExit(f"solutions/{path.name}: {_failure(nb, error)}") from None
    tidy(nb)
    return time.perf_counter() - start


def _failure(nb, error):
    """ "cell 12, `loss = ...`: ValueError: ..." """
    for number, cell in enumerate(nb.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                words = f"{output.ename}: {output.evalue}".splitlines()[0]
                line = re.search(r"line (\d+)", "\n".join(output.traceback))
                first = cell.source.strip().splitlines()[0]
                return f"cell {number} (`{first}`{f', line {line[1]}' if line else ''}) raised {words}"
    number = sum(1 for cell in nb.cells if cell.get("execution_count"))
    return f"after {number} code cells: {str(error).strip().splitlines()[0]}"


def tidy(nb):
    """Drop what differs from run to run and what no reader sees: live widgets, timings, half-drawn progress lines."""
    nb.metadata = nbformat.from_dict(copy.deepcopy(METADATA))
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):  # the still picture stands for the widget, which is gone
                output.data.pop("application/vnd.jupyter.widget-view+json", None)
            if output.output_type == "stream":
                output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)


def main(arguments=None):
    """Do what the arguments ask; returns 1 where something is wrong or stale, and says what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--execute", action="store_true", help="run the solutions too")
    parser.add_argument("--check", action="store_true", help="change nothing; name what is stale")
    parser.add_argument("numbers", nargs="*", help="only these lessons: 03")
    options = parser.parse_args(arguments)
    every = sources()
    asked = [source for source in every if not options.numbers or source.stem[:2] in options.numbers]
    if missing := set(options.numbers) - {source.stem[:2] for source in asked}:
        sys.exit(f"there is no source solutions/{min(missing)}_*.py")
    before = [one for one, other in zip(every, every[1:], strict=False) if other in asked and one not in asked]
    problems, seconds = [], {}
    for source in asked if options.check else sorted(asked + before):
        try:
            if options.check:
                problems += stale(source)
            else:
                build(source, seconds, run=options.execute and source in asked)
        except SystemExit as problem:
            problems.append(str(problem))
    names = [source.stem for source in every]
    if not options.numbers:
        built = {f"{name}.ipynb" for name in names}
        strays = [p for folder in ("lessons", "solutions") for p in sorted((ROOT / folder).glob("*.ipynb"))]
        problems += [f"{p.parent.name}/{p.name} has no source; remove it" for p in strays if p.name not in built]
        if not options.check:
            lesson_seconds.forget_the_removed(ROOT, names)
    if seconds and not problems:
        lesson_seconds.record(ROOT, seconds, names)
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


def build(source, seconds, run=False):
    """Write both notebooks of a lesson where they changed; run=True runs the solution, for its outputs and seconds."""
    for folder, make in (("lessons", lesson), ("solutions", solution)):
        path = ROOT / folder / f"{source.stem}.ipynb"
        nb = make(source)
        if folder == "solutions":
            keep_outputs(nb, path)
            if run:
                seconds[source.stem] = execute(nb, path)
                print(f"{path.name} ran in {seconds[source.stem]:.1f} s", flush=True)
        if nb != stored(path):
            write(nb, path)


if __name__ == "__main__":
    sys.exit(main())
