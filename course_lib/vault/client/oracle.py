"""The oracle: a function x -> answers, and its patience with a vault that is busy, paused or away."""

import hashlib
import http.client
import random
import time
import uuid

import numpy as np

from course_lib import progress_line
from course_lib.files import quoted
from course_lib.vault.client.line import words
from course_lib.vault.client.refused import Refused
from course_lib.vault.client.ways import HTTP, InProcess, pack

BATCH = 256  # rows in one request
TRIES = 7  # in a row without an answer; with the pauses between them about 20 seconds
SHORTEST_PAUSE = 0.5  # seconds, where the vault says 0, or a time that is past
LONGEST_PAUSE = 8.0  # seconds, where the vault does not say how long
LONGEST_WAIT = 120.0  # seconds that are waited because the vault says so
PATIENCE = 600.0  # seconds that one request waits in all while the vault says when to come back
WAITS = {"paused", "closing", "ledger-full"}  # no failures: the vault says when to come back, as with 429


def connect(address, key, model="digits-linear", **options):
    """An Oracle for a model behind a vault. address: "http://127.0.0.1:8700". Raises Refused, in words."""
    return Oracle(HTTP(address, key), model, **options)


def in_process(service, key, model="digits-linear", **options):
    """The same Oracle for a service in this process: no server, no socket."""
    return Oracle(InProcess(service, key), model, **options)


class Oracle:
    """A function x (B, ...) -> answers (B, C) float64; any number of rows, asked in batches.

    A row of answers holds probabilities; where the vault gives labels only, a 1 for the label; where it gives the top
    k, zeros for the others. spent, budget_left (None: no budget) are in questions, that is rows; cents is their price;
    kind is "probabilities", "top_k" or "label"; last_seconds is how long the last call took.
    """

    def __init__(self, line, model, batch=BATCH, sleep=time.sleep, clock=time.monotonic, draw=random.random):
        self.line, self.model, self.batch = line, model, batch
        self.sleep, self.clock, self.draw, self.tries = sleep, clock, draw, 2  # a wrong address is told soon
        self.kind = self.last_seconds = None
        self._open = {}  # {hash of a request: its name}, until it is answered, also over a call that was broken off
        self.spent, self.budget_left, self.cents, self.price = 0, None, 0.0, 0.0
        listed = {entry["id"]: entry for entry in self._retried(line.models)}
        if model not in listed:
            raise Refused(f"A model behind this vault was expected: {', '.join(listed)}; {quoted(model)} came.", 404)
        self.shape, self.classes = tuple(listed[model]["shape"]), listed[model]["classes"]
        self.refresh()
        self.tries = TRIES  # a vault that has answered once is waited for

    def __repr__(self):
        return f"Oracle({self.model!r}, {self.spent:,} questions asked, {self._left()})"

    def refresh(self):
        """Read the key's account from the vault again: other holders of the same key may have spent from it."""
        usage = self._retried(self.line.usage)
        self.price = usage["cents_per_1000_rows"]
        self._account(usage)

    def accept_rules(self):
        """Say that you have read the rules of engagement (oracle.rules()) and will keep them."""
        self._retried(self.line.accept_rules)

    def rules(self):
        """The rules of engagement, as text."""
        return self._retried(self.line.rules)

    def submit(self, copy):
        """Send a copy (an mlp, say) to the leaderboard; what it scored. Its weights leave as numbers, nothing else."""
        return self._retried(self.line.submit, self.model, pack(copy))

    def __call__(self, x):
        """The answers to questions x (B, ...): (B, C) float64, in batches; see the class. Raises Refused, with .answered."""
        rows = self._rows(x)
        if self.budget_left is not None and len(rows) > self.budget_left:
            self.refresh()
            if len(rows) > self.budget_left:
                raise Refused(
                    f"You ask {len(rows):,} questions, and this key has {self.budget_left:,} left. Nothing was asked.",
                    kind="budget-spent",
                )
        answers, done, batch, start = np.zeros((len(rows), self.classes)), 0, self.batch, self.clock()
        with progress_line.Progress(self._line(len(rows)), len(rows) or 1) as shown:
            while done < len(rows):
                part = rows[done : done + batch]
                what = hashlib.sha256(f"{self.model} ".encode() + part.tobytes()).digest()
                request = self._open.setdefault(what, uuid.uuid4().hex)  # one name, however often it has to be sent
                try:
                    reply = self._retried(self.line.predict, self.model, part, request, say=shown)
                except Refused as refusal:
                    if refusal.status == 413 and len(part) > 1:
                        batch = max(1, len(part) // 2)  # the vault takes fewer rows at once
                        self._open.pop(what)
                        continue
                    refusal.answered = answers[:done]
                    raise
                self._open.pop(what)  # to ask it again is a new question
                answers[done : done + len(part)] = self._answers(reply["answers"], len(part))
                self.kind = reply["output"]
                self._account(reply["usage"])
                done += len(part)
                shown.what = self._line(len(rows))
                shown.step(len(part))
        self.last_seconds = self.clock() - start
        return answers

    def _rows(self, x):
        x = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
        want = f"(B, {', '.join(map(str, self.shape))})"
        if x.dtype.kind not in "fiu":
            raise Refused(f"Questions are numbers, of shape {want}; they came as {x.dtype}. Nothing was asked.")
        size = int(np.prod(self.shape))
        if x.ndim < 2 or x[0:1].size != size * len(x[0:1]):
            one = " One question alone is asked as x[None]." if x.size == size else ""
            raise Refused(f"Questions of shape {want} were expected; {x.shape} came.{one} Nothing was asked.")
        rows = np.ascontiguousarray(x.reshape(len(x), size), np.float64)
        if not np.isfinite(rows).all():
            raise Refused("Questions are finite numbers; among these is NaN or infinity. Nothing was asked.")
        return rows

    def _answers(self, given, n):
        """What the vault sent, as (n, C)."""
        table = np.zeros((n, self.classes))
        if len(given) != n:
            raise Refused(f"{n} answers were expected; the vault sent {len(given)}.")
        for row, said in zip(table, given, strict=True):
            probs = said.get("probabilities")
            if isinstance(probs, list):
                row[:] = probs
            elif isinstance(probs, dict):
                for label, p in probs.items():
                    row[int(label)] = p
            else:
                row[said["label"]] = 1.0
        return table

    def _account(self, usage):
        self.spent, self.budget_left, self.cents = usage["spent"], usage["budget_left"], usage["cents"]

    def _left(self):
        if self.budget_left is None:
            return f"{self.cents:.2f} cents, no budget set"
        return f"{self.cents:.2f} cents; {self.budget_left:,} left ({self.budget_left * self.price / 1000:.2f} cents)"

    def _line(self, rows):
        return f"asking {rows:,} questions (spent: {self.spent:,}, {self._left()})"

    def _retried(self, ask, *arguments, say=None):
        """ask(*arguments), again and again while the vault is busy or away; a wait that it asks for is waited.

        say: a Progress, whose line tells of long waits.
        """
        tries, waited = 0, 0.0
        while True:
            try:
                return ask(*arguments)
            except (OSError, http.client.HTTPException) as error:
                refusal = Refused(
                    f"The vault at {self.line.name} was expected to answer; {words(error)}. "
                    "Is it running, on this address? A question that it had answered is not charged again.",
                    kind="no-connection",
                )
            except Refused as error:
                if error.kind == "rules":
                    error = Refused(
                        f"{error.detail}. From here: print(oracle.rules()), then oracle.accept_rules()", 403, "rules"
                    )
                    raise error from None
                if error.status not in (408, 429, 502, 503, 504):
                    raise
                refusal = error
            pause, tries = refusal.retry_after, tries + 1
            pause = pause if pause is None else max(SHORTEST_PAUSE, pause)
            told = pause is not None and (refusal.status == 429 or refusal.kind in WAITS)
            if told:
                tries, waited = 0, waited + pause
            if tries >= self.tries or (pause or 0) > LONGEST_WAIT or waited > PATIENCE:
                raise refusal from None
            if told and say and waited >= progress_line.PATIENCE:
                say.line(f"{say.what}: waiting {pause:g} s, because {refusal.detail}")
                say.shown = say.shown or 0.0  # so that it ends this line, however it ends
            if pause is None:
                pause = min(LONGEST_PAUSE, 0.5 * 2 ** (tries - 1)) * (0.5 + self.draw() / 2)
            self.sleep(pause)
