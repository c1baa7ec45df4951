"""PRADA's distances and its test, in bounded memory (Juuti et al., 2019, Protecting against DNN model stealing attacks).

Of each question: its distance to the nearest earlier question with the same answer. Honest users' distances look normal;
those of questions that are made from one another do not.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtri

GROWING = 128  # questions per answer that distances are taken to: the newest of the growing set ...
GROWING_LARGE = 32  # ... and so many where an input has more than 128 numbers
DISTANCES = 500  # the newest distances, which are tested for normality


class Group:
    """The rows of a request with one label, and what they are to each other."""

    def __init__(self, label, rows, points, halves, z):
        self.label, self.rows, self.points, self.halves, self.z = label, rows, points, halves, z
        among = halves[:, None] + halves - points @ points.T  # (m, m) half the squared distances
        among[_not_before(len(rows))] = np.inf  # row i, column j: only i before j
        self.among, self.least, self.whose = among, among.min(0), among.argmin(0).tolist()


class Growing:
    """PRADA's growing set of one answer: the questions that were far enough from all before them; the newest of them.

    Juuti et al., 2019, algorithm 3: a question farther than the threshold joins; the threshold is the largest value so far
    of mean minus standard deviation of the distances at which questions joined.
    """

    def __init__(self):
        self.points = self.halves = None  # (capacity, D), (capacity,) |point|^2 / 2; made by the first that joins
        self.held = self.place = 0  # how many there are, and where the next one goes
        self.room = GROWING
        self.old = []  # z (K,) of those that joined before a restart: all that is left; an array (n, K) once compared with
        self.count = 0  # questions that ever joined
        self.sum = self.squares = self.threshold = 0.0  # of the distances at which they joined

    def nearest(self, group):
        """Each row's distance to the nearest in the set before it (nan for the very first), then the set grows."""
        before = np.full(len(group.rows), np.inf)  # half the squared distance to what is in the set now
        if self.held:
            before = group.halves + (self.halves[: self.held, None] - self.points[: self.held] @ group.points.T).min(0)
        if len(self.old):
            before = np.minimum(before, cdist(group.z, self._old(), "sqeuclidean").min(1) / 2)
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
        if len(self.old):
            best = min(best, float(((self._old() - z) ** 2).sum(1).min()) / 2)
        distance, joined = self._take(best)
        if joined:
            self._join(point[None], half)
        return distance

    def replay(self, distance, z):
        """What the ledger kept of a row: its distance is known, its place only by z."""
        if self._take(math.inf if math.isnan(distance) else distance**2 / 2)[1]:
            self.old = [*self.old[1 - self.room :], z]

    def _old(self):
        if isinstance(self.old, list):  # made once, after a restart; from then on it is only cut
            self.old = np.array(self.old, np.float32)
        return self.old

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
        if len(self.old):
            self.old = self.old[max(0, len(self.old) + self.held - self.room) :]


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
