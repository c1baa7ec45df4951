"""Build both notebooks of a lesson from its one source.

python tools/build_lessons.py              build what is stale
python tools/build_lessons.py --execute    build, and run the solutions so that their outputs are stored; when all of
                                           them ran, results/lesson_seconds.json says how long each took, and where
python tools/build_lessons.py --check      exit 1 and name what is stale
A number (or several) as an argument does it for these lessons only.

solutions/NN_name.py    the source, jupytext percent format, the only file that is edited
solutions/NN_name.ipynb everything, executed
lessons/NN_name.ipynb   `# BEGIN SOLUTION ... # END SOLUTION` becomes a stub; cells tagged solution-only are left out
"""

import argparse
import copy
import hashlib
import json
import os
import platform
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
REGION = re.compile(r"^([ \t]+)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION$", re.M | re.S)
MARK = re.compile(r"^[ \t]*# (BEGIN|END) SOLUTION\n?", re.M)
LIKE_MARK = re.compile(r"^\s*#+\s*(begin|end)\s+solution\b", re.I)
STUB = r'\1# TODO: your code here\n\1raise NotImplementedError("not written yet")'
CHECK = re.compile(r'(\w+) = check\("(\d+)\.\d+", \1\)')
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS_PER_CELL = 600


# ---- from the source to the notebooks ----


def read(source):
    """The cells of a source, each with an id made from its text, so that inserting a cell moves no other id."""
    mistakes = _mistakes(source)
    if mistakes:
        raise SystemExit("\n".join(mistakes))
    cells, seen = [], {}
    for cell in jupytext.read(source).cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{source.stem[:2]}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key == "tags"})
        cells.append(cell)
    return cells


def _mistakes(source):
    """["solutions/03_x.py:12: ..."], what a source must not hold, each with its line."""
    found, opened, kind, tags = [], None, "code", ""

    def wrong(number, sentence):
        found.append(f"{source.parent.name}/{source.name}:{number}: {sentence}")

    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# %%"):
            if opened:
                wrong(opened, "this SOLUTION region is not closed in its cell")
            opened, kind, tags = None, "markdown" if "[markdown]" in line else "code", line
            if '"check"' in tags and kind != "code":
                wrong(number, "a cell tagged check must be a code cell")
        elif LIKE_MARK.match(line):
            if not re.fullmatch(r"[ \t]+# (BEGIN|END) SOLUTION", line):
                wrong(number, "expected an indented `# BEGIN SOLUTION` or `# END SOLUTION`, inside a function")
            elif ("BEGIN" in line) == bool(opened):
                wrong(number, f"a SOLUTION region {'is open already' if opened else 'is closed that was never opened'}")
            opened = number if "BEGIN" in line else None
        elif kind == "code" and re.match(r"(\w+ = )?check\(", line):
            match = CHECK.fullmatch(line)
            if not match or int(match[2]) != int(source.stem[:2]):
                wrong(number, f'a check reads `name = check("{int(source.stem[:2])}.1", name)`')
            if '"check"' not in tags:
                wrong(number, 'the cell of a check is tagged: # %% tags=["check"]')
    if opened:
        wrong(opened, "this SOLUTION region is not closed in its cell")
    return found


def solution(source):
    cells = read(source)
    for cell in cells:
        cell.source = MARK.sub("", cell.source).rstrip("\n")
    return _notebook(cells)


def lesson(source):
    cells = [cell for cell in read(source) if "solution-only" not in cell.metadata.get("tags", [])]
    for cell in cells:
        cell.source = REGION.sub(STUB, cell.source)
    return _notebook(cells)


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
    nbformat.validate(nb)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote {path.parent.name}/{path.name}", flush=True)


def skeleton(nb):
    """What --check compares: never a picture, never a number."""
    cells = [(cell.id, cell.cell_type, cell.source, list(cell.metadata.get("tags", []))) for cell in nb.cells]
    return nb.metadata, cells


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
        nb, timeout=SECONDS_PER_CELL, store_widget_state=False, record_timing=False, resources=place
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


def record(seconds):
    """Write results/lesson_seconds.json: how long each solution took, on which machine."""
    import torch

    from course_lib.machine import calibrate

    facts = {
        "what": "seconds that each executed solution took, with starting and stopping its kernel",
        "calibration": round(calibrate(), 1),
        "lessons": {name: round(s, 1) for name, s in seconds.items()},
        "n": 1,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("torch", "scikit-learn")},
        "system": platform.system(),
        "date": time.strftime("%Y-%m-%d"),
    }
    path = ROOT / "results" / "lesson_seconds.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote results/{path.name} ({facts['threads']} threads)")


def _processor():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"model name\s*:\s*(.+)", text)[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--execute", action="store_true", help="run the solutions too")
    parser.add_argument("--check", action="store_true", help="change nothing; name what is stale")
    parser.add_argument("numbers", nargs="*", help="only these lessons: 03")
    options = parser.parse_args(arguments)
    every = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))
    sources = [source for source in every if not options.numbers or source.stem[:2] in options.numbers]
    if missing := set(options.numbers) - {source.stem[:2] for source in sources}:
        sys.exit(f"there is no source solutions/{min(missing)}_*.py")
    problems, seconds = [], {}
    for source in sources:
        try:
            if options.check:
                problems += stale(source)
                continue
            for folder, make in (("lessons", lesson), ("solutions", solution)):
                path = ROOT / folder / f"{source.stem}.ipynb"
                nb = make(source)
                if folder == "solutions":
                    keep_outputs(nb, path)
                    if options.execute:
                        seconds[source.stem] = execute(nb, path)
                        print(f"{path.name} ran in {seconds[source.stem]:.1f} s", flush=True)
                if nb != stored(path):
                    write(nb, path)
        except SystemExit as problem:
            problems.append(str(problem))
    if not options.numbers:
        built = {f"{source.stem}.ipynb" for source in every}
        strays = [p for folder in ("lessons", "solutions") for p in sorted((ROOT / folder).glob("*.ipynb"))]
        problems += [f"{p.parent.name}/{p.name} has no source; remove it" for p in strays if p.name not in built]
        if options.execute and not problems:
            record(seconds)
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
