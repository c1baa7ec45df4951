"""The leaderboard: how close each copy came, at how many questions and cents, and what the policy cost honest users.

Scored on versions of pictures (arena.copies) drawn by a seed that the vault keeps; the pictures behind them are public, with
their labels, so that none is asked about as it is. Agreement is with the victim's own labels, before any output control; accuracy
with the pictures' labels; both intervals are clustered by the picture that a version was made from. Shown rounded to a whole
point, and scored at most PER_HOUR times an hour for a pseudonym, so that the board is no oracle of its own. The same file again
within the hour (a reply got lost, and the client asks again) gets the same scores and counts once. Questions are what the copied
model answered to every key of the pseudonym; what it answered to the whole cohort stands beside them, since a friend's key asks
as well as one's own.
It lives in the ledger, and knows keys by their number.
"""

import contextlib
import hashlib
import secrets
import threading

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from course_lib import measure
from course_lib.data import arena
from course_lib.files import quoted
from course_lib.vault.board import submission
from course_lib.vault.honest import honest_cost
from course_lib.vault.http import response
from course_lib.vault.http.request import bearer, read_body
from course_lib.vault.refusal import Refusal

PER_HOUR, TRIES_PER_HOUR = 6, 60  # scored submissions of a pseudonym; with those that could not be read
HOUR = 3600.0
COPIES = 10_000  # versions of pictures that a copy is scored on
SHARES = ("agreement", "accuracy")


def points(shares):
    """Shares in whole points: what the board shows."""
    return [round(100 * share) for share in shares]


class Leaderboard:
    """The board of one vault, by its clock. copies: how many a submission is scored on."""

    def __init__(self, service, copies=COPIES):
        self.service, self.copies = service, copies
        self.lock, self.pictures = threading.Lock(), {}
        self.best, self.scored = {}, {}  # by (key, model): its best row, and how many were scored
        self.tries = {}  # by key: [(when, its row where it was scored)] of the last hour; a restart gives nobody six more
        self.seed = service.ledger.meta({"judge_seed": secrets.randbits(31)})["judge_seed"]
        self.costs, now = service.ledger.honest_costs(), service.clock()
        for row in service.ledger.submissions():
            self._count(row, min(row["at"], now))  # the clock may have been ahead, and put right since

    def _count(self, row, at):
        who = row["key"], row["model"]
        self.scored[who] = self.scored.get(who, 0) + 1
        self.tries.setdefault(row["key"], []).append((at, row))
        if who not in self.best or _place(row) < _place(self.best[who]):
            self.best[who] = row

    def submit(self, token, model, body):
        """Score a submission of this key: the reply as a dict. It takes a moment, so not in the event loop."""
        key = self.service.identify(token)
        if not {"predict", "submit"} & set(key.scope.split()):
            raise Refusal(403, f"a key for {key.scope} hands in no copies; take one for predict", "wrong-scope")
        if key.accepted_rules is None:
            raise Refusal(403, "first read and accept the rules: GET /v1/rules, then POST /v1/rules/accept", "rules")
        if model not in self.service.victims:
            raise Refusal(404, f"the models are {', '.join(self.service.victims)}; got {quoted(model)}", "no-model")
        digest = hashlib.sha256(body).hexdigest()
        with self.lock:  # one at a time: scoring takes a processor that the class is using
            tries = self._tries(key.pseudonym, self.service.clock())
            for _, row in tries:
                if row and (row["model"], row["sha256"]) == (model, digest):
                    return self._reply(row, tries, again=True)
            self._admit(tries)
            try:
                victim = self.service.victims[model]
                architecture, network = submission.unpack(body, victim.shape[0], len(victim.classes))
                agreement, accuracy = self._score(model, network)
            except submission.NotASubmission as error:
                self.tries.setdefault(key.id, []).append((self.service.clock(), None))
                raise Refusal(422, str(error), "not-a-submission") from None
            self._policies()  # so that a copy's policy has its cost beside it, whether or not anybody looked at the page
            now, policy = self.service.clock(), self.service.policy
            questions, together = self.service.ledger.asked(key.pseudonym, key.cohort, model)
            row = {
                **{"at": now, "key": key.id, "model": model, "architecture": architecture},
                **_kept("agreement", agreement),
                **_kept("accuracy", accuracy),
                **{"questions": questions, "cohort_questions": together},
                **{"cents": round(questions * policy.price.cents_per_1000_rows / 1000, 6)},
                **{"policy": policy.version, "sha256": digest},
            }
            self.service.ledger.add_submission(row)
            self._count(row, now)
            return self._reply(row, self._tries(key.pseudonym, now), again=False)

    def _reply(self, row, tries, again):
        _, _, copies, base = self._judge(row["model"])
        n = f"{len(copies):,} copies of {len(np.unique(base)):,} pictures"
        shares = {name: dict(zip(("value", "low", "high"), _shown(row, name), strict=True)) for name in SHARES}
        return {
            **{"object": "submission", "model": row["model"], "architecture": row["architecture"]},
            **{name: share | {"n": n} for name, share in shares.items()},
            **{"questions": row["questions"], "cents": row["cents"], "policy_version": row["policy"]},
            **{"left_this_hour": PER_HOUR - sum(scored is not None for _, scored in tries), "scored_before": again},
        }

    def _tries(self, pseudonym, now):
        """[(when, its row or None)] of the last hour by all keys of a pseudonym, the oldest first."""
        keys = [key.id for key in list(self.service.keyring.by_id.values()) if key.pseudonym == pseudonym]
        for key in keys:
            self.tries[key] = [one for one in self.tries.get(key, []) if one[0] > now - HOUR]
        return sorted((one for key in keys for one in self.tries[key]), key=lambda one: one[0])

    def _admit(self, tries):
        now = self.service.clock()
        of_all, of_scored = [at for at, _ in tries], [at for at, row in tries if row]
        for times, most, what in ((of_scored, PER_HOUR, "scored"), (of_all, TRIES_PER_HOUR, "handed in")):
            if len(times) >= most:
                wait = times[-most] + HOUR - now
                words = f"at most {most} copies an hour are {what} for one pseudonym; the next one in {wait / 60:.0f} minutes"
                raise Refusal(429, words, "too-many-submissions", retry_after=wait)

    def _score(self, model, network):
        """(agreement, accuracy) of a copy, both Estimates."""
        _, y, copies, base = self._judge(model)
        said = submission.answer(network, copies).argmax(1)
        same = said == self.service.victims[model].answer(copies).argmax(1)
        tables = (measure.by_base(right, base) for right in (same, said == y[base]))
        return tuple(measure.clustered(table, len(base), "copies of") for table in tables)

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
        keys, best = {key["id"]: key for key in keys}, dict(self.best)
        found = [(row, keys[key], self.scored[key, model]) for (key, model), row in best.items() if key in keys]
        entries = [_entry(*one) for one in found]
        for entry in entries:
            entry["front"] = not any(_beats(other, entry) for other in entries)
        entries.sort(key=lambda entry: (entry["model"], -entry["agreement"][0], entry["questions"], entry["who"]))
        return {"entries": entries, "policies": self._policies()}

    def _policies(self):
        """What each policy costs honest users: measured when it is first seen in force, and kept."""
        version, new = self.service.policy.version, {}
        for model in self.service.victims:
            if (version, model) not in self.costs:
                lost = honest_cost(self.service, model, self._judge(model)[0])
                if self.service.policy.version != version:  # it changed meanwhile: whose cost was that?
                    break
                self.costs[version, model] = new[version, model] = lost
        if new:
            with contextlib.suppress(Refusal):  # a ledger that is full: measured again after the next start
                self.service.ledger.add_honest_costs(new)
        names = ("label_lost", "confidence_lost")
        return [
            {"policy": p, "model": m, **dict(zip(names, lost, strict=True))}
            for (p, m), lost in list(self.costs.items())
        ]


def _kept(share, estimate):
    """An Estimate as the ledger keeps it."""
    return {share: estimate.value, f"{share}_low": estimate.low, f"{share}_high": estimate.high}


def _shown(row, share):
    """[value, low, high] in whole points."""
    return points(row[share + end] for end in ("", "_low", "_high"))


def _entry(row, key, tries):
    shares = {name: _shown(row, name) for name in SHARES}
    rest = {name: row[name] for name in ("model", "architecture", "questions", "cohort_questions", "cents", "policy")}
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
        token = bearer(headers)
        board.service.identify(token)  # before two megabytes are read: for nobody unknown
        body = await read_body(request.receive, headers, submission.MAX_BYTES)
        model = request.query_params.get("model", "digits-linear")
        return response.reply(await run_in_threadpool(board.submit, token, model, body), 201)

    async def show(request):
        return response.reply(await run_in_threadpool(lambda: board.board(board.service.snapshot()["keys"])))

    return [Route("/v1/submissions", submit, methods=["POST"]), Route("/v1/leaderboard", show, methods=["GET"])]
