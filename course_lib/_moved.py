"""Names of 0.1.0 that moved: they work until 0.3.0, and a sentence says the new one. A learner's copy is never broken.

These are the modules that a lesson, or a researcher without the course, imported. What only the command and the server
import has no entry.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings

GONE = "0.3.0"  # the version in which the old names end
WHERE = {  # a module of 0.1.0: the files in which its names are now; they are looked up in this order
    "arena": ("data.arena",),
    "cache": ("answers",),
    "checkpoint": ("train.checkpoint",),
    "convnets": ("models.convnets",),
    "cost": ("measure.cost",),
    "doctor": ("machine.report", "machine.software"),
    "download": ("files", "data.fetch"),
    "exercises": ("checks.exercise",),
    "loop": ("train.loop",),
    "museum": ("checks.museum",),
    "processes": ("train.processes",),
    "progress": ("progress_line",),
    "record": ("measure.record",),
    "sources": ("data.sources", "data.pictures"),
    "views": ("data.views",),
    "vault.controls": ("vault.policy.controls",),
    "vault.false_alarms": ("vault.honest.false_alarms",),
    "vault.toll": ("vault.honest.toll",),
}


class MovedWarning(FutureWarning):
    """An old name was used, and works; the sentence names the new one."""


class Moved(types.ModuleType):
    """A module that is not there any more; its names come from where they are now, and each is told once."""

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        files = [f"course_lib.{place}" for place in WHERE[self.__name__.partition(".")[2]]]
        for file in files:
            found = importlib.import_module(file)
            if hasattr(found, name):
                value = getattr(found, name)
                room = _shortest(file, name, value)
                _tell(f"{self.__name__}.{name} is now {room}.{name}: import it from {room}.")
                setattr(self, name, value)  # told once
                return value
        raise AttributeError(f"{self.__name__} has moved to {' and '.join(files)}, where there is no {name!r:.80}")


def _shortest(file, name, value):
    """The room that hands this very thing on, where there is one; else the file: what a lesson would write."""
    room = file.rpartition(".")[0]
    handed_on = room != "course_lib" and getattr(importlib.import_module(room), name, None) is value
    return room if handed_on else file


def _tell(sentence):
    """In a notebook the sentence alone; elsewhere a warning that names the line, as the import system's callers expect."""
    sentence = f"{sentence} The old name works until version {GONE}."
    ipython = sys.modules.get("IPython")
    if ipython and ipython.get_ipython():
        print(sentence, file=sys.stderr)
    else:
        warnings.warn(sentence, MovedWarning, stacklevel=3)  # the line that asked Moved for the name


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of WHERE, after every other finder has found nothing."""

    def find_spec(self, name, path=None, target=None):
        """The spec of an old module, or None."""
        if name.startswith("course_lib.") and name.partition(".")[2] in WHERE:
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        """An empty module that knows where its names are."""
        return Moved(spec.name)

    def exec_module(self, module):
        """Nothing runs."""


def tell():
    """From here on, old names are found."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
