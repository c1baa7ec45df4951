"""check("1.2", answer), hint("1.2"), quiz(text) for the learner; lesson NN's checks sit in lesson_NN.py as EXERCISES.

floor 0   trial      run an answer that may fail or never return; say in one sentence what happened
          museum     lesson 03's exhibits: losses and set-ups with a defect, under letters
floor 1   values     what came against what is right: the same, or where they differ
          exercise   an exercise; judge, hint, progress
floor 2   table      a check as a table of cases and of mistakes
          quiz       a question with a few choices, as text; shown with a button for each
floor 3   lesson_NN  the exercises of a lesson
floor 4   by_number  the exercise with a number
"""

from course_lib.checks.by_number import (
    NoSuchExercise,
    check,
    find,
    hint,
)
from course_lib.checks.exercise import strict
from course_lib.checks.quiz import QuizError, quiz

__all__ = ["NoSuchExercise", "QuizError", "check", "find", "hint", "quiz", "strict"]
