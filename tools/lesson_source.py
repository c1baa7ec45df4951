"""The source of a lesson, solutions/NN_name.py: its header, its cells, and what it must not hold."""

import ast
import hashlib
import re

import jupytext
import nbformat
import yaml

from course_lib.checks.quiz import QuizError
from course_lib.checks.quiz import read as read_quiz

LIKE_MARK = re.compile(r"^\s*#+\s*(begin|end)\s+solution\b", re.I)
CHECK = re.compile(r'(\w+) = check\("(\d+)\.\d+", \1\)')


def header(source):
    """What the header of a source says: {"question": ..., "minutes": ..., ...}; SystemExit, in words, if it cannot be read."""
    try:
        lines = source.read_text(encoding="utf-8").split("# ---\n")[1]
        return yaml.safe_load(re.sub(r"^# ?", "", lines, flags=re.M))["jupyter"]["course"]
    except (yaml.YAMLError, IndexError, KeyError, TypeError) as error:
        where = getattr(error, "problem_mark", None)
        place = f", line {where.line + 2}" if where else ""
        raise SystemExit(
            f"{source.parent.name}/{source.name}: its header{place} cannot be read as YAML. It stands at the top between two "
            "lines `# ---`; a text with a colon in it needs quotes."
        ) from None


def read(source):
    """The cells of a source, each with an id made from its text, so that inserting a cell moves no other id."""
    if wrong := mistakes(source):
        raise SystemExit("\n".join(wrong))
    cells, seen = [], {}
    for cell in jupytext.read(source).cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{source.stem[:2]}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key == "tags"})
        cells.append(cell)
    return cells


def tags(cell):
    """The tags of a cell, [] where it has none."""
    return cell.metadata.get("tags", [])


def mistakes(source):
    """["solutions/03_x.py:12: ..."], what a source must not hold, each with its line."""
    found, opened, kind, first = [], None, "code", ""

    def wrong(number, sentence):
        found.append(f"{source.parent.name}/{source.name}:{number}: {sentence}")

    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# %%"):
            if opened:
                wrong(opened, "this SOLUTION region is not closed in its cell")
            opened, kind, first = None, "markdown" if "[markdown]" in line else "code", line
            if '"check"' in first and kind != "code":
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
            if '"check"' not in first:
                wrong(number, 'the cell of a check is tagged: # %% tags=["check"]')
    if opened:
        wrong(opened, "this SOLUTION region is not closed in its cell")
    for number, sentence in _mistakes_of_quizzes(source):
        wrong(number, sentence)
    return found


def _mistakes_of_quizzes(source):
    """[(line, sentence)] of what is wrong with the questions of a source."""
    found, asked, whole = [], 0, source.read_text(encoding="utf-8")
    try:
        statements = ast.parse(whole).body
    except SyntaxError as error:
        return [(error.lineno or 1, f"this is not Python: {error.msg}")]
    lines = whole.splitlines()
    for node in statements:
        call = getattr(node, "value", None)
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", None) == "quiz"):
            continue
        asked += 1
        text = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if not isinstance(text, str) or len(call.args) > 1:
            found.append((node.lineno, 'a question reads `quiz("""the question, and its choices""")`'))
            continue
        after = next((line for line in lines[node.end_lineno :] if line.strip()), "# %%")
        if not lines[node.lineno - 2].startswith("# %%") or not after.startswith("# %%"):
            found.append((node.lineno, "a quiz has a cell of its own, for its code is folded away"))
        try:
            number, expected = read_quiz(text).number, f"{int(source.stem[:2])}.q{asked}"
            if number != expected:
                found.append((node.lineno, f"question {asked} of this lesson has the number {expected}, not {number}"))
        except QuizError as error:
            found.append((call.args[0].lineno + error.line - 1, error.sentence))
    return found
