"""The vault's door: deadlines, crowds, a full table of files, and an end that finishes what was taken."""

import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from course_lib.vault import client
from course_lib.vault.http import connection, serve
from course_lib.vault.local import LocalVault, one_thread
from course_lib.vault.policy import PolicyError
from tests.vault.served import ROW, Served, read_all
from tests.waiting import HANG, until

ROOT = Path(__file__).resolve().parents[3]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor this table of files")


# ---- the crowd, without a network ----


class Line:
    """What the crowd needs of a connection."""

    def __init__(self, in_body=False):
        self.in_body, self.transport, self.said, self.closed = in_body, self, [], False

    def abort(self):
        self.closed = True

    def too_late(self):
        self.said.append(408)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def crowd():
    made = connection.Crowd(3, Clock())

    def come(**what):
        line = Line(**what)
        made.came(line)
        made.clock.now += 0.5
        return line

    made.come = come
    return made


def test_headers_have_a_deadline_and_a_body_a_later_one(crowd):
    slow, sending = crowd.come(), crowd.come(in_body=True)
    crowd.clock.now = 100.0 + connection.HEADER_SECONDS + 1
    crowd.sweep()
    assert slow.said == [408] and sending.said == []
    crowd.clock.now = 100.5 + connection.BODY_SECONDS
    crowd.sweep()
    assert sending.said == [408]


def test_whoever_trickles_headers_wins_no_time(crowd):
    slow = crowd.come()
    for _ in range(int(connection.HEADER_SECONDS)):
        crowd.clock.now += 1
        crowd.waits(slow)  # as at every first byte of a request
    crowd.sweep()
    assert slow.said == [408]


def test_whoever_does_not_read_the_answer_is_dropped(crowd):
    deaf = crowd.come()
    crowd.is_busy(deaf)
    crowd.clock.now += connection.BUSY_SECONDS
    crowd.sweep()
    assert deaf.closed and deaf not in crowd.busy


def test_the_idle_are_dropped_after_a_while(crowd):
    idle = crowd.come()
    crowd.is_busy(idle), crowd.idles(idle)
    crowd.clock.now += connection.IDLE_SECONDS - 1
    crowd.sweep()
    assert not idle.closed
    crowd.clock.now += 1
    crowd.sweep()
    assert idle.closed


def test_the_one_that_has_waited_longest_makes_room(crowd):
    lines = [crowd.come() for _ in range(3)]
    crowd.clock.now += connection.GRACE_SECONDS
    newcomer = crowd.come()
    assert [line.closed for line in lines] == [True, False, False] and not newcomer.closed


def test_the_idle_make_room_before_those_that_came_a_moment_ago(crowd):
    idle, *fresh = (crowd.come() for _ in range(3))
    crowd.is_busy(idle), crowd.idles(idle)
    crowd.come()
    assert idle.closed and not any(line.closed for line in fresh)


def test_who_is_being_answered_never_makes_room(crowd):
    busy = [crowd.come() for _ in range(3)]
    for line in busy:
        crowd.is_busy(line)
    newcomer = crowd.come()
    assert newcomer.closed and not any(line.closed for line in busy)


# ---- real sockets, in this process ----


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("vault"))
    yield served
    served.close()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A vault whose deadlines nobody keeps who is slow; on a busy machine, perhaps nobody at all."""
    served = Served(tmp_path_factory.mktemp("hasty"), header_seconds=0.6, body_seconds=1.5)
    yield served
    served.close()


def head(vault, length, more=""):
    return (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{vault.port}\r\nAuthorization: Bearer {vault.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


QUESTION = json.dumps({"model": "toy", "inputs": ROW}).encode()


def trickle(vault, data, pause):
    """Send byte after byte, until the server has enough or there is no more: what it said."""
    with socket.create_connection(("127.0.0.1", vault.port)) as line:
        line.settimeout(pause)
        with contextlib.suppress(ConnectionError):
            for byte in data:
                line.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    return line.recv(1000)
    return b""


def test_slow_headers_are_cut_off(hasty):
    said = trickle(hasty, head(hasty, 5)[:-2] + b"X: " + b"y" * 10_000, 0.05)
    assert b"408" in said.split(b"\r\n")[0] and b"application/problem+json" in said


def test_a_slow_body_is_cut_off(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=HANG) as line:
        line.sendall(head(hasty, len(QUESTION)) + QUESTION[:10])
        assert b" 408 " in read_all(line)


def test_a_silent_connection_is_closed(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=HANG) as line:
        read_all(line)  # comes to an end


def test_honest_askers_do_not_notice_the_slow_ones(vault):
    slow = [socket.create_connection(("127.0.0.1", vault.port)) for _ in range(50)]
    for i, line in enumerate(slow):
        line.sendall(head(vault, 10)[: 20 + i])
    try:
        assert [vault.ask()[0] for _ in range(20)] == [200] * 20
    finally:
        for line in slow:
            line.close()


def test_endless_headers_are_cut_off(vault):
    with socket.create_connection(("127.0.0.1", vault.port), timeout=HANG) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(head(vault, 5)[:-2] + b"X: " + b"y" * (1 << 20))
        said = read_all(line)
    assert said == b"" or b" 431 " in said


def behind(vault):
    """A connection that has sent, in one packet, a whole request and the first line of the next."""
    for _ in range(100):
        line = socket.create_connection(("127.0.0.1", vault.port), timeout=HANG)
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HTTP/1.1\r\n")
        if b" 200 " in line.recv(10_000):
            return line
        line.close()  # a busy machine was late even with the first
    raise AssertionError("no whole request was answered")


def test_endless_headers_behind_a_whole_request_are_cut_off(vault):
    with behind(vault) as line:
        try:
            line.sendall(b"A: b\r\n" * 20_000)
            said = line.recv(10_000)  # no word at all is a TimeoutError
        except ConnectionError:
            said = b""
    assert said == b"" or b" 431 " in said


def test_slow_headers_behind_a_whole_request_are_cut_off(hasty):
    with behind(hasty) as line:
        assert b" 408 " in line.recv(10_000)


def test_what_is_not_http_gets_a_400_as_a_problem(vault):
    said = vault.raw(b"EHLO vault\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in said and said.endswith(b"}")


def test_one_connection_serves_many_questions_also_when_they_come_in_one_packet(vault):
    line = http.client.HTTPConnection("127.0.0.1", vault.port)
    assert [vault.ask(line=line)[0] for _ in range(3)] == [200] * 3
    request = head(vault, len(QUESTION)) + QUESTION
    said = vault.raw(request * 3, until=lambda said: said.count(b"HTTP/1.1 200") == 3)
    assert said.count(b"HTTP/1.1 200") == 3


def test_an_early_refusal_leaves_the_connection_in_order(vault):
    """Refused on its headers alone; what is left of that request is not taken for the next one."""
    length = 200_000
    bad = head(vault, length).replace(vault.key.encode(), b"vk_wrong")
    request = head(vault, len(QUESTION), "Connection: close\r\n") + QUESTION
    said = vault.raw(bad + b"GET /healthz HTTP/1.1\r\n\r\n".ljust(length) + request)
    codes = [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"401", b"200"] or codes == [b"401"]


def test_two_hundred_at_once_are_answered(vault):
    results = []

    def one():
        results.append(vault.ask()[0])

    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert results == [200] * 200


def test_stopping_finishes_what_was_taken(tmp_path):
    served = Served(tmp_path)
    results, start = [], threading.Barrier(21)

    def one():
        line = http.client.HTTPConnection("127.0.0.1", served.port)
        start.wait()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                results.append(served.ask(line=line)[0])

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    start.wait()
    until(lambda: len(results) >= 200, lambda: any(thread.is_alive() for thread in threads))
    served.app.stop()
    for thread in threads:
        thread.join(HANG)
    served.thread.join(HANG)
    assert set(results) == {200} and served.answered() == len(results)
    served.service.close()


def test_a_port_that_is_listened_on_is_not_given_twice():
    with serve.listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError):
            serve.listen("127.0.0.1", port)


# ---- the child process ----


def settings(folder, **more):
    said = {"folder": str(folder), "class": "demo", "data": "digits", "policy": None, "control": "c"}
    said |= {"deadlines": {"header_seconds": HANG, "body_seconds": HANG}}  # a busy machine may be slow to ask
    return json.dumps(said | {"keys": {"ada": {"accepted": True}}} | more) + "\n"


@contextlib.contextmanager
def child(folder, command=(sys.executable, "-m", "course_lib.vault.local"), **more):
    """(process, what it said when it was ready)."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | one_thread()
    )
    try:
        process.stdin.write(settings(folder, **more))
        process.stdin.flush()
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def port_of(said):
    return int(said["address"].rpartition(":")[2])


def ask(said, line=None, rows=1, **headers):
    line = line or http.client.HTTPConnection("127.0.0.1", port_of(said), timeout=HANG)
    body = json.dumps({"model": "digits-linear", "inputs": [[0.5] * 64] * rows})
    headers = {"Authorization": f"Bearer {said['keys']['ada']}", "Content-Type": "application/json", **headers}
    line.request("POST", "/v1/predict", body, headers)
    reply = line.getresponse()
    reply.read()
    return reply.status


@POSIX
def test_sigterm_finishes_what_was_taken_and_ends_well(tmp_path):
    with child(tmp_path) as (process, said):
        answered, lock = [], threading.Lock()

        def one(who):
            line, n = http.client.HTTPConnection("127.0.0.1", port_of(said), timeout=HANG), 0
            with contextlib.suppress(OSError, http.client.HTTPException):
                while ask(said, line, rows=16, **{"Idempotency-Key": f"{who}-{n}"}) == 200:
                    with lock:
                        answered.append(f"{who}-{n}")
                    n += 1

        threads = [threading.Thread(target=one, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(answered) >= 50, lambda: any(thread.is_alive() for thread in threads))
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG) == 0
        for thread in threads:
            thread.join(HANG)
    db = sqlite3.connect(tmp_path / "vault.db")
    found = {name for (name,) in db.execute("SELECT request_id FROM requests WHERE status = 200")}
    db.close()
    assert found == set(answered)


@POSIX
def test_as_many_idle_connections_as_there_are_files_do_not_stop_an_honest_client(tmp_path):
    """The child may hold 200 files; 400 connections that say nothing come, and keep coming."""
    command = ["bash", "-c", f"ulimit -n 200; exec {sys.executable} -m course_lib.vault.local"]
    with child(tmp_path, command) as (process, said):
        kept = http.client.HTTPConnection("127.0.0.1", port_of(said), timeout=HANG)
        idle, statuses = [], [ask(said, kept)]
        try:
            for _ in range(4):
                for _ in range(100):
                    idle.append(socket.create_connection(("127.0.0.1", port_of(said)), timeout=HANG))
                statuses.append(ask(said))
            assert statuses == [200] * 5 and process.poll() is None
            assert len(os.listdir(f"/proc/{process.pid}/fd")) < 200 if Path("/proc/self/fd").exists() else True
        finally:
            for line in idle:
                line.close()
        assert ask(said) == 200


@POSIX
def test_where_no_file_is_left_it_recovers(tmp_path):
    """Its files are taken away from it while it runs."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can take files away from another process")
    with child(tmp_path) as (process, said):
        open_files = len(os.listdir(f"/proc/{process.pid}/fd"))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_files + 20, open_files + 20))
        idle = [socket.create_connection(("127.0.0.1", port_of(said)), timeout=HANG) for _ in range(60)]
        try:
            assert ask(said) == 200
        finally:
            for line in idle:
                line.close()
        assert ask(said) == 200


@POSIX
def test_the_child_ends_when_its_parent_is_killed(tmp_path):
    code = (
        "import sys, time; from course_lib.vault.local import LocalVault; "
        f"v = LocalVault(folder={str(tmp_path)!r}); print(v.process.pid, flush=True); time.sleep(3600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # nobody may be there to bury it
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_vault_of_ones_own_has_its_folder_and_takes_it_along(tmp_path):
    import numpy as np

    with LocalVault(keys={"red": {"budget": 300}, "blue": {}}, policy="[output]\ndecimals = 2\n") as vault:
        oracle = vault.oracle("red")
        answers = oracle(np.random.default_rng(0).random((300, 1, 8, 8)))
        assert answers.shape == (300, 10) and oracle.budget_left == 0
        assert vault.state()["totals"]["rows"] == 300 and vault.ledger.exists()
        vault.set_policy('[output]\nkind = "label"\n')
        assert set(vault.oracle(vault.new_key("green"))(np.zeros((1, 64))).ravel()) == {0.0, 1.0}
        folder, process = vault.folder, vault.process
    assert not folder.exists() and process.returncode == 0


def test_a_vault_that_cannot_start_says_why():
    with pytest.raises(PolicyError, match="line 2.*decimals"):
        LocalVault(policy="[output]\ndecimal = 2\n")


def test_an_instructors_call_is_answered_after_the_vault_has_hung_up_on_the_one_before():
    class HangsUp(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # the line stays open, as far as the caller is told

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            self.close_connection = True

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HangsUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell = client.over(f"http://127.0.0.1:{server.server_port}", "word")
        assert [tell("state") for _ in range(3)] == [{}, {}, {}]
        server.shutdown()
