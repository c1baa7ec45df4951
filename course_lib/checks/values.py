"""What came against what is right: are they the same, and if not, where do they differ, in words."""

import contextlib
import re

import numpy as np
import torch

from course_lib.checks import trial

SEVERAL = (tuple, list)
NUMBER = (int, float)
SORTS = {"b": "True and False", "i": "whole numbers", "f": "numbers with decimals", "c": "complex numbers"}
ORDER = ("first", "second", "third", "fourth")


def read(came, right):
    """`came` in the form of `right`, where it is only written in another one: a tensor () for a number, a list."""
    if isinstance(right, SEVERAL):
        came = tuple(came) if isinstance(came, (*SEVERAL, torch.Tensor)) and len(came) == len(right) else came
        return tuple(map(read, came, right)) if isinstance(came, tuple) and len(came) == len(right) else came
    if isinstance(right, NUMBER) and hasattr(came, "item"):  # of torch or of numpy
        with contextlib.suppress(ValueError, RuntimeError):  # more than one number in it
            return came.item()
    return came


def kind(value):
    """What sort of thing it is: a tensor by its sort of numbers and its shape, an error by its words."""
    if isinstance(value, Exception):
        return type(value), re.sub(r"\d+", "#", str(value))
    if isinstance(value, torch.Tensor):
        sort = "b" if value.dtype == torch.bool else "c" if value.is_complex() else "if"[value.is_floating_point()]
        return sort, tuple(value.shape)
    if isinstance(value, SEVERAL):
        return tuple(map(kind, value))
    return "number" if isinstance(value, NUMBER) and not isinstance(value, bool) else type(value)


def odd(came, right):
    """Whether it is another sort of thing: not only other numbers, or more or fewer of them."""
    if isinstance(came, torch.Tensor) and isinstance(right, torch.Tensor):
        return (kind(came)[0], came.ndim) != (kind(right)[0], right.ndim)
    return kind(came) != kind(right)


def apart(came, right, off):
    """True at each number of `came` that is not the one of `right`; whole numbers are exact. Both are of one kind."""
    right = torch.as_tensor(right).detach().cpu()
    nearly = {"rtol": 1e-4, "atol": off} if right.is_floating_point() else {"rtol": 0, "atol": 0}
    came, right = torch.as_tensor(came).detach().to("cpu", torch.double), right.double()
    return ~torch.isclose(came, right, equal_nan=True, **nearly)


def same(came, right, off):
    """Whether `came` is what `right` is: kind and shape, and each number up to `off` or one part in 10,000."""
    if kind(came) != kind(right):
        return False
    if isinstance(right, SEVERAL):
        return all(same(one, other, off) for one, other in zip(came, right, strict=True))
    if isinstance(right, (torch.Tensor, *NUMBER)):
        return not apart(came, right, off).any()
    return isinstance(right, Exception) or np.array_equal(came, right)


def unchanged(before, after):
    """Whether a call left its arguments as they were: tensors, arrays, lists, models and what lies in them."""
    if isinstance(before, torch.Tensor):
        alike = after.shape == before.shape and after.requires_grad == before.requires_grad
        return alike and torch.allclose(after, before, rtol=0, atol=0, equal_nan=True)
    if isinstance(before, torch.nn.Module):
        modes = [[part.training for part in one.modules()] for one in (before, after)]
        return modes[0] == modes[1] and unchanged(
            [*before.parameters(), *before.buffers()], [*after.parameters(), *after.buffers()]
        )
    if isinstance(before, dict):
        return list(before) == list(after) and unchanged(list(before.values()), list(after.values()))
    if isinstance(before, SEVERAL):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    return before == after if isinstance(before, (*NUMBER, str)) else True


def differ(came, right, off, what):
    """("0.8, 0.2 in row 1", "0.7, 0.3"): came and right where they first differ. what: a right thing, in words."""
    if isinstance(right, SEVERAL) and isinstance(came, SEVERAL) and len(came) == len(right):
        place = next(i for i, one in enumerate(came) if not same(one, right[i], off))
        came, expected = differ(came[place], right[place], off, what)
        return f"{came} as the {ORDER[place]} of {len(right)}" if place < 4 else f"{came} at {place}", expected
    if kind(came) == kind(right) == "number":
        return digits(came, right)
    if not (isinstance(came, torch.Tensor) and isinstance(right, torch.Tensor) and came.shape == right.shape):
        return described(came), f"{described(right)}, {what}"
    if kind(came) != kind(right):
        return SORTS[kind(came)[0]], f"{SORTS[kind(right)[0]]}, {what}"
    *row, place = apart(came, right, off).nonzero()[0].tolist() or [...]
    came, right = came[tuple(row)], right[tuple(row)]
    where = f" in row {row[0]}" if len(row) == 1 else f" at {row}" if row else ""
    if came.numel() > 6:
        came, right, where = came[place], right[place], f" at place {place}" + where.replace(" in ", " of ")
    came, right = digits(came, right)
    return came + where, right


def described(value):
    """What it is, with its numbers where these are few: "0, 3, 5, a tensor of shape (3,)"."""
    if isinstance(value, SEVERAL):
        return f"{trial.describe(value)} of {len(value)}"
    if kind(value) == "number":
        return f"{number(value, 4)}, {'an int' if isinstance(value, int) else 'a float'}"
    few = isinstance(value, torch.Tensor) and 0 < value.numel() <= 6 and value.ndim < 2
    return (digits(value, value)[0] + ", " if few else "") + trial.describe(value)


def digits(came, right):
    """Both as numbers to read, with 4 digits or as many as tell them apart."""
    both = [torch.as_tensor(value).detach().flatten().tolist() for value in (came, right)]
    for n in (4, 5, 6, 8, 12, 17):
        words = [", ".join(number(one, n) for one in numbers) for numbers in both]
        if came is right or words[0] != words[1]:
            break
    return words


def number(value, n):
    """A number to read, n digits long, 20000 and not 2e+04."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 10**n <= abs(value) < 1e7 else f"{value:.{n}g}"
