"""The one file that a team edits: what leaves, how much, for whom, what an alarm does; applied, and in words.

floor 0   file      the file, read and checked: what is wrong is said with its line
          controls  what is done to an answer before it leaves, each after its paper's formula
floor 1   words     a policy in words
"""

from course_lib.vault.policy.file import (
    LARGEST_INPUT,
    MOST_ROWS,
    SECTIONS,
    Limits,
    Monitor,
    Policy,
    PolicyError,
    Price,
    ReverseSigmoid,
    default_text,
    load,
    parse,
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
