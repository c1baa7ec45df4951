"""Every check of every lesson is tried with right answers, with named misconceptions, and with garbage."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
import torch._dynamo  # noqa: F401 else the first optimiser imports it, within the time of an answer

from course_lib import checks, models, train
from course_lib.checks import exercise as checked
from course_lib.checks.table import Table
from tests.answers import Answers
from tests.waiting import HANG

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem[-2:] for path in (ROOT / "course_lib" / "checks").glob("lesson_[0-9][0-9].py"))
SECONDS = 0.25  # the time limit of an answer that loops forever


def _load(lesson):
    """The exercises of a lesson, and the answers that try them; a slip in either file is an error of its own."""
    there = importlib.import_module(f"course_lib.checks.lesson_{lesson}").EXERCISES
    return there, importlib.import_module(f"tests.answers.lesson_{lesson}").ANSWERS


EXERCISES = {number: exercise for lesson in LESSONS for number, exercise in _load(lesson)[0].items()}
ANSWERS = {number: answers for lesson in LESSONS for number, answers in _load(lesson)[1].items()}
TABLES = [number for number, exercise in EXERCISES.items() if isinstance(exercise.examine, Table)]
every_table = pytest.mark.parametrize("number", TABLES)


def judge(exercise, answer, seconds=HANG):
    """As a check judges a learner's answer, on a machine that may have more to do than this."""
    return checked.judge(exercise, answer, seconds=seconds)


every_exercise = pytest.mark.parametrize("number", EXERCISES)


def _answers(number) -> Answers:
    if number not in ANSWERS:
        pytest.fail(f"tests/answers/lesson_{int(number.split('.')[0]):02d}.py has no answers to exercise {number}")
    return ANSWERS[number]


def _wrap(function, before=lambda *args, **kwargs: None):
    """The same function as another object; before(*args, **kwargs) sees its arguments first."""

    def wrapped(*args, **kwargs):
        before(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("source", sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_every_exercise_of_a_lesson_has_its_check_and_every_check_its_exercise(source):
    text = source.read_text(encoding="utf-8")
    headings = set(re.findall(r"^# #+ Exercise (\d+\.\d+)", text, re.M))
    checked = set(re.findall(r'check\("(\d+\.\d+)"', text))
    defined = {number for number in EXERCISES if int(number.split(".")[0]) == int(source.stem[:2])}
    assert headings == checked == defined


@every_exercise
def test_an_exercise_is_numbered_bounded_and_has_at_most_three_hints(number):
    exercise = EXERCISES[number]
    assert exercise.number == number and exercise.title
    assert exercise.difficulty in (1, 2, 3) and 0 < exercise.minutes <= 30
    assert 1 <= len(exercise.hints) <= 3 and all(exercise.hints)


@every_exercise
def test_right_answers_pass(number):
    right = _answers(number).right
    assert len(right) >= 2, "two answers, written in different ways"
    for answer in right:
        assert judge(EXERCISES[number], answer)[0] == "passed", judge(EXERCISES[number], answer)[1]


@every_table
def test_each_mistake_of_a_table_gets_its_own_sentence(number):
    pairs = EXERCISES[number].examine.pairs()
    assert len(pairs) >= 3, "three mistakes that a learner makes"
    assert len({says for _, says in pairs}) == len(pairs)
    for place, (mistake, says) in enumerate(pairs):
        state, sentence = judge(EXERCISES[number], _wrap(mistake))
        assert state == "not yet" and says in sentence, f"mistake {place} ({says}): {sentence}"


@every_exercise
def test_what_the_session_has_set_decides_nothing(number):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.double)
    try:
        assert [judge(EXERCISES[number], answer)[0] for answer in _answers(number).right[:2]] == ["passed", "passed"]
        assert judge(EXERCISES[number], next(iter(_answers(number).wrong.values()))[0])[0] == "not yet"
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)


@every_exercise
def test_misconceptions_fail_each_with_its_own_message(number):
    wrong = _answers(number).wrong
    assert len(wrong) >= (2 if number in TABLES else 3), "named misconceptions, other than those of a table"
    messages = {}
    for name, (answer, part) in wrong.items():
        state, messages[name] = judge(EXERCISES[number], answer)
        assert state == "not yet", name
        assert part and part in messages[name], f"{name}: {messages[name]}"
    assert len(set(messages.values())) == len(messages), messages


@every_exercise
def test_the_reference_passes_as_another_object_and_is_to_do_as_itself(number):
    exercise = EXERCISES[number]
    assert judge(exercise, exercise.reference)[0] == "to do"
    if callable(exercise.reference):
        assert judge(exercise, _wrap(exercise.reference)) == ("passed", "well done.")


def _raises(*args, **kwargs):
    raise ZeroDivisionError("a mistake in the answer")


def _loops(*args, **kwargs):
    while True:
        try:
            sum(range(100))
        except Exception:
            pass


GARBAGE = {
    "None": None,
    "a number": 3,
    "a text": "x",
    "a class": object,
    "takes nothing": lambda: torch.zeros(3),
    "returns None": lambda *args, **kwargs: None,
    "returns a text": lambda *args, **kwargs: "x",
    "returns a list": lambda *args, **kwargs: [1, 2, 3],
    "returns the wrong shape": lambda *args, **kwargs: torch.full((7, 1, 3), torch.nan),
    "raises": _raises,
    "loops forever": _loops,
}


@every_exercise
def test_garbage_gets_a_sentence(number):
    for name, garbage in [*GARBAGE.items(), *((repr(g), g) for g in _answers(number).garbage)]:
        state, sentence = judge(EXERCISES[number], garbage, seconds=HANG if garbage is _raises else SECONDS)
        assert state == ("to do" if garbage is None else "not yet"), name
        assert len(sentence) > 20 and "Traceback" not in sentence and "check itself" not in sentence, (name, sentence)
        if garbage is _raises:
            assert "ZeroDivisionError: a mistake in the answer" in sentence


@every_exercise
def test_an_answer_that_overwrites_its_inputs_spoils_no_later_try(number):
    def overwrite(*args, **kwargs):
        for value in [*args, *kwargs.values()]:
            if isinstance(value, torch.Tensor) and not value.requires_grad:
                value.zero_()

    exercise = EXERCISES[number]
    judge(exercise, _wrap(exercise.reference, before=overwrite), seconds=5)
    assert judge(exercise, _answers(number).right[0])[0] == "passed"


@pytest.mark.parametrize("number", [number for number in ANSWERS if ANSWERS[number].loss])
def test_right_losses_train_all_seeds_at_once_as_they_train_one(number):
    random = torch.Generator().manual_seed(0)
    columns = {
        "labels": torch.randint(10, (64,), generator=random),
        "teacher_logits": torch.randn(64, 10, generator=random),
    }
    data = (torch.rand(64, 1, 8, 8, generator=random), *(columns[name] for name in ANSWERS[number].loss))
    settings = {"epochs": 1, "batch_size": 32}

    def make(seed):
        return models.mlp(64, 8, 10, seed=seed)

    for loss in ANSWERS[number].right:
        together = train.fit_many(make, data, loss, seeds=2, **settings)
        for seed, model in enumerate(together):
            alone = train.fit(make(seed), data, loss, seed=seed, **settings)
            torch.testing.assert_close(list(model.parameters()), list(alone.parameters()), atol=1e-5, rtol=1e-4)


def test_the_numbers_of_a_check_are_single_precision_whatever_the_session_has_set(monkeypatch):
    monkeypatch.delitem(sys.modules, "course_lib.checks.lesson_01")
    torch.set_default_dtype(torch.double)
    try:
        assert checks.find("1.1").examine.cases[0].given[0].dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("number", ["99.1", "1.99", "one", "", None, "../1.1"])
def test_a_number_that_no_exercise_has_gets_a_sentence(number):
    with pytest.raises(checks.NoSuchExercise, match="There is no exercise") as raised:
        checks.find(number)
    assert raised.value._render_traceback_() == [str(raised.value)]
