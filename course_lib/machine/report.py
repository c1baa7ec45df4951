"""What the doctor writes down: rows of findings, as a table in a notebook or a terminal. Standard library alone."""

import html
import textwrap
from typing import NamedTuple

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Row(NamedTuple):
    """One finding. state: "ok", "note" (works, but differs from what was tested) or "problem"; cure: a command."""

    name: str
    state: str
    found: str
    cure: str = ""


class Report:
    """What the doctor found: shown as a table in the notebook (last line of a cell) and in the terminal (print)."""

    def __init__(self, rows):
        self.rows = list(rows)
        self.ok = not any(row.state == PROBLEM for row in self.rows)
        problems = sum(row.state == PROBLEM for row in self.rows)
        self.verdict = (
            "This machine is ready." if self.ok else f"{problems} problem{'s' * (problems > 1)} to mend first."
        )

    @property
    def text(self):
        """An aligned table, 100 columns wide; a command stands on a line of its own, ready to be copied."""
        wide = max(len(row.name) for row in self.rows) + 2
        left = wide + len(PROBLEM) + 2
        lines = []
        for row in self.rows:
            first, *rest = textwrap.wrap(row.found, 100 - left) or [""]
            lines.append(f"{row.name:{wide}}{row.state:{left - wide}}{first}".rstrip())
            lines += [" " * left + line for line in rest]
            lines += [f"  mend it: {row.cure}"] if row.cure else []
        return "\n".join([*lines, "", self.verdict])

    __str__ = __repr__ = text.fget

    def json(self):
        """The same as a dictionary that json.dumps takes."""
        return {"ok": self.ok, "verdict": self.verdict, "rows": [row._asdict() for row in self.rows]}

    def _repr_html_(self):
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{html.escape(row.name)}</th><td>{row.state}</td>'
            f'<td style="text-align:left">{html.escape(row.found)}'
            + (f"<br>mend it: <code>{html.escape(row.cure)}</code>" if row.cure else "")
            + "</td></tr>"
            for row in self.rows
        )
        heads = "".join(f'<th scope="col" style="text-align:left">{head}</th>' for head in ("what", "state", "found"))
        caption = f"<caption>What the doctor found. {self.verdict}</caption>"
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
