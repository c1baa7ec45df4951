"""Checks of lesson NN, judged against numbers that were worked out by hand."""

import torch

from course_lib.checks.exercise import Exercise
from course_lib.checks.table import Case, Table

# ---- what the lesson goes on with until the learner's own answers are right ----


def distance(a, b):
    """The mean squared difference of two batches. a, b (B, D) -> ()."""
    return (a - b).square().mean()


# ---- the exercises ----

ZEROS = torch.zeros(2, 3)
OFF = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 3.0]])

EXERCISES = {
    "N.1": Exercise(
        number="N.1",
        title="How far apart",
        minutes=6,
        difficulty=1,
        reference=distance,
        examine=Table(
            "distance",
            "one number",
            cases=(  # from plain to odd; the right number comes from a hand, or from another library
                Case(
                    "a batch that is off by 1, -2 and 3 in three of six numbers",
                    (ZEROS, OFF),
                    14 / 6,
                    "The squares are 1, 4, 9 and three times 0; what is their mean?",
                ),
                Case("a batch and itself", (OFF, OFF), 0.0, "Where there is no difference, there is no distance."),
                Case("one example", (ZEROS[:1], OFF[:1]), 5 / 3, "A batch of one is a batch."),
            ),
            mistakes=(  # what a learner may have written, and the sentence that helps then; at least three
                lambda a, b: (a - b).abs().mean(),
                "That is the mean of the differences without their sign. Square them instead.",
                lambda a, b: (a - b).square().sum(),
                "That is the sum of the squares. Divide by how many there are, or call .mean().",
                lambda a, b: (a - b).square().sum(-1).mean(),
                "That adds up over the features and averages over the examples alone. Average over both.",
                lambda a, b: (a - b).square().mean(-1),
                "That is one number for each example. Average over the examples too.",
            ),
            gradient=distance,
        ),
        hints=(  # at most three, of growing help
            "Three steps, from the inside out: the differences, their squares, the mean of all of them.",
            "x.square() squares each number of a tensor; x.mean() without an argument averages all of them.",
            "return (a - b).square().mean()",
        ),
    ),
}
