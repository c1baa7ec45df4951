"""What this computer has, which size of the course fits it, and how long a lesson takes on it.

Importing this costs nothing: torch is imported when a function needs it, and doctor() works where torch is broken.
"""

import json
import os
import re
import time
from pathlib import Path

from course_lib.files import ROOT, quoted

RECORDED = ROOT / "results" / "lesson_seconds.json"


def tier():
    """ "gpu" where CUDA is, "cpu" elsewhere (Apple's MPS too); COURSE_TIER overrides."""
    asked = os.environ.get("COURSE_TIER")
    if asked:
        if asked not in ("cpu", "gpu"):
            raise ValueError(f'COURSE_TIER is {quoted(asked)}; set it to "cpu" or "gpu", or unset it')
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


def cores():
    """Cores that this process may use: fewer than the machine has in a container, a batch job or on a shared server."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": 2 cores' worth of time; "max 100000": no limit
    share = quota.read_text().split() if quota.exists() else ["max"]
    return count if share[0] == "max" else max(1, min(count, round(int(share[0]) / int(share[1]))))


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
