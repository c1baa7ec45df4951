"""Views of a picture: each crop-by-shift, mirrored or not, has a number, so that a view can be named, kept and repeated.

The picture is framed by `shift` black pixels on every side and cut out again at its own size: 2 * shift + 1 places down
times as many across, each as it is and mirrored. A student and its teacher look at the same view (consistent teaching,
Beyer et al., 2022), and what the teacher said about it can be looked up by (picture, view).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from course_lib.files import quoted


class Views(NamedTuple):
    """The views that a training uses: their numbers (K,), and the shift that gives the numbers their meaning."""

    ids: torch.Tensor
    shift: int


def view_id(down, right, mirrored, shift=4):
    """The number of the view whose corner lies `down` and `right` of the framed picture's: each 0 to 2 * shift.

    view_id(shift, shift, False, shift) is the picture as it is. Whole numbers or tensors of them.
    """
    return (down * (2 * shift + 1) + right) * 2 + mirrored


def all_views(shift=4, mirror=True):
    """Every view of a shift, the picture as it is first: 162 of them for shift=4, 81 without mirrors."""
    ids = torch.arange(2 * (2 * shift + 1) ** 2)
    ids = ids if mirror else ids[::2]
    plain = view_id(shift, shift, False, shift)
    return Views(torch.cat([torch.tensor([plain]), ids[ids != plain]]), shift)


def some_views(count, shift=4, mirror=True, seed=0):
    """`count` of all views, drawn without repetition; the picture as it is always among them, and first."""
    ids = all_views(shift, mirror).ids
    if not 1 <= count <= len(ids):
        raise ValueError(f"shift={shift} has 1 to {len(ids)} different views; {quoted(count)} were asked for")
    others = 1 + torch.randperm(len(ids) - 1, generator=torch.Generator().manual_seed(seed))[: count - 1]
    return Views(torch.cat([ids[:1], ids[others]]), shift)


def choose(views, n, seed, epoch):
    """The view of each of n pictures in an epoch (n,): a pure function of views, n, seed and epoch.

    Every picture starts at a place of its own and goes round: after K epochs it has been seen once in each of K views.
    """
    start = torch.randint(len(views.ids), (n,), generator=torch.Generator().manual_seed(seed))
    return views.ids[(start + epoch) % len(views.ids)]


def augment(x, view, shift=4):
    """Pictures x (B, channels, h, w), each in its view (B,) -> the same shape and type, exactly.

    A copy of pixels on whichever device they are: nothing is rounded, and the same numbers give the same pixels.
    """
    if view.shape != x.shape[:1] or view.dtype != torch.int64:
        raise ValueError(
            f"one view per picture was expected, int64 ({len(x)},); it came as {view.dtype} {tuple(view.shape)}"
        )
    h, w = x.shape[2:]
    corner, mirrored = view // 2, view % 2 == 1
    down, right = corner // (2 * shift + 1), corner % (2 * shift + 1)
    rows = down[:, None] + torch.arange(h, device=x.device)  # (B, h)
    columns = torch.arange(w, device=x.device)
    columns = right[:, None] + torch.where(mirrored[:, None], w - 1 - columns, columns)  # (B, w)
    framed = F.pad(x, [shift] * 4)
    batch = torch.arange(len(x), device=x.device)
    seen = framed[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (B, h, w, channels)
    return seen.permute(0, 3, 1, 2)


def as_numbers(x):
    """Pictures as the networks take them: uint8 0-255 becomes float32 in [0, 1]; numbers stay as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x
