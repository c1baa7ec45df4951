"""Each control against its paper's formula, worked by hand, on batches whose rows have several winners."""

import math

import numpy as np
import pytest

from course_lib.vault.policy import Policy, controls, parse

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25], [0.6, 0.3, 0.1]])  # three winners
X = np.array([[0.0, 0.5], [0.25, 1.0], [1.0, 1.0], [0.0, 0.0]])
SECRET = b"a secret"


def sums_to_one(p):
    return np.allclose(p.sum(1), 1, atol=1e-12) and (p >= 0).all()


def test_label_only_is_one_at_each_row_s_own_winner():
    """ART 1.20.1's ClassLabels puts a 1 at every row's winner into every row; these three rows would be all ones."""
    assert controls.label_only(P).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_temperature_is_the_softmax_of_divided_logits():
    logits = np.array([[2.0, 1.0, -3.0], [0.0, 5.0, 5.0]])
    p, soft = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (logits, logits / 4))
    assert np.allclose(controls.softened(p, 4), soft, atol=1e-12)
    assert controls.softened(np.array([[1.0, 0.0]]), 2).tolist() == [[1, 0]]


def test_rounding_is_numpy_s_then_divided_by_the_row_s_sum():
    p = np.array([[0.335, 0.335, 0.33], [0.9, 0.06, 0.04]])
    assert controls.rounded(p, 1).tolist() == pytest.approx(np.array([[1 / 3, 1 / 3, 1 / 3], [0.9, 0.1, 0.0]]))
    assert sums_to_one(controls.rounded(P, 1))


def test_a_row_that_rounding_would_empty_keeps_its_winner():
    p = np.full((1, 30), 1 / 30)
    p[0, 4] += 0.001
    assert controls.rounded(p, 1)[0].argmax() == 4 and controls.rounded(p, 1).sum() == 1


def test_top_k_keeps_the_k_largest_as_they_are():
    assert controls.top_k(P, 1).tolist() == [[0.7, 0, 0], [0, 0, 0.6], [0, 0.5, 0], [0.6, 0, 0]]
    assert controls.top_k(P, 2).tolist() == [
        [0.7, 0.2, 0],
        [0, 0.3, 0.6],
        [0.25, 0.5, 0],
        [0.6, 0.3, 0],
    ]  # of equals, the first


def test_reverse_sigmoid_is_lee_s_formula():
    """y = (0.8, 0.2), beta 1, gamma 1/2: s^-1(0.8) = ln 4, and s(ln 4 / 2) = 2/3; so r = 1/6, -1/6."""
    left = np.array([0.8 - 1 / 6, 0.2 + 1 / 6])
    assert controls.reverse_sigmoid(np.array([[0.8, 0.2]]), 1, 0.5)[0] == pytest.approx(left / left.sum(), abs=1e-12)


def test_reverse_sigmoid_with_three_classes_is_normalised():
    """beta 0.3, gamma 0.2, written out for one row with the formula's own letters."""
    y = [0.7, 0.2, 0.1]
    raw = [v - 0.3 * (1 / (1 + math.exp(-0.2 * math.log(v / (1 - v)))) - 0.5) for v in y]
    got = controls.reverse_sigmoid(np.array([y, y[::-1]]), 0.3, 0.2)
    assert got[0] == pytest.approx([v / sum(raw) for v in raw], abs=1e-12)
    assert got[1] == pytest.approx(got[0][::-1])


def test_reverse_sigmoid_without_beta_changes_nothing_and_keeps_the_winner_with_a_small_one():
    assert controls.reverse_sigmoid(P, 0, 0.2) == pytest.approx(P)
    assert (controls.reverse_sigmoid(P, 0.5, 0.2).argmax(1) == P.argmax(1)).all()
    assert sums_to_one(controls.reverse_sigmoid(np.eye(3), 1, 0.2))


def test_keyed_noise_is_a_function_of_input_and_secret():
    once, again = (controls.keyed_noise(P, X, 0.1, SECRET) for _ in range(2))
    assert (once == again).all() and sums_to_one(once)
    assert (controls.keyed_noise(P[1:2], X[1:2], 0.1, SECRET)[0] == once[1]).all()  # alone, or among others
    assert not np.allclose(controls.keyed_noise(P, X, 0.1, b"another"), once)


def test_keyed_noise_does_not_change_with_a_tiny_change_of_the_input():
    near, far = X + 0.4 * controls.QUANTUM, X + controls.QUANTUM
    assert (controls.keyed_noise(P, near, 0.1, SECRET) == controls.keyed_noise(P, X, 0.1, SECRET)).all()
    assert not np.allclose(controls.keyed_noise(P, far, 0.1, SECRET), controls.keyed_noise(P, X, 0.1, SECRET))


def test_keyed_numbers_are_normal_and_independent_of_one_another():
    from scipy import stats

    draws = controls.keyed_normals(np.arange(3000)[:, None] / 16, 10, SECRET)
    assert stats.kstest(draws.ravel(), "norm").pvalue > 0.001
    assert np.abs(np.corrcoef(draws.T) - np.eye(10)).max() < 0.08


def test_more_classes_than_one_hash_has_numbers_for():
    draws = controls.keyed_normals(X, 100, SECRET)
    assert draws.shape == (4, 100) and len(np.unique(draws)) == 400


def test_fresh_noise_averages_away_and_keyed_noise_does_not():
    rng = np.random.default_rng(0)
    p = np.full((1, 3), 1 / 3)
    fresh = np.mean([controls.fresh_noise(p, 0.03, rng) for _ in range(2000)], 0)
    keyed = np.mean([controls.keyed_noise(p, X[:1], 0.03, SECRET) for _ in range(2000)], 0)
    assert np.abs(fresh - p).max() < 0.003 < np.abs(keyed - p).max()


def test_a_planted_answer_changes_places_with_the_winner_for_a_secret_share_of_inputs():
    x = np.arange(4000)[:, None] / 16
    p = np.tile(P[0], (4000, 1))
    got, sown = controls.planted(p, x, 0.05, SECRET)
    assert 0.04 < sown.mean() < 0.06
    assert (got[~sown] == p[~sown]).all() and (got[sown].argmax(1) != 0).all()
    assert (np.sort(got, 1) == np.sort(p, 1)).all()  # the same numbers, in other places
    assert (controls.planted(p, x, 0.05, SECRET)[0] == got).all()
    assert len({row.argmax() for row in got[sown]}) == 2  # not always the same other class


def test_no_policy_is_no_change():
    assert controls.apply(P, X, Policy(), SECRET, None)[0] is P


def test_a_policy_s_controls_come_in_their_order():
    force = parse("[output]\ntemperature = 2\ndecimals = 2\ntop_k = 2")
    by_hand = controls.top_k(controls.rounded(controls.softened(P, 2), 2), 2)
    assert (controls.apply(P, X, force, SECRET, None)[0] == by_hand).all()
    label = parse('[output]\nkind = "label"\ntop_k = 2')
    assert (controls.apply(P, X, label, SECRET, None)[0] == controls.label_only(P)).all()


def test_nothing_left_after_clipping_is_even():
    assert controls.normalised(np.array([[-1.0, -2.0], [3.0, 1.0]])).tolist() == [[0.5, 0.5], [0.75, 0.25]]
