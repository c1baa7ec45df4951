"""Scores, one number per model and example, and the shares that are their means.

A score says how one model did on one example: right or wrong, the teacher's answer or another. 1 or 0.
"""

import torch

from course_lib.measure.intervals import Estimate, estimate


def correct(logits, labels):
    """1 where the largest logit is the label's, else 0. logits (N, C) or (S, N, C), labels (N,) -> (N,) or (S, N)."""
    answers = _answers(logits)
    labels = torch.as_tensor(labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels are class numbers, whole numbers such as 7; got {labels.dtype}")
    if labels.shape != answers.shape[-1:]:
        raise ValueError(
            f"expected one label for each of the {answers.shape[-1]:,} examples, labels {tuple(answers.shape[-1:])}; "
            f"got labels of shape {tuple(labels.shape)}"
        )
    if labels.numel() and not 0 <= labels.min() <= labels.max() < logits.shape[-1]:
        raise ValueError(
            f"labels go from 0 to {logits.shape[-1] - 1}, one per column of the logits; "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return (answers == labels.to(answers.device)).float()


def same_answer(logits, other_logits):
    """1 where both give the same answer, else 0: the scores of agreement. (N, C) or (S, N, C) each -> (N,) or (S, N).

    One model's logits (N, C) are held against each of S models' (S, N, C).
    """
    answers, others = _answers(logits), _answers(other_logits)
    if logits.shape[-2:] != other_logits.shape[-2:] or (answers.ndim == others.ndim and answers.shape != others.shape):
        raise ValueError(
            "expected logits of both on the same examples and classes, (N, C) or (S, N, C); "
            f"got {tuple(logits.shape)} and {tuple(other_logits.shape)}"
        )
    return (answers == others).float()


def _answers(logits):
    if not torch.is_tensor(logits) or logits.ndim not in (2, 3) or not logits.is_floating_point():
        what = f"{logits.dtype} of shape {tuple(logits.shape)}" if torch.is_tensor(logits) else type(logits).__name__
        raise TypeError(f"expected logits (N, C) or (S, N, C) as a tensor of floats; got {what}")
    if logits.isnan().any():
        raise ValueError("the logits hold NaN (not a number): did the training diverge? Look at the loss first")
    return logits.argmax(-1)


def accuracy(logits, labels):
    """The share of right answers, an Estimate. logits (N, C) or (S, N, C), labels (N,)."""
    return estimate(correct(logits, labels))


def agreement(logits, teacher_logits):
    """The share of examples that get the teacher's answer, an Estimate. logits (N, C) or (S, N, C) each."""
    return estimate(same_answer(logits, teacher_logits))


def by_base(scores, base):
    """The mean score of each base picture: scores (N,) or (S, N), base (N,) -> (P,) or (S, P), for estimate and compare.

    base says which picture each row was made from. Rows made from one picture resemble each other: they count as what
    they are, one picture.
    """
    scores, base = torch.as_tensor(scores).double(), torch.as_tensor(base)
    if scores.shape[-1:] != base.shape:
        raise ValueError(
            f"expected one base picture for each of the {scores.shape[-1]:,} scores; base came as {tuple(base.shape)}"
        )
    _, place, count = base.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(*scores.shape[:-1], len(count), dtype=torch.float64).index_add(-1, place, scores)
    return total / count


def clustered(table, n, rows="questions about"):
    """The Estimate of a table (P,) or (S, P) that by_base made of n rows; a share stays between 0 and 1.

    rows: what they are of the pictures, in words: "questions about", "copies of".
    """
    found = estimate(table)
    seeds = f"{len(table):,} seeds, " if table.ndim == 2 and len(table) > 1 else ""
    words = f"{seeds}{n:,} {rows} {table.shape[-1]:,} pictures"
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0), words, found.over, found.kind)
