"""One path for a question: key, limit, monitor, answer, policy, ledger, reply. No network; the clock is an argument."""

import hashlib
import hmac
import secrets
import threading
from concurrent.futures import Future

import numpy as np

from course_lib.vault import question, refusal
from course_lib.vault.addresses import truncated
from course_lib.vault.answer import Reply, unpacked, use
from course_lib.vault.ledger import Entry
from course_lib.vault.policy import controls
from course_lib.vault.refusal import Refusal
from course_lib.vault.watch import Unanswered


class Door:
    """What every question passes. Ledger, limits, keyring, books and watchers are what it stands on: others with the same verbs do.

    victims: {model: Victim}. in_force: InForce. secret: bytes, of the keyed noise and of networks' names. clock: seconds.
    deliver(pairs): how futures are settled after a COMMIT, in the writer's thread; pairs of (future, Reply or Refusal).
    A server replaces it, to wake its loop once for a whole group.
    """

    def __init__(self, ledger, limits, keyring, books, watchers, victims, in_force, secret, clock):
        self.ledger, self.limits, self.keyring, self.books, self.watchers = ledger, limits, keyring, books, watchers
        self.victims, self.in_force, self.secret, self.clock = victims, in_force, secret, clock
        self.lock = threading.Lock()  # of whatever has an order: questions, policies, pardons, the end
        self.in_flight, self.known = {}, set()  # (key, request id): (body, future); hashes of ids that askers gave
        self.rng = np.random.default_rng()  # of the fresh noise; nobody shall foretell it
        self.unanswered, self.deliver = Unanswered(), settle
        ledger.on_commit(self._committed)

    def ask(self, token, model, rows, request_id=None, address="", scope="predict"):
        """A Future of the Reply to rows (B, D), settled after the ledger's COMMIT; a Refusal is its exception.

        The same request_id again, by the same key, gives the same reply, and is not charged again.
        """
        future = Future()
        future.set_running_or_notify_cancel()  # what was taken is finished, whoever has stopped waiting
        key, n = None, question.meant(rows)
        try:
            key = self.keyring.identify(token, scope)
            if key.accepted_rules is None:
                raise refusal.no_rules()
            victim, x = question.read(self.victims, model, rows, self.in_force.policy.limits.rows_per_request)
            with self.lock:  # whatever has an order: the ledger gets questions as the monitor saw them
                return self._ask(key, victim, x, request_id, address, future)
        except Refusal as reason:
            self.count_refusal(key, reason, n)
            future.set_exception(reason)
            return future

    def controlled(self, name, x):
        """What an honest user would get for x (B, D) under the policy in force: probs (B, C). Uncharged, unlogged."""
        x = np.asarray(x, float).reshape(len(x), -1)
        return controls.apply(self.victims[name].answer(x), x, self.in_force.policy, self.secret, self.rng)[0]

    def cohort_of(self, key, address):
        """The cohort that a key's question counts for, by the policy in force."""
        by = self.in_force.policy.identity.cohort_by
        if by == "person":
            return f"person {self.keyring.first[key.pseudonym]}"
        if by == "address":
            return f"network {hmac.digest(self.secret, truncated(address).encode(), 'sha256').hex()[:6]}"
        return key.cohort

    def adopt(self, policy):
        """Put a Policy into force, between two questions: it is written down, and alarms begin and end as it says."""
        with self.lock:
            now = self.clock()
            self.in_force.adopt(policy)
            self.ledger.adopt_policy(policy.version, now, policy.text)
            self.watchers.judge_all(policy.monitor, now)

    def pardon(self, subject):
        """After a person has looked at ("key", 3), or ("cohort", "green"): its alarms end, its numbers start afresh."""
        with self.lock:
            self.watchers.pardon(subject, self.clock())
            self.unanswered.clear()  # a fresh start counts whatever comes

    def replay(self, row, now):
        """At the start, in order: a row of the ledger's history, so that limits, monitor and repetitions go on from there."""
        subjects, at = (("key", row["key"]), ("cohort", row["cohort"])), min(row["at"], now)
        if row["features"] is not None and row["model"] in self.victims:
            self.watchers.replay(row["id"], subjects, row["model"], row["features"], at)
        if row["request_id"] is not None:
            self.known.add(hash((row["key"], row["request_id"])))
        if row["charged"]:
            for limit in self.in_force.limits(row["key"], row["cohort"]):
                self.limits.replay(limit, row["rows"], at)

    def close(self):
        """From now on every question is refused; those that were taken are answered."""
        with self.lock:
            self.in_force.closed = True

    def _ask(self, key, victim, x, request_id, address, future):
        now, n, force = self.clock(), len(x), self.in_force.policy
        body = hashlib.blake2b(victim.name.encode(), digest_size=16)
        body.update(x)
        body = body.digest()
        if request_id is not None and (earlier := self._earlier(key, request_id, body)) is not None:
            return earlier
        if n > force.limits.rows_per_request:  # only now: it may have taken more when this was asked first
            raise refusal.too_many_rows(n, force.limits.rows_per_request)
        if self.in_force.paused or self.in_force.closed:
            raise refusal.closing() if self.in_force.closed else refusal.paused()
        cohort = self.cohort_of(key, address)
        subjects = (("key", key.id), ("cohort", cohort))
        limits = self._let_in(key, cohort, subjects, n, now)
        probs = victim.answer(x)
        features, reason, coarse = self._watched(key, victim, x, probs.argmax(1), subjects, now, body)
        entry = Entry(now, key.id, cohort, victim.name, n, force.version, truncated(address), body, features)
        entry.budget, entry.cohort_budget = self.in_force.budget(key), force.limits.budget_per_cohort or None
        if reason is None:
            reply = self._reply(victim, probs, x, coarse, request_id, limits, now, entry)
            cents = force.price.cents_per_1000_rows / 1000
            entry.context = future, reply, None, key, limits, cents, force.monitor.enabled
            if request_id is not None:
                self.in_flight[key.id, request_id] = body, future
        else:  # what the monitor saw is in the ledger, so that a restart sees it, too
            self.limits.give_back(limits, n)
            entry.status, entry.context = reason.status, (future, None, reason, key, limits, 0, True)
        self.ledger.record(entry)
        return future

    def _earlier(self, key, request_id, body):
        """The future of this key's request with the same id, if there is one; another body is refused."""
        if not isinstance(request_id, str) or not 0 < len(request_id) <= 128 or not request_id.isprintable():
            raise refusal.malformed_id()
        if flying := self.in_flight.get((key.id, request_id)):
            other, future = flying
        elif hash((key.id, request_id)) in self.known and (row := self.ledger.stored(key.id, request_id)):
            other, future = row["body"], Future()
            future.set_result(unpacked(row, self.in_force.price_under(row["policy"]) / 1000))
        else:
            return None
        if other != body:
            raise refusal.reused_id()
        return future

    def _let_in(self, key, cohort, subjects, n, now):
        """The limits that n rows were taken from, or a Refusal: unusual, spent, or too fast."""
        settings, limits = self.in_force.policy.monitor, self.in_force.limits(key.id, cohort)
        if settings.enabled and settings.action in ("block", "slow") and self.watchers.alarmed(subjects):
            alarms = self.watchers.judged(subjects, settings, now)  # an hour may have passed
            if alarms and settings.action == "block":
                raise refusal.unusual(alarms[0])
            if alarms:
                limits = (*limits, self.in_force.slow(key.id))
        budget = self.in_force.budget(key)
        if budget is not None and key.spent + n > budget:  # for sure; the transaction looks again
            raise refusal.budget_spent(key.spent, budget, n)
        budget = self.in_force.policy.limits.budget_per_cohort
        if budget and (spent := self.books.cohort_rows[cohort]) + n > budget:
            raise refusal.cohort_budget_spent(cohort, spent, budget, n)
        self._take(limits, n, now)
        return limits

    def _watched(self, key, victim, x, labels, subjects, now, body):
        """(what the ledger keeps for the monitor, a Refusal or None, whether the label alone leaves).

        A question that was refused after it had been seen, and comes again, is no new one: it is not watched twice.
        """
        settings, reason = self.in_force.policy.monitor, None
        if not settings.enabled:
            return None, None, False
        before = self.watchers.alarmed(subjects)
        seen, features = self.unanswered.take(key.id, body)
        if not seen:
            rows = self.watchers.eyes[victim.name].features(x, labels)
            self.watchers.see(subjects, victim.name, rows, settings, now)
            features = rows.packed()
        alarms = self.watchers.alarmed(subjects)
        if alarms and not before:  # raised by this question, which is treated like those after it
            try:
                if settings.action == "block":
                    raise refusal.unusual(alarms[0])
                if settings.action == "slow":
                    self._take((self.in_force.slow(key.id),), len(x), now)
            except Refusal as refused:
                reason = refused
        return features, reason, bool(alarms) and settings.action == "coarsen"

    def _reply(self, victim, probs, x, coarse, request_id, limits, now, entry):
        """What leaves under the policy; the entry gets what the ledger keeps of it."""
        force = self.in_force.policy
        probs, sown = controls.apply(probs, x, force, self.secret, self.rng)
        output = "top_k" if force.output.top_k else "probabilities"
        if coarse or force.output.kind == "label":
            output = "label"
        reply = Reply(request_id or secrets.token_hex(8), victim.name, output, probs.argmax(1), probs, force.version)
        reply.headers = self.limits.headers(limits, now)
        if output == "label":
            reply.probs = None
        entry.status, entry.charged, entry.output, entry.request_id = 200, len(x), output, request_id
        entry.answers, entry.planted = reply.packed(), 0 if sown is None else int(sown.sum())
        return reply

    def _take(self, limits, n, now):
        if limits and (refused := self.limits.take(limits, n, now)):
            limit, seconds = refused
            raise refusal.too_fast(limit, n, seconds, self.limits.headers([limit], now))

    def _committed(self, entries):
        """In the writer's thread, after a COMMIT, or where it failed: count, and settle the futures."""
        pairs, now = [], self.clock()
        for entry in entries:
            future, reply, reason, key, limits, cents_per_row, watched = entry.context
            if reply and entry.outcome is None:
                key.spent = entry.spent
                self.books.answered(key.id, entry.cohort, entry.charged, now)
                reply.usage = use(entry.rows, entry.spent, entry.budget_left, cents_per_row)
                if entry.request_id is not None:
                    self.known.add(hash((key.id, reply.id)))
            elif reply:
                self.limits.give_back(limits, entry.rows)
                reason = entry.outcome
                if reason.type == "key-revoked" and key.revoked is None:
                    key.revoked = now  # by another process
            if reply:
                self.in_flight.pop((key.id, reply.id), None)
            if reason:
                self.count_refusal(key, reason, entry.rows)
                if watched:  # None: the ledger has what the monitor saw
                    self.unanswered.keep(key.id, entry.body, entry.features if entry.outcome else None)
            pairs.append((future, reason or reply))
        self.deliver(pairs)

    def count_refusal(self, key, reason, rows):
        """In the page's counts and in the ledger. key: None where it is not known whose."""
        i = key.id if key else 0
        self.books.refuse(i)
        self.ledger.count_refusal(int(self.clock() // 60), i, reason.status, reason.type, rows)


def settle(pairs):
    """Give each future its Reply or its Refusal."""
    for future, outcome in pairs:
        if isinstance(outcome, Refusal):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
