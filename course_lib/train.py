"""fit one model, fit_many seeds of it at once, predict."""

import contextlib
import copy
import inspect

import torch

from course_lib.many import CannotFollow, Together, cannot_follow
from course_lib.progress import Progress


def fit(model, data, loss, epochs=30, batch_size=64, lr=3e-3, seed=0, on_epoch=None):
    """Train the model in place and return it, in eval mode. data = (x, *targets), each (N, ...).

    loss(logits, *targets) -> () nats per example. The order of the examples is a pure function of seed and epoch.
    on_epoch(epoch, predict) is called after each epoch; predict(x) gives the logits (N, C) at that moment.
    Parameters that do not require a gradient stay as they are.
    """
    data = _checked(data, loss, epochs, batch_size)
    steps = _epochs(model, data, loss, epochs, batch_size, lr, seed)
    with Progress(f"{epochs} epochs", epochs) as progress:
        for epoch in steps:
            progress.step()
            if on_epoch:
                on_epoch(epoch, lambda x: predict(model, x))
    return model.eval()


def fit_many(make, data, loss, seeds=16, rows=None, epochs=30, batch_size=64, lr=3e-3, on_epoch=None):
    """Train `seeds` students at once: what [fit(make(s), data, loss, seed=s) for s in range(seeds)] gives, faster.

    make(seed) -> a model with that seed's initial weights. Each seed has its own order of the examples, too.
    rows: (S, n) row numbers, which examples each seed sees. on_epoch's predict(x) gives logits (S, N, C).
    Where torch.func cannot follow the loss or the model, the students are trained one by one and a sentence says so.
    """
    data = _checked(data, loss, epochs, batch_size)
    models = [make(seed).to(data[0].device) for seed in range(seeds)]
    rows = _checked_rows(rows, seeds, data)
    settings = (epochs, batch_size, lr)
    try:
        run, now = _together(models, data, loss, rows, *settings)
    except CannotFollow as reason:
        print(f"fit_many trains the students one by one, because torch.func cannot follow {reason}; "
              "the result is the same, it only takes longer.")  # fmt: skip
        run, now = _one_by_one(models, data, loss, rows, *settings)
    with Progress(f"{seeds} students, {epochs} epochs", epochs) as progress:
        for epoch in run:
            progress.step()
            if on_epoch:
                on_epoch(epoch, now)
    return [model.eval() for model in models]


@torch.no_grad()
def predict(model, x, batch_size=4096):
    """Logits of a model (N, C), or of a list of models (S, N, C), in eval mode and without a gradient."""
    if not isinstance(model, (list, tuple)):
        with _eval(model):
            return torch.cat([model(batch) for batch in x.split(batch_size)])
    try:
        students = Together(list(model))
        with _eval(students.models[0]):
            return torch.cat([students.logits(batch) for batch in x.split(batch_size)], dim=1)
    except (CannotFollow, RuntimeError):
        return torch.stack([predict(one, x, batch_size) for one in model])


def order(n, seed, epoch):
    """The order of n examples in an epoch (n,): a pure function of n, seed and epoch."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))


def _epochs(model, data, loss, epochs, batch_size, lr, seed):
    """Train the model; yields the epoch, 1 to epochs, after each."""
    x, *targets = data
    model.to(x.device)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=lr, fused=True)
    for epoch in range(epochs):
        model.train()
        with torch.random.fork_rng():
            torch.manual_seed(1_000_003 * seed + epoch)  # dropout is a pure function of seed and epoch, too
            for rows in order(len(x), seed, epoch).to(x.device).split(batch_size):
                optimiser.zero_grad()
                loss(model(x[rows]), *(t[rows] for t in targets)).backward()
                optimiser.step()
        yield epoch + 1


def _together(models, data, loss, rows, epochs, batch_size, lr):
    students = Together(models)
    first = [t[rows[:, :batch_size]] for t in data]
    plain = loss(copy.deepcopy(models[0]).train()(first[0][0]), *(t[0] for t in first[1:]))
    for model in models:
        model.train()
    reason = cannot_follow(students, loss, first, plain)
    if reason:
        raise CannotFollow(reason)
    optimiser = torch.optim.Adam(students.learned(), lr=lr, fused=True)

    def run():
        for epoch in range(epochs):
            orders = torch.stack([order(rows.shape[1], seed, epoch) for seed in range(len(models))])
            for batch in rows.gather(1, orders.to(rows.device)).split(batch_size, dim=1):  # (S, B)
                optimiser.zero_grad()
                students.losses(loss, *(t[batch] for t in data)).sum().backward()
                optimiser.step()
            students.unstack()
            yield epoch + 1

    return run(), lambda x: predict(models, x)


def _one_by_one(models, data, loss, rows, epochs, batch_size, lr):
    runs = [_epochs(model, tuple(t[rows[seed]] for t in data), loss, epochs, batch_size, lr, seed)
            for seed, model in enumerate(models)]  # fmt: skip
    return (epoch for epoch, *_ in zip(*runs, strict=True)), lambda x: predict(models, x)


@contextlib.contextmanager
def _eval(model):
    """The model in eval mode, for a while; every part of it then returns to the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _checked(data, loss, epochs, batch_size):
    """data as a tuple of tensors of one length, or a sentence that says what it was instead."""
    if not isinstance(data, (tuple, list)) or not all(isinstance(t, torch.Tensor) for t in data):
        raise TypeError("data is a tuple of tensors, (x, *targets): fit(model, (data.x_train, data.y_train), loss)")
    if len({len(t) for t in data}) != 1:
        raise ValueError(f"x and its targets have different lengths: {[len(t) for t in data]}")
    try:
        inspect.signature(loss).bind(*data)
    except TypeError:
        raise TypeError(f"the loss is called with the logits and {len(data) - 1} targets, "
                        f"but it takes {inspect.signature(loss)}") from None  # fmt: skip
    return tuple(data)


def _checked_rows(rows, seeds, data):
    """rows as (S, n) on the data's device; all rows where none are given."""
    n = len(data[0])
    rows = torch.arange(n).expand(seeds, n) if rows is None else rows
    if rows.shape[0] != seeds or rows.dim() != 2:
        raise ValueError(f"rows has shape (seeds, n) = ({seeds}, n), but it came as {tuple(rows.shape)}")
    return rows.to(data[0].device)
