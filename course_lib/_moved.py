"""Names of 0.1.0 that moved: they work until 0.3.0, and a sentence says the new one. A learner's copy is never broken."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings

GONE = "0.3.0"  # the version in which the old names end
WHERE = {  # a module of 0.1.0: where its names are now; a name is looked up in the order given
    "arena": ("data.arena",),
    "cache": ("answers",),
    "checkpoint": ("train.checkpoint",),
    "cli": ("command.cli",),
    "convnets": ("models.convnets", "models"),
    "cost": ("measure",),
    "doctor": ("machine.report", "machine.software", "machine"),
    "download": ("files", "data.fetch"),
    "environment": ("command.environment",),
    "exercises": ("checks.exercise",),
    "inputs": ("train.given",),
    "lab": ("command.lab",),
    "loop": ("train", "train.loop"),
    "many": ("train.together",),
    "museum": ("checks.museum",),
    "processes": ("train", "train.processes"),
    "progress": ("progress_line",),
    "record": ("measure.record",),
    "sources": ("data.sources",),
    "train_command": ("command.train",),
    "trial": ("checks.trial",),
    "vault.app": ("vault.http.app", "vault.site"),
    "vault.books": ("vault.ledger.books",),
    "vault.controls": ("vault.policy.controls",),
    "vault.desk": ("vault.http.desk", "vault.client"),
    "vault.false_alarms": ("vault.honest.false_alarms",),
    "vault.keys": ("vault.keyring",),
    "vault.leaderboard": ("vault.board.leaderboard", "measure", "vault.honest"),
    "vault.monitor": ("vault.watch.monitor",),
    "vault.openapi": ("vault.http.openapi", "vault.answer"),
    "vault.prada": ("vault.watch.prada",),
    "vault.reading": ("vault.http.request", "vault.policy"),
    "vault.replies": ("vault.http.response", "vault.http.request", "vault.addresses"),
    "vault.reply": ("vault.answer",),
    "vault.rules": ("vault.keyring",),
    "vault.serve": ("vault.http.serve",),
    "vault.snapshot": ("vault.state",),
    "vault.submission": ("vault.board.submission",),
    "vault.tables": ("vault.ledger.tables",),
    "vault.toll": ("vault.honest", "vault.honest.toll"),
    "vault.watchers": ("vault.watch", "vault.watch.watchers"),
    "vault.words": ("vault.policy.words",),
    "vault_command": ("command.vault.verbs",),
    "views": ("data", "data.views"),
    "workspace": ("command.workspace",),
}


class MovedWarning(FutureWarning):
    """An old name was used, and works; the sentence names the new one."""


class Moved(types.ModuleType):
    """A module that is not there any more; its names come from where they are now, and each is told once."""

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        old = self.__name__
        for place in WHERE[old.partition(".")[2]]:
            new = importlib.import_module(f"course_lib.{place}")
            if hasattr(new, name):
                told = f"{old}.{name} is now {new.__name__}.{name}: write `from {new.__name__} import {name}`."
                warnings.warn(f"{told} The old name works until version {GONE}.", MovedWarning, stacklevel=2)
                value = getattr(new, name)
                setattr(self, name, value)  # told once
                return value
        places = " or ".join(f"course_lib.{place}" for place in WHERE[old.partition(".")[2]])
        raise AttributeError(f"{old} has moved to {places}, and there is no {name!r} in it")


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
