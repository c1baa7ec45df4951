"""The two pages, assembled once from html/: what both show is written once.

A line `<!-- part keys columns="stacked" -->` in a page stands for html/keys.html, with "stacked" for its $columns.
"""

import re
from pathlib import Path
from string import Template

HTML = Path(__file__).with_name("html")
PART = re.compile(r"^<!-- part (\w+)((?: \w+=\"[^\"]*\")*) -->\n", re.M)


def page(name, folder=HTML):
    """The bytes of a page, "index.html" say, as a browser gets it."""

    def part(found):
        text = (folder / f"{found[1]}.html").read_text(encoding="utf-8")
        return Template(text).substitute(dict(re.findall(r'(\w+)="([^"]*)"', found[2])))

    return PART.sub(part, (folder / name).read_text(encoding="utf-8")).encode()
