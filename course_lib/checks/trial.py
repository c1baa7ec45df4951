"""Run an answer that may fail, never return, or return something odd; say in one sentence what happened.

within(seconds, work) bounds it in time; undisturbed() keeps the learner's session and the answer apart;
explain(...) turns what went wrong into words that name the learner's line.
"""

import _thread
import ast
import builtins
import contextlib
import inspect
import linecache
import random
import signal
import sys
import textwrap
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


class LeftChanged(Exception):
    """The session is not as a lesson needs it; the message says what changed it and what to do."""


@contextlib.contextmanager
def undisturbed():
    """Whatever the session's settings, inside they are those of a new one; outside, all goes on as if nothing happened.

    Settings: torch's gradients, default dtype and random numbers, those of numpy and Python. Raises LeftChanged when
    gradients or the dtype were left changed. quit() is an error and ends nothing.
    """
    torch, numpy, shell = sys.modules.get("torch"), sys.modules.get("numpy"), _shell()
    with contextlib.ExitStack() as after:
        after.callback(random.setstate, random.getstate())
        random.seed(0)
        if shell:  # IPython's quit() raises nothing and ends the session after the cell
            after.callback(setattr, shell, "ask_exit", shell.ask_exit)
            shell.ask_exit = _leave
        if numpy:
            after.callback(numpy.random.set_state, numpy.random.get_state())
            numpy.random.seed(0)
        if not torch:
            yield
            return
        after.enter_context(torch.inference_mode(False))
        after.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        after.callback(torch.set_default_dtype, torch.get_default_dtype())
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
        after.enter_context(torch.random.fork_rng(devices=gpus))
        torch.default_generator.manual_seed(0)
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            if not torch.is_grad_enabled():
                raise LeftChanged(
                    "your code switches gradients off and leaves them off, and no network could be trained any more. "
                    "Write `with torch.no_grad():` around the lines that need it."
                )
            if torch.get_default_dtype() != torch.float32:
                raise LeftChanged(
                    f"your code makes {torch.get_default_dtype()} the default of the whole session. Change one tensor "
                    "with x.to(dtype) or x.double() instead."
                )


def _leave(*args, **kwargs):
    raise SystemExit


def own_functions():
    """Raise LeftChanged when a line of the session has put something in the place of a function of torch's."""
    torch = sys.modules.get("torch")
    homes = (
        (("torch", torch), ("torch.nn.functional", torch.nn.functional), ("torch.Tensor", torch.Tensor))
        if torch
        else ()
    )
    for name, home in homes:
        for part, there in list(vars(home).items()):
            if getattr(there, "__module__", None) == "__main__":
                raise LeftChanged(
                    f"{name}.{part} is not torch's own any more: a line of this session put something else in its "
                    "place. Remove that line, then choose Kernel > Restart Kernel."
                )


TORCH_SAYS = {  # a part of torch's words: what they mean
    "return_types.": "x.max(dim=-1) gives back two things, the largest values and where they are. Take .values, or "
    "x.amax(dim=-1, keepdim=True).",
    "onverted to": "math.log, math.exp, float and .item() take one number, and a tensor holds many. Write x.log(), x.exp().",
    "must match the size of tensor": "Two tensors met whose shapes do not fit: print both. After a sum, a mean or a max over "
    "one dim that dim is gone; keepdim=True keeps it.",
    "does not require grad": "Nothing leads from the result back to what its gradient is asked for: look for .item(), "
    ".detach(), .numpy(), torch.tensor(...) or torch.no_grad() on the way, or for a requires_grad_() that is missing.",
    "call numpy() on": "A tensor that hangs together with autograd cannot become an array. Keep to torch operations.",
    "in-place operation": "Something works in place (a name that ends in _, +=, an assignment to x[...]). Make a new tensor.",
    "used as indices": "Only whole numbers, or True and False, can pick rows.",
}


def raised(error, answer):
    """ "your code raised KeyError: 3 (line 2 of your cell: `…`)", with what torch means by it; "" if no line is theirs."""
    place = _place(error, answer)
    if not place:
        return ""
    if isinstance(error, SystemExit):
        return f"your code ends Python itself: quit(), exit() and sys.exit() raise SystemExit ({place}). Use return"
    means = "".join(f". {says}" for part, says in TORCH_SAYS.items() if part in str(error))
    return f"your code raised {_words(error)} ({place}){means}".removesuffix(".")


def unfinished(error, answer):
    """Whether the stub's `raise NotImplementedError` was reached in a function that holds other lines, too."""
    if traceback.extract_tb(error.__traceback__)[-1].name != getattr(answer, "__name__", ""):
        return False
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(answer))).body[0].body
    except (OSError, TypeError, SyntaxError, AttributeError, IndexError):
        return False
    return any(
        not isinstance(getattr(line, "value", None), ast.Constant) for line in body if not isinstance(line, ast.Raise)
    )


def _words(error):
    """ "KeyError: 3": the first line of what an error says."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"


def explain(error, answer, reference, examine):
    """One sentence about an error that `examine(answer)` raised: whose it is, where, and what to do."""
    if raised(error, answer):
        return f"{raised(error, answer)}."
    words = _words(error)
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
    name, shape = type(value).__name__, getattr(value, "shape", None)
    if shape is not None:
        name = name.lower() + (f" of shape {tuple(shape)}" if tuple(shape) else " with one number in it")
    return f"{'an' if name[0] in 'aeiouAEIOU' or name.startswith('nd') else 'a'} {name}"


def _place(error, answer):
    """The innermost line of the learner's own code that the error passed through; "" when there is none."""
    theirs = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__globals__", None)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals is theirs or frame.f_globals.get("__name__") == "__main__":
            file = frame.f_code.co_filename
            text = linecache.getline(file, line, frame.f_globals).strip()
            return f"line {line} of {_file(file)}" + (f": `{text}`" if text else "")
    return ""


def _shell():
    """IPython's shell, where there is one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _file(name):
    """ "your cell" for a notebook's cell, the file's name for a file."""
    shell = _shell()
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


@contextlib.contextmanager
def other_process(answer):
    """Inside, hash() gives the answer's own lines other numbers for texts, as it would in another process (PYTHONHASHSEED)."""
    real, theirs = builtins.hash, getattr(answer, "__globals__", None)

    def has_text(value):
        return isinstance(value, (str, bytes)) or (isinstance(value, tuple) and any(map(has_text, value)))

    def salted(value):
        other = sys._getframe(1).f_globals is theirs and has_text(value)
        return real(value) ^ 0x5DEECE66D if other else real(value)

    builtins.hash = salted
    try:
        yield
    finally:
        builtins.hash = real
