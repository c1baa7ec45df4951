"""The token bucket against its law: in any stretch of t seconds at most burst + rate * t rows; and exact in threads."""

import math
import random
import threading

import pytest

from course_lib.vault.limits import Buckets, Limit, Steady

KEY = Limit(("key", 1), per_minute=60, burst=10)


def test_a_burst_passes_and_one_row_more_does_not():
    limits = Buckets()
    assert limits.take([KEY], 10, now=0) is None
    assert limits.take([KEY], 1, now=0) == (KEY, 1.0)  # one row a second


def test_rows_come_back_with_time_up_to_the_burst():
    limits = Buckets()
    limits.take([KEY], 10, now=0)
    assert limits.take([KEY], 3, now=3) is None
    assert limits.take([KEY], 10, now=1000) is None and limits.take([KEY], 1, now=1000)


def test_what_waits_as_long_as_was_said_passes():
    limits = Buckets()
    limits.take([KEY], 7, now=0)
    _, seconds = limits.take([KEY], 10, now=0.25)
    assert limits.take([KEY], 10, now=0.25 + seconds - 0.01) and limits.take([KEY], 10, now=0.25 + seconds) is None


def test_more_than_the_burst_never_passes():
    assert Buckets().take([KEY], 11, now=0) == (KEY, math.inf)


def test_in_any_stretch_of_time_no_more_passes_than_the_burst_and_the_rate_allow():
    limits, rng, now, passed = Buckets(), random.Random(0), 0.0, []
    for _ in range(3000):
        now += rng.expovariate(2)
        rows = rng.randint(1, 5)
        if limits.take([KEY], rows, now) is None:
            passed.append((now, rows))
    for i, (start, _) in enumerate(passed):
        total = 0
        for end, rows in passed[i:]:
            total += rows
            assert total <= 10 + (end - start) + 1e-6
            if end - start > 60:
                break


def test_all_limits_or_none_are_charged():
    limits, cohort = Buckets(), Limit(("cohort", "green"), 60, 5)
    assert limits.take([KEY, cohort], 6, now=0)[0] is cohort
    assert limits.left(KEY, 0) == '"key";r=10;t=0'
    assert limits.take([KEY, cohort], 5, now=0) is None
    assert limits.left(KEY, 0) == '"key";r=5;t=5'


def test_what_is_given_back_may_be_taken_again_but_no_more():
    limits = Buckets()
    limits.take([KEY], 10, now=0)
    limits.give_back([KEY], 4)
    assert limits.take([KEY], 4, now=0) is None and limits.take([KEY], 1, now=0)
    limits.give_back([KEY], 400)
    assert limits.take([KEY], 10, now=0) is None and limits.take([KEY], 1, now=0)


def test_no_rate_is_no_limit():
    assert Buckets().take([Limit(("key", 1), 0)], 10**9, now=0) is None


def test_a_burst_that_is_not_said_is_a_minute_s_worth():
    assert Limit(("key", 1), 30).burst == 30


def test_keys_have_buckets_of_their_own():
    limits = Buckets()
    limits.take([KEY], 10, now=0)
    assert limits.take([Limit(("key", 2), 60, 10)], 10, now=0) is None


def test_a_smaller_burst_acts_at_once():
    limits = Buckets()
    limits.take([KEY], 1, now=0)
    assert limits.take([Limit(("key", 1), 60, 3)], 3, now=0) is None
    assert limits.take([Limit(("key", 1), 60, 3)], 1, now=0)


def test_a_hundred_threads_get_exactly_the_burst():
    limits, got = Buckets(), []
    big = Limit(("key", 1), 60, 500)
    threads = [
        threading.Thread(target=lambda: [got.append(limits.take([big], 1, now=0) is None) for _ in range(20)])
        for _ in range(100)
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sum(got) == 500 and len(got) == 2000


def test_forgotten_buckets_are_the_full_ones(monkeypatch):
    monkeypatch.setattr("course_lib.vault.limits.TIDY", 100)
    limits = Buckets()
    limits.take([KEY], 10, now=0)  # full again at 10
    for i in range(99):
        limits.take([Limit(("key", 100 + i), 6000, 100)], 1, now=0)  # full again at 0.01
    limits.take([Limit(("key", 999), 60, 10)], 1, now=1)
    assert len(limits.buckets) == 2 and limits.take([KEY], 2, now=1) == (KEY, 1.0)


def test_rows_from_before_a_restart_are_still_taken():
    limits = Buckets()
    limits.replay(KEY, 8, at=0)
    assert limits.take([KEY], 3, now=0) and limits.take([KEY], 3, now=1) is None


class Wall:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_steady_clock_never_goes_back_and_never_stands_still():
    wall = Wall()
    steady = Steady(wall)
    assert steady() == 100
    wall.now = 40.0  # set back by a minute
    assert steady() == 100
    wall.now = 45.0
    assert steady() == pytest.approx(105)
    wall.now = 500.0  # set right again, and forward
    assert steady() == pytest.approx(560)


def test_a_steady_clock_goes_on_from_where_another_came_to():
    wall = Wall()
    steady = Steady(wall)
    steady.not_before(300)
    steady.not_before(200)
    assert steady() == 300
    wall.now += 5
    assert steady() == 305
