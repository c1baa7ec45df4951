"""The ledger: charged and written together or not at all; told after COMMIT; nothing lost by kill -9."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from course_lib.vault.keyring import Key
from course_lib.vault.ledger import Entry, Ledger, LedgerError, sqlite
from course_lib.vault.refusal import Refusal
from course_lib.vault.watch import Alarm
from tests.waiting import HANG

ROOT = Path(__file__).resolve().parents[3]


def entry(key=1, rows=1, request_id=None, cohort="green", **settings):
    settings = {"answers": b"a" * 80 * rows, "charged": rows, "output": "probabilities", **settings}
    return Entry(0.0, key, cohort, "toy", rows, "policy00", "", b"body", request_id=request_id, **settings)


class Book:
    """A ledger that remembers what it told, and with which numbers of entries it told at once."""

    def __init__(self, folder, keys=2, **settings):
        self.told, self.groups, self.enough = [], [], threading.Event()
        self.ledger = Ledger(folder, **settings)
        self.ledger.on_commit(self.tell)
        add = "INSERT OR IGNORE INTO keys (id, hash, pseudonym, cohort, class, scope, created) VALUES (?, ?, 'p', 'green', 'c', 's', 0)"
        self.ledger.writer.change(lambda db: db.executemany(add, [(i + 1, bytes([i])) for i in range(keys)]) and None)

    def tell(self, entries):
        self.groups.append(len(entries))
        self.told += entries

    def record(self, *entries):
        for one in entries:
            self.ledger.record(one)
        self.ledger.writer.change(lambda db: None)  # after them
        return [one.outcome for one in entries]

    def sql(self, query):
        reader = self.ledger.reader()
        try:
            return [tuple(row) for row in reader.execute(query)]
        finally:
            reader.close()


@pytest.fixture
def book(tmp_path):
    books = []

    def make(**settings):
        books.append(Book(tmp_path, **settings))
        return books[-1]

    yield make
    for one in books:
        one.ledger.close()


def test_it_is_durable_as_sqlite_says_it(book):
    b = book()
    assert b.ledger.writer.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert b.ledger.writer.db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_what_was_told_can_be_read_by_others(book):
    """In on_commit itself, a connection of another reader finds the row: it is told after COMMIT."""
    b, found = book(), []
    b.ledger.on_commit(lambda entries: found.append(b.sql("SELECT count(*) FROM requests")))
    b.record(entry(), entry())
    assert found[-1] == [(2,)] and found[0][0][0] >= 1


def test_charges_and_rows_agree(book):
    b = book()
    assert b.record(entry(rows=3), entry(rows=4), entry(key=2, rows=5)) == [None] * 3
    assert b.sql("SELECT id, spent FROM keys") == [(1, 7), (2, 5)]
    assert b.sql("SELECT * FROM cohorts") == [("green", 12)]
    assert [(one.spent, one.budget_left) for one in b.told] == [(3, None), (7, None), (5, None)]


def test_a_budget_is_kept_within_one_group_too(book):
    b = book()
    entries = [entry(rows=4, budget=10) for _ in range(5)]
    outcomes = b.record(*entries)
    assert [one and one.type for one in outcomes] == [None, None, *["budget-spent"] * 3]
    assert b.record(entry(rows=2, budget=10)) == [None]
    assert b.sql("SELECT spent FROM keys WHERE id = 1") == [(10,)] and b.sql("SELECT count(*) FROM requests") == [(3,)]


def test_a_cohort_s_budget_is_kept_and_its_refusal_charges_no_key(book):
    b = book()
    outcomes = b.record(entry(rows=4, cohort_budget=6), entry(key=2, rows=4, cohort_budget=6))
    assert outcomes[0] is None and outcomes[1].type == "cohort-budget-spent"
    assert b.sql("SELECT spent FROM keys") == [(4,), (0,)] and b.sql("SELECT spent FROM cohorts") == [(4,)]


def test_a_key_that_another_process_revoked_gets_nothing(book):
    b = book()
    db = sqlite3.connect(b.ledger.path)
    db.execute("UPDATE keys SET revoked = 1 WHERE id = 1")
    db.commit()
    db.close()
    (outcome,) = b.record(entry())
    assert outcome.type == "key-revoked"


def test_a_group_is_one_commit(book):
    b = book()
    gate, gone = threading.Event(), []
    held = threading.Thread(target=lambda: b.ledger.writer.change(lambda db: gone.append(gate.wait(HANG))))
    held.start()
    for _ in range(700):
        b.ledger.record(entry())
    gate.set()
    held.join()
    b.record()
    assert sum(b.groups) == 700 and max(b.groups) == 512


def test_the_same_request_id_is_never_charged_twice_and_the_others_do_not_suffer(book):
    b = book()
    outcomes = b.record(
        entry(request_id="one"), entry(request_id="two"), entry(request_id="one"), entry(request_id="three")
    )
    assert [one and one.type for one in outcomes] == [None, None, "ledger-full", None]
    assert b.sql("SELECT spent FROM keys WHERE id = 1") == [(3,)]
    assert b.ledger.stored(1, "one")["rows"] == 1 and b.ledger.stored(2, "one") is None


def test_a_full_ledger_takes_nothing_of_a_group_and_recovers(book):
    b = book(max_pages=40)
    outcomes = [b.record(entry(rows=50))[0] for _ in range(60)]
    written = outcomes.count(None)
    assert 0 < written < 60 and "disk is full" in outcomes[-1].detail
    with pytest.raises(Refusal, match="the ledger cannot be written"):
        b.ledger.set_meta("x", bytes(100_000))
    b.ledger.writer.change(lambda db: db.execute("PRAGMA max_page_count = 4000") and None)
    assert b.record(entry(rows=50)) == [None]
    assert b.sql("SELECT spent FROM keys WHERE id = 1") == [(50 * (written + 1),)]
    assert b.sql("SELECT count(*) FROM requests") == [(written + 1,)] and b.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_a_full_ledger(tmp_path):
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("this system mounts nothing")
    try:
        b, big = Book(tmp_path), tmp_path / "big"
        big.write_bytes(b"x" * 1_200_000)
        outcomes = [b.record(entry(rows=50))[0] for _ in range(200)]
        assert outcomes[-1].type == "ledger-full" and None in outcomes
        big.unlink()
        assert b.record(entry(rows=50)) == [None]
        assert b.sql("SELECT spent FROM keys WHERE id = 1") == [(50 * (outcomes.count(None) + 1),)]
        assert b.sql("PRAGMA integrity_check") == [("ok",)]
        b.ledger.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_the_writer_outlives_whoever_it_tells(book, capsys):
    b = book()
    b.ledger.on_commit(lambda entries: 1 / 0)
    b.record(entry())
    b.ledger.on_commit(b.tell)
    assert b.record(entry()) == [None] and b.sql("SELECT count(*) FROM requests") == [(2,)]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_sqlite_cannot_hold_stops_nobody_else(book):
    b = book()
    assert b.record(entry(planted=2**70))[0].type == "ledger-full"
    assert b.record(entry()) == [None]


def test_refusals_are_counted_per_minute_and_reason_and_survive(book, tmp_path):
    b = book()
    for minute, rows in ((5, 1), (5, 3), (6, 1)):
        b.ledger.count_refusal(minute, 1, 429, "too-fast", rows)
    b.ledger.close()
    again = book()
    assert again.sql("SELECT * FROM refusals") == [(5, 1, 429, "too-fast", 2, 4), (6, 1, 429, "too-fast", 1, 1)]


def test_what_could_not_be_noted_is_noted_later(book):
    b = book(max_pages=40)
    while b.record(entry(rows=50))[0] is None:
        pass
    b.ledger.count_refusal(1, 1, 503, "ledger-full", 1)
    b.ledger.writer.note("INSERT INTO meta VALUES (?, ?)", "note", 1)
    b.record(entry(rows=50))
    b.ledger.writer.change(lambda db: db.execute("PRAGMA max_page_count = 4000") and None)
    b.record(entry())
    assert b.sql("SELECT requests FROM refusals") == [(1,)] and b.sql("SELECT value FROM meta") == [(1,)]


def test_a_change_that_fails_changes_nothing(book):
    b = book()

    def work(db):
        db.execute("UPDATE keys SET pseudonym = 'x'")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        b.ledger.writer.change(work)
    assert b.sql("SELECT DISTINCT pseudonym FROM keys") == [("p",)]


def test_what_one_verb_keeps_another_gives_back_after_a_restart_too(book):
    b, alarm = book(), Alarm(1, 5.0, "cohort", "green", "toy", "volume", 9.0, 8.0, None, "log", 9)
    b.record(entry(rows=3), entry(key=2, rows=4, cohort="blue"))
    shares = dict.fromkeys(sqlite.SUBMISSION, 0.5)
    submission = shares | {
        "key": 1,
        "questions": 3,
        "model": "toy",
        "architecture": "linear",
        "policy": "p",
        "sha256": "s",
    }
    assert b.ledger.meta({"class": "first"})["class"] == "first"
    b.ledger.set_meta("ends", 7.0)
    b.ledger.adopt_policy("p", 1.0, "text"), b.ledger.adopt_policy("p", 2.0, "another")
    b.ledger.begin_alarm(alarm)
    alarm.ended = 6.0
    b.ledger.end_alarm(alarm)
    b.ledger.pardon(("key", 1), 6.5), b.ledger.pardon(("cohort", "green"), 6.5)
    b.ledger.add_submission(submission)
    b.ledger.add_honest_costs({("p", "toy"): (0.1, 0.2)}), b.ledger.add_honest_costs({("p", "toy"): (0.9, 0.9)})
    number = b.ledger.new_key(b"h", "bo", "blue", "first", "predict", 10, 1.0, None, None)
    b.ledger.set_key(number, "cohort", "green")
    b.ledger.count_refusal(1, 2, 429, "too-fast", 5)
    b.ledger.close()
    ledger = book().ledger
    assert ledger.meta({"class": "second"}) == {"class": "first", "ends": 7.0}
    assert [tuple(row) for row in ledger.policies()] == [("p", "text")]
    assert [Alarm(*row) for row in ledger.alarms()] == [alarm]
    assert ledger.pardons() == {("key", 1): 2, ("cohort", "green"): 2}
    assert ledger.submissions() == [submission] and ledger.honest_costs() == {("p", "toy"): (0.1, 0.2)}
    assert [Key(*row[1:]) for row in ledger.keys()][-1] == Key(
        number, "bo", "green", "first", "predict", 10, 0, 1.0, None, None, None
    )
    assert [[tuple(row) for row in rows] for rows in ledger.totals()] == [
        [(1, 1, 3), (2, 1, 4)],
        [("blue", 4), ("green", 3)],
        [(2, 1)],
    ]
    assert ledger.asked("p", "blue", "toy") == (7, 7) and ledger.asked("bo", "none", "toy") == (0, 0)
    assert ledger.newest() == 60.0  # the minute of the refusal
    assert [row["rows"] for row in ledger.history()] == [3, 4]


def test_only_what_may_change_of_a_key_is_changed(book):
    with pytest.raises(AssertionError, match="spent"):
        book().ledger.set_key(1, "spent", 0)


def test_a_reader_cannot_write(book):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        book().ledger.reader().execute("DELETE FROM keys")


def test_a_file_that_is_no_ledger_is_named(tmp_path):
    (tmp_path / "vault.db").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(LedgerError, match="vault.db cannot be used as a ledger"):
        Ledger(tmp_path)


def test_a_ledger_of_a_newer_version_is_left_alone(book, tmp_path):
    book().ledger.writer.change(lambda db: db.execute("PRAGMA user_version = 99") and None)
    with pytest.raises(LedgerError, match="newer version"):
        Ledger(tmp_path, serving=False)


def test_only_one_process_serves_a_folder_and_the_next_may_when_it_ends(tmp_path):
    first = Ledger(tmp_path)
    with pytest.raises(LedgerError, match="another process serves"):
        Ledger(tmp_path)
    first.close()
    Ledger(tmp_path).close()


CHILD = """
import sys, threading
from tests.vault.ledger.test_sqlite import Book, entry
def tell(entries):
    assert all(one.outcome is None for one in entries)
    sys.stdout.write("".join(one.request_id + "\\n" for one in entries)); sys.stdout.flush()
book = Book(sys.argv[1], keys=4)
book.ledger.on_commit(tell)
def client(key):
    n = 0
    while True:
        for _ in range(20):
            book.ledger.record(entry(key=key, rows=3, request_id=f"{sys.argv[2]}-{key}-{n}"))
            n += 1
        book.ledger.writer.change(lambda db: None)
for key in (1, 2, 3, 4):
    threading.Thread(target=client, args=(key,)).start()
"""


def test_kill_9_in_mid_burst_loses_nothing_that_was_told(tmp_path):
    acknowledged = []
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(life)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(400):
            acknowledged.append(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += child.stdout.readlines()
        child.wait()
    acknowledged = [line.strip() for line in acknowledged if line.endswith("\n")]  # the last line may be cut
    assert len(acknowledged) >= 1200 and all(re.fullmatch(r"\d-\d-\d+", one) for one in acknowledged)
    ledger = Ledger(tmp_path)  # the lock of the killed process is free
    reader = ledger.reader()
    held = [row[0] for row in reader.execute("SELECT request_id FROM requests")]
    assert set(acknowledged) <= set(held) and len(set(held)) == len(held)
    wrong = reader.execute(
        "SELECT k.id FROM keys k JOIN (SELECT key, sum(charged) AS rows FROM requests GROUP BY key) r ON r.key = k.id"
        " WHERE k.spent != r.rows"
    ).fetchall()
    assert not wrong and reader.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert reader.execute("SELECT spent FROM cohorts").fetchone()[0] == 3 * len(held)
    reader.close()
    ledger.close()
