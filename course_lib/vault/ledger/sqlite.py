"""The ledger in one SQLite file: one record per request, one writer, and a verb for whatever else the vault keeps.

These verbs are what another ledger (PostgreSQL, for many classes) would have to offer; none of them takes SQL or a connection.
What a verb gives as a row answers to the names of its columns. A verb that writes raises Refusal (ledger-full) where nothing
was written; record, count_refusal, adopt_policy, begin_alarm, end_alarm and set_clock are written with the next COMMIT.
"""

import threading
from contextlib import closing
from pathlib import Path

from course_lib.vault.ledger import schema
from course_lib.vault.ledger.forget import forget
from course_lib.vault.ledger.writer import Writer

SETTABLE = ("revoked", "expires", "accepted_rules", "cohort")  # of a key, after it was made
SUBMISSION = (
    "at key model architecture agreement agreement_low agreement_high accuracy accuracy_low accuracy_high "
    "questions cents policy sha256 cohort_questions"
).split()
NEWEST = " UNION ALL ".join(
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
ASKED = """  -- rows that a model answered, to any key of a pseudonym; to any key of it or of its cohort
SELECT coalesce(sum(CASE WHEN k.pseudonym = :who THEN r.charged END), 0), coalesce(sum(r.charged), 0)
FROM requests r JOIN keys k ON k.id = r.key
WHERE (k.pseudonym = :who OR k.cohort = :cohort) AND r.model = :model AND r.status = 200
"""


class Ledger:
    """The ledger in folder/vault.db. record(entry) charges and appends; count_refusal counts what was refused: see Writer.

    max_pages: SQLite's max_page_count, of 4,096 bytes each. serving: no other process may serve the same folder.
    Raises LedgerError, in words, where the folder cannot be served.
    """

    def __init__(self, folder, serving=True, max_pages=None):
        self.path = Path(folder) / "vault.db"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = schema.only_one(self.path.with_name("serving.lock")) if serving else None
        try:
            db = schema.opened(self.path, max_pages)
            self.lookup, self.lookup_lock = self.reader(), threading.Lock()
        except BaseException:
            self._unlock()
            raise
        self.writer = Writer(db)
        self.record, self.count_refusal = (
            self.writer.record,
            self.writer.count_refusal,
        )  # a question passes: no step more

    def on_commit(self, told):
        """From now on told(entries) is called in the writer's thread, after each COMMIT or failure: see Entry.outcome."""
        self.writer.on_commit = told

    def close(self):
        """Write what was taken, then close."""
        self.writer.close()
        self.lookup.close()
        self._unlock()

    def checkpoint(self):
        """Empty the write-ahead log: all is in one file then, and what was forgotten is in none."""
        self.writer.checkpoint()

    def reader(self):
        """A read-only connection, for a person who asks in SQL (lesson 13, tables.py): the vault has verbs. Close it."""
        return schema.reader(self.path)

    # ---- requests ----

    def stored(self, key, request_id):
        """The row of an answered request, or None; also None for a revoked key."""
        with self.lookup_lock:
            return self.lookup.execute(
                "SELECT r.* FROM requests r JOIN keys k ON k.id = r.key WHERE r.key = ? AND r.request_id = ?"
                " AND r.status = 200 AND k.revoked IS NULL",
                (key, request_id),
            ).fetchone()

    def history(self):
        """The rows of every recorded request in order, without its answers: what counters, limits, monitor are rebuilt from."""
        with closing(self.reader()) as reader:
            yield from reader.execute(
                "SELECT id, at, key, cohort, model, rows, charged, status, request_id, features FROM requests ORDER BY id"
            )

    def totals(self):
        """What was answered and refused so far: [(key, requests, rows)], [(cohort, rows)], [(key, requests refused)]."""
        return (
            self._read("SELECT key, count(*), sum(charged) FROM requests WHERE status = 200 GROUP BY key"),
            self._read("SELECT cohort, sum(charged) FROM requests WHERE status = 200 GROUP BY cohort"),
            self._read("SELECT key, sum(requests) FROM refusals GROUP BY key"),
        )

    def asked(self, pseudonym, cohort, model):
        """Rows that this model answered: to all keys of the pseudonym, and to those and all others of the cohort."""
        (found,) = self._read(ASKED, {"who": pseudonym, "cohort": cohort, "model": model})
        return tuple(found)

    def newest(self):
        """The latest time that anything was written down at; -inf in a new ledger. When keys expire does not count."""
        ((newest,),) = self._read(f"SELECT max(t) FROM ({NEWEST})")
        return float("-inf") if newest is None else newest

    # ---- the vault itself ----

    def meta(self, first):
        """{name: value} of what the vault keeps of itself; `first`, such as {"class": "demo"}, where it has no such name yet."""

        def work(db):
            db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", list(first.items()))
            return dict(db.execute("SELECT name, value FROM meta"))

        return self.writer.change(work)

    def set_meta(self, name, value):
        """Keep another value under this name."""
        self._change("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def set_clock(self, now):
        """Remember this time, which no row has: when a class ended, or a server."""
        self.writer.note("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", now)

    def adopt_policy(self, version, at, text):
        """A policy came into force; the first time counts."""
        self.writer.note("INSERT OR IGNORE INTO policies VALUES (?, ?, ?)", version, at, text)

    def policies(self):
        """[(version, text)] of every policy that was ever in force."""
        return self._read("SELECT version, text FROM policies")

    # ---- keys ----

    def keys(self):
        """Every key by its number: [(hash, *the fields of keyring.Key in their order)]."""
        fields = "id, pseudonym, cohort, class, scope, budget, spent, created, expires, revoked, accepted_rules"
        return self._read(f"SELECT hash, {fields} FROM keys ORDER BY id")

    def new_key(self, hashed, pseudonym, cohort, class_name, scope, budget, created, expires, accepted_rules):
        """A key's number, once it is written."""
        columns = "hash, pseudonym, cohort, class, scope, budget, created, expires, accepted_rules"
        row = hashed, pseudonym, cohort, class_name, scope, budget, created, expires, accepted_rules
        return self._change(f"INSERT INTO keys ({columns}) VALUES (?,?,?,?,?,?,?,?,?)", *row)

    def set_key(self, key, what, value):
        """Change one thing of a key: revoked, expires, accepted_rules or cohort. key: its number."""
        assert what in SETTABLE, what
        self._change(f"UPDATE keys SET {what} = ? WHERE id = ?", value, key)

    def forget(self, pseudonym, now):
        """Nobody can tell any more whose rows these were: see forget.py. The numbers of the keys; none: nobody's name."""
        ids = self.writer.change(lambda db: forget(db, pseudonym, now))
        if ids:
            self.checkpoint()
        return ids

    # ---- alarms ----

    def alarms(self):
        """Every alarm, by when it ended: [the fields of watch.Alarm in their order]. Those that are on come first."""
        who = "CASE per WHEN 'key' THEN key ELSE cohort END"
        fields = "model, statistic, value, threshold, false_alarm_rate, action, rows, ended"
        return self._read(f"SELECT id, at, per, {who}, {fields} FROM alarms ORDER BY ended, id")

    def begin_alarm(self, alarm):
        """An Alarm is on."""
        key, cohort = (alarm.who, None) if alarm.per == "key" else (None, alarm.who)
        self.writer.note(
            "INSERT INTO alarms VALUES (?,?,?,?,?,?,?,?,?,?,?,?,NULL)",
            *(alarm.id, alarm.at, alarm.per, key, cohort, alarm.model, alarm.statistic, float(alarm.value)),
            *(float(alarm.threshold), alarm.false_alarm_rate, alarm.action, alarm.rows),
        )

    def end_alarm(self, alarm):
        """An Alarm has ended, at alarm.ended."""
        self.writer.note("UPDATE alarms SET ended = ? WHERE id = ?", alarm.ended, alarm.id)

    def pardon(self, subject, now):
        """A person has looked: what ("key", 3), or ("cohort", "green"), asked until now counts no more."""
        per, who = subject
        pardon = "INSERT INTO pardons SELECT ?, ?, ?, coalesce(max(id), 0) FROM requests"
        self._change(pardon, now, per, str(who))

    def pardons(self):
        """{subject: the last request before its last pardon}."""
        found = self._read("SELECT per, who, max(after) FROM pardons GROUP BY per, who")
        return {(per, int(who) if per == "key" else who): last for per, who, last in found}

    # ---- the board ----

    def submissions(self):
        """Every scored submission, the oldest first: [{name: value}], the names of SUBMISSION."""
        return [dict(row) for row in self._read(f"SELECT {', '.join(SUBMISSION)} FROM submissions ORDER BY id")]

    def add_submission(self, row):
        """Keep a scored submission: {name: value}, the names of SUBMISSION."""
        marks = ", ".join(f":{name}" for name in SUBMISSION)
        self.writer.change(
            lambda db: db.execute(f"INSERT INTO submissions ({', '.join(SUBMISSION)}) VALUES ({marks})", row) and None
        )

    def honest_costs(self):
        """{(a policy's version, model): (label_lost, confidence_lost)}, in the order in which they were measured."""
        found = self._read("SELECT policy, model, label_lost, confidence_lost FROM honest_cost ORDER BY rowid")
        return {(policy, model): tuple(lost) for policy, model, *lost in found}

    def add_honest_costs(self, costs):
        """Keep what was measured: as honest_costs() gives it."""
        rows = [(*which, *lost) for which, lost in costs.items()]
        self.writer.change(
            lambda db: db.executemany("INSERT OR IGNORE INTO honest_cost VALUES (?, ?, ?, ?)", rows) and None
        )

    def _read(self, question, values=()):
        with closing(self.reader()) as reader:
            return reader.execute(question, values).fetchall()

    def _change(self, statement, *values):
        return self.writer.change(lambda db: db.execute(statement, values).lastrowid)

    def _unlock(self):
        if self.lock:
            self.lock.close()
