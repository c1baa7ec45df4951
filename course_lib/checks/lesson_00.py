"""Checks of lesson 00: a line locked in a vault is found by asking it questions. Judged with lines made by hand."""

from course_lib.checks.exercise import Exercise, expect
from course_lib.checks.table import Case, Table

LINES = ((3.0, 2.0), (-1.5, 0.5), (0.25, -4.0), (0.0, 6.0))  # (slope, offset) of four vaults made for the checks
ELSEWHERE = (7.0, -2.5, 0.8, 1000.0)  # questions that a copy has to answer by itself
ONE_NUMBER = "one number, made of the oracle's answers (oracle(0) asks a question)"


def slope(oracle):
    return oracle(1) - oracle(0)


def copy(oracle, x):
    return oracle(0) + (oracle(1) - oracle(0)) * x


def vault(a, b, ledger=None):
    """An oracle that answers a·x + b, and writes each question into the ledger."""

    def oracle(x):
        if ledger is not None:
            ledger.append(x)
        return a * x + b

    return oracle


def answers(a, b, *places):
    return ", ".join(f"{a * x + b:g} at x = {x:g}" for x in places)


SLOPE = Table(
    "slope",
    ONE_NUMBER,
    tuple(
        Case(
            f"the vault that answers {answers(a, b, 0, 1, 2)}",
            (vault(a, b),),
            a,
            "The slope is how much higher the answer is one step further. (A difference over n steps is n times that.)",
        )
        for a, b in LINES
    ),
    (
        lambda oracle: oracle(1),
        "That is its answer at 1. How much of that was there at 0 already?",
        lambda oracle: oracle(0),
        "That is its answer at 0. The slope is the difference between two answers.",
        lambda oracle: oracle(0) - oracle(1),
        "From the answer at 0 to the one at 1, is that up or down?",
        lambda oracle: oracle(2) - oracle(0),
        "That is a difference over 2 steps. The slope is the change for one step in x.",
        lambda oracle: oracle(10) - oracle(0),
        "That is a difference over 10 steps. The slope is the change for one step in x.",
        lambda oracle: abs(oracle(1) - oracle(0)),
        "That is right for lines that rise. A line that falls has a slope below 0.",
        lambda oracle: round(oracle(1) - oracle(0)),
        "A slope need not be a whole number: leave the difference as it is.",
    ),
)


def asks_two_places(copy):
    """A copy asks at two places whatever x is: NotYet for one that goes and asks again for each x."""
    everywhere = set()
    for x in (7.0, -2.5, 1000.0):
        ledger = []
        copy(vault(3.0, 2.0, ledger), x)
        asked = {float(place) for place in ledger}
        at = ", ".join(f"{place:g}" for place in sorted(asked))
        expect(
            len(asked) <= 2,
            f"your copy asked the vault at {at}. Two places are enough for a line. If it uses your slope: where does that "
            "ask?",
        )
        everywhere |= asked
        expect(
            len(everywhere) <= 2,
            f"for x = {x:g} your copy asked the vault at {at}, and for another x somewhere else. That is a messenger: take "
            "the vault away and it is mute. Ask at the same two places for every x, 0 and 1 say, and work the answer out.",
        )


COPY = Table(
    "copy",
    ONE_NUMBER,
    tuple(
        Case(
            f"x = {x:g} and the vault that answers {answers(a, b, 0, 1, x)}",
            (vault(a, b), x),
            a * x + b,
            "Start from the answer at 0 and go x steps of the size of the slope.",
        )
        for a, b in LINES
        for x in ELSEWHERE
    ),
    (
        lambda oracle, x: (oracle(1) - oracle(0)) * x,
        "The steps are right; where does the line start, at x = 0?",
        lambda oracle, x: oracle(1) + (oracle(1) - oracle(0)) * x,
        "These are x steps, counted from the answer at 1. From where do you count?",
        lambda oracle, x: oracle(0) + oracle(1) * x,
        "Each step adds oracle(1), and it should add the difference.",
        lambda oracle, x: oracle(1) * x,
        "That is x times the answer at 1, which holds for a line that starts at 0. (Or are parentheses missing?)",
        lambda oracle, x: oracle(0) - (oracle(1) - oracle(0)) * x,
        "Your line falls where the vault's rises: from the answer at 0 to the one at 1, is that up or down?",
        lambda oracle, x: oracle(0) + oracle(1) - oracle(0),
        "That is the answer at 1 for every x. Where does your copy use x?",
    ),
    also=asks_two_places,
)


EXERCISES = {
    one.number: one
    for one in (
        Exercise("0.1", "one secret number", 2, 1, slope, SLOPE).hinted(
            "Ask at x = 0 and at x = 1. What does the difference between the two answers tell you?",
            "The answers are b and a + b.",
            "return oracle(1) - oracle(0)",
        ),
        Exercise("0.2", "the whole vault", 3, 1, copy, COPY).hinted(
            "A line is known from where it starts and how much it rises with each step.",
            "oracle(0) is where it starts; your slope(oracle) is the rise. How far is it to x?",
            "return oracle(0) + slope(oracle) * x",
        ),
    )
}
