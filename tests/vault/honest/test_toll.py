"""What a policy takes from honest users, against days whose losses are counted by hand."""

import numpy as np
import pytest
from scipy import stats

from course_lib.vault.honest import Question, Served, cost, only


def question(at=0.0, user="steady app", rows=1):
    return Question(at, user, np.zeros((rows, 64)), np.zeros(rows, dtype=int))


def says(label, sure, rows=1, classes=10):
    """Answers that are `sure` of one label."""
    probs = np.full((rows, classes), (1 - sure) / (classes - 1))
    probs[:, label] = sure
    return probs


def undefended(x):
    return says(0, 0.9, len(x))


def days(*probs_and_delay, user="steady app"):
    """Two equal days of one row each per pair."""
    day = [Served(question(float(i), user), *pair) for i, pair in enumerate(probs_and_delay)]
    return [day, day]


def test_the_undefended_vault_costs_nothing_and_its_interval_is_not_empty():
    found = cost(days((says(0, 0.9), 0.0), (says(0, 0.9), 0.0)), undefended)
    assert found.label_lost.value == found.confidence_lost.value == found.refused.value == found.delay.value == 0
    assert found.accuracy.value == 1 and 0 < found.label_lost.high < 1 and found.false_alarms.value == 0


def test_each_loss_is_counted_as_itself():
    found = cost(
        days(
            (says(0, 0.9), 0.0),  # as it should be
            (says(3, 0.9), 0.0),  # another label
            (says(0, 0.7), 0.0),  # another confidence
            (says(0, 0.9), 5.0),  # late
            (None, 60.0),  # refused
        ),
        undefended,
    )
    assert found.label_lost.value == pytest.approx(3 / 5)
    assert found.confidence_lost.value == pytest.approx(3 / 5)
    assert found.refused.value == pytest.approx(1 / 5)
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.delay.value == pytest.approx(5 / 4)


def test_a_label_alone_says_no_confidence_and_a_rounded_one_does():
    alone, rounded = np.eye(10, dtype=int)[:1], np.eye(10)[:1]
    found = [cost(days((probs, 0.0), (probs, 0.0)), lambda x: says(0, 0.99, len(x))) for probs in (alone, rounded)]
    assert [one.label_lost.value for one in found] == [0, 0]
    assert [one.confidence_lost.value for one in found] == [1, 0]


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    found = cost(days((says(0, 0.9), 0.0), (says(0, 0.9), 0.0)), undefended)
    assert found.calibration.value == pytest.approx(0.1)


def test_every_behaviour_counts_the_same_whatever_it_asks():
    lost = [Served(question(0.0, "burst user", rows=40), None, 60.0)]
    kept = [Served(question(1.0, "steady app"), says(0, 0.9), 0.0)]
    found = cost([lost + kept] * 2, undefended)
    assert found.label_lost.value == pytest.approx(1 / 2)
    assert cost(only([lost + kept] * 2, "steady app"), undefended).label_lost.value == 0


def test_an_interval_over_days_is_the_t_interval():
    good, bad = Served(question(), says(0, 0.9), 0.0), Served(question(), None, 60.0)
    found = cost([[good, good], [good, bad], [good, bad]], undefended).label_lost
    low, high = stats.ttest_1samp([0.0, 0.5, 0.5], 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((1 / 3, max(low, 0), min(high, 1)))
    assert found.over == "seeds" and "3 days" in found.n


def test_false_alarms_are_the_share_of_users_called_unusual():
    day = [Served(question(user=user), says(0, 0.9), 0.0) for user in ("a", "b", "c", "d")]
    assert cost([day, day], undefended, [{"a"}, {"a", "b"}]).false_alarms.value == pytest.approx(3 / 8)


def test_one_day_is_too_few():
    with pytest.raises(ValueError, match="two or more"):
        cost([[]], undefended)
