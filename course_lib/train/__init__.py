"""Training: one student, or all seeds at once; what a model predicts; several processes.

floor 0   given       what fit and fit_many are given, checked in words
          checkpoint  a training's state in a file, for the same training only
          together    students of one shape trained as one, through torch.func
          launch      a small program in one process or several, as torchrun starts them
floor 1   processes   one process, or several that train one model together
floor 2   loop        the training loop; each thing that makes it fast is a line that can be switched
floor 3   fit         fit, fit_many (all seeds at once), predict
"""

from course_lib.train.fit import fit, fit_many, predict
from course_lib.train.given import GpuFull
from course_lib.train.launch import launch
from course_lib.train.loop import (
    adam,
    constant,
    one_cycle,
    order,
    sgd,
)
from course_lib.train.processes import is_first

__all__ = [
    "GpuFull",
    "adam",
    "constant",
    "fit",
    "fit_many",
    "is_first",
    "launch",
    "one_cycle",
    "order",
    "predict",
    "sgd",
]
