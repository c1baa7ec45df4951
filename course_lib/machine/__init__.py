"""What this computer has, which size of the course fits it, and the doctor.

Importing it costs nothing: torch is imported when a function needs it.

floor 0   this      the size of the course that fits, the device, the speed
          report    rows of findings, as a table
floor 1   software  the doctor's rows about packages and folders
floor 2   hardware  the doctor's rows about the computer
floor 3   doctor    puts the report together
"""

from course_lib.machine.doctor import doctor
from course_lib.machine.this import (
    calibrate,
    cores,
    device,
    lesson_seconds,
    pick,
    tier,
)

__all__ = ["calibrate", "cores", "device", "doctor", "lesson_seconds", "pick", "tier"]
