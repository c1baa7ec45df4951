"""The doctor's rows about software and folders. Standard library alone: it has to work where torch is missing or broken."""

import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

from course_lib.files import ROOT, keep_folder, may_write, nearest
from course_lib.machine.report import NOTE, OK, PROBLEM, Row

SETS = {
    "mnist": ("MNIST/raw", "decoded/mnist.pt"),
    "fashion_mnist": ("FashionMNIST/raw", "decoded/fashion_mnist.pt"),
    "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz", "cifar10", "cifar10.tar.xz", "decoded/cifar10.pt"),
}


def environment():
    """ "conda", "venv" or "system": where this Python keeps its packages."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda"
    return "venv" if sys.prefix != sys.base_prefix else "system"


def this_python():
    """This Python as it is typed in the project's folder."""
    python = Path(sys.executable)
    name = str(python.relative_to(ROOT)) if python.is_relative_to(ROOT) else str(python)
    if environment() == "conda":
        name = "python"
    if " " in name:
        name = f'& "{name}"' if os.name == "nt" else f"'{name}'"
    return name


def pip_command(arguments):
    """The pip command for this Python, as it is typed in the project's folder.

    A system's own Python refuses pip, or should be left alone: there the course makes an environment of its own.
    """
    if environment() == "system":
        return f"{this_python()} -m course_lib lab"
    return f"{this_python()} -m pip install {arguments}"


def numbers(version):
    """ "2.14.1+cpu" -> (2, 14, 1): enough to put releases in order."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0]))


def installed(name):
    """The version of an installed package; None where it is not installed. Nothing is imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def python_row(version=sys.version_info):
    """This Python's version, and where it keeps its packages."""
    found = f"{version[0]}.{version[1]}.{version[2]} ({environment()}, {sys.platform})"
    if tuple(version[:2]) >= (3, 11):
        return Row("Python", OK, found)
    how = {"win32": "winget install Python.Python.3.12", "darwin": "brew install python@3.12"}
    cure = how.get(sys.platform, "sudo apt install python3.12 python3.12-venv  # or your system's own installer")
    if environment() == "conda":
        cure = "conda install python=3.12"
    return Row("Python", PROBLEM, f"{found}; the course needs 3.11 or newer", cure)


def package_row(root=ROOT):
    """The packages that pyproject.toml asks for, against the versions in constraints.txt that were tested."""
    asked = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    pins = root / "constraints.txt"
    lines = pins.read_text(encoding="utf-8").splitlines() if pins.exists() else []
    tested = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", "\n".join(lines).lower(), re.M))
    missing, wrong, other = [], [], []
    for requirement in asked:
        name, least, below = re.match(r"([\w.-]+)(?:>=([\w.]+))?(?:,<([\w.]+))?", requirement).groups()
        here = installed(name)
        if here is None:
            missing.append(name)
        elif least and numbers(here) < numbers(least):
            wrong.append(f"{name} {here} is too old (needs {least} or newer)")
        elif below and numbers(here) >= numbers(below):
            wrong.append(f"{name} {here} is too new (needs one below {below})")
        elif name in tested and numbers(here) != numbers(tested[name]):
            other.append(f"{name} {here} (tested: {tested[name]})")
    cure = "conda env update -f environment.yml" if environment() == "conda" else pip_command("-c constraints.txt -e .")
    if missing or wrong:
        parts = [f"missing: {', '.join(missing)}"] * bool(missing) + wrong
        return Row("packages", PROBLEM, "; ".join(parts), cure)
    if other:
        return Row("packages", NOTE, f"differ from what was tested, which is often fine: {', '.join(other)}", cure)
    words = "in the versions that were tested" if tested else "not compared: constraints.txt is not here"
    return Row("packages", OK if tested else NOTE, f"all {len(asked)} there, {words}")


def torch_row(probe):
    """Are torch and torchvision there, and built for each other? probe: what hardware.look_at_torch() gave."""
    name, torch, vision = "torch, torchvision", version("torch"), version("torchvision")
    if torch is None or vision is None:
        gone = " and ".join(package for package, here in (("torch", torch), ("torchvision", vision)) if here is None)
        return Row(name, PROBLEM, f"{gone}: not installed", pip_command("-c constraints.txt -e ."))
    if "threads" not in probe:
        found = f"torch {torch} is installed but cannot be imported: {probe['error']}"
        return Row(name, PROBLEM, found, pip_command("--force-reinstall -c constraints.txt torch torchvision"))
    return pair_row(torch, vision, probe.get("error"))


def pair_row(torch, vision, error=None):
    """The pair of versions ("2.14.1+cpu", "0.29.1+cu130"), and what importing torchvision said (None: it works)."""
    words = []
    if numbers(vision)[1] != numbers(torch)[1] + 15:  # torch 2.N and torchvision 0.(N + 15) are released together
        words += [f"torchvision 0.{numbers(vision)[1]} belongs to torch 2.{numbers(vision)[1] - 15}"]
    built, needs = torch.partition("+")[2], vision.partition("+")[2]
    if built != needs and "cpu" in (built, needs):
        words += [
            f"torch is built for {'the CPU alone' if built == 'cpu' else 'CUDA'} and "
            f"torchvision for {'the CPU alone' if needs == 'cpu' else 'CUDA'}"
        ]
    if not words and not error:
        return Row("torch, torchvision", OK, f"{torch} and {vision}, built for each other")
    index = f" --index-url https://download.pytorch.org/whl/{built}" if built else ""
    cure = pip_command(f"--force-reinstall --no-deps torchvision~=0.{numbers(torch)[1] + 15}.0{index}")
    found = f"torch {torch} and torchvision {vision} are not built for each other"
    found += f": {'; '.join(words)}" if words else ""
    found += f'. Importing torchvision says "{error}"' if error else ". They work together here all the same"
    return Row("torch, torchvision", PROBLEM if error else NOTE, found, cure)


def version(name):
    """The version of an installed package with its build ("2.14.1+cpu"), read without importing it; None if missing."""
    spec = importlib.util.find_spec(name)
    written = Path(spec.origin).parent / "version.py" if spec and spec.origin else None
    if written and written.exists():
        return re.search(r"__version__ = ['\"](.+?)['\"]", written.read_text(encoding="utf-8"))[1]
    return installed(name)


def writable(folder):
    """None if a file can be written into the folder, else the system's own words."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)


def spoken(path):
    """A path as a person says it: what lies in the project is named from there."""
    if path == ROOT:
        return "the project's folder"
    return f"{path.relative_to(ROOT).as_posix()}/ of the project" if path.is_relative_to(ROOT) else str(path)


def own(folder, variable):
    """The command that lets us write: the project's folders become ours; in place of another, one at home is named."""
    if folder.is_relative_to(ROOT):
        mine = f'icacls "{folder}" /grant "%USERNAME%":(OI)(CI)F'
        return mine if os.name == "nt" else f'sudo chown -R "$USER" "{folder}"'
    home = Path.home() / "distillation"
    return f'$env:{variable}="{home}"' if os.name == "nt" else f'export {variable}="{home}"'


def workspace_row(folder=None):
    """Can the learner's work be saved?"""
    folder = Path(folder or os.environ.get("COURSE_WORKSPACE") or ROOT / "workspace")
    folder = nearest(folder.resolve())  # it is made by the first `course lab`
    trouble = writable(folder)
    if trouble:
        cure = own(folder, "COURSE_WORKSPACE")
        return Row("your work", PROBLEM, f"nothing can be saved in {spoken(folder)}: {trouble}", cure)
    return Row("your work", OK, f"can be saved in {spoken(folder)}")


def data_row(folder):
    """The data folder: there, writable, and which data sets it holds. The digits come with scikit-learn."""
    there = ["digits"] + [name for name, paths in SETS.items() if any(os.path.exists(folder / path) for path in paths)]
    found = f"at hand: {', '.join(there)}; folder: {spoken(folder)}"
    if not os.path.exists(folder) and may_write(folder):
        return Row("data folder", OK, f"{found}, made when something is downloaded")
    home = keep_folder(folder)
    trouble = os.path.exists(home) and writable(home) or (None if may_write(home) else "it is read-only")
    if trouble:
        cure = own(nearest(home), "COURSE_DATA")
        return Row("data folder", NOTE, f"{found}; nothing new can be kept in {spoken(home)}: {trouble}", cure)
    return Row(
        "data folder", OK, found + (f" (read-only: what is new goes to {spoken(home)})" if home != folder else "")
    )
