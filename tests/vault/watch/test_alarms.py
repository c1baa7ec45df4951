"""Alarms, through the whole path: on the question that raised them, across a restart, and until a person has looked."""

import numpy as np
import pytest

from course_lib.vault.honest import false_alarms
from course_lib.vault.watch import STATISTICS
from tests.vault.world import PICTURES, TOY
from tests.waiting import HANG

ODD = PICTURES + 5  # like no picture that the monitor knows
ONLY_ODD = "volume = 0\ncoverage = 0\nprada_delta = 0\nduplicate_share = 0\nood_share = 0.5\n"


def policy(action, per="key"):
    return f'[monitor]\naction = "{action}"\nper = "{per}"\n{ONLY_ODD}'


def alarms(w):
    return [
        (a["who"], a["per"], a["statistic"], a["rows"], a["ended"] is not None) for a in w.service.snapshot()["alarms"]
    ]


def ask_odd(w, n, start=0, **settings):
    return [w.status(ODD[i : i + 1], **settings) for i in range(start, start + n)]


def test_an_alarm_is_raised_by_the_very_question_and_ends_when_the_numbers_recover(world):
    w = world(policy("log"))
    assert set(ask_odd(w, 99)) == {(200, None)} and alarms(w) == []
    ask_odd(w, 1, 99)
    assert alarms(w) == [("ada", "key", "ood_share", 100, False)]
    for i in range(3):
        w.ask(100, start=100 * i)
    assert alarms(w) == [("ada", "key", "ood_share", 100, True)]


def test_an_alarm_says_unusual_and_how_often_honest_users_look_so(world, monkeypatch):
    honest = {"key": {"camera": {s: [0.9, 0.4] for s in STATISTICS}, "app": {s: [0.1, 0.2] for s in STATISTICS}}}
    monkeypatch.setitem(TOY, "toy", TOY["toy"]._replace(honest=honest))
    w = world(policy("block"))
    ask_odd(w, 99)
    refusal = w.service.ask(w.token, "toy", ODD[:1]).exception(HANG)
    assert refusal.status == 403 and refusal.type == "unusual" and refusal.retry_after is None
    alarm = w.service.snapshot()["alarms"][0]
    assert "known picture: high)" in refusal.detail and "0.5" not in refusal.detail  # the line is the teacher's
    assert (
        "unusual after 100 rows" in refusal.detail and "25.0% of simulated honest users look so, too" in refusal.detail
    )
    assert alarm["false_alarm_rate"] == 0.25


def test_block_refuses_the_question_that_raised_it_and_all_after_it_until_pardoned(world):
    w = world(policy("block"))
    assert ask_odd(w, 102)[98:] == [(200, None), (403, "unusual"), (403, "unusual"), (403, "unusual")]
    assert w.status() == (403, "unusual") and w.service.usage(w.token)["spent"] == 99
    w.restart()  # frees nobody
    assert w.status() == (403, "unusual")
    w.service.pardon(key_id=1)
    assert w.status() == (200, None)
    w.restart()
    assert set(ask_odd(w, 50)) == {(200, None)} and [ended for *_, ended in alarms(w)] == [True]


def test_the_question_that_raised_it_is_in_the_ledger_uncharged_and_may_be_asked_again(world):
    w = world(policy("block"))
    ask_odd(w, 99)
    assert w.status(ODD[:1], "mine") == (403, "unusual")
    reader = w.service.ledger.reader()
    row = reader.execute("SELECT status, charged, answers, request_id FROM requests ORDER BY id DESC").fetchone()
    assert tuple(row) == (403, 0, None, None)
    w.service.pardon(key_id=1)
    assert w.status(ODD[:1], "mine") == (200, None)


@pytest.mark.parametrize("restart", [False, True])
def test_an_hour_later_a_volume_is_no_longer_unusual(world, restart):
    w = world('[monitor]\naction = "block"\nper = "key"\nvolume = 200')
    assert w.status(200) == (200, None) and w.status() == (403, "unusual")
    w.clock.now += 3500
    w.restart() if restart else None
    assert w.status() == (403, "unusual")
    w.clock.now += 200
    w.restart() if restart else None
    assert w.status() == (200, None)


def test_every_alarm_that_is_on_is_shown_and_of_those_that_ended_the_newest(world):
    w = world('[monitor]\naction = "block"\nper = "key"\nvolume = 5')
    tokens = [w.key(f"p{i}") for i in range(60)]
    assert {w.status(6, token=token) for token in tokens} == {(403, "unusual")}
    for _ in range(2):  # before a restart and after it
        shown = w.service.snapshot()["alarms"]
        assert [alarm["key"] for alarm in shown] == list(range(61, 1, -1)) and alarms(w)[0][-1] is False
        w.restart()
    for i in range(60):
        w.clock.now += 1
        w.service.pardon(key_id=2 + i if i < 58 else 119 - i)  # key 61 before key 60
    w.status(6, token=tokens[0])
    for _ in range(2):
        shown = w.service.snapshot()["alarms"]
        assert [(a["key"], a["ended"] is None) for a in shown] == [(2, True), *((i, False) for i in range(61, 11, -1))]
        assert w.service.snapshot()["totals"]["alarms"] == 61
        w.restart()


def test_coarsen_gives_the_label_alone_while_it_is_unusual(world):
    w = world(policy("coarsen"))
    ask_odd(w, 99)
    assert w.ask(ODD[:1]).output == "label" and w.ask(1).output == "label"
    for i in range(3):
        w.ask(100, start=100 * i)
    assert w.ask(1).output == "probabilities"


def test_slow_lets_a_few_rows_a_minute_through(world):
    w = world(policy("slow") + "slow_rows_per_minute = 3\n")
    assert [status for status, _ in ask_odd(w, 105)[98:]] == [200, 200, 200, 200, 429, 429, 429]
    w.clock.now += 20
    assert w.status() == (200, None) and w.status()[0] == 429
    assert w.status(4) == (413, "over-the-limit")


def test_slow_acts_on_a_batch_that_raises_the_alarm(world):
    w = world(policy("slow") + "slow_rows_per_minute = 3\n")
    assert w.status(ODD[:150])[0] == 413 and w.service.usage(w.token)["spent"] == 0
    assert alarms(w) == [("ada", "key", "ood_share", 150, False)]


def test_asking_again_what_a_full_ledger_refused_is_no_repetition(world):
    w, rng, got = world(policy("block"), max_pages=60), np.random.default_rng(1), []
    while got[-1:] != [(503, "ledger-full")]:
        got.append(w.status(rng.uniform(size=(20, 4))))
        assert len(got) < 500
    rows = ODD[:20]
    assert {w.status(rows) for _ in range(30)} == {(503, "ledger-full")}
    w.service.ledger.writer.change(lambda db: db.execute("PRAGMA max_page_count = 1000") and None)
    assert w.status(rows) == (200, None) and alarms(w) == []
    seen, spent = w.service.watchers.watches[("key", 1), "toy"].rows, w.service.usage(w.token)["spent"]
    assert seen == spent + 20  # also those that were refused, and not asked again
    w.restart()
    assert w.service.watchers.watches[("key", 1), "toy"].rows == spent
    assert [w.status(rows)[0] for _ in range(30)][-1] == 403  # what was answered and is asked again is one, as ever


def test_a_question_that_was_slowed_down_and_comes_again_was_seen_once(world):
    slow = policy("slow") + "slow_rows_per_minute = 3\n"
    w, i = world(slow), 102
    ask_odd(w, 102)  # the last three of them took all that is let through
    w.service.set_policy(policy("log"))
    for start in (0, 100, 200):
        w.ask(100, start=start)
    w.service.set_policy(slow)
    while w.status(ODD[i : i + 1]) == (200, None):
        i += 1
    w.clock.now += 20
    assert i == 202 and w.status(ODD[i : i + 1]) == (200, None)  # the one that raised the alarm
    for _ in range(2):  # before a restart and after it
        assert w.service.watchers.watches[("key", 1), "toy"].rows == w.service.usage(w.token)["spent"] == 503
        w.restart()


def test_who_may_not_ask_for_a_spent_cohort_is_not_watched(world):
    w = world(policy("block") + "[limits]\nbudget_per_cohort = 90\n")
    ask_odd(w, 90)
    assert set(ask_odd(w, 100, 90)) == {(403, "cohort-budget-spent")} and alarms(w) == []


def test_keys_that_share_the_work_are_seen_as_a_cohort_and_only_so(world):
    w = world(policy("block", "both"))
    keys = [w.key(f"p{i}", "ring") for i in range(10)]
    got = [w.status(ODD[i : i + 1], token=keys[i % 10])[0] for i in range(120)]
    assert got == [200] * 99 + [403] * 21
    assert alarms(w) == [("ring", "cohort", "ood_share", 100, False)]
    assert w.status() == (200, None)  # another cohort
    w.service.pardon(cohort="ring")
    assert w.status(token=keys[0]) == (200, None)


def test_a_network_s_volume_grows_with_the_keys_that_ask_from_it(world):
    """Forty people in one room ask what one alone must not."""
    off = "coverage = 0\nprada_delta = 0\nood_share = 0\nduplicate_share = 0\n"
    w = world(f'[identity]\ncohort_by = "address"\n[monitor]\naction = "block"\nper = "cohort"\nvolume = 10\n{off}')
    tokens = [w.key(f"p{i}", f"team {i % 3}") for i in range(40)]
    here = {"address": "192.0.2.7"}
    assert {w.status(9, token=token, start=i, **here) for i, token in enumerate(tokens)} == {(200, None)}
    w.restart()
    assert w.status(30, token=tokens[0], **here) == (200, None)  # 390 of 400
    assert w.status(30, token=tokens[0], **here) == (403, "unusual")
    assert w.status(11, token=tokens[1], address="198.51.100.1") == (403, "unusual")


@pytest.mark.parametrize("restart", [False, True])
def test_who_asked_in_an_earlier_lesson_makes_no_room_for_who_asks_today(world, restart):
    off = "coverage = 0\nprada_delta = 0\nood_share = 0\nduplicate_share = 0\n"
    w = world(f'[monitor]\naction = "block"\nper = "cohort"\nvolume = 10\n{off}')
    assert {w.status(token=w.key(f"p{i}")) for i in range(20)} == {(200, None)}
    w.clock.now += 3660
    w.restart() if restart else None
    assert w.status(10) == (200, None) and w.status() == (403, "unusual")
    assert w.service.snapshot()["alarms"][0]["threshold"] == 10


def test_a_restart_rebuilds_the_monitor_from_the_ledger(world):
    w = world(policy("log"))
    ask_odd(w, 60)
    w.ask(120, start=0)
    before = {s: w.service.watchers.numbers(s) for s in (("key", 1), ("cohort", "green"))}
    w.restart()
    after = {s: w.service.watchers.numbers(s) for s in (("key", 1), ("cohort", "green"))}
    for subject, models in before.items():
        assert after[subject]["toy"] == pytest.approx(models["toy"], abs=1e-5)
    ask_odd(w, 39, 60)
    assert alarms(w) == []
    w.ask(PICTURES[:1])


def test_a_new_policy_judges_at_once_with_its_own_thresholds(world):
    w = world(policy("log"))
    ask_odd(w, 60)
    w.ask(60)
    assert alarms(w) == []  # exactly a half is not above a half
    w.service.set_policy(policy("block").replace("0.5", "0.4"))
    assert w.status() == (403, "unusual")
    w.service.set_policy("[monitor]\nenabled = false")
    assert w.status() == (200, None)


def test_a_monitor_that_is_off_keeps_nothing(world):
    w = world("[monitor]\nenabled = false")
    ask_odd(w, 150)
    assert alarms(w) == [] and w.service.watchers.watches == {}
    assert w.service.ledger.reader().execute("SELECT count(features) FROM requests").fetchone()[0] == 0


def test_the_false_alarm_rate_is_the_share_of_honest_users_beyond_the_threshold():
    extremes = {"key": {"a": {"ood_share": [0.1, 0.6, None], "prada_delta": [0.95, 0.8, None]}}}
    assert false_alarms.rate(extremes, "key", "ood_share", 0.5) == {"a": 1 / 3}
    assert false_alarms.rate(extremes, "key", "prada_delta", 0.9) == {"a": 1 / 3}
    assert false_alarms.rate(extremes, "key", "ood_share", 0) == {"a": 0.0}  # not judged


# With simulated days of honest users. The victim answers by the brightest quarter, which needs no training.


@pytest.fixture(scope="module")
def digits():
    from course_lib.data import arena
    from course_lib.vault.victims import Victim

    shares = arena.shares()

    def answer(x):
        quarters = x.reshape(-1, 2, 4, 2, 4).sum((2, 4)).reshape(-1, 4)
        return np.exp(quarters) / np.exp(quarters).sum(1, keepdims=True)

    reference = arena.copies(shares.victim[0], 1000, seed=0)[0].flatten(1).double().numpy()
    return Victim("quarters", tuple("abcd"), (64,), 0, answer, reference), shares.val


@pytest.fixture(scope="module")
def extremes(digits):
    victim, val = digits
    return false_alarms.measure(victim, *val, days=2)


def test_it_is_a_function_of_its_arguments(digits, extremes):
    victim, val = digits
    assert false_alarms.measure(victim, *val, days=2) == extremes


def test_a_rate_is_what_watching_with_that_threshold_gives(digits, extremes):
    """One day, watched again, with an alarm wherever the policy says so: the same users are unusual."""
    from course_lib.vault import honest
    from course_lib.vault.policy import Monitor
    from course_lib.vault.watch import Eye, Watch

    victim, (x, y) = digits
    settings = Monitor(volume=150, coverage=0.36, prada_delta=0.94, ood_share=0.5, duplicate_share=0.25)
    eye, watches, unusual = Eye(victim.reference, 0), {}, set()
    for question in honest.traffic(x, y, 0):
        watch = watches.setdefault(question.user, Watch(eye.near))
        watch.see(eye.features(question.x, victim.answer(question.x).argmax(1)), question.at)
        unusual |= {(honest.behaviour_of(question.user), question.user, s) for s in watch.unusual(settings)}
    day = {
        kind: {s: v[: len(v) // 2] for s, v in values.items()} for kind, values in extremes["key"].items()
    }  # the first of two days
    for statistic in STATISTICS:
        rates = false_alarms.rate({"key": day}, "key", statistic, getattr(settings, statistic))
        for kind, share in rates.items():
            users = {user for behaviour, user, s in unusual if behaviour == kind and s == statistic}
            assert len(users) == round(share * len(day[kind][statistic]))


def test_it_is_kept_and_measured_again_where_the_pictures_are_others(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    victim, (x, y) = digits
    first = false_alarms.measured(victim, x, y, days=1)
    monkeypatch.setattr(false_alarms, "measure", lambda *_: pytest.fail("measured again"))
    assert false_alarms.measured(victim, x, y, days=1) == first
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        false_alarms.measured(victim, x[:300], y[:300], days=1)
