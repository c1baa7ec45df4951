"""Keep README.md true: its table of lessons, its agenda and its picture come from the lessons themselves.

python tools/readme.py             write the parts between the markers, and the picture
python tools/readme.py --check     exit 1 and name what is stale

The table: the header of each solutions/NN_name.py, and results/lesson_seconds.json (measured by tools/build_lessons.py).
The agenda: the shortest workshop that has time for the lesson, as its header says.
The picture: the first one in the stored output of the cell of PICTURE that shows it, with its own alt text.
"""

import base64
import html
import re
import sys
from pathlib import Path

import lesson_seconds
import nbformat
from lesson_source import header

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ("02_dark_knowledge", "Recall of 3")  # a lesson, and words of the alt text of one of its pictures
HEAD = ["", "the question", "your minutes", "computes for", "what is measured and shown"]
WORKSHOPS = {  # each holds the lessons of those before it too: the minutes that its lessons may ask for at most
    "90 minutes": 90,
    "half a day": 210,
    "a day": 330,
    "two days": 660,
}


def headers(root=ROOT):
    """{name of a lesson: what its header says}, in the order of the lessons; SystemExit, in words, where one lacks a line."""
    found = {source.stem: header(source) for source in sorted((root / "solutions").glob("[0-9][0-9]_*.py"))}
    for name, about in found.items():
        if lacks := [key for key in ("question", "minutes", "workshop", "shows") if key not in about]:
            raise SystemExit(f"solutions/{name}.py: its header lacks the line `{lacks[0]}: ...`")
    return found


def table(root=ROOT):
    """The table of the lessons that exist, in Markdown."""
    seconds = (lesson_seconds.recorded(root) or {"lessons": {}})["lessons"]
    rows = [HEAD, ["---"] * len(HEAD)]
    for name, about in headers(root).items():
        measured = f"{seconds[name]:.0f} s" if name in seconds else "not measured yet"
        links = f"[{name[:2]}](lessons/{name}.ipynb), [solved](solutions/{name}.ipynb)"
        question = about["question"] + " *(a draft)*" * about.get("draft", False)
        rows.append([links, question, str(about["minutes"]), measured, about["shows"]])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def agenda(root=ROOT):
    """Which lessons fit into which workshop, in Markdown; SystemExit, in words, where they do not fit."""
    lines, minutes = [], 0
    for workshop, most in WORKSHOPS.items():
        new = {name[:2]: about for name, about in headers(root).items() if about["workshop"] == workshop}
        minutes += sum(about["minutes"] for about in new.values())
        if minutes > most:
            raise SystemExit(
                f"{workshop.capitalize()} has {most} minutes for lessons; those whose header says so, or a shorter workshop, "
                f"ask for {minutes}. Give one of {_and(new)} a longer workshop in its header, or `workshop: further`."
            )
        after = ", after these" if lines else ""
        if new:
            lines.append(f"- **{workshop.capitalize()}**{after}: {_and(new)}; {minutes} minutes of lessons in all.")
    if further := [name[:2] for name, about in headers(root).items() if about["workshop"] == "further"]:
        lines.append(f"- **Further**: {_and(further)}, one at a time.")
    return "\n".join(lines)


def _and(numbers):
    """ "lessons 00, 01 and 02" """
    *first, last = numbers
    return f"lessons {', '.join(first)} and {last}" if first else f"lesson {last}"


def picture(root=ROOT):
    """(png bytes, alt text) of the README's picture; None while its lesson has none."""
    name, word = PICTURE
    path = root / "solutions" / f"{name}.ipynb"
    for cell in nbformat.read(path, 4).cells if path.exists() else []:
        for output in cell.get("outputs", []):
            page = output.get("data", {}).get("text/html", "")
            found = re.search(r'<img[^>]* alt="([^"]*)"[^>]* src="data:image/png;base64,([^"]+)"', page)
            if found and word in found[1]:
                return base64.b64decode(found[2]), html.unescape(found[1])
    return None


def put(text, name, body):
    """The text with what stands between <!-- name --> and <!-- /name --> replaced."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise SystemExit(f"README.md needs the markers <!-- {name} --> and <!-- /{name} -->, on lines of their own")
    return f"{before}{start}{body}\n{end}{after}"


def main(check):
    """Renew the README's table and picture, or with check only say what is stale; the exit code."""
    path, stored = ROOT / "README.md", ROOT / "docs" / "picture.png"
    old = path.read_text(encoding="utf-8")
    new, found = put(put(old, "lessons", table()), "agenda", agenda()), picture()
    if found:
        alt = re.sub(r"([][\\])", r"\\\1", re.sub(r"\s+", " ", found[1]))
        new = put(new, "picture", f"![{alt}](docs/picture.png)")
    if check:
        stale = ["README.md"] * (new != old) + ["docs/picture.png"] * bool(found and not stored.exists())
        print(f"stale: {', '.join(stale)} (python tools/readme.py)", file=sys.stderr) if stale else None
        return 1 if stale else 0
    path.write_text(new, encoding="utf-8", newline="\n")
    if found:
        stored.parent.mkdir(exist_ok=True)
        stored.write_bytes(found[0])
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
