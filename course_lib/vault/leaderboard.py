"""The leaderboard: how close each copy came, at how many questions and cents, and what the policy cost honest users.

Scored on pictures that never leave the server: agreement with the victim's own labels (before any output control) on
copies of the judge's pictures, made from a seed that this vault drew for itself, its interval clustered by the picture that a
copy was made from; accuracy on the judge's pictures as they are. Shown rounded to a whole point, and scored at most PER_HOUR
times an hour, so that the board is no oracle of its own. It lives in the ledger, and knows keys by their number.
"""

import hashlib
import secrets
import sqlite3
import threading

import numpy as np
import torch
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from course_lib import arena, measure
from course_lib.vault import replies, submission
from course_lib.vault.refusal import Refusal

PER_HOUR, TRIES_PER_HOUR = 6, 60  # scored submissions of a key; with those that could not be read
HOUR = 3600.0
COPIES = 10_000  # questions that agreement is taken on
OFF = 0.1  # a confidence that differs by more from the true one is no longer that one
TABLES = """
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, key INTEGER NOT NULL, model TEXT NOT NULL, architecture TEXT NOT NULL,
    agreement REAL NOT NULL, agreement_low REAL NOT NULL, agreement_high REAL NOT NULL,
    accuracy REAL NOT NULL, accuracy_low REAL NOT NULL, accuracy_high REAL NOT NULL,
    questions INTEGER NOT NULL, cents REAL NOT NULL, policy TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS honest_cost (  -- shares of the judge's pictures, by the policy in force
    policy TEXT NOT NULL, model TEXT NOT NULL, label_lost REAL NOT NULL, confidence_lost REAL NOT NULL,
    PRIMARY KEY (policy, model));
"""


def clustered(scores, base):
    """The mean of scores (N,) as an Estimate over base pictures: base (N,) says which of them each row was made from.

    Copies of one picture are no independent examples, so each picture gives one number, the mean over its copies.
    """
    pictures, which = np.unique(base, return_inverse=True)
    found = measure.estimate(torch.from_numpy(np.bincount(which, scores) / np.bincount(which)))
    n = f"{len(scores):,} copies of {len(pictures):,} pictures"
    return measure.Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0), n, "examples")


def honest_cost(service, model, x):
    """(share of pictures that get another label, share whose confidence is off by more than OFF) by the policy in force."""
    true, served = service.victims[model].answer(x), service.controlled(model, x)
    label = float((true.argmax(1) != served.argmax(1)).mean())
    return label, float((np.abs(true.max(1) - served.max(1)) > OFF).mean())


def points(shares):
    """Shares in whole points: what the board shows."""
    return [round(100 * share) for share in shares]


class Leaderboard:
    """The board of one vault, by its clock. copies: how many agreement is taken on."""

    def __init__(self, service, copies=COPIES):
        self.service, self.copies = service, copies
        self.lock, self.pictures, self.measured = threading.Lock(), {}, None
        self.seed, recent = service.ledger.change(self._begin)
        self.tries = {}  # key: [(when, scored)] of the last hour; a restart gives nobody six more
        for key, at in recent:
            self.tries.setdefault(key, []).append((at, True))

    def _begin(self, db):
        for table in TABLES.split(";"):
            db.execute(table)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('judge_seed', ?)", (secrets.randbits(31),))
        seed = db.execute("SELECT value FROM meta WHERE name = 'judge_seed'").fetchone()[0]
        recent = db.execute("SELECT key, at FROM submissions WHERE at > ?", (self.service.clock() - HOUR,)).fetchall()
        return seed, [tuple(row) for row in recent]

    def submit(self, token, model, body):
        """Score a submission of this key: the reply as a dict. It takes a moment, so not in the event loop."""
        key = self.service.identify(token)
        if not {"predict", "submit"} & set(key.scope.split()):
            raise Refusal(403, f"a key for {key.scope} hands in no copies; take one for predict", "wrong-scope")
        if key.accepted_rules is None:
            raise Refusal(403, "first read and accept the rules: GET /v1/rules, then POST /v1/rules/accept", "rules")
        if model not in self.service.victims:
            raise Refusal(404, f"the models are {', '.join(self.service.victims)}; got {str(model)[:40]!r}", "no-model")
        with self.lock:  # one at a time: scoring takes a processor that the class is using
            self._admit(key.id)
            try:
                victim = self.service.victims[model]
                architecture, network = submission.unpack(body, victim.shape[0], len(victim.classes))
                agreement, accuracy = self._score(model, network)
            except submission.NotASubmission as error:
                self.tries[key.id].append((self.service.clock(), False))
                raise Refusal(422, str(error), "not-a-submission") from None
            self.tries[key.id].append((self.service.clock(), True))
            left = PER_HOUR - sum(scored for _, scored in self.tries[key.id])
            usage, policy = self.service.usage(token), self.service.policy.version
            shares = [share for one in (agreement, accuracy) for share in (one.value, one.low, one.high)]
            row = (self.service.clock(), key.id, model, architecture, *shares, usage["spent"], usage["cents"], policy)
            marks = ", ?" * (len(row) + 1)
            digest = hashlib.sha256(body).hexdigest()
            self.service.ledger.change(
                lambda db: db.execute(f"INSERT INTO submissions VALUES (NULL{marks})", (*row, digest))
            )
        return {
            **{"object": "submission", "model": model, "architecture": architecture},
            **{"agreement": _shown(agreement), "accuracy": _shown(accuracy)},
            **{"questions": usage["spent"], "cents": usage["cents"], "policy_version": policy, "left_this_hour": left},
        }

    def _admit(self, key):
        now = self.service.clock()
        tries = self.tries[key] = [(at, scored) for at, scored in self.tries.get(key, []) if at > now - HOUR]
        of_all, of_scored = [at for at, _ in tries], [at for at, scored in tries if scored]
        for times, most, what in ((of_scored, PER_HOUR, "scored"), (of_all, TRIES_PER_HOUR, "handed in")):
            if len(times) >= most:
                wait = times[-most] + HOUR - now
                words = f"at most {most} copies an hour are {what} for one key; the next one in {wait / 60:.0f} minutes"
                raise Refusal(429, words, "too-many-submissions", retry_after=wait)

    def _score(self, model, network):
        """(agreement, accuracy) of a copy, both Estimates."""
        x, y, copies, base = self._judge(model)
        same = submission.answer(network, copies).argmax(1) == self.service.victims[model].answer(copies).argmax(1)
        right = submission.answer(network, x).argmax(1) == y
        return clustered(same, base), measure.estimate(torch.from_numpy(right))

    def _judge(self, model):
        """The judge's pictures (N, D) and labels (N,); copies of them (COPIES, D), and which each was made from."""
        name = model.rpartition("-")[0]  # of the data set
        if name not in self.pictures:
            shares = arena.shares(name)
            copies, base = arena.judge_set(shares, n=self.copies, seed=self.seed)
            x, y = shares.judge
            flat = [np.asarray(part, np.float64).reshape(len(part), -1) for part in (x, copies)]
            self.pictures[name] = flat[0], np.asarray(y), flat[1], np.asarray(base)
        return self.pictures[name]

    def board(self, keys):
        """What the page shows: the best copy of each key and model, and what each policy cost honest users.

        keys: the snapshot's, which give the names: only the pseudonyms of now, also of who was forgotten since.
        """
        keys = {key["id"]: key for key in keys}
        self._measure_policy()
        db = self.service.ledger.reader()
        try:
            db.row_factory = sqlite3.Row
            rows = db.execute("SELECT * FROM submissions ORDER BY id").fetchall()
            costs = db.execute("SELECT * FROM honest_cost ORDER BY rowid").fetchall()
        finally:
            db.close()
        best, tries = {}, {}
        for row in rows:
            who = row["key"], row["model"]
            tries[who] = tries.get(who, 0) + 1
            if row["key"] in keys and (who not in best or _place(row) < _place(best[who])):
                best[who] = row
        entries = [_entry(row, keys[row["key"]], tries[who]) for who, row in best.items()]
        for entry in entries:
            entry["front"] = not any(_beats(other, entry) for other in entries)
        entries.sort(key=lambda entry: (entry["model"], -entry["agreement"][0], entry["questions"], entry["who"]))
        return {"entries": entries, "policies": [dict(row) for row in costs]}

    def _measure_policy(self):
        """What the policy in force costs honest users: measured when it is first seen, and kept."""
        version, ledger = self.service.policy.version, self.service.ledger
        if version == self.measured:
            return
        models = self.service.victims
        rows = [(version, model, *honest_cost(self.service, model, self._judge(model)[0])) for model in models]
        ledger.change(lambda db: db.executemany("INSERT OR IGNORE INTO honest_cost VALUES (?, ?, ?, ?)", rows))
        self.measured = version


def _shown(estimate):
    value, low, high = points((estimate.value, estimate.low, estimate.high))
    return {"value": value, "low": low, "high": high, "n": estimate.n}


def _entry(row, key, tries):
    shares = {name: points(row[name + end] for end in ("", "_low", "_high")) for name in ("agreement", "accuracy")}
    rest = {name: row[name] for name in ("model", "architecture", "questions", "cents", "policy")}
    return {"who": key["pseudonym"], "cohort": key["cohort"], **shares, **rest, "tries": tries}


def _place(row):
    return -round(100 * row["agreement"]), row["questions"]


def _beats(one, other):
    """As close with fewer questions, or closer with as many, on the same model."""
    a, b = ((entry["agreement"][0], -entry["questions"]) for entry in (one, other))
    return one["model"] == other["model"] and a != b and a[0] >= b[0] and a[1] >= b[1]


def routes(board):
    """POST /v1/submissions and GET /v1/leaderboard, for the server to mount."""

    async def submit(request):
        headers = request.scope["headers"]
        token = replies.bearer(headers)
        body = await replies.read_body(request.receive, headers, submission.MAX_BYTES)
        model = request.query_params.get("model", "digits-linear")
        return replies.reply(await run_in_threadpool(board.submit, token, model, body), 201)

    async def show(request):
        return replies.reply(await run_in_threadpool(lambda: board.board(board.service.snapshot()["keys"])))

    return [Route("/v1/submissions", submit, methods=["POST"]), Route("/v1/leaderboard", show, methods=["GET"])]
