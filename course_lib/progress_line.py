"""One line that says how far a long job is, and stays as one finished line."""

import os
import sys
import threading
import time

__all__ = ["Progress", "each"]

PATIENCE = 3.0  # seconds that a learner waits without a word
_running = threading.local()  # .jobs: those of this thread, the outermost first


class Progress:
    """`with Progress("16 students, 30 epochs", 30) as progress:` ... `progress.step()`.

    A job of under 3 seconds prints nothing. A longer one shows one line that is rewritten in place and ends,
    in the stored page too, as "16 students, 30 epochs: 4.2 s". A job within a job has no line of its own: it moves the
    outer one's, so that many short jobs are not many seconds of silence.
    """

    def __init__(self, what, total, clock=time.monotonic):
        self.what, self.total, self.clock = what, total, clock
        self.done, self.shown, self.line = 0, None, _line_in_notebook() or _line_in_terminal()
        if os.environ.get("RANK", "0") != "0":  # of several processes, one speaks
            self.line = lambda text, last=False: None

    def __enter__(self):
        self.start = self.clock()
        self.jobs = _running.__dict__.setdefault("jobs", [])
        self.outer = self.jobs[-1] if self.jobs else None
        self.jobs.append(self)
        return self

    def step(self, parts=1):
        """So many more of `total` parts are done."""
        self.done += parts
        self._tell(self.done / self.total)

    def _tell(self, share):
        """Show that this share of the job is done, 0 to 1; what a job within the next part says counts in it."""
        if self.outer:
            return self.outer._tell((self.outer.done + share) / self.outer.total)
        seconds = self.clock() - self.start
        if seconds >= PATIENCE and (self.shown is None or seconds - self.shown >= 0.5):
            left = f", about {_duration(seconds / share * (1 - share))} left" if share else ""
            self.line(f"{self.what}: {share:.0%} done{left}")
            self.shown = seconds

    def __exit__(self, kind, error, trace):
        self.jobs.remove(self)
        if self.outer and self.shown is None:
            return
        seconds = self.clock() - self.start
        if kind is not None and (self.shown is not None or kind is KeyboardInterrupt):
            self.line(f"{self.what}: stopped at {self.done / self.total:.0%} after {_duration(seconds)}", last=True)
        elif kind is None and seconds >= PATIENCE:
            self.line(f"{self.what}: {_duration(seconds)}", last=True)


def each(items, what):
    """The items one after the other, with one line for all of them: for seed in each(range(16), "16 students")."""
    items = list(items)
    with Progress(what, len(items)) as progress:
        for item in items:
            yield item
            progress.step()


def _duration(seconds):
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _line_in_notebook():
    """A function that rewrites one line of a cell's output; None outside a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    if not hasattr(shell, "kernel"):
        return None
    handle = None

    def line(text, last=False):
        nonlocal handle
        if handle is None:
            from IPython.display import display

            handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            handle.update({"text/plain": text}, raw=True)

    return line


def _line_in_terminal():
    """A function that rewrites one line of a terminal; in a pipe or a file only the finished line is written."""
    width = 0

    def line(text, last=False):
        nonlocal width
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{text:<{width}}" + "\n" * last)
            width = len(text)
        elif last:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()

    return line
