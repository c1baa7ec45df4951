"""Export the solved lessons as pages that need no server and no network.

python tools/export_html.py         artefacts/html/NN_name.html for every solution
python tools/export_html.py 03      this lesson only

Live figures become their still pictures, with their alt texts. Formulas become MathML, which browsers draw themselves.
"""

import re
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
PREFERRED = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]*?(?:\n[^$\n]+?)?)(?<=\S)\$(?![\d$])", re.S)


def export(path, folder):
    """Write the notebook at `path` as one page into the folder; returns the page's path."""
    nb, formulas = nbformat.read(path, 4), []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = take_formulas(re.sub(r"\]\((\w+)\.ipynb", r"](\1.html", cell.source), formulas)
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", embed_images=True)
    exporter.display_data_priority = PREFERRED
    page, _ = exporter.from_notebook_node(nb, resources={"metadata": {"name": path.stem, "path": str(path.parent)}})
    page = re.sub(r"FORMULA(\d+)END", lambda match: formulas[int(match[1])], without_scripts(page))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}.html"
    target.write_text(page, encoding="utf-8", newline="\n")
    return target


def take_formulas(text, formulas):
    """Markdown with a place holder for every $formula$ outside of code; its MathML is appended to `formulas`."""

    def take(match):
        formulas.append(convert((match[1] or match[2]).strip(), display="block" if match[1] else "inline"))
        return f"FORMULA{len(formulas) - 1}END"

    return "".join(part if i % 2 else FORMULA.sub(take, part) for i, part in enumerate(CODE.split(text)))


def without_scripts(page):
    """The page without its scripts: a stored lesson has nothing live, and they would ask other hosts for more."""
    return re.sub(r"<script\b.*?</script>", "", page, flags=re.S)


def pages(nb):
    """The text/html of every output of a notebook."""
    return [
        output.data["text/html"]
        for c in nb.cells
        for output in c.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]


def main(numbers):
    """Export the solutions with these numbers (a list of "03"); all of them if there is none."""
    for path in sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb")):
        if not numbers or path.stem[:2] in numbers:
            print(f"wrote {export(path, ROOT / 'artefacts' / 'html').relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
