"""What is unusual about a key's questions, or a cohort's, and which alarms are on.

floor 0   statistics  the five numbers by name
          prada       distances between questions, and their test
floor 1   monitor     the five numbers of a key, or of a cohort
floor 2   watchers    who is watched, and which alarms are on
"""

from course_lib.vault.watch.monitor import Eye, Seen, Watch
from course_lib.vault.watch.statistics import STATISTICS
from course_lib.vault.watch.watchers import Alarm, Unanswered, Watchers

__all__ = ["Alarm", "Eye", "STATISTICS", "Seen", "Unanswered", "Watch", "Watchers"]
