"""How much memory each contender of distil_loop takes: one epoch of it in a process of its own.

python bench/memory.py NAME FOLDER ANSWERS      what that process runs; it prints a number of bytes, or null
"""

import json
import subprocess
import sys
from pathlib import Path

import contenders
import harness
import psutil
import torch
from tasks import BATCH, SGD, VIEWS, Task, student_of, teacher_of

from course_lib.answers import read


def measure(pair, task, answers):
    """{name: bytes} that one epoch takes at its peak, beyond Python, torch and the contender's own code.

    answers: the file that holds the teacher's. The folder it lies in gets what else the processes need.
    """
    folder = answers.parent
    torch.save({"pair": pair, "x": task.x, "y": task.y}, folder / "work.pt")
    torch.save(task.teacher.state_dict(), folder / "teacher.pt")
    found = {}
    for name in contenders.ALL:
        command = [sys.executable, __file__, name, str(folder), str(answers)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the process that measures the memory of {name} failed: {done.stderr.strip()[-400:]}")
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(name, folder, answers):
    """The bytes that one epoch of this contender takes in this process; no teacher is loaded that it does not ask."""
    torch.set_num_threads(1)
    if name == contenders.TORCHDISTILL:
        import torchdistill.core.distillation  # noqa: F401
    given = torch.load(Path(folder) / "work.pt", weights_only=True)
    start = psutil.Process().memory_info().rss
    teacher = kept = None
    if name == contenders.CACHED:
        kept = read(answers)
    elif name != contenders.LIMIT:
        teacher = teacher_of(given["pair"])
        teacher.load_state_dict(torch.load(Path(folder) / "teacher.pt", weights_only=True))
    student = student_of(given["pair"])
    contenders.ALL[name](Task(teacher, student, given["x"], given["y"], VIEWS, kept, BATCH, SGD), student)()
    peak = harness.peak_memory()
    return None if peak is None else peak - start


if __name__ == "__main__":
    print(json.dumps(one(*sys.argv[1:])))
