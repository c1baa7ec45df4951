"""The helper library of the course "Distillation, hands on". What a lesson may import is listed in docs/library.md.

A file imports only from floors below its own, or along an arrow; inside a folder it says so for each of its files.
tests/test_floor_plan.py keeps it true.

floor 0   files          the data folder, DataError; a file is written whole or not at all
          progress_line  one line that says how far a long job is
          losses         tensors in, one number out
          live           show(fig, alt), sliders over pictures
          measure/       quality with intervals and a verdict; calibration; cost; speed; records   -> files, progress_line
floor 1   data/          data sets as tensors; numbered views; who owns which pictures
          models/        teachers and students: make, freeze, keep
          machine/       what this computer has, and the doctor (starts without torch)
          plots/         the house style; one colour per role
floor 2   train/         fit, fit_many (all seeds at once), predict; several processes
floor 3   answers        a teacher's answers: asked online, or kept in a file by (picture, view)
          attack         copying a model of which only answers are known, and judging the copy
floor 4   checks/        exercises: check, hint, progress; one module per lesson; never the vault
          vault/         the model behind a door: keys, limits, a ledger, a monitor, one policy file; never attack
floor 6   command/       the command `course`: the course's Python, JupyterLab, the workspace, training, the vault
          __main__       what is typed   -> command
"""

import sys

if sys.version_info >= (3, 11):  # noqa: UP036 an older one only has to get as far as __main__, which tells it so
    from course_lib import _moved

    _moved.tell()
