"""A vault of one's own, for a notebook or a test: a child process on a free port, with a folder of its own.

    with LocalVault(keys=["ada", "grace"]) as vault:
        oracle = vault.oracle("ada")

Or without `with`, and vault.close() at the end. The child ends when its standard input closes, so it ends with us,
whatever ends us. What it is told (class, keys, policy) comes as one line of JSON on that standard input.
"""

import atexit
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from course_lib.files import ROOT
from course_lib.vault import client
from course_lib.vault.policy import load, parse

START_SECONDS = 180  # the first start trains the models behind the door
END_SECONDS = 30


class LocalVault:
    """A running vault: .address, .keys {pseudonym: key}, .key (the first), .folder, .ledger (its SQLite file).

    keys: pseudonyms, or {pseudonym: {"scope", "cohort", "budget", "expires"}}; they have accepted the rules unless
    accepted=False. policy: the text of a policy file, or its path; the default policy where None.
    data: the data set whose models stand behind the door, digits-linear and digits-net, say.
    folder: kept where one is given; else a temporary one, which is gone after close().
    """

    def __init__(
        self,
        policy=None,
        keys=("learner",),
        class_name="lesson",
        data="digits",
        folder=None,
        accepted=True,
        **deadlines,
    ):
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="vault-", ignore_cleanup_errors=True)
        self.folder = Path(folder or self._temporary.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.folder / "vault.db"
        self._control = secrets.token_urlsafe(32)
        asked = keys if isinstance(keys, dict) else {name: {} for name in keys}
        settings = {
            "folder": str(self.folder),
            "class": class_name,
            "data": data,
            "policy": checked_policy(policy),
            "keys": {name: {"accepted": accepted} | wish for name, wish in asked.items()},
            "control": self._control,
            "deadlines": deadlines,
        }
        self._said = open(self.folder / "server.log", "a", encoding="utf-8")  # noqa: SIM115 closed in close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "course_lib.vault.local"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
            env={
                **os.environ,
                **one_thread(),
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
        )
        atexit.register(self.close)
        impatience = threading.Timer(START_SECONDS, self.process.kill)
        impatience.start()
        try:
            self.process.stdin.write(json.dumps(settings) + "\n")
            self.process.stdin.flush()
            said = json.loads(self.process.stdout.readline() or "{}")
        except BaseException as error:
            self.process.kill()
            said = {}
            if not isinstance(error, (OSError, ValueError)):
                raise
        finally:
            impatience.cancel()
        if "address" not in said:
            why = (self.folder / "server.log").read_text(encoding="utf-8")[-2000:]
            self.close()
            raise RuntimeError(f"The vault was expected to start, and did not. {why}")
        self.address, self.keys = said["address"], said["keys"]
        self.key = next(iter(self.keys.values()), None)
        self.tell = client.over(
            self.address, self._control
        )  # an instructor's calls: vault.tell("pause", {"paused": True})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def oracle(self, who=None, model="digits-linear", **options):
        """An Oracle for a pseudonym of .keys, for a key, or for the first key."""
        return client.connect(self.address, self.keys.get(who, who) or self.key, model, **options)

    def new_key(self, pseudonym, accepted=True, **wish):
        """One more key: cohort, scope, budget, expires as wished."""
        said = self.tell("keys", {"pseudonym": pseudonym, "accepted": accepted, **wish})
        self.keys[pseudonym] = said["key"]
        return said["key"]

    def set_policy(self, policy):
        """A policy (a text, or a file's path) that is in force from the next question on. Refused, in words, if broken."""
        return self.tell("policy", {"text": checked_policy(policy)})

    def state(self):
        """What the instructor's page shows, as a dict."""
        return self.tell("state")

    def close(self):
        """End the child: what it has taken is answered first. A temporary folder goes with it."""
        atexit.unregister(self.close)
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:  # it is gone already
                pass
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._said.close()
        if self._temporary:
            self._temporary.cleanup()


def local_vault(**options):
    """`with local_vault(policy=..., keys=...) as vault:`"""
    return LocalVault(**options)


def checked_policy(policy):
    """The text of a policy: of a file where a path is given (one line, no `=`), else what is given. Raises PolicyError."""
    if policy is None:
        return None
    text = isinstance(policy, str) and ("\n" in policy or "=" in policy or not policy.strip())
    return (parse(policy) if text else load(policy)).text


def one_thread():
    """A row of 64 numbers is no work for several threads; they would only take the processors from each other."""
    return {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def child():
    """What the child process does: read the settings, open the service, say where, serve until its input closes."""
    settings = json.loads(sys.stdin.buffer.readline())
    from course_lib.vault import site
    from course_lib.vault.http import serve
    from course_lib.vault.service import Service

    folder = Path(settings["folder"])
    if settings["policy"] is not None:
        (folder / "policy.toml").write_text(settings["policy"], encoding="utf-8")
    with contextlib.redirect_stdout(sys.stderr):  # a line about training is not for the program that started us
        service = Service(folder, class_name=settings["class"], data=settings["data"])
    keys = {}
    for pseudonym, wish in settings["keys"].items():
        accepted = wish.pop("accepted")
        keys[pseudonym] = service.new_key(pseudonym, **wish)
        if accepted:
            service.accept_rules(keys[pseudonym])
    listener = serve.listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        serve.run(
            site.for_service(service, control=settings["control"]),
            listener,
            ready=lambda: serve.say(address=address, keys=keys),
            until_stdin_closes=True,
            **settings["deadlines"],
        )
    finally:
        service.close()


if __name__ == "__main__":
    child()
