"""Before anything is timed: do all contenders do the same work?

In float64, with an unrounded cache, each makes the first step with a step size of 1 and nothing else (no momentum, no
decay), so that the change of a weight is the gradient that the contender had. Loss and gradients are compared with a
reference written from the definitions. Nobody may touch the teacher.
"""

import copy
import tempfile
from pathlib import Path

import contenders
import tasks
import torch
from tasks import HARD, SEED, SOFT, T

from course_lib.data import all_views, as_numbers, augment
from course_lib.models import state_hash

TOLERANCE = 1e-6
STEP = dict(lr=1.0)  # plain gradient descent


def reference(task):
    """{what is learned from: (loss, [gradient of each weight])} of the first batch, from the definitions."""
    x, y = next(iter(tasks.batches(task)))
    with torch.no_grad():
        p = torch.softmax(task.teacher(x) / T, dim=1)  # (B, C)
    found = {}
    for what in ("labels", "labels and teacher"):
        student = copy.deepcopy(task.student).train()
        logits = student(x)
        loss = -torch.softmax(logits, dim=1)[torch.arange(len(y)), y].log().mean()
        if what != "labels":
            q = torch.softmax(logits / T, dim=1)
            loss = HARD * loss + SOFT * T**2 * (p * (p / q).log()).sum(1).mean()
        found[what] = loss.item(), torch.autograd.grad(loss, list(student.parameters()))
    return found


def first_step(task, contender):
    """(loss, [gradient of each weight]) of the step that a contender makes first."""
    student = copy.deepcopy(task.student)
    before = [p.detach().clone() for p in student.parameters()]
    loss = contender(task, student)()[0]
    return loss, [old - p.detach() for old, p in zip(before, student.parameters(), strict=True)]


def check(pair, x, y, runs=contenders.ALL, batch=8):
    """{name: (largest difference of the loss, of a gradient)} to the reference; AssertionError, in words, above 1e-6.

    x uint8 (N, 3, 32, 32), y (N,): their first `batch` pictures are used.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        x, y = as_numbers(x[:batch]).double(), y[:batch]
        path = Path(folder) / "answers"
        task = tasks.make(pair, x, y, batch, path, dtype=torch.float64, kept=torch.float64, sgd=STEP)
        right, teacher, found = reference(task), state_hash(task.teacher), {}
        for name, contender in runs.items():
            loss, gradients = first_step(task, contender)
            wanted, slopes = right["labels" if name == contenders.LIMIT else "labels and teacher"]
            off = abs(loss - wanted), max((g - s).abs().max().item() for g, s in zip(gradients, slopes, strict=True))
            if not max(off) <= TOLERANCE:
                raise AssertionError(
                    f"{name} does other work than the reference: with {pair}, its first loss differs by {off[0]:.1e} and a "
                    f"gradient by {off[1]:.1e}; up to {TOLERANCE:.0e} is allowed. Nothing is timed"
                )
            if state_hash(task.teacher) != teacher:
                raise AssertionError(f"{name} changes the teacher of {pair}: its weights or its statistics have moved")
            found[name] = off
    return found


def check_pictures(x, y, rows=4):
    """The common loop's PIL transforms give one of the views that our numbers name, pixel by pixel."""
    stored = tasks.Stored(x, y)
    views = all_views(4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for row in range(rows):
            came, label = stored[row]
            ours = as_numbers(augment(x[row].expand(len(views.ids), -1, -1, -1), views.ids, views.shift))
            if not (ours == came).flatten(1).all(1).any() or label != y[row]:
                raise AssertionError(f"the PIL transforms made of picture {row} something that is none of our views")
