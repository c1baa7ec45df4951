"""How close each copy came, and what the policy cost."""

from course_lib.vault.board.leaderboard import (
    HOUR,
    PER_HOUR,
    TRIES_PER_HOUR,
    Leaderboard,
)
from course_lib.vault.board.submission import NotASubmission

__all__ = ["HOUR", "Leaderboard", "NotASubmission", "PER_HOUR", "TRIES_PER_HOUR"]
