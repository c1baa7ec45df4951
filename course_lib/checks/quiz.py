"""A question with a few choices, written as text; the learner chooses by a button, and each choice has its own sentence.

quiz('''
6.q1 What does a hint loss compare?
- labels: No. Labels are what the hint loss does without.
* hidden layers: Yes. The student's is mapped to the teacher's width first.
- logits: No. That is lesson 03.
''')

The question comes first, with its number, on as many lines as it needs. A choice starts with "- ", the right one with "* "; what stands
behind its first ": " is said to whoever chooses it. A line that starts with a space goes on with the sentence above it.
`code` is shown as code. Answers are remembered as those of exercises are.
"""

import html
import re
from typing import NamedTuple

from course_lib.checks import exercise


class Choice(NamedTuple):
    """One choice: what stands on its button, whether it is the right one, and what whoever chooses it is told."""

    words: str
    right: bool
    sentence: str


class Question(NamedTuple):
    """What the text of a question says."""

    number: str  # "6.q1" is the first question of lesson 06
    words: str
    choices: tuple[Choice, ...]


class QuizError(ValueError):
    """A slip in the text of a question; a notebook shows its sentence alone. line: which one of the text, from 1."""

    def __init__(self, number, line, sentence):
        super().__init__(f"question {number or 'without a number'}, line {line}: {sentence}")
        self.line, self.sentence = line, sentence

    def _render_traceback_(self):
        return [str(self)]


SHAPE = "a choice reads `- what stands on the button: what is said to whoever chooses it`, the right one with * for -"


def read(text):
    """The text of a question -> Question; raises QuizError, which names the line, where it is not one."""
    number = (re.match(r"\s*(\d+\.q\d+)\s", text) or [None, ""])[1]
    words, choices, started = [], [], []  # started: the line where each choice begins

    def wrong(line, sentence):
        raise QuizError(number, line, sentence)

    lines = text.splitlines()
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line.startswith(("- ", "* ")):
            name, colon, sentence = line[2:].partition(": ")
            if not (colon and name.strip() and sentence.strip()):
                wrong(place, f"{SHAPE}; here is `{line:.60}`")
            if name.strip() in [choice.words for choice in choices]:
                wrong(place, f"the choice `{name.strip():.60}` is there twice")
            choices.append(Choice(name.strip(), line[0] == "*", sentence.strip()))
            started.append(place)
        elif choices and line[0].isspace():
            choices[-1] = choices[-1]._replace(sentence=f"{choices[-1].sentence} {line.strip()}")
        elif choices or line.startswith(("-", "*")):
            wrong(place, f"{SHAPE}; a line that goes on with a sentence starts with a space. Here is `{line:.60}`")
        else:
            words.append(line.strip())
    first = next((place for place, line in enumerate(lines, 1) if line.strip()), 1)
    asked = " ".join(words).removeprefix(number).strip()
    if not asked:
        wrong(first, "the question itself was expected here, above its choices")
    if not number:
        wrong(first, f'a question starts with its number, "6.q1 Why?" for one; here is `{words[0]:.60}`')
    if len(choices) < 2:
        wrong(len(lines) or 1, f"a question has at least two choices; this one has {len(choices)}")
    right = [place for place, choice in zip(started, choices, strict=True) if choice.right]
    if len(right) != 1:
        place = right[1] if right else started[0]
        wrong(place, f"one choice is the right one and starts with `* `; here {len(right) or 'none'} do")
    return Question(number, asked, tuple(choices))


def quiz(text):
    """Show the question that the text asks, with a button for each choice; in a solution, with its answers.

    Raises QuizError, which names the line, where the text is none of a question.
    """
    question = read(text)
    if exercise.is_strict():
        exercise.show(_as_text(question, answers=True), _as_page(question, answers=True))
    else:
        _ask(question)


def _ask(question):
    """The question with its buttons; what was chosen is answered below them, and remembered."""
    from course_lib import live  # here, since it brings IPython with it, and `course progress` needs none

    number = question.number
    before = exercise.progress().get(number)
    first = "you have passed this one before." if before == "passed" else "choose an answer."

    def answer(place):
        choice = question.choices[place]
        state = "passed" if choice.right else "not yet"
        sentence = f"{choice.words}. {choice.sentence}{exercise.record(number, state)}"
        return exercise.line(state, f"Question {number}", sentence, role="alert")[1]

    _, line = exercise.line(before if before == "passed" else "to do", f"Question {number}", first)
    live.choose(
        _html(question.words),
        [choice.words.replace("`", "") for choice in question.choices],
        answer,
        line,
        text=_as_text(question),
        page=_as_page(question),
    )


# ---- where nothing is live ----


def _as_text(question, answers=False):
    lines = [f"○ Question {question.number}: {question.words}"]
    for choice in question.choices:
        sign = ("✓" if choice.right else "△") if answers else "-"
        lines.append(f"  {sign} {choice.words}" + (f": {choice.sentence}" if answers else ""))
    return "\n".join(lines)


def _as_page(question, answers=False):
    """HTML that needs no kernel and no script: each sentence opens when its choice is clicked; in a solution all are open."""
    head = f"<p><strong>Question {question.number}</strong>: {_html(question.words)}</p>"
    if not answers:
        rows = [f"<details><summary>{_html(c.words)}</summary>{_html(c.sentence)}</details>" for c in question.choices]
        return f"{head}{''.join(rows)}<p><em>Run this cell in Jupyter to have your answer remembered.</em></p>"
    rows = []
    for choice in question.choices:
        sign, colour = exercise.LOOK["passed" if choice.right else "not yet"]
        word = "Right" if choice.right else "Not this one"
        rows.append(
            f'<li style="list-style:none"><span aria-hidden="true" style="color:{colour}">{sign}</span> '
            f"<strong>{word}: {_html(choice.words)}.</strong> {_html(choice.sentence)}</li>"
        )
    return f'{head}<ul style="padding-left:.8em">{"".join(rows)}</ul>'


def _html(words):
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(words))
