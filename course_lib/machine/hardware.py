"""The doctor's rows about the computer itself: what torch sees of it, cores, memory, disk, a port, how fast it is."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from course_lib.files import ROOT
from course_lib.machine.report import NOTE, OK, PROBLEM, Row
from course_lib.machine.software import environment, pip_command
from course_lib.machine.this import RECORDED, cores, lesson_seconds, memory_gb

# Runs in a process of its own, so that a torch that crashes takes nothing with it. One line of JSON for each step that
# worked; the last step that did not tells why.
LOOK = """
import json
def say(**facts): print(json.dumps(facts), flush=True)
try:
    import torch
    say(threads=torch.get_num_threads(), cuda=torch.version.cuda, mps=torch.backends.mps.is_available(),
        gpus=[[gpu.name, gpu.total_memory] for gpu in
              map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))])
    from course_lib.machine import calibrate
    say(units_per_second=calibrate(SECONDS))
    import torchvision
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device="cuda" if torch.cuda.is_available() else "cpu")
    torchvision.ops.nms(box, torch.ones_like(box[:, 0]), 0.5)
except Exception as error:
    say(error=f"{type(error).__name__}: {error}".splitlines()[0])
"""


def look_at_torch(seconds=2.0):
    """What a fresh Python sees of torch, as far as it got: {threads, cuda, mps, gpus, units_per_second, error}."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    command = [sys.executable, "-c", LOOK.replace("SECONDS", str(float(seconds)))]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=180,
        )
    except subprocess.TimeoutExpired:
        return {"error": "importing it did not end within three minutes"}
    facts = {}
    for line in done.stdout.splitlines():
        facts |= json.loads(line) if line.startswith("{") else {}
    if done.returncode and "error" not in facts:
        facts["error"] = f"Python itself stopped (exit code {done.returncode})"
    return facts


def gpu_row(probe):
    """The GPU and its memory, or that there is none and the course has a size for that."""
    asked = os.environ.get("COURSE_TIER")
    if probe.get("gpus"):
        found = ", ".join(f"{name} with {memory / 2**30:.0f} GiB" for name, memory in probe["gpus"])
        size = "the CPU size, as COURSE_TIER asks" if asked == "cpu" else "the GPU size of the course"
        return Row("GPU", OK, f"{found}: {size}")
    if asked == "gpu":
        unset = "set COURSE_TIER=" if os.name == "nt" else "unset COURSE_TIER"
        return Row(
            "GPU", NOTE, "none that torch can use, but COURSE_TIER asks for the GPU size: lessons are slow", unset
        )
    if shutil.which("nvidia-smi") and "threads" in probe and not probe.get("cuda"):
        found = "an NVIDIA driver is here, but this torch is built for the CPU alone: the CPU size of the course"
        return Row("GPU", NOTE, found, pip_command("--force-reinstall -c constraints.txt torch torchvision"))
    words = "Apple's GPU is not used" if probe.get("mps") else "none"
    return Row("GPU", OK, f"{words}: the CPU size of the course, which is complete")


def cores_row(probe):
    """Cores, and the threads torch starts: more threads than cores make small networks many times slower."""
    count, threads = cores(), probe.get("threads")
    found = f"{count} core{'s' * (count > 1)}" + (f", torch uses {threads} of them" if threads else "")
    if threads and threads > count:
        setting = f"$env:OMP_NUM_THREADS={count}" if os.name == "nt" else f"export OMP_NUM_THREADS={count}"
        return Row("cores", NOTE, f"{count} to use, but torch starts {threads} threads, which slows it", setting)
    return Row("cores", OK, found)


def memory_row():
    """Memory, and how much of it is free: a lesson takes up to 1 GB."""
    total, free = memory_gb()
    found = f"{total:.1f} GB" + (f", {free:.1f} GB free" if free is not None else "")
    if (total if free is None else free) < 1:
        look = {"win32": "taskmgr", "darwin": "open -a 'Activity Monitor'"}.get(sys.platform, "top -o %MEM")
        return Row("memory", NOTE, f"{found}: close what is large, or a lesson may be stopped by the system", look)
    return Row("memory", OK, found)


def disk_row(folder=ROOT):
    """Free disk: an archive of CIFAR-10 and its decoded copy take 0.36 GB."""
    free = shutil.disk_usage(folder).free / 1e9
    if free >= 1:
        return Row("disk", OK, f"{free:.0f} GB free")
    cure = "python -m pip cache purge" if environment() != "conda" else "conda clean --all"
    words = "your work cannot be saved safely" if free < 0.1 else "enough for lessons 00-04, not for larger data sets"
    return Row("disk", PROBLEM if free < 0.1 else NOTE, f"{free * 1000:.0f} MB free: {words}", cure)


def port_row(wanted=8888):
    """Can JupyterLab listen on this computer's own address, and at which port?"""
    for port in (*range(wanted, wanted + 20), 0):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
                with socket.create_connection(listener.getsockname(), timeout=5):
                    pass
            except OSError as error:
                trouble = error.strerror or str(error)
                continue
            free = listener.getsockname()[1]
        taken = "" if free == wanted else f" ({wanted} is taken, by a Jupyter that already runs perhaps)"
        return Row("port", OK, f"{free} is free on 127.0.0.1{taken}")
    cure = "ip link set lo up" if sys.platform == "linux" else "allow Python in the firewall's settings"
    return Row("port", PROBLEM, f"no port can be opened on 127.0.0.1, so JupyterLab cannot start: {trouble}", cure)


def times_row(probe, recorded=RECORDED):
    """How long the lessons take here."""
    name, speed = "lesson times", probe.get("units_per_second")
    if not speed:
        return Row(name, NOTE, "not measured, because torch does not run")
    if not Path(recorded).exists():
        return Row(name, NOTE, f"{speed:,.0f} work units per second; no times are recorded to compare them with")
    times = lesson_seconds(speed, recorded)
    found = ", ".join(f"{lesson[:2]}: {max(1, seconds):.0f} s" for lesson, seconds in sorted(times.items()))
    return Row(name, OK, f"of computing, about (your own reading and writing comes on top): {found}")
