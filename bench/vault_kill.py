"""Is an answer that has left the vault in its ledger, whatever ends the vault?

    python bench/vault_kill.py                 kills it 20 times, prints the table; about two minutes
    python bench/vault_kill.py --times 3       fewer
    python bench/vault_kill.py --json FILE     also writes every figure
    python bench/vault_kill.py --record        also writes the table into bench/README.md

Forty clients ask as fast as they are answered; at a moment drawn by chance the server's process is killed (kill -9), in
mid-burst. It starts again on the same folder. Every request without an answer is sent once more under its name, and so are each
client's first and last answered one: what was answered has to come back the same, and uncharged. At the end every answer that
came is looked up in the ledger, every key's account is added up, and SQLite checks the file. This is about a process that
dies; for a power cut one has to believe SQLite's synchronous=FULL, and the disk.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import harness
import vault_load

from course_lib.measure import record
from course_lib.vault.local import LocalVault

CLIENTS = 40


class Asker(vault_load.Asker):
    """Keeps each answer, so that a second one can be held against it; a broken line ends it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.answers, self.sent = {}, []

    def ask(self):
        """Send the next request, and remember its name and body."""
        super().ask()
        self.sent.append((self.pending, self.bodies[(self.asked - 1) % len(self.bodies)]))

    def data_received(self, data):
        """As of any client; an answer that came whole is kept under its request's name."""
        name, before = self.pending, len(self.acknowledged)
        whole = bytes(self.buffer) + data
        super().data_received(data)
        if len(self.acknowledged) > before:
            self.answers[name] = json.loads(whole[whole.find(b"\r\n\r\n") + 4 :])


async def burst_and_kill(vault, name, seconds):
    """Forty clients ask; after so many seconds the server's process is killed: the clients, as they were left."""
    where, loop = urlsplit(vault.address), asyncio.get_running_loop()
    requests, keys, crowd = vault_load.bodies(1, 16), list(vault.keys.values()), []
    for i in range(CLIENTS):
        asker = Asker(keys[i % len(keys)], requests, where.netloc, f"{name}-{i}")
        await loop.create_connection(lambda asker=asker: asker, where.hostname, where.port)
        asker.on, asker.lost = True, loop.create_future()
        crowd.append(asker)
    for asker in crowd:
        asker.ask()
    await asyncio.sleep(seconds)
    vault.process.kill()
    await asyncio.wait([asker.lost for asker in crowd], timeout=30)
    return crowd


def ask_again(vault, crowd):
    """Every request once more, under its name: (answers that came changed, answers that were not stored ones)."""
    import http.client

    changed, anew, where = 0, 0, urlsplit(vault.address)
    line = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    for asker in crowd:
        answered = [name for name, _ in asker.sent if name in asker.answers]
        for name, body in asker.sent:
            if name in asker.answers and name not in (answered[0], answered[-1]):
                continue  # of each client's answers the first and the last; the ledger is asked about all of them
            headers = {
                "Authorization": f"Bearer {asker.key}",
                "Content-Type": "application/json",
                "Idempotency-Key": name,
            }
            line.request("POST", "/v1/predict", body, headers)
            reply = line.getresponse()
            said = json.loads(reply.read())
            if name in asker.answers:
                changed += said != asker.answers[name]
            else:
                anew += reply.headers["idempotent-replayed"] is None
                assert reply.status == 200, said
                asker.acknowledged.append(name)
    line.close()
    return changed, anew


def kill_once(folder, number, draw):
    """One burst, one kill, one start on the same folder: the figures of this time."""
    keys = {f"round {number} client {i}": {} for i in range(CLIENTS)}
    with contextlib.closing(LocalVault(keys=keys, class_name="bench", folder=folder)) as vault:
        crowd = asyncio.run(burst_and_kill(vault, f"bench-{number}", draw.uniform(0.2, 1.0)))
    before = sum(len(asker.acknowledged) for asker in crowd)
    ours = f"round {number} client %"
    found = vault_load.in_the_ledger(folder / "vault.db", ours)["names"]
    lost = sum(name not in found for asker in crowd for name in asker.acknowledged)
    with contextlib.closing(LocalVault(keys=[], class_name="bench", folder=folder)) as vault:
        changed, anew = ask_again(vault, crowd)
    names = {name for asker in crowd for name, _ in asker.sent}
    found = vault_load.in_the_ledger(folder / "vault.db", ours)
    return {
        "acknowledged": before,
        "lost": lost + len(names - found["names"]),
        "doubled": vault_load.doubled(found, len(names), len(names)),  # one row each
        "unanswered_at_the_kill": len(names) - before,
        "answered_anew": anew,
        "changed": changed,
        "in_ledger": found["answers"],
        "asked": len(names),
    }


def measure(times, seed):
    """Every figure, as a dict."""
    draw, rounds, start = random.Random(seed), [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vault-kill-", ignore_cleanup_errors=True) as folder:
        for number in range(times):
            rounds.append(kill_once(Path(folder), number, draw))
            print(f"\rkilled {number + 1} of {times} times", end="", flush=True, file=sys.stderr)
        print(file=sys.stderr)
        db = sqlite3.connect(Path(folder) / "vault.db")
        integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
        db.close()
    total = {name: sum(one[name] for one in rounds) for name in rounds[0]}
    return {
        "times": times,
        **total,
        "integrity": integrity,
        "seed": seed,
        "seconds": time.monotonic() - start,
        "rounds": rounds,
    }


def table(figures):
    """The figures as a table in Markdown."""
    names = {
        "times": "kills, each in mid-burst of 40 clients",
        "acknowledged": "answers that had come before",
        "lost": "of them missing in the ledger",
        "unanswered_at_the_kill": "requests without an answer at the kill",
        "answered_anew": "of them not in the ledger, and answered when sent again",
        "doubled": "charged twice, or accounts that do not add up",
        "changed": "answers that came back changed",
        "integrity": "SQLite's integrity_check",
    }
    lines = ["| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {words} | {figures[name]} |" for name, words in names.items())])


def main():
    """Kill and count, print the table; --json and --record keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="how often it is killed (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--json", help="a file for every figure")
    parser.add_argument("--record", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    figures = measure(options.times, options.seed)
    here = record.surroundings()
    text = f"{record.words(here)}.\n\n{table(figures)}"
    print(text)
    if options.json:
        record.write(options.json, figures | {"here": here})
    if options.record:
        harness.record("vault_kill", text, Path(__file__).with_name("README.md"))
    bad = figures["lost"] or figures["doubled"] or figures["changed"] or figures["integrity"] != "ok"
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
