"""What is unusual about a key's questions, or a cohort's: five numbers, in bounded memory and time per row.

    volume           rows in the last hour
    coverage         share of the input space's cells that were visited (after Kesarwani et al., 2018)
    prada_delta      Shapiro-Wilk's W of the distances to earlier questions with the same answer (Juuti et al., 2019)
    ood_share        share of the last 200 rows that look like no picture we know
    duplicate_share  share of the last 200 rows that nearly repeat an earlier one

A state is a function of the features of the rows that it has seen, which the ledger keeps; so it is rebuilt at the start.
"""

import hashlib
import math
import struct
from collections import deque
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

K = 32  # numbers per row that are kept: a random projection, whose distances are the inputs' own to about 1/sqrt(2K)
CELLS = 256
LAST = 200  # rows that the shares are of
ENOUGH = 100  # rows, or distances, below which nothing is judged (Juuti et al., 2019: more than 100)
GROWING = 128  # questions per answer that distances are taken to: the newest of PRADA's growing set
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
    """What the monitor keeps of a row, for one model. Fitted to reference pictures (N, D) of honest use."""

    def __init__(self, reference, seed):
        reference = np.asarray(reference, float).reshape(len(reference), -1)
        half = len(reference) // 2
        self.centre = reference[:half].mean(0)
        rng = np.random.default_rng(seed)
        projection = rng.normal(size=(reference.shape[1], K)) / np.sqrt(K)
        centred = reference[:half] - self.centre
        covariance = centred.T @ centred / half
        values, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(
            values.clip(0) + 0.05 * values.mean()
        )  # directions that never vary would count too much
        self.maps = np.ascontiguousarray(np.concatenate([projection, whitening], 1))  # (D, K + D)
        kept = (reference - self.centre) @ self.maps  # (N, K + D)
        self.far = np.quantile((kept[half:, K:] ** 2).sum(1), 0.99)  # 1 in 100 honest pictures looks like none we know
        picked = kept[rng.permutation(len(kept))[:CELLS], :K]
        self.cells, self.half = np.ascontiguousarray(picked.T), (picked**2).sum(1) / 2
        gaps = picked @ picked.T - self.half[:, None] - self.half
        np.fill_diagonal(gaps, -np.inf)
        self.near = 0.1 * float(np.median(np.sqrt(-2 * gaps.max(1))))  # a tenth of the gap between two pictures

    def features(self, x, labels):
        """x (B, D), the victim's labels (B,) -> Seen: all that is kept of these rows."""
        if len(x) == 1:
            kept = (x[0] - self.centre) @ self.maps
            z, white = kept[:K].astype(np.float32), kept[K:]
            cell = int((z @ self.cells - self.half).argmax())
            return Seen([int(labels[0])], [cell], [bool(white @ white > self.far)], z[None], [_digest(x[0])])
        kept = (x - self.centre) @ self.maps
        z, white = kept[:, :K].astype(np.float32), kept[:, K:]
        cells = (z @ self.cells - self.half).argmax(1).tolist()
        odd = (np.einsum("ij,ij->i", white, white) > self.far).tolist()
        return Seen(labels.tolist(), cells, odd, z, [_digest(row) for row in x])


class Seen:
    """What is kept of some rows: the victim's labels, cells, whether they look odd, z (B, K) float32, digests."""

    __slots__ = ("labels", "cells", "odd", "z", "digests", "points", "halves")
    RECORD = np.dtype([("digest", "<u8"), ("label", "<u2"), ("cell", "<u2"), ("odd", "?"), ("z", "<f4", K)])

    def __init__(self, labels, cells, odd, z, digests):
        self.labels, self.cells, self.odd, self.z, self.digests = labels, cells, odd, z, digests
        self.points = z.astype(float)
        p = self.points
        self.halves = [float(p[0] @ p[0]) / 2] if len(p) == 1 else np.einsum("ij,ij->i", p, p) / 2  # |point|^2 / 2

    def packed(self):
        """For the ledger: 141 bytes per row."""
        if len(self.labels) == 1:
            head = struct.pack("<QHH?", self.digests[0], self.labels[0], self.cells[0], self.odd[0])
            return head + self.z.tobytes()
        out = np.empty(len(self.labels), self.RECORD)
        out["digest"], out["label"], out["cell"], out["odd"] = self.digests, self.labels, self.cells, self.odd
        out["z"] = self.z
        return out.tobytes()

    @classmethod
    def unpacked(cls, blob):
        """What the ledger kept."""
        rows = np.frombuffer(blob, cls.RECORD)
        lists = (rows[name].tolist() for name in ("label", "cell", "odd"))
        return cls(*lists, rows["z"], rows["digest"].tolist())


class Watch:
    """The five numbers of one key, or one cohort, for one model."""

    def __init__(self, near):
        self.near, self.rows = near, 0
        self.minutes = deque()  # [minute, rows] of the last hour
        self.hour = 0
        self.visited, self.cells = bytearray(CELLS), 0
        self.odd, self.odd_sum = deque(maxlen=LAST), 0
        self.again, self.again_sum = deque(maxlen=LAST), 0
        self.sets = {}  # label: _Growing
        self.distances, self.taken = np.empty(DISTANCES), 0
        self.w = None

    def see(self, seen, now):
        """Take in rows, in order."""
        self.rows += len(seen.labels)
        self._hour(now, len(seen.labels))
        for odd, cell, distance in zip(seen.odd, seen.cells, self._distances(seen), strict=True):
            if not self.visited[cell]:
                self.visited[cell] = 1
                self.cells += 1
            self.odd_sum += odd - (self.odd[0] if len(self.odd) == LAST else 0)
            self.odd.append(odd)
            again = distance is not None and distance < self.near
            self.again_sum += again - (self.again[0] if len(self.again) == LAST else 0)
            self.again.append(again)
            if distance is not None:
                self.distances[self.taken % DISTANCES] = distance
                self.taken += 1
                if self.taken > ENOUGH and self.taken % EVERY == 1:
                    self.w = prada_w(self.distances[: min(self.taken, DISTANCES)])

    def _distances(self, seen):
        """Each row's distance to the nearest earlier question with its label; None for a label's first."""
        if len(seen.labels) == 1:
            return [self._set(seen.labels[0]).nearest_one(seen.points[0], seen.halves[0])]
        out = [None] * len(seen.labels)
        for label in dict.fromkeys(seen.labels):
            rows = [i for i, one in enumerate(seen.labels) if one == label]
            for i, distance in zip(rows, self._set(label).nearest(seen.points[rows], seen.halves[rows]), strict=True):
                out[i] = distance
        return out

    def numbers(self):
        """{statistic: its value now}; None where there is not yet enough to judge."""
        enough = len(self.odd) >= ENOUGH
        return {
            "volume": self.hour,
            "coverage": self.cells / CELLS,
            "prada_delta": self.w,
            "ood_share": self.odd_sum / len(self.odd) if enough else None,
            "duplicate_share": self.again_sum / len(self.again) if enough else None,
        }

    def unusual(self, settings, per="key", keys=1):
        """{statistic: (value, threshold)} of what is beyond the policy's [monitor] now. keys: how many a cohort has.

        A cohort is not judged by coverage: forty honest people together visit everything.
        """
        out = {}
        if settings.volume and self.hour > settings.volume * keys:
            out["volume"] = (self.hour, settings.volume * keys)
        if settings.coverage and per == "key":
            if self.cells > settings.coverage * CELLS:
                out["coverage"] = (self.cells / CELLS, settings.coverage)
        if settings.prada_delta and self.w is not None and self.w < settings.prada_delta:
            out["prada_delta"] = (self.w, settings.prada_delta)
        seen = len(self.odd)
        if seen >= ENOUGH:
            if settings.ood_share and self.odd_sum > settings.ood_share * seen:
                out["ood_share"] = (self.odd_sum / seen, settings.ood_share)
            if settings.duplicate_share and self.again_sum > settings.duplicate_share * seen:
                out["duplicate_share"] = (self.again_sum / seen, settings.duplicate_share)
        return out

    def pass_time(self, now):
        """No question, but time has passed: the last hour is another one."""
        self._hour(now, 0)

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


class _Growing:
    """PRADA's growing set of one answer: the questions that were far enough from all before them; the newest 128."""

    def __init__(self):
        self.points = np.empty((4, K))
        self.halves = np.empty(4)  # |point|^2 / 2
        self.held = 0  # of them
        self.count = 0  # questions that ever joined
        self.sum = self.squares = self.threshold = 0.0  # of the distances at which they joined

    def nearest(self, points, halves):
        """Each row's distance to the nearest in the set before it (None for the very first), then the set grows.

        points (m, K), halves (m,). Juuti et al., 2019, algorithm 3: a question farther than the threshold joins; the
        threshold is the largest value so far of mean minus standard deviation of the distances at which questions joined.
        """
        best = np.full(len(points), np.inf)  # half the squared distance
        if self.held:
            best = halves + (self.halves[: self.held, None] - self.points[: self.held] @ points.T).min(0)
        among = halves[:, None] + halves - points @ points.T
        out = []
        for i, point in enumerate(points):
            out.append(self._took(point, halves[i], best[i]))
            if self.newest is point:
                np.minimum(best, among[i], out=best)
        return out

    def nearest_one(self, point, half):
        """The same for one row (K,), faster."""
        best = math.inf
        if self.held:
            best = half + float((self.halves[: self.held] - self.points[: self.held] @ point).min())
        return self._took(point, half, best)

    def _took(self, point, half, best):
        """The distance; the question joins where that is beyond the threshold."""
        distance = math.sqrt(2 * best) if best > 0 else 0.0
        self.newest = None
        if self.count and distance <= self.threshold:
            return distance
        first, distance = not self.count, distance if self.count else 0.0
        if self.held == len(self.points) < GROWING:
            self.points = np.concatenate([self.points, np.empty_like(self.points)])
            self.halves = np.concatenate([self.halves, np.empty_like(self.halves)])
        place = self.count % GROWING
        self.points[place], self.halves[place], self.newest = point, half, point
        self.count += 1
        self.held = min(self.count, GROWING)
        self.sum += distance
        self.squares += distance * distance
        mean = self.sum / self.count
        self.threshold = max(self.threshold, mean - math.sqrt(max(self.squares / self.count - mean * mean, 0.0)))
        return None if first else distance


def prada_w(distances):
    """Shapiro-Wilk's W of the distances within three standard deviations of their mean (Juuti et al., 2019)."""
    mean, sd = distances.mean(), distances.std()
    kept = np.sort(distances[np.abs(distances - mean) < 3 * sd])
    return shapiro_w(kept) if len(kept) > 10 else 0.0  # all equal: as far from normal as can be


def shapiro_w(ordered):
    """Shapiro-Wilk's W of numbers (n,) in rising order, n > 5; scipy.stats.shapiro's, without its p-value, and faster."""
    centred = ordered - ordered.mean()
    total = centred @ centred
    return float((_weights(len(ordered)) @ ordered) ** 2 / total) if total > 0 else 0.0


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


def _digest(row):
    return int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little")
