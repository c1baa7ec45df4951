"""A class's folder: open it, or, while a server runs on it, ask that one. One process writes a ledger."""

import contextlib
import json
import os
import shlex

from course_lib.command.environment import Refused

NOTE = "server.json"  # in the folder, while a server runs: where it is, and the word that programs of this computer use


@contextlib.contextmanager
def instructor(folder):
    """tell(name, said={}): an instructor's call to the running server if there is one, else to the folder itself."""
    from course_lib.vault.http import desk

    if tell := running(folder):
        yield tell
        return
    if not (folder / "vault.db").exists():
        raise no_ledger(folder)
    with opened(folder) as service:
        calls = desk.desk(service)
        yield lambda name, said=None: calls[name](said or {})


@contextlib.contextmanager
def opened(folder, **settings):
    """The service of a folder that no server has open."""
    from course_lib.vault.service import Service

    service = Service(folder, **settings)
    try:
        yield service
    finally:
        service.close()


def running(folder):
    """The calls of the server that runs on this folder; None where there is none, or only the note of one that died.

    Another program may have its port by now, so the server's word is said only where our own class answers.
    """
    from http.client import HTTPException

    from course_lib.vault import client

    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        health = client.Line(note["address"]).exchange("GET", "/healthz")
        if (health["vault"], health["class"]) != ("distillation, hands on", note["class"]):
            return None
        tell = client.over(note["address"], note["control"])
        tell("state")
    except (OSError, ValueError, KeyError, TypeError, client.Refused, HTTPException):
        return None
    return tell


def no_ledger(folder):
    """The Refused for a folder in which no vault ever was."""
    return Refused(
        f"A vault's folder was expected; {folder} has no ledger. Start one: python -m course_lib vault serve"
    )


def write_note(note, port, class_name, control):
    """For `course vault key new` and its like: while a server runs, it alone writes the ledger, so they ask it."""
    fresh = note.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        where = f"http://127.0.0.1:{port}"
        json.dump({"address": where, "class": class_name, "pid": os.getpid(), "control": control}, file)
    os.replace(fresh, note)


def carried(options):
    """What the commands that we print need, so that they find the same folder."""
    return f" --folder {shlex.quote(options.folder)}" if options.folder else ""
