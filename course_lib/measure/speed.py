"""Speed: contenders that race in turn, where a run's time goes, and how long each part of a lesson took."""

import contextlib
import os
import statistics
import time

import torch

from course_lib.measure.intervals import Estimate
from course_lib.progress_line import each


def race(contenders, blocks=3, clock=time.perf_counter):
    """{name: how much it does per second, block by block, (B,) float64}, of contenders that take turns.

    contenders: {name: run}; run() does a block of work and returns how much that was, in pictures, say. Each runs once
    before, to warm up, which does not count. They take turns, so that a busy moment of the machine hits all of them.
    """
    turns = [(block, name) for block in range(blocks + 1) for name in contenders]
    speeds = {name: [] for name in contenders}
    for block, name in each(turns, f"a race of {len(contenders)}, {blocks} blocks each"):
        start = clock()
        done = contenders[name]()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # a GPU works on its own; wait until it is done
        if block:
            speeds[name].append(done / (clock() - start))
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in speeds.items()}


def middle(values):
    """The median of some blocks (B,), an Estimate that reaches from the smallest to the largest."""
    values = torch.as_tensor(values).tolist()
    n = f"{len(values)} block{'s' * (len(values) != 1)}"
    return Estimate(statistics.median(values), min(values), max(values), n, "blocks", "smallest to largest")


def by_operation(run, device):
    """{kind of operation: its share of the time}, the largest first, while run() works on the device.

    By torch's profiler. On a GPU the operations are its own, its kernels, and what the processor does is left out.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler keeps its own log to itself
    gpu = device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * gpu
    with torch.profiler.profile(activities=kinds) as profile:
        run()
    rows = [e for e in profile.key_averages() if not e.is_user_annotation]
    if gpu:
        rows = [e for e in rows if e.device_type == torch.autograd.DeviceType.CUDA]
    spent = {e.key: e.self_device_time_total if gpu else e.self_cpu_time_total for e in rows}
    total = sum(spent.values())
    return {key: spent[key] / total for key in sorted(spent, key=spent.get, reverse=True)}


@contextlib.contextmanager
def timed(seconds, what, clock=time.perf_counter):
    """`with timed(seconds, "teacher"): ...` adds the seconds that the block takes to the dict, under this name."""
    start = clock()
    yield
    seconds[what] = seconds.get(what, 0.0) + clock() - start
