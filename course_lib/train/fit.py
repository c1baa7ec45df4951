"""fit one model, fit_many seeds of it at once, predict."""

import contextlib
from pathlib import Path

import torch
from torch import nn

from course_lib.data import as_numbers
from course_lib.progress_line import Progress
from course_lib.train.given import (
    INDEPENDENT,
    asked,
    autocast,
    checked_data,
    checked_loss,
    checked_rows,
    count,
    made,
    told_if_full,
    what_learns,
)
from course_lib.train.loop import adam, constant, order, random_numbers, stop_unless_finite, train_epochs, train_mode
from course_lib.train.together import CannotFollow, Together

SMALL = 100_000  # parameters; a network of linear layers below that trains on one thread of the CPU


def fit(
    model,
    data,
    loss,
    epochs=30,
    batch_size=64,
    lr=3e-3,
    seed=0,
    on_epoch=None,
    *,
    views=None,
    optimiser=adam,
    schedule=constant,
    precision="float32",
    channels_last=False,
    compile=False,
    checkpoint=None,
    label=None,
    advice=True,
):
    """Train the model in place and return it, in eval mode. data = (x, *targets), each (N, ...).

    loss(logits, *targets) -> () nats per example. A target is a tensor, or a teacher's answers, which are asked batch by
    batch for the same view that the student sees: answers.Online(teacher) or answers.build(...). x and the targets may be
    on a GPU; uint8 pictures are turned into numbers batch by batch. The order of the examples, and with views=Views(...)
    the view of each, are pure functions of seed and epoch.

    optimiser(parameters, lr): adam, sgd. schedule(progress) -> factor: constant, one_cycle. precision: "float32" or "bfloat16".
    channels_last: weights and pictures in the order that convolutions are fastest in. compile: through torch.compile.
    checkpoint: a file; each epoch's end is kept in it, and the same call with a model built anew goes on from there. It
    knows loss, optimiser and schedule by their names: give another setting another name.
    on_epoch(epoch, predict) is called after each epoch; predict(x) gives the logits (N, C) at that moment.
    label: what the line of progress calls this training. advice: whether Ctrl-C prints how to go on.
    What is frozen (freeze) stays as it is, in eval mode. Ctrl-C leaves the model as its last step made it. Under torchrun
    the processes train one model together (processes). What does not fit together gets a TypeError or ValueError in words,
    a loss that is no longer finite a FloatingPointError, a full GPU GpuFull.
    """
    data = checked_data(data, loss, epochs, batch_size)
    how = dict(
        optimiser=optimiser, schedule=schedule, precision=precision, channels_last=channels_last, compile=compile
    )
    try:
        what = label or count(epochs, "epoch")
        with told_if_full(batch_size, model), _threads(model, data[0].device), Progress(what, 1) as progress:
            how |= dict(views=views, checkpoint=checkpoint, tick=progress.step)
            for epoch in train_epochs(model, data, loss, epochs, batch_size, lr, seed, **how):
                if on_epoch:
                    on_epoch(epoch, lambda x: predict(model, x))
    except KeyboardInterrupt:
        if advice:
            print(f"The model keeps what it has learned so far. {_how_to_go_on(checkpoint)}")
        raise
    except RuntimeError as error:
        if compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).splitlines()[0]
            raise RuntimeError(f"torch.compile cannot work here ({reason}): train with compile=False") from error
        raise
    finally:
        model.eval()
    return model


def _how_to_go_on(checkpoint):
    if not checkpoint:
        return "To train it further, call fit again with it; next time, checkpoint=FILE keeps each whole epoch."
    anew = "build the model anew, as at the start, and make the same call."
    if Path(checkpoint).exists():
        return f"{checkpoint} holds its last whole epoch: to go on from there, {anew}"
    return f"No epoch was whole, so {checkpoint} is not there yet: to begin again, {anew}"


def fit_many(make, data, loss, seeds=16, rows=None, epochs=30, batch_size=64, lr=3e-3, on_epoch=None):
    """Train `seeds` students at once: what [fit(make(s), data, loss, seed=s) for s in range(seeds)] gives, faster.

    make(seed) -> a model with that seed's initial weights. Each seed has its own order of the examples, too.
    rows: (S, n) row numbers, which examples each seed sees. on_epoch's predict(x) gives logits (S, N, C).
    Where torch.func cannot follow the loss or the model, the students are trained one by one and a sentence says so.
    Raises as fit does.
    """
    data = checked_data(data, loss, epochs, batch_size)
    if any(asked(t) for t in data):
        raise TypeError("fit_many takes tensors; answers that depend on the view go to fit, one student at a time")
    rows = checked_rows(rows, seeds, data)
    models = made(make, seeds, data)
    settings = (epochs, batch_size, lr)
    try:
        with told_if_full(batch_size, *models):
            run = _together(models, data, loss, rows, *settings)
    except CannotFollow as reason:
        print(
            f"fit_many trains the students one by one, because torch.func cannot follow {reason}. "
            "The students are the same; it takes longer."
        )
        runs = [train_epochs(model, data, loss, *settings, seed, rows[seed]) for seed, model in enumerate(models)]
        run = (epochs[0] for epochs in zip(*runs, strict=True))
    what = f"{count(seeds, 'student')}, {count(epochs, 'epoch')}"
    with told_if_full(batch_size, *models), _threads(models[0], data[0].device), Progress(what, epochs) as progress:
        for epoch in run:
            progress.step()
            if on_epoch:
                on_epoch(epoch, lambda x: predict(models, x))
    return [model.eval() for model in models]


@torch.no_grad()
def predict(model, x, batch_size=None, precision="float32"):
    """Logits of a model (N, C), or of a list of models (S, N, C), in eval mode and without a gradient.

    batch_size: as many as a few million numbers hold, unless told. precision: as in fit; the logits are float32.
    """
    batch_size = batch_size or max(1, min(4096, 4_000_000 // max(1, x[:1].numel())))
    if isinstance(model, nn.Module):
        with told_if_full(batch_size), _eval(model), autocast(x.device, precision):
            answers = torch.cat([model(as_numbers(batch)) for batch in x.split(batch_size)])
        return answers.float() if precision != "float32" else answers
    models = list(model)
    if not models:
        raise ValueError("predict takes a model or a list of models; the list is empty")
    if precision != "float32":  # inside vmap, autocast changes nothing
        return torch.stack([predict(one, x, batch_size, precision) for one in models])
    with contextlib.ExitStack() as modes:
        for one in models:
            modes.enter_context(_eval(one))
        with contextlib.suppress(CannotFollow, RuntimeError):  # of several shapes, say; a true error comes up again
            students = Together(models)
            return torch.cat([students.logits(as_numbers(batch)) for batch in x.split(batch_size)], dim=1)
        return torch.stack([predict(one, x, batch_size) for one in models])


def _together(models, data, loss, rows, epochs, batch_size, lr):
    """Like train_epochs, for all models at once; row s of `rows` (S, n) is for model s. Raises CannotFollow at once."""
    learned = what_learns(models[0])
    for model in models:
        train_mode(model)
    students = Together(models)
    first = [t[rows[:, :batch_size]] for t in data]
    with random_numbers(0, 0, rows.device):  # one student alone first: an error of the learner's shows as their own
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
        stop_unless_finite(total, learned, before, epoch, lr)
        students.unstack()
        yield epoch + 1


def _pick(t, batch):
    """t[batch] (S, B, ...) of t (N, ...), by the call that copies whole rows, which is faster."""
    return t.index_select(0, batch.reshape(-1)).view(*batch.shape, *t.shape[1:])


@contextlib.contextmanager
def _threads(model, device):
    """A second thread gains a small network nothing, and costs it a lot where the cores are busy."""
    threads = torch.get_num_threads()
    small = sum(p.numel() for p in model.parameters()) < SMALL
    if device.type == "cpu" and small and not any(isinstance(part, nn.Conv2d) for part in model.modules()):
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
