"""Answers to lesson 00, right and wrong."""

import math
import random

import torch

from tests.answers import Answers


def slope_by_small_step(oracle):
    return (oracle(0.5) - oracle(0.0)) / 0.5


def copy_by_two_points(oracle, x):
    start, one_further = oracle(0), oracle(1)
    return start * (1 - x) + one_further * x


def copy_from_three_and_seven(oracle, x):
    a = (oracle(7) - oracle(3)) / 4
    return a * x + oracle(3) - 3 * a


def copy_that_keeps_its_first_vault(oracle, x, kept={}):  # noqa: B006
    kept.setdefault("line", (oracle(0), oracle(1) - oracle(0)))
    return kept["line"][0] + kept["line"][1] * x


ANSWERS = {
    "0.1": Answers(
        right=[
            lambda oracle: oracle(1) - oracle(0),
            slope_by_small_step,
            lambda oracle: (oracle(10) - oracle(-10)) / 20,
            lambda oracle: torch.tensor(oracle(4.0)) - oracle(3.0),
        ],
        wrong={
            "over four steps": (lambda oracle: oracle(2) - oracle(-2), "over n steps"),
            "answer over question": (lambda oracle: oracle(2) / 2, "How much higher".lower()),
            "a number seen elsewhere": (lambda oracle: 1.7, "gave 1.7; expected is 3. That comes whatever is given"),
            "hands the oracle back": (lambda oracle: oracle, "oracle(0) asks a question"),
            "both answers": (lambda oracle: (oracle(0), oracle(1)), "gave a tuple of 2; expected is 3, a float"),
            "one decimal": (lambda oracle: round(oracle(1) - oracle(0), 1), "gave 0.2; expected is 0.25"),
        },
        garbage=[lambda oracle: math.nan],
    ),
    "0.2": Answers(
        right=[
            lambda oracle, x: oracle(0) + x * (oracle(1) - oracle(0)),
            copy_by_two_points,
            copy_from_three_and_seven,
            lambda oracle, x: oracle(0) + slope_by_small_step(oracle) * x,
            lambda oracle, x: oracle(-1) + (x + 1) * (oracle(0) - oracle(-1)),
        ],
        wrong={
            "passes the question on": (lambda oracle, x: oracle(x), "asked the vault at 1000, and for another x"),
            "asks beside the question": (
                lambda oracle, x: (oracle(x - 1) + oracle(x + 1)) / 2,
                "asked the vault at -3.5",
            ),
            "asks one step further": (lambda oracle, x: 2 * oracle(x - 1) - oracle(x - 2), "That is a messenger"),
            "asks anywhere": (
                lambda oracle, x: copy_by_two_points(lambda y: oracle(y + random.random()), x),
                "Start from",
            ),
            "half a step short": (lambda oracle, x: oracle(0) + slope_by_small_step(oracle) * (x - 0.5), "Start from"),
            "a number seen elsewhere": (lambda oracle, x: 4.0, "That comes whatever is given"),
            "asks at three places": (
                lambda oracle, x: oracle(0) + (oracle(3) - oracle(2)) * x,
                "asked the vault at 0, 2, 3",
            ),
            "rounds": (lambda oracle, x: round(oracle(0) + x * (oracle(1) - oracle(0))), "gave -6; expected is -5.5"),
            "remembers": (copy_that_keeps_its_first_vault, "gave 23; expected is -10"),
        },
    ),
}
