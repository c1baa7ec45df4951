"""What the measurements here share: blocks in turn, a look at who else is working, memory, and the page."""

import contextlib
import io
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil

BUSY = 0.05  # the share of all processors' time from which on others disturb a measurement


class Spread(NamedTuple):
    """Several measurements of one thing in short."""

    median: float
    min: float
    max: float

    def __format__(self, spec):
        return f"{self.median:{spec}} ({self.min:{spec}}-{self.max:{spec}})"


def spread(values):
    """The median of some numbers, from the least to the largest."""
    return Spread(statistics.median(values), min(values), max(values))


def in_blocks(runs, least=5, seconds=0.0, before=lambda: None, twice=(), clocks=(time.perf_counter,)):
    """[{name: [seconds of each block]} for each clock]: in every block each of `runs` works once, those in `twice` twice.

    Each block starts with another one, every second block goes the other way round, and what is compared is compared
    within a block: so a busy moment of the machine, or what the one before leaves in its caches, hits all of them alike.
    At least `least` blocks, and more until `seconds` have passed on the first clock. before() is not timed.
    """
    turns = [*runs, *twice]
    times, start, done = [{name: [] for name in runs} for _ in clocks], clocks[0](), 0
    while done < least or clocks[0]() - start < seconds:
        turn = done % len(turns)
        block = turns[turn:] + turns[:turn]
        block = block[:1] + block[:0:-1] if done % 2 else block
        taken = {name: [0.0] * len(clocks) for name in runs}
        for name in block:
            before()
            began = [clock() for clock in clocks]
            runs[name]()
            for i, clock in enumerate(clocks):
                taken[name][i] += (clock() - began[i]) / block.count(name)
        for name, each in taken.items():
            for i, value in enumerate(each):
                times[i][name].append(value)
        done += 1
    return times


def quietly():
    """A while in which nothing is printed: a line of progress would fall into the tables."""
    return contextlib.redirect_stdout(io.StringIO())


class Processors(NamedTuple):
    """Seconds since some moment: of all processors together, of those how many worked, and how many for this process."""

    all: float
    working: float
    ours: float


def processors():
    """What the processors have done so far. Time that another guest of the same machine took counts as work."""
    there = psutil.cpu_times()
    idle = there.idle + getattr(there, "iowait", 0.0)
    # Linux counts a guest's time once more within user and nice
    every = sum(value for name, value in zip(there._fields, there, strict=True) if not name.startswith("guest"))
    return Processors(every, every - idle, sum(os.times()[:4]))


def others(first, then):
    """The share of all processors' time that others used between two looks, 0 to 1."""
    used = (then.working - first.working) - (then.ours - first.ours)
    return max(0.0, used / (then.all - first.all))


def refuse_if_busy(look=processors, sleep=time.sleep):
    """Look for two seconds who is working; stop, in words, if others are."""
    first = look()
    sleep(2.0)
    share = others(first, look())
    if share > BUSY:
        raise SystemExit(
            f"Other programs use {share:.0%} of the processors, so the times would tell about them, too. "
            "Stop them and start again, or measure all the same with --busy."
        )
    return share


def peak_memory():
    """The most memory that this process has had in use so far, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage: a child's would start from the peak of its parent
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def record(name, text, path):
    """Put the text between the page's two marks for bench/<name>.py."""
    start, stop = f"<!-- {name}: written by bench/{name}.py --record -->", f"<!-- {name}: end -->"
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(start)
    if not found or stop not in rest:
        raise ValueError(f"{path} has no place for the record of {name}: the lines {start} and {stop} are expected")
    after = rest.partition(stop)[2]
    path.write_text(f"{before}{start}\n\n{text}\n\n{stop}{after}", encoding="utf-8", newline="\n")
