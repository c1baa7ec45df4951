"""What `course train` is told: its flags, and what each may be."""

import argparse
from pathlib import Path

from course_lib.files import quoted

DEFAULTS = {"teacher": ("resnet9", 1), "student": ("resnet8", 3), "alone": ("resnet8", 3)}  # role: network, seeds


def add_to(parser):
    """Give the parser of `course train` its flags."""
    parser.add_argument(
        "role", choices=list(DEFAULTS), help="who learns: a teacher or a student alone, from labels; a student"
    )
    parser.add_argument(
        "--data", default="cifar10", help="cifar10 (unless told), mnist, fashion_mnist, digits, or a folder"
    )
    parser.add_argument("--size", type=int, help="the pixels of a folder's pictures: squares of SIZE x SIZE")
    parser.add_argument(
        "--examples", type=whole_number, help="only so many of the training pictures, every class in its share"
    )
    parser.add_argument("--model", help="resnet9 for a teacher, resnet8 for a student, unless told")
    parser.add_argument("--teacher", help="the folder of a teacher's run")
    parser.add_argument("--epochs", type=whole_number, default=10, help="10 unless told")
    parser.add_argument(
        "--batch-size", type=whole_number, default=128, help="128 unless told, of all processes together"
    )
    parser.add_argument("--lr", type=positive, default=0.1, help="the largest step size; 0.1 unless told")
    parser.add_argument(
        "--seeds", type=whole_number, help="how many are trained, each from other first weights; 1 teacher, 3 students"
    )
    parser.add_argument(
        "--views",
        type=whole_number,
        default=16,
        help="how many crops and mirrors are used, of those there are; 16 unless told, 1: only the picture as it is",
    )
    parser.add_argument(
        "--mirror", choices=["yes", "no"], help="mirrored pictures too; yes for colour pictures, unless told"
    )
    parser.add_argument("--T", type=positive, default=4.0, help="temperature; 4 unless told")
    parser.add_argument("--hard-weight", type=share, default=0.1, help="the labels' share of the loss; 0.1 unless told")
    parser.add_argument("--online", action="store_true", help="ask the teacher at every step, not once")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="bfloat16 on a GPU, unless told")
    parser.add_argument(
        "--channels-last", action="store_true", help="the memory order in which convolutions are fastest"
    )
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--test", action="store_true", help="look at test too: once, when everything is chosen")
    parser.add_argument(
        "--out", type=Path, help="the run's folder; runs/ROLE-MODEL-DATA in the data folder unless told"
    )


def whole_number(text):
    """argparse's type for counts: 1 or more, as int."""
    return _number(text, int, lambda n: n >= 1, "a whole number from 1")


def positive(text):
    """argparse's type for numbers above 0, as float; infinity is none."""
    return _number(text, float, lambda n: 0 < n < float("inf"), "a number above 0")


def share(text):
    """argparse's type for parts of a whole, 0 to 1, as float."""
    return _number(text, float, lambda n: 0 <= n <= 1, "a number from 0 to 1")


def _number(text, kind, fits, words):
    try:
        if fits(kind(text)):
            return kind(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{words} was expected; {quoted(text)} came")
