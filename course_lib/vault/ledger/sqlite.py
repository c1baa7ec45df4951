"""The ledger: SQLite, one record per request, ONE writer thread, group commit; an outcome is told after its COMMIT.

What PostgreSQL would have to offer in its place, for many classes: record (charge and append in one transaction),
stored (the reply to a request that is repeated), change (keys and other rare writes), count_refusal and note (what may be
written a little later), history (what the monitor is rebuilt from), reader (for pages and reports), forget, close.
"""

import queue
import sqlite3
import threading
import time
import traceback
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

from course_lib.vault.ledger.entry import Entry, Full, LedgerError, Refused

GROUP = 512  # requests that share one COMMIT, at most
GATHER = 0.002  # seconds; one who asks alone never waits for it
CHUNK = 64  # of them, in one INSERT

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS keys (
    id INTEGER PRIMARY KEY, hash BLOB UNIQUE NOT NULL, pseudonym TEXT NOT NULL, cohort TEXT NOT NULL, class TEXT NOT NULL,
    scope TEXT NOT NULL, budget INTEGER, spent INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, expires REAL,
    revoked REAL, accepted_rules REAL);
CREATE TABLE IF NOT EXISTS cohorts (name TEXT PRIMARY KEY, spent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS requests (  -- status 200: answered and charged; another: seen by the monitor, then refused
    id INTEGER PRIMARY KEY, at REAL NOT NULL, key INTEGER NOT NULL, cohort TEXT NOT NULL, model TEXT NOT NULL,
    rows INTEGER NOT NULL, charged INTEGER NOT NULL, status INTEGER NOT NULL, policy TEXT NOT NULL, output TEXT NOT NULL,
    planted INTEGER NOT NULL, spent INTEGER, budget_left INTEGER, address TEXT, request_id TEXT, body BLOB,
    features BLOB, answers BLOB, UNIQUE (key, request_id));
CREATE TABLE IF NOT EXISTS refusals (  -- one row per minute, key and reason, so that a flood stays small
    minute INTEGER, key INTEGER, status INTEGER, reason TEXT, requests INTEGER, rows INTEGER,
    PRIMARY KEY (minute, key, status, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, per TEXT NOT NULL, key INTEGER, cohort TEXT, model TEXT NOT NULL,
    statistic TEXT NOT NULL, value REAL NOT NULL, threshold REAL NOT NULL, false_alarm_rate REAL, action TEXT NOT NULL,
    rows INTEGER NOT NULL, ended REAL);
CREATE TABLE IF NOT EXISTS pardons (at REAL NOT NULL, per TEXT NOT NULL, who TEXT NOT NULL, after INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS policies (version TEXT PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, key INTEGER NOT NULL, model TEXT NOT NULL, architecture TEXT NOT NULL,
    agreement REAL NOT NULL, agreement_low REAL NOT NULL, agreement_high REAL NOT NULL,
    accuracy REAL NOT NULL, accuracy_low REAL NOT NULL, accuracy_high REAL NOT NULL,
    questions INTEGER NOT NULL, cents REAL NOT NULL, policy TEXT NOT NULL, sha256 TEXT NOT NULL,
    cohort_questions INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS honest_cost (  -- shares of the judge's pictures, by the policy in force
    policy TEXT NOT NULL, model TEXT NOT NULL, label_lost REAL NOT NULL, confidence_lost REAL NOT NULL,
    PRIMARY KEY (policy, model));
"""
VERSION = 1
COLUMNS = (
    "at key cohort model rows charged status policy output planted spent budget_left address request_id body features answers"
).split()


class Ledger:
    """The ledger in folder/vault.db. on_commit(entries) is called in the writer's thread, after each COMMIT or failure.

    Each entry's outcome is then None (it is in the ledger, with spent and budget_left) or a Full or Refused.
    max_pages: SQLite's max_page_count, of 4,096 bytes each. serving: no other process may serve the same folder.
    """

    def __init__(self, folder, on_commit=lambda entries: None, serving=True, max_pages=None):
        self.path, self.on_commit = Path(folder) / "vault.db", on_commit
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = _only_one(self.path.with_name("serving.lock")) if serving else None
        self.queue, self.refusals, self.notes = queue.SimpleQueue(), {}, []
        self.later_lock = threading.Lock()
        try:
            self.db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10
            )
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")  # every COMMIT is on the disk before its answer leaves
            self.db.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
            if max_pages:
                self.db.execute(f"PRAGMA max_page_count={int(max_pages)}")
            version = self.db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise LedgerError(
                    f"{self.path} was written by a newer version of the course; update this one, or use a new folder"
                )
            self.db.executescript(SCHEMA + f"PRAGMA user_version={VERSION};")
            self.lookup, self.lookup_lock = self.reader(), threading.Lock()
        except sqlite3.Error as error:
            self._unlock()
            raise LedgerError(
                f"{self.path} cannot be used as a ledger: {error}. Move it away, or name another folder"
            ) from None
        except BaseException:
            self._unlock()
            raise
        self.writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self.writer.start()

    def record(self, entry):
        """Charge and append; told by on_commit."""
        self.queue.put(entry)

    def change(self, work, wait=60):
        """Run work(connection) in a transaction of its own, between groups, and give what it returns. Raises Full."""
        job = _Job(work)
        self.queue.put(job)
        if not job.done.wait(wait):
            raise Full("the ledger did not answer in time")
        if job.error:
            raise job.error
        return job.value

    def stored(self, key, request_id):
        """The entry of an answered request as a row, or None; also None for a revoked key."""
        with self.lookup_lock:
            return self.lookup.execute(
                "SELECT r.* FROM requests r JOIN keys k ON k.id = r.key WHERE r.key = ? AND r.request_id = ?"
                " AND r.status = 200 AND k.revoked IS NULL",
                (key, request_id),
            ).fetchone()

    def count_refusal(self, minute, key, status, reason, rows):
        """Count a refused request. It is written with the next group; key 0: nobody we know."""
        with self.later_lock:
            count = self.refusals.setdefault((minute, key, status, reason), [0, 0])
            count[0] += 1
            count[1] += rows

    def note(self, statement, values):
        """Write this with the next group, in the order of the calls: an alarm, before the answer to its question."""
        with self.later_lock:
            self.notes.append((statement, values))

    def history(self):
        """Every recorded request in order, without its answers: what counters, limits and monitor are rebuilt from."""
        reader = self.reader()
        yield from reader.execute(
            "SELECT id, at, key, cohort, model, rows, charged, status, request_id, features FROM requests ORDER BY id"
        )
        reader.close()

    def newest(self):
        """The latest time that anything was written down at; -inf in a new ledger. When keys expire does not count."""
        reader = self.reader()
        newest = reader.execute(_NEWEST).fetchone()[0]
        reader.close()
        return float("-inf") if newest is None else newest

    def reader(self):
        """A read-only connection, which never stands in the writer's way. Close it."""
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=10)
        db.row_factory = sqlite3.Row
        return db

    def forget(self, pseudonym, now):
        """Nobody can tell any more whose rows these were: keys are revoked and renamed; ids, addresses, answers go.

        A cohort that stands for a network (door.cohort_of) goes like an address. Gives the ids of the keys.
        """

        def work(db):
            ids = [row[0] for row in db.execute("SELECT id FROM keys WHERE pseudonym = ?", (pseudonym,))]
            for i in ids:
                db.execute(
                    "UPDATE keys SET pseudonym = 'forgotten-' || id, hash = randomblob(32), revoked = coalesce(revoked, ?)"
                    " WHERE id = ?",
                    (now, i),
                )
                db.execute(
                    "UPDATE requests SET address = NULL, request_id = NULL, body = NULL, features = NULL, answers = NULL"
                    " WHERE key = ?",
                    (i,),
                )
                alone = (
                    "SELECT cohort FROM requests WHERE key = ? AND cohort GLOB 'network *'"
                    " EXCEPT SELECT cohort FROM requests WHERE key <> ?"
                )
                db.execute(
                    f"UPDATE alarms SET cohort = 'forgotten', ended = coalesce(ended, ?) WHERE cohort IN ({alone})",
                    (now, i, i),
                )
                db.execute("UPDATE requests SET cohort = 'forgotten' WHERE key = ? AND cohort GLOB 'network *'", (i,))
            return ids

        ids = self.change(work)
        if ids:
            self.checkpoint()
        return ids

    def set_clock(self, now):
        """Remember this time, which no row has, with the next group: when a class ended, or a server."""
        self.note("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (now,))

    def checkpoint(self):
        """Move everything from the write-ahead log into the file, and empty the log."""
        self.change(_OUTSIDE)

    def close(self):
        """Write what was taken, then close."""
        if self.writer.is_alive():
            self.queue.put(None)
            self.writer.join()
        self.lookup.close()
        self.db.close()
        self._unlock()

    def _unlock(self):
        if self.lock:
            self.lock.close()

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
                entry.outcome = Full(str(error))
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
                entry.outcome = Refused("revoked", spent)
            elif entry.budget is not None and spent + entry.charged > entry.budget:
                entry.outcome = Refused("budget", spent)
            elif entry.cohort_budget is not None and together + entry.charged > entry.cohort_budget:
                entry.outcome = Refused("cohort budget", together)
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
            job.error = Full(str(error)) if isinstance(error, sqlite3.OperationalError) else error
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


_NOTHING, _OUTSIDE = object(), object()
_NEWEST = " UNION ALL ".join(
    f"SELECT max({time}) AS t FROM {table}"
    for table, time in (
        ("requests", "at"),
        ("refusals", "minute * 60"),
        ("alarms", "at"),
        ("pardons", "at"),
        ("policies", "at"),
        ("keys", "created"),
        ("keys", "revoked"),
        ("keys", "accepted_rules"),
        ("meta WHERE name = 'clock'", "value"),
    )
)
_NEWEST = f"SELECT max(t) FROM ({_NEWEST})"
_COUNT = (
    "INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " requests = requests + excluded.requests, rows = rows + excluded.rows"
)


_VALUES = attrgetter(*COLUMNS)


@lru_cache(CHUNK)
def _insert(n):
    row = f"({','.join('?' * len(COLUMNS))})"
    return f"INSERT INTO requests ({','.join(COLUMNS)}) VALUES {','.join([row] * n)}"


def _only_one(path):
    """Hold the lock of a folder until closed; the system lets go of it when the process ends, however it ends."""
    lock = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        raise LedgerError(
            f"another process serves {path.parent}: one process serves a class. Stop that one, or name another folder"
        ) from None
    return lock
