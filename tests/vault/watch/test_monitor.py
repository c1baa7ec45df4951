"""The monitor's numbers against PRADA's algorithm written out, scipy's Shapiro-Wilk, and counts by hand."""

import math
import sys

import numpy as np
import pytest
from scipy import stats

from course_lib.vault.policy import Monitor
from course_lib.vault.watch import Eye, Seen, Watch, monitor, prada

RNG = np.random.default_rng(0)
REFERENCE = RNG.uniform(size=(1000, 6))
EYE = Eye(REFERENCE, seed=0)


def labels_of(x):
    return (x[:, 0] > 0.5).astype(int) + (x[:, 1] > 0.5)


def fed(x, sizes=1, watch=None, per="key", now=0.0, key=None):
    """A Watch that has seen rows x in requests of so many rows each."""
    watch = watch or Watch(EYE.near, per)
    for start in range(0, len(x), sizes):
        part = x[start : start + sizes]
        watch.see(EYE.features(part, labels_of(part)), now, key)
    return watch


def prada_by_the_paper(x, labels):
    """Juuti et al., 2019, algorithm 3, step by step: the distances D, with nothing bounded and nothing fast."""
    growing, at, threshold, distances = {}, {}, {}, []
    for row, c in zip(x, labels, strict=True):
        if c not in growing:
            growing[c], at[c], threshold[c] = [row], [0.0], 0.0
            continue
        d = min(np.linalg.norm(row - y) for y in growing[c])
        distances.append(d)
        if d > threshold[c]:
            growing[c].append(row)
            at[c].append(d)
            threshold[c] = max(threshold[c], np.mean(at[c]) - np.std(at[c]))
    return np.array(distances)


def w_by_the_paper(distances):
    mean, sd = distances.mean(), distances.std()
    return stats.shapiro(distances[np.abs(distances - mean) < 3 * sd]).statistic


@pytest.mark.parametrize("sizes", [1, 7, 100])
def test_distances_and_w_are_prada_s(sizes):
    x = np.random.default_rng(1).uniform(size=(226, 6))  # the 226th: 101 distances and 5 tests later
    watch = fed(x, sizes)
    distances = prada_by_the_paper(x, labels_of(x))
    n = watch.taken
    assert n == len(distances) and watch.distances[:n] == pytest.approx(distances, abs=1e-9)
    last = 101 + (n - 101) // 25 * 25  # the newest test
    assert watch.w == pytest.approx(w_by_the_paper(distances[:last]), abs=1e-6)


def test_three_questions_by_hand():
    """Points at 0, 3 and 4 on a line, one answer: distances 3 and 1; the threshold after the second is 1.5 - 1.5 = 0."""
    watch = Watch(near=0.1)
    seen = [
        Seen([0], [0], [False], np.zeros((1, 16), np.float32), [0], np.array([[v]]), [v * v / 2])
        for v in (0.0, 3.0, 4.0)
    ]
    for one in seen:
        watch.see(one, 0.0)
    assert math.isnan(seen[0].distances["key"][0])
    assert [one.distances["key"][0] for one in seen[1:]] == [3.0, 1.0]
    assert watch.sets[0].threshold == pytest.approx(4 / 3 - np.std([0, 3, 1]))


def test_tiny_steps_are_not_lost_in_rounding():
    watch = fed(np.array([[0.9] * 6, [0.9] * 5 + [0.9 + 1e-6]]))
    assert watch.distances[0] == pytest.approx(1e-6, rel=1e-2)


@pytest.mark.parametrize("n", [11, 50, 101, 500])
def test_shapiro_wilk_is_scipy_s(n):
    for draw in (RNG.normal(size=n), RNG.gamma(2, size=n), RNG.uniform(size=n)):
        assert prada.shapiro_w(np.sort(draw)) == pytest.approx(stats.shapiro(draw).statistic, abs=1e-6)


def test_equal_distances_are_as_far_from_normal_as_can_be():
    assert prada.prada_w(np.full(200, 0.3)) == 0.0


def test_one_request_or_many_make_the_same_numbers():
    x = np.random.default_rng(2).uniform(size=(300, 6))
    one, many = fed(x, 1).numbers(), fed(x, 60).numbers()
    assert one == pytest.approx(many, abs=1e-6)


def test_one_large_request_is_many_small_ones():
    x = np.random.default_rng(2).uniform(size=(1500, 6))
    large, small = fed(x, 1500), fed(x, 1)
    assert large.rows == small.rows and large.visited == small.visited and large.taken == small.taken
    assert large.odd.share() == small.odd.share() and large.distances.shape == (500,)


def test_nothing_is_judged_before_a_hundred():
    x = np.random.default_rng(3).uniform(size=(99, 6))
    numbers = fed(x).numbers()
    assert numbers["prada_delta"] is numbers["ood_share"] is numbers["duplicate_share"] is None
    assert fed(x).unusual(Monitor(ood_share=1e-9, duplicate_share=1e-9)) == {}


def test_what_looks_like_no_known_picture_is_counted():
    known, odd = REFERENCE[500:650], REFERENCE[:150] + 3
    assert fed(known).numbers()["ood_share"] < 0.05
    assert fed(odd).numbers()["ood_share"] == 1
    assert fed(np.concatenate([known, odd])).numbers()["ood_share"] == pytest.approx(0.75, abs=0.03)  # of the last 200


def test_one_honest_picture_in_a_hundred_looks_odd():
    assert fed(np.random.default_rng(4).uniform(size=(200, 6))).numbers()["ood_share"] < 0.05


def test_near_repeats_are_counted_from_the_second_on():
    x = np.random.default_rng(5).uniform(size=(60, 6))
    twice = np.repeat(x, 2, axis=0) + np.tile([[0.0], [EYE.near / 100]], (60, 1))
    inside = labels_of(twice)[::2] == labels_of(twice)[1::2]
    assert fed(twice).numbers()["duplicate_share"] == pytest.approx(inside.mean() / 2, abs=0.06)


def test_coverage_is_the_share_of_cells_and_the_same_picture_covers_one():
    assert fed(np.tile(REFERENCE[:1], (50, 1))).numbers()["coverage"] == 1 / monitor.CELLS
    x = np.random.default_rng(6).uniform(size=(400, 6))
    cells = {cell for row in x for cell in EYE.features(row[None], np.array([0])).cells}
    assert fed(x, 50).numbers()["coverage"] == len(cells) / monitor.CELLS


def test_volume_is_of_the_last_hour():
    watch, x = Watch(EYE.near), REFERENCE[:10]
    for minute in range(120):
        fed(x, 10, watch, now=60.0 * minute)
    assert watch.hour == 600
    watch.pass_time(60.0 * (119 + 59))
    assert watch.hour == 10
    watch.pass_time(60.0 * 300)
    assert watch.hour == 0 and len(watch.minutes) == 1


def test_a_clock_that_goes_back_takes_nothing_from_the_last_hour():
    watch = fed(REFERENCE[:10], now=7200.0)
    fed(REFERENCE[:10], watch=watch, now=0.0)
    assert watch.hour == 20


def test_a_cohort_may_ask_as_much_as_all_its_keys_and_is_not_judged_by_coverage():
    x, settings = np.random.default_rng(7).uniform(size=(300, 6)), Monitor(volume=100, coverage=0.1)
    watch = fed(x[:240], 50, per="cohort", key=1)
    fed(x[240:270], watch=watch, key=2)
    assert set(watch.unusual(settings)) == {"volume"} and watch.unusual(settings)["volume"] == (270, 200)
    fed(x[270:], watch=watch, key=3)
    assert watch.unusual(settings) == {}


def test_keys_of_earlier_lessons_add_nothing_to_what_a_cohort_may_ask():
    watch, settings = Watch(EYE.near, "cohort"), Monitor(volume=100)
    for key in range(40):
        fed(REFERENCE[:1], watch=watch, key=key)
    fed(REFERENCE[:202], 101, watch, now=3540.0, key=40)
    assert watch.unusual(settings) == {} and watch.keys() == 41
    watch.pass_time(3600.0)
    assert watch.unusual(settings)["volume"] == (202, 100) and set(watch.askers) == {40}


def test_a_threshold_of_nothing_judges_nothing():
    watch = fed(np.repeat(REFERENCE[:100] + 3, 2, axis=0), 50)
    off = Monitor(volume=0, coverage=0, prada_delta=0, ood_share=0, duplicate_share=0)
    assert watch.unusual(off) == {} and {"ood_share", "duplicate_share"} <= set(watch.unusual(Monitor()))


def test_what_the_ledger_keeps_rebuilds_every_number():
    x = np.random.default_rng(8).uniform(size=(700, 6))
    x[300:400] = x[300] + 1e-4 * RNG.normal(size=(100, 6))
    live, again = Watch(EYE.near), Watch(EYE.near)
    for start in range(0, 700, 7):
        seen = EYE.features(x[start : start + 7], labels_of(x[start : start + 7]))
        live.see(seen, start)
        again.see(Seen.unpacked(seen.packed()), start)
    assert again.numbers() == pytest.approx(live.numbers(), abs=1e-5)
    for label, one in live.sets.items():
        assert again.sets[label].count == one.count
        assert again.sets[label].threshold == pytest.approx(one.threshold, abs=1e-6)


@pytest.mark.parametrize("rows", [1, 5])
def test_what_is_packed_is_unpacked(rows):
    seen = EYE.features(REFERENCE[:rows], labels_of(REFERENCE[:rows]))
    Watch(EYE.near, "cohort").see(seen, 0.0)
    other = Seen.unpacked(seen.packed())
    assert (other.labels, other.cells, other.odd, other.digests) == (seen.labels, seen.cells, seen.odd, seen.digests)
    assert np.allclose(other.z, seen.z, atol=1e-6)
    assert other.distances["cohort"] == pytest.approx(seen.distances["cohort"], abs=1e-6, nan_ok=True)
    assert all(math.isnan(d) for d in other.distances["key"])  # no key's watch saw it
    assert len(seen.packed()) == 85 * rows


def test_after_a_restart_distances_to_earlier_questions_are_estimates_of_the_true_ones():
    rng = np.random.default_rng(9)
    eye = Eye(rng.normal(size=(400, 64)), seed=1)
    points, news = rng.normal(size=(100, 64)), rng.normal(size=(50, 64))
    watch, again = Watch(eye.near), Watch(eye.near)
    zero = np.zeros(1, int)
    for row in points:
        seen = eye.features(row[None], zero)
        watch.see(seen, 0.0)
        again.see(Seen.unpacked(seen.packed()), 0.0)
    ratios = []
    for row in news:
        seen = eye.features(row[None], zero)
        watch.see(seen, 0.0)
        true = seen.distances["key"][0]
        again.see(seen, 0.0)
        ratios.append(seen.distances["key"][0] / true)
    assert 0.5 < np.mean(ratios) < 1.2  # the nearest of many estimates is an underestimate
    exact = eye.features(points[5:6], zero)
    again.see(exact, 0.0)
    assert exact.distances["key"][0] == pytest.approx(0, abs=1e-5)  # what is asked again is recognised


def test_what_is_left_from_before_a_restart_is_one_array_and_the_same_for_one_row_and_for_many():
    rng = np.random.default_rng(11)
    points, news = rng.uniform(size=(300, 6)), rng.uniform(size=(8, 6))
    zero = np.zeros(300, int)
    seen = EYE.features(points, zero)
    Watch(EYE.near).see(seen, 0.0)
    single, many = Watch(EYE.near), Watch(EYE.near)
    for watch in (single, many):
        watch.see(Seen.unpacked(seen.packed()), 0.0)
    one_by_one = []
    for row in news:
        part = EYE.features(row[None], zero)
        single.see(part, 0.0)
        one_by_one += part.distances["key"]
    batch = EYE.features(news, zero[:8])
    many.see(batch, 0.0)
    assert batch.distances["key"] == pytest.approx(one_by_one, abs=1e-5)
    old = many.sets[0].old
    many.see(EYE.features(news, zero[:8]), 0.0)
    assert old.dtype == np.float32 and len(old) <= prada.GROWING and np.shares_memory(old, many.sets[0].old)


def test_memory_is_bounded():
    rng = np.random.default_rng(10)
    watch = Watch(EYE.near)
    for i in range(20):
        fed(rng.uniform(size=(300, 6)), 300, watch, now=3600.0 * i)
        if i == 9:
            before = size(watch)
    assert size(watch) <= before and watch.rows == 6000
    assert all(one.held <= prada.GROWING for one in watch.sets.values())


def size(watch):
    arrays = [watch.distances, *(a for one in watch.sets.values() for a in (one.points, one.halves))]
    plain = [watch.minutes, watch.odd.flags, watch.again.flags, watch.visited]
    return sum(a.nbytes for a in arrays) + sum(map(sys.getsizeof, plain))
