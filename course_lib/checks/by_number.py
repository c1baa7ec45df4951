"""An exercise by its number: check("1.2", answer) and hint("1.2") for the learner."""

import importlib
import importlib.util

from course_lib.checks import exercise, trial
from course_lib.files import quoted


class NoSuchExercise(ValueError):
    """A number that no exercise has; a notebook shows its sentence alone."""

    def _render_traceback_(self):
        return [str(self)]


def find(number):
    """The exercise with this number, "1.2" say."""
    lesson = str(number).partition(".")[0]
    name = f"{__package__}.lesson_{lesson.zfill(2)}"
    there = {}
    if lesson.isdecimal() and importlib.util.find_spec(name):
        with trial.undisturbed():  # the numbers of a check are made as a new session makes them
            there = importlib.import_module(name).EXERCISES
    if str(number) not in there:
        have = f"those of lesson {lesson} are {', '.join(there)}" if there else 'they are named like "1.2"'
        raise NoSuchExercise(f"There is no exercise {quoted(number)}; {have}.")
    return there[str(number)]


def check(number, answer):
    """Judge the learner's answer to exercise `number` and return what the lesson goes on with."""
    return exercise.check(find(number), answer)


def hint(number, which=None):
    """Show the next hint of exercise `number`, or hint `which` again."""
    exercise.hint(find(number), which)
