"""The floor plans are true: each folder's __init__ lists its files, and each imports only from below or along an arrow."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib
from tools import house

LIBRARY = Path(course_lib.__file__).parent
FOLDERS = [path.parent for path in sorted(LIBRARY.rglob("__init__.py"))]
LINE = re.compile(r"(floor \d+|       ) {2,}(\w+)/? +(.*)")


def name(folder):
    return ".".join(folder.relative_to(LIBRARY).parts) or "course_lib"


def plan(folder):
    """{room: (floor, rooms that its arrow names)} as the folder's docstring says."""
    rooms, floor = {}, None
    for line in (ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or "").splitlines():
        if match := LINE.match(line):
            floor = int(match[1].removeprefix("floor") or floor) if match[1].strip() else floor
            _, _, arrow = match[3].partition("   ->")
            rooms[match[2]] = (floor, set(re.findall(r"\w+", arrow)))
    return rooms


def children(folder):
    """{room: its Python files}: what lies in a folder."""
    rooms = {path.stem: [path] for path in folder.glob("*.py") if path.stem != "__init__"}
    rooms |= {path.name: list(path.rglob("*.py")) for path in folder.iterdir() if (path / "__init__.py").exists()}
    if folder.name == "checks":  # one room on the plan: lesson_NN
        lessons = [rooms.pop(room)[0] for room in sorted(rooms) if room.startswith("lesson_")]
        rooms["lesson_NN"] = lessons
    return {room: files for room, files in rooms.items() if not room.startswith("_") or room == "__main__"}


def imports(folder, files):
    """The rooms of this folder that the files import; "" where it is the folder itself."""
    prefix, found = ".".join(folder.relative_to(LIBRARY).parts), set()
    for path in files:
        for module in house.imported(path, LIBRARY):
            if not prefix:
                found.add(module.split(".")[0])
            elif module == prefix:
                found.add("")
            elif module.startswith(prefix + "."):
                found.add(module[len(prefix) + 1 :].split(".")[0])
    return {"lesson_NN" if room.startswith("lesson_") and folder.name == "checks" else room for room in found}


CASES = [(folder, room) for folder in FOLDERS for room in children(folder)]
every_room = pytest.mark.parametrize("folder, room", CASES, ids=[f"{name(folder)}.{room}" for folder, room in CASES])
every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=name)


@every_folder
def test_the_plan_lists_every_room_and_no_other(folder):
    if len(children(folder)) > 2 or plan(folder):
        assert set(plan(folder)) == set(children(folder))


@every_room
def test_a_room_imports_only_from_floors_below_or_along_its_arrow(folder, room):
    rooms = plan(folder) or dict.fromkeys(children(folder), (0, set(children(folder))))  # two files: as they like
    floor, arrow = rooms[room]
    below = {other for other, (theirs, _) in rooms.items() if theirs < floor}
    wrong = imports(folder, children(folder)[room]) - below - arrow - {room}
    assert not wrong, f"{room} on floor {floor} of {name(folder)} imports {sorted(wrong)}"


def test_an_arrow_that_nothing_follows_is_gone():
    for folder in FOLDERS:
        for room, (floor, arrow) in plan(folder).items():
            assert arrow <= imports(folder, children(folder)[room]), f"{name(folder)}.{room} does not follow its arrow"
            below = {other for other, (theirs, _) in plan(folder).items() if theirs < floor}
            assert not arrow & below, f"{name(folder)}.{room} needs no arrow to a floor below"


@pytest.mark.parametrize(
    "room, never", [("checks", "vault"), ("vault", "attack"), ("vault", "checks"), ("vault", "answers")]
)
def test_some_rooms_never_know_of_each_other_whatever_their_floors(room, never):
    assert never not in imports(LIBRARY, children(LIBRARY)[room])


def test_an_init_only_hands_names_on():
    """Imports, __all__ and a docstring; at the top, the old names of 0.1.0 too."""
    for folder in FOLDERS[1:]:
        for node in ast.parse((folder / "__init__.py").read_text("utf-8")).body:
            said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            listed = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            assert said or listed or isinstance(node, ast.ImportFrom), f"{name(folder)}: line {node.lineno}"


def test_all_sql_of_the_vault_is_in_its_ledger():
    sql = re.compile(r"\b(SELECT .+ FROM|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA|CREATE TABLE)\b", re.S)
    for path in (LIBRARY / "vault").rglob("*.py"):
        if "ledger" not in path.parts:
            nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
            found = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            found = [text for text in found if sql.search(text)]
            assert not found, f"{path.relative_to(LIBRARY)}: {found[0][:80]}"
            reached = {n.attr for n in nodes if isinstance(n, ast.Attribute)} & {"reader", "writer"}
            assert not reached, f"{path.relative_to(LIBRARY)} reaches for the ledger's {reached}, and it has verbs"


def test_no_file_imports_relatively():
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.name} imports relatively"


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


@pytest.mark.parametrize(
    "room", ["machine", "command.workspace", "checks", "files", "command.environment", "command.cli"]
)
def test_what_the_command_starts_with_needs_no_torch(room):
    code = f"import sys, course_lib.{room}; print('torch' in sys.modules, 'IPython' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False False\n", run.stderr
