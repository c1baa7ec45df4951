"""results/lesson_seconds.json: how long each executed solution took, and on which machine.

{"calibration": work units per second, "lessons": {name: seconds}, "processor": ..., "date": ..., "apart": {name: ...}}

All lessons run in one go make the file anew. A lesson that ran on its own is merged into it: what was measured stands
under "apart", with its own calibration, machine and date; under "lessons" its seconds are scaled to the calibration of
the file, so that all of them can be compared. course_lib/machine/this.py scales them to the learner's machine.
"""

import json
import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

WHAT = "seconds that each executed solution took, with starting and stopping its kernel"
APART = "seconds that this solution took on its own; under lessons they are scaled to the calibration of this file"


def path(root):
    """Where the file lies in the course's folder."""
    return root / "results" / "lesson_seconds.json"


def recorded(root):
    """What the file says, or None where there is none."""
    return json.loads(path(root).read_text(encoding="utf-8")) if path(root).exists() else None


def record(root, seconds, names):
    """Write down the seconds {lesson: s} that were just measured; names: of all lessons there are."""
    there, now = recorded(root), measure()
    if there is None or set(seconds) >= set(names):
        there = {"what": WHAT, "calibration": now.pop("calibration"), "lessons": {}, **now}
        there["lessons"] = {name: round(s, 1) for name, s in sorted(seconds.items())}
    else:
        for name, s in seconds.items():
            there["lessons"][name] = round(s * now["calibration"] / there["calibration"], 1)
            there.setdefault("apart", {})[name] = {"what": APART, "seconds": round(s, 1), **now}
    write(root, there, names)


def forget_the_removed(root, names):
    """Take lessons that are gone out of the file; names: of those that are there."""
    there = recorded(root)
    if there and set(there["lessons"]) - set(names):
        write(root, there, names)


def write(root, facts, names):
    """Write the facts of the lessons with these names, in their order."""
    facts["lessons"] = {name: facts["lessons"][name] for name in sorted(facts["lessons"]) if name in names}
    apart = {name: there for name, there in sorted(facts.pop("apart", {}).items()) if name in names}
    facts |= {"apart": apart} if apart else {}
    path(root).parent.mkdir(exist_ok=True)
    path(root).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote results/{path(root).name}", flush=True)


def measure():
    """What this machine is, and how fast, now: {"calibration": work units per second, "processor": ..., "date": ...}."""
    import torch

    from course_lib.machine import calibrate

    return {
        "calibration": round(calibrate(), 1),
        "n": 1,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("torch", "scikit-learn")},
        "system": platform.system(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"model name\s*:\s*(.+)", text)[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()
