"""A token bucket by rows, and a clock that never goes back.

What Redis would have to offer in place of Buckets, for many processes: take (all buckets or none, in one step), left,
give_back, headers, and replay at the start.
"""

import math
import threading

TIDY = 10_000  # buckets; beyond that, full ones are forgotten: a new bucket is full, too


class Steady:
    """A clock for decisions: seconds that never decrease and never stand still, even where `clock` is set back."""

    def __init__(self, clock):
        self.clock, self.lost, self.last = clock, 0.0, clock()
        self.lock = threading.Lock()

    def not_before(self, seconds):
        """Go on from there at least: from where another process came to, before us."""
        with self.lock:
            self.last = max(self.last, seconds)

    def __call__(self):
        """Seconds, later than at any call before."""
        with self.lock:
            now = self.clock()
            if now + self.lost < self.last:  # set back: go on from where we were
                self.lost = self.last - now
            self.last = now + self.lost
            return self.last


class Limit:
    """At most `burst` rows at once and `per_minute` rows a minute for `who`, ("key", 3) say. per_minute 0: no limit."""

    __slots__ = ("who", "rate", "burst", "said")

    def __init__(self, who, per_minute, burst=0):
        self.who, self.rate, self.burst = who, per_minute / 60, burst or per_minute
        self.said = f'"{who[0]}";q={self.burst};w={math.ceil(self.burst / self.rate)}' if per_minute else ""


class Buckets:
    """Every bucket: [rows that may pass now, seconds when that was so, when it will be full].

    A bucket's rate and size are what each call says, so that a new policy acts at once.
    """

    def __init__(self):
        self.buckets = {}
        self.lock = threading.Lock()

    def take(self, limits, rows, now):
        """Take `rows` from every limit's bucket or from none: None, or (the limit in the way, seconds to wait).

        Seconds are infinite where the rows exceed the burst: no waiting would help.
        """
        with self.lock:
            full = [(bucket, limit) for limit in limits if limit.rate for bucket in [self._filled(limit, now)]]
            for bucket, limit in full:
                if rows > limit.burst:
                    return limit, float("inf")
                if rows > bucket[0] + 1e-9:
                    return limit, (rows - bucket[0]) / limit.rate
            for bucket, limit in full:
                bucket[0] -= rows
                bucket[2] = bucket[1] + (limit.burst - bucket[0]) / limit.rate
        return None

    def left(self, limit, now):
        """As the RateLimit header says it: rows that may pass now, seconds until the bucket is full again."""
        with self.lock:
            rows = self._filled(limit, now)[0]
        return f'"{limit.who[0]}";r={int(rows)};t={math.ceil((limit.burst - rows) / limit.rate)}'

    def headers(self, limits, now):
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10); quotas are in rows."""
        if not limits:
            return {}
        left = ", ".join([self.left(limit, now) for limit in limits])
        return {"RateLimit-Policy": ", ".join([limit.said for limit in limits]), "RateLimit": left}

    def give_back(self, limits, rows):
        """Undo a take, for a question that was not answered after all."""
        with self.lock:
            for limit in limits:
                if limit.rate and limit.who in self.buckets:
                    bucket = self.buckets[limit.who]
                    bucket[0] = min(limit.burst, bucket[0] + rows)

    def replay(self, limit, rows, at):
        """At the start: rows that passed at that time, before a restart, which must free nobody."""
        if limit.rate:
            with self.lock:
                bucket = self._filled(limit, at)
                bucket[0] = max(0.0, bucket[0] - rows)
                bucket[2] = bucket[1] + (limit.burst - bucket[0]) / limit.rate

    def _filled(self, limit, now):
        bucket = self.buckets.get(limit.who)
        if bucket is None:
            if len(self.buckets) >= TIDY:
                self.buckets = {who: bucket for who, bucket in self.buckets.items() if bucket[2] > now}
            bucket = self.buckets[limit.who] = [float(limit.burst), now, now]
        elif now > bucket[1]:
            bucket[0] += (now - bucket[1]) * limit.rate
            bucket[1] = now
        bucket[0] = min(bucket[0], limit.burst)  # a new policy may have made the bucket smaller
        return bucket
