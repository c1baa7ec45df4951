"""The training loop at speed: each fast path trains what the plain one trains, and nothing is lost when it stops."""

import itertools
import os
import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib import train
from course_lib.answers import Cached, Online, build
from course_lib.data import as_numbers, augment, choose, some_views
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.models import mlp, network, state_hash
from course_lib.train import GpuFull, adam, checkpoint, loop, one_cycle, order, sgd

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 256, (48, 1, 8, 8), dtype=torch.uint8, generator=GENERATOR)
Y = torch.randint(0, 10, (48,), generator=GENERATOR)
VIEWS = some_views(4, shift=1)


def small(seed=0):
    return network("resnet8", 10, channels=1, seed=seed)


@pytest.fixture
def teacher():
    net = small(7)
    with torch.no_grad():
        net.train()(as_numbers(X))
    return net.eval()


def assert_same(model, other, atol=1e-6):
    for (name, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, atol=atol, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


# ---- what is trained ----


def test_fit_with_views_is_the_loop_that_a_page_of_torch_would_hold(teacher):
    model, twin = small(), small()
    how = dict(epochs=2, batch_size=20, lr=0.05, seed=3)
    train.fit(model, (X, Y, Online(teacher)), distill_loss, views=VIEWS, optimiser=sgd, schedule=one_cycle, **how)
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = 0
    for epoch in range(2):
        twin.train()
        view = choose(VIEWS, 48, 3, epoch)
        for rows in order(48, 3, epoch).split(20):
            seen = augment(X[rows], view[rows], 1) / 255
            optimiser.param_groups[0]["lr"] = 0.05 * one_cycle(steps / 6)
            with torch.no_grad():
                answers = teacher(seen)
            optimiser.zero_grad()
            distill_loss(twin(seen), Y[rows], answers).backward()
            optimiser.step()
            steps += 1
    assert_same(model, twin.eval())


def test_a_cached_teacher_trains_the_student_that_an_online_teacher_trains(teacher, tmp_path):
    cached = build(tmp_path / "answers", teacher, X, VIEWS, dtype=torch.float32)
    one, other = (
        train.fit(small(), (X, answers), kd_loss, epochs=4, batch_size=16, views=VIEWS, optimiser=sgd, lr=0.02)
        for answers in (cached, Online(teacher))
    )
    assert_same(one, other, atol=1e-4)


def test_student_and_teacher_see_the_same_pictures(teacher):
    seen = {"student": [], "teacher": []}
    student = small()
    student.register_forward_pre_hook(lambda _, x: seen["student"].append(x[0]))
    teacher.register_forward_pre_hook(lambda _, x: seen["teacher"].append(x[0]))
    train.fit(student, (X, Online(teacher)), kd_loss, epochs=1, batch_size=16, views=VIEWS)
    assert len(seen["student"]) == 3 and all(map(torch.equal, seen["student"], seen["teacher"]))


def test_the_teacher_is_the_same_before_and_after_and_gets_no_gradient(teacher):
    before = state_hash(teacher)
    train.fit(small(), (X, Y, Online(teacher)), distill_loss, epochs=2, batch_size=16, views=VIEWS)
    assert state_hash(teacher) == before and all(p.grad is None for p in teacher.parameters())


def test_distilling_from_answers_alone_reads_no_label(teacher):
    one, other = (
        train.fit(small(), (X, y, Online(teacher)), lambda z, y, t: kd_loss(z, t), epochs=1, views=VIEWS)
        for y in (Y, torch.full_like(Y, -1))
    )
    assert_same(one, other, atol=0)


# ---- what makes it fast ----


def test_channels_last_trains_the_same_student(teacher):
    one, other = (
        train.fit(small(), (X, Y), cross_entropy, epochs=2, batch_size=16, channels_last=fast, optimiser=sgd, lr=0.02)
        for fast in (False, True)
    )
    assert next(p for p in other.parameters() if p.dim() == 4).is_contiguous(memory_format=torch.channels_last)
    assert_same(one, other, atol=1e-4)


def test_compile_trains_the_same_student():
    def tiny():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

    one, other = (
        train.fit(tiny(), (X, Y), cross_entropy, epochs=1, batch_size=16, compile=fast, optimiser=sgd, lr=0.02)
        for fast in (False, True)
    )
    assert_same(one, other, atol=1e-4)


def test_bfloat16_computes_in_half_the_bytes_and_keeps_the_weights_in_float32(teacher):
    student, types = small(), []
    student[1][0].register_forward_hook(lambda _, x, out: types.append(out.dtype))
    train.fit(student, (X, Y, Online(teacher)), distill_loss, epochs=1, batch_size=16, precision="bfloat16", lr=1e-3)
    assert set(types) == {torch.bfloat16} and {p.dtype for p in student.parameters()} == {torch.float32}


def backwards(logits, labels, teacher_logits, T=4.0):
    """distill_loss with KL(student || teacher) in place of KL(teacher || student)."""
    log_q, log_p = F.log_softmax(logits / T, dim=-1), F.log_softmax(teacher_logits / T, dim=-1)
    return 0.1 * cross_entropy(logits, labels) + 0.9 * T**2 * (log_q.exp() * (log_q - log_p)).sum(-1).mean()


def test_bfloat16_teaches_what_float32_teaches_and_another_objective_would_show(teacher):
    with torch.no_grad():
        teacher[-1].weight *= 100  # logits of about 4: a teacher that is sure, so that the temperature matters

    def first_loss_and_way(loss, precision):
        student, values = small(), []

        def kept(*answers):
            values.append(loss(*answers))
            return values[-1]

        start = nn.utils.parameters_to_vector(student.parameters()).detach()
        train.fit(student, (X, Y, Online(teacher)), kept, epochs=1, batch_size=16, precision=precision, lr=1e-3)
        return values[0].item(), nn.utils.parameters_to_vector(student.parameters()).detach() - start

    value, way = first_loss_and_way(distill_loss, "float32")
    for loss, same in ((distill_loss, True), (partial(distill_loss, T=1.0), False), (backwards, False)):
        half_value, half_way = first_loss_and_way(loss, "bfloat16")
        assert (half_value == pytest.approx(value, rel=0.01)) == same  # a bfloat16 is exact to 0.4%
        assert (F.cosine_similarity(half_way, way, dim=0) > 0.95) == same


class Kernels(TorchDispatchMode):
    """Counts the kernels whose result, or its shape, the processor has to know before it goes on."""

    aten = torch.ops.aten
    waits = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.equal, aten.is_nonzero)

    def __init__(self, count):
        super().__init__()
        self.count = count

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        at = arguments[1] if function.overloadpacket in (self.aten.index, self.aten.index_put_) else ()
        by_mask = any(i is not None and i.dtype == torch.bool for i in at)
        if by_mask or function.overloadpacket in self.waits:
            self.count.append(function)
        return function(*arguments, **(named or {}))


class Calls(TorchFunctionMode):
    """Counts the calls that bring a tensor to the processor: where it is there already, no kernel shows them."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def __torch_function__(self, function, types, arguments=(), named=None):
        name = getattr(function, "__name__", "")
        values = [*arguments[1:], *(named or {}).values()]
        to_cpu = name == "to" and any(
            isinstance(v, str | torch.device) and torch.device(v).type == "cpu" for v in values
        )
        if to_cpu or name in ("cpu", "numpy", "tolist", "__array__"):
            self.count.append(function)
        return function(*arguments, **(named or {}))


def waits(targets, loss, batch_size, **how):
    """How often a training on the CPU does what would stop it on a GPU until all is computed."""
    count = []
    with Calls(count), Kernels(count):
        train.fit(mlp(64, 10), (X, *targets), loss, epochs=2, batch_size=batch_size, views=VIEWS, **how)
    return len(count)


@pytest.mark.parametrize("precision, optimiser", [("float32", adam), ("bfloat16", sgd)])
@pytest.mark.parametrize("kind", ["labels", "cached", "online"])
def test_no_step_waits_for_a_number(kind, precision, optimiser):
    teacher = mlp(64, 10, seed=1)
    targets, loss = {
        "labels": ((Y,), cross_entropy),
        "cached": ((Y, Cached(torch.randn(4, 48, 10), VIEWS)), distill_loss),
        "online": ((Y, Online(teacher)), distill_loss),
    }[kind]
    how = dict(precision=precision, optimiser=optimiser, schedule=one_cycle)
    assert waits(targets, loss, batch_size=4, **how) == waits(targets, loss, batch_size=48, **how)


WAITS = {
    "item": lambda t: t.sum().item(),
    "float": lambda t: float(t.sum()),
    "if": lambda t: bool(t.sum() > 0),
    "cpu": lambda t: t.cpu(),
    "to": lambda t: t.to("cpu"),
    "to a device": lambda t: t.to(device=torch.device("cpu"), dtype=torch.float64),
    "numpy": lambda t: t.numpy(),
    "asarray": lambda t: np.asarray(t),
    "tolist": lambda t: t.tolist(),
    "nonzero": lambda t: t.nonzero(),
    "where": lambda t: torch.where(t > 0),
    "mask": lambda t: t[t > 0],
    "equal": lambda t: torch.equal(t, t),
}


@pytest.mark.parametrize("way", WAITS)
def test_the_counter_sees_a_target_that_waits_at_every_step(way):
    class Waits(Cached):
        def at(self, rows, view, x=None):
            answers = super().at(rows, view)
            WAITS[way](answers)
            return answers

    target = Waits(torch.randn(4, 48, 10), VIEWS)
    assert waits((target,), kd_loss, batch_size=12) - waits((target,), kd_loss, batch_size=48) >= 2 * 3


def test_a_full_gpu_gets_a_batch_size_to_try():
    class Full(nn.Linear):
        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(MemoryError, match="batch_size=48: try batch_size=24"):
        train.fit(nn.Sequential(nn.Flatten(), Full(64, 10)), (X, Y), F.cross_entropy, batch_size=48)


def test_a_full_gpu_gets_another_advice_where_the_batch_is_one_picture():
    def full(logits, labels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(GpuFull, match="batch_size=1: try a smaller network, or smaller pictures"):
        train.fit(mlp(64, 10), (X, Y), full, batch_size=1)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_gpu_gets_a_batch_size_to_try_from_fit_many_too(call):
    """Whether one student alone fills it, the first look at all of them together, or a step."""
    calls = itertools.count(1)

    def full(logits, labels):
        if next(calls) == call:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return F.cross_entropy(logits, labels)

    with pytest.raises(GpuFull, match="batch_size=8: try batch_size=4"):
        train.fit_many(lambda seed: mlp(64, 10, seed=seed), (as_numbers(X), Y), full, seeds=2, batch_size=8)


def test_a_full_gpu_is_left_without_the_steps_activations_and_gradients():
    kept, model = [], small()

    class Full(torch.optim.SGD):
        def step(self):  # an optimiser takes its memory in the first step, when the gradients are there
            raise torch.OutOfMemoryError("CUDA out of memory")

    def loss(logits, labels):
        kept.append(weakref.ref(logits))
        return cross_entropy(logits, labels)

    with pytest.raises(GpuFull) as told:
        train.fit(model, (X, Y), loss, optimiser=Full)
    assert told.value is not None and kept[0]() is None  # although the error is still at hand, as in a notebook
    assert all(p.grad is None for p in model.parameters())


def test_a_full_gpu_gets_a_sentence_from_the_cache_and_from_predict_too(teacher, tmp_path):
    def full_with_many(_, x):
        if len(x[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    teacher.register_forward_pre_hook(full_with_many)
    with pytest.raises(GpuFull, match="batch_size=20: try batch_size=10"):
        build(tmp_path / "answers", teacher, X, VIEWS, batch_size=20)
    for models in (teacher, [teacher]):
        with pytest.raises(GpuFull, match="batch_size=6: try batch_size=3"):
            train.predict(models, X, batch_size=6)
    assert train.predict(teacher, X[:2], batch_size=1).shape == (2, 10)
    assert len(build(tmp_path / "answers", teacher, X[:3], VIEWS, batch_size=1)) == 3


def test_pictures_have_the_layout_that_was_asked_for():
    for channels_last, layout in ((False, torch.contiguous_format), (True, torch.channels_last)):
        student, seen = network("resnet8", 10, channels=3), []
        student.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
        x = X.expand(-1, 3, -1, -1)
        train.fit(student, (x, Y), cross_entropy, epochs=1, batch_size=16, views=VIEWS, channels_last=channels_last)
        assert len(seen) == 3 and all(one.is_contiguous(memory_format=layout) for one in seen)


def test_views_that_the_teacher_was_not_asked_in_are_refused(teacher, tmp_path):
    answers = build(tmp_path / "answers", teacher, X, VIEWS)
    for views in (None, some_views(4, shift=2), some_views(4, shift=1, seed=1)):
        with pytest.raises(ValueError, match="asked in other views than fit is given"):
            train.fit(small(), (X, answers), kd_loss, epochs=1, views=views)
    for views in (4, VIEWS.ids):
        with pytest.raises(TypeError, match=r"views is Views\(ids, shift\), say some_views\(16\)"):
            train.fit(small(), (X, Y), cross_entropy, epochs=1, views=views)


def test_a_network_that_diverged_answers_as_before_that_epoch():
    student = small().eval()
    before = student(as_numbers(X))
    with pytest.raises(FloatingPointError, match="weights are as they were before that epoch"):
        train.fit(student, (X, Y), cross_entropy, epochs=2, batch_size=16, lr=1e25, optimiser=sgd)
    assert torch.equal(student(as_numbers(X)), before)


def test_the_step_sizes_of_an_optimisers_groups_keep_their_proportion():
    made = []

    def two_groups(parameters, lr):
        first, *others = parameters
        made.append(torch.optim.SGD([{"params": [first], "lr": lr / 10}, {"params": others}], lr=lr))
        return made[0]

    train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=1, lr=0.5, optimiser=two_groups, schedule=lambda _: 0.5)
    assert [group["lr"] for group in made[0].param_groups] == [0.025, 0.25]


# ---- nothing is lost ----

RUN = """
import sys
import torch
from torch import nn
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from tests.train.test_loop import X, Y, VIEWS, small
from course_lib import train
from course_lib.train.loop import adam, one_cycle, sgd
from course_lib.losses import cross_entropy

torch.manual_seed(int(sys.argv[2]))  # whatever the learner's generator holds
model = nn.Sequential(small(), nn.Dropout(0.1))
steps = []
def stop(*_):
    steps.append(1)
    if len(steps) == 9:  # of 6 in an epoch
        print("in the second epoch", flush=True)
        sys.stdin.read()  # until it is killed
if len(sys.argv) > 3:
    model.register_forward_hook(stop)
train.fit(model, (X, Y), cross_entropy, epochs=3, batch_size=8, views=VIEWS, optimiser=sgd, lr=0.05,
          schedule=one_cycle, checkpoint=sys.argv[1] + "/state")
torch.save(model.state_dict(), sys.argv[1] + "/weights")
"""


def run(folder, seed, *stop):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", RUN.format(tests=str(ROOT)), str(folder), str(seed), *stop]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_training_that_is_killed_in_mid_epoch_ends_with_the_same_bits(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ended = run(whole, 1)
    ended.communicate()
    child = run(broken, 2, "stop")
    assert "second epoch" in child.stdout.readline(), "it ended before it could be killed"
    child.kill()
    child.communicate()
    assert (broken / "state").exists() and not (broken / "weights").exists()
    again = run(broken, 3)
    again.communicate()
    assert [ended.returncode, again.returncode] == [0, 0] and child.returncode
    one, other = (torch.load(folder / "weights") for folder in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_training_is_refused_and_the_difference_named(tmp_path):
    path = tmp_path / "state"
    train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=1, lr=0.01, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(
        checkpoint.OtherTraining, match=r"another training \(epochs: 1 there, 2 here; lr: 0.01 there, 0.02 here\)"
    ):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=2, lr=0.02, checkpoint=path)
    for other in ((X.flip(0), Y), (X, Y.flip(0))):
        with pytest.raises(checkpoint.OtherTraining, match="data: "):
            train.fit(mlp(64, 10), other, F.cross_entropy, epochs=1, lr=0.01, checkpoint=path)
    with pytest.raises(checkpoint.OtherTraining, match="model: .*Has this model learned since"):
        train.fit(mlp(64, 10, seed=1), (X, Y), F.cross_entropy, epochs=1, lr=0.01, checkpoint=path)
    assert path.read_bytes() == before


def test_a_finished_training_is_not_repeated(tmp_path):
    one = train.fit(small(), (X, Y), cross_entropy, epochs=2, checkpoint=tmp_path / "state")
    seen = []
    again = small()
    again.register_forward_hook(lambda *_: seen.append(1))
    train.fit(again, (X, Y), cross_entropy, epochs=2, checkpoint=tmp_path / "state")
    assert not seen
    assert_same(one, again, atol=0)


def test_a_damaged_checkpoint_gets_a_sentence(tmp_path):
    (tmp_path / "state").write_bytes(b"PK half a file")
    with pytest.raises(checkpoint.OtherTraining, match="is damaged or is no checkpoint; delete it"):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=1, checkpoint=tmp_path / "state")


def test_a_checkpoint_runs_nothing_that_is_in_it(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was run"),)

    torch.save({"settings": Trap()}, tmp_path / "state")
    with pytest.raises(checkpoint.OtherTraining):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=1, checkpoint=tmp_path / "state")
    assert not (tmp_path / "was run").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "state"
    writes, save = [], torch.save

    def full(*arguments):
        writes.append(1)
        if len(writes) > 1:
            raise OSError(28, "No space left on device")
        save(*arguments)

    monkeypatch.setattr(checkpoint.torch, "save", full)
    model = mlp(64, 10)
    with pytest.raises(OSError, match="The one before it is unharmed"):
        train.fit(model, (X, Y), F.cross_entropy, epochs=3, checkpoint=path)
    assert torch.load(path)["epoch"] == 1 and [p.name for p in tmp_path.iterdir()] == ["state"]


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys):
    def stop(epoch, _):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, epochs=4, on_epoch=stop, checkpoint=tmp_path / "state")
    said = capsys.readouterr().out
    assert "keeps what it has learned so far" in said
    assert "state holds its last whole epoch: to go on from there, build the model anew" in said
    epochs = []
    train.fit(
        mlp(64, 10),
        (X, Y),
        F.cross_entropy,
        epochs=4,
        on_epoch=lambda e, _: epochs.append(e),
        checkpoint=tmp_path / "state",
    )
    assert epochs == [3, 4]


def test_an_interrupt_in_the_first_epoch_says_that_there_is_no_checkpoint_yet(tmp_path, capsys):
    def stop(logits, labels):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.fit(mlp(64, 10), (X, Y), stop, checkpoint=tmp_path / "state")
    assert "state is not there yet: to begin again, build the model anew" in capsys.readouterr().out


def test_a_checkpoint_counts_the_seconds_of_all_calls(tmp_path, monkeypatch):
    """A clock that moves by 1 s whenever somebody looks: two epochs, an interruption, two more."""
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(ticks))

    def stop(epoch, _):
        if epoch == 2:
            raise KeyboardInterrupt

    how = dict(epochs=4, checkpoint=tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        train.fit(mlp(64, 10), (X, Y), F.cross_entropy, on_epoch=stop, **how)
    assert checkpoint.seconds(tmp_path / "state") == 2
    train.fit(mlp(64, 10), (X, Y), F.cross_entropy, **how)
    assert checkpoint.seconds(tmp_path / "state") == 2 + 2
