"""`course vault ...`: what each subcommand does and says, with and without a server that runs."""

import csv
import http.server
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from course_lib.command import cli, environment
from course_lib.command.vault import folder, serving
from course_lib.vault import client, keyring, victims
from course_lib.vault.ledger import tables
from course_lib.vault.service import Service
from tests.vault.served import ROW, Served
from tests.vault.world import TOY
from tests.waiting import HANG, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def course(monkeypatch, capsys, tmp_path):
    """course("key", "list") -> (exit code, what it printed, what it complained); its folder is course.folder."""
    monkeypatch.setattr(environment, "python_for", lambda *_, **__: sys.executable)  # this one has what it takes
    monkeypatch.setattr(victims, "victims", lambda name="digits": TOY)  # they need no training
    monkeypatch.setenv("COURSE_VAULT", str(tmp_path / "vault"))

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(["vault", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    run.folder = tmp_path / "vault"
    return run


@pytest.fixture
def made(course):
    assert course("init", "--class", "autumn")[0] == 0
    return course


def test_init_makes_a_policy_to_edit_and_an_instructors_key(course):
    code, out, _ = course("init", "--class", "autumn")
    token = re.search(r"vk_\w+", out)[0]
    assert code == 0 and keyring.parse(token) == "autumn"
    assert course("policy", "check", course.folder / "policy.toml")[0] == 0
    service = Service(course.folder, victims=TOY)
    assert service.identify(token, "instructor").scope == "instructor" and service.class_name == "autumn"
    service.close()


def test_init_with_hours_ends_the_keys_with_the_class(course):
    code, _, err = course("init", "--class", "autumn", "--hours", "-1")
    assert code == 1 and "--hours" in err and not course.folder.exists()
    assert "The class ends in 30 hours" in course("init", "--class", "autumn", "--hours", "30")[1]
    course("key", "new", "ant")
    course("key", "new", "bee", "--hours", "1")
    service = Service(course.folder, victims=TOY)
    ends = {key.pseudonym: key.expires for key in service.keyring.by_id.values()}
    began, now = min(key.created for key in service.keyring.by_id.values()), service.clock()
    service.close()
    assert began <= ends["ant"] - 30 * 3600 <= now and began <= ends["bee"] - 3600 <= now
    assert ends["instructor"] is None


def test_a_vault_that_stops_says_how_many_learners_keys_are_open(course, monkeypatch):
    from course_lib.vault.http import serve

    monkeypatch.setattr(serve, "run", lambda app, listener, ready: listener.close())
    monkeypatch.setattr(serve, "listen", lambda *_: socket.create_server(("127.0.0.1", 0)))
    assert "still open" not in course("serve")[1]  # the instructor's and the demo's
    course("key", "new", "ant", "--count", "2")
    assert "2 learners' keys are still open. When the class is over: python -m" in course("serve")[1]
    course("key", "revoke", "3")
    assert "1 learner's key is still open" in course("serve")[1]
    course("key", "expire")
    assert "still open" not in course("serve")[1]


def test_init_leaves_a_folder_that_is_in_use_alone(made):
    assert "name another" in made("init", "--class", "winter")[2]
    code, _, err = made("init", "--class", "autumn")
    assert code == 1 and "in use" in err


def test_a_class_is_called_by_plain_letters(course):
    code, _, err = course("init", "--class", "Herbst 2026")
    assert code == 1 and "a-z, 0-9" in err and "Traceback" not in err


def test_forty_keys_are_made_at_once_and_shown_once(made):
    code, out, err = made("key", "new", "ant", "--count", "40", "--budget", "1000", "--hours", "3", "--cohort", "red")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and [name for name, _ in lines] == [f"ant-{i:02}" for i in range(1, 41)]
    assert len({token for _, token in lines}) == 40 and "Shown this once" in err
    listed = made("key", "list")[1]
    assert (
        "ant-07" in listed and "1,000" in listed and "red" in listed and not any(token in listed for _, token in lines)
    )


def test_a_revoked_key_and_a_class_that_is_over_are_listed_as_such(made):
    made("key", "new", "ant")
    made("key", "new", "bee")
    assert made("key", "revoke", "2") == (0, "Key 2 opens nothing any more.\n", "")
    assert re.search(r"^2 +ant .* revoked$", made("key", "list")[1], re.M)
    assert "there is no key 77" in made("key", "revoke", "77")[2]
    assert "have ended" in made("key", "expire")[1]
    assert re.search(r"^3 +bee .* expired$", made("key", "list")[1], re.M)


@pytest.mark.parametrize("serving", [True, False])
def test_a_key_is_moved_to_another_cohort_also_while_a_server_runs(made, serving):
    served = Served(made.folder)
    folder.write_note(made.folder / "server.json", served.port, "autumn", served.control)
    served.close() if not serving else None
    try:
        said = "ada is in the cohort linked from its next question on.\n"
        assert made("key", "move", "ada", "--cohort", "linked") == (0, said, "")
        assert re.search(r"ada +linked ", made("key", "list")[1])
        assert "No key has the pseudonym" in made("key", "move", "nobody", "--cohort", "linked")[2]
        assert "1 to 64 printable" in made("key", "move", "ada", "--cohort", "")[2]
        if serving:
            served.ask(ROW)
            assert served.service.books.cohort_rows["linked"] == 1
    finally:
        served.close() if serving else None


def lifted(made):
    """By its pseudonym, its number, and a cohort by its name; and nobody else."""
    assert made("key", "lift", "ada") == (0, "ada starts afresh.\n", "")
    assert made("key", "lift", "2")[0] == 0
    assert made("key", "lift", "--cohort", "class") == (0, "The cohort class starts afresh.\n", "")
    for wrong in ("nobody", "99"):
        code, _, err = made("key", "lift", wrong)
        assert code == 1 and f"No key has the pseudonym or the number '{wrong}'" in err
    assert "no key of a cohort 'nobody'" in made("key", "lift", "--cohort", "nobody")[2]


def test_a_blocked_learner_is_lifted_while_a_server_runs(made):
    (made.folder / "policy.toml").write_text('[monitor]\naction = "block"\nvolume = 5\n')
    served = Served(made.folder)
    folder.write_note(made.folder / "server.json", served.port, "autumn", served.control)
    try:
        assert [served.ask([ROW] * n)[0] for n in (5, 1)] == [200, 403]
        lifted(made)
        assert served.ask([ROW])[0] == 200
    finally:
        served.close()


def test_a_blocked_learner_is_lifted_while_no_server_runs(made):
    (made.folder / "policy.toml").write_text('[monitor]\naction = "block"\nvolume = 5\n')
    service = Service(made.folder, victims=TOY)
    service.ask(service.new_key("ada", accepted=True), "toy", [ROW] * 6).exception()
    assert [bool(key["unusual"]) for key in service.keys()] == [False, True]
    service.close()
    lifted(made)
    service = Service(made.folder, victims=TOY)
    assert [key["unusual"] for key in service.keys()] == [[], []]
    service.close()


def test_a_report_says_how_many_alarms_it_leaves_out(made):
    (made.folder / "policy.toml").write_text('[monitor]\nper = "key"\nvolume = 5\n')
    service = Service(made.folder, victims=TOY)
    token = service.new_key("ant", accepted=True)
    for _ in range(53):
        service.ask(token, "toy", [ROW] * 6).result()
        service.pardon(key_id=2)
    service.close()
    report = made("report")[1]
    assert report.count("volume") == 50 and "3 more, older, have ended" in report


def test_a_policy_is_checked_with_its_line(course, tmp_path):
    (tmp_path / "good.toml").write_text("[output]\ndecimals = 3\n")
    (tmp_path / "bad.toml").write_text("[output]\ndecimal = 3\n")
    said = course("policy", "check", tmp_path / "good.toml")[1].splitlines()
    assert (
        "is a policy; its version is" in said[0] and said[1] == "An answer is all probabilities, rounded to 3 decimals."
    )
    code, _, err = course("policy", "check", tmp_path / "bad.toml")
    assert code == 1 and "line 2" in err and "did you mean decimals" in err
    assert course("policy", "check", tmp_path / "none.toml")[0] == 1


@pytest.mark.parametrize("verb", [("key", "list"), ("report",), ("export", "there")])
def test_where_no_vault_is_it_says_how_to_start_one(course, verb):
    code, _, err = course(*verb)
    assert code == 1 and "course_lib vault serve" in err and not course.folder.exists()


def test_several_workers_are_refused_in_a_sentence(course, capsys):
    with pytest.raises(SystemExit):
        course("serve", "--workers", "4")
    assert "one process serves a class" in capsys.readouterr().err


def test_lan_says_what_it_means_and_where_it_cannot_work():
    said = serving.on_the_network(["192.168.1.5"], 8700)
    assert "http://192.168.1.5:8700" in said and "plain HTTP" in said and "vault key expire" in said
    several = serving.on_the_network(["203.0.113.9", "10.8.0.3", "192.168.1.5"], 8700)
    assert "reach it at http://10.8.0.3:8700\n" in several and "the class's: http://192.168.1.5:8700" in several
    assert "address (192.0.2.2) is on no private network" in serving.on_the_network(["192.0.2.2"], 8700)
    assert "address (none at all) is on no private network" in serving.on_the_network([], 8700)


def test_the_commands_that_are_printed_name_the_folder_that_was_given(course, tmp_path, monkeypatch):
    folder = str(tmp_path / "room 12")
    out = course("init", "--class", "autumn", "--folder", folder)[1]
    assert f"key new ant --count 40 --folder '{folder}', then" in out and f"serve --lan --folder '{folder}'" in out
    from course_lib.vault.http import serve

    monkeypatch.setattr(serve, "run", lambda app, listener, ready: (ready(), listener.close()))
    monkeypatch.setattr(serve, "listen", lambda *_: socket.create_server(("127.0.0.1", 0)))
    out = course("serve", "--lan", "--folder", folder)[1]
    assert f"vault key expire --folder '{folder}'\n" in out
    assert "vault key expire\n" in course("serve", "--lan")[1]


def test_a_computer_s_own_addresses_are_those_that_a_server_can_be_bound_to():
    for address in serving.own_addresses():
        assert not address.startswith("127.")
        socket.create_server((address, 0)).close()


def test_a_port_that_is_taken_is_told(course):
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, _, err = course("serve", "--port", other.getsockname()[1])
    assert code == 1 and "another program has it" in err


@pytest.mark.parametrize("port, why", [(80, "Permission denied"), (99_999, "0-65535")])
def test_a_port_that_cannot_be_had_is_told_in_the_system_s_words(course, monkeypatch, port, why):
    from course_lib.vault.http import serve

    def listen(host, port, tries):
        if port == 80:
            raise PermissionError(13, "Permission denied")
        raise OverflowError("bind(): port must be 0-65535.")

    monkeypatch.setattr(serve, "listen", listen)
    code, _, err = course("serve", "--port", port)
    assert code == 1 and f"Port {port} was asked for" in err and why in err and "another program" not in err


def test_while_a_server_runs_the_commands_go_through_it(made):
    """One process writes a ledger; the note in the folder says where it listens."""
    served = Served(made.folder)
    note = made.folder / "server.json"
    folder.write_note(note, served.port, "autumn", served.control)
    try:
        _, out, _ = made("key", "new", "ant", "--budget", "5")
        token = out.split()[1]
        served.service.accept_rules(token)
        assert served.ask([ROW] * 5, key=token)[0] == 200
        assert re.search(r"ant .* 5 +0 +yes", made("key", "list")[1])
        report = made("report")[1]
        assert "5 questions in 1 requests" in report and re.search(r"^ant +class +5 +0 +0.05", report, re.M)
        number = re.search(r"^(\d+) +ant", made("key", "list")[1], re.M)[1]
        made("key", "revoke", number)
        assert served.ask(key=token)[0] == 403
    finally:
        served.close()
    assert "ant" in made("key", "list")[1]  # the note is still there, and nobody answers: the folder itself is asked


@pytest.mark.parametrize(
    "wish", [("--hours", "-1"), ("--hours", "0"), ("--hours", "nan"), ("--count", "0"), ("--count", "-3")]
)
def test_a_slip_makes_no_key(made, wish):
    code, out, err = made("key", "new", "ant", *wish)
    assert code == 1 and wish[0] in err and "No key was made" in err and "vk_" not in out
    assert "ant" not in made("key", "list")[1]


@pytest.mark.parametrize(
    "health", [{"vault": "distillation, hands on", "class": "spring"}, {"vault": "other"}, {}, None]
)
def test_the_note_of_a_server_that_died_sends_its_word_to_nobody(made, health):
    """Another program has the port by now: no HTTP, another page, another class."""
    heard = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.headers.get("Authorization"))
            body = b"hello" if health is None else json.dumps(health).encode()
            self.wfile.write((b"" if health is None else b"HTTP/1.0 200 OK\r\n\r\n") + body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    other = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{other.server_address[1]}"
    folder.write_note(made.folder / "server.json", other.server_address[1], "autumn", "a secret word")
    assert json.loads((made.folder / "server.json").read_text())["address"] == address
    try:
        code, out, _ = made("key", "list")
    finally:
        other.shutdown()
        other.server_close()
    assert code == 0 and "instructor" in out and heard == [None]


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"address": "http://192.0.2.1:80", "class": "autumn", "control": "c"}']
)
def test_a_broken_note_is_no_server(made, note):
    (made.folder / "server.json").write_text(note)
    code, out, _ = made("key", "list")
    assert code == 0 and "instructor" in out


def test_the_export_is_what_sql_says(made, tmp_path):
    service = Service(made.folder, victims=TOY)
    token = service.new_key("=1+1 (a formula)")
    service.accept_rules(token)
    for i in range(3):
        service.ask(token, "toy", [ROW] * 4, f"r{i}").result()
    with pytest.raises(Exception, match="rows of 4"):
        service.ask(token, "toy", [[1]], "wrong").result()
    service.close()
    code, out, _ = made("export", tmp_path / "there")
    assert code == 0 and "requests.csv: 3 rows" in out
    for name in tables.QUERIES:
        sql = (tmp_path / "there" / f"{name}.sql").read_text()
        names, rows = tables.ask(made.folder / "vault.db", sql)
        with open(tmp_path / "there" / f"{name}.csv", newline="") as file:
            told = list(csv.reader(file))
        assert told[0] == names and len(told) - 1 == len(rows)
    with open(tmp_path / "there" / "requests.csv", newline="") as file:
        kept = list(csv.DictReader(file))
    assert [row["charged"] for row in kept] == ["4"] * 3 and kept[0]["pseudonym"] == "'=1+1 (a formula)"
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        tables.ask(made.folder / "vault.db", "DELETE FROM requests")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_serve_with_no_other_argument_works_at_once(tmp_path):
    """The real thing: a fresh folder, the printed address, the printed key, a question, and the end."""
    code = (
        "import sys; from course_lib.command import cli, environment; environment.python_for = lambda *_, **__: sys.executable; "
        "sys.exit(cli.main(['vault', 'serve', '--port', '0']))"
    )
    settings = os.environ | {"COURSE_VAULT": str(tmp_path)}
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=settings, stdout=said, stderr=said)
    try:
        until(lambda: "To stop" in (tmp_path / "said").read_text() or process.poll() is not None)
        text = (tmp_path / "said").read_text()
        assert process.poll() is None, text
        address = re.search(r"^ +(http://127.0.0.1:\d+)$", text, re.M)[1]
        teacher = re.search(rf"{address}/instructor#key=(vk_\w+)", text)[1]
        oracle = client.connect(address, re.search(r"A key to try it: (vk_\w+)", text)[1])
        with pytest.raises(client.Refused, match=r"oracle.rules\(\)\), then oracle.accept_rules\(\)"):
            oracle(np.zeros((1, 64)))
        assert "1. " in oracle.rules()
        oracle.accept_rules()
        assert oracle(np.zeros((3, 1, 8, 8))).shape == (3, 10) and oracle.spent == 3
        assert client.over(address, teacher)("state")["totals"]["rows"] == 3
        note = tmp_path / "server.json"
        assert note.stat().st_mode & 0o077 == 0 and json.loads(note.read_text())["pid"] == process.pid
        snippet = "\n".join(re.findall(r"^    (from .*|oracle.*|print.*)$", text, re.M))
        done = subprocess.run([sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, timeout=HANG)
        assert done.returncode == 0 and "1. " in done.stdout, done.stderr
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # an impatient one
        assert process.wait(HANG) == 0 and not note.exists()
        said = (tmp_path / "said").read_text()
        assert said.rstrip().endswith(f"Its ledger is {tmp_path / 'vault.db'}") and "Traceback" not in said
    finally:
        process.kill()
        process.wait()
