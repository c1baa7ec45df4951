"""Data sets as tensors; splits; numbered views; who owns which pictures.

floor 0   fetch     a file from the first mirror that has it: resumed, checked, then moved into place
          pictures  a folder of pictures, or a tar of one, as tensors
          views     crops and mirrors of a picture, by number
floor 1   sources   where each data set comes from, and how its files are read
floor 2   sets      load a data set; stratified splits
floor 3   arena     who owns which pictures (victim, thief, judge), and copies of them
"""

from course_lib.data.sets import (
    Data,
    load,
    load_uint8,
    stratified_split,
)
from course_lib.data.views import (
    Views,
    all_views,
    as_numbers,
    augment,
    choose,
    some_views,
)

__all__ = [
    "Data",
    "Views",
    "all_views",
    "as_numbers",
    "augment",
    "choose",
    "load",
    "load_uint8",
    "some_views",
    "stratified_split",
]
