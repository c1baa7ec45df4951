"""What README.md says of lessons, workshops and folders is what is there."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "tools"))
import readme  # noqa: E402

HEADER = """\
# ---
# jupyter:
#   course:
#     question: Why?
#     minutes: {minutes}
#     workshop: {workshop}
#     shows: nothing
#     draft: {draft}
# ---
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "solutions").mkdir()

    def put(name, minutes, workshop, draft="false"):
        text = HEADER.format(minutes=minutes, workshop=workshop, draft=draft)
        (tmp_path / "solutions" / f"{name}.py").write_text(text, encoding="utf-8")
        return tmp_path

    return put


def test_the_agenda_is_that_of_the_headers():
    assert readme.put(README, "agenda", readme.agenda()) == README, "run: python tools/readme.py"
    numbers = re.findall(
        r"\b\d\d\b(?! minutes)", README.partition("<!-- agenda -->")[2].partition("<!-- /agenda -->")[0]
    )
    assert sorted(numbers) == sorted(path.name[:2] for path in (ROOT / "lessons").glob("*.ipynb"))  # each once


def test_each_lesson_stands_in_the_shortest_workshop_that_has_time_for_it(root):
    root("00_a", 25, "90 minutes")
    root("01_b", 60, "90 minutes")
    root("02_c", 60, "half a day")
    folder = root("06_d", 60, "further")
    assert readme.agenda(folder).splitlines() == [
        "- **90 minutes**: lessons 00 and 01; 85 minutes of lessons in all.",
        "- **Half a day**, after these: lesson 02; 145 minutes of lessons in all.",
        "- **Further**: lesson 06, one at a time.",
    ]


def test_a_workshop_that_is_too_full_is_named_with_what_to_do(root):
    root("00_a", 50, "90 minutes")
    with pytest.raises(SystemExit, match=r"90 minutes has 90 minutes for lessons.*ask for 110.*workshop: further"):
        readme.agenda(root("01_b", 60, "90 minutes"))


def test_a_draft_is_called_one_in_the_table(root):
    rows = readme.table(root("00_a", 50, "further", draft="true")).splitlines()
    assert "| Why? *(a draft)* | 50 | not measured yet |" in rows[2]
    assert "draft" not in readme.table(root("00_a", 50, "further"))


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("question: Why?", "question: Hints: why?", "00_a.py: its header, line 4 cannot be read as YAML"),
        (
            "# ---\n# jupyter",
            "# jupyter",
            "00_a.py: its header cannot be read as YAML. It stands at the top between two lines",
        ),
        ("#     shows: nothing\n", "", "00_a.py: its header lacks the line `shows: ...`"),
    ],
)
def test_a_header_that_cannot_be_read_is_named(root, old, new, part):
    path = root("00_a", 50, "further") / "solutions" / "00_a.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        readme.table(path.parents[1])
    assert part in str(ended.value)


def tree():
    """[(path, what is said of it)] of the tree in README.md."""
    block = re.search(r"^```\n(README\.md .*?)^```", README, re.M | re.S)[1]
    rows, folder = [], ""
    for line in block.splitlines():
        names, what = re.fullmatch(r"( *\S+(?:  ?\S+/)*) {2,}(\S.*)", line).groups()
        inside = names.startswith("  ")
        folder = folder if inside else names.strip()
        rows += [((folder if inside else "") + name, what) for name in names.split()]
    return rows


def test_the_tree_of_the_repository_names_what_is_there():
    rows = tree()
    assert 12 <= len({what for _, what in rows}) <= 18
    for path, what in rows:
        assert (ROOT / path).exists(), f"the tree in README.md names {path}"
        assert path.endswith("/") == (ROOT / path).is_dir()
        for named in re.findall(r"[\w/]+\.(?:py|txt|ipynb|md)\b", what):
            assert "NN" in named or (ROOT / path / named).exists() or (ROOT / named).exists(), f"{path}: {named}"
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    ours = folders - {"workspace", "artefacts", "data", "build"} - {path.name for path in ROOT.glob("*.egg-info")}
    assert ours <= {path.strip("/") for path, _ in rows}, "a folder at the top that the tree does not name"
