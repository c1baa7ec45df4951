"""The models behind the door: what numpy answers is what torch does in double precision; the linear one has converged."""

import numpy as np
import pytest
import torch

from course_lib.data import arena
from course_lib.models import mlp
from course_lib.vault import victims


@pytest.fixture(scope="module")
def digits():
    return victims.victims("digits")


@pytest.fixture(scope="module")
def judged():
    shares = arena.shares()
    x, base = arena.judge_set(shares, 2000)
    return x.flatten(1).double().numpy(), shares.judge[1][base].numpy()


def test_numpy_answers_as_torch_does_in_double_precision_alone_and_among_others():
    model = mlp(64, 32, 16, 10, seed=3).double()
    x = torch.rand(50, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = victims.answers(model)
    want = torch.softmax(model(x), 1).detach().numpy()
    assert answer(x.numpy()) == pytest.approx(want, abs=1e-14)
    assert np.concatenate([answer(row[None]) for row in x.numpy()]) == pytest.approx(want, abs=1e-14)


def test_an_answer_changes_no_question(digits, judged):
    x = judged[0][:3].copy()
    for victim in digits.values():
        victim.answer(x), victim.answer(x[:1])
    assert (x == judged[0][:3]).all()


def test_they_read_copies_of_pictures_that_they_have_never_seen(digits, judged):
    x, y = judged
    right = {name: (victim.answer(x).argmax(1) == y).mean() for name, victim in digits.items()}
    assert right["digits-linear"] > 0.85 and right["digits-net"] > 0.90


def test_the_linear_one_is_at_its_minimum_and_says_no_probability_of_nothing(digits):
    """At the minimum of mean cross-entropy + L2 |w|^2, the gradient for the bias is mean(p - y) + 2 L2 b = 0."""
    shares = arena.shares()
    x, base = arena.copies(shares.victim[0], victims.COPIES * len(shares.victim[0]), seed=0)
    x = torch.cat([shares.victim[0], x]).flatten(1).double().numpy()
    y = torch.cat([shares.victim[1], shares.victim[1][base]])
    victim = digits["digits-linear"]
    bias = np.log(victim.answer(np.zeros((1, 64)))[0])
    mean = (victim.answer(x) - np.eye(10)[y]).mean(0)
    off = mean / (2 * victims.L2) + bias  # what softmax cannot show is the same for every class
    assert np.ptp(off) * 2 * victims.L2 < 1e-5
    corners = victim.answer(np.random.default_rng(0).uniform(-8, 8, (1000, 64)))
    assert corners.min() > 1e-300 and victim.parameters == 650


def test_honest_users_are_measured_for_each(digits):
    for victim in digits.values():
        assert set(victim.honest) == {"key", "cohort"} and len(victim.honest["key"]) == 5
