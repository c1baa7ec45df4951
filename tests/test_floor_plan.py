"""The floor plan in course_lib/__init__.py is true: every room is in it, and imports only from below or along an arrow."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib

LIBRARY = Path(course_lib.__file__).parent
ROOMS = sorted(path.stem for path in LIBRARY.glob("*.py") if path.stem != "__init__")
ROOMS += sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))
FLOORS = ("ground", "first", "second", "top")


def plan():
    """{room: (floor, rooms that its arrow names)} as the docstring says."""
    rooms, floor = {}, None
    for line in course_lib.__doc__.splitlines():
        match = re.match(r"(ground|first|second|top|      ) +(\w+)/? +(.*)", line)
        if match:
            floor = match[1].strip() or floor
            _, _, arrow = match[3].partition("->")
            rooms[match[2]] = (floor, set(re.findall(r"\w+", arrow)))
    return rooms


PLAN = plan()
BEHIND_THE_COMMAND = set(re.findall(r"\w+", re.search(r"__main__.*", course_lib.__doc__)[0])) & set(ROOMS)


def imports(path):
    """The rooms of course_lib that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("course_lib.")}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports relatively; write course_lib"
            module = (node.module or "").split(".")
            if module[0] == "course_lib":
                found |= {module[1]} if len(module) > 1 else {name.name for name in node.names}
    return found


def files(room):
    return (LIBRARY / room).glob("*.py") if (LIBRARY / room).is_dir() else [LIBRARY / f"{room}.py"]


def test_the_plan_lists_every_room_and_no_other():
    assert set(PLAN) | BEHIND_THE_COMMAND == set(ROOMS)
    assert {floor for floor, _ in PLAN.values()} == set(FLOORS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_floors_below_or_along_its_arrow(room):
    if room in BEHIND_THE_COMMAND:
        return  # the top: anything
    floor, arrow = PLAN[room]
    below = {other for other, (theirs, _) in PLAN.items() if FLOORS.index(theirs) < FLOORS.index(floor)}
    for path in files(room):
        wrong = imports(path) - below - arrow - {room}
        assert not wrong, f"{path.name} on the {floor} floor imports {sorted(wrong)}"


def test_an_arrow_that_nothing_follows_is_gone():
    for room, (_, arrow) in PLAN.items():
        if "anything" not in arrow:
            assert arrow <= set().union(*map(imports, files(room))), f"{room} does not import {arrow}"


def test_the_plan_s_own_file_holds_nothing_else():
    body = ast.parse((LIBRARY / "__init__.py").read_text(encoding="utf-8")).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr)


def test_only_live_imports_ipywidgets():
    users = {
        p.stem for p in LIBRARY.rglob("*.py") if re.search(r"^\s*(import|from) ipywidgets", p.read_text("utf-8"), re.M)
    }
    assert users == {"live"}


def test_importing_every_room_warns_of_nothing_of_ours():
    """As `python -W error`, for warnings that a line of ours causes; other packages answer for theirs."""
    modules = [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for path in sorted(LIBRARY.rglob("*.py"))
        if path.stem not in ("__init__", "__main__")
        and path.parent.name != "_jupyter"  # that one is JupyterLab's to read
    ]
    code = (
        "import warnings, importlib\n"
        "warnings.filterwarnings('error', module='course_lib')\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error::SyntaxWarning", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("room", ["machine", "workspace", "exercises", "doctor", "environment", "cli"])
def test_what_the_command_starts_with_needs_no_torch(room):
    code = f"import sys, course_lib.{room}; print('torch' in sys.modules, 'IPython' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False False\n", run.stderr
