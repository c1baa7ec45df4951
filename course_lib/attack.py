"""Copying a model of which only answers are known, and judging the copy.

An oracle is a function: questions x (B, ...) -> answers (B, C), probabilities in float64. Where it comes from is none
of this file's business: a vault behind HTTP, a service in this process, or a plain function in a test.
"""

import math

import torch

from course_lib.measure import by_base, clustered, same_answer
from course_lib.train import fit_many

__all__ = [
    "OverBudget",
    "agreement_on",
    "answer_loss",
    "by_base",
    "clustered",
    "copy_by_training",
    "filled",
    "same_by_base",
    "solve_weighed",
    "with_one",
]

UPDATES, BATCH, LR = 600, 64, 1e-2  # what training a copy costs, whatever it was told


class OverBudget(Exception):
    """More questions than the budget has left; a notebook shows its sentence alone."""

    def _render_traceback_(self):
        return [f"OverBudget: {self}"]


# ---- a linear model: equations ----


def with_one(x):
    """The rows of a linear model's equations: x (n, ...) -> (n, D + 1) float64, the last column 1 for the bias."""
    x = torch.as_tensor(x).flatten(1).double()
    return torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1)


def solve_weighed(x, winner, log_ratios, weights, ridge=1e-9, steps=400):
    """Weights W (D + 1, C) of a softmax classifier, from what its answers say about pairs of classes.

    x (n, ...) questions; winner (n,) the class that won each; log_ratios (n, C): log p_c - log p_winner; weights
    (n, C): how far each is trusted, 0 for not at all. Minimises the sum of (weights * (z_c - z_winner - log_ratios))**2,
    z = with_one(x) @ W, plus ridge * the sum of W**2, which settles what the equations leave open. By conjugate
    gradients, each class's own block of the equations as the preconditioner. The rows of W sum to 0.
    """
    a, r, winner = with_one(x), torch.as_tensor(log_ratios).double(), torch.as_tensor(winner)[:, None]
    w2 = torch.as_tensor(weights).double().square().scatter(1, winner, 0.0)
    if not (torch.isfinite(r).all() and torch.isfinite(w2).all()):
        raise ValueError("log_ratios and weights are finite numbers; an unknown ratio is 0 with weight 0")

    def back(u):  # (n, C) -> (D + 1, C): the equations' transpose
        u = w2 * u
        return a.T @ u.scatter(1, winner, -u.sum(1, keepdim=True))

    def forth(v):
        z = a @ v
        return z - z.gather(1, winner)

    block = w2.scatter(1, winner, w2.sum(1, keepdim=True))  # (n, C)
    small = ridge * torch.eye(a.shape[1], dtype=torch.float64)
    factors = torch.linalg.cholesky(torch.einsum("nd,nc,ne->cde", a, block, a) + small)  # (C, D + 1, D + 1)

    def precondition(g):
        return torch.cholesky_solve(g.T[:, :, None], factors)[:, :, 0].T

    solution, g = torch.zeros(a.shape[1], r.shape[1], dtype=torch.float64), back(r)
    z = precondition(g)
    direction, size = z, (g * z).sum()
    enough = 1e-20 * size
    for _ in range(steps):
        if size <= enough:
            break
        turned = back(forth(direction)) + ridge * direction
        curved = (direction * turned).sum()
        if not curved > 0:  # what is left of the miss is below double precision
            break
        step = size / curved
        solution, g = solution + step * direction, g - step * turned
        z = precondition(g)
        size, before = (g * z).sum(), size
        direction = z + size / before * direction
    return solution - solution.mean(1, keepdim=True)


# ---- any model: training on its answers ----


def answer_loss(logits, answers):
    """Cross-entropy with another model's answers, (B, C) each, probabilities or a 1 at the label: () nats per example."""
    if logits.shape != answers.shape:
        raise ValueError(
            "logits and answers are about the same questions and classes, both (B, C); "
            f"they came as {tuple(logits.shape)} and {tuple(answers.shape)}"
        )
    return -(answers * logits.log_softmax(-1)).sum(-1).mean()


def filled(answers):
    """Answers with each row's missing probability shared evenly by the classes that got none: (n, C) -> (n, C).

    Of a top answer alone, (0.9, 0, 0), it makes (0.9, 0.05, 0.05). Rows that sum to 1 stay as they are.
    """
    answers = torch.as_tensor(answers)
    silent = answers == 0
    rest = (1 - answers.sum(-1, keepdim=True)).clamp(min=0) / silent.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(silent, rest, answers)


def copy_by_training(make, x, answers, rows=None, seeds=16, updates=UPDATES, batch_size=BATCH, lr=LR):
    """`seeds` copies, make(seed) each, trained on answers (n, C) to x (n, ...) in about `updates` steps.

    rows (S, m): which questions each seed asked; None: all. However many they are, the number of steps is the same.
    """
    answers = torch.as_tensor(answers).to(x.dtype)
    n = len(x) if rows is None else rows.shape[1]
    epochs = max(1, round(updates / math.ceil(n / batch_size)))
    return fit_many(make, (x, answers), answer_loss, seeds, rows, epochs, batch_size, lr)


# ---- the judge ----


def same_by_base(logits, answers, base):
    """The share of each base picture's questions on which a copy answers as the model does.

    logits (N, C) or (S, N, C) of the copy; answers (N, C) of the model -> (P,) or (S, P).
    """
    return by_base(same_answer(torch.as_tensor(logits), torch.as_tensor(answers)), base)


def agreement_on(logits, answers, base):
    """The share of questions on which a copy answers as the model does: an Estimate, its interval over base pictures.

    logits (N, C) or (S, N, C) of the copy, or of S copies; answers (N, C) of the model; base (N,).
    """
    return clustered(same_by_base(logits, answers, base), len(base))
