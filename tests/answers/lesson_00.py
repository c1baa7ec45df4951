"""Answers to lesson 00, right and wrong."""

import math

from tests.answers import Answers


def slope_by_small_step(oracle):
    return (oracle(0.5) - oracle(0.0)) / 0.5


def copy_by_two_points(oracle, x):
    start, one_further = oracle(0), oracle(1)
    return start * (1 - x) + one_further * x


ANSWERS = {
    "0.1": Answers(
        right=[lambda oracle: oracle(1) - oracle(0), slope_by_small_step],
        wrong={
            "the answer at 1": (lambda oracle: oracle(1), "How much of that was there at 0"),
            "the answer at 0": (lambda oracle: oracle(0), "the difference between two answers"),
            "the wrong way round": (lambda oracle: oracle(0) - oracle(1), "is that up or down?"),
            "over ten steps": (lambda oracle: oracle(10) - oracle(0), "a difference over 10 steps"),
            "answer over question": (lambda oracle: oracle(2) / 2, "How much higher"),
            "a number seen elsewhere": (lambda oracle: 1.7, "the same 1.7"),
            "hands the oracle back": (lambda oracle: oracle, "Did you ask it a question"),
            "both answers": (lambda oracle: (oracle(0), oracle(1)), "expected is one number"),
        },
        garbage=[lambda oracle: math.nan],
    ),
    "0.2": Answers(
        right=[lambda oracle, x: oracle(0) + x * (oracle(1) - oracle(0)), copy_by_two_points],
        wrong={
            "passes the question on": (lambda oracle, x: oracle(x), "That is a messenger"),
            "forgets where it starts": (lambda oracle, x: (oracle(1) - oracle(0)) * x, "where does the line start"),
            "starts at 1": (lambda oracle, x: oracle(1) + (oracle(1) - oracle(0)) * x, "From where do you count?"),
            "adds oracle(1) at each step": (
                lambda oracle, x: oracle(0) + oracle(1) * x,
                "it should add the difference",
            ),
            "a multiple of the answer at 1": (lambda oracle, x: oracle(1) * x, "a line that starts at 0"),
            "half a step short": (lambda oracle, x: oracle(0) + slope_by_small_step(oracle) * (x - 0.5), "Start from"),
            "a number seen elsewhere": (lambda oracle, x: 4.0, "gave the same 4"),
            "asks at three places": (
                lambda oracle, x: oracle(0) + (oracle(3) - oracle(2)) * x,
                "asked the vault at 0, 2, 3",
            ),
            "rounds": (lambda oracle, x: round(oracle(0) + x * (oracle(1) - oracle(0))), "Start from"),
        },
    ),
}
