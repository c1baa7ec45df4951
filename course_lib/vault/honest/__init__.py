"""Honest users, simulated: who asks what and when, how often they look unusual, and what a policy takes from them.

floor 0   users         who asks what, and when; a day of theirs at the vault
floor 1   false_alarms  how often they look unusual, measured
          toll          labels, confidences, time: what a policy takes from them
"""

from course_lib.vault.honest.false_alarms import measured, rate
from course_lib.vault.honest.toll import (
    OFF,
    cost,
    honest_cost,
    only,
)
from course_lib.vault.honest.users import (
    BEHAVIOURS,
    Clock,
    Question,
    Served,
    behaviour_of,
    class_of_3_and_8,
    curious_student,
    noisy_camera,
    serve,
    stream,
    through,
    traffic,
)

__all__ = [
    "BEHAVIOURS",
    "Clock",
    "OFF",
    "Question",
    "Served",
    "behaviour_of",
    "class_of_3_and_8",
    "cost",
    "curious_student",
    "honest_cost",
    "measured",
    "noisy_camera",
    "only",
    "rate",
    "serve",
    "stream",
    "through",
    "traffic",
]
