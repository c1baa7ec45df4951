"""`course lab`: a real server, asked over real HTTP, with a workspace and Jupyter folders of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from course_lib.command import lab
from course_lib.command.environment import Refused
from tests.waiting import HANG, until

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted(path.name for path in (ROOT / "lessons").glob("[0-9][0-9]_*.ipynb"))
TOKEN = "a-token-for-this-test"


def command(*arguments):
    return [sys.executable, "-m", "course_lib", "lab", "--no-browser", *arguments]


def get(address):
    request = urllib.request.Request(address, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=HANG) as answer:
        return answer.geturl(), answer.read().decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def settings(place):
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "COURSE_WORKSPACE")
    return {**os.environ, **{name: str(place / name) for name in own}}


@pytest.fixture(scope="module")
def port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@pytest.fixture(scope="module")
def server(place, settings, port):
    """The first `course lab`, ready; it is stopped as a supervisor would stop it.

    server.impatient: the same command, typed again as soon as the first has left its note, ready or not.
    """
    asked = command("01", f"--port={port}", f"--IdentityProvider.token={TOKEN}", "--ServerApp.terminals_enabled=False")
    with open(place / "said", "w") as said:
        process = subprocess.Popen(asked, cwd=ROOT, env=settings, stdout=said, stderr=subprocess.STDOUT)
    note = place / "COURSE_WORKSPACE" / ".lab.json"
    until(lambda: note.exists() or process.poll() is not None)
    process.impatient = subprocess.Popen(
        command(), cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until(lambda: "To stop" in (place / "said").read_text() or process.poll() is not None)  # it says when it is ready
    assert process.poll() is None, (place / "said").read_text()
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(HANG)


def test_the_address_that_is_printed_opens_the_learners_copy(server, place, port):
    (address,) = re.findall(r"http://\S+", (place / "said").read_text())
    name = LESSONS[1] if LESSONS[0].startswith("00") else LESSONS[0]
    assert address.endswith(f":{port}/lab/tree/{name}?token={TOKEN}")
    assert get(f"http://127.0.0.1:{port}/")[0].endswith(f"/lab/tree/{name}")
    stored = json.loads(get(f"http://127.0.0.1:{port}/api/contents/{name}")[1])["content"]["cells"]
    copy = json.loads((place / "COURSE_WORKSPACE" / name).read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in stored] == [cell["id"] for cell in copy] != []


def test_other_options_reach_jupyter(server, port):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"http://127.0.0.1:{port}/api/terminals")


def test_the_work_is_saved_every_ten_seconds_and_no_news_are_fetched(server, port):
    settings = f"http://127.0.0.1:{port}/lab/api/settings/@jupyterlab"
    manager = json.loads(get(f"{settings}/docmanager-extension:plugin")[1])["schema"]["properties"]
    assert manager["autosaveInterval"]["default"] == 10
    news = json.loads(get(f"{settings}/apputils-extension:notification")[1])["schema"]["properties"]
    assert news["fetchNews"]["default"] == "false"


def test_a_second_lab_joins_the_first_and_shows_the_lesson_it_was_asked_for(server, settings, port):
    done = subprocess.run(
        command(LESSONS[-1][:2]), cwd=ROOT, env=settings, capture_output=True, text=True, encoding="utf-8", timeout=HANG
    )
    assert done.returncode == 0, done.stderr
    assert "running already" in done.stdout and f":{port}/lab/tree/{LESSONS[-1]}?token={TOKEN}" in done.stdout
    assert len(list(Path(settings["JUPYTER_RUNTIME_DIR"]).glob("jpserver-*.json"))) == 1


def test_a_lab_that_is_typed_again_at_once_joins(server, port):
    said, _ = server.impatient.communicate(timeout=HANG)
    assert server.impatient.returncode == 0, said
    assert f":{port}/lab/tree/{LESSONS[0]}?token={TOKEN}" in said


def test_a_server_that_is_still_starting_is_waited_for_and_one_that_ended_is_not(place, monkeypatch, capsys):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    note, looks = place / "starting.json", iter([None, None, None, {"url": "http://127.0.0.1/"}])
    monkeypatch.setattr(lab, "described", lambda file: next(looks))
    note.write_text(json.dumps({"server": str(place / f"jpserver-{ended.pid}.json"), "started": time.time()}))
    assert lab.running(note) is None and capsys.readouterr().out == ""
    note.write_text(json.dumps({"server": str(place / f"jpserver-{os.getpid()}.json"), "started": time.time()}))
    assert lab.running(note) == {"url": "http://127.0.0.1/"}
    assert "started a moment ago" in capsys.readouterr().out


def test_a_slow_server_is_said_to_be_slow_and_greeted_all_the_same(place, monkeypatch, capsys):
    looks = iter([None, None, {"url": "http://127.0.0.1:1/", "token": ""}])
    monkeypatch.setattr(lab, "described", lambda file: next(looks))
    monkeypatch.setattr(lab, "PATIENCE_SECONDS", -1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
        lab.greet(server, place / "jpserver.json", "01.ipynb", place, browser=False)
    said = capsys.readouterr().out
    assert said.count("has not answered") == 1 and "http://127.0.0.1:1/lab/tree/01.ipynb" in said


def test_a_port_that_is_taken_and_a_lesson_that_is_not_there_are_said_in_a_sentence(server, port):
    with pytest.raises(Refused, match=f"Port {port} was asked for, and another program has it"):
        lab.free_port(port)
    with pytest.raises(Refused, match=rf"'99' came. The lessons that are here: .*{LESSONS[-1][:2]}"):
        lab.find_lesson(ROOT, "99")
    assert lab.find_lesson(ROOT, str(int(LESSONS[-1][:2]))) == LESSONS[-1]


def test_a_server_that_died_is_not_joined(place):
    """What it left behind says that it runs; nothing answers there, or something that is no web server."""
    gone = place / "jpserver-1.json"
    (place / ".lab.json").write_text(json.dumps({"server": str(gone), "started": 0}))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody listens here
        gone.write_text(json.dumps({"url": f"http://127.0.0.1:{silent.getsockname()[1]}/", "token": TOKEN, "pid": 1}))
        assert lab.running(place / ".lab.json") is None
    with socket.create_server(("127.0.0.1", 0)) as other:
        gone.write_text(json.dumps({"url": f"http://127.0.0.1:{other.getsockname()[1]}/", "token": TOKEN, "pid": 1}))

        def chatter():
            line = other.accept()[0]
            line.sendall(b"220 mail.example.org ready\r\n")
            line.recv(1000)
            line.close()

        talk = threading.Thread(target=chatter)
        talk.start()
        assert lab.running(place / ".lab.json") is None
        talk.join()
    assert lab.running(place / "no such note") is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to hand on")
def test_it_stops_when_told_to_and_leaves_nothing_running(server, place, port):
    server.send_signal(signal.SIGTERM)
    assert server.wait(HANG) == 0
    assert "The course has stopped. Your work is kept in" in (place / "said").read_text()
    assert lab.free_port(port) == port
