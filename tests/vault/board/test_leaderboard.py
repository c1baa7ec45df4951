"""The leaderboard says the truth in whole points, and gives a thief no more than that."""

import asyncio
import sqlite3

import jsonschema
import numpy as np
import pytest
import torch
from starlette.requests import Request

from course_lib.data import arena
from course_lib.measure import by_base, clustered
from course_lib.vault import client
from course_lib.vault.board import HOUR, PER_HOUR, TRIES_PER_HOUR, Leaderboard, leaderboard, submission
from course_lib.vault.http import openapi
from course_lib.vault.ledger import tables
from course_lib.vault.refusal import Refusal, ledger_full
from course_lib.vault.service import Service
from tests.vault.asking import BIAS, VICTIMS, WEIGHT, ask, mounted, probs
from tests.vault.world import Clock
from tests.waiting import HANG

RNG = np.random.default_rng(1)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    yield service
    service.close()


@pytest.fixture
def board(service):
    return Leaderboard(service, copies=2000)


def key(service, name="ada", scope="predict", questions=0, accepted=True):
    token = service.new_key(name, cohort="red", scope=scope)
    if accepted:
        service.accept_rules(token)
    if questions:
        service.ask(token, "digits-linear", RNG.uniform(size=(questions, 64))).result(HANG)
    return token


def linear(weight, bias=BIAS):
    model = torch.nn.Linear(64, 10).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(np.array(weight).T))
        model.bias.copy_(torch.from_numpy(np.array(bias)))
    return client.pack(model)


def exact(i=0):
    """A file that answers as the victim does; another one for each i."""
    return linear((1 + i) * WEIGHT, (1 + i) * BIAS)


EXACT, WRONG = linear(WEIGHT), linear(-WEIGHT)


def test_the_victim_itself_agrees_in_all_and_its_questions_and_cents_stand_beside(service, board):
    said = board.submit(key(service, questions=65), "digits-linear", EXACT)
    assert said["agreement"] == {"value": 100, "low": 99, "high": 100, "n": "2,000 copies of 359 pictures"}
    assert said["questions"] == 65 and said["cents"] == pytest.approx(0.65)
    assert said["policy_version"] == service.policy.version and said["architecture"] == "linear"


def test_agreement_and_accuracy_are_those_of_versions_of_the_judge_s_pictures(service, board):
    half = np.where(np.arange(10) < 5, WEIGHT, WEIGHT + RNG.normal(size=WEIGHT.shape))
    said = board.submit(key(service), "digits-linear", linear(half))
    shares = arena.shares()
    copies, base = arena.judge_set(shares, n=2000, seed=board.seed)
    copies, base = copies.flatten(1).double().numpy(), np.asarray(base)
    same = (copies @ half + BIAS).argmax(1) == (copies @ WEIGHT + BIAS).argmax(1)
    right = (copies @ half + BIAS).argmax(1) == shares.judge[1].numpy()[base]
    same, right = ([one[base == picture].mean() for picture in np.unique(base)] for one in (same, right))  # each once
    agreement, accuracy = said["agreement"]["value"], said["accuracy"]["value"]
    assert abs(agreement - 100 * np.mean(same)) <= 0.5 + 1e-9 and agreement < 100
    assert (
        abs(accuracy - 100 * np.mean(right)) <= 0.5 + 1e-9 and said["accuracy"]["n"] == "2,000 copies of 359 pictures"
    )


def test_a_copy_that_knows_the_judge_s_public_labels_by_heart_does_not_score_100(service, board):
    x, y = arena.shares().judge
    x = x.flatten(1).double()
    network = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)).double()
    with torch.no_grad():  # random features, and the last layer that fits the labels best
        for part in network[0].parameters():
            part.normal_(generator=torch.Generator().manual_seed(0))
        hidden = torch.cat([torch.relu(network[0](x)), torch.ones(len(x), 1)], 1)
        last = torch.linalg.lstsq(hidden, torch.eye(10).double()[y]).solution
        network[2].weight.copy_(last[:-1].T)
        network[2].bias.copy_(last[-1])
        assert (network(x).argmax(1) == y).all()
    accuracy = board.submit(key(service), "digits-linear", client.pack(network))["accuracy"]
    assert accuracy["value"] < 90 and accuracy["high"] < 100


def test_an_interval_counts_pictures_and_not_their_copies():
    right = RNG.random(40) < 0.8
    once = clustered(by_base(right, np.arange(40)), 40, "copies of")
    often = clustered(by_base(np.repeat(right, 50), np.repeat(np.arange(40), 50)), 2000, "copies of")
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
    assert often.n == "2,000 copies of 40 pictures"


def test_an_interval_clustered_by_picture_holds_the_truth_in_93_to_97_of_100():
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        share = rng.beta(8, 2, 100)  # each picture has its own; their mean is 0.8
        found = clustered(by_base(rng.random(2000) < np.repeat(share, 20), np.repeat(np.arange(100), 20)), 2000)
        held += found.low <= 0.8 <= found.high
    assert 930 <= held <= 970


def test_the_seventh_submission_of_an_hour_is_told_when_to_come_again(service, board, clock):
    token = key(service)
    for left in reversed(range(PER_HOUR)):
        assert board.submit(token, "digits-linear", exact(left))["left_this_hour"] == left
        clock.now += 60
    with pytest.raises(Refusal, match="at most 6 copies an hour") as error:
        board.submit(token, "digits-net", EXACT)
    assert error.value.status == 429 and error.value.retry_after == pytest.approx(HOUR - 6 * 60)
    board.submit(key(service, "grace"), "digits-linear", EXACT)  # another pseudonym has its own six
    clock.now += error.value.retry_after + 1
    assert board.submit(token, "digits-linear", exact(9))["left_this_hour"] == 0


def test_a_restart_gives_nobody_six_more(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    board, token = Leaderboard(service, copies=500), key(service)
    for i in range(PER_HOUR):
        board.submit(token, "digits-linear", exact(i))
    service.close()
    service = Service(tmp_path, clock=clock, victims=VICTIMS)
    again = Leaderboard(service, copies=500)
    assert again.seed == board.seed  # old scores and new ones are of the same pictures
    with pytest.raises(Refusal, match="at most 6"):
        again.submit(token, "digits-linear", exact(9))
    service.close()


def test_another_key_of_the_same_pseudonym_has_no_six_of_its_own(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    board, tokens = Leaderboard(service, copies=500), [key(service), key(service)]
    for i in range(PER_HOUR):
        left = board.submit(tokens[i % 2], "digits-linear", exact(i))["left_this_hour"]
    assert left == 0
    with pytest.raises(Refusal, match="for one pseudonym"):
        board.submit(key(service), "digits-linear", exact(9))
    service.close()
    service = Service(tmp_path, clock=clock, victims=VICTIMS)  # nor after a restart
    with pytest.raises(Refusal, match="for one pseudonym"):
        Leaderboard(service, copies=500).submit(key(service), "digits-linear", exact(9))
    service.close()


def test_a_clock_that_was_a_day_ahead_shuts_nobody_out_for_longer_than_an_hour(tmp_path, clock):
    clock.now += 24 * HOUR
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    board, token = Leaderboard(service, copies=500), key(service)
    for i in range(PER_HOUR):
        board.submit(token, "digits-linear", exact(i))
    service.close()
    clock.now -= 24 * HOUR  # put right
    service = Service(tmp_path, clock=clock, victims=VICTIMS)
    with pytest.raises(Refusal, match="the next one in 60 minutes"):
        Leaderboard(service, copies=500).submit(token, "digits-linear", exact(9))
    service.close()


def test_the_same_file_again_within_the_hour_gets_the_same_scores_and_counts_once(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    board, token = Leaderboard(service, copies=500), key(service, questions=5)
    for i in reversed(range(PER_HOUR)):
        said = board.submit(token, "digits-linear", exact(i))
    assert said["left_this_hour"] == 0 and not said["scored_before"]
    assert board.submit(token, "digits-linear", exact(0)) == said | {"scored_before": True}  # its reply got lost, say
    assert board.submit(key(service), "digits-linear", exact(0)) == said | {"scored_before": True}
    with pytest.raises(Refusal, match="at most 6"):
        board.submit(token, "digits-net", exact(0))  # of another model it is another copy
    assert board.board(service.keys())["entries"][0]["tries"] == PER_HOUR
    service.close()
    service = Service(tmp_path, clock=clock, victims=VICTIMS)
    board = Leaderboard(service, copies=500)
    assert board.submit(token, "digits-linear", exact(0)) == said | {"scored_before": True}
    clock.now += HOUR + 1
    later = board.submit(token, "digits-linear", exact(0))
    assert later["left_this_hour"] == PER_HOUR - 1 and not later["scored_before"]
    service.close()


def test_what_cannot_be_read_costs_none_of_the_six_but_has_a_limit(service, board):
    token = key(service)
    for _ in range(TRIES_PER_HOUR - 1):
        with pytest.raises(Refusal, match="no whole one"):
            board.submit(token, "digits-linear", b"hello")
    assert board.submit(token, "digits-linear", EXACT)["left_this_hour"] == PER_HOUR - 1
    with pytest.raises(Refusal, match="at most 60 copies an hour are handed in"):
        board.submit(token, "digits-linear", b"hello")


def test_who_may_not_ask_may_not_hand_in(service, board):
    revoked = key(service, "grace")
    service.revoke(service.identify(revoked).id)
    for token, status in (
        ("vk_spring_nobody", 401),
        (revoked, 403),
        (key(service, "teacher", scope="instructor"), 403),
        (key(service, "new", accepted=False), 403),
    ):
        with pytest.raises(Refusal) as error:
            board.submit(token, "digits-linear", EXACT)
        assert error.value.status == status
    with pytest.raises(Refusal, match="the models are digits-linear, digits-net; got 'x'"):
        board.submit(key(service), "x", EXACT)


def test_the_board_has_the_best_copy_of_each_key_in_order(service, board):
    ada, grace = key(service, "ada", questions=65), key(service, "grace", questions=10)
    for token, body in ((ada, WRONG), (ada, EXACT), (ada, linear(-2 * WEIGHT)), (grace, WRONG)):
        board.submit(token, "digits-linear", body)
    service.ask(ada, "digits-linear", RNG.uniform(size=(5, 64))).result(HANG)
    board.submit(ada, "digits-linear", exact(1))  # as close, but after more questions
    first, second = board.board(service.keys())["entries"]
    assert first["who"] == "ada" and first["agreement"][0] == 100 and first["questions"] == 65 and first["tries"] == 4
    assert second["who"] == "grace" and second["questions"] == 10 and second["tries"] == 1
    assert first["front"] and second["front"]  # grace asked less, ada came closer


def test_asking_with_one_key_and_handing_in_with_another_hides_no_question(service, board):
    key(service, "ada", questions=65)
    service.ask(key(service, "ada"), "digits-net", RNG.uniform(size=(7, 64))).result(
        HANG
    )  # another model, another copy
    key(service, "grace", questions=20)
    service.accept_rules(other := service.new_key("eve", cohort="blue"))
    service.ask(other, "digits-linear", RNG.uniform(size=(3, 64))).result(HANG)
    said = board.submit(key(service, "ada"), "digits-linear", EXACT)
    assert said["questions"] == 65 and said["cents"] == pytest.approx(0.65)
    board.submit(key(service, "linus"), "digits-linear", EXACT)  # of the same cohort
    found = {e["who"]: (e["questions"], e["cohort_questions"]) for e in board.board(service.keys())["entries"]}
    assert found == {"ada": (65, 85), "linus": (0, 85)}


def test_who_asked_more_and_came_no_closer_is_not_at_the_front(service, board):
    for name, questions in (("ada", 65), ("grace", 70)):
        board.submit(key(service, name, questions=questions), "digits-linear", EXACT)
    assert [(entry["who"], entry["front"]) for entry in board.board(service.keys())["entries"]] == [
        ("ada", True),
        ("grace", False),
    ]


def test_a_forgotten_pseudonym_is_gone_from_the_board_and_from_its_tables(service, board):
    board.submit(key(service, "ada"), "digits-linear", EXACT)
    service.forget("ada")
    assert "ada" not in str(board.board(service.keys()))
    reader = service.ledger.reader()
    assert "ada" not in str([tuple(row) for row in reader.execute("SELECT * FROM submissions")])
    reader.close()


def test_a_policy_s_cost_to_honest_users_stands_beside_it(service, board):
    first = service.policy.version
    costs = {row["policy"]: row for row in board.board([])["policies"] if row["model"] == "digits-linear"}
    assert (costs[first]["label_lost"], costs[first]["confidence_lost"]) == (0, 0)  # the default policy changes nothing
    for text in ('[output]\nkind = "label"\n', "[output]\ntemperature = 3.0\n"):
        service.set_policy(text)
        costs = {row["policy"]: row for row in board.board([])["policies"] if row["model"] == "digits-linear"}
    x = arena.shares().judge[0].flatten(1).double().numpy()
    softer = probs(x) ** (1 / 3)
    off = np.mean(np.abs(probs(x).max(1) - softer.max(1) / softer.sum(1)) > 0.1)
    assert [cost["confidence_lost"] for cost in costs.values()] == [0, 1, pytest.approx(off)] and 0 < off < 1
    assert [cost["label_lost"] for cost in costs.values()] == [0, 0, 0]


def test_the_export_has_the_board_and_the_costs_as_the_page_has_them(service, board):
    half = np.where(np.arange(10) < 5, WEIGHT, WEIGHT + RNG.normal(size=WEIGHT.shape))
    ada, grace = key(service, "ada", questions=65), key(service, "grace", questions=10)
    for token, model, body in (
        (ada, "digits-linear", WRONG),
        (ada, "digits-linear", EXACT),
        (ada, "digits-net", linear(half)),
        (grace, "digits-linear", linear(half)),
    ):
        board.submit(token, model, body)
    service.ask(ada, "digits-linear", RNG.uniform(size=(5, 64))).result(HANG)
    board.submit(ada, "digits-linear", exact(1))  # as close, but after more questions
    shown, path = board.board(service.keys()), service.ledger.path
    names, rows = tables.ask(path, tables.QUERIES["leaderboard"])
    assert len(rows) == len(shown["entries"]) == 3
    for row, entry in zip((dict(zip(names, row, strict=True)) for row in rows), shown["entries"], strict=True):
        for share in ("agreement", "accuracy"):
            assert [row.pop(share + end) for end in ("", "_low", "_high")] == entry.pop(share)
        entry.pop("front")  # follows from the others
        assert row == {"pseudonym": entry.pop("who")} | entry
    names, rows = tables.ask(path, tables.QUERIES["honest_cost"])
    assert [dict(zip(names, row, strict=True)) for row in rows] == shown["policies"] and len(rows) == 2


def test_a_restart_keeps_the_board_as_it_was(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    board = Leaderboard(service, copies=500)
    for name, body in (("ada", WRONG), ("grace", EXACT)):
        board.submit(key(service, name, questions=5), "digits-linear", body)
    before = board.board(service.keys())
    service.close()
    service = Service(tmp_path, clock=clock, victims=VICTIMS)
    assert Leaderboard(service, copies=500).board(service.keys()) == before and len(before["entries"]) == 2
    service.close()


def test_a_board_from_before_cohorts_were_counted_is_opened_and_kept(tmp_path, clock):
    service = Service(tmp_path, clock=clock, victims=VICTIMS, class_name="spring")
    Leaderboard(service, copies=500).submit(key(service, questions=5), "digits-linear", EXACT)
    service.close()
    db = sqlite3.connect(service.ledger.path)
    db.execute("ALTER TABLE submissions DROP COLUMN cohort_questions")
    db.close()
    service = Service(tmp_path, clock=clock, victims=VICTIMS)
    (entry,) = Leaderboard(service, copies=500).board(service.keys())["entries"]
    assert (entry["who"], entry["questions"], entry["cohort_questions"]) == ("ada", 5, 0)
    service.close()


def test_a_ledger_that_takes_no_more_refuses_a_copy_in_words(service, board, monkeypatch):
    def full(_):
        raise ledger_full("the disk is full")

    token = key(service)
    board.board([])
    monkeypatch.setattr(service.ledger, "add_submission", full)
    with pytest.raises(Refusal, match="cannot be written") as error:
        board.submit(token, "digits-linear", EXACT)
    assert error.value.status == 503 and board.board(service.keys())["entries"] == []


def test_over_http_a_copy_is_scored_and_shown(service, board):
    app = mounted(leaderboard.routes(board))
    headers = {"authorization": f"Bearer {key(service)}", "content-type": "application/octet-stream"}
    said = ask(app, "POST", "/v1/submissions?model=digits-net", EXACT, headers)
    assert said.status == 201 and said.json()["agreement"]["value"] == 100
    shown = ask(app, "GET", "/v1/leaderboard").json()
    assert shown["entries"][0]["who"] == "ada"
    for name, one in (("Submission", said.json()), ("Leaderboard", shown)):
        jsonschema.validate(one, openapi.ref(name) | {"components": {"schemas": openapi.SCHEMAS}})
    assert [openapi.SCHEMAS[name]["additionalProperties"] for name in ("Submission", "Entry", "PolicyCost")] == [
        False
    ] * 3
    assert ask(app, "POST", "/v1/submissions", b"hello", headers).status == 422
    assert ask(app, "POST", "/v1/submissions", bytes(submission.MAX_BYTES + 1), headers).status == 413
    assert ask(app, "POST", "/v1/submissions", EXACT).status == 401


def test_a_copy_of_nobody_known_is_not_even_read(board):
    async def receive():
        raise AssertionError("the body was read")

    scope = {"type": "http", "method": "POST", "headers": [(b"authorization", b"Bearer vk_spring_nobody")]}
    with pytest.raises(Refusal) as refusal:
        asyncio.run(leaderboard.routes(board)[0].endpoint(Request(scope, receive)))
    assert refusal.value.status == 401
