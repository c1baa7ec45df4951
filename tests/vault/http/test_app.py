"""The API over a real socket: what each call gives, and how each refusal reads."""

import base64
import contextlib
import http.client
import json
import re

import numpy as np
import pytest

from course_lib.vault import client, keyring, policy
from course_lib.vault.http import openapi
from course_lib.vault.policy import in_words
from tests.vault.served import ROW, Served
from tests.vault.world import TOY, softmax
from tests.waiting import HANG, until


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("vault"))
    yield served
    served.close()


def packed(x):
    return {"inputs": base64.b64encode(np.asarray(x, "<f8").tobytes()).decode(), "shape": list(np.shape(x))}


# ---- what each call gives ----


def test_an_answer_is_the_models_to_the_last_bit(vault):
    x = np.random.default_rng(1).random((3, 4))
    status, headers, said = vault.ask(x.tolist())
    assert status == 200 and headers["content-type"] == "application/json"
    assert [a["probabilities"] for a in said["answers"]] == softmax(x).tolist()
    assert [a["label"] for a in said["answers"]] == softmax(x).argmax(1).tolist()
    assert said["object"] == "prediction" and said["output"] == "probabilities" and said["usage"]["rows"] == 3


def test_one_row_may_come_without_its_brackets(vault):
    assert vault.ask(ROW)[2]["answers"] == vault.ask([ROW])[2]["answers"]


def test_packed_rows_are_the_same_question(vault):
    x = np.random.default_rng(2).random((5, 4))
    status, _, said = vault.call("POST", "/v1/predict", {"model": "toy", **packed(x)})
    assert status == 200 and said["answers"] == vault.ask(x.tolist())[2]["answers"]


def test_the_account_counts_rows(vault):
    before = vault.call("GET", "/v1/usage")[2]
    vault.ask([ROW] * 7)
    after = vault.call("GET", "/v1/usage")[2]
    assert after["object"] == "usage" and after["spent"] - before["spent"] == 7


def test_what_a_key_may_read(vault):
    assert [model["id"] for model in vault.call("GET", "/v1/models")[2]["data"]] == ["toy"]
    policy = vault.call("GET", "/v1/policy")[2]
    assert policy["version"] == vault.service.policy.version
    assert policy["words"] == in_words(vault.service.policy)  # as everybody's page has them
    assert set(policy) == set(openapi.SCHEMAS["Policy"]["required"])
    assert vault.call("GET", "/v1/rules", key=None)[2]["text"] == keyring.TEXT
    assert vault.call("GET", "/openapi.json", key=None)[2] == openapi.document(TOY)


def test_health_says_which_class_answers_here(vault):
    status, _, said = vault.call("GET", "/healthz", key=None)
    assert status == 200 and said == {"status": "ok", "vault": "distillation, hands on", "class": "demo", "api": "v1"}


def test_the_rules_come_before_the_first_question(vault):
    key = vault.service.new_key("newcomer")
    status, _, said = vault.ask(key=key)
    assert status == 403 and "/v1/rules/accept" in said["detail"]
    assert vault.call("POST", "/v1/rules/accept", {}, key=key)[2]["accepted"] is True
    assert vault.ask(key=key)[0] == 200


def test_a_request_that_is_repeated_gets_the_stored_reply_and_costs_nothing(vault):
    name = {"Idempotency-Key": "once"}
    first, again = vault.ask(headers=name), vault.ask(headers=name)
    assert first[2] == again[2] and first[2]["id"] == "once"
    assert first[1]["idempotent-replayed"] is None and again[1]["idempotent-replayed"] == "true"
    documented = openapi.document(TOY)["paths"]["/v1/predict"]["post"]["responses"]["200"]["headers"]
    assert "Idempotent-Replayed" in documented
    assert vault.ask([ROW] * 2, headers=name)[0] == 422


def test_two_names_for_one_request_are_refused(vault):
    """Which one counts would be a guess."""
    line = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=HANG)
    body = json.dumps({"model": "toy", "inputs": ROW}).encode()
    line.putrequest("POST", "/v1/predict")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
        line.putheader(name, value)
    line.putheader("Authorization", f"Bearer {vault.key}")
    line.putheader("Idempotency-Key", "one")
    line.putheader("Idempotency-Key", "two")
    line.endheaders(body)
    reply = line.getresponse()
    assert reply.status == 400 and "One Idempotency-Key was expected; 2 came" in json.loads(reply.read())["detail"]


def test_a_request_without_a_name_leaves_none_behind(vault):
    before = len(vault.service.door.known)
    status, _, said = vault.ask()
    assert status == 200 and said["id"] and len(vault.service.door.known) == before
    assert vault.ask(headers={"Idempotency-Key": "a-name-of-an-asker"})[0] == 200
    assert len(vault.service.door.known) == before + 1


def test_the_limits_are_in_the_headers(vault):
    headers = vault.ask()[1]
    assert re.fullmatch(r'"key";q=40000;w=\d+', headers["ratelimit-policy"])
    assert re.fullmatch(r'"key";r=\d+;t=\d+', headers["ratelimit"])


def test_over_the_limit_it_says_for_how_long(vault):
    text = vault.service.policy.text
    vault.service.set_policy("[limits]\nrows_per_minute_per_key = 60\nburst_per_key = 10\n")
    try:
        key = vault.new_key("hasty")
        assert vault.ask([ROW] * 10, key=key)[0] == 200
        status, headers, said = vault.ask([ROW] * 3, key=key)
        assert status == 429 and said["status"] == 429 and headers["retry-after"] == "3"
        assert headers["ratelimit"] == '"key";r=0;t=10' and headers["ratelimit-policy"] == '"key";q=10;w=10'
        status, headers, said = vault.ask([ROW] * 11, key=key)
        assert status == 413 and headers["retry-after"] is None and "10 rows" in said["detail"]
        vault.clock.now += 3
        assert vault.ask([ROW] * 3, key=key)[0] == 200
    finally:
        vault.service.set_policy(text)


def test_a_paused_vault_says_when_to_try_again(vault):
    vault.service.pause()
    try:
        status, headers, said = vault.ask()
        assert status == 503 and headers["retry-after"] == "5" and "paused" in said["detail"]
    finally:
        vault.service.pause(False)


def test_the_oracle_in_this_process_is_the_oracle_over_http(vault):
    x = np.random.default_rng(3).random((300, 4))
    over, here = client.connect(vault.address, vault.key, "toy"), client.in_process(vault.service, vault.key, "toy")
    assert (over(x) == here(x)).all() and (over(x) == softmax(x)).all()
    over.refresh()
    here.refresh()  # both ask with one key
    assert (over.spent, over.cents, over.kind, over.rules()) == (here.spent, here.cents, here.kind, here.rules())
    with pytest.raises(client.Refused) as trouble:
        client.in_process(vault.service, "vk_no", "toy")
    assert trouble.value.status == 401


@pytest.mark.parametrize(
    ("policy", "kind"),
    [('[output]\nkind = "label"\n', "label"), ("[output]\ntop_k = 2\n", "top_k"), ("", "probabilities")],
)
def test_the_oracle_reads_every_kind_of_answer(vault, policy, kind):
    text = vault.service.policy.text
    vault.service.set_policy(policy)
    try:
        x = np.random.default_rng(4).random((6, 4))
        oracle = client.connect(vault.address, vault.key, "toy")
        answers = oracle(x)
    finally:
        vault.service.set_policy(text)
    assert oracle.kind == kind and (answers.argmax(1) == softmax(x).argmax(1)).all()
    assert {"label": (answers > 0).sum(1) == 1, "top_k": (answers > 0).sum(1) == 2, "probabilities": answers > 0}[
        kind
    ].all()


# ---- how each refusal reads ----

TOO_LARGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "at character 1"),
        (b'{"model": "toy", "inputs": [[1, 2, 3,', 400, "JSON"),
        (b"{'model': 'toy'}", 400, "JSON"),
        ('{"model": "toy", "inputs": "é"}'.encode("latin-1"), 400, "UTF-8"),
        ('{"model": "toy"}'.encode("utf-16"), 400, "UTF-8"),
        (b"[" * 100_000, 400, "JSON"),
        (b"null", 422, "object was expected; null"),
        (b"[]", 422, "object was expected; a list"),
        (b"{}", 422, "`model`"),
        (b'{"model": 3, "inputs": [1]}', 422, "`model` was expected to be a text; a whole number"),
        (b'{"model": "toy"}', 422, "`inputs`"),
        (b'{"model": "toy", "inputs": 7}', 422, "`inputs`"),
        (b'{"model": "toy", "input": [1]}', 422, "'input' came"),
        (b'{"model": "toy", "inputs": []}', 422, "none came"),
        (b'{"model": "toy", "inputs": [[]]}', 422, "rows of 0"),
        (b'{"model": "toy", "inputs": [[1, 2, 3, 4], [1, 2]]}', 422, "rows of 2, 4 numbers"),
        (b'{"model": "toy", "inputs": [[1, 2], 3]}', 422, "among them is a whole number"),
        (b'{"model": "toy", "inputs": [1, "2", 3, 4]}', 422, "among them is a text"),
        (b'{"model": "toy", "inputs": [1, true, 3, 4]}', 422, "among them is true or false"),
        (b'{"model": "toy", "inputs": [1, null, 3, 4]}', 422, "among them is null"),
        (b'{"model": "toy", "inputs": [[[1, 2, 3, 4]]]}', 422, "among them is a list"),
        (b'{"model": "toy", "inputs": [1, 2, 3]}', 422, "rows of 4 numbers"),
        (b'{"model": "toy", "inputs": [1, 2, 3, NaN]}', 422, "NaN came"),
        (b'{"model": "toy", "inputs": [1, 2, 3, -Infinity]}', 422, "Infinity came"),
        (b'{"model": "toy", "inputs": [1, 2, 3, 1e999]}', 422, "finite"),
        (f'{{"model": "toy", "inputs": [1, 2, 3, {TOO_LARGE}]}}'.encode(), 422, "double precision"),
        (b'{"model": "toy", "inputs": [1, 2, 3, 9]}', 422, "from -8 to 8"),
        (b'{"model": "no such", "inputs": [1, 2, 3, 4]}', 404, "there are toy"),
        (b'{"model": "toy", "inputs": "AAAA"}', 422, "`shape`"),
        (b'{"model": "toy", "inputs": "AAAA", "shape": [1, 4]}', 422, "base64"),
        (b'{"model": "toy", "inputs": "!!!", "shape": [1, 4]}', 422, "base64"),
        (b'{"model": "toy", "inputs": "AAAAAAAAAAA=", "shape": [1, 4]}', 422, "4 numbers; 1 came"),
        (b'{"model": "toy", "inputs": "AAAAAAAAAAA=", "shape": [-1, -1]}', 422, "shape"),
        (b'{"model": "toy", "inputs": "AAAAAAAA+H8=", "shape": [1, 1]}', 422, "NaN"),
        (f'{{"model": "toy", "inputs": "AAAA", "shape": [1000, {"9" * 4300}]}}'.encode(), 422, "`shape`"),
        (b'{"model": "toy", "inputs": "AAAA", "shape": [' + b"[" * 20 + b"]" * 20 + b"]}", 422, "something else"),
        (b'{"model": "toy", "inputs": [1, 2, 3, 4], "shape": [1, 4]}', 422, "'shape' came"),
    ],
)
def test_what_is_no_question_is_told_in_a_sentence(vault, body, status, sentence):
    before = vault.answered()
    got, headers, said = vault.call("POST", "/v1/predict", body)
    assert got == status and headers["content-type"] == "application/problem+json"
    assert set(said) == {"type", "title", "status", "detail"} and said["status"] == status
    assert sentence in said["detail"] and "Traceback" not in said["detail"] and len(said["detail"]) < 300
    assert vault.answered() == before


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_the_type_has_to_be_json_in_utf_8(vault, kind, status):
    assert vault.ask(headers={"Content-Type": kind})[0] == status


def test_more_rows_than_a_request_may_have_are_413(vault):
    assert vault.ask([ROW] * 1024)[0] == 200
    status, _, said = vault.ask([ROW] * 1025)
    assert status == 413 and "1,024 rows; 1,025 came" in said["detail"]
    assert vault.call("POST", "/v1/predict", {"model": "toy", **packed([ROW] * 1025)})[0] == 413


@pytest.mark.parametrize("announced", [True, False])
def test_more_bytes_than_a_request_may_have_are_413(vault, announced):
    body = b'{"model": "toy", "inputs": [' + b" " * (5 << 20) + b"1, 2, 3, 4]}"
    content = body if announced else iter([body])
    line = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=HANG)
    line.request(
        "POST", "/v1/predict", content, {"Authorization": f"Bearer {vault.key}", "Content-Type": "application/json"}
    )
    reply = line.getresponse()
    assert reply.status == 413 and b"4,194,304 bytes" in reply.read()


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "ü", "a\tb", "a;b"])
def test_a_request_is_named_in_plain_letters(vault, name):
    status, _, said = vault.ask(headers={"Idempotency-Key": name.encode("utf-8")})
    assert status == 400 and "Idempotency-Key" in said["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/predict", 405), ("DELETE", "/v1/usage", 405), ("POST", "/healthz", 405), ("GET", "/nothing", 404)]
    + [
        ("GET", "/v1/predict/", 404),
        ("POST", "//v1/predict", 404),
        ("GET", "/v1/../healthz", 404),
        ("GET", "/%2e%2e/etc", 404),
    ],
)
def test_another_address_or_method_is_a_problem_in_json_too(vault, method, path, status):
    got, headers, said = vault.call(method, path)
    assert got == status == said["status"] and headers["content-type"] == "application/problem+json"


# ---- the instructor ----


def tell(vault, name, said=None, key=None):
    return vault.call("POST", f"/v1/instructor/{name}", said or {}, key=key or vault.teacher)


def test_an_instructor_makes_and_revokes_a_key(vault):
    status, _, said = tell(vault, "keys", {"pseudonym": "grace", "budget": 5, "accepted": True})
    assert status == 200 and vault.ask([ROW] * 5, key=said["key"])[0] == 200
    assert vault.ask(key=said["key"])[2]["detail"].count("budget")
    assert tell(vault, "revoke", {"id": said["id"]})[0] == 200
    assert vault.ask(key=said["key"])[0] == 403
    assert tell(vault, "revoke", {"id": 999})[0] == 404


def test_the_servers_own_word_opens_the_desk_too(vault):
    assert tell(vault, "state", key=vault.control)[2]["class"] == "demo"


def test_an_instructor_changes_the_policy_and_a_broken_one_changes_nothing(vault):
    text = vault.service.policy.text
    assert tell(vault, "policy", {"text": "[output]\ndecimals = 2\n"})[2]["version"] == vault.service.policy.version
    status, _, said = tell(vault, "policy", {"text": "[output]\ndecimal = 2\n"})
    assert status == 422 and "line 2" in said["detail"] and "decimals" in said["detail"]
    assert vault.service.policy.output.decimals == 2
    vault.service.set_policy(text)


def test_an_instructor_pauses_and_forgets(vault):
    key = vault.new_key("to be forgotten")
    assert tell(vault, "pause", {"paused": True})[0] == 200 and vault.ask()[0] == 503
    assert tell(vault, "pause", {"paused": False})[0] == 200 and vault.ask()[0] == 200
    assert tell(vault, "forget", {"pseudonym": "to be forgotten"})[0] == 200
    assert vault.ask(key=key)[0] in (401, 403)


@pytest.mark.parametrize(
    ("name", "said"), [("keys", {}), ("keys", {"pseudonym": ""}), ("keys", {"pseudonym": "x", "budget": -1})]
    + [("revoke", {"id": "1"}), ("pause", {}), ("pause", {"paused": "yes"}), ("state", {"x": 1}), ("policy", {"text": 3})],
)  # fmt: skip
def test_an_instructors_slip_is_told_in_a_sentence(vault, name, said):
    status, _, problem = tell(vault, name, said)
    assert status == 422 and problem["detail"]


def test_a_saved_policy_comes_into_force_by_itself_and_a_broken_one_does_not(tmp_path):
    served = Served(tmp_path)
    try:
        path, version = served.service.policy_path, served.service.policy.version
        path.write_text("[output]\ndecimals = 77\n", encoding="utf-8")
        until(lambda: served.service.refused_policy)
        assert served.service.policy.version == version
        path.write_text("[output]\ndecimals = 3\n", encoding="utf-8")
        until(lambda: served.service.policy.output.decimals == 3)
    finally:
        served.close()


def watch(served, steps, before=lambda: None):
    """Stop the server, and let its watch look at the policy's file after each of the steps; before each, before()."""
    import asyncio

    async def sleep(_):
        before()
        if not steps:
            raise asyncio.CancelledError
        steps.pop(0)()

    served.app.stop()
    served.thread.join(HANG)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(served.app.watch_policy(sleep=sleep))


def test_a_policy_that_is_being_saved_is_not_read_half(tmp_path):
    """An editor empties the file and then writes it; a look may fall between the two."""
    served = Served(tmp_path)
    path, seen = served.service.policy_path, []
    steps = [
        lambda: path.write_text(""),
        lambda: path.write_text("[output]\ndecimals = 3\n"),
        lambda: None,
    ]

    try:
        watch(served, steps, before=lambda: seen.append(served.service.policy.version))
        assert len(set(seen)) == 2 and served.service.policy.output.decimals == 3
    finally:
        served.service.close()


def test_a_file_that_is_no_policy_is_told_to_the_instructor_until_a_good_one_comes(tmp_path, monkeypatch):
    """Also where reading it goes wrong in a way that nobody foresaw: the watch goes on."""
    served = Served(tmp_path)
    path, service, told = served.service.policy_path, served.service, []
    texts = ["[output]\ndecimals = 77\n", "a=" + "[" * 3000, "a strange one", "[output]\ndecimals = 4\n"]
    load, told_now = policy.load, lambda: told.append(service.snapshot()["policy"]["refused"])
    monkeypatch.setattr(policy, "load", lambda path: 1 / 0 if "strange" in path.read_text() else load(path))
    steps = [step for text in texts for step in (lambda text=text: path.write_text(text), lambda: None, told_now)]

    try:
        watch(served, steps)
        assert [said and said["line"] for said in told] == [2, None, None, None] and told[3] is None
        words = ("policy.toml, line 2: decimals", "policy.toml, a policy has short numbers", "in the terminal")
        assert all(words[i] in told[i]["reason"] for i in range(3))
        assert service.policy.output.decimals == 4
    finally:
        service.close()


def test_what_is_refused_on_sight_is_counted_too(vault):
    """Not JSON, another type, no numbers, no key: each is among the refusals of whoever asked."""
    key = vault.new_key("counted")
    number = vault.service.identify(key).id
    before = vault.service.books.refused[0]
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/json", 422),
    ):
        assert vault.call("POST", "/v1/predict", body, key=key, headers={"Content-Type": kind})[0] == status
    assert vault.service.books.refused[number] == 3
    assert vault.ask(key=None)[0] == 401
    assert vault.call("POST", "/v1/predict", b" " * 70_000, key="vk_nobody")[0] == 401
    assert vault.service.books.refused[0] == before + 2


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "localhost:65536", "127.0.0.1:" + "9" * 40, "127.0.0.1:٨"])
@pytest.mark.parametrize("path", ["/", "/live/state", "/live/login"])
def test_a_port_that_cannot_be_is_another_host(vault, host, path):
    method = "POST" if path == "/live/login" else "GET"
    status, headers, _ = vault.call(method, path, headers={"Host": host.encode("utf-8")})
    assert status == 421 and headers["content-type"] == "application/problem+json"


def test_the_document_says_that_every_call_may_refuse_an_asker_from_the_internet(vault):
    calls = [call for path in vault.call("GET", "/openapi.json")[2]["paths"].values() for call in path.values()]
    assert calls and all("403" in call["responses"] for call in calls)
