"""A check says one line, never raises at a learner, stops what never ends, and forgets nothing."""

import re
import signal
import textwrap
import threading
import time

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from course_lib.checks import exercise, trial
from course_lib.checks.exercise import Exercise, NotYet, expect, judge
from tests.waiting import HANG


def written(text):
    """What a learner's cell defines: the last name that the text defines, in a namespace of its own."""
    namespace = {"__name__": "a_cell", "torch": torch, "time": time}
    exec(compile(textwrap.dedent(text), "cell.py", "exec"), namespace)
    return list(namespace.values())[-1]


def reference(z, T=1.0):
    return torch.softmax(z / T, dim=-1)


def examine(answer):
    z = torch.tensor([[1.0, 2.0, 3.0]])
    expect(answer(z, 2.0).sum() > 0.99, "the row does not add up to 1: did you divide by the sum?")


SOFTMAX = Exercise("1.1", "Softmax at T", 5, 1, reference, examine, ("look", "look closer", "the line is this"))


def judged(answer, one=SOFTMAX, seconds=HANG):
    return judge(one, answer, seconds=seconds)


@pytest.fixture(autouse=True)
def progress_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress"))
    return tmp_path / "progress"


# ---- the three states ----


def test_a_right_answer_passes_and_is_what_the_lesson_goes_on_with(capsys):
    answer = written("def f(z, T): return torch.softmax(z / T, -1)")
    assert exercise.check(SOFTMAX, answer) is answer
    assert capsys.readouterr().out == "✓ Exercise 1.1 · Passed: well done.\n"


def test_a_wrong_answer_gets_its_message_and_the_lesson_goes_on_with_the_reference(capsys):
    assert exercise.check(SOFTMAX, written("def f(z, T): return 0 * z")) is reference
    assert "△ Exercise 1.1 · Not yet: the row does not add up to 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "unwritten",
    [None, ..., reference, written('def f(z, T): raise NotImplementedError("not written yet")')],
    ids=["None", "...", "the reference", "the stub"],
)
def test_what_is_not_written_is_to_do(unwritten):
    assert judged(unwritten)[0] == "to do"


def test_an_operation_that_torch_lacks_is_not_taken_for_an_unwritten_stub():
    state, sentence = judged(written('def f(z, T): raise NotImplementedError("Could not run aten::x")'))
    assert state == "not yet" and "Could not run aten::x" in sentence


def test_strict_makes_a_check_that_does_not_pass_an_error_of_one_line_and_remembers_nothing(progress_folder):
    exercise.strict()
    try:
        exercise.check(SOFTMAX, written("def f(z, T): return torch.softmax(z / T, -1)"))
        with pytest.raises(exercise.CheckFailed, match="Exercise 1.1, to do"):
            exercise.check(SOFTMAX, reference)
    finally:
        exercise.strict(False)
    assert not progress_folder.exists()


# ---- what a learner's code does to a check ----


@pytest.mark.parametrize(
    "answer, part",
    [
        (torch.ones(3), "takes your function itself and got a tensor of shape (3,)"),
        (3, "takes your function itself and got 3"),
        (written("def f(z): return z"), "It takes `(z)` and the exercise's takes `(z, T)`"),
        (written("def f(z, T): pass"), "returned None, and a tensor of shape (1, 3) was expected. Is there a `return`"),
        (written("def f(z, T): return [1.0]"), "returned a list, and a tensor of shape (1, 3) was expected"),
        (written("def f(z, T):\n    y = z / T\n    return y + w"), "name 'w' is not defined (line 3 of cell.py"),
        (written("def f(z, T): return z @ z"), "RuntimeError: mat1 and mat2"),
        (written("def f(z, T): return f(z, T)"), "RecursionError"),
        (written("def f(z, T): raise SystemExit"), "SystemExit"),
        (written("def f(z, T): raise KeyError"), "KeyError: no message (line 1 of cell.py)"),
    ],
)
def test_each_kind_of_broken_answer_gets_its_own_sentence(answer, part):
    state, sentence = judged(answer)
    assert state == "not yet" and part in sentence and "\n" not in sentence


def test_a_mistake_in_the_check_is_not_blamed_on_the_learner():
    broken = Exercise("1.2", "Broken", 5, 1, reference, lambda answer: answer(torch.ones(2), 1.0).no_such_thing)
    assert "a mistake of the course, not yours" in judged(written("def f(z, T): return z"), broken)[1]


# ---- the learner's session, and the answer's hand on it ----


@pytest.fixture
def settings():
    """What a session may set, put back afterwards."""
    yield
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


GRADIENT = Exercise(
    "1.4", "A gradient", 5, 1, reference, lambda answer: answer(torch.ones(2, requires_grad=True)).sum().backward()
)


def test_what_the_session_has_set_decides_nothing_and_is_left_as_it_was(settings):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.double)
    with torch.inference_mode():
        assert judged(written("def f(z): return z * torch.tensor(2.0)"), GRADIENT)[0] == "passed"
    assert not torch.is_grad_enabled() and torch.get_default_dtype() == torch.double


@pytest.mark.parametrize(
    "line, part",
    [
        ("torch.set_grad_enabled(False)", "switches gradients off and leaves them off"),
        ("torch.autograd.grad_mode.set_grad_enabled(False)", "Write `with torch.no_grad():`"),
        ("torch.set_default_dtype(torch.double)", "makes torch.float64 the default of the whole session"),
    ],
)
def test_an_answer_that_leaves_the_session_changed_is_told_so_and_changes_nothing(settings, line, part):
    state, sentence = judged(written(f"def f(z, T):\n    {line}\n    return torch.softmax(z / T, -1)"))
    assert state == "not yet" and part in sentence
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def test_a_replaced_function_of_torchs_is_named_and_judges_nobody(monkeypatch):
    mine = written("def softmax(z, dim): return z")
    mine.__module__ = "__main__"
    monkeypatch.setattr(torch, "softmax", mine)
    assert judged(mine)[1].startswith("torch.softmax is not torch's own any more")


@pytest.mark.parametrize("line", ["quit()", "exit()", "raise SystemExit", "__import__('sys').exit()"])
def test_an_answer_that_ends_python_ends_nothing(line):
    state, sentence = judged(written(f"def f(z, T):\n    {line}"))
    assert state == "not yet" and "ends Python itself" in sentence and "line 2 of cell.py" in sentence


def half_written(z, T):
    e = (z / T).exp()
    print(e)
    raise NotImplementedError("not written yet")


def test_a_stub_line_that_is_left_beneath_real_code_is_named():
    assert judged(half_written) == ("not yet", exercise.STILL_RAISES)


def calls_another(z, T):
    z = z / T
    return unwritten_helper(z)


def unwritten_helper(z):
    """Not this exercise's."""
    raise NotImplementedError("not written yet")


def test_the_stub_of_another_exercise_is_not_taken_for_it():
    assert judged(calls_another)[0] == "to do"
    assert judged(unwritten_helper, GRADIENT)[0] == "to do"


@pytest.mark.parametrize(
    "body, part",
    [
        ("z - z.max(-1, keepdim=True)", "Take .values"),
        ("z.expand(2, 3) / z.expand(2, 3).sum(-1)", "keepdim=True keeps it"),
        ("float(z)", "take one number, and a tensor holds many"),
        ("__import__('math').exp(z)", "Write x.log(), x.exp()"),
        ("z.requires_grad_().numpy()", "cannot become an array"),
        ("z.sum().backward()", "Nothing leads from the result back"),
        ("z[z]", "can pick rows"),
        ("z.requires_grad_().mul_(2)", "Something works in place"),
    ],
)
def test_what_torch_says_is_followed_by_what_it_means(body, part):
    sentence = judged(written(f"def f(z, T): return {body}"))[1]
    assert "your code raised" in sentence and part in sentence, sentence


LOOPS = {
    "a plain loop": "while True: pass",
    "a loop that catches Exception": "while True:\n        try: len('x')\n        except Exception: pass",
    "a loop with a bare except": "while True:\n        try: len('x')\n        except: pass",
    "a long sleep": "time.sleep(1000)",
    "torch, over and over": "while True: torch.ones(50, 50) @ torch.ones(50, 50)",
}


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_an_answer_that_never_returns_is_stopped(body):
    state, sentence = judged(written(f"def f(z, T):\n    {body}"), seconds=0.3)
    assert state == "not yet" and "was stopped" in sentence


def test_an_answer_that_ends_at_the_limit_never_interrupts_what_comes_after():
    handler = signal.getsignal(signal.SIGINT)
    for round in range(200):  # the end of the work and its interrupt fall together, a little earlier, a little later
        end = time.perf_counter() + 0.002 + (round % 20 - 10) * 2e-5
        try:
            trial.within(0.002, lambda end=end: [None for _ in iter(lambda: time.perf_counter() < end, False)])
        except trial.TookTooLong:
            pass
        for _ in range(100):
            pass
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_learners_own_interrupt_is_still_an_interrupt():
    with pytest.raises(KeyboardInterrupt):
        trial.within(HANG, lambda: signal.raise_signal(signal.SIGINT))


def test_outside_the_main_thread_an_answer_is_checked_without_a_limit():
    states = []
    thread = threading.Thread(target=lambda: states.append(judged(written("def f(z, T): return z"))[0]))
    thread.start()
    thread.join()
    assert states == ["passed"]


def test_a_check_leaves_the_learners_random_numbers_alone_and_has_its_own():
    seen = []
    lucky = Exercise("1.3", "Luck", 5, 1, reference, lambda answer: seen.append(torch.rand(1).item()))
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first = torch.rand(1)
    judged(len, lucky), judged(len, lucky)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    assert seen[0] == seen[1]


# ---- hints and progress ----


def test_each_call_shows_the_next_hint_and_a_numbered_call_the_one_asked_for(capsys):
    for which in (None, None, None, None, 2, 9):
        exercise.hint(SOFTMAX, which)
    lines = capsys.readouterr().out.splitlines()
    assert [re.search(r"Hint \d|there are hints 1 to 3", line)[0] for line in lines] == [
        *("Hint 1", "Hint 2", "Hint 3", "Hint 3", "Hint 2", "there are hints 1 to 3")
    ]


def test_what_was_passed_stays_passed_and_a_later_wrong_try_says_so(capsys):
    wrong, right = written("def f(z, T): return 0 * z"), written("def f(z, T): return torch.softmax(z / T, -1)")
    states = []
    for answer in (reference, wrong, right, wrong, reference):
        exercise.check(SOFTMAX, answer)
        states.append(exercise.progress())
    assert states == [{}, {"1.1": "tried"}, {"1.1": "passed"}, {"1.1": "passed"}, {"1.1": "passed"}]
    assert "You have passed this one before" in capsys.readouterr().out.splitlines()[3]


def test_a_damaged_or_unwritable_progress_folder_costs_a_sentence_and_nothing_else(progress_folder, capsys):
    progress_folder.mkdir()
    (progress_folder / "1.1.json").write_text('{"state": "pas', encoding="utf-8")
    (progress_folder / "1.2.json").write_text("[1, 2]", encoding="utf-8")
    assert exercise.progress() == {}
    exercise.check(SOFTMAX, written("def f(z, T): return 0 * z"))
    assert exercise.progress() == {"1.1": "tried"}
    (progress_folder / "1.1.json").unlink()
    (progress_folder / "1.1.json").mkdir()  # now nothing can be put there, not even by an administrator
    exercise.check(SOFTMAX, written("def f(z, T): return 0 * z"))
    assert "could not be remembered" in capsys.readouterr().out.splitlines()[-1]


# ---- what is seen ----


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(
        w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
        for w, c in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
    )


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
def test_every_colour_reads_on_a_light_and_on_a_dark_page(background):
    for _, colour in exercise.LOOK.values():  # contrast of at least 3 : 1, WCAG 2.2, 1.4.11
        light, dark = sorted([_luminance(colour) + 0.05, _luminance(background) + 0.05], reverse=True)
        assert light / dark >= 3


def test_in_a_notebook_a_check_names_the_line_of_the_cell_and_is_announced(tmp_path):
    (tmp_path / "demo_checks.py").write_text(
        textwrap.dedent("""
        from course_lib.checks import exercise as exercises

        def examine(answer):
            exercises.expect(answer(1) == 2, "one more is `x + 1`, not <b>x</b>")

        PLUS = exercises.Exercise("9.1", "Plus one", 1, 1, lambda x: x + 1, examine)
        """),
        encoding="utf-8",
    )
    cells = [
        "import sys; sys.path.insert(0, '.')\nfrom demo_checks import PLUS\nfrom course_lib.checks import exercise as exercises, trial",
        "def plus(x):\n    y = x\n    return y / 0",
        "plus = exercises.check(PLUS, plus)",
        "exercises.check(PLUS, lambda x: x);",
        "def plus(x):\n    while True:\n        pass",
        "print(exercises.judge(PLUS, plus, seconds=0.3))",
        "exercises.check(PLUS, lambda x: quit());",
        "print('and the next cell runs')",
    ]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(nb, timeout=HANG, startup_timeout=HANG, resources={"metadata": {"path": str(tmp_path)}}).execute()
    error, wrong = (nb.cells[i].outputs[0].data for i in (2, 3))
    assert "raised ZeroDivisionError: division by zero (line 3 of your cell: `return y / 0`)" in error["text/plain"]
    assert 'role="status"' in wrong["text/html"] and "<strong>Exercise 9.1 · Not yet</strong>" in wrong["text/html"]
    assert "<code>x + 1</code>, not &lt;b&gt;x&lt;/b&gt;" in wrong["text/html"]
    assert "was stopped" in nb.cells[5].outputs[0].text
    assert "ends Python itself" in nb.cells[6].outputs[0].data["text/plain"]
    assert nb.cells[7].outputs[0].text == "and the next cell runs\n"


def test_expect_raises_its_sentence_only_when_the_condition_fails():
    expect(True, "never seen")
    with pytest.raises(NotYet, match="seen"):
        expect(False, "seen")
