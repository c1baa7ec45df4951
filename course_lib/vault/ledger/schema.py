"""The tables of a ledger in SQLite, and how its file is opened: by its one writer, by readers, by one process."""

import sqlite3

from course_lib.vault.ledger.entry import LedgerError

VERSION = 1
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


def opened(path, max_pages=None):
    """The writer's connection to a ledger's file, whose tables are made where they are missing. Raises LedgerError."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")  # every COMMIT is on the disk before its answer leaves
        db.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
        if max_pages:
            db.execute(f"PRAGMA max_page_count={int(max_pages)}")
        if db.execute("PRAGMA user_version").fetchone()[0] > VERSION:
            raise LedgerError(
                f"{path} was written by a newer version of the course; update this one, or use a new folder"
            )
        db.executescript(SCHEMA + f"PRAGMA user_version={VERSION};")
        if "cohort_questions" not in [row[1] for row in db.execute("PRAGMA table_info(submissions)")]:  # an older vault
            db.execute("ALTER TABLE submissions ADD COLUMN cohort_questions INTEGER NOT NULL DEFAULT 0")
        return db
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be used as a ledger: {error}. Move it away, or name another folder") from None


def reader(path):
    """A read-only connection to a ledger's file, which never stands in the writer's way. Close it."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=10)
    db.row_factory = sqlite3.Row
    return db


def only_one(path):
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
