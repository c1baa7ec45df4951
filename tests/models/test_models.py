"""Models: initial weights that a seed decides, teachers that stay as they are, files that are whole or not there."""

import pytest
import torch
from torch import nn

from course_lib import train
from course_lib.models import Ensemble, count_parameters, freeze, load, mlp, reuse, save, state_hash

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    return tmp_path


def test_mlp_has_the_number_of_parameters_that_its_widths_say():
    assert count_parameters(mlp(64, 16, 10)) == 64 * 16 + 16 + 16 * 10 + 10
    assert mlp(64, 16, 10)(X).shape == (8, 10)
    with pytest.raises(ValueError, match="two widths"):
        mlp(64)


def test_the_seed_alone_decides_the_initial_weights():
    before = torch.get_rng_state()
    assert state_hash(mlp(64, 16, 10, seed=1)) == state_hash(mlp(64, 16, 10, seed=1))
    assert state_hash(mlp(64, 16, 10, seed=1)) != state_hash(mlp(64, 16, 10, seed=2))
    assert torch.equal(before, torch.get_rng_state())


def test_a_frozen_model_is_in_eval_mode_and_takes_no_gradient():
    teacher = freeze(mlp(64, 16, 10, dropout=0.5))
    assert not any(part.training for part in teacher.modules())
    assert not teacher(X).requires_grad
    assert torch.equal(teacher(X), teacher(X))


def test_an_ensemble_answers_the_mean_of_its_logits():
    models = [mlp(64, 10, seed=s) for s in range(3)]
    expected = (models[0](X) + models[1](X) + models[2](X)) / 3
    torch.testing.assert_close(Ensemble(models)(X), expected)


def test_the_state_hash_sees_a_buffer_that_moves():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64))
    before = state_hash(model)
    model(X)  # in train mode a forward pass moves the running mean
    assert state_hash(model) != before


def test_a_saved_model_comes_back_bit_by_bit(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    model(X)
    save(model, tmp_path / "new folder" / "model.pt")
    empty = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    assert state_hash(load(tmp_path / "new folder" / "model.pt", empty)) == state_hash(model)
    assert not empty.training
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["model.pt"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save(mlp(64, 10, seed=1), path)
    old = path.read_bytes()
    broken = mlp(64, 10, seed=2)
    broken.register_buffer("cannot_be_written", torch.empty(3, device="meta"))
    broken.register_state_dict_post_hook(lambda module, state, *rest: state.update(bad=lambda: None))
    with pytest.raises(Exception, match="pickle"):
        save(broken, path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_used_is_named_in_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="train the model"):
        load(tmp_path / "none.pt", mlp(64, 10))
    save(mlp(64, 10), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="another model"):
        load(tmp_path / "model.pt", mlp(64, 16, 10))
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "model.pt", mlp(64, 10))


class Teaching:
    """A training that counts how often it runs."""

    runs = 0

    def __call__(self, model):
        self.runs += 1
        train.fit(model, (X, torch.arange(8)), nn.functional.cross_entropy, epochs=1)


def test_a_model_is_trained_once_and_served_for_the_same_settings_only(home):
    teach = Teaching()
    first = reuse("teacher", mlp(64, 10), teach, X, 30)
    again = reuse("teacher", mlp(64, 10), teach, X, 30)
    assert (teach.runs, state_hash(first)) == (1, state_hash(again))
    others = [
        (mlp(64, 10), (X, 31)),
        (mlp(64, 10), (X + 1, 30)),
        (mlp(64, 10, seed=1), (X, 30)),
        (mlp(64, 5, 10), (X, 30)),
    ]
    for model, settings in others:
        reuse("teacher", model, teach, *settings)
    assert teach.runs == 1 + len(others)


def test_a_damaged_file_is_trained_again_and_said_so(home, capsys):
    teach = Teaching()
    reuse("teacher", mlp(64, 10), teach)
    [path] = (home / "models").iterdir()
    path.write_bytes(b"not a model")
    reuse("teacher", mlp(64, 10), teach)
    assert teach.runs == 2
    assert "damaged" in capsys.readouterr().out
    reuse("teacher", mlp(64, 10), teach)
    assert teach.runs == 2


def test_where_nothing_can_be_written_the_model_is_trained_and_said_so(home, capsys):
    (home / "models").write_text("a file where the folder should be", encoding="utf-8")
    model = reuse("teacher", mlp(64, 10), Teaching())
    assert isinstance(model, nn.Module)
    assert "could not be kept" in capsys.readouterr().out


def test_reuse_refuses_a_setting_that_reads_differently_tomorrow(home):
    with pytest.raises(ValueError, match="not functions"):
        reuse("teacher", mlp(64, 10), Teaching(), lambda: None)
