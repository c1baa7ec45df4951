"""The doctor: what this machine has, and what to mend."""

from course_lib import files
from course_lib.machine import hardware, software
from course_lib.machine.report import Report


def doctor(data_folder=None, seconds=2.0):
    """What this machine has and what to mend -> Report: print it, or leave it as the last line of a notebook cell.

    data_folder: COURSE_DATA, or data/ in the project. seconds: how long the speed is measured.
    """
    probe = hardware.look_at_torch(seconds)
    rows = [
        software.python_row(),
        software.package_row(),
        software.torch_row(probe),
        hardware.gpu_row(probe),
        hardware.cores_row(probe),
        hardware.memory_row(),
        hardware.disk_row(),
        software.data_row(files.data_folder(data_folder)),
        software.workspace_row(),
        hardware.port_row(),
        hardware.times_row(probe),
    ]
    return Report(rows)
