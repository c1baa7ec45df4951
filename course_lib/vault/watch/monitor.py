"""What is unusual about a key's questions, or a cohort's: the five numbers of statistics.py, in bounded memory and time per row.

The ledger keeps no input, but what these numbers are made of (Seen). From that a watch is rebuilt at the start: all numbers
are as they were; only distances to questions from before the restart are estimates then, from a projection.
"""

import math
import struct
from collections import deque

import numpy as np
from scipy.spatial.distance import cdist

from course_lib.vault.watch.prada import DISTANCES, Group, Growing, prada_w

K = 16  # numbers per row that are kept: a random projection, whose distances are the inputs' own to about 1/sqrt(2K)
CELLS = 256
LAST = 200  # rows that the shares are of
ENOUGH = 100  # rows, or distances, below which nothing is judged (Juuti et al., 2019: more than 100)
EVERY = 25  # distances from one such test to the next
HOUR = 3600


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
        gaps = cdist(reference[cells], reference[cells])
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
        [("digest", "<u8"), ("label", "<u2"), ("cell", "<u2"), ("odd", "?")]
        + [("key", "<f4"), ("cohort", "<f4"), ("z", "<f4", K)]
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
                Group(self.labels[rows[0]], rows, self.points[rows], self.halves[rows], self.z[rows]) for rows in parts
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
        self.askers = {}  # key: the minute in which it asked last
        self.hour = 0
        self.visited = set()
        self.odd, self.again = _Share(), _Share()
        self.sets = {}  # label: Growing
        self.distances, self.taken = np.empty(DISTANCES), 0
        self.w = None

    def see(self, seen, now, key=None):
        """Take in rows that a key asked, in order; seen.distances gets each row's distance, nan for a label's first."""
        self.rows += len(seen.labels)
        self._hour(now, len(seen.labels))
        self.askers[key] = self.minutes[-1][0]
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

    def keys(self):
        """How many keys asked in the last hour; one, where none did."""
        first = self.minutes[0][0]
        self.askers = {key: minute for key, minute in self.askers.items() if minute >= first}
        return max(1, len(self.askers))

    def numbers(self):
        """{statistic: its value now}; None where there is not yet enough to judge."""
        return {
            "volume": self.hour,
            "coverage": len(self.visited) / CELLS,
            "prada_delta": self.w,
            "ood_share": self.odd.share(),
            "duplicate_share": self.again.share(),
        }

    def unusual(self, settings):
        """{statistic: (value, threshold)} of what is beyond the policy's [monitor] now.

        A cohort's threshold of volume is a key's times the keys that asked in the last hour. It is not judged by coverage:
        forty honest people together visit everything.
        """
        out = {}
        if settings.volume and self.hour > settings.volume:
            most = settings.volume * (self.keys() if self.per == "cohort" else 1)
            if self.hour > most:
                out["volume"] = (self.hour, most)
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
            self.sets[label] = Growing()
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
