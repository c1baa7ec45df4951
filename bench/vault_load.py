"""How many questions does the vault answer, with a whole class asking at once, and is each in its ledger?

    python bench/vault_load.py                 prints the table; about a minute
    python bench/vault_load.py --json FILE     also writes every figure
    python bench/vault_load.py --record        also writes the table into bench/README.md

A vault with the default policy, its monitor on, on a free port. Clients with connections that stay open ask copies of the
thief's pictures (course_lib/data/arena.py), each under a key of its own and every request under a name of its own; a client asks again
as soon as it is answered. Rows come as the course's client sends them (base64 of float64), and once more as lists of digits in JSON,
whose reading is most of the work then. The clients live in one process beside the server's, on the same two cores; the share of the
processors that they take is shown. At the end every answer that came is looked up in the ledger. A bar that is missed is
named, and the exit code is 1.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import harness
import psutil

from course_lib.data import arena
from course_lib.measure import record
from course_lib.vault import client
from course_lib.vault.local import LocalVault

CLIENTS, CROWD, BATCH = 40, 200, 256
CORES = 2
BARS = {
    "single_per_s": (True, 1500),
    "single_p99_ms": (False, 80),
    "batch_rows_per_s": (True, 20_000),
}  # (at least, what)
NONE = "lost", "doubled", "refused", "crowd_without_an_answer"


class Asker(asyncio.Protocol):
    """One connection and one key: asks, waits for the whole answer, notes how long that took, asks again."""

    def __init__(self, key, bodies, host, name):
        self.key, self.bodies, self.host, self.name = key, bodies, host, name
        self.seconds, self.acknowledged, self.refused = [], [], 0
        self.asked, self.pending, self.buffer, self.want = 0, None, bytearray(), None
        self.on, self.lost = False, None

    def connection_made(self, transport):
        """asyncio's call once the server has taken the connection."""
        self.transport = transport

    def connection_lost(self, exc):
        """asyncio's call at its end: whoever waits for `lost` goes on."""
        if self.lost and not self.lost.done():
            self.lost.set_result(None)

    def ask(self):
        """Send the next request."""
        self.pending = f"{self.name}-{self.asked}"
        body = self.bodies[self.asked % len(self.bodies)]
        self.asked += 1
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {self.pending}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.began = time.perf_counter()
        self.transport.write(head.encode() + body)

    def data_received(self, data):
        """asyncio's call with bytes of the answer; once it is whole, its seconds are noted and the next is asked."""
        self.buffer += data
        if self.want is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            self.status = int(head[9:12])
            length = head.index(b"content-length:") + 15
            self.want = end + 4 + int(head[length : length + 12].split(b"\r\n")[0])
        if len(self.buffer) < self.want:
            return
        self.buffer.clear()
        self.want = None
        if self.status == 200:
            self.seconds.append(time.perf_counter() - self.began)
            self.acknowledged.append(self.pending)
        else:
            self.refused += 1
        self.pending = None
        if self.on:
            self.ask()
        elif not self.lost.done():
            self.lost.set_result(None)


def bodies(rows, n, packed=False, model="digits-linear"):
    """n requests of `rows` pictures each, in full precision: as lists of numbers, or as the course's client packs them."""
    x = arena.copies(arena.shares().thief[0], rows * n, seed=1)[0].flatten(1).double().numpy()
    parts = [x[start : start + rows] for start in range(0, len(x), rows)]
    said = [client.packed(part) if packed else {"inputs": part.tolist()} for part in parts]
    return [json.dumps({"model": model, **one}).encode() for one in said]


async def burst(vault, name, clients, requests, seconds):
    """`clients` ask for so many seconds, and are answered to the end: (clients, seconds that it took)."""
    where, loop = urlsplit(vault.address), asyncio.get_running_loop()
    crowd, keys = [], list(vault.keys.values())
    for i in range(clients):
        turned = requests[i % len(requests) :] + requests[: i % len(requests)]
        asker = Asker(keys[i % len(keys)], turned, where.netloc, f"{name}-{i}")
        await loop.create_connection(lambda asker=asker: asker, where.hostname, where.port)
        asker.on, asker.lost = True, loop.create_future()
        crowd.append(asker)
    start = time.perf_counter()
    for asker in crowd:
        asker.ask()
    await asyncio.sleep(seconds)
    for asker in crowd:
        asker.on = False
    await asyncio.wait([asker.lost for asker in crowd], timeout=60)
    took = time.perf_counter() - start
    for asker in crowd:
        asker.transport.close()
    return crowd, took


def in_the_ledger(path, keys="client-%"):
    """What the ledger holds for the keys whose pseudonyms are like `keys`.

    names: of the requests that were answered; answers: how many there are; spent: what those keys were charged;
    wrong: keys whose account is not the sum of its rows.
    """
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = db.execute(
        "SELECT request_id FROM requests WHERE status = 200 AND key IN (SELECT id FROM keys WHERE pseudonym LIKE ?)",
        [keys],
    ).fetchall()
    (spent,) = db.execute("SELECT sum(spent) FROM keys WHERE pseudonym LIKE ?", [keys]).fetchone()
    (wrong,) = db.execute(
        "SELECT count(*) FROM keys k WHERE spent != (SELECT coalesce(sum(charged), 0) FROM requests WHERE key = k.id)"
    ).fetchone()
    db.close()
    return {"names": {name for (name,) in rows}, "answers": len(rows), "spent": spent, "wrong": wrong}


def doubled(found, requests, rows):
    """Answers, or charged rows, beyond what was asked: `requests` with `rows` in all, each under a name of its own."""
    return max(found["answers"] - requests, found["spent"] - rows, 0) + found["wrong"]


def percentile(values, share):
    """Of some seconds, the time within which this share (0.99, say) of the answers had come."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def figures_of(crowd, took, rows):
    """What a crowd saw in a burst that took so many seconds, with so many rows in a request, as a dict."""
    seconds = [s for asker in crowd for s in asker.seconds]
    return {
        "clients": len(crowd),
        "requests": len(seconds),
        "rows_per_s": len(seconds) * rows / took,
        "p50_ms": 1e3 * percentile(seconds, 0.5),
        "p99_ms": 1e3 * percentile(seconds, 0.99),
        "refused": sum(asker.refused for asker in crowd),
        "clients_without_an_answer": sum(not asker.acknowledged for asker in crowd),
    }


def measure(seconds=8.0):
    """Every figure, as a dict."""
    singles, lists, packed = bodies(1, 64), bodies(BATCH, 8), bodies(BATCH, 8, packed=True)
    parts, acknowledged, sent, asked_rows = {}, [], 0, 0
    with LocalVault(keys=[f"client-{i:02}" for i in range(CLIENTS)], class_name="bench") as vault:
        for name, clients, requests, rows in (
            ("warm", 4, singles, 1),
            ("single", CLIENTS, singles, 1),
            ("batch", CLIENTS, packed, BATCH),
            ("lists", CLIENTS, lists, BATCH),
            ("crowd", CROWD, singles, 1),
        ):
            before, server = os.times(), psutil.Process(vault.process.pid)
            busy = sum(server.cpu_times()[:2])
            crowd, took = asyncio.run(
                burst(vault, f"bench-{name}", clients, requests, 1.0 if name == "warm" else seconds)
            )
            used = os.times()
            parts[name] = figures_of(crowd, took, rows)
            parts[name]["servers_share"] = (sum(server.cpu_times()[:2]) - busy) / took / CORES
            parts[name]["generators_share"] = (used.user + used.system - before.user - before.system) / took / CORES
            acknowledged += [name for asker in crowd for name in asker.acknowledged]
            asked = sum(asker.asked for asker in crowd)
            sent, asked_rows = sent + asked, asked_rows + asked * rows
        monitor = vault.state()["policy"]["version"]
        found = in_the_ledger(vault.ledger)
    return {
        "single_per_s": parts["single"]["rows_per_s"],
        "single_p50_ms": parts["single"]["p50_ms"],
        "single_p99_ms": parts["single"]["p99_ms"],
        "batch_rows_per_s": parts["batch"]["rows_per_s"],
        "batch_p99_ms": parts["batch"]["p99_ms"],
        "batch_as_lists_rows_per_s": parts["lists"]["rows_per_s"],
        "crowd_clients": CROWD,
        "crowd_per_s": parts["crowd"]["rows_per_s"],
        "crowd_p99_ms": parts["crowd"]["p99_ms"],
        "crowd_without_an_answer": parts["crowd"]["clients_without_an_answer"],
        "acknowledged": len(acknowledged),
        "in_ledger": found["answers"],
        "lost": sum(name not in found["names"] for name in acknowledged),
        "doubled": doubled(found, sent, asked_rows),
        "refused": sum(part["refused"] for part in parts.values()),
        "policy": monitor,
        "parts": parts,
        "here": record.surroundings(),
    }


def missed(figures):
    """What the run falls short in, a phrase each; none where it passes."""
    shorts = [
        f"{name} is {figures[name]:,.1f}, wanted {'at least' if least else 'at most'} {bar:,}"
        for name, (least, bar) in BARS.items()
        if (figures[name] < bar if least else figures[name] > bar)
    ]
    return shorts + [f"{name} is {figures[name]}, wanted 0" for name in NONE if figures[name]]


def table(figures):
    """The figures as a table in Markdown, and what was sent in words."""
    rows = [
        "| clients | rows in a request | rows/s | p50 ms | p99 ms | server's share of the processors | generator's |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, size in (("single", 1), ("batch", BATCH), ("lists", BATCH), ("crowd", 1)):
        part = figures["parts"][name]
        shares = f"{part['servers_share']:.0%} | {part['generators_share']:.0%}"
        numbers = f"{part['rows_per_s']:,.0f} | {part['p50_ms']:.1f} | {part['p99_ms']:.1f} | {shares}"
        form = ", as lists" if name == "lists" else ""
        rows.append(f"| {part['clients']} | {size}{form} | {numbers} |")
    said = (
        f"{figures['acknowledged']:,} answers came; {figures['in_ledger']:,} are in the ledger: {figures['lost']} lost, "
        f"{figures['doubled']} doubled. {figures['refused']} requests were refused. Of {CROWD} clients at once, "
        f"{figures['crowd_without_an_answer']} got no answer."
    )
    bars = "; ".join(missed(figures)) or "all met"
    return "\n".join([*rows, "", said, "", f"The bars: {bars}."])


def main():
    """Measure on two processors, print the table; --json and --record keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each of the four bursts (8)")
    parser.add_argument("--json", help="a file for every figure")
    parser.add_argument("--record", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # generator and server on the same two cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    figures = measure(options.seconds)
    text = f"{record.words(figures['here'])}.\n\n{table(figures)}"
    print(text)
    if options.json:
        record.write(options.json, figures)
    if options.record:
        harness.record("vault_load", text, Path(__file__).with_name("README.md"))
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
