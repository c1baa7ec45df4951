"""One question's path: what is refused, with which status; what is charged, once; what a restart remembers."""

import contextlib
import json
import threading
from collections import Counter

import numpy as np
import pytest

from course_lib.vault.addresses import truncated
from course_lib.vault.http.desk import desk
from course_lib.vault.refusal import Refusal
from course_lib.vault.service import Service
from course_lib.vault.watch import Alarm
from tests.vault.world import PICTURES, TOY, softmax
from tests.waiting import HANG


def test_an_answer_is_the_victim_s_in_full_precision(world):
    reply = world().ask(5)
    assert np.array_equal(reply.probs, softmax(PICTURES[:5]))
    assert [row["label"] for row in reply.answers] == softmax(PICTURES[:5]).argmax(1).tolist()
    assert reply.answers[0]["probs"] == softmax(PICTURES[:5])[0].tolist()


def test_one_row_may_come_without_its_brackets(world):
    assert len(world().ask(PICTURES[0].tolist()).answers) == 1


def test_who_may_not_ask_is_told_why(world):
    w = world()
    expired, submit, fresh = w.key("bo", expires=w.clock.now + 5), w.key("cy", scope="submit"), w.key("di", rules=False)
    revoked = w.key("ed")
    w.service.revoke(w.service.identify(revoked).id)
    w.clock.now += 10
    slip = w.token[:-1] + ("0" if w.token[-1] != "0" else "1")
    assert w.status(token="nonsense") == (401, "malformed-key")
    assert w.status(token=slip) == (401, "malformed-key")
    for token in (None, "", "\ud800", "vk_test_" + "é" * 22 + "_000000", b"vk", 7):
        assert w.service.ask(token, "toy", PICTURES[:1]).exception().status == 401
    assert w.status(token=expired) == (403, "key-expired")
    assert w.status(token=submit) == (403, "wrong-scope")
    assert w.status(token=fresh) == (403, "rules")
    assert w.status(token=revoked) == (403, "key-revoked")


def test_another_class_s_key_opens_nothing(world):
    from course_lib.vault.keyring import new_token

    w = world()
    assert w.status(token=new_token("other")) == (401, "other-class")
    assert w.status(token=new_token("test")) == (401, "unknown-key")


BAD = [
    [[1, 2, 3]], [[1, 2, 3, 4], [1]], [["1", "2", "3", "4"]], [[None] * 4], [], [[]], "text", {"a": 1}, 7, None,
    [[1e9, 0, 0, 0]], [[float("nan"), 0, 0, 0]], [[float("inf"), 0, 0, 0]], [[10**400, 0, 0, 0]], [[[1, 2, 3, 4]]],
    [[True, False, True, True]], [[1j, 0, 0, 0]],
]  # fmt: skip


@pytest.mark.parametrize("rows", BAD, ids=lambda rows: repr(rows)[:30])
def test_what_is_no_picture_is_422(world, rows):
    w = world()
    assert w.service.ask(w.token, "toy", rows).exception(HANG).status == 422


def test_an_unknown_model_and_too_many_rows(world):
    w = world("[limits]\nrows_per_request = 10")
    assert w.service.ask(w.token, "best", PICTURES[:1]).exception().status == 404
    assert w.service.ask(w.token, ["toy"], PICTURES[:1]).exception().status == 404
    assert w.status(11) == (413, "too-many-rows")


def test_the_same_request_id_gets_the_stored_reply_and_is_charged_once(world):
    w = world()
    first = w.ask(3, "mine")
    again = w.ask(3, "mine")
    assert again.replayed and np.array_equal(again.probs, first.probs) and again.usage == first.usage
    w.restart()
    assert w.ask(3, "mine").answers == first.answers
    assert w.service.usage(w.token)["spent"] == 3


def test_a_retry_gets_its_reply_also_where_a_request_takes_fewer_rows_by_now(world):
    w = world()
    first = w.ask(100, "mine")
    w.service.set_policy("[limits]\nrows_per_request = 50")
    again = w.ask(100, "mine")
    assert again.replayed and again.answers == first.answers and w.service.usage(w.token)["spent"] == 100
    assert w.status(100, "another") == w.status(100) == (413, "too-many-rows")
    w.service.pause()
    assert w.status(100, "another") == (413, "too-many-rows") and w.status(50) == (503, "paused")


def test_a_retry_tells_the_cents_that_its_question_cost(world):
    w = world("[price]\ncents_per_1000_rows = 10")
    first = w.ask(100, "mine")
    assert first.usage["cents"] == 1
    w.service.set_policy("[price]\ncents_per_1000_rows = 50")
    assert w.ask(100, "mine").usage == first.usage
    w.restart()
    assert w.ask(100, "mine").usage == first.usage and w.service.usage(w.token)["cents"] == 5


def test_only_ids_that_askers_gave_are_remembered_and_none_of_ours_is_in_their_way(world):
    w = world()
    made_up = [w.ask(start=i).id for i in range(5)]
    assert len(set(made_up)) == 5
    w.ask(1, "mine")
    for _ in range(2):  # before a restart and after it
        assert len(w.service.door.known) == 1
        w.restart()
    assert w.status(1, made_up[0], start=9) == (200, None)


def test_the_same_request_id_with_another_question_is_422(world):
    w = world()
    w.ask(3, "mine")
    assert w.status(3, "mine", start=5) == (422, "request-id-reused")
    assert w.status(3, "mine", token=w.key("bo")) == (200, None)  # ids are each key's own


def test_a_revoked_key_s_retry_is_403(world):
    w = world()
    w.ask(1, "mine")
    w.service.revoke(1)
    assert w.status(1, "mine") == (403, "key-revoked")


def test_a_spent_budget_is_403_and_counts_what_was_refused(world):
    w = world("[limits]\nbudget_per_key = 5")
    assert w.ask(3).usage["budget_left"] == 2
    assert w.status(3) == (403, "budget-spent")
    assert w.ask(2).usage["budget_left"] == 0
    assert w.service.snapshot()["totals"]["refused"] == 1 and w.service.usage(w.token)["spent"] == 5


def test_a_key_s_own_budget_goes_before_the_policy_s(world):
    w = world("[limits]\nbudget_per_key = 5")
    assert w.ask(8, token=w.key("bo", budget=9)).usage["budget_left"] == 1


def test_a_cohort_s_budget_is_one_for_all_its_keys(world):
    w = world("[limits]\nbudget_per_cohort = 5")
    w.ask(3)
    assert w.status(3, token=w.key("bo")) == (403, "cohort-budget-spent")
    assert w.status(3, token=w.key("cy", cohort="blue")) == (200, None)


def test_a_hundred_threads_on_one_key_never_get_more_than_the_budget(world):
    w = world("[limits]\nbudget_per_key = 250")
    got = Counter()
    start = threading.Barrier(100)

    def client(i):
        start.wait()
        for n in range(5):
            got[w.status(1 + (i + n) % 3)[0], 1 + (i + n) % 3] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(100)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    rows = sum(n * rows for (status, rows), n in got.items() if status == 200)
    assert rows == w.service.usage(w.token)["spent"] and 248 <= rows <= 250
    assert sum(got.values()) == 500


def test_a_hundred_threads_on_one_key_never_pass_the_rate_limit(world):
    w = world("[limits]\nrows_per_minute_per_key = 60\nburst_per_key = 40")
    got = []
    threads = [threading.Thread(target=lambda: got.append(w.status()[0])) for _ in range(100)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert Counter(got) == {200: 40, 429: 60}  # the clock stands still
    assert w.service.snapshot()["totals"]["refused"] == 60
    w.restart()
    assert w.service.snapshot()["totals"]["refused"] == 60


def test_the_rate_limit_says_when_to_come_back(world):
    w = world("[limits]\nrows_per_minute_per_key = 60\nburst_per_key = 10")
    reply = w.ask(8)
    assert reply.headers == {"RateLimit-Policy": '"key";q=10;w=10', "RateLimit": '"key";r=2;t=8'}
    with pytest.raises(Refusal) as refusal:
        w.ask(5)
    assert refusal.value.status == 429 and refusal.value.headers["Retry-After"] == "3"
    w.clock.now += 3
    assert w.status(5) == (200, None)
    assert w.status(11) == (413, "over-the-limit")  # no waiting would help


def test_a_restart_refills_no_bucket(world):
    w = world("[limits]\nrows_per_minute_per_key = 60\nburst_per_key = 10")
    w.ask(8)
    w.restart()
    assert w.status(5)[0] == 429


def test_a_clock_that_goes_back_is_harmless(world):
    w = world("[limits]\nrows_per_minute_per_key = 60\nburst_per_key = 10")
    w.ask(10)
    w.clock.now -= 3600
    assert w.status(5)[0] == 429
    w.clock.now += 5
    assert w.status(5) == (200, None)


def test_memory_and_ledger_agree_after_a_restart(world):
    w = world("[limits]\nbudget_per_key = 20")
    other = w.key("bo", "blue")
    for i in range(6):
        w.status(4, start=i)
        w.status(1, token=other, start=i)
    w.service.ask("nobody", "toy", PICTURES[:1])
    before = w.service.snapshot()
    w.clock.now += 600
    w.restart()
    after = w.service.snapshot()
    still = {"seconds": None, "alarms": None}
    for snapshot in (before, after):
        for part in (snapshot["totals"], *snapshot["keys"], *snapshot["cohorts"]):
            part.pop("rows_per_second")
    assert {**before, **still} == {**after, **still}


def test_pause_refuses_for_a_moment(world):
    w = world()
    w.service.pause()
    assert w.status() == (503, "paused")
    w.service.pause(False)
    assert w.status() == (200, None)


def test_output_controls_and_their_version_are_in_every_row(world):
    w = world()
    versions = [w.ask().policy_version]
    for text in ('[output]\nkind = "label"', "[output]\ntop_k = 2", "[output]\ndecimals = 2"):
        w.service.set_policy(text)
        reply = w.ask(4)
        versions.append(reply.policy_version)
        assert w.ask(4, "id" + text[9:12]).answers == w.ask(4, "id" + text[9:12]).answers  # stored as it left
    reader = w.service.ledger.reader()
    assert {row[0] for row in reader.execute("SELECT DISTINCT policy FROM requests")} == set(versions)
    assert {row[0] for row in reader.execute("SELECT version FROM policies")} >= set(versions)
    assert len(set(versions)) == 4


def test_top_k_and_label_say_no_more_than_that(world):
    w = world("[output]\ntop_k = 2")
    row = w.ask(1).answers[0]
    best = softmax(PICTURES[:1])[0]
    assert row["probs"] == {str(i): best[i] for i in sorted(np.argsort(-best)[:2])}
    w.service.set_policy('[output]\nkind = "label"')
    assert w.ask(1).answers == [{"label": int(best.argmax())}]


def test_a_broken_policy_is_refused_and_the_old_one_stays(world):
    w = world("[output]\ndecimals = 2")
    (w.folder / "policy.toml").write_text("[output]\ndecimal = 3")
    with pytest.raises(ValueError, match="policy.toml, line 2: .* did you mean decimals"):
        w.service.reload_policy()
    assert w.service.policy.output.decimals == 2 and w.status() == (200, None)


def test_a_policy_that_cannot_be_written_is_not_in_force(world):
    w = world()
    w.service.policy_path = w.folder / "vault.db" / "policy.toml"  # no folder
    with pytest.raises(Refusal, match="policy.toml cannot be written"):
        w.service.set_policy("[output]\ntop_k = 1")
    assert w.service.policy.output.top_k == 0


def test_two_models_never_share_a_request_id(world, monkeypatch):
    monkeypatch.setitem(TOY, "a" * 100, TOY["toy"]._replace(name="a" * 100))
    w = world()
    w.ask(1, "mine")
    refused = w.service.ask(w.token, "a" * 100, PICTURES[:1], "mine").exception(HANG)
    assert (refused.status, refused.type) == (422, "request-id-reused")


def test_keys_per_person(world):
    w = world("[identity]\nkeys_per_person = 1")
    with pytest.raises(ValueError, match="allows 1 per person"):
        w.service.new_key("ada")


def test_keys_per_person_also_where_many_are_made_at_once(world):
    w = world("[identity]\nkeys_per_person = 1")
    start, made = threading.Barrier(20), []

    def make():
        start.wait()
        with contextlib.suppress(ValueError):
            made.append(w.service.new_key("bo"))

    threads = [threading.Thread(target=make) for _ in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(made) == 1


def test_a_key_s_cohort_may_be_changed_and_counts_from_the_next_question_on(world):
    w = world("[limits]\nbudget_per_cohort = 3")
    w.ask(2)
    w.service.set_cohort(1, "ring")
    assert w.status(2) == (200, None) and w.status(2) == (403, "cohort-budget-spent")
    w.restart()
    assert {c["name"]: c["rows"] for c in w.service.snapshot()["cohorts"]} == {"green": 2, "ring": 2}
    assert w.service.identify(w.token).cohort == "ring"


def test_the_class_s_end_is_its_keys_end(world):
    w = world()
    w.service.expire("another")
    assert w.status() == (200, None)
    w.service.expire("test")
    assert w.status() == (403, "key-expired")
    w.restart()
    assert w.status() == (403, "key-expired")


def test_a_class_that_has_an_end_gives_it_to_its_learners_keys(world):
    w = world()
    w.service.set_end(w.clock() + 3600)
    w.restart()
    learner, teacher = w.key("bo"), w.key("teacher", scope="instructor")
    longer = w.key("cy", expires=w.clock() + 9000)
    assert w.service.usage(learner)["expires"] == pytest.approx(w.clock() + 3600)
    w.clock.now += 3600
    assert w.status(token=learner) == (403, "key-expired") and w.status(token=longer) == (200, None)
    assert w.service.identify(teacher, "instructor") and w.status() == (200, None)  # made before there was an end
    with pytest.raises(ValueError, match="the class test has ended; give this key hours of its own"):
        w.key("di")
    assert w.status(token=w.key("di", expires=w.clock() + 60)) == (200, None)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"pseudonym": ""}, "a pseudonym is a text"),
        ({"pseudonym": "a\nb"}, "a pseudonym is a text"),
        ({"pseudonym": "x" * 65}, "a pseudonym is a text"),
        ({"cohort": ""}, "a cohort is a text"),
        ({"scope": "admin"}, "a scope is one or several of predict, submit, instructor"),
        ({"budget": -1}, "a budget is a whole number"),
        ({"budget": 2.5}, "a budget is a whole number"),
        ({"budget": 10**30}, "a budget is a whole number"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(world, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        world().service.new_key(**{"pseudonym": "p", **settings})


def test_what_a_key_may_know_of_the_policy_says_nothing_of_how_it_is_watched(world):
    w = world("[monitor]\nprada_delta = 0.77\n[planted]\nshare = 0.123\n[output]\nnoise = 0.0456")
    view = repr(w.service.policy_view(w.token))
    assert "0.77" not in view and "0.123" not in view and "0.0456" not in view and "decimals" in view
    assert w.service.models(w.token)[0]["id"] == "toy"


def test_planted_answers_are_counted_in_the_ledger(world):
    w = world("[planted]\nshare = 0.5")
    reply = w.ask(400)
    wrong = (reply.labels != softmax(PICTURES[:400]).argmax(1)).sum()
    assert w.service.ledger.reader().execute("SELECT planted FROM requests").fetchone()[0] == wrong > 100
    assert (w.service.controlled("toy", PICTURES[:400]) == reply.probs).all()


def test_an_idle_vault_s_snapshot_is_the_same_again(world):
    w = world()
    w.ask(3)
    w.clock.now += 500
    first = w.service.snapshot()
    w.clock.now += 500
    assert w.service.snapshot() == first and json.dumps(first)


def test_an_alarm_that_comes_while_the_page_is_made_spoils_nothing(world, monkeypatch):
    w = world('[monitor]\nvolume = 5\nper = "both"')
    w.ask(6)

    def sentence(alarm):
        w.service.watchers.on["key", len(w.service.watchers.on)] = {("toy", "volume"): alarm}
        w.service.watchers.ended.append(alarm)
        return "unusual"

    monkeypatch.setattr(Alarm, "sentence", sentence)
    assert [alarm["per"] for alarm in w.service.snapshot()["alarms"]] == ["cohort", "key"]


def test_cohorts_by_person_and_by_network(world):
    w = world('[identity]\ncohort_by = "person"')
    second = w.key("ada", "elsewhere")
    w.ask(), w.ask(token=second)
    assert [c["rows"] for c in w.service.snapshot()["cohorts"] if c["rows"]] == [2]
    w.service.set_policy('[identity]\ncohort_by = "address"\n[limits]\nbudget_per_cohort = 3')
    assert w.status(2, address="192.0.2.7") == (200, None)
    assert w.status(2, token=second, address="192.0.2.200") == (403, "cohort-budget-spent")
    assert w.status(2, token=second, address="198.51.100.1") == (200, None)


@pytest.mark.parametrize(
    "address, kept",
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("nonsense", ""),
    ],
)
def test_addresses_are_truncated(address, kept):
    assert truncated(address) == kept


def test_the_page_may_look_while_a_key_is_made_or_forgotten(world):
    w = world('[identity]\ncohort_by = "person"')

    class Watched(dict):
        """Looks at the page before each change."""

        def __setitem__(self, name, value):
            w.service.snapshot()
            super().__setitem__(name, value)

        def setdefault(self, name, value):
            w.service.snapshot()
            return super().setdefault(name, value)

    ring = w.service.keyring
    ring.by_id, ring.by_hash, ring.first = Watched(ring.by_id), Watched(ring.by_hash), Watched(ring.first)
    w.key("bo")
    w.service.forget("bo")
    assert {cohort["name"] for cohort in w.service.snapshot()["cohorts"]} == {"person 1", "person 2"}


def test_neither_key_nor_address_nor_input_is_in_the_files(world):
    w = world()
    w.ask(1, address="192.0.2.77")
    w.service.ledger.checkpoint()
    w.service.close()
    held = b"".join(path.read_bytes() for path in w.folder.iterdir() if path.is_file())
    assert w.token.encode() not in held and b"192.0.2.77" not in held and PICTURES[0].tobytes() not in held
    assert b"192.0.2.0/24" in held


def test_a_forgotten_pseudonym_is_in_no_file(world):
    w = world()
    gone = w.key("Wanda-Unforgettable")
    w.ask(2, "request-of-wanda", token=gone)
    w.service.forget("Wanda-Unforgettable")
    assert w.status(1, token=gone) == (403, "key-revoked")
    w.restart()
    assert w.service.ask(gone, "toy", PICTURES[:1]).exception().status == 401
    assert w.service.snapshot()["totals"]["rows"] == 2
    held = b"".join(path.read_bytes() for path in w.folder.iterdir() if path.is_file())
    assert b"Wanda" not in held and b"request-of-wanda" not in held


def test_a_forgotten_pseudonym_s_network_is_in_no_row_and_another_s_stays(world):
    w = world('[identity]\ncohort_by = "address"\n[monitor]\nvolume = 5\nper = "both"')
    gone = w.key("Wanda")
    w.ask(9, token=gone, address="192.0.2.7"), w.ask(9, token=gone, address="198.51.100.1")
    w.ask(9, address="198.51.100.1")
    before = [row["name"] for row in w.service.snapshot()["cohorts"]]
    w.service.forget("Wanda")
    reader = w.service.ledger.reader()
    asked = [row[0] for row in reader.execute("SELECT cohort FROM requests ORDER BY id")]
    alarms = {row[0] for row in reader.execute("SELECT cohort FROM alarms WHERE per = 'cohort'")}
    reader.close()
    assert asked[:2] == ["forgotten"] * 2 and asked[2] in before and alarms == {"forgotten", asked[2]}
    w.restart()
    after = {row["name"]: row for row in w.service.snapshot()["cohorts"]}
    assert set(after) == {"forgotten", asked[2]} and after["forgotten"]["unusual"] == []


def test_a_mistyped_pseudonym_is_not_said_to_be_forgotten(world):
    w = world()
    with pytest.raises(Refusal, match="no key belongs to 'adda'") as refused:
        desk(w.service)["forget"]({"pseudonym": "adda"})
    assert refused.value.status == 404 and w.status() == (200, None)
    assert desk(w.service)["forget"]({"pseudonym": "ada"})["forgotten"] and w.status() == (403, "key-revoked")


def test_a_full_ledger_answers_503_charges_nothing_and_recovers(world):
    w = world(max_pages=60)
    statuses = [w.status(20, f"id{i}", start=i)[0] for i in range(100)]
    assert 200 in statuses and statuses[-1] == 503
    assert w.service.usage(w.token)["spent"] == 20 * statuses.count(200)
    w.service.ledger.writer.change(lambda db: db.execute("PRAGMA max_page_count = 1000") and None)
    assert w.status(20, "id99", start=99) == (200, None)
    reader = w.service.ledger.reader()
    assert reader.execute("SELECT sum(charged) FROM requests").fetchone()[0] == w.service.usage(w.token)["spent"]
    assert reader.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_client_that_stops_waiting_stops_nothing(world):
    w = world()
    future = w.service.ask(w.token, "toy", PICTURES[:1])
    assert not future.cancel()
    assert len(future.result(HANG).answers) == 1


def test_closing_finishes_what_was_taken(world):
    w = world()
    futures = [w.service.ask(w.token, "toy", PICTURES[i : i + 1]) for i in range(50)]
    w.service.close()
    assert all(len(future.result(timeout=0).answers) == 1 for future in futures)
    assert w.service.ask(w.token, "toy", PICTURES[:1]).exception().status == 503


def test_one_process_serves_a_folder(world, tmp_path):
    world()
    with pytest.raises(Exception, match="another process serves"):
        Service(tmp_path, victims=TOY)


def test_a_folder_keeps_its_class(world):
    w = world()
    w.service.close()
    with pytest.raises(Exception, match="the vault of the class test, not of other"):
        Service(w.folder, victims=TOY, class_name="other")
    w.open()
