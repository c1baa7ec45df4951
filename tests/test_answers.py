"""The teacher's answers in a file: exact to half precision, only for their own teacher, whole or continued."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import answers
from course_lib.answers import HEAD, Cached, CacheError, Online, build, read
from course_lib.data import all_views, as_numbers, augment, choose, some_views
from course_lib.models import network, state_hash

X = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
VIEWS = some_views(6, shift=1)


@pytest.fixture(scope="module")
def teacher():
    net = network("resnet8", 10, channels=1, seed=0)
    with torch.no_grad():
        net.train()(as_numbers(X))  # running figures that are not those of a fresh network
    return net.eval()


def test_a_kept_logit_is_the_fresh_one_to_2_to_the_minus_11(teacher, tmp_path):
    answers = build(tmp_path / "answers", teacher, X, VIEWS, batch_size=7)
    rows, view = torch.arange(40), choose(VIEWS, 40, seed=0, epoch=3)
    with torch.no_grad():
        fresh = teacher(as_numbers(augment(X, view, 1)))
    kept = answers.at(rows, view)
    assert kept.dtype == torch.float32 and len(answers) == 40
    torch.testing.assert_close(kept, fresh, rtol=2**-11 + 2**-18, atol=2**-24)  # batches of 7 and of 40 differ in bits
    assert not torch.equal(kept, fresh)  # it was rounded


def test_in_double_precision_nothing_is_rounded(teacher, tmp_path):
    double, x = network("resnet8", 10, channels=1, seed=0).double(), X.double() / 255
    answers = build(tmp_path / "answers", double, x, VIEWS, dtype=torch.float64)
    with torch.no_grad():
        fresh = double(augment(x, VIEWS.ids[2].expand(40), 1))
    torch.testing.assert_close(answers.at(torch.arange(40), VIEWS.ids[2].expand(40)), fresh, rtol=1e-12, atol=0)


def test_the_order_in_which_rows_are_asked_for_does_not_matter(teacher, tmp_path):
    answers, rows = build(tmp_path / "answers", teacher, X, VIEWS), torch.randperm(40)
    view = choose(VIEWS, 40, seed=0, epoch=0)
    assert torch.equal(answers.at(rows, view[rows]), answers.at(torch.arange(40), view)[rows])


def test_a_second_build_asks_the_teacher_nothing(teacher, tmp_path):
    build(tmp_path / "answers", teacher, X, VIEWS)
    asked = []
    hook = teacher.register_forward_hook(lambda *_: asked.append(1))
    build(tmp_path / "answers", teacher, X, VIEWS)
    hook.remove()
    assert len(asked) == 1  # one picture, to see how many classes there are


def changed_buffer(net):
    next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d)).running_mean += 0.01


def changed_weight(net):
    next(net.parameters()).data[0] += 1e-4


@pytest.mark.parametrize("change", [changed_buffer, changed_weight])
def test_the_answers_of_another_teacher_are_not_served_and_not_overwritten(change, teacher, tmp_path):
    path = tmp_path / "answers"
    build(path, teacher, X, VIEWS)
    before = path.read_bytes()
    other = network("resnet8", 10, channels=1, seed=0)
    other.load_state_dict(teacher.state_dict())
    change(other)
    with pytest.raises(CacheError, match="holds the answers of another teacher, .* Choose another file name"):
        build(path, other, X, VIEWS)
    assert path.read_bytes() == before


def test_other_pictures_views_or_precision_are_another_question(teacher):
    one = answers.answers_fingerprint(teacher, X, VIEWS)
    assert one == answers.answers_fingerprint(teacher, X.clone(), some_views(6, shift=1))
    others = [
        answers.answers_fingerprint(teacher, X.flip(0), VIEWS),
        answers.answers_fingerprint(teacher, X, some_views(6, shift=1, seed=1)),
        answers.answers_fingerprint(teacher, X, VIEWS, dtype=torch.float32),
        answers.answers_fingerprint(teacher, X, VIEWS, precision="bfloat16"),
    ]
    assert len({one, *others}) == 5


@pytest.mark.parametrize("keep", [-1, HEAD + 5, 100, 0])
def test_a_file_that_was_cut_short_is_named(keep, teacher, tmp_path):
    path = tmp_path / "answers"
    build(path, teacher, X, VIEWS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CacheError, match="delete it|Delete it"):
        read(path)


def test_a_flipped_bit_is_found(teacher, tmp_path):
    path = tmp_path / "answers"
    build(path, teacher, X, VIEWS)
    raw = bytearray(path.read_bytes())
    raw[HEAD + 100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CacheError, match="is damaged: its checksum is wrong. Delete it"):
        read(path)


class Breaks(nn.Module):
    """A teacher that raises after so many calls."""

    def __init__(self, teacher, calls, error):
        super().__init__()
        self.teacher, self.calls, self.error = teacher, calls, error

    def forward(self, x):
        self.calls -= 1
        if self.calls < 0:
            raise self.error
        return self.teacher(x)


def test_building_goes_on_where_it_stopped(teacher, tmp_path):
    wrapped = Breaks(teacher, 9, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "answers", wrapped, X, VIEWS, batch_size=10)
    (part,) = tmp_path.glob("*.part")
    assert (part.stat().st_size - HEAD) == 8 * 10 * 10 * 2  # eight batches of ten rows, ten classes, two bytes
    part.write_bytes(part.read_bytes()[:-7])  # and the last row was cut short
    wrapped.calls = 1000
    answers = build(tmp_path / "answers", wrapped, X, VIEWS, batch_size=10)
    assert 1000 - wrapped.calls == 1 + 1 + 16  # the first look, the picture that was cut, the 16 batches that remain
    whole = build(tmp_path / "whole", wrapped, X, VIEWS, batch_size=10)
    torch.testing.assert_close(answers.logits, whole.logits)
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_gets_a_sentence_and_the_next_call_goes_on(teacher, tmp_path, monkeypatch):
    sync = answers.os.fsync

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(answers.os, "fsync", full)
    with pytest.raises(CacheError, match="need 0.0 MB in .* and the disk is full. Free some space and call again"):
        build(tmp_path / "answers", teacher, X, VIEWS)
    assert not (tmp_path / "answers").exists()
    monkeypatch.setattr(answers.os, "fsync", sync)
    assert len(build(tmp_path / "answers", teacher, X, VIEWS)) == 40


MANY = X.repeat(50, 1, 1, 1)  # (2000, 1, 8, 8): more answers than a file keeps in memory before it writes
KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.test_answers import HEAD, MANY, VIEWS
from course_lib.answers import build
from course_lib.models import network

def stop(*_):
    if any(part.stat().st_size > HEAD + 200 for part in Path({folder!r}).glob("*.part")):
        print("some answers are in the file", flush=True)
        sys.stdin.read()  # until it is killed

net = network("resnet8", 10, channels=1, seed=5).eval()
net.register_forward_hook(stop)
build({folder!r} + "/answers", net, MANY, VIEWS, batch_size=100)
"""


def test_a_build_that_was_killed_is_continued_to_the_same_file(tmp_path):
    code = KILLED.format(tests=str(Path(__file__).resolve().parents[1]), folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert "in the file" in child.stdout.readline(), "it ended before it could be killed"
    child.kill()
    child.communicate()
    asked, net = [], network("resnet8", 10, channels=1, seed=5).eval()
    net.register_forward_hook(lambda *_: asked.append(1))
    answers = build(tmp_path / "answers", net, MANY, VIEWS, batch_size=100)
    assert len(asked) < 1 + 6 * 20  # the first look, and not all of the batches
    whole = build(tmp_path / "whole", net, MANY, VIEWS, batch_size=100)
    torch.testing.assert_close(answers.logits, whole.logits)


def test_one_process_builds_and_another_is_told_so(teacher, tmp_path):
    about = answers.answers_fingerprint(teacher, X, VIEWS)
    part = tmp_path / f"answers.{about[:8]}.part"
    with open(part, "wb") as file:
        answers._lock(file, part)
        with pytest.raises(CacheError, match="another process is building .*: call again when it has ended"):
            build(tmp_path / "answers", teacher, X, VIEWS)
    assert len(build(tmp_path / "answers", teacher, X, VIEWS)) == 40


def test_a_teacher_whose_last_factor_differs_is_another_teacher():
    nets = [network("resnet9-4", 10, channels=1, seed=0) for _ in range(2)]
    nets[1][-1].factor = 1.0
    assert len({answers.answers_fingerprint(net, X, VIEWS) for net in nets}) == 2


@pytest.mark.parametrize("setting", ["mean", "std"])
def test_a_teacher_that_normalises_otherwise_is_another_teacher(setting):
    nets = [network("resnet8", 10, channels=1, seed=0) for _ in range(2)]
    getattr(nets[1][0], setting).add_(0.01)
    assert len({answers.answers_fingerprint(net, X, VIEWS) for net in nets}) == 2
    assert len({state_hash(net) for net in nets}) == 2


def test_a_logit_too_large_for_half_precision_gets_a_sentence(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    net[1].weight.data *= 1e6
    with pytest.raises(CacheError, match="does not fit float16; build with dtype=torch.float32"):
        build(tmp_path / "answers", net, X, VIEWS)


@pytest.mark.parametrize("rows, view", [([39, 40], [0, 0]), ([0, 1], [1, 1])])
def test_a_picture_or_a_view_that_was_not_asked_is_not_answered(rows, view, teacher, tmp_path):
    answers = build(tmp_path / "answers", teacher, X, some_views(2, shift=1))
    unasked = next(i for i in range(18) if i not in answers.views.ids)
    view = torch.tensor([unasked if v else int(answers.views.ids[0]) for v in view])
    with pytest.raises(IndexError, match="asked about 40 pictures in 2 views"):
        answers.at(torch.tensor(rows), view)


def test_the_teacher_is_frozen_and_unchanged_by_a_build_and_by_being_asked(teacher, tmp_path):
    net = network("resnet8", 10, channels=1, seed=2).train()
    before = state_hash(net)
    build(tmp_path / "answers", net, X, VIEWS)
    Online(net).at(None, None, as_numbers(X))
    assert state_hash(net) == before and not net.training and not any(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("part", [lambda net: net, lambda net: net[1][1]], ids=["all of it", "one layer"])
def test_a_teacher_that_is_put_back_into_train_mode_even_in_part_is_refused_and_unchanged(part):
    net = network("resnet8", 10, channels=1, seed=0)
    online, before = Online(net), state_hash(net)
    part(net).train()
    with pytest.raises(RuntimeError, match="the teacher, or a part of it, is in train mode"):
        online.at(None, None, as_numbers(X))
    assert state_hash(net) == before


def test_the_head_has_room_for_every_view():
    about = {"kind": answers.KIND, "fingerprint": "f" * 64, "shape": [162, 50_000, 1000], "dtype": "float16"}
    about |= {"views": all_views(4).ids.tolist(), "shift": 4, "crc": 2**32}
    assert len(json.dumps(about)) < HEAD


def test_answers_in_memory_do_as_well():
    logits = torch.randn(6, 40, 10)
    view = choose(VIEWS, 40, 0, 2)
    slot = torch.tensor([VIEWS.ids.tolist().index(v) for v in view.tolist()])
    assert torch.equal(Cached(logits, VIEWS).at(torch.arange(40), view), logits[slot, torch.arange(40)])


def test_answers_are_looked_up_on_the_device_where_the_logits_are():
    rows, view = torch.arange(40, device="meta"), choose(VIEWS, 40, 0, 2).to("meta")
    for made in (Cached(torch.randn(6, 40, 10).to("meta"), VIEWS), Cached(torch.randn(6, 40, 10), VIEWS).to("meta")):
        assert {made.logits.device.type, made.slot.device.type, made.at(rows, view).device.type} == {"meta"}


def test_moving_answers_to_where_they_are_copies_nothing():
    answers = Cached(torch.randn(6, 40, 10), VIEWS)
    kept = answers.logits.data_ptr(), answers.slot.data_ptr()
    for device in ("cpu", torch.device("cpu"), answers.logits.device):
        answers.to(device)
        assert (answers.logits.data_ptr(), answers.slot.data_ptr()) == kept
