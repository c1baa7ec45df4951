"""Nobody gets in: keys, scopes, classes, hosts, paths and headers; and nothing of a key stays behind."""

import http.client
import json
import logging
import re
import socket

import pytest

from course_lib.vault import addresses, keyring
from course_lib.vault.http import app
from course_lib.vault.http.desk import desk
from tests.vault.asking import ask as asked_from
from tests.vault.served import ROW, Served
from tests.vault.world import World

INSTRUCTORS = ("state", "keys", "cohort", "revoke", "lift", "expire", "pause", "policy", "forget", "stop")
QUESTION = {"model": "toy", "inputs": ROW}


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("vault"))
    yield served
    served.close()


def every_call():
    """(method, path, body) of everything that takes a key."""
    asks = [("GET", f"/v1/{name}", None) for name in ("models", "usage", "policy")]
    asks += [("POST", "/v1/predict", QUESTION), ("POST", "/v1/rules/accept", {})]
    return asks + [("POST", f"/v1/instructor/{name}", {}) for name in INSTRUCTORS]


# ---- the key ----


@pytest.mark.parametrize(("method", "path", "body"), every_call())
def test_without_a_key_nothing_opens(vault, method, path, body):
    status, headers, said = vault.call(method, path, body, key=None)
    assert status == 401 and headers["www-authenticate"].startswith("Bearer") and said["status"] == 401


def wrong_keys(vault):
    """Keys that look like one, and are none of this vault's."""
    good = vault.key
    other = keyring.new_token("demo")
    return {
        "of nobody": other,
        "of another class": keyring.new_token("another"),
        "with a slip": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "cut short": good[:-1],
        "with more": good + "x",
        "in capitals": good.upper(),
        "with a zero byte": good[:10] + "%00" + good[10:],
        "empty": "",
        "a hash": keyring.hashed(good).hex(),
        "SQL": "' OR 1=1 --",
        "very long": "vk_" + "a" * 20_000,
    }


@pytest.mark.parametrize("kind", [*wrong_keys(type("V", (), {"key": keyring.new_token("demo")}))])
@pytest.mark.parametrize(("method", "path", "body"), every_call())
def test_a_wrong_key_opens_nothing(vault, kind, method, path, body):
    assert (
        vault.call(method, path, body, headers={"Authorization": f"Bearer {wrong_keys(vault)[kind]}"}, key=None)[0]
        == 401
    )


@pytest.mark.parametrize(
    "header",
    [
        "{key}",
        "Basic {key}",
        "bearer",
        "Bearer",
        "Bearer\t{key}",
        "Bearer {key} {key}",
        "Bearer {key},Bearer {key}",
        "Token {key}",
    ],
)
def test_a_key_in_another_form_opens_nothing(vault, header):
    sent = {"Authorization": header.format(key=vault.key)}
    assert vault.call("GET", "/v1/usage", key=None, headers=sent)[0] == 401


def test_two_keys_at_once_open_nothing(vault):
    request = (
        f"GET /v1/usage HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {vault.key}\r\n"
        f"Authorization: Bearer {keyring.new_token('demo')}\r\nConnection: close\r\n\r\n"
    )
    assert vault.raw(request.encode()).startswith(b"HTTP/1.1 401 ")


def test_a_key_anywhere_else_opens_nothing(vault):
    for path in (f"/v1/usage?key={vault.key}", f"/v1/usage?access_token={vault.key}", f"/v1/usage#{vault.key}"):
        assert vault.call("GET", path, key=None)[0] == 401
    sent = {"Cookie": f"key={vault.key}", "X-Api-Key": vault.key, "Proxy-Authorization": f"Bearer {vault.key}"}
    assert vault.call("GET", "/v1/usage", key=None, headers=sent)[0] == 401


def test_a_revoked_key_opens_nothing_also_in_mid_stream(vault):
    key = vault.new_key("soon gone")
    line = http.client.HTTPConnection("127.0.0.1", vault.port)
    assert vault.ask(key=key, line=line, headers={"Idempotency-Key": "first"})[0] == 200
    vault.service.revoke(vault.service.identify(key).id)
    for method, path, body in every_call():
        assert vault.call(method, path, body, key=key, line=line)[0] == 403
    status, _, said = vault.ask(key=key, line=line, headers={"Idempotency-Key": "first"})
    assert status == 403 and "revoked" in said["detail"]


def test_an_expired_key_opens_nothing(vault):
    key = vault.new_key("for an hour", expires=vault.clock() + 3600)
    assert vault.ask(key=key)[0] == 200
    vault.clock.now += 3600
    status, _, said = vault.ask(key=key)
    assert status == 403 and "expired" in said["detail"]


def test_when_the_class_is_over_no_learners_key_opens(tmp_path):
    served = Served(tmp_path)
    try:
        assert served.call("POST", "/v1/instructor/expire", {}, key=served.control)[0] == 200
        assert served.ask()[0] == 403
    finally:
        served.close()


# ---- the scope ----


@pytest.mark.parametrize("name", INSTRUCTORS)
@pytest.mark.parametrize("scope", ["predict", "submit", "predict submit"])
def test_a_learners_key_is_no_instructors(vault, name, scope):
    key = vault.new_key(f"learner {scope} {name}", scope=scope)
    status, _, said = vault.call("POST", f"/v1/instructor/{name}", {"paused": True}, key=key)
    assert status == 403 and "instructor" in said["detail"] and not vault.service.paused


def test_an_instructors_key_and_a_submitters_ask_no_questions(vault):
    for key in (vault.teacher, vault.new_key("hands in", scope="submit")):
        assert vault.ask(key=key)[0] == 403


def test_the_servers_own_word_is_no_key(vault):
    assert vault.ask(key=vault.control)[0] == 401 and vault.call("GET", "/v1/usage", key=vault.control)[0] == 401


def test_a_word_that_is_not_set_opens_nothing(tmp_path):
    served = Served(tmp_path, control=None)
    try:
        for word in ("None", "", "null"):
            assert (
                served.call("POST", "/v1/instructor/state", {}, headers={"Authorization": f"Bearer {word}"}, key=None)[
                    0
                ]
                == 401
            )
    finally:
        served.close()


# ---- who is asking ----


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("10.255.255.255", 9))
            return way.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.parametrize(
    ("client", "here"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.7", False)]
    + [
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::ffff:192.168.1.7", False),
        ("fe80::1", False),
        ("", False),
        ("unix", False),
    ],
)
def test_this_computer_is_known_by_its_connection(client, here):
    assert addresses.is_loopback({"client": (client, 5)}) is here
    assert addresses.is_loopback({"client": None}) is False


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "Via"]
)
def test_no_header_moves_an_asker_to_this_computer_or_away(vault, header):
    """The instructor's calls look at the connection; the ledger's address does, too."""
    value = "for=203.0.113.9" if header == "Forwarded" else "203.0.113.9"
    assert vault.call("POST", "/v1/instructor/state", {}, key=vault.teacher, headers={header: value})[0] == 200
    assert vault.ask(headers={header: value})[0] == 200
    reader = vault.service.ledger.reader()
    seen = {row[0] for row in reader.execute("SELECT DISTINCT address FROM requests")}
    reader.close()
    assert seen == {"127.0.0.0/24"}


def test_an_instructor_from_another_computer_is_refused():
    """The same route, asked by the ASGI scope of another computer's connection."""
    import asyncio

    class Nobody:
        class_name, deliver = "demo", None

        @property
        def door(self):
            return self

        def __getattr__(self, name):
            return lambda *_, **__: None

    made, said = app.App(Nobody(), control="word", lan=True), []

    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"{}"}

        async def send(message):
            said.append(message)

        headers = [
            (b"host", b"192.168.1.5"),
            (b"authorization", b"Bearer word"),
            (b"content-type", b"application/json"),
        ]
        headers += [(b"x-forwarded-for", b"127.0.0.1")]
        scope = {"type": "http", "method": "POST", "path": "/v1/instructor/stop", "raw_path": b"", "query_string": b""}
        await made(scope | {"headers": headers, "client": ("192.168.1.7", 5), "root_path": ""}, receive, send)

    asyncio.run(ask())
    assert said[0]["status"] == 403 and b"loopback-only" in said[1]["body"]


# ---- the host, the path, the request ----


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "8.8.8.8",
        "",
        "a b",
    ]
    + ["[::1", "127.0.0.1@evil.example", "127.0.0.1:8700:9", "2130706433", "0x7f.1", "0.0.0.0", "[fe80::1]", "vault"],
)
def test_another_host_is_another_server(vault, host):
    """A page of another site reaches this computer only under that site's name: DNS rebinding."""
    said = vault.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 4(21|00) ", said), said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}"])
def test_our_own_names_are_ours(vault, host):
    host = host.format(port=vault.port)
    said = vault.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 200 ")


def test_on_a_lan_private_addresses_and_our_name_are_ours_and_no_other(tmp_path):
    served = Served(tmp_path, lan=True)
    try:
        ours = served.app.ours
        assert ours("192.168.1.5:8700") and ours("10.0.0.9") and ours(socket.gethostname()) and ours("localhost")
        assert not ours("8.8.8.8") and not ours("evil.example") and not ours("0.0.0.0") and not ours("169.254.1.1")
    finally:
        served.close()


@pytest.mark.parametrize(
    ("client", "status"),
    [("127.0.0.1", 200), ("192.168.1.7", 200), ("10.0.0.9", 200), ("fd00::1", 200), ("::ffff:10.0.0.9", 200)]
    + [
        ("8.8.8.8", 403),
        ("::ffff:8.8.8.8", 403),
        ("169.254.1.1", 403),
        ("100.64.0.1", 403),
        ("2001:db8::1", 403),
        ("", 403),
    ],
)
def test_an_asker_from_the_internet_is_refused(vault, client, status):
    """By its connection: --lan listens on every network that the computer is on."""
    for path in ("/", "/healthz", "/v1/rules"):
        said = asked_from(vault.app, "GET", path, client=(client, 5))
        assert said.status == status, path
    body = {"model": "toy", "inputs": [ROW]}
    said = asked_from(vault.app, "POST", "/v1/predict", body, {"x-forwarded-for": "10.0.0.9"}, client=(client, 5))
    assert said.status == (401 if status == 200 else 403)
    if status == 403:
        assert "private networks, and no other" in said.json()["detail"]


def test_no_host_and_two_hosts_are_refused(vault):
    for lines in ("", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"):
        said = vault.raw(f"GET /healthz HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 4(21|00) ", said)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/static/../vault.db",
        "/static/..%2f..%2fvault.db",
        "/static/%2e%2e/%2e%2e/vault.db",
        "/vault.db",
    ]
    + ["/static//etc/passwd", "/policy.toml", "/server.json", "/static/%00", "/static/....//", "/static\\..\\vault.db"]
    + [
        "/v1/instructor/../usage",
        "/v1/instructor/%73tate/",
        "/V1/USAGE",
        "/v1/usage/",
        "/v1/usage%20",
        "/v1//usage",
        "//v1/usage",
    ],
)
def test_no_path_leads_anywhere_else(vault, path):
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {vault.key}\r\nConnection: close\r\n\r\n"
    )
    said = vault.raw(request.encode())
    assert re.match(rb"HTTP/1.1 40[045] ", said) and b"SQLite" not in said and b"root:" not in said


def test_a_reply_sends_nobody_elsewhere_and_is_kept_by_nobody(vault):
    for method, path, body in every_call():
        _, headers, _ = vault.call(method, path, body)
        assert headers["location"] is None and headers["set-cookie"] is None
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert headers["server"] is None and headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
    ]
    + [
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 1e3\r\n",
        "Content Length: 5\r\n",
        "X: a\r\n b: c\r\n",
    ],
)
def test_a_request_of_two_lengths_hides_no_second_one(vault, lines):
    """Request smuggling: nothing behind it is answered."""
    before = vault.answered()
    body = json.dumps(QUESTION)
    hidden = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {vault.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    start = f"POST /v1/rules/accept HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {vault.key}\r\n{lines}\r\n0\r\n\r\n"
    assert vault.raw((start + hidden).encode()).startswith(b"HTTP/1.1 400 ")  # and the line is closed
    assert vault.answered() == before


def test_a_name_cannot_write_a_header(vault):
    """Response splitting: what an asker names comes back in the body alone."""
    for name in ("a\r\nSet-Cookie: x=1", "a%0d%0aSet-Cookie: x=1"):
        status, headers, _ = vault.ask(headers={"Idempotency-Key": name.replace("\r\n", "")})
        assert status == 400 and headers["set-cookie"] is None


def test_no_method_is_a_way_round(vault):
    for method in ("OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PUT", "PATCH", "DELETE"):
        said = vault.raw(f"{method} /v1/usage HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 4", said), method
        assert vault.key.encode() not in said
    sent = {"X-HTTP-Method-Override": "GET"}
    assert vault.call("POST", "/v1/usage", {}, headers=sent)[0] == 405


def test_an_upgrade_to_another_protocol_is_not_made(vault):
    lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    said = vault.raw(
        f"GET /v1/usage HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode(), until=lambda said: b"\r\n" in said
    )
    assert said.startswith(b"HTTP/1.1 401 ")  # as without the upgrade; 101 would be one


# ---- nothing stays behind ----


def test_comparisons_tell_no_time(vault, monkeypatch):
    """Each comparison with a secret goes through compare_digest, which takes the same time wherever they differ."""
    import hmac
    import secrets

    compared, compare = [], hmac.compare_digest

    def spy(a, b):
        compared.append({a, b})
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    monkeypatch.setattr(secrets, "compare_digest", spy)
    for word in (vault.control, vault.control[:-1] + "~"):
        status = vault.call("POST", "/v1/instructor/state", {}, key=word)[0]
        assert status == (200 if word == vault.control else 401)
        assert {word.encode(), vault.control.encode()} in compared

    looked_up, ring = [], vault.service.keyring

    class Watched(dict):
        def get(self, name, *default):
            looked_up.append(name)
            return super().get(name, *default)

    monkeypatch.setattr(ring, "by_hash", Watched(ring.by_hash))
    assert vault.ask()[0] == 200
    assert set(looked_up) == {keyring.hashed(vault.key)}  # looked up by its hash, never by itself
    compared.clear()
    assert vault.ask(key=vault.key[:-1] + ("0" if vault.key[-1] != "0" else "1"))[0] == 401
    assert compared  # the checksum, too


def test_no_key_is_in_any_log_or_file(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    served = Served(tmp_path)
    secrets = [served.key, served.teacher, served.control]
    try:
        for key in secrets:
            for method, path, body in every_call():
                if not path.endswith("stop"):
                    served.call(method, path, body, key=key)
            served.raw(
                f"GET /{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nBad Header\r\n\r\n".encode()
            )
        served.service.door.ask = lambda *_, **__: (
            1 / 0
        )  # a mistake of ours: it is told in the log, without what was sent
        assert served.ask()[0] == 500
    finally:
        served.close()
    out, err = capfd.readouterr()
    written = caplog.text + out + err + "".join(path.read_bytes().decode("latin-1") for path in tmp_path.iterdir())
    assert "ZeroDivisionError" in caplog.text
    for secret in secrets:
        assert secret not in written and secret[10:-7] not in written


def test_a_mistake_of_ours_is_told_without_its_inside(tmp_path):
    served = Served(tmp_path)
    try:
        served.service.door.ask = served.service.usage = lambda *_, **__: 1 / 0
        for status, headers, said in (served.ask(), served.call("GET", "/v1/usage")):
            assert status == 500 and headers["content-type"] == "application/problem+json"
            assert "ZeroDivision" not in str(said) and "Traceback" not in str(said) and ".py" not in str(said)
    finally:
        served.close()


def test_a_whole_class_behind_one_address_is_no_suspect(tmp_path):
    """Forty keys from one address, under a policy that blocks: nobody is refused, and nobody is unusual."""
    served = Served(tmp_path)
    try:
        off = "coverage = 0\nprada_delta = 0\nood_share = 0\nduplicate_share = 0\n"
        monitor = f'[monitor]\naction = "block"\nper = "both"\nvolume = 3\n{off}'
        served.service.set_policy(f'[identity]\ncohort_by = "address"\n{monitor}')
        for i in range(40):
            key = served.new_key(f"learner {i}")
            assert [served.ask([ROW], key=key)[0] for _ in range(3)] == [200] * 3
        state = served.service.snapshot()
        assert state["totals"]["refused"] == 0 and state["alarms"] == []
        assert served.ask([ROW], key=key)[0] == 403  # a fourth of one key, in an hour
    finally:
        served.close()


def test_a_clock_that_goes_back_opens_no_expired_key(vault):
    key = vault.new_key("an hour", expires=vault.clock() + 3600)
    vault.clock.now += 3600
    assert vault.ask(key=key)[0] == 403
    vault.clock.now -= 7200
    assert vault.ask(key=key)[0] == 403
    vault.clock.now += 7200


@pytest.mark.parametrize("how", ["nothing happened since", "somebody asked", "the class ended", "killed"])
def test_a_clock_that_goes_back_before_a_restart_opens_no_expired_key(tmp_path, how):
    w = World(tmp_path)
    hour, other = w.key("an hour", expires=w.clock() + 3600), w.key("another")
    w.clock.now += 3700
    if how == "somebody asked":
        w.ask(token=other)
    elif how == "the class ended":
        w.service.expire("test")
    elif how == "killed":
        assert w.status(token=hour) == (403, "key-expired")
        w.service.ledger.set_clock = lambda now: None  # it never came to its end
    w.service.close()
    w.clock.now -= 86_400
    w.open()
    assert w.status(token=hour) == (403, "key-expired")
    assert w.status(token=other)[0] == (403 if how == "the class ended" else 200)
    assert w.service.behind > 80_000
    w.service.close()


def test_a_clock_that_was_far_ahead_once_locks_no_class_out_for_ever(tmp_path):
    w = World(tmp_path)
    w.clock.now += 4 * 365 * 86_400
    w.ask()
    w.clock.now -= 4 * 365 * 86_400
    w.restart()
    assert w.status() == (200, None)  # a key that ends with the class
    said = desk(w.service)["keys"]({"pseudonym": "bo", "hours": 1})
    w.service.accept_rules(said["key"])
    assert w.status(token=said["key"]) == (200, None)
    w.clock.now += 3601
    assert w.status(token=said["key"]) == (403, "key-expired")
    w.service.close()
