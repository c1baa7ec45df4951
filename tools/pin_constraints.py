"""Write constraints.txt: the exact versions in this environment, of what the course and its tests need.

python tools/pin_constraints.py     then commit constraints.txt, once `make test` has passed with these versions

CUDA's packages and triton are left out (torch itself asks for the right ones, where there are any), so that the file
fits Linux, macOS and Windows, with CUDA and without; so are local parts of a version (2.14.1+cpu is written 2.14.1).
"""

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NOT_PINNED = ("nvidia-", "cuda-", "triton", "distillation-hands-on")
HEADER = (
    "# The versions that were tested. Made by tools/pin_constraints.py; used by: pip install -c constraints.txt -e .\n"
)


def needed(lines):
    """Every installed package that these requirements lead to, by name, with its version."""
    found, todo = {}, [Requirement(line) for line in lines]
    while todo:
        requirement = todo.pop()
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        extras = requirement.extras or {""}
        if name.startswith(NOT_PINNED) or (name, frozenset(extras)) in found:
            continue
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        installed = importlib.metadata.distribution(name)
        found[name, frozenset(extras)] = installed.version.partition("+")[0]
        for line in installed.requires or []:
            child = Requirement(line)
            if not child.marker or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                child.marker = None
                todo.append(child)
    return {name: version for (name, _), version in found.items()}


def main():
    """Write constraints.txt from what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = needed(project["dependencies"] + project["optional-dependencies"]["test"])
    text = HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    (ROOT / "constraints.txt").write_text(text, encoding="utf-8", newline="\n")
    print(f"constraints.txt: {len(pins)} packages")


if __name__ == "__main__":
    main()
