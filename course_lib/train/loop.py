"""The training loop. The targets say what is taught; each thing that makes it fast is a line that can be switched."""

import contextlib
import math
import time

import torch

from course_lib.data import Views, as_numbers, augment, choose
from course_lib.models import fingerprint, state_hash
from course_lib.train import checkpoint as state
from course_lib.train.given import INDEPENDENT, asked, checked_loss, what_learns
from course_lib.train.processes import is_first, team


def adam(parameters, lr):
    """Adam. fused: all weights in one call, so a step is done or not done, never half."""
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def sgd(parameters, lr):
    """Stochastic gradient descent with Nesterov's momentum and weight decay, as picture networks are usually trained."""
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)


def constant(progress):
    """The step size stays as it is. progress: the share of all steps that is done, 0 to 1."""
    return 1.0


def one_cycle(progress, warm=0.2):
    """The step size rises to its full value in the first fifth of the steps, then falls to zero (Smith, 2018)."""
    return progress / warm if progress < warm else (1 - progress) / (1 - warm)


def order(n, seed, epoch):
    """The order of n examples in an epoch, (n,): a pure function of n, seed and epoch."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(key(seed, epoch)))


def key(seed, epoch):
    """One number for a seed and an epoch: another for every pair with fewer than a million epochs."""
    return 1_000_003 * seed + epoch


def train_epochs(
    model,
    data,
    loss,
    epochs,
    batch_size,
    lr,
    seed,
    rows=None,
    views=None,
    optimiser=adam,
    schedule=constant,
    precision="float32",
    channels_last=False,
    compile=False,
    checkpoint=None,
    tick=None,
):
    """Train the model; yields the epoch, 1 to `epochs`, after each. See train.fit for what is given.

    rows (n,): the examples that it sees. tick(share): called after each step with its share of the work that was left.
    """
    start, earlier = time.perf_counter(), 0.0
    x, *targets = data
    processes = team(x.device, precision)
    model.to(x.device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if channels_last:
        model.to(memory_format=layout)
    learned = what_learns(model)
    _check_views(x, targets, views)
    plain, done = optimiser(learned, lr), 0
    rates = [group["lr"] for group in plain.param_groups]
    if checkpoint:
        how = dict(
            epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, precision=precision, channels_last=channels_last
        )
        how |= {"loss": _name(loss), "optimiser": _name(optimiser), "schedule": _name(schedule)}
        settings = {**how, **_fingerprints(model, data, rows, views)}
        done, earlier = state.load(checkpoint, settings, model, plain)
    processes.agree(done)
    forward, stepper = processes.prepare(model, plain)
    forward = torch.compile(forward, dynamic=False) if compile else forward
    rows = torch.arange(len(x), device=x.device) if rows is None else rows
    steps = math.ceil(len(rows) / batch_size)
    processes.share(rows[(steps - 1) * batch_size :])  # the last batch is the smallest: refused now, not after an epoch
    everything = list(model.state_dict().values())  # weights and buffers
    for epoch in range(done, epochs):
        before, total = [t.clone() for t in everything], 0.0
        train_mode(model)
        batches = rows[order(len(rows), seed, epoch).to(x.device)].split(batch_size)
        seen = None if views is None else choose(views, len(x), seed, epoch).to(x.device)
        with random_numbers(seed, epoch, x.device):
            for step, batch in enumerate(batches):
                for group, rate in zip(stepper.param_groups, rates, strict=True):
                    group["lr"] = rate * schedule((epoch * steps + step) / (epochs * steps))
                mine, weight = processes.share(batch)
                view = None if seen is None else seen[mine]
                pictures = as_numbers(x[mine] if view is None else augment(x[mine], view, views.shift))
                if pictures.dim() == 4:  # augment leaves the colours last, indexing leaves them first
                    pictures = pictures.contiguous(memory_format=layout)
                stepper.zero_grad()
                with processes.precise():
                    logits = forward(pictures)
                    value = loss(logits, *(t.at(mine, view, pictures) if asked(t) else t[mine] for t in targets))
                processes.backward(checked_loss(value) * weight if weight != 1 else checked_loss(value))
                if not step and all(p.grad is None for p in learned):
                    raise ValueError(INDEPENDENT)
                stepper.step()
                total += value.detach()  # stays on the device: asking for the number would stop and wait for it
                if tick:
                    tick(1 / (steps * (epochs - done)))
        stop_unless_finite(total, everything, before, epoch, lr)
        if checkpoint and is_first():
            state.save(checkpoint, settings, epoch + 1, model, plain, earlier + time.perf_counter() - start)
        processes.wait()
        yield epoch + 1
    processes.leave(forward)


def _check_views(x, targets, views):
    """Views that a training can use, and that its teacher was asked in; looked at once, here: a GPU would only crash."""
    if views is not None and (not isinstance(views, Views) or x.dim() != 4):
        raise TypeError(
            "views is Views(ids, shift), say some_views(16), for pictures (N, channels, h, w); "
            f"it came as {type(views).__name__}, for x {tuple(x.shape)}"
        )
    for kept in (t.views for t in targets if hasattr(t, "views")):
        if views is None or views.shift != kept.shift or not torch.isin(views.ids, kept.ids).all():
            raise ValueError("the teacher was asked in other views than fit is given: fit(..., views=answers.views)")


def _name(function):
    return getattr(function, "__qualname__", type(function).__name__)


def _fingerprints(model, data, rows, views):
    """What the training starts from and learns from, each as a short word that is the same tomorrow."""
    parts = {"rows": rows}
    for i, part in enumerate(data):
        teacher = getattr(part, "teacher", None)
        parts[f"data {i}"] = getattr(part, "logits", part) if teacher is None else state_hash(teacher)
    words = {
        "model": fingerprint({"layers": str(model), "weights": state_hash(model)}),
        "views": fingerprint({} if views is None else {"ids": views.ids, "shift": views.shift}),
        "data": fingerprint(parts),
    }
    return {name: word[:12] for name, word in words.items()}


def train_mode(model):
    """Train mode, but for the parts that are frozen: a teacher inside a student stays a teacher."""
    model.train()
    for part in model.modules():
        if not any(p.requires_grad for p in part.parameters()) and any(True for _ in part.parameters()):
            part.eval()


@contextlib.contextmanager
def random_numbers(seed, epoch, device):
    """Make what dropout draws a function of seed and epoch, too; afterwards the generators are as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(key(seed, epoch))
        yield


def stop_unless_finite(total, weights, before, epoch, lr):
    """Undo the epoch and stop, in words, if a loss or a weight (or a buffer) is not a finite number."""
    if torch.isfinite(total).all() and all(torch.isfinite(p).all() for p in weights):
        return
    with torch.no_grad():
        for p, old in zip(weights, before, strict=True):
            p.copy_(old)
    raise FloatingPointError(
        f"the loss is not a finite number in epoch {epoch + 1}. The weights are as they were before that epoch. "
        f"Look for log(0), 0/0 or exp of a large number in the loss (work with log_softmax), or try lr={lr / 10:g}."
    )
