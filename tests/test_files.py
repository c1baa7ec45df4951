"""A file is written whole or not at all, whatever happens meanwhile."""

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from course_lib.files import whole
from tests.waiting import HANG

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions, and no such limit")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "notes").write_text("as it was", encoding="utf-8")
    return tmp_path / "notes"


def only(path, content):
    """The file holds this, and nothing lies beside it."""
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_bytes_are_kept_as_they_are(path):
    with whole(path) as file:
        file.write(b"a\r\nb\x00\xff")
    only(path, b"a\r\nb\x00\xff")


def test_text_is_utf_8_with_the_same_line_ends_on_every_system(path):
    with whole(path, "w") as file:
        print("T² ≥ 1", file=file)
    only(path, "T² ≥ 1\n".encode())


def test_a_new_file_gets_its_folder_and_the_permissions_of_any_new_file(tmp_path):
    with whole(tmp_path / "new" / "folder" / "notes") as file:
        file.write(b"1")
    (tmp_path / "plain").write_bytes(b"1")
    only(tmp_path / "new" / "folder" / "notes", b"1")
    assert (tmp_path / "new" / "folder" / "notes").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions_from_the_first_byte_on(path, mode):
    path.chmod(mode)
    with whole(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
        file.write(b"1")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_before_the_end_the_old_file_is_there(path):
    with whole(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"as it was"
    only(path, b"new")


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(1), OSError(5, "I/O error")])
def test_what_goes_wrong_in_the_middle_leaves_the_old_file_whole_and_nothing_beside_it(path, error):
    with pytest.raises(type(error)) as raised, whole(path) as file:
        file.write(b"half of")
        raise error
    assert raised.value is error
    only(path, b"as it was")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_is_full_only_when_the_bytes_are_to_reach_it_changes_nothing(path, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"), whole(path) as file:
        file.write(b"new")
    only(path, b"as it was")


FULL = """
import resource, signal, sys, torch
from course_lib.files import whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with whole(sys.argv[1]) as file:
        torch.save(torch.zeros(1_000_000), file)
except OSError as error:
    print(error.errno)
"""


@posix
def test_torch_on_a_full_disk_is_an_oserror_too(path):
    """A real limit, of 100 kB for a file: torch itself raises a RuntimeError that speaks of positions."""
    ran = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True)
    assert ran.stdout == f"{errno.EFBIG}\n", ran.stderr
    only(path, b"as it was")


def test_another_error_of_a_library_stays_what_it_is(path):
    with pytest.raises(RuntimeError, match="no such layer"), whole(path):
        raise RuntimeError("no such layer")


def test_all_bytes_are_on_the_disk_before_the_new_file_takes_the_old_ones_place(path, monkeypatch):
    """Otherwise a power cut could leave an empty file under the right name."""
    steps, sync, move = [], os.fsync, os.replace

    def watched_sync(descriptor):
        steps.append(("synced", os.fstat(descriptor).st_size))
        sync(descriptor)

    def watched_move(source, target):
        steps.append(("moved", os.stat(source).st_size))
        move(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_move)
    with whole(path) as file:
        file.write(bytes(1000))
    assert steps == [("synced", 1000), ("moved", 1000)]


def test_two_threads_at_once_each_write_a_whole_file_and_the_last_one_stands(path):
    both_have_opened, first_is_done = threading.Barrier(2, timeout=HANG), threading.Event()

    def write(letter, after):
        with whole(path) as file:
            both_have_opened.wait()
            file.write(letter * 100_000)
            assert after.wait(HANG)
        first_is_done.set()

    at_once = threading.Event()
    at_once.set()
    threads = [threading.Thread(target=write, args=job) for job in ((b"a", at_once), (b"b", first_is_done))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    only(path, b"b" * 100_000)
