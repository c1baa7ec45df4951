"""What the page shows, counted in memory as the ledger has it: per key, per cohort, in all, and the last two minutes."""

import threading
from collections import Counter, deque

SECONDS = 120  # that the page draws
RECENT = 10  # seconds that a key's rate is the mean of


class Books:
    """Counts of answered requests and rows, and of refused requests."""

    def __init__(self, ledger):
        self.rows, self.requests, self.refused = Counter(), Counter(), Counter()  # by key's id
        self.cohort_rows, self.lock = Counter(), threading.Lock()
        self.seconds = deque(maxlen=SECONDS)  # [second, {key: rows}, {cohort: rows}]
        keys, cohorts, refused = ledger.totals()
        for key, requests, rows in keys:
            self.requests[key], self.rows[key] = requests, rows
        self.cohort_rows.update(dict(cohorts))
        self.refused.update(dict(refused))

    def refuse(self, key):
        """A request was refused; by several threads, unlike answers, which the ledger's one writer counts."""
        with self.lock:
            self.refused[key] += 1

    def answered(self, key, cohort, rows, now):
        """An answer was committed."""
        self.rows[key] += rows
        self.requests[key] += 1
        self.cohort_rows[cohort] += rows
        second = int(now)
        if not self.seconds or self.seconds[-1][0] < second:
            self.seconds.append([second, Counter(), Counter()])
        self.seconds[-1][1][key] += rows
        self.seconds[-1][2][cohort] += rows

    def chart(self, now):
        """Rows answered in each of the last 120 whole seconds, oldest first."""
        out, end = [0] * SECONDS, int(now)
        for second, by_key, _ in list(self.seconds):
            if 0 < end - second <= SECONDS:
                out[SECONDS - (end - second)] = sum(list(by_key.values()))
        return out

    def rates(self, now):
        """({key: rows per second}, {cohort: rows per second}), means of the last 10 whole seconds."""
        keys, cohorts, end = Counter(), Counter(), int(now)
        for second, by_key, by_cohort in list(self.seconds):
            if 0 < end - second <= RECENT:
                keys.update(dict(by_key))
                cohorts.update(dict(by_cohort))
        return {k: v / RECENT for k, v in keys.items()}, {k: v / RECENT for k, v in cohorts.items()}
