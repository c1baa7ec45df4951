"""Honest users: who asks what and when, and what becomes of their questions."""

import threading
from concurrent.futures import Future

import numpy as np
import pytest

from course_lib.data import load
from course_lib.vault import honest
from course_lib.vault.honest import BEHAVIOURS, Clock, Question, serve, through, traffic
from course_lib.vault.refusal import Refusal
from course_lib.vault.service import Service
from tests.vault.world import TOY

DATA = load("digits")
X, Y = DATA.x_val, DATA.y_val
every_behaviour = pytest.mark.parametrize("name", BEHAVIOURS)


def refusal(retry_after):
    return Refusal(429, "wait a little", "rate-limited", retry_after)


def question(at=0.0, user="steady app", rows=1):
    return Question(at, user, np.zeros((rows, 64)), np.zeros(rows, dtype=int))


def says(label, sure, rows=1, classes=10):
    """Answers that are `sure` of one label."""
    probs = np.full((rows, classes), (1 - sure) / (classes - 1))
    probs[:, label] = sure
    return probs


# ---- behaviours ----


def test_there_are_at_least_four_behaviours_and_a_noisy_camera_is_one():
    assert len(BEHAVIOURS) >= 4 and "noisy camera" in BEHAVIOURS


@every_behaviour
def test_questions_are_pictures_in_the_order_of_their_time(name):
    asked = list(BEHAVIOURS[name](X, Y, seed=3))
    assert [q.at for q in asked] == sorted(q.at for q in asked) and asked[0].at >= 0
    for q in asked:
        assert q.x.shape == (len(q.labels), 64) and q.x.dtype == np.float64 and 0 <= q.x.min() <= q.x.max() <= 1
        assert honest.behaviour_of(q.user) == name


@every_behaviour
def test_a_day_is_a_function_of_its_seed(name):
    one, same, other = (list(BEHAVIOURS[name](X, Y, seed)) for seed in (1, 1, 2))
    assert all(a.at == b.at and np.array_equal(a.x, b.x) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(honest.stream(one), honest.stream(other))


def test_the_class_is_many_users_who_ask_threes_and_eights_only():
    asked = list(honest.class_of_3_and_8(X, Y, 0, students=15))
    assert len({q.user for q in asked}) == 15
    assert set(np.concatenate([q.labels for q in asked])) == {3, 8}


def test_the_curious_student_asks_one_picture_pixel_by_pixel():
    first = next(iter(honest.curious_student(X, Y, 0)))
    assert ((first.x[1:] != first.x[0]).sum(1) == 1).all() and len(set(first.labels)) == 1


def test_a_day_holds_every_behaviour_by_time():
    day = traffic(X, Y, 0)
    assert {honest.behaviour_of(q.user) for q in day} == set(BEHAVIOURS)
    assert [q.at for q in day] == sorted(q.at for q in day)
    assert len(honest.stream(day, "noisy camera")) == 120


# ---- a day at the vault ----


def test_an_answer_that_is_not_refused_comes_at_once_and_the_clock_follows_the_questions():
    clock, seen = Clock(100.0), []
    day = [question(2.0), question(7.0)]
    served = serve(lambda user, x: seen.append(clock()) or says(0, 1.0), day, clock)
    assert seen == [102.0, 107.0] and [one.delay for one in served] == [0.0, 0.0]


def test_a_user_who_is_told_to_wait_waits_that_long_and_asks_again():
    clock = Clock(0.0)

    def ask(user, x):
        if clock() < 9.0:
            raise refusal(retry_after=4.0)
        return says(0, 1.0)

    (served,) = serve(ask, [question(1.0)], clock)
    assert served.probs is not None and served.delay == pytest.approx(8.0)  # asked at 1, 5 and 9


def test_a_user_gives_up_without_a_word_on_how_long_or_when_it_is_too_long():
    def ask(user, x):
        raise refusal(None if user == "blocked" else 61.0)

    served = serve(ask, [question(user="blocked"), question(user="late")], Clock(), patience=60.0)
    assert [one.probs for one in served] == [None, None]


def test_a_waiting_user_does_not_hold_up_the_others():
    clock = Clock(0.0)

    def ask(user, x):
        if user == "slow" and clock() < 10:
            raise refusal(retry_after=10.0)
        return says(0, 1.0)

    slow, other = serve(ask, [question(0.0, "slow"), question(1.0, "other")], clock)
    assert (slow.delay, other.delay) == (10.0, 0.0)


def test_an_answer_that_the_ledger_refuses_later_is_a_refusal():
    late, kept = Future(), Future()

    def ask(user, x):
        return late if user == "late" else kept

    kept.set_result(says(0, 1.0))
    threading.Timer(0.01, lambda: late.set_exception(refusal(None))).start()
    one, other = serve(ask, [question(user="late"), question(1.0)], Clock())
    assert one.probs is None and np.array_equal(other.probs, says(0, 1.0))


def test_the_clock_never_goes_back():
    clock = Clock(50.0)
    clock.to(40.0)
    assert clock() == 50.0


# ---- through a real service ----


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path, clock=Clock(), victims=TOY)
    yield service
    service.close()


def test_every_user_gets_a_key_and_a_class_shares_a_cohort(service):
    ask = through(service, "toy", "monday", address=lambda user, turn: f"10.0.0.{turn}")
    day = [question(float(i), user) for i, user in enumerate(("class, student 1", "class, student 2", "camera"))]
    toy = [q._replace(x=np.zeros((1, 4))) for q in day]
    assert all(one.probs.shape == (1, 3) for one in serve(ask, toy + toy, Clock()))
    keys = service.keys()
    assert sorted(key["pseudonym"] for key in keys) == [f"{user}; monday" for user in sorted(q.user for q in day)]
    assert {key["cohort"] for key in keys} == {"class; monday", "camera; monday"}


def test_labels_alone_come_as_a_one_and_a_spent_budget_as_no_answer(service):
    service.set_policy('[output]\nkind = "label"\n[limits]\nbudget_per_key = 2')
    x = np.random.default_rng(0).uniform(0, 1, (1, 4))
    asked = [Question(float(i), "app", x, [0]) for i in range(3)]
    *kept, refused = serve(through(service, "toy", "monday"), asked, Clock())
    assert all(sorted(one.probs[0].tolist()) == [0, 0, 1] for one in kept) and refused.probs is None
