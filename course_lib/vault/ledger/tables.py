"""The ledger as tables: for each a question in SQL, which a learner can read and change, and its answer as CSV."""

import csv
import sqlite3
from pathlib import Path

QUERIES = {
    "requests": """
-- Every request that was answered, or that was seen and then refused. Times are seconds since 1970.
SELECT r.id, r.at, k.pseudonym, r.cohort, r.model, r.rows, r.charged, r.status, r.policy, r.output, r.planted, r.spent
FROM requests r JOIN keys k ON k.id = r.key
ORDER BY r.id""",
    "rows_per_minute": """
-- How many rows were answered in each minute, by key. (The page draws rows per second, of all keys together.)
SELECT CAST(r.at / 60 AS INTEGER) * 60 AS minute, k.pseudonym, r.cohort, sum(r.charged) AS rows
FROM requests r JOIN keys k ON k.id = r.key
WHERE r.status = 200
GROUP BY minute, r.key, r.cohort
ORDER BY minute, k.pseudonym""",
    "keys": """
-- What each key asked and still may ask.
SELECT pseudonym, cohort, scope, budget, spent, created, expires, revoked, accepted_rules FROM keys ORDER BY id""",
    "cohorts": """
-- What keys that act together asked together.
SELECT cohort, count(DISTINCT key) AS keys, count(*) AS requests, sum(charged) AS rows
FROM requests
WHERE status = 200
GROUP BY cohort
ORDER BY rows DESC""",
    "policies": """
-- How many rows each policy answered: the frontier's points, before the copies are scored.
SELECT p.version, p.at, count(r.id) AS requests, coalesce(sum(r.charged), 0) AS rows, coalesce(sum(r.planted), 0) AS planted
FROM policies p LEFT JOIN requests r ON r.policy = p.version AND r.status = 200
GROUP BY p.version
ORDER BY p.at""",
    "leaderboard": """
-- The page's plot, agreement against questions: the best copy of each key and model, in whole points, as the page has it.
SELECT pseudonym, cohort, model, architecture, agreement, agreement_low, agreement_high, accuracy, accuracy_low, accuracy_high,
       questions, cohort_questions, cents, policy, tries
FROM (
    SELECT k.pseudonym, k.cohort, s.model, s.architecture,
           CAST(round(100 * s.agreement) AS INTEGER) AS agreement,
           CAST(round(100 * s.agreement_low) AS INTEGER) AS agreement_low,
           CAST(round(100 * s.agreement_high) AS INTEGER) AS agreement_high,
           CAST(round(100 * s.accuracy) AS INTEGER) AS accuracy,
           CAST(round(100 * s.accuracy_low) AS INTEGER) AS accuracy_low,
           CAST(round(100 * s.accuracy_high) AS INTEGER) AS accuracy_high,
           s.questions, s.cohort_questions, s.cents, s.policy, count(*) OVER (PARTITION BY s.key, s.model) AS tries,
           row_number() OVER (PARTITION BY s.key, s.model ORDER BY round(100 * s.agreement) DESC, s.questions, s.id) AS place
    FROM submissions s JOIN keys k ON k.id = s.key)
WHERE place = 1
ORDER BY model, agreement DESC, questions, pseudonym""",
    "honest_cost": """
-- What each policy costs honest users by what leaves: shares of pictures. Waiting and refusals are not counted.
SELECT policy, model, label_lost, confidence_lost FROM honest_cost ORDER BY rowid""",
    "refusals": """
-- What was refused, and why, by minute.
SELECT f.minute * 60 AS minute, coalesce(k.pseudonym, 'nobody we know') AS who, f.status, f.reason, f.requests, f.rows
FROM refusals f LEFT JOIN keys k ON k.id = f.key
ORDER BY f.minute, who""",
    "alarms": """
-- What was unusual. An alarm accuses nobody: false_alarm_rate says how often honest work looks so.
SELECT a.at, a.per, coalesce(k.pseudonym, a.cohort) AS who, a.model, a.statistic, a.value, a.threshold,
       a.false_alarm_rate, a.action, a.rows, a.ended
FROM alarms a LEFT JOIN keys k ON k.id = a.key
ORDER BY a.at""",
}


def ask(ledger, sql):
    """(names, rows) of a question to a ledger's file, which is only read: also while a server writes it."""
    db = sqlite3.connect(f"{Path(ledger).absolute().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        found = db.execute(sql)
        return [column[0] for column in found.description], found.fetchall()
    finally:
        db.close()


def export(ledger, folder):
    """Writes NAME.csv and NAME.sql for each of QUERIES; yields (path of the CSV, its rows)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sql in QUERIES.items():
        names, rows = ask(ledger, sql)
        (folder / f"{name}.sql").write_text(sql.strip() + ";\n", encoding="utf-8")
        path = folder / f"{name}.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([[harmless(cell) for cell in row] for row in rows])
        yield path, len(rows)


def harmless(cell):
    """A text that a spreadsheet would take for a formula is shown as text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
