"""docs/glossary.md says each word once, as lesson 00 says it, and names the lesson that introduces it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
WORDS = re.findall(r"^- \*\*(.+?)\*\* \(\[?(\d\d)\]?(, being written)?\): (.+)$", PAGE, re.M)
SOURCES = {path.stem[:2]: path for path in sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))}
VOCABULARY = """teacher student alone copy oracle vault key cohort ledger policy logits probs labels hard_weight soft_weight nats
    B C D L N S T""".split()


def text_of(number):
    """A lesson's source as one line of words."""
    lines = [line.removeprefix("# ") for line in SOURCES[number].read_text(encoding="utf-8").splitlines()]
    return " ".join(" ".join(lines).split())


def test_every_line_is_a_word_a_lesson_and_one_sentence_and_no_word_is_there_twice():
    assert len(WORDS) == len(re.findall(r"^- ", PAGE, re.M)) > 50
    for word, _, _, sentence in WORDS:
        assert sentence[-1] in ".?" and ". " not in sentence, word
    names = [word.lower() if len(word) > 1 else word for word, *_ in WORDS]
    assert len(set(names)) == len(names)


def test_the_words_that_the_whole_course_uses_are_there():
    assert set(VOCABULARY) <= {word for word, *_ in WORDS}


def test_each_word_occurs_in_the_lesson_that_is_named_for_it():
    for word, number, to_come, _ in WORDS:
        assert bool(to_come) == (number not in SOURCES), f"{word}: lesson {number}"
        for part in [] if to_come else word.split(", "):
            as_written = rf"\b{part}\b" if len(part) == 1 else rf"(?i)\b{re.escape(part)}"
            assert re.search(as_written, text_of(number)), f"{part} is not in lesson {number}"


def test_each_lesson_that_is_no_draft_introduces_a_word_and_is_linked():
    links = dict(re.findall(r"^\[(\d\d)\]: (\S+)$", PAGE, re.M))
    for number, source in SOURCES.items():
        if "#     draft: true\n" in source.read_text(encoding="utf-8"):
            continue
        assert number in {lesson for _, lesson, *_ in WORDS}, f"docs/glossary.md has no word of lesson {number}"
        assert links[number] == f"../lessons/{source.stem}.ipynb"
    assert set(links) <= set(SOURCES)


def test_lesson_00_says_of_a_word_what_the_glossary_says():
    own = text_of("00").lower().partition("## glossary")[2]
    for word, _, _, sentence in WORDS:
        if re.search(rf"- \*\*{re.escape(word.lower())}\*\*: ", own):
            assert f"- **{word.lower()}**: {sentence.lower().removesuffix('.')}" in own, f"{word} has two meanings"
    assert len(re.findall(r"- \*\*", own)) >= 25
