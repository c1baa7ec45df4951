"""Who owns which pictures, and copies of them.

A model stands behind a door; somebody asks it questions and makes a copy; somebody else judges the copy. Each has
pictures of their own, and no picture has two owners: the parts are disjoint by construction.

The digits are few, so questions and judgements use shifted, rotated and scaled copies of them. Copies of one picture
resemble each other: an interval over copies is clustered by the picture that each was made from.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.data import sets
from course_lib.files import quoted

__all__ = ["Shares", "copies", "judge_set", "shares"]

SHIFT, TURN, SCALE = 0.06, 10.0, (0.9, 1.1)  # of the width; degrees; times: a copy is still the digit that it was


class Shares(NamedTuple):
    """Each part is (x, y): pictures (N, 1, H, W) float32 in [0, 1], labels (N,). No picture is in two parts.

    victim: what the model behind the door was trained on. thief: what somebody who copies it has. val: for choosing.
    judge: for measuring a copy, once.
    """

    victim: tuple[torch.Tensor, torch.Tensor]
    thief: tuple[torch.Tensor, torch.Tensor]
    val: tuple[torch.Tensor, torch.Tensor]
    judge: tuple[torch.Tensor, torch.Tensor]
    classes: tuple[str, ...]


def shares(name="digits"):
    """The parts of a data set ("digits", "mnist", ...): victim and thief get a half of its train part each."""
    whole = sets.load(name)
    victim, thief = sets.stratified_split(whole.y_train, (0.5, 0.5), seed=1)
    return Shares(
        victim=(whole.x_train[victim], whole.y_train[victim]),
        thief=(whole.x_train[thief], whole.y_train[thief]),
        val=(whole.x_val, whole.y_val),
        judge=(whole.x_test, whole.y_test),
        classes=whole.classes,
    )


def copies(x, n, seed):
    """Shifted, rotated and scaled copies of pictures. x (N, C, H, W) -> (copies (n, C, H, W), base (n,)).

    base[i] is the row of x that copy i was made from; every picture gets its turn before any gets a second one.
    A function of x, n and seed; the first copies are the same whatever n is.
    """
    if x.ndim != 4 or not len(x) or not x.is_floating_point():
        raise ValueError(
            f"copies are made of pictures (N, channels, height, width) as floats; got {x.dtype} {tuple(x.shape)}"
        )
    if n < 1:
        raise ValueError(f"how many copies? n is a whole number above 0; got {quoted(n)}")
    turns, chances = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    base = np.concatenate([turns.permutation(len(x)) for _ in range(-(-n // len(x)))])[:n]
    right, down, turn, scale = chances.random((n, 4)).T  # each in [0, 1)
    turn = np.deg2rad((2 * turn - 1) * TURN)
    scale = SCALE[0] + scale * (SCALE[1] - SCALE[0])
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    shift = 2 * SHIFT * (2 * np.stack([right, down]) - 1)  # a picture is 2 wide in grid_sample's units
    moves = np.stack([np.stack([cos, -sin, shift[0]], -1), np.stack([sin, cos, shift[1]], -1)], 1)  # (n, 2, 3)
    base, moves = torch.from_numpy(base), torch.from_numpy(moves).to(x.dtype)
    made = [
        F.grid_sample(x[rows], F.affine_grid(move, (len(rows), *x.shape[1:]), align_corners=False), align_corners=False)
        for rows, move in zip(base.split(4096), moves.split(4096), strict=True)
    ]
    return torch.cat(made).clamp(0, 1), base


def judge_set(shares, n=10_000, seed=7):
    """Copies of the judge's pictures, for measuring agreement: (x (n, C, H, W), base (n,)). base is the cluster."""
    return copies(shares.judge[0], n, seed)
