"""No test tells how fast a machine is: what is waited for has one patience, and nothing is held against a clock."""

import ast
from pathlib import Path

import pytest

from tests.waiting import until

FILES = sorted(Path(__file__).parent.rglob("*.py"))
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}
WAITS = {"wait", "join", "result", "exception", "settimeout"}


def test_what_happens_is_given_back_and_what_does_not_is_an_error():
    looks = iter(["", "", "here"])
    assert until(lambda: next(looks), rest=lambda: None) == "here"
    assert until(lambda: "at the last look", going_on=lambda: False) == "at the last look"
    with pytest.raises(AssertionError, match="did not happen"):
        until(lambda: False, going_on=lambda: False)


def name(node):
    return getattr(node, "attr", getattr(node, "id", ""))


def deadlines(call):
    """The numbers in a call that are seconds of a deadline; 0 is none: it waits for nothing."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("timeout", "startup_timeout")]
    waits = call.args if name(call.func) in WAITS and isinstance(call.func, ast.Attribute) else []
    numbers = [one for one in [*named, *waits] if isinstance(one, ast.Constant)]
    return [one for one in numbers if isinstance(one.value, int | float) and one.value]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(Path(__file__).parent)))
def test_no_deadline_is_shorter_than_a_hang_and_no_clock_is_asserted(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert not deadlines(node), f"line {node.lineno}: write HANG of tests/waiting.py, or until(...)"
        if isinstance(node, ast.Assert):
            calls = [name(call.func) for call in ast.walk(node.test) if isinstance(call, ast.Call)]
            assert not CLOCKS & set(calls), f"line {node.lineno}: a bench prints seconds, a test asserts none"
