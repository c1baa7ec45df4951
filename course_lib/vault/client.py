"""The oracle: a function x -> answers, asked over HTTP, or of a service in this process with no server between.

    oracle = connect("http://127.0.0.1:8700", key)
    probs = oracle(x)   # x (B, ...) -> (B, C) float64

Before the key leaves this computer the address is resolved, once, and has to be this computer or a private network
(RFC 1918, RFC 4193), and what answers there has to be the vault of the class that the key names. The resolved address
is the one that is used: no redirect, no proxy, no second look-up.
"""

import base64
import hashlib
import http.client
import json
import random
import socket
import threading
import time
import urllib.parse
import uuid
from email.utils import parsedate_to_datetime

import numpy as np

from course_lib import progress_line
from course_lib.vault import keyring
from course_lib.vault.addresses import bracketed, private
from course_lib.vault.answer import prediction

BATCH = 256  # rows in one request
TRIES = 7  # in a row without an answer; with the pauses between them about 20 seconds
SHORTEST_PAUSE = 0.5  # seconds, where the vault says 0, or a time that is past
LONGEST_PAUSE = 8.0  # seconds, where the vault does not say how long
LONGEST_WAIT = 120.0  # seconds that are waited because the vault says so
PATIENCE = 600.0  # seconds that one request waits in all while the vault says when to come back
WAITS = {"paused", "closing", "ledger-full"}  # no failures: the vault says when to come back, as with 429
SILENCE = 30.0  # seconds without a byte after which a connection is given up
REPLY_BYTES = 64 << 20


class Refused(Exception):
    """The vault, or this client, says no: .status (0: nothing was sent), .kind (a short name), and a sentence.

    answered: (b, C), the answers to the first b of the rows that were asked; they have been charged.
    """

    def __init__(self, detail, status=0, kind="", retry_after=None):
        super().__init__(detail)
        self.detail, self.status, self.kind, self.retry_after, self.answered = detail, status, kind, retry_after, None

    def _render_traceback_(self):
        return [f"Refused: {self.detail}"]  # IPython shows this line in place of a traceback through our code


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
            raise Refused(f"A model behind this vault was expected: {', '.join(listed)}; {model!r} came.", 404)
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
        from course_lib.vault.board import submission

        return self._retried(self.line.submit, self.model, submission.pack(copy))

    def __call__(self, x):
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
                    f"The vault at {self.line.name} was expected to answer; {_words(error)}. "
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


class Line:
    """One connection, kept alive, to an address that was settled once."""

    def __init__(self, address, patience=SILENCE):
        self.host, self.port = settle(address)
        self.name = f"http://{bracketed(self.host)}:{self.port}"
        self.patience, self.connection = patience, None

    def exchange(self, method, path, content=None, headers=None, kind="application/json"):
        """The JSON of the reply. content: what JSON can say, or bytes."""
        headers = {"Accept": "application/json", **(headers or {})}
        body = content
        if content is not None:
            headers["Content-Type"] = kind
            body = content if isinstance(content, bytes) else json.dumps(content, allow_nan=False).encode()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.patience)
        whole = False
        try:
            self.connection.request(method, path, body, headers)
            came = self.connection.getresponse()
            text = came.read(REPLY_BYTES + 1)
            whole = came.isclosed() and not came.will_close
        finally:
            if not whole:  # whatever is left on this line belongs to no question that we still ask
                self.close()
        return read(came.status, came.headers, text)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class HTTP:
    """A vault at an address, asked with one key, by one thread at a time."""

    def __init__(self, address, key, patience=SILENCE):
        try:
            self.class_name = keyring.parse(key)
        except ValueError as error:
            raise Refused(f"{error}. Nothing was sent.") from None
        self.line, self.key, self.lock = Line(address, patience), key, threading.Lock()
        self.name = self.line.name

    def greet(self):
        """Ask, without the key, who answers there; it has to be the vault of the key's class."""
        try:
            said = self.line.exchange("GET", "/healthz")
        except (Refused, ValueError):
            said = {}
        if said.get("vault") != "distillation, hands on":
            self.line.close()
            raise Refused(f"A vault was expected at {self.name}; something else answers there. Your key was not sent.")
        if said.get("class") != self.class_name:
            self.line.close()
            raise Refused(
                f"Your key is for the class {self.class_name!r}; at {self.name} is the vault of {said.get('class')!r}. "
                "Your key was not sent. Check the address."
            )

    def models(self):
        return self._send("GET", "/v1/models")["data"]

    def usage(self):
        return self._send("GET", "/v1/usage")

    def rules(self):
        return self._send("GET", "/v1/rules")["text"]

    def accept_rules(self):
        return self._send("POST", "/v1/rules/accept", {})

    def predict(self, model, rows, request):
        question = {"model": model, **packed(rows)}
        return self._send("POST", "/v1/predict", question, headers={"Idempotency-Key": request})

    def submit(self, model, packed):
        path = f"/v1/submissions?model={urllib.parse.quote(model)}"
        return self._send("POST", path, packed, kind="application/octet-stream")

    def _send(self, method, path, content=None, headers=None, **more):
        with self.lock:
            if self.line.connection is None:  # greeted on every new connection: the key goes to nobody else
                self.greet()
            if self.line.connection is None:
                raise ConnectionResetError("it hangs up after its greeting, and your key was not sent")
            return self.line.exchange(
                method, path, content, {**(headers or {}), "Authorization": f"Bearer {self.key}"}, **more
            )


class InProcess:
    """The same line to a service in this process."""

    name = "this process"

    def __init__(self, service, key):
        self.service, self.key = service, key

    def models(self):
        return self._asked(self.service.models, self.key)

    def usage(self):
        return self._asked(self.service.usage, self.key)

    def rules(self):
        return keyring.TEXT

    def accept_rules(self):
        return self._asked(self.service.accept_rules, self.key)

    def predict(self, model, rows, request):
        reply = self._asked(lambda: self.service.ask(self.key, model, rows, request).result())
        return prediction(reply)

    def submit(self, model, packed):
        raise Refused("Copies are handed in over HTTP, to a vault that is served: connect(address, key).submit(copy).")

    def _asked(self, ask, *arguments):
        from course_lib.vault.refusal import Refusal

        try:
            return ask(*arguments)
        except Refusal as refusal:
            raise Refused(refusal.detail, refusal.status, refusal.type, refusal.retry_after) from None


def packed(rows):
    """Rows (B, D) float64 as they travel: base64, exact, and read twenty times faster than digits."""
    return {"inputs": base64.b64encode(rows.astype("<f8").tobytes()).decode(), "shape": list(rows.shape)}


def read(status, headers, text):
    """The JSON of a reply with status 200 or 201; a problem becomes Refused. No other address is ever followed."""
    if len(text) > REPLY_BYTES:
        raise Refused(f"A reply of at most {REPLY_BYTES:,} bytes was expected; this one is longer.", status)
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if status in (200, 201) and isinstance(said, dict):
        return said
    said = said if isinstance(said, dict) else {}
    detail = said.get("detail") or f"A vault's answer was expected; HTTP {status} came."
    kind = str(said.get("type", "")).rpartition(":")[2]
    raise Refused(str(detail), status, kind, seconds(headers.get("Retry-After")))


def seconds(retry_after, now=time.time):
    """The header Retry-After as seconds: "3", or a date; None where it says nothing."""
    try:
        return max(0.0, float(retry_after))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now())
    except (TypeError, ValueError):
        return None


def settle(address, resolve=None):
    """(host, port) for "http://name:port": the name is resolved here, once. Raises Refused unless it is private."""
    try:
        parts = urllib.parse.urlsplit(address if "//" in address else f"//{address}", scheme="http")
        port, name = parts.port or 80, parts.hostname
    except (TypeError, ValueError, AttributeError):
        parts, name = None, None
    if not name or parts.scheme != "http" or parts.username or parts.path not in ("", "/") or parts.query:
        raise Refused(f"A vault's address was expected, such as http://127.0.0.1:8700; {address!r} came.")
    try:
        found = (resolve or socket.getaddrinfo)(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"No computer of the name {name!r} was found. Nothing was sent.") from None
    hosts = [entry[4][0] for entry in found]
    if not hosts or not all(map(private, hosts)):
        raise Refused(
            f"This client asks vaults on this computer or on a private network (127.x, 10.x, 172.16-31.x, 192.168.x, "
            f"fc00::/7) and no other; {name!r} is {', '.join(sorted(set(hosts)))}. Nothing was sent."
        )
    v4 = [host for host in hosts if ":" not in host]  # the vault listens there
    return (v4 or hosts)[0], port


def _words(error):
    if isinstance(error, TimeoutError):
        return f"it was silent for {SILENCE:g} s"
    return str(getattr(error, "strerror", None) or error).lower() or type(error).__name__


def over(address, control):
    """tell(name, said={}): the same calls, of a vault that runs at an address. control: an instructor's key, or its word."""
    line = Line(address)

    def tell(name, said=None):
        headers = {"Authorization": f"Bearer {control}"}
        try:
            return line.exchange("POST", f"/v1/instructor/{name}", said or {}, headers)
        finally:  # the next call may come after minutes, when the vault has hung up
            line.close()

    return tell
