"""What the course asks to be installed is written once, resolves, and is asked for in words when it cannot be had."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course_lib import files
from course_lib.command import environment, packages
from tests.waiting import HANG

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def same(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned_to_a_version_that_its_range_allows():
    pinned = {same(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
    for requirement in ASKED:
        assert requirement.specifier.contains(pinned[same(requirement.name)]), requirement


def test_the_pins_are_exact_and_name_no_place():
    for pin in PINS:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        assert pin.url is None and not same(pin.name).startswith(("nvidia-", "cuda-", "triton")), pin
    assert "//" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_this_environment_holds_what_is_pinned():
    """So what the tests prove is what the learner gets."""
    here = {str(pin): importlib.metadata.version(pin.name).partition("+")[0] for pin in PINS}
    assert {pin: version for pin, version in here.items() if not pin.endswith(f"=={version}")} == {}


def test_every_pin_runs_on_the_oldest_python_that_is_promised():
    """Else pip looks for a way out among thousands of versions, for hours. Debian 12 has Python 3.11.2."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for pin in PINS:
        asks = importlib.metadata.metadata(pin.name)["Requires-Python"]
        assert SpecifierSet(asks or "").contains(oldest), f"{pin} needs Python {asks}: pin an older version of it"


def test_a_pin_of_torch_is_met_by_the_build_without_cuda():
    pin = next(pin for pin in PINS if pin.name == "torch")
    version = str(pin.specifier).removeprefix("==")
    assert SpecifierSet(str(pin.specifier)).contains(f"{version}+cpu")


def test_everything_that_is_imported_is_asked_for():
    asked = {same(requirement.name) for requirement in ASKED}
    homes = importlib.metadata.packages_distributions()
    ours = {"course_lib", "tests", "tools", *(path.stem for path in (ROOT / "tools").glob("*.py"))}
    for path in [*ROOT.glob("course_lib/**/*.py"), *ROOT.glob("solutions/*.py"), *ROOT.glob("t*s/**/*.py")]:
        for name in imported(path) - ours - sys.stdlib_module_names:
            assert asked & {same(home) for home in homes.get(name, [])} or name in BROUGHT, (
                f"{path.name} imports {name}"
            )


BROUGHT = {"jupyter_core", "jupyter_client", "zmq"}  # by jupyterlab, which cannot be without them


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_conda_gets_this_python_and_these_packages():
    """environment.yml names no package of its own: the project itself, with its pins, is what pip installs."""
    python, pip, through_pip = CONDA
    assert python == f"python{PROJECT['requires-python']}" and pip == "pip"
    assert through_pip == {"pip": ["-c constraints.txt", "-e ."]}


def test_the_pip_section_for_conda_resolves(tmp_path):
    """In a copy, since pip leaves a folder beside the project that it looks at."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-LESSONS"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "course_lib", tmp_path / "course_lib", ignore=shutil.ignore_patterns("__pycache__"))
    asked = tmp_path / "requirements.txt"
    lines = "\n".join(CONDA[2]["pip"]).replace("constraints.txt", str(ROOT / "constraints.txt"))
    asked.write_text(lines, encoding="utf-8")  # conda writes this file beside environment.yml
    report = tmp_path / "report.json"
    options = "--dry-run --quiet --retries=1 --timeout=15".split()
    command = [sys.executable, "-m", "pip", "install", *options, f"--report={report}", "-r", asked]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3 * HANG)
    if done.returncode and "could not be reached" in packages.why(done.stderr):
        pytest.skip("the package index cannot be reached from here")
    assert done.returncode == 0, done.stderr
    (ours,) = json.loads(report.read_text())["install"]  # the rest is here already, in the versions that are pinned
    needed = {str(Requirement(line)) for line in ours["metadata"]["requires_dist"] if "extra ==" not in line}
    assert needed == {str(Requirement(line)) for line in PROJECT["dependencies"]}


def test_here_nothing_is_lacking_and_elsewhere_the_lack_has_a_name(tmp_path):
    assert environment.lacking(ROOT, "test") == []
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch<2", "no-such-package-at-all"]\n')
    old, gone, ours = environment.lacking(tmp_path)
    assert old == f"torch<2 (installed: {importlib.metadata.version('torch')})"
    assert gone == "no-such-package-at-all (not installed)"
    assert str(tmp_path) in ours


def test_another_clone_beside_this_one_is_not_taken_for_this_one(tmp_path):
    assert environment.here(ROOT) and not environment.here(tmp_path)


@pytest.fixture
def silent():
    """A port of this computer that nobody else has and nobody listens on."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        yield str(door.getsockname()[1])


@pytest.mark.parametrize(
    ("index", "word"),
    [("http://127.0.0.1:SILENT/simple", "could not be reached"), ("EMPTY", "no version that fits")],
)
def test_what_pip_could_not_do_is_said_in_a_sentence(tmp_path, monkeypatch, silent, index, word):
    """A real pip, against an index that is not there, and against one that is empty."""
    (tmp_path / "empty").mkdir()
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", index.replace("EMPTY", (tmp_path / "empty").as_uri()).replace("SILENT", silent))
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(environment.Refused, match=word) as refused:
        packages.pip(sys.executable, ["no-such-package-at-all"], tmp_path)
    assert "run the same command again" in str(refused.value)


def test_a_disk_that_is_too_small_is_named_before_anything_is_downloaded(tmp_path):
    with pytest.raises(environment.Refused, match=r"needs about 100000000 GB .* GB are free") as refused:
        environment.refuse_without_room(tmp_path, "default", 100_000_000)
    assert "TORCH=cpu" in str(refused.value)


def test_a_python_without_venv_is_told_which_package_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)  # as on Debian without python3-venv: importing it fails
    with pytest.raises(environment.Refused, match=r"sudo apt-get install python3\.\d+-venv"):
        environment.refuse_without_venv()


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course that needs no package, and says so in the files that the real one has."""
    root = tmp_path / "my course, 100% mine"
    (root / "course_lib/command").mkdir(parents=True)
    for name in ("environment", "packages", "refused"):
        shutil.copy(Path(environment.__file__).with_name(f"{name}.py"), root / "course_lib/command")
    shutil.copy(files.__file__, root / "course_lib")
    (root / "course_lib/__init__.py").write_text("")
    (root / "course_lib/command/__init__.py").write_text("")
    (root / "constraints.txt").write_text("")
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "distillation-hands-on"\nversion = "0"\ndependencies = []\n'
        '[tool.setuptools]\npackages = ["course_lib", "course_lib.command"]\n'
    )
    monkeypatch.setattr(environment, "GIGABYTES", {"default": 0, "cpu": 0})
    return root


def test_torch_without_cuda_comes_with_its_own_torchvision_before_all_else(small_course, monkeypatch):
    """Both from one index and alone, else one is built for CUDA and the other is not. The index itself is not asked here."""
    calls = []
    monkeypatch.setattr(environment, "make", lambda folder: folder.mkdir())
    monkeypatch.setattr(environment, "pip", lambda python, arguments, root: calls.append(arguments))
    environment.python_for(small_course, torch="cpu", say=lambda sentence: None)
    first, second = calls
    assert first[-2:] == ["torch", "torchvision"] and "--no-deps" in first and "-c" in first
    assert first[first.index("--index-url") + 1] == environment.CPU_INDEX
    assert second == ["-c", str(small_course / "constraints.txt"), "-e", str(small_course)]
    assert environment.read_stamp(small_course / ".venv")["torch"] == "cpu"


def test_an_interrupted_setup_is_finished_and_a_finished_one_is_left_alone(small_course, monkeypatch):
    """With a real .venv and a real pip."""
    said, calls, pip = [], [], environment.pip

    def stopped(python, arguments, root):
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "pip", stopped)
    with pytest.raises(KeyboardInterrupt):
        environment.python_for(small_course, say=said.append)
    assert environment.python_there(small_course) == sys.executable
    assert environment.read_stamp(small_course / ".venv")["state"] == "filling"

    def offline(python, arguments, root):
        calls.append(arguments)
        pip(python, ["--no-build-isolation", "--no-index", *arguments], root)

    monkeypatch.setattr(environment, "pip", offline)
    python = small_course / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(Path(importlib.metadata.distribution("setuptools").locate_file(""))))
    assert environment.python_for(small_course, say=said.append) == str(python)
    assert any("interrupted" in sentence for sentence in said)
    assert environment.read_stamp(small_course / ".venv")["state"] == "ready"
    before = len(calls)
    assert environment.python_for(small_course, say=said.append) == str(python)
    assert len(calls) == before
    assert environment.python_there(small_course) == str(python)  # whose packages the doctor looks at

    # An update that cannot be had (no network) is no reason not to learn, as long as what is installed fits.
    (small_course / "constraints.txt").write_text("# newer\n")
    monkeypatch.setattr(environment, "pip", refusing)
    assert environment.python_for(small_course, say=said.append) == str(python)
    assert "still fits" in said[-1]
    text = (small_course / "pyproject.toml").read_text().replace("dependencies = []", 'dependencies = ["torch<2"]')
    (small_course / "pyproject.toml").write_text(text)
    with pytest.raises(environment.Refused, match="no network"):
        environment.python_for(small_course, say=said.append)


def refusing(python, arguments, root):
    raise environment.Refused("no network")
