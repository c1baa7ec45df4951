"""A program runs in one process or in two, which train the same model; what they say never mixes; errors are sentences."""

import contextlib
import importlib
import io
import os
import time

import pytest
import torch

from course_lib.train import launch

PROGRAM = """
import torch
from course_lib.losses import cross_entropy
from course_lib.models import mlp
from course_lib.train import fit
from course_lib.train.processes import team

x, y = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3
for line in range(50):
    print(f"line {line} of", team(x.device).size, flush=True)
model = fit(mlp(16, 8, 3), (x, y), cross_entropy, epochs=2, batch_size=8)
"""


@pytest.fixture(scope="module")
def two():
    """The weights that two processes give, and the lines that they print."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        weights = launch(PROGRAM, processes=2)
    return weights, said.getvalue().splitlines()


def test_two_processes_train_what_one_trains(two, capsys):
    one = launch(PROGRAM, processes=1)
    torch.testing.assert_close(two[0], dict(one), atol=1e-5, rtol=0)
    assert "line 49 of 1" in capsys.readouterr().out


def test_what_two_processes_print_never_mixes(two):
    said = [line for line in two[1] if ": line " in line]  # a busy machine adds lines of progress
    assert said == [f"process {rank}: line {line} of 2" for rank in (0, 1) for line in range(50)]


def test_an_error_is_a_sentence_and_what_was_printed_before_is_shown(capsys):
    with pytest.raises(RuntimeError, match=r"^2 processes did not end well\. ValueError: the cat sat on it$"):
        launch("print('so far')\nraise ValueError('the cat sat on it')", processes=2)
    assert "process 0: so far\n" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows ends the starter alone")
def test_processes_that_do_not_end_are_stopped_and_none_is_left(tmp_path, monkeypatch):
    """The patience ends once both have begun, however long that takes."""
    pids = tmp_path / "pids"
    pids.mkdir()

    def impatient(running, *_):
        while len(list(pids.iterdir())) < 2 and running.poll() is None:
            time.sleep(0.05)
        return False

    monkeypatch.setattr(importlib.import_module("course_lib.train.launch"), "_wait", impatient)
    with pytest.raises(RuntimeError, match="2 processes had not ended after 7 s, and were stopped"):
        launch(
            f"import os, pathlib, time\npathlib.Path({str(pids)!r}, str(os.getpid())).touch()\ntime.sleep(1000)", 2, 7
        )
    assert len(list(pids.iterdir())) == 2
    for path in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_patience_ends(capsys):
    with pytest.raises(RuntimeError, match="2 processes had not ended after 0 s, and were stopped"):
        launch(PROGRAM, processes=2, patience=0)
