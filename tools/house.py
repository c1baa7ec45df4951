"""Measure how the house is built: rooms, arrows, the files that a question passes, long files, and how lessons read.

python tools/house.py              what this checkout has
python tools/house.py --json       the same for programs
python tools/house.py --root DIR   another checkout, an older one say

Rooms and arrows are read from the imports, with ast; what a question passes is watched while a real server answers one.
"""

import argparse
import ast
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONG = 250  # lines of a module
WIDE = 12  # lines of a code cell
REGION = re.compile(r"^[ \t]*# (BEGIN|END) SOLUTION\n?", re.M)


def rooms(library):
    """The rooms at the top of the library: its files, and its folders with Python in them."""
    files = {path.stem for path in library.glob("*.py") if not path.stem.startswith("_")}
    return sorted(files | {path.parent.name for path in library.glob("*/*.py")})


def imported(path, library):
    """What a file imports of course_lib, anywhere in it, as dotted names below it: {"data.sets", "losses"}."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "course_lib":
            for (
                name
            ) in node.names:  # `from course_lib import data` names a room, `from course_lib.data import load` is in one
                place = library.joinpath(*f"{node.module}.{name.name}".split(".")[1:])
                is_module = place.is_dir() or place.with_suffix(".py").is_file()
                found.add(f"{node.module}.{name.name}" if is_module else node.module)
    return {name.partition(".")[2] for name in found if name.startswith("course_lib.")}


def arrows(library):
    """{(room, a room that it imports)}, between the rooms at the top."""
    found = set()
    for path in library.rglob("*.py"):
        room = path.relative_to(library).with_suffix("").parts[0]
        if not room.startswith("_"):
            found |= {(room, name.split(".")[0]) for name in imported(path, library)}
    return {(one, other) for one, other in found if one != other and other in rooms(library)}


def long_files(library):
    """{file: its lines} of modules above LONG lines; a lesson's checks are counted on their own."""
    lines = {path.relative_to(library).as_posix(): count(path) for path in library.rglob("*.py")}
    return {name: n for name, n in lines.items() if n > LONG and not name.startswith("checks/lesson_")}


def count(path):
    """The lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def cells(source):
    """The lines of each code cell of a solved lesson that has more than two that are not blank."""
    lengths = []
    for cell in re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.M)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" not in head and "[raw]" not in head:
            lengths.append(sum(bool(line.strip()) for line in REGION.sub("", body).splitlines()))
    return [n for n in lengths if n > 2]


def passed(root):
    """The files of the vault that a question passes, from the socket to the ledger and back, as a process of its own saw."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--watch", folder]
        settings = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"A question was to be watched, and this went wrong:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def watch(folder):
    """Serve a small vault in this process, ask it once to warm up, once watched; the vault's files that ran."""
    import numpy as np

    from course_lib import vault
    from course_lib.vault.service import Service
    from course_lib.vault.victims import Victim

    try:
        from course_lib.vault import site
        from course_lib.vault.http import serve
    except ImportError:  # 0.1.0
        from course_lib.vault import app as site
        from course_lib.vault import serve
    home, seen = Path(vault.__file__).parent, set()

    def note(frame, event, _):
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(home):
            seen.add(file.relative_to(home).as_posix())

    threading.setprofile(note)
    probs = np.full(3, 1 / 3)
    toy = Victim("toy", ("a", "b", "c"), (4,), 15, lambda x: np.tile(probs, (len(x), 1)), np.random.rand(600, 4))
    service = Service(folder, victims={"toy": toy})
    key = service.new_key("ada", accepted=True)
    app, listener, ready = site.for_service(service), serve.listen("127.0.0.1", 0), threading.Event()
    thread = threading.Thread(target=serve.run, args=(app, listener, ready.set), daemon=True)
    thread.start()
    ready.wait(60)
    line = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for _ in range(2):
        seen.clear()
        line.request("POST", "/v1/predict", json.dumps({"model": "toy", "inputs": [[0.1, 0.2, 0.3, 0.4]]}), headers)
        reply = line.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise SystemExit(f"the vault answered {reply.status}: {body.decode()}")
    found = sorted(seen)
    app.stop()
    thread.join(30)
    service.close()
    return found


def house(root):
    """Everything that is measured, as a dict."""
    library = root / "course_lib"
    lessons = {path.stem: cells(path) for path in sorted((root / "solutions").glob("[0-9][0-9]_*.py"))}
    return {
        "rooms": rooms(library),
        "arrows": sorted(map(list, arrows(library))),
        "a question passes": passed(root),
        "files of the vault": len([path for path in (library / "vault").rglob("*.py") if path.stem != "__init__"]),
        f"modules above {LONG} lines": long_files(library),
        "lines of lessons' checks": sum(map(count, (library / "checks").glob("lesson_*.py"))),
        "lines of answers": sum(map(count, (root / "tests" / "answers").glob("lesson_*.py"))),
        "code cells": {
            name: {"median lines": statistics.median(n), f"above {WIDE}": sum(k > WIDE for k in n) / len(n)}
            for name, n in lessons.items()
        },
    }


def told(found):
    """The same in lines of text."""
    lines = []
    for name, value in found.items():
        if name == "code cells":
            lines += [
                f"{lesson:30}median {cell['median lines']:g} lines a code cell, {cell[f'above {WIDE}']:.0%} above {WIDE}"
                for lesson, cell in value.items()
            ]
        elif isinstance(value, dict):
            lines.append(f"{name}: {len(value)}")
            lines += [f"    {n:4} {file}" for file, n in sorted(value.items(), key=lambda one: -one[1])]
        elif isinstance(value, list):
            words = [" -> ".join(one) if isinstance(one, list) else one for one in value]
            lines.append(f"{name}: {len(value)}" + (f" ({', '.join(words)})" if name != "arrows" else ""))
        else:
            lines.append(f"{name}: {value:,}")
    return "\n".join(lines)


def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--watch", help=argparse.SUPPRESS)  # what passed() calls, in a process of its own
    options = parser.parse_args(arguments)
    if options.watch:
        print(json.dumps(watch(options.watch)))
        return
    found = house(options.root.resolve())
    print(json.dumps(found, indent=1) if options.json else told(found))


if __name__ == "__main__":
    main()
