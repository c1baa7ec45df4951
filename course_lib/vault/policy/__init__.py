"""The one file that a team edits: what leaves, how much, for whom, what an alarm does; applied, and in words.

floor 0   settings  what a policy can say, with its defaults and ranges
          controls  what is done to an answer before it leaves, each after its paper's formula
          words     a policy in words
floor 1   file      the file, read and checked: what is wrong is said with its line
"""

from course_lib.vault.policy.file import PolicyError, default_text, load, parse
from course_lib.vault.policy.settings import (
    LARGEST_INPUT,
    MOST_ROWS,
    SECTIONS,
    Limits,
    Monitor,
    Policy,
    Price,
    ReverseSigmoid,
)
from course_lib.vault.policy.words import in_words

__all__ = [
    "LARGEST_INPUT",
    "Limits",
    "MOST_ROWS",
    "Monitor",
    "Policy",
    "PolicyError",
    "Price",
    "ReverseSigmoid",
    "SECTIONS",
    "default_text",
    "in_words",
    "load",
    "parse",
]
