"""A small program, run in one process or in several of this computer's CPU, as torchrun starts them."""

import contextlib
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from course_lib.files import ROOT
from course_lib.progress_line import Progress

PATIENCE = 300  # seconds


class Failed(RuntimeError):
    """The processes did not end well; the message is the first error that one of them gave."""

    def _render_traceback_(self):
        return [str(self)]


def launch(program, processes=2, patience=PATIENCE):
    """Run a program, given as text; {name: tensor}, the weights of what it calls `model`, as its first process ends.

    One process is this one; several are started by torchrun. What each of them prints is shown when all have ended, one
    process after the other, so that no two lines mix. Raises Failed, in words, after an error or `patience` seconds.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        (folder / "program.py").write_text(program, encoding="utf-8")
        if processes == 1:
            return runpy.run_path(str(folder / "program.py"))["model"].state_dict()
        told = _torchrun(folder, processes, patience)
        for rank in range(processes):
            said = folder / f"said-{rank}"
            for line in said.read_text(encoding="utf-8").splitlines() if said.exists() else ():
                print(f"process {rank}: {line}")
        if told:
            raise Failed(told)
        return torch.load(folder / "model", weights_only=True)


def _torchrun(folder, processes, patience):
    """Start the processes and wait for them; "" if all went well, else why not, in one sentence."""
    start = f"from course_lib.train.launch import one_of_several\none_of_several({str(folder)!r})\n"
    (folder / "start.py").write_text(start, encoding="utf-8")
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
    with open(folder / "errors", "w", encoding="utf-8") as errors:
        command = [sys.executable, *starter, str(folder / "start.py")]
        running = subprocess.Popen(command, env=settings, stdout=errors, stderr=errors)
        try:
            ended = _wait(running, folder, processes, patience)
        finally:  # after Ctrl-C too, no process is left behind
            running.terminate()
            running.wait()
    if not ended:
        return f"{processes} processes had not ended after {patience:g} s, and were stopped"
    if not running.returncode:
        return ""
    lines = (folder / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    found = [line.partition("]:")[2].strip() or line for line in lines if "Error: " in line]
    return f"{processes} processes did not end well. {(found or lines[-1:] or [f'Exit code {running.returncode}'])[0]}"


def _wait(running, folder, processes, patience):
    """Wait with a line of progress: each process tells by a file that it has begun, and by another that it has ended."""
    until = time.monotonic() + patience
    with Progress(f"{processes} processes", 2 * processes) as progress:
        while running.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
            progress.step(len([*folder.glob("said-*"), *folder.glob("ended-*")]) - progress.done)
    return running.poll() is not None


def one_of_several(folder):
    """What each process does: run the program, its words into a file of its own; the first keeps the model's weights."""
    folder, rank = Path(folder), os.environ["RANK"]
    with open(folder / f"said-{rank}", "w", encoding="utf-8") as said, contextlib.redirect_stdout(said):
        model = runpy.run_path(str(folder / "program.py"), run_name="__main__")["model"]
    if rank == "0":
        torch.save(model.state_dict(), folder / "model")
    (folder / f"ended-{rank}").touch()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
