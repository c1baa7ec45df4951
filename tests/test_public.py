"""What may be imported from course_lib is one list, docs/library.md, and the list is true."""

import ast
import importlib
import inspect
import re
import types
from pathlib import Path

import pytest

from tests.test_moved import IMPORTS, NOW, USES

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")


def listed():
    """{room: {name: its line}} of the page's tables."""
    rooms, room = {}, None
    for line in PAGE.splitlines():
        if match := re.fullmatch(r"### `(course_lib[\w.]*)`", line):
            room = rooms.setdefault(match[1], {})
        elif match := re.fullmatch(r"\| `(\w+)` \| (.+) \|", line):
            room[match[1]] = match[2].replace("\\|", "|")
    return rooms


LIST = listed()
NAMES = [(room, name) for room in LIST for name in LIST[room]]
each_name = pytest.mark.parametrize("room, name", NAMES, ids=[f"{room}.{name}" for room, name in NAMES])


def imported(text):
    """{(room, name)} of course_lib that a Python text imports, or takes from a room that it imports."""
    found, rooms = set(), {}
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(one.name, "import it with from") for one in node.names if one.name.split(".")[0] == "course_lib"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "course_lib":
            for one in node.names:
                place = f"{node.module}.{one.name}"
                if isinstance(what(node.module, one.name), types.ModuleType):
                    rooms[one.asname or one.name] = place
                else:
                    found.add((node.module, one.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            found.add((rooms[node.value.id], node.attr))
    return found


def what(room, name):
    """What `from room import name` gives."""
    module = importlib.import_module(room)
    return getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{room}.{name}")


def test_an_import_is_seen_in_whatever_form():
    text = "from course_lib import plots, losses as l\nfrom course_lib.train import fit as f\nplots.ROLE['alone']\nl.kd_loss(1, 2)"
    assert imported(text) == {
        ("course_lib.train", "fit"),
        ("course_lib.plots", "ROLE"),
        ("course_lib.losses", "kd_loss"),
    }
    assert imported("import course_lib.losses") == {("course_lib.losses", "import it with from")}
    assert imported("def go():\n    from course_lib.measure import calibration") == {
        ("course_lib.measure", "calibration")
    }


@each_name
def test_a_name_of_the_list_is_there_and_says_what_it_is(room, name):
    value = getattr(importlib.import_module(room), name)
    assert not isinstance(value, types.ModuleType)
    if isinstance(value, type) or callable(value):
        assert inspect.getdoc(value), f"{room}.{name} has no docstring"


@pytest.mark.parametrize("room", [room for room in LIST if not room.startswith("course_lib.vault")])
def test_a_room_hands_on_what_the_list_says_and_the_lines_are_its_docstrings(room):
    """The vault's rooms hand on more, to each other."""
    module = importlib.import_module(room)
    assert list(LIST[room]) == module.__all__
    for name, line in LIST[room].items():
        value = getattr(module, name)
        if isinstance(value, type) or callable(value):
            assert line == inspect.getdoc(value).splitlines()[0], f"docs/library.md on {room}.{name}"


@pytest.mark.parametrize("source", sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_a_lesson_imports_only_what_is_listed(source):
    other = {
        (room, name) for room, name in imported(source.read_text(encoding="utf-8")) if name not in LIST.get(room, {})
    }
    assert not other, f"put them into docs/library.md, which promises to keep them, or do without: {sorted(other)}"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_what_a_page_imports_is_listed(page):
    for line in re.findall(r"from course_lib[\w.]* import [\w, ]+\w", (ROOT / page).read_text(encoding="utf-8")):
        assert all(name in LIST.get(room, {}) for room, name in imported(line)), line


def test_an_old_name_is_told_with_a_new_one_that_is_listed():
    old = {module: names.split() for module, names in USES.items()}
    for line in IMPORTS:
        module, names = line.removeprefix("from ").split(" import ")
        old.setdefault(module, []).extend(names.split(", "))
    for module, room in NOW.items():
        assert set(old[module]) <= set(LIST[room]), module


def test_the_pages_example_runs_and_gives_the_pages_verdict(capsys):
    example, said = re.search(r"```python\n(.+?)```.+?```text\n(.+?)\n", PAGE, re.S).groups()
    exec(example, {})
    verdict = capsys.readouterr().out.splitlines()[-2]
    assert verdict.partition(":")[0] == said.partition(":")[0] == "distilled is BETTER than alone, of few labels"
