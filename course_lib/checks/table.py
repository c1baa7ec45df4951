"""A check as a table: cases (what is given and what is right) and mistakes (what a learner may have written instead).

The answer is tried on one case after the other. At the first that it gets wrong, the mistakes that gave what the answer
gave in *every* case so far are what probably happened, and the sentence of the first of them is said. So cases go from
plain to odd, and of two mistakes that look alike the likelier stands first.
"""

import copy
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from course_lib.checks import trial, values
from course_lib.checks.exercise import NotYet, expect
from course_lib.files import quoted


@dataclass(frozen=True)
class Case:
    """One question to the answer. What is right comes from a hand or from another library, never from our own code."""

    seen: str  # what is given, in words: "the logits 2, 1, 0 at T = 2"
    given: tuple  # the arguments; each call gets its own copy
    right: Any  # a tensor, a number, True or False, or several of these as a tuple
    why: str = ""  # what to look at when no mistake explains what came
    off: float = 1e-6  # how far a number may be off, where one part in 10,000 is less


@dataclass(frozen=True)
class Table:
    """examine(answer) of an exercise: passes an answer that is right in every case."""

    name: str  # of the learner's function
    what: str  # what it gives back, in words: "one probability per class"
    cases: tuple[Case, ...]
    mistakes: tuple[Callable | str, ...]  # in turn: what a learner may have written, and the sentence that helps then
    play: Callable = lambda answer, *given: answer(*given)  # how it is called, where once with the arguments is not all
    read: Callable = lambda came: came  # what of the answer is compared, where several forms of it are right
    gradient: Callable | None = None  # a right function: at the first case, the answer must have its gradient
    forbids: tuple[set[str], str] = (set(), "")  # names of torch's functions, and the sentence for who calls one
    also: Callable = lambda answer: None  # what is asked beside the numbers; raises NotYet

    def __call__(self, answer):
        """Raise NotYet with the likeliest cause unless the answer is right."""
        likely = self.pairs()
        for case in self.cases:
            came = self.ask(answer, case)
            gave = [(self.outcome(mistake, case)[0], says, mistake) for mistake, says in likely]
            likely = [(mistake, says) for other, says, mistake in gave if values.same(other, came, case.off)]
            if not values.same(came, case.right, case.off):
                causes = [says for _, says in likely]
                if values.odd(came, case.right):  # then whatever gives such a thing is a cause, be its numbers others
                    causes += [says for other, says, _ in gave if values.kind(other) == values.kind(came)]
                self.tell(answer, case, came, causes)
        self.also(answer)
        self.ask_again(answer, self.cases[0])

    def pairs(self):
        """The mistakes as [(function, sentence), ...]."""
        return list(zip(self.mistakes[::2], self.mistakes[1::2], strict=True))

    def outcome(self, function, case):
        """(what the function makes of the case, or the error that it raised; the arguments as it left them)."""
        given = copy.deepcopy(case.given)
        try:
            return values.read(self.read(self.play(function, *given)), case.right), given
        except Exception as error:
            return error, given

    def ask(self, answer, case):
        """What the answer makes of the case; NotYet where it harms what it was given."""
        came, given = self.outcome(answer, case)
        expect(
            values.unchanged(case.given, given),
            f"your {self.name} changed what it was given, which the lesson still needs. Something works in place (a name "
            "that ends in _, +=, an assignment to x[...], .sort(), requires_grad_()): work on a copy, x.clone() or list(x).",
        )
        return came

    def tell(self, answer, case, came, causes):
        """Raise NotYet: what was given, what came, what is right, and the likeliest cause."""
        if isinstance(came, Exception):
            if not causes:
                raise came
            raise NotYet(f"for {case.seen} {trial.raised(came, answer) or f'came {came!r:.200}'}. {causes[0]}")
        expect(came is not None, f"your {self.name} gave back None. Is there a `return` line at its end?")
        odd = values.kind(came) != values.kind(case.right)
        if not causes and not odd and all(values.same(self.outcome(answer, one)[0], came, 0) for one in self.cases):
            causes = ["That comes whatever is given: does your function use its arguments?"]
        gave, expected = values.differ(came, case.right, case.off, self.what)
        look = [*causes, "" if odd else case.why][0]
        raise NotYet(f"for {case.seen} your {self.name} gave {gave}; expected is {expected}. {look}".strip())

    def ask_again(self, answer, case):
        """The first case once more: is anything remembered from call to call, forbidden, or lost to autograd?"""
        with Watch() as watch:
            came = self.ask(answer, case)
        expect(
            values.same(came, case.right, case.off),
            f"for {case.seen} your {self.name} gave something else when it was asked once more. What does it remember "
            "from one call to the next: a global variable, a default argument that it changes?",
        )
        expect(not watch.called & self.forbids[0], self.forbids[1])
        expect(
            not getattr(came, "requires_grad", False) or any(isinstance(one, torch.nn.Module) for one in case.given),
            f"what your {self.name} gave back still hangs together with requires_grad_(), which nobody asked for and "
            "no picture can be drawn of. End with .detach().",
        )
        if not self.gradient:
            return
        came, right = (gradient(function, copy.deepcopy(case.given)) for function in (answer, self.gradient))
        expect(
            came is not None,
            f"your {self.name} gives the right numbers, but autograd lost the thread: no network could be trained through "
            "it. Keep to torch operations, without .item(), .detach(), .numpy() or a new torch.tensor(...).",
        )
        expect(
            values.same(came, right, 1e-5),
            f"your {self.name} gives the right numbers, but not the right gradient: part of it is cut off from autograd. "
            "Look for .item(), .detach(), torch.no_grad() or a new torch.tensor(...).",
        )


def instead(right, *pairs):
    """The function with pieces of its text replaced, (there, here, there, here, ...): what may be written instead."""
    source = textwrap.dedent(inspect.getsource(right))
    for there, here in zip(pairs[::2], pairs[1::2], strict=True):
        if there not in source:
            raise ValueError(f"{right.__name__} has no {quoted(there)} that could be replaced")
        source = source.replace(there, here)
    names = dict(right.__globals__)
    exec(source, names)
    return names[right.__name__]


class Watch(TorchFunctionMode):
    """Inside, the names of the torch functions that are called are collected in `called`."""

    def __init__(self):
        """Nothing was called yet."""
        super().__init__()
        self.called = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Note the name and call the function."""
        self.called.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def gradient(function, given):
    """The gradient of a weighted sum of function(*given) with respect to its first tensor; None where there is none."""
    z = next(one for one in given if isinstance(one, torch.Tensor)).requires_grad_()
    came = function(*given)
    if came.requires_grad:
        (came * torch.arange(1.0, came.numel() + 1).reshape(came.shape)).sum().backward()
    return z.grad
