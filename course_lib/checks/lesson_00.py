"""Checks of lesson 00: a line locked in a vault is found by asking it questions. Judged with lines made by hand."""

import math

from course_lib.checks.exercise import Exercise, NotYet, expect

LINES = ((3.0, 2.0), (-1.5, 0.5), (0.25, -4.0))  # (slope, offset) of three vaults made for the checks
ELSEWHERE = (7.0, -2.5, 0.8)  # questions that a copy has to answer by itself


def slope(oracle):
    return oracle(1) - oracle(0)


def copy(oracle, x):
    return oracle(0) + (oracle(1) - oracle(0)) * x


def vault(a, b):
    """(oracle, ledger): an oracle that answers a·x + b and writes each question into the ledger."""
    ledger = []

    def oracle(x):
        ledger.append(x)
        return a * x + b

    return oracle, ledger


def number(came, name):
    """The learner's answer as a float; NotYet in words when it is not one finite number."""
    expect(came is not None, f"your {name} gave back None. Does it end with a return?")
    expect(not callable(came), f"your {name} gave back a function, not a number. Did you ask it a question: oracle(0)?")
    try:
        came = float(came)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"your {name} gave back {str(came):.60}; expected is one number.") from None
    expect(math.isfinite(came), f"your {name} gave back {came}; expected is a finite number.")
    return came


def near(came, wanted):
    return math.isclose(came, wanted, rel_tol=1e-4, abs_tol=1e-4)


def is_function(answer, name):
    expect(
        callable(answer),
        f"check takes the function {name} itself, without parentheses; it was given {str(answer):.60}.",
    )


def examine_slope(slope):
    is_function(slope, "slope")
    given = [(a, b, number(slope(vault(a, b)[0]), "slope")) for a, b in LINES]
    wrong = [(a, b, came) for a, b, came in given if not near(came, a)]
    if not wrong:
        return
    expect(
        len({came for _, _, came in given}) > 1,
        f"three different vaults gave the same {given[0][-1]:g}. Ask the oracle that your function is given: oracle(...).",
    )
    a, b, came = wrong[0]
    seen = f"the vault that answers {b:g} at x = 0, {a + b:g} at x = 1 and {2 * a + b:g} at x = 2 gave {came:g}"
    expect(not near(came, -a), f"{seen}. From the one at 0 to the one at 1, is that up or down?")
    expect(not near(came, a + b), f"{seen}, its answer at 1. How much of that was there at 0 already?")
    expect(not near(came, b), f"{seen}, its answer at 0. The slope is about the difference between two answers.")
    expect(
        not any(near(came, a * steps) for steps in (2, 3, 4, 5, 10, 100)),
        f"{seen}, a difference over {came / a:g} steps. The slope is the change for one step in x.",
    )
    raise NotYet(f"{seen}; expected is {a:g}. How much higher is the answer one step further?")


def examine_copy(copy):
    is_function(copy, "copy")
    given = []
    for a, b in LINES:
        for x in ELSEWHERE:
            oracle, ledger = vault(a, b)
            given.append((a, b, x, number(copy(oracle, x), "copy")))
            expect(
                x not in ledger,
                f"for x = {x:g} your copy asked the vault at {x:g} and passed the answer on. That is a messenger: take "
                "the vault away and it is mute. Ask at 0 and at 1 only, and work the answer out.",
            )
            asked = sorted(set(ledger))
            expect(
                len(asked) <= 2,
                f"your copy asked the vault at {', '.join(f'{place:g}' for place in asked)}. Two places are enough for "
                "a line. If it uses your slope: where does that ask?",
            )
    wrong = [(a, b, x, came) for a, b, x, came in given if not near(came, a * x + b)]
    if not wrong:
        return
    expect(
        len({came for *_, came in given}) > 1,
        f"different vaults and different x gave the same {given[0][-1]:g}. Use the oracle and the x that copy is given.",
    )
    a, b, x, came = wrong[0]
    seen = f"a vault answers {b:g} at 0, {a + b:g} at 1 and {a * x + b:g} at x = {x:g}; there your copy says {came:g}"
    expect(not near(came, a * x), f"{seen}. The steps are right; where does the line start, at x = 0?")
    expect(not near(came, a * x + a + b), f"{seen}: x steps, counted from the answer at 1. From where do you count?")
    expect(not near(came, b + (a + b) * x), f"{seen}. Each step adds oracle(1), and it should add the difference.")
    expect(
        not near(came, (a + b) * x),
        f"{seen}, {x:g} times the answer at 1. That holds for a line that starts at 0. (Or are parentheses missing?)",
    )
    raise NotYet(f"{seen}. Start from the answer at 0 and go x steps of the size of the slope.")


EXERCISES = {
    "0.1": Exercise(
        number="0.1",
        title="one secret number",
        minutes=2,
        difficulty=1,
        reference=slope,
        examine=examine_slope,
        hints=(
            "Ask at x = 0 and at x = 1. What does the difference between the two answers tell you?",
            "The answers are b and a + b.",
            "return oracle(1) - oracle(0)",
        ),
    ),
    "0.2": Exercise(
        number="0.2",
        title="the whole vault",
        minutes=3,
        difficulty=1,
        reference=copy,
        examine=examine_copy,
        hints=(
            "A line is known from where it starts and how much it rises with each step.",
            "oracle(0) is where it starts; your slope(oracle) is the rise. How far is it to x?",
            "return oracle(0) + slope(oracle) * x",
        ),
    ),
}
