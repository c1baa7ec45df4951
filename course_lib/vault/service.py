"""One path for a question: key, limit, monitor, answer, policy, ledger, reply. No network; the clock is an argument."""

import hashlib
import hmac
import ipaddress
import os
import secrets
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path

import numpy as np

from course_lib.vault import controls, policy
from course_lib.vault.books import Books
from course_lib.vault.keyring import Keyring
from course_lib.vault.ledger import Entry, Full, Ledger, LedgerError, Refused
from course_lib.vault.limits import Limit, Limits, Steady
from course_lib.vault.monitor import Eye
from course_lib.vault.refusal import Refusal
from course_lib.vault.reply import Reply, unpacked, use
from course_lib.vault.snapshot import snapshot
from course_lib.vault.watchers import Watchers

LIMIT = 8.0  # inputs are numbers from -8 to 8; pictures from 0 to 1
PAUSE = 5  # seconds after which a client may try a paused vault again


class Service:
    """A vault without its network. folder holds vault.db and policy.toml (written if missing).

    clock() gives seconds since 1970; nothing else here reads a clock or sleeps. victims: {name: Victim}, else those that
    are trained on the set `data`. class_name: kept from the first start. max_pages: the ledger's, of 4,096 bytes.
    deliver(pairs): how futures are settled after a COMMIT, in the writer's thread; pairs of (future, Reply or Refusal).
    A server replaces it to wake its loop once for a whole group.
    """

    def __init__(
        self,
        folder,
        policy_path=None,
        clock=time.time,
        victims=None,
        class_name=None,
        data="digits",
        serving=True,
        max_pages=None,
    ):
        if victims is None:
            from course_lib.vault import victims as trained

            victims = trained.victims(data)
        self.folder, self.victims, self.clock, self.deliver = Path(folder), victims, Steady(clock), _settle
        self.policy_path = Path(policy_path) if policy_path else self.folder / "policy.toml"
        self.lock, self.paused, self.closed = threading.Lock(), False, False
        self.ledger = Ledger(folder, self._committed, serving, max_pages)
        try:
            self._open(class_name)
        except BaseException:
            self.ledger.close()
            raise

    def _open(self, class_name):
        now, meta = self.clock(), self._meta(class_name)
        self.class_name, self.secret = meta["class"], meta["secret"]
        self.rng = np.random.default_rng()  # fresh noise; nobody shall foretell it
        self.keyring = Keyring(self.ledger, self.class_name, self.clock)
        self.books, self.limits = Books(self.ledger), Limits()
        self.in_flight, self.known = {}, set()  # (key, request id): (body, future); hashes of those that were answered
        seed = int.from_bytes(hashlib.sha256(self.secret + b"projection").digest()[:8], "little")
        eyes = {name: Eye(victim.reference, seed) for name, victim in self.victims.items()}
        self.watchers = Watchers(eyes, self.ledger, self._false_alarm_rate, self.keyring.in_cohort)
        if not self.policy_path.exists():
            _write(self.policy_path, policy.default_text())
        self.policy = policy.load(self.policy_path)
        for row in self.ledger.history():
            subjects = (("key", row["key"]), ("cohort", row["cohort"]))
            if row["features"] is not None and row["model"] in self.victims:
                self.watchers.replay(row["id"], subjects, row["model"], row["features"], min(row["at"], now))
            if row["request_id"] is not None:
                self.known.add(hash((row["key"], row["request_id"])))
            if row["charged"]:
                for limit in self._limits(row["key"], row["cohort"]):
                    self.limits.replay(limit, row["rows"], min(row["at"], now))
        self._in_force(now)

    def _meta(self, class_name):
        def work(db):
            fresh = {"class": class_name or "demo", "secret": secrets.token_bytes(32)}
            for item in fresh.items():
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", item)
            return dict(db.execute("SELECT name, value FROM meta"))

        meta = self.ledger.change(work)
        if class_name and class_name != meta["class"]:
            raise LedgerError(
                f"{self.folder} is the vault of the class {meta['class']}, not of {class_name}; name another folder"
            )
        return meta

    # The path of a question.

    def ask(self, token, model, rows, request_id=None, address="", scope="predict"):
        """A Future of the Reply to rows (B, D), settled after the ledger's COMMIT; a Refusal is its exception."""
        future = Future()
        future.set_running_or_notify_cancel()  # what was taken is finished, whoever has stopped waiting
        key, n = None, 0
        try:
            key = self.keyring.identify(token, scope)
            n = _count(rows)
            if key.accepted_rules is None:
                raise Refusal(
                    403,
                    "first read and accept the rules: GET /v1/rules, then POST /v1/rules/accept, or on the page",
                    "rules",
                )
            victim, x = self._question(model, rows)
            with self.lock:
                return self._ask(key, victim, x, request_id, address, future)
        except Refusal as refusal:
            self._count_refusal(key, refusal, n)
            future.set_exception(refusal)
            return future

    def _question(self, model, rows):
        victim = self.victims.get(model) if isinstance(model, str) else None
        if victim is None:
            raise Refusal(
                404, f"there is no model {str(model)[:64]!r}; there are {', '.join(self.victims)}", "no-model"
            )
        try:
            x = np.asarray(rows)
        except (ValueError, OverflowError):  # rows of several lengths
            x = np.empty(0, object)
        if x.ndim == 1 and x.dtype != object:
            x = x[None]
        d = victim.shape[0]
        if x.dtype.kind not in "fiu" or x.ndim != 2 or x.shape[1] != d or not len(x):
            shape = "x".join(map(str, x.shape)) if x.dtype.kind in "fiu" else "something else"
            raise Refusal(422, f"inputs are rows of {d} numbers, one row per picture; got {shape}", "malformed-input")
        limit = self.policy.limits.rows_per_request
        if len(x) > limit:
            raise Refusal(
                413, f"at most {limit} rows in one request; got {len(x)}. Send them in several", "too-many-rows"
            )
        x = x.astype(float, copy=False)
        if not np.abs(x).max() <= LIMIT:  # nan is not, either
            raise Refusal(
                422, f"inputs are finite numbers from -{LIMIT:g} to {LIMIT:g} (pictures: 0 to 1)", "input-out-of-range"
            )
        return victim, np.ascontiguousarray(x)

    def _ask(self, key, victim, x, request_id, address, future):
        """Everything that has an order, under one lock: the ledger gets questions in the order that the monitor saw."""
        now, force, n = self.clock(), self.policy, len(x)
        if self.closed:
            raise Refusal(503, "this vault is closing", "closing", retry_after=PAUSE)
        body = hashlib.blake2b(x.tobytes(), digest_size=16, key=victim.name.encode()).digest()
        if request_id is not None:
            earlier = self._earlier(key, request_id, body)
            if earlier is not None:
                return earlier
        if self.paused:
            raise Refusal(503, "the teacher has paused the vault for a moment", "paused", retry_after=PAUSE)
        cohort = self.cohort_of(key, address)
        subjects = (("key", key.id), ("cohort", cohort))
        alarms = self._acting(subjects)
        limits = self._limits(key.id, cohort)
        if alarms and force.monitor.action == "slow":
            limits.append(Limit(("slow", key.id), force.monitor.slow_rows_per_minute))
        if alarms and force.monitor.action == "block":
            raise _unusual(alarms[0])
        budget, together = self.budget(key), force.limits.budget_per_cohort or None
        if budget is not None and key.spent + n > budget:
            raise _spent(key.spent, budget, n)
        self._take(limits, n, now)
        probs, refusal, features = victim.answer(x), None, None
        if force.monitor.enabled:
            records = self.watchers.eyes[victim.name].features(x, probs.argmax(1))
            self.watchers.see(subjects, victim.name, records, force.monitor, now)
            features = records.tobytes()
            new = self._acting(subjects)
            if new and not alarms and force.monitor.action == "block":
                refusal = _unusual(new[0])
            elif new and not alarms and force.monitor.action == "slow":
                slow = [Limit(("slow", key.id), force.monitor.slow_rows_per_minute)]
                try:
                    self._take(slow, n, now)
                except Refusal as too_fast:
                    refusal = too_fast
            alarms = new
        reply, planted = None, 0
        if refusal is None:
            coarse = bool(alarms) and force.monitor.action == "coarsen"
            reply, planted = self._reply(victim, probs, x, coarse, request_id or secrets.token_hex(8), limits, now)
        else:
            self.limits.give_back(limits, n)
        entry = Entry(
            now, key.id, cohort, victim.name, n, n if reply else 0, 200 if reply else refusal.status, force.version,
            reply.output if reply else "none", planted, None, None, truncated(address), reply.id if reply else None, body,
            features, reply.packed() if reply else None, budget, together,
            (future, reply, refusal, key, limits, force.price.cents_per_1000_rows / 1000),
        )  # fmt: skip
        if reply:
            self.in_flight[key.id, reply.id] = body, future
        self.ledger.record(entry)
        return future

    def _earlier(self, key, request_id, body):
        """The future of a request with the same id, if there is one; another body is refused."""
        if not isinstance(request_id, str) or not 0 < len(request_id) <= 128 or not request_id.isprintable():
            raise Refusal(422, "an Idempotency-Key is a text of 1 to 128 printable characters", "malformed-request-id")
        flying, future = self.in_flight.get((key.id, request_id)), None
        if flying:
            other, future = flying
        elif hash((key.id, request_id)) in self.known and (row := self.ledger.stored(key.id, request_id)):
            other, future = row["body"], Future()
            future.set_result(unpacked(row, self.policy.price.cents_per_1000_rows / 1000))
        if future is not None and other != body:
            raise Refusal(
                422, "this Idempotency-Key was used for another question; take a new one for each", "request-id-reused"
            )
        return future

    def _take(self, limits, n, now):
        refused = self.limits.take(limits, n, now)
        if refused:
            limit, seconds = refused
            headers = self._headers([limit], now)
            if seconds == float("inf"):
                raise Refusal(
                    413,
                    f"this limit lets at most {limit.burst:g} rows through at once; got {n}",
                    "over-the-limit",
                    None,
                    headers,
                )
            sentence = f"at most {limit.rate * 60:g} rows a minute for this {limit.who[0]}; try again in {max(seconds, 1):.0f} s"
            raise Refusal(429, sentence, "too-fast", seconds, headers)

    def _reply(self, victim, probs, x, coarse, request_id, limits, now):
        """(what leaves under the policy, how many rows were planted)."""
        force = self.policy
        probs, sown = controls.apply(probs, x, force, self.secret, self.rng)
        output = (
            "label" if coarse or force.output.kind == "label" else "top_k" if force.output.top_k else "probabilities"
        )
        labels = probs.argmax(1)
        reply = Reply(request_id, victim.name, output, labels, None if output == "label" else probs, force.version)
        reply.headers = self._headers(limits, now)
        return reply, 0 if sown is None else int(sown.sum())

    def _headers(self, limits, now):
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10); quotas are in rows."""
        said, left = [], []
        for limit in limits:
            if limit.rate:
                rows, seconds = self.limits.left(limit, now)
                said.append(f'"{limit.who[0]}";q={limit.burst:.0f};w={-int(-limit.burst / limit.rate // 1)}')
                left.append(f'"{limit.who[0]}";r={int(rows)};t={-int(-seconds // 1)}')
        return {"RateLimit-Policy": ", ".join(said), "RateLimit": ", ".join(left)} if said else {}

    def _limits(self, key_id, cohort):
        limits = self.policy.limits
        return [
            Limit(("key", key_id), limits.rows_per_minute_per_key, limits.burst_per_key),
            Limit(("cohort", cohort), limits.rows_per_minute_per_cohort, limits.burst_per_cohort),
        ]

    def _acting(self, subjects):
        return self.watchers.alarmed(subjects) if self.policy.monitor.enabled else []

    def _committed(self, entries):
        """In the writer's thread, after a COMMIT, or where it failed: count, and settle the futures."""
        pairs, now = [], self.clock()
        for entry in entries:
            future, reply, refusal, key, limits, cents_per_row = entry.context
            if reply:
                if entry.outcome is None:
                    key.spent = entry.spent
                    self.books.answered(key.id, entry.cohort, entry.charged, now)
                    reply.usage = use(entry.rows, entry.spent, entry.budget_left, cents_per_row)
                    self.known.add(hash((key.id, reply.id)))
                else:
                    self.limits.give_back(limits, entry.rows)
                    refusal = _why(entry)
                    if isinstance(entry.outcome, Refused) and entry.outcome.reason == "revoked" and key.revoked is None:
                        key.revoked = now  # by another process
                self.in_flight.pop((key.id, reply.id), None)
            if refusal:
                self._count_refusal(key, refusal, entry.rows)
            pairs.append((future, refusal or reply))
        self.deliver(pairs)

    def _count_refusal(self, key, refusal, rows):
        i = key.id if key else 0
        self.books.refused[i] += 1
        self.ledger.count_refusal(int(self.clock() // 60), i, refusal.status, refusal.type, rows)

    def cohort_of(self, key, address):
        """The cohort that a key's question counts for, by the policy in force."""
        by = self.policy.identity.cohort_by
        if by == "person":
            return f"person {self.keyring.first_of(key.pseudonym)}"
        if by == "address":
            return f"network {hmac.digest(self.secret, truncated(address).encode(), 'sha256').hex()[:6]}"
        return key.cohort

    def budget(self, key):
        """The rows that a key may ask in all, its own or the policy's; None: any number."""
        return key.budget if key.budget is not None else self.policy.limits.budget_per_key or None

    def controlled(self, name, x):
        """What an honest user would get for x (B, D) under the policy in force: probs (B, C). Uncharged, unlogged."""
        x = np.asarray(x, float).reshape(len(x), -1)
        return controls.apply(self.victims[name].answer(x), x, self.policy, self.secret, self.rng)[0]

    # Keys.

    def identify(self, token, scope=None):
        """The Key of a token. Raises Refusal."""
        return self.keyring.identify(token, scope)

    def accept_rules(self, token):
        """The holder of this key has read the rules of engagement and accepts them."""
        key = self.identify(token)
        if key.accepted_rules is None:
            self._written(lambda: self.keyring.set(key, "accepted_rules", self.clock()))

    def new_key(self, pseudonym, cohort="class", scope="predict", budget=None, expires=None):
        """A new key's token; it is shown once. budget: rows; expires: seconds since 1970."""
        per_person = self.policy.identity.keys_per_person if scope != "instructor" else 0
        return self._written(lambda: self.keyring.new(pseudonym, cohort, scope, budget, expires, per_person))

    def revoke(self, key_id):
        """From now on this key opens nothing, not even the reply to an earlier question."""
        key = self.keyring.get(key_id)
        key.revoked = self.clock()  # at once, even where it cannot be written
        self._written(lambda: self.keyring.set(key, "revoked", key.revoked))

    def set_cohort(self, key_id, cohort):
        """This key acts together with those of that cohort, from its next question on."""
        key = self.keyring.get(key_id)
        self._written(lambda: self.keyring.set(key, "cohort", cohort))

    def expire(self, class_name):
        """The class is over: its keys expire now."""
        for key in [k for k in self.keyring.by_id.values() if k.class_name == class_name]:
            self._written(lambda key=key: self.keyring.set(key, "expires", self.clock()))

    def forget(self, pseudonym):
        """Delete who it was: the keys' name, addresses, request ids, features and answers. Counts and charges stay."""
        self._written(lambda: self.ledger.forget(pseudonym, self.clock()))
        self.keyring.forget(pseudonym)

    def pardon(self, key_id=None, cohort=None):
        """After a person has looked: the alarms of a key, or of a cohort, end, and its numbers start afresh."""
        subject = ("key", self.keyring.get(key_id).id) if key_id is not None else ("cohort", cohort)
        with self.lock:
            self._written(lambda: self.watchers.pardon(subject, self.clock()))

    def keys(self):
        """Every key, as the page shows it; never its secret."""
        return self.snapshot()["keys"]

    # What a key may know.

    def usage(self, token):
        """What a key has used, and what it has left."""
        key = self.identify(token)
        budget, cents = self.budget(key), self.policy.price.cents_per_1000_rows
        return {
            "pseudonym": key.pseudonym, "cohort": key.cohort, "scope": key.scope, "spent": key.spent, "budget": budget,
            "budget_left": None if budget is None else max(0, budget - key.spent), "requests": self.books.requests[key.id],
            "refused": self.books.refused[key.id], "cents": round(key.spent * cents / 1000, 6),
            "cents_per_1000_rows": cents, "expires": key.expires, "accepted_rules": key.accepted_rules is not None,
        }  # fmt: skip

    def policy_view(self, token):
        """What a key may know of the policy: what it gets, how much of it, at what price; not how it is watched."""
        self.identify(token)
        force = self.policy
        output = {name: getattr(force.output, name) for name in ("kind", "top_k", "decimals")}
        limits = {name: getattr(force.limits, name) for name in type(force.limits).__dataclass_fields__}
        return {
            "version": force.version, "output": output, "limits": limits, "monitored": force.monitor.enabled,
            "who": force.identity.who, "keys_per_person": force.identity.keys_per_person,
            "cents_per_1000_rows": force.price.cents_per_1000_rows, "limits_count": "rows",
        }  # fmt: skip

    def models(self, token):
        """The models behind the door."""
        self.identify(token)
        return [
            {
                "id": v.name,
                "shape": list(v.shape),
                "classes": len(v.classes),
                "class_names": list(v.classes),
                "parameters": v.parameters,
            }
            for v in self.victims.values()
        ]

    # The instructor's.

    def pause(self, paused=True):
        """Refuse questions for a while (503), or go on."""
        self.paused = bool(paused)

    def reload_policy(self):
        """Read the file again. Raises PolicyError, and then the old policy stays."""
        self._adopt(policy.load(self.policy_path))

    def set_policy(self, text):
        """Put another policy into the file and into force. Raises PolicyError, and then the old one stays."""
        new = policy.parse(text)
        _write(self.policy_path, text)
        self._adopt(new)

    def _adopt(self, new):
        with self.lock:
            self.policy = new
            self._in_force(self.clock())

    def _in_force(self, now):
        force = self.policy
        self.ledger.note("INSERT OR IGNORE INTO policies VALUES (?, ?, ?)", (force.version, now, force.text))
        self.watchers.judge_all(force.monitor, now)

    def _false_alarm_rate(self, per, model, statistic, threshold):
        return None

    def snapshot(self):
        """Everything that the page shows, JSON-able, without a clock in it: an idle vault gives the same again."""
        return snapshot(self)

    def close(self):
        """Finish what was taken, then close."""
        with self.lock:
            self.closed = True
        self.ledger.close()

    def _written(self, work):
        try:
            return work()
        except Full as error:
            raise _full(error) from None


@lru_cache(4096)
def truncated(address):
    """An address without its last part: /24 for IPv4, /48 for IPv6; "" for what is none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ipaddress.ip_network((ip.packed, 24 if ip.version == 4 else 48), strict=False))


def _count(rows):
    """How many rows somebody meant to ask, as far as can be told."""
    many = isinstance(rows, (list, tuple, np.ndarray)) and len(rows) and isinstance(rows[0], (list, tuple, np.ndarray))
    return len(rows) if many else 1


def _settle(pairs):
    for future, outcome in pairs:
        if isinstance(outcome, Refusal):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _why(entry):
    outcome = entry.outcome
    if isinstance(outcome, Full):
        return _full(outcome)
    if outcome.reason == "revoked":
        return Refusal(403, "this key was revoked", "key-revoked")
    if outcome.reason == "budget":
        return _spent(outcome.spent, entry.budget, entry.rows)
    sentence = (
        f"{entry.rows} rows more would exceed what the cohort {entry.cohort} may ask together: {entry.cohort_budget}"
    )
    return Refusal(403, f"{sentence}, of which {outcome.spent} are spent", "cohort-budget-spent")


def _spent(spent, budget, rows):
    return Refusal(
        403, f"{rows} rows more would exceed this key's budget of {budget}, of which {spent} are spent", "budget-spent"
    )


def _full(error):
    return Refusal(
        503,
        f"the ledger cannot be written ({error}), and nothing leaves unlogged; try again",
        "ledger-full",
        retry_after=PAUSE,
    )


def _unusual(alarm):
    return Refusal(403, f"{alarm.sentence()}. Your teacher can look at it and lift it", "unusual")


def _write(path, text):
    """The file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
