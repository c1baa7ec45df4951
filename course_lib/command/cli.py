"""The command `course`: each subcommand is its help, its flags, and a few calls. Starts with the standard library alone.

course lab [LESSON]   set up what is missing, open the course in the browser
course test           set up what is missing, prove everything (what `make test` calls)
course train ROLE     train a teacher, a student or a student alone; results as JSON
course doctor         what this machine has, and how to mend what is wrong
course progress       which exercises are to do, tried, passed
course reset LESSON   begin a lesson anew; the old one is kept under a dated name
course vault ...      a model behind keys, limits and a ledger: serve it, look after it (its own --help says more)
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from course_lib.command import environment, train_flags
from course_lib.command import train as training
from course_lib.command.refused import Refused
from course_lib.command.vault import verbs
from course_lib.files import ROOT as HERE
from course_lib.files import cut


def main(arguments):
    """The exit code of the command: 130 after Ctrl-C, 1 after a refusal, whose sentence goes to the error stream."""
    try:
        code = run(arguments) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our words has stopped reading: `course progress | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Refused as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again: it goes on where it stopped.", file=sys.stderr)
        return 130


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors quote no more than a line of what was typed."""

    def error(self, message):
        """Say it in short, and end."""
        super().error(re.sub(r"'(?:[^'\\]|\\.){80,}'|\S{80,}", lambda long: cut(long[0]), message))


def parser():
    """All that can be typed after `course`; also what the command lines in the course's pages are held against."""
    parser = Parser(prog="course", description="Distillation, hands on.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lab = commands.add_parser(
        "lab",
        allow_abbrev=False,
        help="open the course in the browser; sets up what is missing",
        epilog="Other options go to jupyter lab.",
    )
    lab.add_argument("lesson", nargs="?", help="its number; the first one unless told")
    lab.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    lab.add_argument("--port", type=int, help="8888, or the next that is free, unless told")
    lab.add_argument("--torch", choices=["cpu"], help="at set-up: torch without CUDA, 5 GB less")

    commands.add_parser("test", help="lint, unit tests, every lesson, the browser").add_argument(
        "steps", nargs="*", help="only these steps"
    )
    train = commands.add_parser(
        "train", allow_abbrev=False, help="train a teacher, a student or a student alone; results as JSON"
    )
    train_flags.add_to(train)
    doctor = commands.add_parser("doctor", help="what this machine has, and how to mend what is wrong")
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    commands.add_parser("progress", help="which exercises are to do, tried, passed")
    reset = commands.add_parser("reset", help="begin a lesson anew; the old one is kept under a dated name")
    reset.add_argument("lesson", help="its number")
    verbs.add_to(commands)
    return parser


def run(arguments):
    """Read the arguments, a list of words, and do what they ask; returns the exit code, or None for 0."""
    course = parser()
    options, others = course.parse_known_args(arguments)
    if others and options.command != "lab":
        course.error(
            f"course {options.command} does not know {cut(' '.join(others))}; see course {options.command} --help"
        )

    if options.command == "doctor":
        moved = hand_over(environment.python_there(HERE), HERE, arguments)  # the Python that runs the lessons
        if moved is not None:
            return moved
        from course_lib import machine

        report = machine.doctor()
        print(json.dumps(report.json(), indent=1) if options.json else report.text)
        return 0 if report.ok else 1

    root = course_folder()
    if options.command == "lab":
        moved = into_environment(root, arguments, torch=options.torch)
        if moved is not None:
            return moved
        from course_lib.command import lab

        return lab.start(root, options.lesson, options.port, not options.no_browser, others)
    if options.command == "test":
        moved = into_environment(root, arguments, extra="test")
        return subprocess.call([sys.executable, root / "tools/prove.py", *options.steps]) if moved is None else moved
    if options.command == "vault":
        moved = into_environment(root, arguments)
        return verbs.run(options, root) if moved is None else moved

    if options.command == "train":
        under_torchrun = "RANK" in os.environ  # whose Python is the one to use
        moved = None if under_torchrun else into_environment(root, arguments)
        return training.run(options) if moved is None else moved

    from course_lib.command import workspace

    if options.command == "progress":
        print(workspace.progress_table(root))
    if options.command == "reset":
        from course_lib.command import lab

        print(workspace.reset(root, lab.find_lesson(root, options.lesson)))


def course_folder():
    """The folder that holds the lessons: the one around course_lib, else the one where the command was typed."""
    for folder in (HERE, Path.cwd(), *Path.cwd().parents):
        if (folder / "lessons").is_dir() and (folder / "course_lib").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise Refused(
        f"The course's folder was expected, with lessons/ and course_lib/ in it; this is {Path.cwd()}.\n"
        "Get the course (git clone, or unpack its archive), cd into its folder, and run: python -m course_lib lab"
    )


def into_environment(root, arguments, extra="", torch=None):
    """None where this Python can run the course; otherwise sets one up and hands the command over, for its exit code."""
    python = environment.python_for(root, extra, torch, say=lambda sentence: print(sentence, flush=True))
    return hand_over(python, root, arguments)


def hand_over(python, root, arguments):
    """None where `python` is this one; otherwise the exit code of the command, run by it."""
    if Path(sys.prefix).resolve() == Path(python).parent.parent.resolve() or python == sys.executable:
        return None
    command = [python, "-m", "course_lib", *arguments]
    if os.name == "nt":  # there, exec gives the prompt back before the program has ended
        return subprocess.call(command, cwd=root)
    os.execv(python, command)
