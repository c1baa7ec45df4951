"""Quality with intervals and a verdict; cost; records.

floor 0   intervals    a mean of scores with its interval
          cost         FLOPs, bytes, seconds
          record       a measurement with its hardware, versions and date, as JSON
floor 1   speed        races, where a run's time goes, seconds by name
          quality      scores of a model, and the shares that are their means: accuracy, agreement
          verdict      two models: a paired comparison, and what it came to
floor 2   calibration  is a model as often right as it is sure?
"""

from course_lib.measure.calibration import Calibration, calibration
from course_lib.measure.cost import count_bytes, count_flops, count_seconds
from course_lib.measure.intervals import Estimate, estimate
from course_lib.measure.quality import accuracy, agreement, by_base, clustered, correct, same_answer
from course_lib.measure.speed import by_operation, middle, race, timed
from course_lib.measure.verdict import Verdict, compare

__all__ = [
    "Calibration",
    "Estimate",
    "Verdict",
    "accuracy",
    "agreement",
    "by_base",
    "by_operation",
    "calibration",
    "clustered",
    "compare",
    "correct",
    "count_bytes",
    "count_flops",
    "count_seconds",
    "estimate",
    "middle",
    "race",
    "same_answer",
    "timed",
]
