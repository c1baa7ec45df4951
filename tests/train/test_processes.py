"""Two processes under torchrun train the model that one trains with the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from course_lib import train
from course_lib.data import some_views
from course_lib.models import mlp
from course_lib.train.processes import Several, team
from tests.waiting import HANG

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=GENERATOR)
Y = torch.randint(0, 10, (50,), generator=GENERATOR)
HOW = dict(epochs=3, batch_size=16, lr=0.01, seed=1, views=some_views(4, shift=1))

PROGRAM = """
import sys
import torch
import torch.distributed as dist
sys.path.insert(0, {tests!r})
from torch import nn
from tests.train.test_processes import HOW, X, Y, mlp, F, train

model = train.fit(mlp(64, 32, 10), (X, Y), F.cross_entropy, checkpoint=sys.argv[1] + "/state", **HOW)
assert dist.get_world_size() == 2
patience = dist.group.WORLD._get_backend(torch.device("cpu")).options._timeout
with open(f"{{sys.argv[1]}}/patience-{{dist.get_rank()}}", "w") as file:
    file.write(str(patience.total_seconds()))
torch.save(model.state_dict(), f"{{sys.argv[1]}}/{{dist.get_rank()}}")
network = train.fit(nn.Sequential(mlp(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)), (X[:48], Y[:48]), F.cross_entropy, **HOW)
torch.save(network.state_dict(), f"{{sys.argv[1]}}/normalised-{{dist.get_rank()}}")
if dist.get_rank() == 0:  # one process alone has a checkpoint: the other would wait for ever
    own = sys.argv[1] + "/own"
else:
    own = sys.argv[1] + "/none"
try:
    if dist.get_rank() == 0:
        torch.save(torch.load(sys.argv[1] + "/state"), own)
    train.fit(mlp(64, 32, 10), (X, Y), F.cross_entropy, checkpoint=own, **HOW)
except ValueError as error:
    assert "start from different epochs ([3, 0])" in str(error), error
else:
    raise AssertionError("it went on")
dist.destroy_process_group()
"""


def torchrun(program, *arguments):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--standalone",
        program,
        *arguments,
    ]
    on_the_cpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # a machine may have one GPU
    return subprocess.run(command, cwd=ROOT, env=on_the_cpu, capture_output=True, text=True, timeout=3 * HANG)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes left their weights and their checkpoint."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "program.py").write_text(PROGRAM.format(tests=str(ROOT)))
    ran = torchrun(folder / "program.py", folder)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


def test_two_processes_equal_one_with_the_same_global_batch(two):
    """50 examples in batches of 16: the last batch has 2, one for each process."""
    one = train.fit(mlp(64, 32, 10), (X, Y), F.cross_entropy, **HOW)
    for rank in "01":
        torch.testing.assert_close(torch.load(two / rank), one.state_dict(), atol=1e-5, rtol=0)


def test_two_processes_end_with_the_same_running_figures(two):
    one, other = (torch.load(two / f"normalised-{rank}") for rank in "01")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_process_may_let_the_other_wait_for_hours(two):
    """While it asks the teacher, say. torch's own patience is 30 minutes, and 10 on GPUs."""
    assert [float((two / f"patience-{rank}").read_text()) for rank in "01"] == [24 * 3600] * 2


def test_what_two_processes_left_one_can_finish(two):
    model, seen = mlp(64, 32, 10), []
    model.register_forward_hook(lambda *_: seen.append(1))
    train.fit(model, (X, Y), F.cross_entropy, checkpoint=two / "state", **HOW)
    assert not seen
    torch.testing.assert_close(model.state_dict(), torch.load(two / "0"))


def test_unequal_shares_weigh_as_one_batch_would():
    batch, gradients = torch.arange(7), torch.rand(7)
    shares = []
    for rank in range(2):
        process = object.__new__(Several)
        process.rank, process.size = rank, 2
        mine, weight = process.share(batch)
        shares.append(weight * gradients[mine].mean())
    torch.testing.assert_close(sum(shares) / 2, gradients.mean())


def test_a_batch_that_is_too_small_to_be_shared_gets_a_sentence():
    process = object.__new__(Several)
    process.rank, process.size = 0, 2
    with pytest.raises(ValueError, match="a batch of 1 cannot be shared by 2 processes"):
        process.share(torch.arange(1))


def test_without_torchrun_there_is_one_process_and_no_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # an import of it would fail
    assert team(torch.device("cpu")).size == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ImportError, match="pip install accelerate"):
        team(torch.device("cpu"))


def test_an_unknown_precision_gets_a_sentence():
    with pytest.raises(ValueError, match='"float32" or "bfloat16"; it came as \'half\''):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, precision="half")
