"""A question is read from text, answered by a button, remembered as an exercise is; a slip in its text is named."""

import re

import ipywidgets as widgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_lib.checks import exercise, quiz
from course_lib.checks.quiz import QuizError, read

VIEW = "application/vnd.jupyter.widget-view+json"
TEXT = """
6.q1 What does a hint loss compare,
at each step?
- logits: No. Two `logits` are <b>not</b> it.
* hidden layers: Yes: the student's,
  through a map.

- `labels`: No. It needs none.
"""


@pytest.fixture(autouse=True)
def progress_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress"))
    return tmp_path / "progress"


@pytest.fixture
def page():
    """page(call) -> the bundle {kind: content} that the call puts on the page of a notebook."""
    InteractiveShell.instance()
    try:

        def run(call):
            with capture_output() as captured:
                call()
            (output,) = captured.outputs
            return output.data

        yield run
    finally:
        InteractiveShell.clear_instance()


def parts(bundle):
    """(question, buttons, line) of a question on the page: what the browser draws."""
    question, column, line = widgets.widgets.widget._instances[bundle[VIEW]["model_id"]].children
    return question, column.children, line


def seen(html):
    """The words of some HTML, without its tags."""
    return re.sub(r"<[^>]*>", "", re.sub(r"<style>.*?</style>", "", html))


def test_a_question_its_choices_and_their_sentences_are_read():
    question = read(TEXT)
    assert question.number == "6.q1"
    assert question.words == "What does a hint loss compare, at each step?"
    assert question.choices == (
        ("logits", False, "No. Two `logits` are <b>not</b> it."),
        ("hidden layers", True, "Yes: the student's, through a map."),
        ("`labels`", False, "No. It needs none."),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("6.q1 What does a hint loss compare,\nat each step?\n", "", 2, "the question itself was expected here"),
        ("* hidden", "- hidden", 4, "one choice is the right one and starts with `* `; here none do"),
        ("- logits", "* logits", 5, "here 2 do"),
        ("- logits: No.", "- logits No.", 4, "a choice reads `- what stands on the button: what is said"),
        ("- logits: No. Two `logits` are <b>not</b> it.", "- logits:", 4, "a choice reads"),
        ("- logits", "-logits", 4, "a choice reads"),
        ("- `labels`", "* `labels`", 8, "here 2 do"),
        ("- `labels`", "- logits", 8, "the choice `logits` is there twice"),
        (
            "  through",
            "through",
            6,
            "a line that goes on with a sentence starts with a space. Here is `through a map.`",
        ),
    ],
)
def test_a_slip_in_the_text_is_an_error_that_names_the_line(old, new, line, part):
    assert old in TEXT
    with pytest.raises(QuizError, match=f"^question (6.q1|without a number), line {line}: ") as raised:
        quiz(TEXT.replace(old, new))
    assert part in str(raised.value) and raised.value.line == line
    assert raised.value._render_traceback_() == [str(raised.value)]  # one line in a notebook


@pytest.mark.parametrize("text", ["", "\n", "6.q1\n- so: No.\n* thus: Yes.", "6.q1 Why?\n", "6.q1 Why?\n* so: Yes."])
def test_what_has_no_question_or_no_choice_is_an_error(text):
    with pytest.raises(QuizError, match="was expected here|at least two choices"):
        quiz(text)


@pytest.mark.parametrize("number", ["6.1 ", "q1 ", "6.q ", "", "../6.q1 ", "6.q1"])
def test_a_question_starts_with_its_number(number):
    with pytest.raises(QuizError, match="^question without a number, line 2: a question starts with its number"):
        quiz(TEXT.replace("6.q1 ", number))


def test_each_choice_gets_its_own_sentence_in_words_with_its_sign_and_is_remembered(page, progress_folder):
    question, buttons, line = parts(page(lambda: quiz(TEXT)))
    assert seen(question.value) == "What does a hint loss compare, at each step?"
    assert [button.description for button in buttons] == ["logits", "hidden layers", "labels"]
    assert seen(line.value) == "○ Question 6.q1 · To do: choose an answer." and not progress_folder.exists()
    said = []
    for button in buttons:
        button.click()
        said.append((seen(line.value), exercise.progress()))
        assert 'role="alert"' in line.value  # a screen reader reads it out when it appears
    again = " (You have passed this one before; that stays.)"
    assert said == [
        (
            "△ Question 6.q1 · Not yet: logits. No. Two logits are &lt;b&gt;not&lt;/b&gt; it.",
            {"6.q1": "tried"},
        ),
        (
            "✓ Question 6.q1 · Passed: hidden layers. Yes: the student&#x27;s, through a map.",
            {"6.q1": "passed"},
        ),
        (f"△ Question 6.q1 · Not yet: labels. No. It needs none.{again}", {"6.q1": "passed"}),
    ]


def test_a_question_that_was_passed_says_so_when_its_cell_runs_again(page):
    parts(page(lambda: quiz(TEXT)))[1][1].click()
    _, _, line = parts(page(lambda: quiz(TEXT)))
    assert seen(line.value) == "✓ Question 6.q1 · Passed: you have passed this one before."


def test_a_button_that_tab_has_reached_says_what_it_answers(page):
    for button in parts(page(lambda: quiz(TEXT)))[1]:
        assert button.tooltip == "an answer to: What does a hint loss compare, at each step?"


def test_where_nothing_is_live_question_and_choices_are_there_and_the_answer_is_not_given_away(page):
    bundle = page(lambda: quiz(TEXT))
    assert set(bundle) == {VIEW, "text/html", "text/plain"}
    assert bundle["text/plain"].splitlines() == [
        "○ Question 6.q1: What does a hint loss compare, at each step?",
        "  - logits",
        "  - hidden layers",
        "  - `labels`",
    ]
    assert bundle["text/html"].count("<details><summary>") == 3 and "<script" not in bundle["text/html"]
    assert "<details><summary><code>labels</code></summary>No. It needs none.</details>" in bundle["text/html"]


def test_in_a_solution_the_answer_is_shown_with_every_sentence_and_nothing_is_live_or_remembered(page, progress_folder):
    exercise.strict()
    try:
        bundle = page(lambda: quiz(TEXT))
    finally:
        exercise.strict(False)
    assert set(bundle) == {"text/html", "text/plain"} and not progress_folder.exists()
    assert bundle["text/plain"].splitlines()[1:] == [
        "  △ logits: No. Two `logits` are <b>not</b> it.",
        "  ✓ hidden layers: Yes: the student's, through a map.",
        "  △ `labels`: No. It needs none.",
    ]
    assert "<strong>Right: hidden layers.</strong>" in bundle["text/html"]
    assert bundle["text/html"].count("<strong>Not this one: ") == 2


def test_as_a_script_the_question_is_printed(capsys):
    quiz(TEXT)
    assert capsys.readouterr().out.startswith(
        "○ Question 6.q1: What does a hint loss compare, at each step?\n  - logits"
    )


def test_a_choice_that_cannot_be_answered_says_so(page, monkeypatch):
    _, buttons, line = parts(page(lambda: quiz(TEXT)))
    monkeypatch.setattr(exercise, "record", lambda *_: 1 / 0)
    buttons[0].click()
    assert "Your choice could not be answered: ZeroDivisionError" in line.value
