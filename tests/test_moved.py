"""A lesson of 0.1.0 that a learner has touched runs under this version, and says which names are now elsewhere."""

import importlib
import importlib.machinery
import sys
import tomllib
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import course_lib
from course_lib import _moved
from tests.waiting import HANG

ROOT = Path(__file__).resolve().parents[1]

IMPORTS = """
from course_lib import arena, attack, plots
from course_lib import exercises
from course_lib import losses, museum, plots
from course_lib import machine, plots
from course_lib import plots, record
from course_lib.attack import OverBudget
from course_lib.cache import Cached, Online, build
from course_lib.checks import check, hint
from course_lib.convnets import network
from course_lib.cost import count_flops, count_seconds
from course_lib.data import load, load_uint8, stratified_split
from course_lib.download import ROOT, DataError, keep_folder
from course_lib.live import explore, show, slider
from course_lib.loop import one_cycle, sgd
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.machine import device, pick, tier
from course_lib.measure import accuracy, agreement, calibration, compare, correct, estimate, same_answer
from course_lib.models import Ensemble, freeze, mlp
from course_lib.processes import is_first
from course_lib.train import fit, fit_many, predict
from course_lib.vault import honest, toll
from course_lib.vault.client import connect
from course_lib.vault.local import local_vault
from course_lib.vault.policy import parse
from course_lib.vault.service import Service
from course_lib.vault.victims import victims
from course_lib.views import all_views, as_numbers, augment, some_views
""".strip().splitlines()  # of the eight lessons and docs/vault.md of 0.1.0, each once

USES = {  # what those lessons did with the modules that they imported
    "course_lib.arena": "copies judge_set shares",
    "course_lib.attack": "agreement_on by_base clustered copy_by_training filled same_by_base solve_weighed with_one",
    "course_lib.exercises": "strict",
    "course_lib.losses": "kd_loss",
    "course_lib.machine": "doctor",
    "course_lib.museum": "ANSWERS LOSSES PLAQUES SETUPS fair_epoch plaque",
    "course_lib.plots": "PLAIN ROLE estimates figure heatmap lines look looks picture pictures probabilities reliability",
    "course_lib.record": "read surroundings words write",
    "course_lib.vault.honest": "BEHAVIOURS Clock Question behaviour_of curious_student noisy_camera serve stream through traffic",
    "course_lib.vault.toll": "cost only",
}

NOW = {  # and where what moved is now
    "course_lib.arena": "course_lib.data.arena",
    "course_lib.cache": "course_lib.answers",
    "course_lib.convnets": "course_lib.models",
    "course_lib.cost": "course_lib.measure",
    "course_lib.download": "course_lib.files",
    "course_lib.exercises": "course_lib.checks",
    "course_lib.loop": "course_lib.train",
    "course_lib.museum": "course_lib.checks.museum",
    "course_lib.processes": "course_lib.train",
    "course_lib.record": "course_lib.measure.record",
    "course_lib.views": "course_lib.data",
    "course_lib.vault.toll": "course_lib.vault.honest",
}


@pytest.fixture(autouse=True)
def nothing_told_yet():
    """As in a fresh Python: no old module was imported, so no name of one was told."""
    for name in _moved.WHERE:
        sys.modules.pop(f"course_lib.{name}", None)
        parent, _, child = f"course_lib.{name}".rpartition(".")
        vars(sys.modules.get(parent, course_lib)).pop(child, None)


def ran(code):
    """What a learner's file of this code says: [(sentence, file, line)]; and its names."""
    names = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(compile(code, "my_lesson.py", "exec"), names)
    return [(str(one.message), one.filename, one.lineno) for one in told], names


def sentence(old, name):
    """What is said of a name of an old module."""
    now = NOW[old]
    return f"{old}.{name} is now {now}.{name}: import it from {now}. The old name works until version 0.3.0."


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_of_the_version_before_works_and_each_name_that_moved_is_told(line):
    module, names = line.removeprefix("from ").split(" import ")
    told, found = ran(f"\n\n{line}")
    expected = [(sentence(module, name), "my_lesson.py", 3) for name in names.split(", ")] if module in NOW else []
    assert told == expected
    if module in NOW:
        for name in names.split(", "):
            assert found[name] is getattr(importlib.import_module(NOW[module]), name)


@pytest.mark.parametrize("module", USES)
def test_a_name_of_an_imported_module_works_and_is_told_once_with_the_learners_line(module):
    package, _, short = module.rpartition(".")
    uses = [f"{short}.{name}" for name in USES[module].split()]
    told, _ = ran("\n".join([f"from {package} import {short}", *uses, *uses]))
    names = enumerate(USES[module].split(), 2)
    assert told == ([(sentence(module, name), "my_lesson.py", line) for line, name in names] if module in NOW else [])


def test_the_dotted_form_works_too():
    told, names = ran("import course_lib.vault.toll\nprice = course_lib.vault.toll.cost")
    assert told == [(sentence("course_lib.vault.toll", "cost"), "my_lesson.py", 2)] and callable(names["price"])


def test_in_a_notebook_the_sentence_stands_alone(tmp_path):
    """A real kernel: no path, no line of code, nothing but the sentence, once."""
    cell = nbformat.v4.new_code_cell(
        'from course_lib import exercises, museum\nmuseum.LOSSES["a"]\nmuseum.LOSSES["b"]\nexercises.strict()'
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=HANG, startup_timeout=HANG, resources={"metadata": {"path": str(ROOT)}}).execute()
    (output,) = cell.outputs
    assert output.name == "stderr"
    assert output.text.splitlines() == [
        sentence("course_lib.museum", "LOSSES"),
        sentence("course_lib.exercises", "strict"),
    ]


def test_a_name_that_never_was_says_where_the_module_is_now():
    from course_lib import museum

    with pytest.raises(
        AttributeError, match="course_lib.museum has moved to course_lib.checks.museum, where there is no"
    ):
        museum.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from course_lib.museum import nothing")
    with pytest.raises(ModuleNotFoundError, match="course_lib.musem"):
        importlib.import_module("course_lib.musem")


def test_every_entry_leads_somewhere_and_none_hides_a_module_that_is_there():
    for old, files in _moved.WHERE.items():
        for file in files:
            assert isinstance(importlib.import_module(f"course_lib.{file}"), type(sys)), file
        parent = importlib.import_module(f"course_lib.{old}".rpartition(".")[0])
        assert importlib.machinery.PathFinder.find_spec(f"course_lib.{old}", parent.__path__) is None, old


def test_the_old_names_are_gone_in_the_version_that_says_so():
    """When this fails, _moved.py and this file go, and docs/library.md says so no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, gone = ([int(part) for part in one.split(".")] for one in (project["version"], _moved.GONE))
    assert version < gone
