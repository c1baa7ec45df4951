"""What only a GPU can show; skipped where there is none. On one: python -m pytest -m gpu tests"""

import pytest
import torch

from course_lib import machine, train
from course_lib.answers import Cached, Online, build
from course_lib.data import as_numbers, augment, choose, some_views
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.models import network, state_hash
from course_lib.train import adam, one_cycle, sgd

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8, generator=GENERATOR)
Y = torch.randint(0, 10, (256,), generator=GENERATOR)
VIEWS = some_views(4)


@pytest.fixture
def teacher():
    return network("resnet9-8", seed=7).cuda().eval()


def test_the_course_goes_to_the_gpu():
    assert machine.device().type == "cuda" and machine.tier() == "gpu"


def test_a_view_has_the_same_bytes_on_the_gpu():
    view = choose(VIEWS, 256, seed=0, epoch=1)
    assert torch.equal(augment(X.cuda(), view.cuda()).cpu(), augment(X, view))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compile", [False, True])
def test_every_switch_trains(precision, compile, teacher, tmp_path):
    x, y = X.cuda(), Y.cuda()
    answers = build(tmp_path / "answers", teacher, x, VIEWS, precision=precision).to("cuda")
    before = state_hash(teacher)
    student = network("resnet9-4", seed=0).cuda()
    how = dict(epochs=2, batch_size=64, views=VIEWS, optimiser=sgd, schedule=one_cycle, lr=0.02, channels_last=True)
    train.fit(student, (x, y, answers), distill_loss, precision=precision, compile=compile, **how)
    assert all(torch.isfinite(p).all() for p in student.parameters()) and state_hash(teacher) == before


def test_answers_that_were_made_on_the_gpu_are_looked_up_there_and_not_copied_again():
    logits, rows, view = torch.randn(len(VIEWS.ids), 256, 10).cuda(), torch.arange(256), choose(VIEWS, 256, 0, 1)
    answers, kept = Cached(logits, VIEWS), logits.data_ptr()
    for device in ("cuda", f"cuda:{torch.cuda.current_device()}", logits.device):
        found = answers.to(device).at(rows.cuda(), view.cuda())
        assert answers.logits.data_ptr() == kept and answers.slot.is_cuda
        assert torch.equal(found.cpu(), Cached(logits.cpu(), VIEWS).at(rows, view))


def test_cached_and_online_train_the_same_student_to_rounding(teacher, tmp_path):
    cached = build(tmp_path / "answers", teacher, X.cuda(), VIEWS, dtype=torch.float32).to("cuda")
    students = []
    for answers in (cached, Online(teacher)):
        student = network("resnet9-4", seed=0).cuda()
        students.append(
            train.fit(
                student, (X.cuda(), answers), kd_loss, epochs=1, batch_size=64, views=VIEWS, optimiser=sgd, lr=0.01
            )
        )
    one, other = (train.predict(student, X.cuda()) for student in students)
    torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)  # a GPU adds in any order, TF32 perhaps


@pytest.mark.parametrize("precision, optimiser", [("float32", adam), ("bfloat16", sgd)])
@pytest.mark.parametrize("kind", ["labels", "cached", "online"])
def test_no_step_waits_for_the_gpu(kind, precision, optimiser, teacher):
    """torch warns of each synchronisation; a longer epoch has no more of them than a short one."""
    import warnings

    x, y = X.cuda(), Y.cuda()
    targets, loss = {
        "labels": ((y,), cross_entropy),
        "cached": ((y, Cached(torch.randn(len(VIEWS.ids), 256, 10).cuda(), VIEWS)), distill_loss),
        "online": ((y, Online(teacher)), distill_loss),
    }[kind]
    how = dict(epochs=1, views=VIEWS, precision=precision, optimiser=optimiser, schedule=one_cycle, lr=0.01)

    def waits(batch_size):
        student = network("resnet9-4").cuda()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                train.fit(student, (x, *targets), loss, batch_size=batch_size, **how)
            return sum("synchroniz" in str(one.message) for one in told)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    waits(64)
    assert 0 < waits(16) == waits(128)


def test_a_full_gpu_gets_a_batch_size_to_try():
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.2e9 / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.raises(MemoryError, match="batch_size=256: try batch_size=128"):
            train.fit(network("resnet9"), (X.cuda(), Y.cuda()), cross_entropy, epochs=1, batch_size=256)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_gpus_student_answers_as_the_same_student_on_the_cpu(teacher):
    one = train.predict(teacher, X.cuda()).cpu()
    with torch.no_grad():
        torch.testing.assert_close(one, teacher.cpu()(as_numbers(X)), atol=0.02, rtol=0.02)
