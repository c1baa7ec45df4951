"""Quality with intervals and a verdict; cost; records.

floor 0   quality  one model: scores, estimates; two: a paired comparison and its verdict
          cost     FLOPs, bytes, seconds
          record   a measurement with its hardware, versions and date, as JSON
"""

from course_lib.measure.cost import count_bytes, count_flops, count_seconds
from course_lib.measure.quality import (
    Calibration,
    Estimate,
    Verdict,
    accuracy,
    agreement,
    calibration,
    clustered,
    compare,
    correct,
    estimate,
    same_answer,
)

__all__ = [
    "Calibration",
    "Estimate",
    "Verdict",
    "accuracy",
    "agreement",
    "calibration",
    "clustered",
    "compare",
    "correct",
    "count_bytes",
    "count_flops",
    "count_seconds",
    "estimate",
    "same_answer",
]
