"""fit against a loop written with torch alone; fit_many against fit; both against the mistakes of a first week."""

import signal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import data, train
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.models import Ensemble, freeze, mlp, state_hash
from course_lib.progress_line import Progress, each
from tests.waiting import HANG

DIGITS = data.load("digits")
X, Y = DIGITS.x_train[:200], DIGITS.y_train[:200]
TEACHER_LOGITS = 3 * torch.randn(200, 10, generator=torch.Generator().manual_seed(0))


def make(seed):
    return mlp(64, 16, 10, seed=seed)


def one_by_one(make, data, loss, seeds, rows=None, **settings):
    rows = [slice(None)] * seeds if rows is None else rows
    return [train.fit(make(s), tuple(t[rows[s]] for t in data), loss, seed=s, **settings) for s in range(seeds)]


def assert_same(models, others, atol=1e-5):
    for model, other in zip(models, others, strict=True):
        torch.testing.assert_close(list(model.parameters()), list(other.parameters()), atol=atol, rtol=0)


def batch_norm(seed):
    return nn.Sequential(mlp(64, 16, seed=seed), nn.BatchNorm1d(16), mlp(16, 10, seed=seed))


def test_fit_is_adam_on_batches_in_the_order_that_seed_and_epoch_give():
    model, twin = make(3), make(3)
    train.fit(model, (X, Y), F.cross_entropy, epochs=2, batch_size=64, lr=0.01, seed=3)
    optimiser = torch.optim.Adam(twin.parameters(), lr=0.01)
    for epoch in range(2):
        for rows in train.order(200, 3, epoch).split(64):
            optimiser.zero_grad()
            F.cross_entropy(twin(X[rows]), Y[rows]).backward()
            optimiser.step()
    assert_same([model], [twin], atol=1e-6)


def test_the_order_holds_each_example_once_and_differs_by_seed_and_by_epoch():
    assert torch.equal(train.order(50, 0, 1).sort().values, torch.arange(50))
    assert torch.equal(train.order(50, 0, 1), train.order(50, 0, 1))
    assert not torch.equal(train.order(50, 0, 1), train.order(50, 0, 2))
    assert not torch.equal(train.order(50, 0, 1), train.order(50, 1, 1))


LOSSES = [(cross_entropy, (Y,)), (kd_loss, (TEACHER_LOGITS,)), (distill_loss, (Y, TEACHER_LOGITS))]


@pytest.mark.parametrize("loss, targets", LOSSES)
def test_fit_many_gives_the_students_that_fit_gives_one_by_one(loss, targets, capsys):
    together = train.fit_many(make, (X, *targets), loss, seeds=4, epochs=10)
    assert "one by one" not in capsys.readouterr().out
    assert_same(together, one_by_one(make, (X, *targets), loss, seeds=4, epochs=10))


def test_fit_many_follows_a_model_that_is_no_plain_chain_of_layers(capsys):
    def convolution(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 36, 10))

    together = train.fit_many(convolution, (X, Y), cross_entropy, seeds=3, epochs=2)
    assert "one by one" not in capsys.readouterr().out
    assert_same(together, one_by_one(convolution, (X, Y), cross_entropy, seeds=3, epochs=2))


def test_each_seed_sees_its_own_rows_and_no_other():
    rows = torch.stack([torch.arange(0, 50), torch.arange(50, 100)])
    x, y = X.clone(), Y.clone()
    x[100:], y[100:] = float("nan"), -1  # nobody may touch these
    together = train.fit_many(make, (x, y), cross_entropy, seeds=2, rows=rows, epochs=3)
    assert_same(together, one_by_one(make, (x, y), cross_entropy, 2, rows=rows, epochs=3))


def masked(logits, labels):
    known = labels < 5
    return F.cross_entropy(logits[known], labels[known])


def scaled(logits, labels):
    loss = F.cross_entropy(logits, labels)
    return loss / loss.item()


def branching(logits, labels):
    loss = F.cross_entropy(logits, labels)
    return loss if loss > 1 else 2 * loss


def with_noise(logits, labels):
    return F.cross_entropy(logits + 0.1 * torch.randn_like(logits), labels)


@pytest.mark.parametrize(
    "make, loss, words",
    [
        (make, masked, "boolean mask"),
        (make, scaled, ".item()"),
        (make, branching, "`if`"),
        (make, with_noise, "random"),
        (lambda s: mlp(64, 16, 10, dropout=0.5, seed=s), F.cross_entropy, "dropout"),
        (batch_norm, F.cross_entropy, "batch normalisation"),
        (lambda s: mlp(64, 8 + s, 10, seed=s), F.cross_entropy, "several shapes"),
    ],
)
def test_what_torch_func_cannot_follow_is_trained_one_by_one_and_said_so(make, loss, words, capsys):
    together = train.fit_many(make, (X, Y), loss, seeds=2, epochs=2)
    said = capsys.readouterr().out
    assert said.count("one by one") == 1 and words in said
    assert_same(together, one_by_one(make, (X, Y), loss, seeds=2, epochs=2), atol=0)


def test_the_students_are_in_train_mode_in_each_step_and_in_eval_mode_at_the_end():
    modes = []
    model = make(0).eval()
    model.register_forward_hook(lambda module, *rest: modes.append(module.training))

    def look(epoch, predict):
        modes.append(("look", model.training))
        predict(X[:5])
        assert model.training
        model.eval()  # as a learner who forgets to go back

    train.fit(model, (X, Y), cross_entropy, epochs=2, batch_size=100, on_epoch=look)
    assert modes == [True, True, ("look", True), False] * 2
    assert not model.training


def test_what_is_frozen_stays_as_it_is():
    teacher = freeze(batch_norm(1))
    student = nn.Sequential(freeze(batch_norm(0)), nn.Linear(10, 10))
    before = state_hash(teacher), state_hash(student[0])
    train.fit(student, (X,), lambda z: kd_loss(z, teacher(X[: len(z)])), epochs=1)
    assert (state_hash(teacher), state_hash(student[0])) == before
    assert not any(part.training for part in teacher.modules())


def test_teacher_logits_that_carry_a_gradient_do_not_train_the_teacher():
    teacher = make(9)
    before = state_hash(teacher)
    train.fit(make(0), (X, teacher(X)), lambda z, t: F.mse_loss(z, t), epochs=1)  # mse_loss would reach the teacher
    assert state_hash(teacher) == before
    assert all(p.grad is None for p in teacher.parameters())


def test_on_epoch_gets_the_epoch_and_the_logits_of_that_moment():
    seen = []
    train.fit(make(0), (X, Y), cross_entropy, epochs=2, on_epoch=lambda e, predict: seen.append((e, predict(X))))
    model = train.fit(make(0), (X, Y), cross_entropy, epochs=1)
    assert [epoch for epoch, _ in seen] == [1, 2]
    torch.testing.assert_close(seen[0][1], train.predict(model, X))
    many = []
    models = train.fit_many(
        make, (X, Y), cross_entropy, seeds=3, epochs=2, on_epoch=lambda e, predict: many.append(predict(X))
    )
    assert many[0].shape == (3, 200, 10)
    torch.testing.assert_close(many[1], train.predict(models, X))
    assert not torch.equal(many[0], many[1])


def test_predict_of_a_list_stacks_what_each_model_answers_and_leaves_the_modes_alone():
    for build in (make, batch_norm, lambda s: Ensemble([make(s), make(s + 1)]), lambda s: mlp(64, 8 + s, 10, seed=s)):
        models = [build(s).train(s != 1) for s in range(3)]
        logits = train.predict(models, X, batch_size=64)
        assert [model.training for model in models] == [True, False, True]
        torch.testing.assert_close(logits, torch.stack([model.eval()(X) for model in models]))
        assert not logits.requires_grad
    model = nn.Sequential(make(0).train(), freeze(make(1)))
    train.predict(model[0], X)
    assert (model[0].training, model[1].training) == (True, False)


@pytest.mark.parametrize("build", [make, batch_norm, lambda s: mlp(64, 8 + s, 10, seed=s)])
def test_predict_of_a_list_computes_in_the_precision_that_each_model_alone_does(build):
    models = [build(s).eval() for s in range(3)]
    types = []
    hooks = [model.register_forward_hook(lambda _, x, out: types.append(out.dtype)) for model in models]
    together = train.predict(models, X, precision="bfloat16")
    assert types and set(types) == {torch.bfloat16} and together.dtype == torch.float32
    for hook in hooks:
        hook.remove()
    alone = torch.stack([train.predict(model, X, precision="bfloat16") for model in models])
    torch.testing.assert_close(together, alone, atol=0.01, rtol=0.02)


def test_predict_refuses_another_precision_for_one_model_and_for_a_list():
    for model in (make(0), [make(0), make(1)], [mlp(64, 8, 10), mlp(64, 9, 10)]):
        with pytest.raises(ValueError, match='precision is "float32" or "bfloat16"; it came as \'half\''):
            train.predict(model, X, precision="half")


def test_no_random_number_of_the_learners_is_used_up():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train.fit(mlp(64, 16, 10, dropout=0.5), (X, Y), cross_entropy, epochs=1)
    train.fit_many(make, (X, Y), cross_entropy, seeds=2, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("fit", [train.fit, train.fit_many], ids=["fit", "fit_many"])
class TestWords:
    """Each mistake gets a sentence, from both."""

    def start(self, fit, *args, **settings):
        return fit(make(0) if fit is train.fit else make, *args, **{"epochs": 1, **settings})

    @pytest.mark.parametrize(
        "data, loss, words",
        [
            (X, cross_entropy, "tuple of tensors"),
            ((X, Y.tolist()), cross_entropy, "list"),
            (DIGITS, cross_entropy, "data.x_train, data.y_train"),
            ((X, Y[:10]), cross_entropy, r"one row per example.*\(10,\)"),
            ((X[:0], Y[:0]), cross_entropy, "at least one"),
            ((X, Y, TEACHER_LOGITS, Y), kd_loss, "3 targets"),
            ((X,), distill_loss, "0 targets"),
            ((X, Y), lambda z, y: F.cross_entropy(z, y).item(), r"returned float.*\.item\(\)"),
            ((X, Y), lambda z, y: F.cross_entropy(z, y, reduction="none"), r"shape \(64,\).*mean"),
            ((X, TEACHER_LOGITS), lambda z, t: kd_loss(t, t), "does not depend on the student"),
            ((X, TEACHER_LOGITS), lambda z, t: kd_loss(z.detach(), t), "does not depend on the student"),
        ],
    )
    def test_about_data_and_losses(self, fit, data, loss, words):
        with pytest.raises((TypeError, ValueError), match=words):
            self.start(fit, data, loss)

    @pytest.mark.parametrize("settings", [{"epochs": -1}, {"batch_size": 0}, {"epochs": 1.5}])
    def test_about_settings(self, fit, settings):
        with pytest.raises(ValueError, match="whole number"):
            self.start(fit, (X, Y), cross_entropy, **settings)

    def test_about_a_loss_that_is_not_a_number(self, fit):
        with pytest.raises(FloatingPointError, match=r"epoch 1.*log_softmax.*lr=0.0003"):
            self.start(fit, (X, Y), lambda z, y: (z - z).sqrt().mean() / 0 + F.cross_entropy(z, y))

    def test_an_error_in_the_learners_loss_is_their_own(self, fit):
        def slip(logits, labels):
            return F.cross_entropy(logits, lables)  # noqa: F821

        with pytest.raises(NameError, match="lables"):
            self.start(fit, (X, Y), slip)

    def test_a_model_that_cannot_learn(self, fit):
        with pytest.raises(ValueError, match="frozen"):
            fit(freeze(make(0)) if fit is train.fit else lambda s: freeze(make(s)), (X, Y), cross_entropy)


def test_an_epoch_that_ends_in_nan_is_undone():
    model, twin = make(0), make(0)
    calls = []

    def explodes_in_the_second_epoch(logits, labels):
        calls.append(1)
        return F.cross_entropy(logits, labels) * (float("inf") if len(calls) == 3 else 1)

    with pytest.raises(FloatingPointError, match="epoch 2"):
        train.fit(model, (X, Y), explodes_in_the_second_epoch, epochs=5, batch_size=100)
    assert_same([model], [train.fit(twin, (X, Y), cross_entropy, epochs=1, batch_size=100)], atol=0)


@pytest.mark.parametrize(
    "rows, words",
    [
        (torch.arange(4), r"shape \(seeds, n\), here \(2, n\)"),
        (torch.zeros(3, 4, dtype=torch.int64), r"\(3, 4\)"),
        (torch.zeros(2, 4), "float32"),
        ([[0], [1]], "list"),
        (torch.tensor([[0], [200]]), "0 to 199"),
        (torch.tensor([[0], [-1]]), "0 to 199"),
        (torch.zeros(2, 0, dtype=torch.int64), "at least one"),
    ],
)
def test_rows_that_cannot_be_are_answered_in_words(rows, words):
    with pytest.raises(ValueError, match=words):
        train.fit_many(make, (X, Y), cross_entropy, seeds=2, rows=rows)


def test_a_make_that_builds_nothing_new_is_answered_in_words(capsys):
    model = make(0)
    with pytest.raises(ValueError, match="the same model twice"):
        train.fit_many(lambda seed: model, (X, Y), cross_entropy, seeds=2)
    with pytest.raises(TypeError, match="lambda seed"):
        train.fit_many(lambda seed: make, (X, Y), cross_entropy, seeds=2)
    train.fit_many(lambda seed: make(0), (X, Y), cross_entropy, seeds=2, epochs=0)
    assert "does not use its seed" in capsys.readouterr().out


def test_an_interrupt_leaves_the_model_as_its_last_step_made_it(capsys):
    model, twin = make(0), make(0)
    calls = []

    def interrupted(logits, labels):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return F.cross_entropy(logits, labels)

    with pytest.raises(KeyboardInterrupt):
        train.fit(model, (X, Y), interrupted, epochs=9, batch_size=100)
    assert_same([model], [train.fit(twin, (X, Y), cross_entropy, epochs=1, batch_size=100)], atol=0)
    assert not model.training
    said = capsys.readouterr().out
    assert "stopped at 11%" in said and "keeps what it has learned so far. To train it further, call fit again" in said
    assert "checkpoint=FILE" in said


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self):
        return self.now


def test_a_job_under_three_seconds_says_nothing_and_a_longer_one_ends_as_one_line(capsys):
    for seconds, said in ((0.9, ""), (2.0, "3 epochs: 6.0 s\n"), (50, "3 epochs: 2 min 30 s\n")):
        clock = Clock()
        with Progress("3 epochs", 3, clock) as progress:
            for _ in range(3):
                clock.now += seconds
                progress.step()
        assert capsys.readouterr().out == said


def test_in_a_terminal_the_line_is_rewritten_and_tells_how_long_it_still_takes(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    clock = Clock()
    with Progress("4 epochs", 4, clock) as progress:
        for _ in range(4):
            clock.now += 2
            progress.step()
    shown = capsys.readouterr().out
    assert "\r4 epochs: 50% done, about 4.0 s left" in shown
    assert shown.count("\n") == 1 and shown.split("\r")[-1].strip() == "4 epochs: 8.0 s"


def test_a_job_within_a_job_moves_the_line_of_the_outer_one(capsys, monkeypatch):
    """Two trainings of 2 s each, four steps each: silent alone, told together from the third second on."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    clock = Clock()
    with Progress("2 students", 2, clock) as outer:
        for _ in range(2):
            with Progress("4 epochs", 4, clock) as inner:
                for _ in range(4):
                    clock.now += 0.5
                    inner.step()
            outer.step()
    shown = capsys.readouterr().out
    assert "\r2 students: 75% done, about 1.0 s left" in shown and "epochs" not in shown
    assert shown.count("\n") == 1 and shown.split("\r")[-1].strip() == "2 students: 4.0 s"


def test_after_a_job_that_failed_the_next_one_has_a_line_of_its_own(capsys):
    clock = Clock()
    with pytest.raises(KeyError), Progress("2 students", 2, clock), Progress("4 epochs", 4, clock):
        clock.now += 5
        raise KeyError
    with Progress("3 epochs", 3, clock) as progress:
        clock.now += 5
        progress.step()
    assert capsys.readouterr().out == "3 epochs: 5.0 s\n"


def test_each_gives_every_item_and_one_line_for_all_of_them(capsys, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(Progress.__init__, "__defaults__", (clock,))
    seen = []
    for item in each("abc", "3 letters"):
        clock.now += 2
        seen.append(item)
    assert seen == ["a", "b", "c"] and capsys.readouterr().out == "3 letters: 6.0 s\n"


def test_in_a_stored_notebook_the_progress_is_one_finished_line():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    source = """
from course_lib.progress_line import Progress
now = [0.0]
with Progress("3 epochs", 3, lambda: now[0]) as progress:
    for _ in range(3):
        now[0] += 2
        progress.step()
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=HANG, startup_timeout=HANG).execute()
    [output] = notebook.cells[0].outputs
    assert output["data"] == {"text/plain": "3 epochs: 6.0 s"}
