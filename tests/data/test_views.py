"""Views have numbers: exact, repeatable, and the same for a student and its teacher."""

import pytest
import torch
import torchvision.transforms.functional as pictures
from torch.nn.functional import pad

from course_lib.data import all_views, as_numbers, augment, choose, some_views
from course_lib.data.views import view_id

X = torch.randint(0, 256, (6, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("down, right, mirrored", [(0, 0, False), (4, 1, True), (2, 2, False), (3, 0, True)])
def test_a_view_is_torchvisions_crop_of_the_framed_picture_and_its_mirror(down, right, mirrored):
    view = torch.full((6,), view_id(down, right, mirrored, shift=2))
    wanted = pictures.crop(pad(X, [2] * 4), down, right, 9, 7)
    assert torch.equal(augment(X, view, shift=2), pictures.hflip(wanted) if mirrored else wanted)


def test_each_picture_of_a_batch_gets_its_own_view_in_every_type():
    view = torch.tensor([0, 5, 17, 49, 24, 31])
    for x in (X, X.float(), X.double() / 255):
        whole = augment(x, view, shift=2)
        assert whole.dtype == x.dtype
        assert torch.equal(whole, torch.cat([augment(x[i : i + 1], view[i : i + 1], shift=2) for i in range(6)]))


def test_shift_4_has_162_different_views_and_the_first_is_the_picture_as_it_is():
    views = all_views(4)
    assert len(views.ids.unique()) == 162 and len(all_views(4, mirror=False).ids) == 81
    assert torch.equal(augment(X, views.ids[:1].expand(6), 4), X)
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    seen = augment(x.expand(162, -1, -1, -1), views.ids, 4)
    assert len(seen.flatten(1).unique(dim=0)) == 162


def test_some_views_are_drawn_without_repetition_by_seed_with_the_plain_one_first():
    views = some_views(20, seed=3)
    assert len(views.ids.unique()) == 20 and views.ids[0] == view_id(4, 4, False)
    assert torch.equal(views.ids, some_views(20, seed=3).ids) and not torch.equal(views.ids, some_views(20, seed=4).ids)
    assert not (some_views(81, mirror=False).ids % 2).any()


@pytest.mark.parametrize("count", [0, 163])
def test_more_views_than_there_are_get_a_sentence(count):
    with pytest.raises(ValueError, match="shift=4 has 1 to 162 different views"):
        some_views(count)


def test_a_picture_is_seen_in_every_view_once_in_as_many_epochs_and_the_choice_is_a_pure_function():
    views = some_views(5, shift=2)
    seen = torch.stack([choose(views, 30, seed=1, epoch=epoch) for epoch in range(5)])  # (epochs, N)
    assert torch.equal(seen.sort(0).values, views.ids.sort().values[:, None].expand(5, 30))
    assert torch.equal(seen[3], choose(views, 30, seed=1, epoch=3))
    assert not torch.equal(seen[3], choose(views, 30, seed=2, epoch=3))


@pytest.mark.parametrize("view", [torch.zeros(5, dtype=torch.int64), torch.zeros(6)])
def test_one_whole_number_per_picture_is_asked_for(view):
    with pytest.raises(ValueError, match="one view per picture was expected, int64"):
        augment(X, view)


def test_bytes_become_numbers_between_0_and_1_and_numbers_stay():
    assert torch.equal(as_numbers(X), X / 255)
    x = torch.rand(2, 3)
    assert as_numbers(x) is x
