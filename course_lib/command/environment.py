"""The Python that the course runs in: found, or made once in the folder .venv. Standard library alone.

Where this Python (a conda environment, say) already has what pyproject.toml asks for, it is used as it is. Otherwise
.venv is made and filled by pip, with the versions of constraints.txt. A stamp in .venv tells what it was filled for:
"filling" before pip starts, "ready" after it; a first run that was interrupted is therefore seen, and finished.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from course_lib.command.packages import pip
from course_lib.command.refused import Refused
from course_lib.files import whole

NAME = "distillation-hands-on"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # torch's own packages without CUDA
GIGABYTES = {"default": 9, "cpu": 3}  # free space wanted: the installed packages, and their archives on the way


def python_for(root, extra="", torch=None, say=print):
    """The path of a Python in which the course runs; sets up root/.venv where nothing serves yet.

    extra: "" for learners, "test" for `make test`. torch: "cpu" for torch without CUDA, None for what is there already.
    """
    folder = root / ".venv"
    stamp, wanted = read_stamp(folder), wanted_for(root)
    ours = stamp and Path(sys.prefix).resolve() == folder.resolve()
    if not ours and not lacking(root, extra):
        return sys.executable
    ready = stamp.get("state") == "ready" and stamp.get("wanted") == wanted and works(python_in(folder))
    if ready and (not extra or stamp.get("extra") == extra):
        if torch and torch != stamp.get("torch"):
            say(
                f"Keeping the torch that .venv has. For the other one ({torch}), delete the folder .venv and start again."
            )
        return str(python_in(folder))
    try:
        fill(root, folder, extra or stamp.get("extra", ""), torch, stamp, wanted, say)
    except Refused as refusal:
        if stamp.get("state") != "ready" or not still_fits(python_in(folder), root, extra):
            raise
        say(f"{refusal}\nWhat is installed still fits the course, so it goes on with that.")
    return str(python_in(folder))


def python_there(root):
    """The path of the Python that python_for would give, where it is set up already; this one where none is."""
    folder = root / ".venv"
    filled = read_stamp(folder).get("state") == "ready" and works(python_in(folder))
    return str(python_in(folder)) if filled and lacking(root) else sys.executable


def lacking(root, extra=""):
    """What this Python lacks to run the course, in words: [] if nothing."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return ["packaging"]
    lacks = []
    for line in requirements(root, extra):
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lacks.append(f"{line} (not installed)")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            lacks.append(f"{line} (installed: {version})")
    return lacks if here(root) else [*lacks, f"{NAME} (not installed from {root})"]


def here(root):
    """Whether this Python's course_lib is the one in root (pip install -e .), not only because we stand in that folder."""
    places = [place for place in sys.path if place and Path(place).resolve() != root.resolve()]
    for found in importlib.metadata.distributions(name=NAME, path=places):
        source = json.loads(found.read_text("direct_url.json") or "{}")
        path = Path(url2pathname(urlparse(source.get("url", "")).path))
        if source.get("dir_info", {}).get("editable") and path.resolve() == root.resolve():
            return True
    return False


def still_fits(python, root, extra):
    """Whether that other Python lacks nothing."""
    question = (
        "import sys, pathlib; from course_lib.command import environment; "
        "sys.exit(bool(environment.lacking(pathlib.Path(sys.argv[1]), sys.argv[2])))"
    )
    return subprocess.run([python, "-c", question, root, extra], cwd=root, capture_output=True).returncode == 0


def requirements(root, extra=""):
    """The lines of pyproject.toml that say which packages the course asks for, and those of an extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])


def wanted_for(root):
    """A fingerprint of what .venv must hold: it changes when the packages asked for do, not when ruff's settings do."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [settings["project"], settings["build-system"], (root / "constraints.txt").read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_stamp(folder):
    """What .venv was filled for: {state, wanted, extra, torch}; {} where no stamp can be read."""
    try:
        return json.loads((folder / "course.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp(folder, **what):
    """Note in .venv what it is filled for."""
    with whole(folder / "course.json", "w") as file:
        json.dump(what, file)


def python_in(folder):
    """Where a virtual environment keeps its Python, on this system."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(python):
    """Whether this is a Python, new enough, with pip."""
    question = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", question], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def fill(root, folder, extra, torch, stamp, wanted, say):
    """Make .venv where there is none, and let pip put in it what pyproject.toml and constraints.txt name."""
    before, torch = stamp.get("torch"), torch or stamp.get("torch") or "default"
    fresh = not works(python_in(folder)) or (stamp.get("state") == "filling" and before != torch)
    refuse_without_venv()
    refuse_without_room(root, torch, 0 if not fresh and torch_is_in(folder) else GIGABYTES[torch])
    if stamp.get("state") == "ready":
        say("Bringing .venv up to date with what the course asks for.")
    elif stamp:
        say("The set-up was interrupted. Finishing it.")
    else:
        say("Setting up the course, this once. It takes a few minutes, most of them for downloading torch.")
    if fresh:
        say("Making a Python environment in .venv")
        make(folder)
    if stamp.get("state") != "ready":
        write_stamp(folder, state="filling", wanted=wanted, extra=extra, torch=torch)
    say("Installing the packages into .venv (nothing else on this computer changes)")
    python, constraints = str(python_in(folder)), str(root / "constraints.txt")
    if torch == "cpu":
        # Both from one index, without what they need: only then is each built for the other. 2.14.1+cpu satisfies
        # the pin ==2.14.1 (a pin without a local part matches any), so the second call keeps them.
        pip(python, ["--no-deps", "--index-url", CPU_INDEX, "-c", constraints, "torch", "torchvision"], root)
    pip(python, ["-c", constraints, "-e", f"{root}[{extra}]" if extra else str(root)], root)
    write_stamp(folder, state="ready", wanted=wanted, extra=extra, torch=torch)
    say("The set-up is complete.")


def torch_is_in(folder):
    """True if torch is installed there, of any version; nothing is imported."""
    return any(folder.glob("[Ll]ib/**/site-packages/torch/version.py"))


def refuse_without_venv():
    """Raise Refused where this Python cannot make environments, as Debian's without python3-venv."""
    try:
        import ensurepip
        import venv
    except ImportError as error:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise Refused(
            f"A Python that can make environments was expected; this one ({sys.executable}) has no module "
            f"{error.name!r}.\nOn Debian and Ubuntu, run: sudo apt-get install {package}\n"
            "Elsewhere: install Python from python.org, or use conda (see README.md). Then run the same command again."
        ) from None
    assert ensurepip and venv


def refuse_without_room(root, torch, gigabytes):
    """Raise Refused where the disk of `root` has less than so many gigabytes (10**9 bytes) of free space."""
    free = shutil.disk_usage(root).free / 1e9
    if free < gigabytes:
        smaller = (
            ""
            if torch == "cpu"
            else ("\nOr take torch without CUDA, 5 GB less: make lab TORCH=cpu (python -m course_lib lab --torch cpu)")
        )
        raise Refused(
            f"The set-up needs about {gigabytes} GB of free space in {root}; {free:.1f} GB are free.\n"
            f"Free some space and run the same command again.{smaller}"
        )


def make(folder):
    """Make an empty environment there, in place of what is there. Raises Refused with venv's own words."""
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise Refused(
            f"The environment {folder} could not be made. Python's venv said:\n"
            f"{(done.stdout + done.stderr).strip()}\nMend that (may this user write here?) and run the same command again."
        )
