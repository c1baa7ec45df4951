"""Build both notebooks of a lesson from its one source.

python tools/build_lessons.py              build what is stale
python tools/build_lessons.py --execute    build, and run the solutions so that their outputs are stored
python tools/build_lessons.py --check      exit 1 and name what is stale
A number (or several) as an argument does it for these lessons only.

solutions/NN_name.py    the source, jupytext percent format, the only file that is edited
solutions/NN_name.ipynb everything, executed
lessons/NN_name.ipynb   `# BEGIN SOLUTION ... # END SOLUTION` becomes a stub; cells tagged solution-only are left out
"""

import argparse
import hashlib
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
REGION = re.compile(r"^([ \t]+)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION$", re.M | re.S)
MARK = re.compile(r"^[ \t]*# (BEGIN|END) SOLUTION\n?", re.M)
STUB = r'\1# TODO: your code here\n\1raise NotImplementedError("not written yet")'
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(source):
    """The cells of a source, each with an id made from its text, so that inserting a cell moves no other id."""
    cells, seen = [], {}
    for cell in jupytext.read(source).cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{source.stem[:2]}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        cells.append(cell)
    return cells


def notebook(cells):
    nb = nbformat.v4.new_notebook(metadata=nbformat.from_dict(METADATA), cells=cells)
    for cell in nb.cells:
        if re.search(r"# (BEGIN|END) SOLUTION", cell.source):
            raise SystemExit(f"a SOLUTION region is not closed, or not inside a function, in:\n{cell.source}")
    return nb


def solution(source):
    cells = read(source)
    for cell in cells:
        cell.source = MARK.sub("", cell.source).rstrip("\n")
    return notebook(cells)


def lesson(source):
    cells = [cell for cell in read(source) if "solution-only" not in cell.metadata.get("tags", [])]
    for cell in cells:
        cell.source = REGION.sub(STUB, cell.source)
    return notebook(cells)


def keep_outputs(new, path):
    """Give every unchanged cell the outputs that are stored on disk."""
    old = {cell.id: cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"} if path.exists() else {}
    for cell in new.cells:
        if cell.cell_type == "code" and cell.id in old:
            cell.outputs, cell.execution_count = old[cell.id].outputs, old[cell.id].execution_count


def execute(nb, path):
    start = time.perf_counter()
    NotebookClient(
        nb, timeout=600, store_widget_state=False, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    nb.metadata = nbformat.from_dict(METADATA)
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
    print(f"{path.name}: ran in {time.perf_counter() - start:.1f} s")


def skeleton(nb):
    return [(cell.id, cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in nb.cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--execute", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("numbers", nargs="*")
    args = parser.parse_args()
    stale = []
    for source in sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py")):
        if args.numbers and source.stem[:2] not in args.numbers:
            continue
        for folder, make in (("lessons", lesson), ("solutions", solution)):
            path = ROOT / folder / f"{source.stem}.ipynb"
            nb = make(source)
            if folder == "solutions":
                keep_outputs(nb, path)
            same = path.exists() and skeleton(nbformat.read(path, 4)) == skeleton(nb)
            unrun = folder == "solutions" and any(c.cell_type == "code" and not c.execution_count for c in nb.cells)
            if args.check:
                stale += [] if same else [f"stale: {path.relative_to(ROOT)}"]
                stale += [f"not executed: {path.relative_to(ROOT)} (--execute)"] if same and unrun else []
                continue
            if args.execute and folder == "solutions":
                execute(nb, path)
            elif same:
                continue
            path.parent.mkdir(exist_ok=True)
            nbformat.write(nb, path)
            print(f"wrote {path.relative_to(ROOT)}")
    print("\n".join(stale), file=sys.stderr) if stale else None
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
