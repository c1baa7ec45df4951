"""The models behind the door. Trained once on the victim's share of the pictures, kept, and answered with numpy."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from course_lib.data import arena
from course_lib.losses import cross_entropy
from course_lib.models import count_parameters, mlp, reuse
from course_lib.train import fit
from course_lib.vault.honest import measured

COPIES = 20  # copies of each of the victim's pictures that it is trained on ...
PICTURES = 20_000  # ... but no more in all
WIDTH = 64
REFERENCE = 4000  # pictures that the monitor knows
L2 = 1e-4  # per example, for the linear model: its weights stay finite, so that no probability is 0


class Victim(NamedTuple):
    """answer(x (B, D) float64) -> probs (B, C) float64. reference (N, D): pictures as honest users have them.

    honest: the extremes of simulated honest users (false_alarms.py), or None where they were not measured.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int
    answer: Callable
    reference: np.ndarray
    honest: dict | None = None


def victims(name="digits"):
    """{model's name: Victim} for a data set: a linear one, NAME-linear, and a network, NAME-net."""
    shares = arena.shares(name)
    pictures, labels = shares.victim
    x, base = arena.copies(pictures, min(COPIES * len(pictures), PICTURES), seed=0)
    rest = PICTURES - len(x)  # of a small set, the pictures themselves, too
    x, y = torch.cat([pictures[:rest], x]), torch.cat([labels[:rest], labels[base]])
    d, c = x[0].numel(), len(shares.classes)
    linear = reuse(f"{name}-linear", mlp(d, c).double(), lambda model: _converge(model, x.double(), y), x, y, L2)
    net = reuse(f"{name}-net", mlp(d, WIDTH, c), lambda model: fit(model, (x, y), cross_entropy, epochs=20), x, y, 20)
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:REFERENCE]
    reference = x[some].flatten(1).double().numpy()
    made = {}
    for n, model in ((f"{name}-linear", linear), (f"{name}-net", net)):
        victim = Victim(n, shares.classes, (d,), count_parameters(model), answers(model), reference)
        made[n] = victim._replace(honest=measured(victim, *shares.val))
    return made


def answers(model):
    """x (B, D) float64 -> probs (B, C) float64, as a plain chain of numpy: fast for one row, too."""
    layers = [
        (np.ascontiguousarray(layer.weight.detach().double().numpy().T), layer.bias.detach().double().numpy())
        for layer in model
        if isinstance(layer, torch.nn.Linear)
    ]

    def answer(x):
        if len(x) == 1:  # numpy is faster without the second axis
            return forward(x[0])[None]
        return forward(x, axis=1)

    def forward(x, axis=None):
        for i, (weight, bias) in enumerate(layers):
            x = x @ weight
            x += bias
            if i < len(layers) - 1:
                np.maximum(x, 0, out=x)
        x -= x.max(axis, keepdims=True)
        np.exp(x, out=x)
        x /= x.sum(axis, keepdims=True)
        return x

    return answer


def _converge(model, x, y):
    """Softmax regression to its minimum, in double precision."""
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-8, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(model(x), y) + L2 * sum((p**2).sum() for p in model.parameters())
        value.backward()
        return value

    optimiser.step(loss)
