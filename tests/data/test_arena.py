"""No picture has two owners, and a copy is what an independent program makes of its picture."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from course_lib.data import arena, load


@pytest.fixture(scope="module")
def digits():
    return arena.shares()


def rows_of(x):
    return {tuple(row) for row in x.flatten(1).tolist()}


def test_no_picture_has_two_owners(digits):
    parts = [rows_of(x) for x, _ in digits[:4]]
    assert len(set.union(*parts)) == sum(len(part) for part in parts)


def test_victim_and_thief_share_the_train_part_and_every_class_alike(digits):
    whole = load()
    assert rows_of(digits.victim[0]) | rows_of(digits.thief[0]) == rows_of(whole.x_train)
    difference = digits.victim[1].bincount() - digits.thief[1].bincount()
    assert difference.abs().max() <= 1
    assert torch.equal(digits.judge[0], whole.x_test) and torch.equal(digits.val[0], whole.x_val)


def test_a_label_belongs_to_its_picture(digits):
    whole = load()
    label = dict(zip(map(tuple, whole.x_train.flatten(1).tolist()), whole.y_train.tolist(), strict=True))
    for x, y in (digits.victim, digits.thief):
        assert [label[tuple(row)] for row in x.flatten(1).tolist()] == y.tolist()


def test_copies_are_a_function_of_pictures_number_and_seed(digits):
    x = digits.thief[0]
    copies, base = arena.copies(x, 700, seed=3)
    again, base_again = arena.copies(x, 700, seed=3)
    assert torch.equal(copies, again) and torch.equal(base, base_again)
    assert not torch.equal(copies, arena.copies(x, 700, seed=4)[0])


def test_the_first_copies_are_the_same_however_many_are_made(digits):
    few, many = (arena.copies(digits.thief[0], n, seed=0) for n in (100, 5000))
    assert torch.equal(few[0], many[0][:100]) and torch.equal(few[1], many[1][:100])


def test_every_picture_gets_its_turn_before_any_gets_a_second():
    base = arena.copies(torch.rand(50, 1, 8, 8), 120, seed=1)[1]
    assert sorted(base[:50].tolist()) == sorted(base[50:100].tolist()) == list(range(50))


def test_a_copy_is_what_scipy_makes_of_its_picture(digits, monkeypatch):
    """scipy's affine_transform, given the same shift, turn and scale, gives the same picture."""
    x = digits.victim[0][:20]
    copies, base = arena.copies(x, 20, seed=5)
    right, down, turn, scale = np.random.default_rng([5, 1]).random((20, 4)).T
    low, high = arena.SCALE
    for i in range(20):
        angle, times = np.deg2rad((2 * turn[i] - 1) * arena.TURN), low + scale[i] * (high - low)
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / times  # (row, column)
        move = 8 * arena.SHIFT * (2 * np.array([down[i], right[i]]) - 1)
        middle = np.array([3.5, 3.5])
        theirs = ndimage.affine_transform(
            np.pad(x[base[i], 0].numpy(), 8), matrix, middle + 8 + move - matrix @ middle, output_shape=(8, 8), order=1
        )
        assert np.allclose(copies[i, 0], theirs, atol=1e-5)


def test_most_copies_are_still_read_as_what_they_were(digits):
    """A nearest neighbour among the victim's own pictures reads the judge's copies nearly as well as the originals."""
    from sklearn.neighbors import KNeighborsClassifier

    x, y = digits.victim
    near = KNeighborsClassifier(3).fit(arena.copies(x, 5000, seed=0)[0].flatten(1), y[arena.copies(x, 5000, seed=0)[1]])
    copies, base = arena.judge_set(digits, n=2000)
    assert near.score(copies.flatten(1), digits.judge[1][base]) > 0.93


def test_pictures_stay_pictures(digits):
    copies, base = arena.judge_set(digits)
    assert copies.shape == (10_000, 1, 8, 8) and copies.dtype == torch.float32
    assert 0 <= copies.min() and copies.max() <= 1
    assert base.shape == (10_000,) and base.bincount(minlength=359).min() >= 27


@pytest.mark.parametrize(
    ("x", "n", "words"),
    [
        (torch.rand(5, 64), 3, "pictures \\(N, channels, height, width\\) as floats; got torch.float32 \\(5, 64\\)"),
        (torch.zeros(5, 1, 8, 8, dtype=torch.uint8), 3, "got torch.uint8"),
        (torch.rand(0, 1, 8, 8), 3, "got torch.float32 \\(0, 1, 8, 8\\)"),
        (torch.rand(5, 1, 8, 8), 0, "n is a whole number above 0; got 0"),
    ],
)
def test_what_copies_cannot_be_made_of_is_said_in_words(x, n, words):
    with pytest.raises(ValueError, match=words):
        arena.copies(x, n, seed=0)
