"""What is unusual about a key's questions, or a cohort's: five numbers, in bounded memory and time per row.

    volume           rows in the last hour
    coverage         share of the input space's cells that were visited (after Kesarwani et al., 2018)
    prada_delta      Shapiro-Wilk's W of the distances to earlier questions with the same answer (Juuti et al., 2019)
    ood_share        share of the last 200 rows that look like no picture we know
    duplicate_share  share of the last 200 rows that nearly repeat an earlier one

The ledger keeps no input, but what these numbers are made of (Seen). From that a watch is rebuilt at the start: all numbers
are as they were; only distances to questions from before the restart are estimates then, from a projection.
"""

import math
import struct
from collections import deque
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

K = 16  # numbers per row that are kept: a random projection, whose distances are the inputs' own to about 1/sqrt(2K)
CELLS = 256
LAST = 200  # rows that the shares are of
ENOUGH = 100  # rows, or distances, below which nothing is judged (Juuti et al., 2019: more than 100)
GROWING = 128  # questions per answer that distances are taken to: the newest of PRADA's growing set ...
GROWING_LARGE = 32  # ... and so many where an input has more than 128 numbers
DISTANCES = 500  # the newest distances, which are tested for normality
EVERY = 25  # distances from one such test to the next
HOUR = 3600

STATISTICS = ("volume", "coverage", "prada_delta", "ood_share", "duplicate_share")
NAMES = {
    "volume": "rows in the last hour",
    "coverage": "share of the input space visited",
    "prada_delta": "normality of the distances between questions (W)",
    "ood_share": "share of questions that look like no known picture",
    "duplicate_share": "share of questions that nearly repeat another",
}


class Eye:
    """What the monitor makes of a row, for one model. Fitted to reference pictures (N, D) of honest use."""

    def __init__(self, reference, seed):
        reference = np.asarray(reference, float).reshape(len(reference), -1)
        half = len(reference) // 2
        self.centre = reference[:half].mean(0)
        rng = np.random.default_rng(seed)
        projection = rng.normal(size=(reference.shape[1], K)) / np.sqrt(K)
        centred = reference - self.centre
        values, vectors = np.linalg.eigh(centred[:half].T @ centred[:half] / half)
        whitening = vectors / np.sqrt(values.clip(0) + 0.05 * values.mean())  # a direction that never varies has no say
        self.maps = np.concatenate([projection, whitening], 1).astype(np.float32)  # (D, K + D)
        mapped = centred.astype(np.float32) @ self.maps  # (N, K + D)
        self.far = float(np.quantile((mapped[half:, K:] ** 2).sum(1), 0.99))  # 1 in 100 honest pictures is beyond
        cells = rng.permutation(len(reference))[:CELLS]
        self.cells, self.halves = np.ascontiguousarray(mapped[cells, :K].T), (mapped[cells, :K] ** 2).sum(1) / 2
        self.multipliers = rng.integers(2**63, size=reference.shape[1], dtype=np.uint64) * 2 + 1
        gaps = ((centred[cells, None] - centred[cells]) ** 2).sum(2) ** 0.5
        np.fill_diagonal(gaps, np.inf)
        self.near = 0.1 * float(np.median(gaps.min(1)))  # a tenth of the gap between two pictures

    def features(self, x, labels):
        """x (B, D), the victim's labels (B,) -> Seen: all that the monitor needs of these rows."""
        points = x - self.centre
        if len(x) == 1:  # numpy is faster without the second axis
            mapped = points[0].astype(np.float32) @ self.maps
            z, white = mapped[:K], mapped[K:]
            cell, odd = int((z @ self.cells - self.halves).argmax()), bool(white @ white > self.far)
            halves = [float(points[0] @ points[0]) / 2]
            return Seen([int(labels[0])], [cell], [odd], z[None], self.digests(x), points, halves)
        mapped = points.astype(np.float32) @ self.maps
        z, white = mapped[:, :K], mapped[:, K:]
        cells = (z @ self.cells - self.halves).argmax(1).tolist()
        odd = (np.einsum("ij,ij->i", white, white) > self.far).tolist()
        halves = np.einsum("ij,ij->i", points, points) / 2
        return Seen(labels.tolist(), cells, odd, z, self.digests(x), points, halves)

    def digests(self, x):
        """64 bits per row, equal for equal rows: their bits times secret odd numbers, added up modulo 2**64."""
        return (x.view(np.uint64) * self.multipliers).sum(1).tolist()


class Seen:
    """Some rows: the victim's labels, cells, whether they look odd, z (B, K), digests; and distances, one list per subject.

    points (B, D) and halves (B,), |point|^2 / 2, are not kept; without them, what was seen is replayed from its distances.
    """

    __slots__ = ("labels", "cells", "odd", "z", "digests", "points", "halves", "distances", "grouped")
    HEAD = struct.Struct("<QHH?ff")
    RECORD = np.dtype(
        [
            ("digest", "<u8"),
            ("label", "<u2"),
            ("cell", "<u2"),
            ("odd", "?"),
            ("key", "<f4"),
            ("cohort", "<f4"),
            ("z", "<f4", K),
        ]
    )

    def __init__(self, labels, cells, odd, z, digests, points=None, halves=None):
        self.labels, self.cells, self.odd, self.z, self.digests = labels, cells, odd, z, digests
        self.points, self.halves, self.distances, self.grouped = points, halves, {}, None

    def groups(self):
        """The rows by label, in a label as they came: made once, for the key's watch and the cohort's."""
        if self.grouped is None:
            labels = np.array(self.labels)
            order = np.argsort(labels, kind="stable")
            parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
            self.grouped = [
                _Group(self.labels[rows[0]], rows, self.points[rows], self.halves[rows], self.z[rows]) for rows in parts
            ]
        return self.grouped

    def packed(self):
        """For the ledger: 85 bytes per row."""
        nothing = [math.nan] * len(self.labels)
        key, cohort = self.distances.get("key", nothing), self.distances.get("cohort", nothing)
        if len(self.labels) == 1:
            head = self.HEAD.pack(self.digests[0], self.labels[0], self.cells[0], self.odd[0], key[0], cohort[0])
            return head + self.z.tobytes()
        out = np.empty(len(self.labels), self.RECORD)
        out["digest"], out["label"], out["cell"], out["odd"] = self.digests, self.labels, self.cells, self.odd
        out["key"], out["cohort"], out["z"] = key, cohort, self.z
        return out.tobytes()

    @classmethod
    def unpacked(cls, blob):
        """What the ledger kept."""
        rows = np.frombuffer(blob, cls.RECORD)
        seen = cls(*(rows[name].tolist() for name in ("label", "cell", "odd")), rows["z"], rows["digest"].tolist())
        seen.distances = {per: rows[per].tolist() for per in ("key", "cohort")}
        return seen


class Watch:
    """The five numbers of one key ("key"), or of one cohort ("cohort"), for one model."""

    def __init__(self, near, per="key"):
        self.near, self.per, self.rows = near, per, 0
        self.minutes = deque()  # [minute, rows] of the last hour
        self.hour = 0
        self.visited = set()
        self.odd, self.again = _Share(), _Share()
        self.sets = {}  # label: _Growing
        self.distances, self.taken = np.empty(DISTANCES), 0
        self.w = None

    def see(self, seen, now):
        """Take in rows, in order; seen.distances gets each row's distance, nan for a label's first."""
        self.rows += len(seen.labels)
        self._hour(now, len(seen.labels))
        if seen.points is None:
            nearest = seen.distances[self.per]
            for label, distance, z in zip(seen.labels, nearest, seen.z, strict=True):
                self._set(label).replay(distance, z)
        else:
            nearest = seen.distances[self.per] = self._nearest(seen)
        self.visited.update(seen.cells)
        self.odd.add(seen.odd)
        self.again.add([distance < self.near for distance in nearest])  # nan is not
        self._test([distance for distance in nearest if distance == distance])

    def _test(self, distances):
        """Take in distances, and test the newest 500 whenever another 25 have come."""
        taken = self.taken + len(distances)
        last = taken - (taken - 1) % EVERY  # the newest test is after so many distances
        if last > max(ENOUGH, self.taken):
            self._keep(distances[: last - self.taken])
            self.w = prada_w(self.distances[: min(last, DISTANCES)])
            distances = distances[len(distances) - (taken - last) :]
        self._keep(distances)

    def _keep(self, distances):
        if len(distances) == 1:
            self.distances[self.taken % DISTANCES] = distances[0]
            self.taken += 1
            return
        self.taken += len(distances)
        newest = distances[-DISTANCES:]
        self.distances[np.arange(self.taken - len(newest), self.taken) % DISTANCES] = newest

    def pass_time(self, now):
        """No question, but time has passed: the last hour is another one."""
        self._hour(now, 0)

    def numbers(self):
        """{statistic: its value now}; None where there is not yet enough to judge."""
        return {
            "volume": self.hour,
            "coverage": len(self.visited) / CELLS,
            "prada_delta": self.w,
            "ood_share": self.odd.share(),
            "duplicate_share": self.again.share(),
        }

    def unusual(self, settings, keys=1):
        """{statistic: (value, threshold)} of what is beyond the policy's [monitor] now. keys: how many a cohort has.

        A cohort is not judged by coverage: forty honest people together visit everything.
        """
        out = {}
        if settings.volume and self.hour > settings.volume * keys:
            out["volume"] = (self.hour, settings.volume * keys)
        if settings.coverage and self.per == "key" and len(self.visited) > settings.coverage * CELLS:
            out["coverage"] = (len(self.visited) / CELLS, settings.coverage)
        if settings.prada_delta and self.w is not None and self.w < settings.prada_delta:
            out["prada_delta"] = (self.w, settings.prada_delta)
        if settings.ood_share and (share := self.odd.share()) is not None and share > settings.ood_share:
            out["ood_share"] = (share, settings.ood_share)
        if settings.duplicate_share and (share := self.again.share()) is not None and share > settings.duplicate_share:
            out["duplicate_share"] = (share, settings.duplicate_share)
        return out

    def _nearest(self, seen):
        """Each row's distance to the nearest earlier question with its label."""
        if len(seen.labels) == 1:
            return [self._set(seen.labels[0]).nearest_one(seen.points[0], seen.halves[0], seen.z[0])]
        out = np.empty(len(seen.labels))
        for group in seen.groups():
            out[group.rows] = self._set(group.label).nearest(group)
        return out.tolist()

    def _set(self, label):
        if label not in self.sets:
            self.sets[label] = _Growing()
        return self.sets[label]

    def _hour(self, now, rows):
        minute = int(now // 60)
        if self.minutes and self.minutes[-1][0] >= minute:
            self.minutes[-1][1] += rows
        else:
            self.minutes.append([minute, rows])
        self.hour += rows
        while self.minutes[0][0] <= self.minutes[-1][0] - HOUR // 60:
            self.hour -= self.minutes.popleft()[1]


class _Group:
    """The rows of a request with one label, and what they are to each other."""

    def __init__(self, label, rows, points, halves, z):
        self.label, self.rows, self.points, self.halves, self.z = label, rows, points, halves, z
        among = halves[:, None] + halves - points @ points.T  # (m, m) half the squared distances
        among[_not_before(len(rows))] = np.inf  # row i, column j: only i before j
        self.among, self.least, self.whose = among, among.min(0), among.argmin(0).tolist()


class _Growing:
    """PRADA's growing set of one answer: the questions that were far enough from all before them; the newest of them.

    Juuti et al., 2019, algorithm 3: a question farther than the threshold joins; the threshold is the largest value so far
    of mean minus standard deviation of the distances at which questions joined.
    """

    def __init__(self):
        self.points = self.halves = None  # (capacity, D), (capacity,) |point|^2 / 2; made by the first that joins
        self.held = self.place = 0  # how many there are, and where the next one goes
        self.room = GROWING
        self.old = []  # z (K,) of those that joined before a restart: all that is left of them
        self.count = 0  # questions that ever joined
        self.sum = self.squares = self.threshold = 0.0  # of the distances at which they joined

    def nearest(self, group):
        """Each row's distance to the nearest in the set before it (nan for the very first), then the set grows."""
        before = np.full(len(group.rows), np.inf)  # half the squared distance to what is in the set now
        if self.held:
            before = group.halves + (self.halves[: self.held, None] - self.points[: self.held] @ group.points.T).min(0)
        if self.old:
            before = np.minimum(before, [self._to_old(row) for row in group.z])
        best, within = np.minimum(before, group.least).tolist(), (group.least < before).tolist()
        out, joined, left_out = [], [], set()
        for i, half in enumerate(best):
            if within[i] and group.whose[i] in left_out:  # its nearest in the group did not join: look again
                half = min(float(before[i]), float(group.among[joined, i].min())) if joined else float(before[i])
            distance, joins = self._take(half)
            out.append(distance)
            joined.append(i) if joins else left_out.add(i)
        if joined:
            self._join(group.points[joined], group.halves[joined])
        return out

    def nearest_one(self, point, half, z):
        """The same for one row (D,), faster."""
        best = math.inf
        if self.held:
            best = half + float((self.halves[: self.held] - self.points[: self.held] @ point).min())
        if self.old:
            best = min(best, self._to_old(z))
        distance, joined = self._take(best)
        if joined:
            self._join(point[None], half)
        return distance

    def replay(self, distance, z):
        """What the ledger kept of a row: its distance is known, its place only by z."""
        if self._take(math.inf if math.isnan(distance) else distance**2 / 2)[1]:
            self.old.append(z)
            del self.old[: -self.room]

    def _to_old(self, z):
        return float(((np.array(self.old) - z) ** 2).sum(1).min()) / 2

    def _take(self, best):
        """(the distance, whether the question joins) for half a squared distance."""
        distance = math.sqrt(2 * best) if best > 0 else 0.0
        first = not self.count
        if not first and distance <= self.threshold:
            return distance, False
        self.count += 1
        if not first:
            self.sum += distance
            self.squares += distance * distance
            mean = self.sum / self.count
            self.threshold = max(self.threshold, mean - math.sqrt(max(self.squares / self.count - mean * mean, 0.0)))
        return (math.nan if first else distance), True

    def _join(self, points, halves):
        """Points (m, D) take the places of the oldest."""
        if self.points is None:
            self.room = GROWING if points.shape[1] <= 128 else GROWING_LARGE
            self.points, self.halves = np.empty((4, points.shape[1])), np.empty(4)
        points, halves = points[-self.room :], halves[-self.room :] if len(points) > 1 else halves
        while self.held + len(points) > len(self.points) and len(self.points) < self.room:
            self.points = np.concatenate([self.points, np.empty_like(self.points)])
            self.halves = np.concatenate([self.halves, np.empty_like(self.halves)])
        one = slice(self.place, self.place + 1)
        places = one if len(points) == 1 else np.arange(self.place, self.place + len(points)) % self.room
        self.points[places], self.halves[places] = points, halves
        self.place = (self.place + len(points)) % self.room
        self.held = min(self.held + len(points), self.room)
        if self.old:
            del self.old[: max(0, len(self.old) + self.held - self.room)]


class _Share:
    """The share of the last 200 rows of which something is true."""

    def __init__(self):
        self.flags, self.true = deque(maxlen=LAST), 0

    def add(self, flags):
        if len(flags) == 1:
            self.true += flags[0] - (self.flags[0] if len(self.flags) == LAST else 0)
            self.flags.append(flags[0])
        else:
            self.flags.extend(flags)
            self.true = sum(self.flags)

    def share(self):
        """None where there is not yet enough to judge."""
        return self.true / len(self.flags) if len(self.flags) >= ENOUGH else None


def prada_w(distances):
    """Shapiro-Wilk's W of the distances within three standard deviations of their mean (Juuti et al., 2019)."""
    mean, sd = distances.mean(), distances.std()
    kept = np.sort(distances[np.abs(distances - mean) < 3 * sd])
    return shapiro_w(kept) if len(kept) > 10 else 0.0


def shapiro_w(ordered):
    """Shapiro-Wilk's W of numbers (n,) in rising order, n > 5; scipy.stats.shapiro's, without its p-value, and faster."""
    if ordered[-1] - ordered[0] <= 1e-9 * abs(ordered[-1]):
        return 0.0  # all equal: as far from normal as can be
    centred = ordered - ordered.mean()
    return float((_weights(len(ordered)) @ ordered) ** 2 / (centred @ centred))


@lru_cache(DISTANCES)
def _weights(n):
    """Royston, 1995 (Applied Statistics algorithm R94): the weights a (n,) of Shapiro-Wilk's test."""
    m = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    total, u = m @ m, n**-0.5
    last = np.polyval([-2.706056, 4.434685, -2.071190, -0.147981, 0.221157, m[-1] / total**0.5], u)
    second = np.polyval([-3.582633, 5.682633, -1.752461, -0.293762, 0.042981, m[-2] / total**0.5], u)
    a = m / ((total - 2 * m[-1] ** 2 - 2 * m[-2] ** 2) / (1 - 2 * last**2 - 2 * second**2)) ** 0.5
    a[-1], a[-2], a[0], a[1] = last, second, -last, -second
    return a


@lru_cache(256)
def _not_before(m):
    return np.tril_indices(m)
