"""The command `course`, also `python -m course_lib`: the front door, on any system, with the standard library alone.

This file and __init__.py keep to the grammar of old Pythons, so that an old one can read far enough to say that it is
too old. Everything else is in cli.py.
"""

import sys

NEEDED = (3, 11)


def too_old(version, executable):
    """The sentence for a Python older than this course needs, or None. version: (major, minor, ...)."""
    if tuple(version[:2]) >= NEEDED:
        return None
    return (
        "This course needs Python %d.%d or newer, and this is Python %d.%d (%s).\n"
        "Install a newer one (python.org, your system's packages, or conda), then run it by its name, for example:\n"
        "    python3.%d -m course_lib lab" % (NEEDED + tuple(version[:2]) + (executable, NEEDED[1]))
    )


def main(arguments=None):
    """The command's exit code; arguments: a list of words, those that were typed if None."""
    sentence = too_old(sys.version_info, sys.executable)
    if sentence:
        sys.stderr.write(sentence + "\n")
        return 1
    from course_lib.command import cli

    return cli.main(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
