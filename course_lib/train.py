"""fit one model, fit_many seeds of it at once, predict."""

import contextlib

import torch
from torch import nn

from course_lib.inputs import INDEPENDENT, checked_data, checked_loss, checked_rows, count, made, what_learns
from course_lib.many import CannotFollow, Together
from course_lib.progress import Progress

SMALL = 100_000  # parameters; a network below that trains on one thread of the CPU


def fit(model, data, loss, epochs=30, batch_size=64, lr=3e-3, seed=0, on_epoch=None):
    """Train the model in place and return it, in eval mode. data = (x, *targets), each (N, ...).

    loss(logits, *targets) -> () nats per example. The order of the examples is a pure function of seed and epoch.
    on_epoch(epoch, predict) is called after each epoch; predict(x) gives the logits (N, C) at that moment.
    What is frozen (freeze) stays as it is, in eval mode. Ctrl-C leaves the model as its last step made it.
    """
    data = checked_data(data, loss, epochs, batch_size)
    run = _epochs(model, data, loss, epochs, batch_size, lr, seed)
    try:
        with _one_thread_if_small(model, data[0].device):
            _follow(run, count(epochs, "epoch"), epochs, on_epoch, lambda x: predict(model, x))
    except KeyboardInterrupt:
        print("The model keeps what it has learned so far.")
        raise
    finally:
        model.eval()
    return model


def fit_many(make, data, loss, seeds=16, rows=None, epochs=30, batch_size=64, lr=3e-3, on_epoch=None):
    """Train `seeds` students at once: what [fit(make(s), data, loss, seed=s) for s in range(seeds)] gives, faster.

    make(seed) -> a model with that seed's initial weights. Each seed has its own order of the examples, too.
    rows: (S, n) row numbers, which examples each seed sees. on_epoch's predict(x) gives logits (S, N, C).
    Where torch.func cannot follow the loss or the model, the students are trained one by one and a sentence says so.
    """
    data = checked_data(data, loss, epochs, batch_size)
    rows = checked_rows(rows, seeds, data)
    models = made(make, seeds, data)
    settings = (epochs, batch_size, lr)
    try:
        run = _together(models, data, loss, rows, *settings)
    except CannotFollow as reason:
        print(
            f"fit_many trains the students one by one, because torch.func cannot follow {reason}. "
            "The students are the same; it takes longer."
        )
        runs = [_epochs(model, data, loss, *settings, seed, rows[seed]) for seed, model in enumerate(models)]
        run = (epochs[0] for epochs in zip(*runs, strict=True))
    what = f"{count(seeds, 'student')}, {count(epochs, 'epoch')}"
    with _one_thread_if_small(models[0], data[0].device):
        _follow(run, what, epochs, on_epoch, lambda x: predict(models, x))
    return [model.eval() for model in models]


@torch.no_grad()
def predict(model, x, batch_size=4096):
    """Logits of a model (N, C), or of a list of models (S, N, C), in eval mode and without a gradient."""
    if isinstance(model, nn.Module):
        with _eval(model):
            return torch.cat([model(batch) for batch in x.split(batch_size)])
    models = list(model)
    if not models:
        raise ValueError("predict takes a model or a list of models; the list is empty")
    with contextlib.ExitStack() as modes:
        for one in models:
            modes.enter_context(_eval(one))
        try:
            students = Together(models)
            return torch.cat([students.logits(batch) for batch in x.split(batch_size)], dim=1)
        except (CannotFollow, RuntimeError):  # of several shapes, say; a true error comes up again here
            return torch.stack([predict(one, x, batch_size) for one in models])


def order(n, seed, epoch):
    """The order of n examples in an epoch, (n,): a pure function of n, seed and epoch."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(_key(seed, epoch)))


def _key(seed, epoch):
    return 1_000_003 * seed + epoch


def _epochs(model, data, loss, epochs, batch_size, lr, seed, rows=None):
    """Train the model; yields the epoch, 1 to `epochs`, after each. rows (n,): the examples that it sees."""
    x, *targets = data
    model.to(x.device)
    learned = what_learns(model)
    optimiser = torch.optim.Adam(learned, lr=lr, fused=True)  # fused: a step is done or not done, never half
    for epoch in range(epochs):
        before, total = [p.detach().clone() for p in learned], 0.0
        _train_mode(model)
        now = order(len(x) if rows is None else len(rows), seed, epoch).to(x.device)
        with _random_numbers(seed, epoch, x.device):
            for batch in (now if rows is None else rows[now]).split(batch_size):
                optimiser.zero_grad()
                value = checked_loss(loss(model(x[batch]), *(t[batch] for t in targets)))
                value.backward()
                if all(p.grad is None for p in learned):
                    raise ValueError(INDEPENDENT)
                optimiser.step()
                total += value.detach()
        _stop_unless_finite(total, learned, before, epoch, lr)
        yield epoch + 1


def _together(models, data, loss, rows, epochs, batch_size, lr):
    """Like _epochs, for all models at once; row s of `rows` (S, n) is for model s. Raises CannotFollow at once."""
    learned = what_learns(models[0])
    for model in models:
        _train_mode(model)
    students = Together(models)
    first = [t[rows[:, :batch_size]] for t in data]
    with _random_numbers(0, 0, rows.device):  # one student alone first: an error of the learner's shows as their own
        value = checked_loss(loss(models[0](first[0][0]), *(t[0] for t in first[1:])))
        slopes = [g for g in torch.autograd.grad(value, learned, allow_unused=True) if g is not None]
        if not slopes:
            raise ValueError(INDEPENDENT)
        students.follow(loss, first, [value, *slopes])
    return _steps_together(students, data, loss, rows, epochs, batch_size, lr)


def _steps_together(students, data, loss, rows, epochs, batch_size, lr):
    learned = students.learned()
    optimiser = torch.optim.Adam(learned, lr=lr, fused=True)
    for epoch in range(epochs):
        before, total = [p.detach().clone() for p in learned], 0.0
        orders = torch.stack([order(rows.shape[1], seed, epoch) for seed in range(len(rows))]).to(rows.device)
        for batch in rows.gather(1, orders).split(batch_size, dim=1):  # (S, B)
            optimiser.zero_grad()
            values = students.losses(loss, *(_pick(t, batch) for t in data))  # (S,)
            values.sum().backward()  # the sum's slope for a student's weights is its own loss's slope
            optimiser.step()
            total += values.detach()
        _stop_unless_finite(total, learned, before, epoch, lr)
        students.unstack()
        yield epoch + 1


def _pick(t, batch):
    """t[batch] (S, B, ...) of t (N, ...), by the call that copies whole rows, which is faster."""
    return t.index_select(0, batch.reshape(-1)).view(*batch.shape, *t.shape[1:])


def _follow(run, what, epochs, on_epoch, now):
    """Run the epochs, with one line of progress."""
    with Progress(what, epochs) as progress:
        for epoch in run:
            progress.step()
            if on_epoch:
                on_epoch(epoch, now)


@contextlib.contextmanager
def _one_thread_if_small(model, device):
    """A second thread gains a small network nothing, and costs it a lot where the cores are busy."""
    threads = torch.get_num_threads()
    if device.type == "cpu" and sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _eval(model):
    """The model in eval mode for a while; then every part of it is again in the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _train_mode(model):
    """Train mode, but for the parts that are frozen: a teacher inside a student stays a teacher."""
    model.train()
    for part in model.modules():
        if not any(p.requires_grad for p in part.parameters()) and any(True for _ in part.parameters()):
            part.eval()


@contextlib.contextmanager
def _random_numbers(seed, epoch, device):
    """Make what dropout draws a function of seed and epoch, too; afterwards the generators are as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_key(seed, epoch))
        yield


def _stop_unless_finite(total, learned, before, epoch, lr):
    """Undo the epoch and stop, in words, if a loss or a weight is not a finite number."""
    if torch.isfinite(total).all() and all(torch.isfinite(p).all() for p in learned):
        return
    with torch.no_grad():
        for p, old in zip(learned, before, strict=True):
            p.copy_(old)
    raise FloatingPointError(
        f"the loss is not a finite number in epoch {epoch + 1}. The weights are as they were before that epoch. "
        f"Look for log(0), 0/0 or exp of a large number in the loss (work with log_softmax), or try lr={lr / 10:g}."
    )
