"""The oracle's manners: where it sends a key, how it retries, what it counts. The servers are real sockets on loopback."""

import base64
import http.server
import json
import socket
import subprocess
import sys
import threading
from itertools import count, cycle

import numpy as np
import pytest
import torch

from course_lib import progress_line
from course_lib.vault import client, keyring

KEY = keyring.new_token("demo")
HEALTH = {"status": "ok", "vault": "distillation, hands on", "class": "demo", "api": "v1"}
MODELS = {"object": "list", "data": [{"id": "digits-linear", "shape": [4], "classes": 3}]}


class Script(http.server.BaseHTTPRequestHandler):
    """A server on loopback that replies as it is told, and keeps what it was sent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, said):
        kept = {
            "path": self.path,
            "key": self.headers.get("Authorization"),
            "name": self.headers.get("Idempotency-Key"),
        }
        self.server.kept.append(kept | {"said": said})
        reply = self.server.replies(self.path, said)
        if reply is None:  # hang up without a word
            self.close_connection = True
            return
        status, content, headers = reply
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def serve():
    """serve(predict=function of what was asked -> (status, content, headers) or None, ...) -> a running server."""
    started = []

    def start(predict=None, health=HEALTH, account=None):
        account = account or {"spent": 0, "budget_left": None, "cents": 0.0, "cents_per_1000_rows": 10.0}

        def replies(path, said):
            if path == "/v1/predict":
                return predict(said)
            known = {
                "/healthz": health,
                "/v1/models": MODELS,
                "/v1/usage": account,
                "/v1/rules/accept": {"accepted": True},
            }
            return known[path] if isinstance(known[path], tuple) else (200, known[path], {})

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
        server.daemon_threads, server.kept, server.replies = True, [], replies
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        server.address = f"http://127.0.0.1:{server.server_address[1]}"
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def asked(said):
    return np.frombuffer(base64.b64decode(said["inputs"]), "<f8").reshape(said["shape"])


def answered(said, spent=7, budget_left=None):
    """What a vault would say: the probabilities are the first three numbers of the row."""
    answers = [{"label": int(row[:3].argmax()), "probabilities": row[:3].tolist()} for row in asked(said)]
    usage = {"rows": len(answers), "spent": spent, "budget_left": budget_left, "cents": spent / 100}
    return 200, {"output": "probabilities", "answers": answers, "usage": usage}, {}


def refused(status, detail="no", **headers):
    return status, {"type": "urn:vault:test", "title": "no", "status": status, "detail": detail}, headers


def oracle(server, **options):
    pauses = []
    made = client.connect(server.address, KEY, sleep=pauses.append, draw=lambda: 1.0, **options)
    made.pauses = pauses
    return made


# ---- the address ----


def resolver(*hosts):
    return lambda name, port, type: [(socket.AF_INET, type, 6, "", (host, port)) for host in hosts]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.1", "192.168.1.7", "::1", "fd00::1"]
)
def test_this_computer_and_private_networks_are_asked(host):
    assert client.settle("http://vault:8700", resolver(host)) == (host, 8700)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "169.254.1.1", "fe80::1", "fe80::1%eth0", "8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1"]
    + ["100.64.0.1", "198.18.0.1", "224.0.0.1", "2001:db8::1", "::ffff:8.8.8.8", "255.255.255.255"],
)
def test_every_other_address_is_refused_before_anything_is_sent(host):
    with pytest.raises(client.Refused, match="Nothing was sent"):
        client.settle("http://vault:8700", resolver(host))


def test_a_name_that_is_private_and_public_at_once_is_refused():
    with pytest.raises(client.Refused, match=r"192\.168\.1\.7, 8\.8\.8\.8"):
        client.settle("http://vault:8700", resolver("192.168.1.7", "8.8.8.8"))


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1", "ftp://127.0.0.1", "http://me:secret@127.0.0.1", "http://127.0.0.1/v1", "http://", "", None]
    + ["http://127.0.0.1:99999", "http://127.0.0.1?x=1", "http://[::1"],
)
def test_what_is_no_vaults_address_is_refused(address):
    with pytest.raises(client.Refused, match="A vault's address was expected"):
        client.settle(address)


def test_a_name_is_looked_up_once_and_the_address_used_as_such(serve, monkeypatch):
    """A second look-up could say something else (DNS rebinding)."""
    server, looked_up, look_up = serve(answered), [], socket.getaddrinfo

    def once(name, *more, **others):
        looked_up.append(name)
        assert looked_up.count("vault.test") <= 1
        return look_up("127.0.0.1" if name == "vault.test" else name, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    made = client.connect(server.address.replace("127.0.0.1", "vault.test"), KEY)
    made(np.zeros((600, 4)))
    assert set(looked_up) == {"vault.test", "127.0.0.1"} and looked_up[0] == "vault.test"


def test_a_proxy_in_the_environment_is_not_used(serve, monkeypatch):
    server = serve(answered)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert oracle(server)(np.ones((1, 4))).shape == (1, 3)


def test_a_redirect_is_not_followed(serve):
    other = serve(answered)
    server = serve(lambda said: (307, {}, {"Location": other.address + "/v1/predict"}))
    with pytest.raises(client.Refused, match="HTTP 307"):
        oracle(server)(np.ones((1, 4)))
    assert other.kept == []


# ---- the key ----


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        (HEALTH | {"class": "another"}, "for the class 'demo'.* the vault of 'another'"),
        ({"hello": "world"}, "something else answers"),
        ((302, {}, {"Location": "/"}), "something else answers"),
        ((404, {}, {}), "something else answers"),
    ],
)
def test_the_key_is_not_shown_to_anybody_but_the_vault_of_its_class(serve, health, sentence):
    server = serve(answered, health=health)
    for _ in range(2):
        with pytest.raises(client.Refused, match=sentence):
            oracle(server)
    assert {kept["path"] for kept in server.kept} == {"/healthz"} and all(kept["key"] is None for kept in server.kept)


def test_a_server_that_hangs_up_after_its_greeting_does_not_get_the_key(serve):
    """The next connection could lead to somebody else, whom nobody greeted."""
    server = serve(answered, health=(200, HEALTH, {"Connection": "close"}))
    with pytest.raises(client.Refused, match="hangs up after its greeting, and your key was not sent") as trouble:
        oracle(server)
    assert trouble.value.kind == "no-connection"
    assert {kept["path"] for kept in server.kept} == {"/healthz"} and all(kept["key"] is None for kept in server.kept)


def test_what_speaks_no_http_does_not_get_the_key():
    with socket.create_server(("127.0.0.1", 0)) as door:
        heard = []

        def chatter():
            for _ in range(2):
                with door.accept()[0] as line:
                    heard.append(line.recv(1000))
                    line.sendall(b"220 mail.example.org ready\r\n")

        threading.Thread(target=chatter, daemon=True).start()
        with pytest.raises(client.Refused, match="was expected to answer"):
            client.connect(f"http://127.0.0.1:{door.getsockname()[1]}", KEY, sleep=lambda _: None)
    assert len(heard) == 2 and b"vk_" not in b"".join(heard)


def test_a_slip_in_the_key_is_told_before_anything_is_sent():
    with pytest.raises(client.Refused, match="slip.* Nothing was sent"):
        client.connect("http://127.0.0.1:9", KEY[:-1] + ("a" if KEY[-1] != "a" else "b"))


def test_nobody_there_is_told_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(client.Refused, match=f"127.0.0.1:{port} was expected to answer.* Is it running") as trouble:
        client.connect(f"http://127.0.0.1:{port}", KEY, sleep=lambda _: None)
    assert trouble.value.kind == "no-connection"


# ---- what it answers ----


def test_a_row_comes_back_as_float64_bit_for_bit(serve):
    x = np.random.default_rng(0).random((5, 4))
    assert (oracle(serve(answered))(x) == x[:, :3]).all()


def test_tensors_and_pictures_are_asked_as_rows(serve):
    x = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    answers = oracle(serve(answered))(x)
    assert answers.dtype == np.float64 and (answers == x.flatten(1)[:, :3].double().numpy()).all()


def test_many_rows_are_asked_in_batches_each_under_its_own_name(serve):
    server = serve(answered)
    x = np.random.default_rng(0).random((600, 4))
    made = oracle(server, clock=count().__next__)  # it looks at its clock before and after
    assert (made(x) == x[:, :3]).all() and made.last_seconds == 1
    questions = [kept for kept in server.kept if kept["path"] == "/v1/predict"]
    assert [kept["said"]["shape"][0] for kept in questions] == [256, 256, 88]
    assert len({kept["name"] for kept in questions}) == 3 and all(kept["key"] == f"Bearer {KEY}" for kept in questions)


def test_labels_are_a_one_and_the_top_k_leave_zeros(serve):
    kinds = cycle([("label", {"label": 2}), ("top_k", {"label": 1, "probabilities": {"1": 0.75, "0": 0.2}})])
    usage = {"rows": 1, "spent": 1, "budget_left": None, "cents": 0.0}

    def predict(said):
        output, answer = next(kinds)
        return 200, {"output": output, "answers": [answer], "usage": usage}, {}

    made = oracle(serve(predict))
    assert made(np.ones((1, 4))).tolist() == [[0, 0, 1]] and made.kind == "label"
    assert made(np.ones((1, 4))).tolist() == [[0.2, 0.75, 0]] and made.kind == "top_k"


def test_no_rows_are_no_question(serve):
    server = serve(answered)
    assert oracle(server)(np.zeros((0, 4))).shape == (0, 3)
    assert "/v1/predict" not in [kept["path"] for kept in server.kept]


def test_the_account_is_what_the_vault_said_last(serve):
    made = oracle(serve(lambda said: answered(said, spent=42, budget_left=58)))
    made(np.ones((1, 4)))
    assert (made.spent, made.budget_left, made.cents) == (42, 58, 0.42)
    assert "58 left (0.58 cents)" in repr(made)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.ones(4), r"\(B, 4\).* asked as x\[None\]"),
        (np.ones((2, 5)), r"\(B, 4\).*\(2, 5\)"),
        (np.full((1, 4), np.nan), "NaN"),
        (np.array([["a"] * 4]), "are numbers"),
        (np.ones((1, 4)) > 0, "are numbers"),
    ],
)
def test_what_is_no_question_is_told_before_it_is_asked(serve, x, sentence):
    server = serve(answered)
    with pytest.raises(client.Refused, match=f"{sentence}.*Nothing was asked"):
        oracle(server)(x)
    assert "/v1/predict" not in [kept["path"] for kept in server.kept]


def test_more_than_the_budget_is_not_begun(serve):
    account = {"spent": 90, "budget_left": 10, "cents": 0.9, "cents_per_1000_rows": 10.0}
    server = serve(answered, account=account)
    with pytest.raises(client.Refused, match="You ask 11 questions, and this key has 10 left. Nothing was asked"):
        oracle(server)(np.ones((11, 4)))
    assert "/v1/predict" not in [kept["path"] for kept in server.kept]


def test_an_unknown_model_is_told_with_those_that_are_there(serve):
    with pytest.raises(client.Refused, match="digits-linear; 'digits-lineal' came"):
        client.connect(serve(answered).address, KEY, "digits-lineal")


# ---- trying again ----


def replies_in_turn(*replies):
    turns = iter(replies)

    def predict(said):
        reply = next(turns)
        return reply(said) if callable(reply) else reply

    return predict


def names(server):
    return [kept["name"] for kept in server.kept if kept["path"] == "/v1/predict"]


def test_retry_after_is_obeyed_and_the_question_keeps_its_name(serve):
    server = serve(
        replies_in_turn(refused(429, **{"Retry-After": "17"}), refused(503, **{"Retry-After": "3"}), answered)
    )
    made = oracle(server)
    made(np.ones((1, 4)))
    assert made.pauses == [17, 3] and len(names(server)) == 3 and len(set(names(server))) == 1


@pytest.mark.parametrize("past", ["0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_time_that_is_past_is_waited_for_half_a_second(serve, past):
    made = oracle(serve(replies_in_turn(*[refused(429, **{"Retry-After": past})] * 3, answered)))
    made(np.ones((1, 4)))
    assert made.pauses == [0.5] * 3


def test_without_retry_after_the_pauses_double_up_to_eight_seconds(serve):
    server = serve(replies_in_turn(*[refused(503)] * 6, answered))
    made = oracle(server)
    made(np.ones((1, 4)))
    assert made.pauses == [0.5, 1, 2, 4, 8, 8]


def test_after_seven_failures_it_gives_up_with_the_vaults_words(serve):
    made = oracle(serve(lambda said: refused(503, "the disk is full")))
    with pytest.raises(client.Refused, match="the disk is full") as trouble:
        made(np.ones((1, 4)))
    assert trouble.value.status == 503 and len(made.pauses) == 6


def test_a_limit_is_waited_for_as_often_as_the_vault_says_when(serve):
    server = serve(replies_in_turn(*[refused(429, **{"Retry-After": "1"})] * 30, answered))
    made = oracle(server)
    made(np.ones((1, 4)))
    assert made.pauses == [1] * 30


def test_a_question_that_was_given_up_keeps_its_name_when_it_is_asked_again(serve):
    """The vault wrote it down, and the line broke each time: asked again it is not charged again."""
    server = serve(replies_in_turn(*[None] * 7, answered, answered))
    made, x = oracle(server), np.ones((1, 4))
    with pytest.raises(client.Refused, match="not charged again"):
        made(x)
    made(x)
    assert len(names(server)) == 8 and len(set(names(server))) == 1
    made(x)  # now it had its answer, so this is a new question
    assert len(set(names(server))) == 2


def test_a_question_that_was_interrupted_keeps_its_name(serve):
    server = serve(replies_in_turn(refused(503), answered))
    made, x = oracle(server), np.ones((1, 4))

    def interrupted(seconds):
        raise KeyboardInterrupt

    made.sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        made(x)
    made(x)
    assert len(names(server)) == 2 and len(set(names(server))) == 1


@pytest.mark.parametrize("kind", ["paused", "closing", "ledger-full"])
def test_a_pause_is_waited_out_and_told_on_the_line(serve, kind, monkeypatch):
    said = []
    monkeypatch.setattr(progress_line, "_line_in_terminal", lambda: lambda text, last=False: said.append(text))
    status, content, headers = refused(503, "a pause", **{"Retry-After": "5"})
    server = serve(replies_in_turn(*[(status, content | {"type": f"urn:vault:{kind}"}, headers)] * 30, answered))
    made = oracle(server)
    made(np.ones((1, 4)))
    assert made.pauses == [5] * 30 and any("waiting 5 s, because a pause" in text for text in said)


def test_ten_minutes_are_the_longest_pause(serve):
    status, content, headers = refused(503, "a pause", **{"Retry-After": "5"})
    made = oracle(serve(lambda said: (status, content | {"type": "urn:vault:paused"}, headers)))
    with pytest.raises(client.Refused, match="a pause"):
        made(np.ones((1, 4)))
    assert sum(made.pauses) == client.PATIENCE == 600


def test_a_wait_of_more_than_two_minutes_is_told_instead(serve):
    made = oracle(serve(lambda said: refused(429, "come back tomorrow", **{"Retry-After": "86400"})))
    with pytest.raises(client.Refused, match="come back tomorrow"):
        made(np.ones((1, 4)))
    assert made.pauses == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_what_no_waiting_would_change_is_told_at_once(serve, status):
    server = serve(lambda said: refused(status, "a sentence"))
    made = oracle(server)
    with pytest.raises(client.Refused, match="a sentence") as trouble:
        made(np.ones((1, 4)))
    assert trouble.value.status == status and trouble.value.kind == "test" and len(names(server)) == 1


def test_a_connection_that_breaks_is_made_again_and_greeted_again(serve):
    server = serve(replies_in_turn(None, answered))
    made = oracle(server)
    made(np.ones((1, 4)))
    assert len(set(names(server))) == 1 and [kept["path"] for kept in server.kept].count("/healthz") == 2


def test_a_request_that_is_too_large_is_asked_in_halves(serve):
    server = serve(lambda said: refused(413) if said["shape"][0] > 100 else answered(said))
    x = np.random.default_rng(0).random((256, 4))
    assert (oracle(server)(x) == x[:, :3]).all()
    assert [k["said"]["shape"][0] for k in server.kept if k["path"] == "/v1/predict"] == [256, 128, 64, 64, 64, 64]


def test_what_was_answered_before_a_refusal_is_not_lost(serve):
    server = serve(replies_in_turn(answered, refused(403, "your budget is spent")))
    x = np.random.default_rng(0).random((300, 4))
    with pytest.raises(client.Refused, match="budget") as trouble:
        oracle(server)(x)
    assert (trouble.value.answered == x[:256, :3]).all()


@pytest.mark.parametrize(
    ("header", "wait"),
    [("3", 3), ("0.5", 0.5), ("-1", 0), ("Thu, 01 Jan 1970 00:01:40 GMT", 40), ("soon", None), (None, None)],
)
def test_retry_after_may_be_seconds_or_a_date(header, wait):
    assert client.seconds(header, now=lambda: 60) == wait


def test_a_refusal_is_one_line_in_a_notebook():
    assert client.Refused("a sentence")._render_traceback_() == ["Refused: a sentence"]


def test_a_client_starts_without_the_server_and_without_torch():
    server = "door service site http board page ledger watch policy honest victims".split()
    code = (
        "import sys, course_lib.vault.client; "
        f"print([m for m in {server} if f'course_lib.vault.{{m}}' in sys.modules], "
        "[m for m in ('torch', 'scipy', 'starlette', 'uvicorn', 'sqlite3') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[] []\n", run.stderr


# ---- the line of progress ----


def test_a_long_job_says_how_many_questions_and_cents_are_left(serve, capsys, monkeypatch):
    monkeypatch.setattr(progress_line, "PATIENCE", 0.0)
    oracle(serve(lambda said: answered(said, spent=300, budget_left=700)))(np.ones((300, 4)))
    assert "asking 300 questions (spent: 300, 3.00 cents; 700 left (7.00 cents))" in capsys.readouterr().out
