"""check("1.2", answer) and hint("1.2") for the learner; the checks of lesson NN sit in lesson_NN.py as EXERCISES."""

import importlib

from course_lib import exercises


def find(number):
    """The exercise with this number, "1.2" say; a ValueError in words when there is none."""
    lesson, _, _ = str(number).partition(".")
    try:
        module = importlib.import_module(f"{__name__}.lesson_{int(lesson):02d}")
        return module.EXERCISES[str(number)]
    except (ValueError, ModuleNotFoundError, KeyError):
        raise ValueError(f'there is no exercise {number!r}; exercises are named like "1.2"') from None


def check(number, answer):
    """Judge the learner's answer to exercise `number` and return what the lesson goes on with."""
    return exercises.check(find(number), answer)


def hint(number, which=None):
    """Show the next hint of exercise `number`, or hint `which` again."""
    exercises.hint(find(number), which)
