"""Files arrive whole, from real HTTP servers on loopback that behave badly."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from course_lib.data.fetch import fetch
from course_lib.files import DataError
from tests.waiting import HANG, until

BYTES = b"".join(hashlib.sha256(bytes([a, b])).digest() for a in range(64) for b in range(256))  # 524,288 bytes
MD5 = hashlib.md5(BYTES).hexdigest()
HALF = len(BYTES) // 2


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, asked = self.path.strip("/"), self.headers.get("Range")
        self.server.asked.append((kind, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and kind != "ignores-range" else 0
        if kind == "missing":
            return self.send_error(404)
        if start >= len(BYTES):
            return self.send_error(416)
        body = BYTES[start:] if kind != "lies" else bytes(len(BYTES) - start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BYTES) - 1}/{len(BYTES)}")
        if kind != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "together":
            self.server.barrier.wait()
        if kind == "truncates":
            body = body[:100_000]
        if kind == "stalls":
            self.wfile.write(body[: HALF - start])
            self.server.half_sent.set()
            self.server.over.wait()
            return None
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.over, server.half_sent = [], threading.Event(), threading.Event()
    server.barrier = threading.Barrier(2, timeout=HANG)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.url = lambda *kinds: [f"http://127.0.0.1:{server.server_port}/{kind}" for kind in kinds]
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def arrived(path):
    """The file is whole, and nothing else lies beside it."""
    return path.read_bytes() == BYTES and [*path.parent.iterdir()] == [path]


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch(tmp_path / "sub" / "file.gz", server.url("good"), MD5)
    assert arrived(path)
    assert fetch(path, server.url("good"), MD5) == path and len(server.asked) == 1


def test_a_server_that_breaks_off_is_asked_for_the_rest(server, tmp_path):
    assert arrived(fetch(tmp_path / "file.gz", server.url("truncates"), MD5))
    assert [asked for _, asked in server.asked] == [None, *(f"bytes={n}00000-" for n in range(1, 6))]


@pytest.mark.parametrize("kind", ["good", "ignores-range", "no-length"])
def test_what_an_earlier_download_left_is_continued(server, tmp_path, kind):
    (tmp_path / "file.gz.part").write_bytes(BYTES[:HALF])
    assert arrived(fetch(tmp_path / "file.gz", server.url(kind), MD5))
    assert server.asked == [(kind, f"bytes={HALF}-")]


def test_a_bad_beginning_is_not_continued_for_ever(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(bytes(HALF))
    assert arrived(fetch(tmp_path / "file.gz", server.url("good"), MD5))
    assert server.asked == [("good", f"bytes={HALF}-"), ("good", None)]


@pytest.mark.parametrize("left", [BYTES, BYTES + b"more"])
def test_a_part_that_is_whole_or_too_long_is_judged_by_its_checksum(server, tmp_path, left):
    (tmp_path / "file.gz.part").write_bytes(left)
    assert arrived(fetch(tmp_path / "file.gz", server.url("good"), MD5))


class HalfPatient:
    """A server's answer, whose silence before half of the file has come is a busy machine's, and has no limit."""

    def __init__(self, answer, patience):
        self.answer, self.headers, self.patience = answer, answer.headers, patience
        self.left = HALF - int((answer.headers["Content-Range"] or "bytes 0-").split()[1].partition("-")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()

    def read1(self, most):
        self.answer.fp.raw._sock.settimeout(HANG if self.left else self.patience)
        block = self.answer.read1(min(most, self.left or most))
        self.left -= len(block)
        return block


def half_patient(request, timeout):
    answer = urlopen(request, timeout=HANG)
    return HalfPatient(answer, timeout) if request.full_url.endswith("stalls") else answer


@pytest.mark.parametrize("kind", ["missing", "lies", "stalls"])
def test_the_next_mirror_is_asked(server, tmp_path, kind, monkeypatch):
    monkeypatch.setattr("course_lib.data.fetch.urlopen", half_patient)
    assert arrived(fetch(tmp_path / "file.gz", server.url(kind, "good"), MD5, patience=0.3))
    assert server.asked[-1] == ("good", f"bytes={HALF}-" if kind == "stalls" else None)


def test_failing_everywhere_says_why_and_what_to_do(server, tmp_path):
    with pytest.raises(DataError) as error:
        fetch(tmp_path / "file.gz", server.url("missing", "lies"), MD5)
    for words in ("404", "other bytes", str(tmp_path / "file.gz"), MD5):
        assert words in str(error.value)
    assert not [*tmp_path.iterdir()]


def test_offline_is_said_in_words(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody listens here
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.gz"
        with pytest.raises(DataError, match="(?i)could not be downloaded .*refused.*put the file here"):
            fetch(tmp_path / "file.gz", [url], MD5)


def test_a_damaged_file_is_named_and_fetched_again(server, tmp_path, capsys):
    (tmp_path / "file.gz").write_bytes(BYTES[:-1] + b"?")
    assert arrived(fetch(tmp_path / "file.gz", server.url("good"), MD5))
    assert f"{tmp_path / 'file.gz'} is damaged" in capsys.readouterr().out


def child(path, url):
    code = f"from course_lib.data.fetch import fetch; fetch({str(path)!r}, [{url!r}], {MD5!r})"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process alone")
def test_ctrl_c_keeps_what_came(server, tmp_path):
    process = child(tmp_path / "file.gz", server.url("stalls")[0])
    assert server.half_sent.wait(HANG)
    until(lambda: any(part.stat().st_size == HALF for part in tmp_path.iterdir()), lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=HANG)
    assert process.returncode != 0 and "Stopped. 0.3 MB of file.gz are kept" in out
    assert arrived(fetch(tmp_path / "file.gz", server.url("good"), MD5))
    assert server.asked[-1] == ("good", f"bytes={HALF}-")


def test_two_processes_do_not_disturb_each_other(server, tmp_path):
    both = [child(tmp_path / "file.gz", server.url("together")[0]) for _ in range(2)]
    errors = [process.communicate(timeout=HANG)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert arrived(tmp_path / "file.gz")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tiny disk can be mounted by root on Linux only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["good", "no-length"])  # seen beforehand, or while writing
def test_a_full_disk_is_said_in_words_and_freed_again(server, small_disk, kind):
    with pytest.raises(DataError, match="the disk is full"):
        fetch(small_disk / "file.gz", server.url(kind), MD5)
    assert not [*small_disk.iterdir()]
