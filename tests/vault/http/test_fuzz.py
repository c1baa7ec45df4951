"""Bad input, by the thousand: no 5xx, no stack trace, no answer that the ledger does not hold."""

import base64
import contextlib
import http.client
import json
import random
import re
import socket

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from course_lib.vault.http import connection, openapi
from course_lib.vault.victims import Victim
from tests.vault.served import ROW, Served, read_all
from tests.vault.world import TOY
from tests.waiting import HANG

DOCUMENTED = {200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431}
REQUESTS = 1500
QUICK = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("vault"))
    served.answers = 0  # that came
    yield served
    assert served.answered() == served.answers  # each of them, and no other, is in the ledger
    served.close()


@pytest.fixture(scope="module")
def vault_with_a_board(tmp_path_factory):
    """The board scores on pictures of digits, so the model behind this door takes 64 numbers."""
    served = Served(tmp_path_factory.mktemp("board"), victims=LIKE_DIGITS)
    served.answers = 0
    yield served
    served.close()


def untrained(x):
    e = np.exp(x @ np.random.default_rng(0).normal(size=(64, 10)))
    return e / e.sum(1, keepdims=True)


PICTURES = np.random.default_rng(1).random((600, 64))
LIKE_DIGITS = {"digits-untrained": Victim("digits-untrained", tuple("0123456789"), (64,), 640, untrained, PICTURES)}

# ---- Schemathesis, from the document that is published (tests/vault/http/test_app.py: it is this one) ----

BOARD = ["/v1/submissions", "/v1/leaderboard"]
schema = schemathesis.openapi.from_dict(openapi.document(TOY)).exclude(path=BOARD)
board = schemathesis.openapi.from_dict(openapi.document(LIKE_DIGITS)).include(path=BOARD)


@schema.parametrize()
@settings(max_examples=40, **QUICK)
def test_every_call_keeps_to_the_published_document(case, vault):
    """Statuses, types and schemas are those of the document, and what breaks its rules is refused.

    Not asked here: that whatever keeps to them is accepted, because a schema cannot say that base64 fits its shape, or
    that a file is an npz; test_every_question_that_the_document_allows_is_answered asks that for the lists.
    """
    keeps_to_the_document(case, vault)


@board.parametrize()
@settings(max_examples=40, **QUICK)
def test_the_leaderboards_calls_do_so_too(case, vault_with_a_board):
    keeps_to_the_document(case, vault_with_a_board)


def keeps_to_the_document(case, vault):
    response = case.call(base_url=vault.address, timeout=HANG, headers={"Authorization": f"Bearer {vault.key}"})
    count(vault, case.path, response.status_code, response.headers)
    case.validate_response(
        response,
        headers={"Authorization": f"Bearer {vault.key}"},
        excluded_checks=[positive_data_acceptance],
    )
    assert "Traceback" not in response.text


def count(vault, path, status, headers):
    """One more answer that the ledger has to hold; a stored reply is there already."""
    vault.answers += path == "/v1/predict" and status == 200 and "idempotent-replayed" not in headers


numbers = st.one_of(st.integers(-8, 8), st.floats(-8, 8))
rows = st.lists(numbers, min_size=4, max_size=4)


@given(inputs=st.one_of(rows, st.lists(rows, min_size=1, max_size=9)))
@settings(max_examples=150, **QUICK)
def test_every_question_that_the_document_allows_is_answered(vault, inputs):
    status, headers, said = vault.ask(inputs)
    count(vault, "/v1/predict", status, headers)
    asked = inputs if isinstance(inputs[0], list) else [inputs]
    assert status == 200 and len(said["answers"]) == len(asked)
    assert all(abs(sum(answer["probabilities"]) - 1) < 1e-9 for answer in said["answers"])


# ---- our own ways of being wrong ----

NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "1" + "0" * 400,
    "0." + "3" * 400,
    "1e-999",
    "-0.0",
    "9",
    "-9",
]
NUMBERS += ["1E5", "0x10", "1_000", "01", "+1", ".5", "5.", "1e", "--1", "١", "½", "1" * 5000, "4" + "9" * 310 + ".0"]
VALUES = [
    "null",
    "true",
    "false",
    '"1"',
    '"a"',
    "{}",
    '{"a": 1}',
    "[]",
    "[1]",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    "''",
    "undefined",
]
NAMES = ["toy", "TOY", "", " ", "toy ", "../toy", "x" * 5000, "\u0000", "\ud800", "🦊", "toy'--", "%s", "{0}"]
CHARSETS = ["utf-16", "utf-32", "utf-7", "latin-1", "cp037", "utf-8-sig", "punycode"]
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "text/plain",
    "",
    "a/b",
    "application/xml",
]
HEADERS = [
    "Content-Type",
    "Idempotency-Key",
    "Accept",
    "Accept-Encoding",
    "Content-Encoding",
    "Expect",
    "Range",
    "If-None-Match",
    "Cookie",
]


def wrong_numbers(draw):
    good = ["0.1"] * 4
    good[draw.randrange(4)] = draw.choice(NUMBERS + VALUES)
    return f'{{"model": "toy", "inputs": [{", ".join(good)}]}}'.encode("utf-8", "surrogatepass")


def wrong_shapes(draw):
    lists = [
        [0.5] * draw.choice([0, 1, 3, 4, 4, 4, 5, 64, 784])
        for _ in range(draw.choice([0, 1, 2, 3, 40, 1024, 1025, 2000]))
    ]
    for _ in range(draw.choice([0, 0, 1, 3, 60])):
        lists = [lists]
    return json.dumps({"model": "toy", "inputs": lists}).encode()


def nested(draw):
    deep = draw.choice([10, 500, 990, 1100, 20_000])
    left, right = draw.choice([("[", "]"), ('{"a":', "}"), ('{"inputs":', "}"), ("[[", "]]")])
    return (f'{{"model": "toy", "inputs": {left * deep}1{right * draw.choice([deep, 0])}}}').encode()


def wrong_fields(draw):
    said = {"model": draw.choice(NAMES), "inputs": ROW}
    for _ in range(draw.randrange(3)):
        said[draw.choice(["model", "inputs", "input", "x" * 3000, "", "shape", "\u0000"])] = draw.choice(
            [None, 1, "a", [], {}, True, [ROW]]
        )
    for name in draw.sample(sorted(said), draw.randrange(2)):
        said.pop(name)
    return json.dumps(said).encode()


def truncated(draw):
    whole = json.dumps({"model": "toy", "inputs": [ROW] * 5}).encode()
    return whole[: draw.randrange(len(whole))]


def flipped(draw):
    whole = bytearray(json.dumps({"model": "toy", "inputs": [ROW] * 2}).encode())
    for _ in range(draw.choice([1, 1, 2, 10])):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    return bytes(whole)


def other_charset(draw):
    return '{"model": "toy", "inputs": [0.1, 0.2, 0.3, 0.4]}'.encode(draw.choice(CHARSETS))


def noise(draw):
    return draw.randbytes(draw.choice([0, 1, 10, 1000, 70_000]))


def packed(draw):
    numbers = draw.randbytes(8 * draw.choice([0, 1, 3, 4, 8, 400]) + draw.choice([0, 0, 0, 1]))
    text = base64.b64encode(numbers).decode()
    shape = draw.choice(
        [
            [1, 4],
            [2, 4],
            [100, 4],
            [0, 4],
            [1, 0],
            [-1, 4],
            [1],
            [],
            [1, 4, 1],
            [4.0, 1],
            [True, 4],
            ["1", "4"],
            [10**30, 4],
            None,
        ]
    )
    return json.dumps(
        {"model": "toy", "inputs": draw.choice([text, text[:-1], text + "=", "é" + text]), "shape": shape}
    ).encode()


WAYS = [wrong_numbers, wrong_shapes, nested, wrong_fields, truncated, flipped, other_charset, noise, packed]


def headers_for(draw):
    sent = {"Content-Type": draw.choice(TYPES) if draw.random() < 0.2 else "application/json"}
    while draw.random() < 0.3:
        value = "".join(draw.choice("abc019 -_.:;,=\"'%/\\\u00ff\t") for _ in range(draw.choice([0, 1, 5, 200])))
        sent[draw.choice(HEADERS)] = value.strip().encode("latin-1")
    sent.pop("Expect", None)
    return sent


def test_a_thousand_wrong_requests_get_a_sentence_each(vault):
    draw, line, seen = random.Random(7), None, {}
    for i in range(REQUESTS):
        way = WAYS[i % len(WAYS)]
        body, headers = way(draw), headers_for(draw)
        line = line or http.client.HTTPConnection("127.0.0.1", vault.port, timeout=HANG)
        headers["Authorization"] = f"Bearer {vault.key}"
        line.request("POST", "/v1/predict", body, headers)
        reply = line.getresponse()
        text, status = reply.read(), reply.status
        if reply.will_close:
            line.close()
            line = None
        assert status in DOCUMENTED, (status, way.__name__, body[:200])
        assert b"Traceback" not in text and b'File "' not in text and b".py" not in text, text
        said = json.loads(text)
        if status == 200:
            count(vault, "/v1/predict", status, reply.headers)
        else:
            assert reply.headers["content-type"] == "application/problem+json" and said["status"] == status
            assert 10 < len(said["detail"]) < 500, said
        seen.setdefault(way.__name__, set()).add(status)
    assert len(seen) == len(WAYS) and {200, 400, 415, 422} <= set().union(*seen.values())


def test_hundreds_of_requests_that_are_hardly_http_leave_the_server_well(tmp_path, monkeypatch):
    """All at once, each with a line of its own, which the server closes: answered, refused, or 408 where more was to come."""
    monkeypatch.setattr(connection, "IDLE_SECONDS", 2.0)
    vault, draw, lines = Served(tmp_path, header_seconds=2, body_seconds=2), random.Random(11), []
    body = json.dumps({"model": "toy", "inputs": ROW})
    whole = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {vault.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()
    for _ in range(200):
        sent = bytearray(whole)
        for _ in range(draw.choice([1, 2, 5])):
            place = draw.randrange(len(sent))
            sent[place : place + draw.choice([0, 1, 3])] = draw.choice(
                [b"", b"\r\n", b"\x00", b" ", b":", b"\xff", b"HTTP/9.9", b"%", b"\r\n\r\n"]
            )
        if draw.random() < 0.3:
            sent = sent[: draw.randrange(len(sent))]
        line = socket.create_connection(("127.0.0.1", vault.port), timeout=HANG)
        with contextlib.suppress(ConnectionError):
            line.sendall(sent)
        lines.append((line, bytes(sent)))
    seen = set()
    for line, sent in lines:
        with line:
            said = read_all(line)
        for status in re.findall(rb"^HTTP/1.1 (\d+)", said):
            seen.add(int(status))
            assert int(status) in DOCUMENTED, (status, sent)
        assert b"Traceback" not in said
    assert {400, 408} <= seen
    assert any(vault.ask()[0] == 200 for _ in range(100))  # on a busy machine, 2 s may be too short for one of them
    vault.close()
