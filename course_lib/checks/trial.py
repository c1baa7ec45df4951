"""Run an answer that may fail, never return, or return something odd; say in one sentence what happened.

within(seconds, work) bounds it in time; explain(...) turns what went wrong into words that name the learner's line.
"""

import _thread
import contextlib
import inspect
import linecache
import signal
import sys
import threading
import traceback

RETRY_SECONDS, RETRIES = 0.2, 25  # an interrupt that a bare `except:` swallowed is tried again


class TookTooLong(BaseException):
    """The work was stopped. Not an Exception, so that a loop with `except Exception` does not swallow it."""


def within(seconds, work):
    """Return work(), or raise TookTooLong when it still runs after `seconds`, on every system.

    Only the main thread can be interrupted, and only between two Python instructions; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    running, stopping, lock = True, False, threading.Lock()

    def on_interrupt(number, frame):
        if running and stopping:
            raise TookTooLong
        if not stopping and callable(before):  # the learner's own interrupt
            before(number, frame)

    def stop():
        nonlocal stopping
        for _ in range(RETRIES):
            with lock:  # so that no interrupt is sent once the work has returned
                if not running:
                    return
                stopping = True
                _interrupt_main_thread()
            if over.wait(RETRY_SECONDS):
                return
        print("Your code catches every interruption (an `except:` without a name?). Choose Kernel > Restart Kernel.")

    over = threading.Event()
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        timer.start()
        return work()
    finally:
        running = False  # from here on an interrupt that was on its way is ignored
        with lock:
            over.set()
        timer.cancel()
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _interrupt_main_thread():
    if hasattr(signal, "pthread_kill"):  # also ends a wait, in time.sleep say
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextlib.contextmanager
def own_random_numbers():
    """Inside, torch's random numbers start from one seed; outside, they go on as if nothing had happened."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(0)
        yield


def explain(error, answer, reference, examine):
    """One sentence about an error that `examine(answer)` raised: whose it is, where, and what to do."""
    words = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"
    place = _place(error, answer)
    if place:
        return f"your code raised {words} ({place})"
    if not callable(answer):
        return f"the check could not work with {describe(answer)} ({words})."
    if isinstance(error, TypeError) and _parameters(answer) != _parameters(reference):
        came, expected = _parameters(answer), _parameters(reference)
        return (
            f"your function, called as the exercise says, raised {words}. It takes `({came})` and the exercise's "
            f"takes `({expected})`: keep the stub's first line."
        )
    returned = _what_it_returned(answer, reference, examine)
    if returned:
        return returned
    try:
        examine(lambda *args, **kwargs: reference(*args, **kwargs))
    except (Exception, TookTooLong):
        return f"the check itself fails here ({words}). That is a mistake of the course, not yours; please report it."
    return f"the check could not work with what your function returned ({words}). Compare it with the docstring."


def describe(value):
    """What a value is, in words: "a tensor of shape (3, 10)"."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value) if len(repr(value)) < 40 else f"a {type(value).__name__}"
    if hasattr(value, "shape"):
        return f"a {type(value).__name__.lower()} of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _place(error, answer):
    """The innermost line of the learner's own code that the error passed through; "" when there is none."""
    theirs = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__globals__", None)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals is theirs or frame.f_globals.get("__name__") == "__main__":
            file = frame.f_code.co_filename
            text = linecache.getline(file, line, frame.f_globals).strip()
            return f"line {line} of {_file(file)}" + (f": `{text}`" if text else "")
    return ""


def _file(name):
    """ "your cell" for a notebook's cell, the file's name for a file."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    cell = shell.compile.format_code_name(name) if shell and hasattr(shell.compile, "format_code_name") else None
    return "your cell" if cell else name.replace("\\", "/").rsplit("/", 1)[-1]


def _parameters(function):
    try:
        return ", ".join(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return "..."


def _what_it_returned(answer, reference, examine):
    """A sentence when the answer's last call returned another kind of thing than the reference does, else ""."""
    last = None

    def watched(*args, **kwargs):
        nonlocal last
        out = answer(*args, **kwargs)
        last = (args, kwargs, out)
        return out

    with contextlib.suppress(Exception, SystemExit, TookTooLong):
        examine(watched)
    if last is None:
        return ""
    args, kwargs, out = last
    with contextlib.suppress(Exception):
        expected = reference(*args, **kwargs)
        if (type(out), getattr(out, "shape", None)) != (type(expected), getattr(expected, "shape", None)):
            end = " Is there a `return` line?" if out is None else ""
            return f"your function returned {describe(out)}, and {describe(expected)} was expected.{end}"
    return ""
