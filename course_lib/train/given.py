"""What fit and fit_many are given, checked in words: what was expected, what came, what to do; and a GPU that is full."""

import contextlib
import inspect
import traceback

import torch
from torch import nn

from course_lib.files import cut, quoted

INDEPENDENT = (
    "the loss does not depend on the student, so there is nothing to learn from it. Does it use the logits that it is "
    "given first? Are they detached, or compared with themselves?"
)


class GpuFull(MemoryError):
    """The GPU's memory does not hold what was asked; the message says what to try."""


@contextlib.contextmanager
def told_if_full(batch_size, *models):
    """A GPU that is full gets a sentence, GpuFull, once what the failed call held on it and the gradients are let go."""
    full = False
    try:
        yield
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # they hold the activations, and the optimiser
        full = True
    if full:
        for model in models:
            model.zero_grad(set_to_none=True)
        smaller = f"batch_size={batch_size // 2}" if batch_size > 1 else "a smaller network, or smaller pictures"
        raise GpuFull(f"the GPU's memory is full with batch_size={batch_size}: try {smaller}") from None


def what_learns(model):
    """The parameters that are not frozen."""
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        raise ValueError("nothing in this model can learn: every parameter is frozen. Is it the teacher?")
    return learned


def asked(target):
    """True for a target that is asked batch by batch, target.at(rows, view, x): a teacher, or its answers in a cache."""
    return hasattr(target, "at")


def autocast(device, precision):
    """The context in which a model computes in `precision`: "float32", all of it, or "bfloat16", where that is safe.

    In bfloat16 products and convolutions take half the bytes; weights, losses and the optimiser stay float32.
    On a GPU torch lets float32 convolutions round what they multiply to TF32, 10 bits of fraction, unless
    torch.backends.cudnn.allow_tf32 is False.
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f'precision is "float32" or "bfloat16"; it came as {quoted(precision)}')
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def checked_loss(value):
    """What a loss returned, if one can learn from it."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"the loss returns a tensor with one number, but it returned {type(value).__name__}. "
            "(.item() and float() cut the number off from the student.)"
        )
    if value.shape != ():
        raise ValueError(
            f"the loss returns one number, the mean over the batch; it returned shape {tuple(value.shape)}. "
            "Does .mean() miss at its end?"
        )
    if not value.requires_grad:
        raise ValueError(INDEPENDENT)
    return value


def checked_data(data, loss, epochs, batch_size):
    """data as a tuple of tensors of one length, or a sentence that says what is wrong.

    Data are numbers: logits that a teacher gave with a gradient lose it here, so that no step trains the teacher.
    """
    usable = isinstance(data, (tuple, list)) and data and isinstance(data[0], torch.Tensor)
    if not usable or not all(isinstance(t, torch.Tensor) or asked(t) for t in data):
        came = [type(t).__name__ for t in data] if isinstance(data, (tuple, list)) else type(data).__name__
        raise TypeError(
            f"data is a tuple of tensors (x, *targets), say (data.x_train, data.y_train); it came as {came}"
        )
    sized = [t for t in data if hasattr(t, "__len__")]  # a teacher that is asked online has no length
    lengths = {None if isinstance(t, torch.Tensor) and not t.dim() else len(t) for t in sized}
    if len(lengths) > 1 or lengths <= {0, None}:
        shapes = ", ".join(str(tuple(t.shape) if isinstance(t, torch.Tensor) else (len(t),)) for t in sized)
        raise ValueError(f"x and its targets have one row per example, at least one; they came as {shapes}")
    if not isinstance(epochs, int) or epochs < 0 or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            f"epochs is a whole number from 0, batch_size one from 1; got {quoted(epochs)} and {quoted(batch_size)}"
        )
    with contextlib.suppress(ValueError):  # some built-in functions have no signature to look at
        signature = inspect.signature(loss)
        try:
            signature.bind(*data)
        except TypeError:
            given = count(len(data) - 1, "target")
            raise TypeError(
                f"the loss is called with the logits and {given}, but it takes {cut(str(signature))}"
            ) from None
    for i, t in enumerate(data):
        if isinstance(t, torch.Tensor) and t.device != data[0].device:
            raise ValueError(
                f"x is on {data[0].device} and target {i} on {t.device}: move both to one device, with .to()"
            )
    return tuple(t.to(data[0].device) if asked(t) else t.detach() for t in data)


def checked_rows(rows, seeds, data):
    """rows as (S, n) on the data's device; every row for every seed if none are given."""
    n = len(data[0])
    if not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds is how many students to train, a whole number from 1; got {quoted(seeds)}")
    if rows is None:
        return torch.arange(n, device=data[0].device).expand(seeds, n)
    if not isinstance(rows, torch.Tensor) or rows.dtype != torch.int64 or rows.dim() != 2 or len(rows) != seeds:
        came = f"{rows.dtype} {tuple(rows.shape)}" if isinstance(rows, torch.Tensor) else type(rows).__name__
        raise ValueError(f"rows is an int64 tensor of shape (seeds, n), here ({seeds}, n); it came as {came}")
    if not rows.numel() or rows.min() < 0 or rows.max() >= n:
        raise ValueError(f"rows are row numbers from 0 to {n - 1}, at least one per seed")
    return rows.to(data[0].device)


def made(make, seeds, data):
    """The students at their start, on the data's device."""
    models = [make(seed) for seed in range(seeds)]
    if not all(isinstance(model, nn.Module) for model in models):
        raise TypeError(
            "make is a function of a seed that returns a new model: lambda seed: mlp(64, 16, 10, seed=seed)"
        )
    if len({id(model) for model in models}) < seeds:
        raise ValueError("make returned the same model twice; it has to build a new one for each seed")
    first, *others = ([p.detach() for p in model.parameters()] for model in models)
    if others and all(len(o) == len(first) and all(map(torch.equal, first, o)) for o in others):
        print("All students start from the same weights: make(seed) does not use its seed.")
    return [model.to(data[0].device) for model in models]


def count(n, word):
    """A number with its noun: "1 epoch", "2 epochs"."""
    return f"{n} {word}{'s' * (n != 1)}"
