"""The doctor tells the truth about this machine, and names what is broken and the command that mends it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch
import torchvision

from course_lib import files
from course_lib.files import ROOT
from course_lib.machine import calibrate, cores, device, doctor, lesson_seconds, pick
from course_lib.machine import software as rows
from course_lib.machine.hardware import cores_row, disk_row, gpu_row, port_row, times_row
from course_lib.machine.report import NOTE, OK, PROBLEM, Report, Row
from course_lib.machine.this import memory_gb
from tests.waiting import HANG


def ask(python=sys.executable, path=""):
    """The report of a doctor that runs in a fresh Python, with `path` before everything that is installed."""
    code = "import json; from course_lib.machine import doctor; print(json.dumps(doctor(seconds=0.1).json()))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    done = subprocess.run([str(python), "-c", code], env=env, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def row(report, name):
    return Row(**next(row for row in report["rows"] if row["name"] == name))


# torch and torchvision


def test_a_broken_torch_is_reported_in_words(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object')")
    report = ask(path=tmp_path)
    found = row(report, "torch, torchvision")
    assert not report["ok"] and found.state == PROBLEM
    assert "cannot be imported: ImportError: libcudart.so.13: cannot open shared object" in found.found
    assert "pip install --force-reinstall" in found.cure
    assert row(report, "Python").state == OK and row(report, "lesson times").state == NOTE


def test_a_torch_that_takes_python_down_is_reported(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os; os.abort()")
    assert "Python itself stopped" in row(ask(path=tmp_path), "torch, torchvision").found


def test_a_fresh_python_without_packages_still_gets_a_report(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    report = ask(python)
    assert row(report, "torch, torchvision").found == "torch and torchvision: not installed"
    assert "missing: torch, torchvision" in row(report, "packages").found
    assert str(python) in row(report, "packages").cure


def test_outside_an_environment_the_cure_is_the_command_that_makes_one(tmp_path, monkeypatch):
    """A system's own Python refuses pip (PEP 668)."""
    monkeypatch.setattr(rows.sys, "prefix", sys.base_prefix)
    gone = packages(tmp_path, ["no-such-package>=1"], [])
    assert rows.environment() != "venv" and (rows.environment() == "conda" or gone.cure.endswith(" -m course_lib lab"))


def test_a_torchvision_whose_compiled_part_does_not_fit_is_reported(tmp_path):
    """What a CPU torch with a CUDA torchvision does: its library cannot be loaded, so its operators are missing."""
    shutil.copytree(Path(torchvision.__file__).parent, tmp_path / "torchvision", symlinks=True)
    libraries = [path for path in (tmp_path / "torchvision").glob("_C*") if path.is_file()]
    for library in libraries:
        library.write_bytes(b"built for something else")
    written = tmp_path / "torchvision" / "version.py"
    other = "cu126" if torch.__version__.endswith("+cpu") else "cpu"
    written.write_text(re.sub(r"__version__ = '([\d.]+).*'", rf"__version__ = '\1+{other}'", written.read_text()))
    found = row(ask(path=tmp_path), "torch, torchvision")
    assert libraries and found.state == PROBLEM
    assert "nms" in found.found and "the CPU alone" in found.found and "CUDA" in found.found
    minor = torch.__version__.split(".")[1]
    assert f"--force-reinstall --no-deps torchvision~=0.{int(minor) + 15}.0" in found.cure


def test_the_index_in_the_cure_is_the_one_that_torch_was_built_for():
    found = rows.pair_row("2.14.1+cpu", "0.29.1+cu130", "RuntimeError: operator torchvision::nms does not exist")
    assert found.state == PROBLEM and "torch is built for the CPU alone and torchvision for CUDA" in found.found
    assert found.cure.endswith("torchvision~=0.29.0 --index-url https://download.pytorch.org/whl/cpu")
    assert rows.pair_row("2.14.1", "0.29.1").state == OK
    old = rows.pair_row("2.13.0", "0.29.1")
    assert old.state == NOTE and "torchvision 0.29 belongs to torch 2.14" in old.found
    assert "torchvision~=0.28.0" in old.cure and "index-url" not in old.cure


def test_the_installed_pair_is_fine():
    assert rows.version("torch") == torch.__version__
    assert rows.pair_row(rows.version("torch"), rows.version("torchvision")).state == OK


# packages


def packages(folder, asked, tested):
    (folder / "pyproject.toml").write_text(f"[project]\ndependencies = {json.dumps(asked)}\n")
    (folder / "constraints.txt").write_text("\n".join(tested))
    return rows.package_row(folder)


def test_packages_are_compared_with_what_was_tested(tmp_path):
    here = torch.__version__.split("+")[0]
    assert packages(tmp_path, ["torch>=2.11"], [f"torch=={here}"]).state == OK
    other = packages(tmp_path, ["torch>=2.11"], ["torch==2.11.99"])
    assert other.state == NOTE and f"torch {here} (tested: 2.11.99)" in other.found
    old = packages(tmp_path, ["torch>=99.1"], [])
    assert old.state == PROBLEM and f"torch {here} is too old (needs 99.1 or newer)" in old.found
    new = packages(tmp_path, ["torch>=1.0,<2.1"], [])
    assert new.state == PROBLEM and f"torch {here} is too new (needs one below 2.1)" in new.found
    gone = packages(tmp_path, ["torch", "no-such-package>=1"], [])
    assert gone.state == PROBLEM and gone.found == "missing: no-such-package" and "install" in gone.cure


@pytest.mark.parametrize("version", [(3, 8, 10), (3, 10, 1), (2, 7, 18)])
def test_an_old_python_is_a_problem(version):
    found = rows.python_row(version)
    assert found.state == PROBLEM and "3.11 or newer" in found.found and found.cure
    assert rows.python_row((3, 11, 0)).state == rows.python_row((4, 0, 0)).state == OK


# folders, disk and port


def unwritable(tmp_path):
    """Where no file can be made: a folder without that right; for an administrator, who has every right, a file."""
    if os.name == "posix" and os.geteuid():
        tmp_path.chmod(0o555)
        return tmp_path
    (tmp_path / "no folder").touch()
    return tmp_path / "no folder"


def test_a_folder_that_takes_no_file_is_named(tmp_path, monkeypatch):
    folder = unwritable(tmp_path)
    work = rows.workspace_row(folder)
    assert work.state == PROBLEM and str(folder) in work.found
    assert "COURSE_WORKSPACE=" in work.cure and str(folder) not in work.cure  # never: chown -R of what is not ours
    assert rows.workspace_row(folder / "not" / "there") == work
    monkeypatch.setattr(files, "HOME", tmp_path.parent / "home")
    data = rows.data_row(folder)  # a shared folder may well be read-only
    assert data.state == OK and f"what is new goes to {tmp_path.parent / 'home'}" in data.found
    monkeypatch.setattr(files, "HOME", folder)
    data = rows.data_row(folder)
    assert data.state == NOTE and "nothing new can be kept" in data.found and "COURSE_DATA=" in data.cure
    assert str(ROOT / "data") in rows.own(ROOT / "data", "COURSE_DATA")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become nobody for a moment")
def test_a_folder_that_others_closed_is_a_row_and_no_crash(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            os.stat(closed / "data")
        assert rows.data_row(closed / "data").state != PROBLEM
        assert rows.workspace_row(closed / "data").state == PROBLEM
    finally:
        os.seteuid(0)


def test_the_data_folder_says_what_it_holds(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "cifar10.tar.xz").touch()
    assert rows.data_row(tmp_path).found == f"at hand: digits, mnist, cifar10; folder: {tmp_path}"
    assert [*tmp_path.glob(".doctor*")] == []
    assert "data/ of the project" in rows.data_row(ROOT / "data").found
    assert rows.data_row(tmp_path / "new").state == OK and not (tmp_path / "new").exists()


def test_a_full_disk_is_a_problem(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tiny disk can be mounted by root on Linux only")
    try:
        found = disk_row(tmp_path)
        assert found.state == PROBLEM and "1 MB free" in found.found and found.cure
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_port_in_use_is_passed_over():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        found = port_row(taken)
        free = int(found.found.split()[0])
        assert found.state == OK and f"{taken} is taken" in found.found and free != taken
        with socket.socket() as again:
            again.bind(("127.0.0.1", free))


# cores, memory, GPU, tier


def test_cores_and_memory_agree_with_the_system():
    assert 1 <= cores() <= os.cpu_count()
    total, free = memory_gb()
    assert total > 0.5 and (free is None or 0 < free <= total)
    if Path("/proc/meminfo").exists():
        kilobytes = int(re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text())[1])
        assert total <= kilobytes * 1024 / 1e9 * 1.05


def test_more_threads_than_cores_is_noted_with_the_setting():
    assert cores_row({"threads": cores()}).state == OK
    found = cores_row({"threads": cores() + 1})
    assert found.state == NOTE and f"OMP_NUM_THREADS={cores()}" in found.cure


def test_the_gpu_row_agrees_with_torch_and_with_course_tier(monkeypatch):
    monkeypatch.delenv("COURSE_TIER", raising=False)
    assert gpu_row({"gpus": [["H200", 150_000_000_000]]}).found == "H200 with 140 GiB: the GPU size of the course"
    assert gpu_row({"mps": True}).found.startswith("Apple's GPU is not used: the CPU size")
    monkeypatch.setenv("COURSE_TIER", "gpu")
    assert gpu_row({}).state == NOTE and "COURSE_TIER" in gpu_row({}).cure


def test_tier_picks_the_setting(monkeypatch):
    monkeypatch.setenv("COURSE_TIER", "gpu")
    assert pick(cpu=1, gpu=2) == 2
    monkeypatch.setenv("COURSE_TIER", "cpu")
    assert pick(cpu=1, gpu=2) == 1
    monkeypatch.setenv("COURSE_TIER", "tpu")
    with pytest.raises(ValueError, match="COURSE_TIER is 'tpu'; set it to"):
        pick(cpu=1, gpu=2)
    monkeypatch.delenv("COURSE_TIER")
    assert pick(cpu="cpu", gpu="cuda") == device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_process_without_a_gpu_of_its_own_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ValueError, match="process 2 of this machine has none, for torch sees 1 GPU. Start it with --n"):
        device()


# speed


def test_calibration_measures_and_leaves_the_random_numbers_alone():
    state = torch.get_rng_state()
    assert calibrate(seconds=0.05) > 0
    assert torch.get_rng_state().equal(state)


def test_a_machine_of_half_the_speed_takes_twice_as_long(tmp_path):
    recorded = tmp_path / "lesson_seconds.json"
    recorded.write_text(json.dumps({"calibration": 1000, "lessons": {"02_dark_knowledge": 15, "01_softmax": 4}}))
    assert lesson_seconds(500, recorded) == {"01_softmax": 8, "02_dark_knowledge": 30}
    assert times_row({"units_per_second": 500}, recorded).found.endswith("01: 8 s, 02: 30 s")
    assert times_row({"units_per_second": 500}, tmp_path / "missing").state == NOTE
    assert "not measured" in times_row({"error": "no torch"}, recorded).found


# the report


SAMPLE = [
    Row("Python", OK, "3.12.1"),
    Row("disk", PROBLEM, "50 MB free: " + "your work cannot be saved safely, and so on, " * 4, "rm -r '<large>'"),
]


def test_the_report_fits_100_columns_and_keeps_commands_whole():
    text = Report(SAMPLE).text
    lines = [line for line in text.splitlines() if "mend it:" not in line]
    assert max(map(len, lines)) <= 100 and lines[-1] == "1 problem to mend first."
    assert "  mend it: rm -r '<large>'" in text.splitlines()
    assert {line.index(state) for line, state in zip(lines, (OK, PROBLEM), strict=False)} == {8}
    assert str(Report(SAMPLE)) == repr(Report(SAMPLE)) == text


def test_the_notebooks_table_is_a_table_for_a_screen_reader_too():
    page = Report(SAMPLE)._repr_html_()
    assert "<caption>" in page and page.count('scope="col"') == 3 and page.count('scope="row"') == len(SAMPLE)
    assert "<td>problem</td>" in page and "<code>rm -r &#x27;&lt;large&gt;&#x27;</code>" in page


def test_this_machine_is_ready_and_every_trouble_has_its_command():
    """Ready as far as the course's own packages go; its disk and its memory are not ours to judge."""
    report = doctor(seconds=0.1)
    assert all(row.state != PROBLEM for row in report.rows if row.name not in ("disk", "port"))
    assert all(row.cure for row in report.rows if row.state == PROBLEM)
    assert report.ok == (not any(row.state == PROBLEM for row in report.rows))
    assert report.json()["ok"] and json.loads(json.dumps(report.json())) == report.json()
    names = ["Python", "packages", "torch, torchvision", "GPU", "cores", "memory", "disk", "data folder", "your work"]
    assert [row.name for row in report.rows] == [*names, "port", "lesson times"]
