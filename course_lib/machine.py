"""What this computer has, which size of the course fits it, and how long a lesson takes on it.

Importing this costs nothing: torch is imported when a function needs it, and doctor() works where torch is broken.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from course_lib import doctor as rows
from course_lib import download
from course_lib.doctor import NOTE, OK, PROBLEM, ROOT, Report, Row, pip

RECORDED = ROOT / "results" / "lesson_seconds.json"


def tier():
    """ "gpu" where CUDA is, "cpu" elsewhere (Apple's MPS too); COURSE_TIER overrides."""
    asked = os.environ.get("COURSE_TIER")
    if asked:
        if asked not in ("cpu", "gpu"):
            raise ValueError(f'COURSE_TIER is {asked!r}; set it to "cpu" or "gpu", or unset it')
        return asked
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def pick(cpu, gpu):
    """The setting for this machine: WIDTH, EPOCHS = pick(cpu=(16, 30), gpu=(64, 100))."""
    return gpu if tier() == "gpu" else cpu


def device():
    """Where tensors go: a GPU where CUDA is, under torchrun each process its own; else the CPU (Apple's machines too)."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    mine, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if mine >= gpus:
        raise ValueError(
            f"torchrun gives each process a GPU of its own; process {mine + 1} of this machine has none, for torch sees "
            f"{gpus} GPU{'s' * (gpus != 1)}. Start it with --nproc_per_node {gpus}"
        )
    return torch.device("cuda", mine)


def calibrate(seconds=2.0):
    """How fast this machine trains, in work units per second, measured for `seconds` on one thread, as small networks are.

    A work unit is one step (forward, backward, gradient descent) of 16 networks 64-16-10 at once, each on 64 pictures:
    the work that lessons 00-04 are made of. It runs on the CPU, always on the same numbers.
    """
    import torch
    from torch.nn.functional import cross_entropy

    generator = torch.Generator().manual_seed(0)
    x = torch.rand(16, 64, 64, generator=generator)  # (S, B, D)
    y = torch.randint(10, (16 * 64,), generator=generator)
    weights = [torch.randn(16, *shape, generator=generator).div(8).requires_grad_() for shape in ((64, 16), (16, 10))]

    def unit():
        logits = (x @ weights[0]).relu() @ weights[1]  # (S, B, C)
        gradients = torch.autograd.grad(cross_entropy(logits.flatten(0, 1), y), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.01 * gradient

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(50):  # the first steps set up memory
            unit()
        units, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            unit()
            units += 1
        return units / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)


def lesson_seconds(units_per_second, recorded=RECORDED):
    """Seconds that each lesson takes here, {name: seconds}: the recorded times, scaled by the two machines' speeds.

    recorded: a JSON file {"calibration": work units per second there, "lessons": {name: seconds there}}.
    """
    there = json.loads(Path(recorded).read_text(encoding="utf-8"))
    return {name: seconds * there["calibration"] / units_per_second for name, seconds in there["lessons"].items()}


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
        return Row("GPU", NOTE, found, pip("--force-reinstall -c constraints.txt torch torchvision"))
    words = "Apple's GPU is not used" if probe.get("mps") else "none"
    return Row("GPU", OK, f"{words}: the CPU size of the course, which is complete")


def cores():
    """Cores that this process may use: fewer than the machine has in a container, a batch job or on a shared server."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": 2 cores' worth of time; "max 100000": no limit
    share = quota.read_text().split() if quota.exists() else ["max"]
    return count if share[0] == "max" else max(1, min(count, round(int(share[0]) / int(share[1]))))


def cores_row(probe):
    """Cores, and the threads torch starts: more threads than cores make small networks many times slower."""
    count, threads = cores(), probe.get("threads")
    found = f"{count} core{'s' * (count > 1)}" + (f", torch uses {threads} of them" if threads else "")
    if threads and threads > count:
        setting = f"$env:OMP_NUM_THREADS={count}" if os.name == "nt" else f"export OMP_NUM_THREADS={count}"
        return Row("cores", NOTE, f"{count} to use, but torch starts {threads} threads, which slows it", setting)
    return Row("cores", OK, found)


def memory_gb():
    """(all, free) memory in GB; free is None where the system does not say."""
    if os.name == "nt":
        import ctypes

        status = (ctypes.c_ulonglong * 8)()  # MEMORYSTATUSEX: 4 bytes of length, 4 of load, then seven 8-byte sizes
        ctypes.cast(status, ctypes.POINTER(ctypes.c_ulong))[0] = ctypes.sizeof(status)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status[1] / 1e9, status[2] / 1e9
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's own limit: bytes, or "max"
    if limit.exists() and limit.read_text().strip() != "max":
        total = min(total, int(limit.read_text()))
    about = Path("/proc/meminfo")
    free = re.search(r"MemAvailable: *(\d+) kB", about.read_text()) if about.exists() else None
    return total / 1e9, min(total, int(free[1]) * 1024) / 1e9 if free else None


def memory_row():
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
    cure = "python -m pip cache purge" if rows.environment() != "conda" else "conda clean --all"
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


def doctor(data_folder=None, seconds=2.0):
    """What this machine has and what to mend -> Report: print it, or leave it as the last line of a notebook cell.

    data_folder: COURSE_DATA, or data/ in the project. seconds: how long the speed is measured.
    """
    probe = look_at_torch(seconds)
    software = [rows.python_row(), rows.package_row(), rows.torch_row(probe)]
    hardware = [gpu_row(probe), cores_row(probe), memory_row(), disk_row()]
    folders = [rows.data_row(download.data_folder(data_folder)), rows.workspace_row(), port_row()]
    return Report([*software, *hardware, *folders, times_row(probe)])
