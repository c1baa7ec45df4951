"""Answers to every exercise, right and wrong, so that each check is itself checked (see tests/checks/test_answers.py).

lesson_NN.py holds ANSWERS = {"1.1": Answers(right=[...], wrong={...}), ...}, one entry per exercise of the lesson.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answers:
    """What learners hand in for one exercise.

    right: at least two answers, written in different ways; each must pass.
    wrong: at least three misconceptions by name: {"forgot T": (answer, "a part of the message that it must get")};
           no two of them may get the same message. Where the check is a table, whose own mistakes are tried as well,
           at least two that are written differently from the table's.
    garbage: further answers that must get a sentence, beyond those that every check is tried with.
    loss: the targets of an exercise that is a loss(logits, *targets), named in order: ("labels",), ("teacher_logits",)
          or both; its right answers are then also trained with, through train.fit_many.
    """

    right: list[Any]
    wrong: dict[str, tuple[Any, str]]
    garbage: list[Any] = field(default_factory=list)
    loss: tuple[str, ...] = ()
