"""The ledger's ONE writer: a thread that charges and appends, many requests to a COMMIT; what it did is told after it.

Only this folder hands it work: a question as an Entry, a rare change as a function of the connection, a note as SQL.
"""

import queue
import sqlite3
import threading
import time
import traceback
from functools import lru_cache
from operator import attrgetter

from course_lib.vault import refusal
from course_lib.vault.ledger.entry import Entry

GROUP = 512  # requests that share one COMMIT, at most
GATHER = 0.002  # seconds; one who asks alone never waits for it
CHUNK = 64  # of them, in one INSERT
COLUMNS = (
    "at key cohort model rows charged status policy output planted spent budget_left address request_id body features answers"
).split()
_VALUES = attrgetter(*COLUMNS)
_NOTHING, _OUTSIDE = object(), object()
_COUNT = (
    "INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " requests = requests + excluded.requests, rows = rows + excluded.rows"
)


class Writer:
    """Writes to a connection `db`, in its own thread. on_commit(entries): called there after each COMMIT or failure."""

    def __init__(self, db):
        self.db, self.on_commit = db, lambda entries: None
        self.queue, self.refusals, self.notes = queue.SimpleQueue(), {}, []
        self.later_lock = threading.Lock()
        self.thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self.thread.start()

    def record(self, entry):
        """Charge and append an Entry; told by on_commit."""
        self.queue.put(entry)

    def count_refusal(self, minute, key, status, reason, rows):
        """Count a refused request. It is written with the next group; key 0: nobody we know."""
        with self.later_lock:
            count = self.refusals.setdefault((minute, key, status, reason), [0, 0])
            count[0] += 1
            count[1] += rows

    def note(self, statement, *values):
        """Write this with the next group, in the order of the calls: an alarm, before the answer to its question."""
        with self.later_lock:
            self.notes.append((statement, values))

    def change(self, work, wait=60):
        """Run work(connection) in a transaction of its own, between groups; what it returns. Raises Refusal: ledger_full."""
        job = _Job(work)
        self.queue.put(job)
        if not job.done.wait(wait):
            raise refusal.ledger_full("the ledger did not answer in time")
        if job.error:
            raise job.error
        return job.value

    def checkpoint(self):
        """Move everything from the write-ahead log into the file, and empty the log."""
        self.change(_OUTSIDE)

    def close(self):
        """Write what was taken, then close the connection."""
        if self.thread.is_alive():
            self.queue.put(None)
            self.thread.join()
        self.db.close()

    def _write(self):
        job, busy = _NOTHING, False
        while job is not None:
            if job is _NOTHING:
                try:
                    job = self.queue.get(timeout=1)
                except queue.Empty:
                    if self.refusals or self.notes:
                        self._commit([])
                    continue
            if isinstance(job, Entry) and busy:
                time.sleep(GATHER)  # where several ask at once, more will have come, and share the COMMIT
            group = []
            while isinstance(job, Entry) and len(group) < GROUP:
                group.append(job)
                try:
                    job = self.queue.get_nowait()
                except queue.Empty:
                    job = _NOTHING
            busy = len(group) > 1
            if group:
                self._commit(group)
            if isinstance(job, _Job):
                self._run(job)
                job = _NOTHING
        self._commit([])

    def _commit(self, group):
        with self.later_lock:
            refusals, self.refusals = self.refusals, {}
            notes, self.notes = self.notes, []
        try:
            self.db.execute("BEGIN IMMEDIATE")
            self._charge(group)
            kept = [entry for entry in group if entry.outcome is None]
            for start in range(0, len(kept), CHUNK):
                chunk = kept[start : start + CHUNK]
                values = [value for entry in chunk for value in _VALUES(entry)]
                self.db.execute(_insert(len(chunk)), values)
            for statement, values in notes:
                self.db.execute(statement, values)
            if refusals:
                self.db.executemany(_COUNT, [(*what, *count) for what, count in refusals.items()])
            self.db.execute("COMMIT")
        except Exception as error:
            if not isinstance(error, sqlite3.Error):
                traceback.print_exc()  # a mistake of ours; the questions get their 503, and the writer goes on
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            self._put_back(refusals, notes)
            if isinstance(error, sqlite3.IntegrityError) and len(group) > 1:  # one of them; the others shall not suffer
                for entry in group:
                    entry.outcome = None
                    self._commit([entry])
                return
            for entry in group:
                entry.outcome = refusal.ledger_full(error)
        if group:
            try:
                self.on_commit(group)
            except Exception:
                traceback.print_exc()  # what was committed stays so; the writer goes on

    def _charge(self, group):
        """Charge each entry to its key and cohort, or give it its outcome. In the transaction of their rows."""
        ids, names = sorted({entry.key for entry in group}), sorted({entry.cohort for entry in group})
        if not ids:
            return
        marks = ",".join("?" * len(ids))
        keys = {i: [spent, revoked] for i, spent, revoked in self.db.execute(
            f"SELECT id, spent, revoked FROM keys WHERE id IN ({marks})", ids)}  # fmt: skip
        marks = ",".join("?" * len(names))
        cohorts = dict(self.db.execute(f"SELECT name, spent FROM cohorts WHERE name IN ({marks})", names))
        for entry in group:
            spent, revoked = keys.get(entry.key, (0, True))
            together = cohorts.get(entry.cohort, 0)
            entry.outcome = None
            if revoked is not None:
                entry.outcome = refusal.revoked()
            elif entry.budget is not None and spent + entry.charged > entry.budget:
                entry.outcome = refusal.budget_spent(spent, entry.budget, entry.rows)
            elif entry.cohort_budget is not None and together + entry.charged > entry.cohort_budget:
                entry.outcome = refusal.cohort_budget_spent(entry.cohort, together, entry.cohort_budget, entry.rows)
            else:
                keys[entry.key][0] = entry.spent = spent + entry.charged
                cohorts[entry.cohort] = together + entry.charged
                left = [
                    b - s
                    for b, s in ((entry.budget, entry.spent), (entry.cohort_budget, cohorts[entry.cohort]))
                    if b is not None
                ]
                entry.budget_left = min(left) if left else None
        charged = {entry.key for entry in group if entry.outcome is None}
        self.db.executemany("UPDATE keys SET spent = ? WHERE id = ?", [(keys[i][0], i) for i in charged])
        charged = {entry.cohort for entry in group if entry.outcome is None}
        self.db.executemany(
            "INSERT INTO cohorts (name, spent) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET spent = excluded.spent",
            [(name, cohorts[name]) for name in charged],
        )

    def _run(self, job):
        try:
            if job.work is _OUTSIDE:
                self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                self.db.execute("BEGIN IMMEDIATE")
                job.value = job.work(self.db)
                self.db.execute("COMMIT")
        except Exception as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            job.error = refusal.ledger_full(error) if isinstance(error, sqlite3.OperationalError) else error
        job.done.set()

    def _put_back(self, refusals, notes):
        with self.later_lock:
            self.notes = notes + self.notes
            for what, (requests, rows) in refusals.items():
                count = self.refusals.setdefault(what, [0, 0])
                count[0] += requests
                count[1] += rows


class _Job:
    def __init__(self, work):
        self.work, self.value, self.error, self.done = work, None, None, threading.Event()


@lru_cache(CHUNK)
def _insert(n):
    row = f"({','.join('?' * len(COLUMNS))})"
    return f"INSERT INTO requests ({','.join(COLUMNS)}) VALUES {','.join([row] * n)}"
