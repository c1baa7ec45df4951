"""The policy file: what it says is in force, what is wrong in it is said with its line."""

import dataclasses
import sys

import pytest

from course_lib.vault import policy
from course_lib.vault.policy import MOST_ROWS, Policy, PolicyError, parse


def test_the_default_text_says_the_default_policy():
    assert dataclasses.replace(policy.parse(policy.default_text()), text="") == Policy()


def test_the_default_text_names_every_setting():
    for section in policy.SECTIONS:
        for f in dataclasses.fields(getattr(Policy(), section)):
            assert f"\n{f.name} = " in policy.default_text()


def test_an_empty_text_is_the_default_and_no_defence():
    force = policy.parse("")
    assert force.output.kind == "probabilities" and force.output.decimals == 0
    assert force.monitor.enabled and force.monitor.action == "log"


def test_what_is_said_is_in_force_and_the_rest_as_before():
    text = '[output]\nkind = "label"\nreverse_sigmoid = { beta = 1 }\n[limits]\nbudget_per_key = 1_000\n'
    force = policy.parse(text)
    assert force.output.kind == "label" and force.output.reverse_sigmoid == policy.ReverseSigmoid(1.0, 0.2)
    assert force.limits.budget_per_key == 1000 and force.price == policy.Price()
    assert policy.parse("[output]\n[output.reverse_sigmoid]\nbeta = 1\n").output.reverse_sigmoid.beta == 1.0


def test_the_version_is_the_text_s():
    one, other = policy.parse("[output]\ntop_k = 1"), policy.parse("[output]\ntop_k = 2")
    assert len(one.version) == 8 and one.version != other.version
    assert one.version == policy.parse("[output]\ntop_k = 1").version


WRONG = [
    ("[output]\ndecimal = 3", 2, "has no decimal; did you mean decimals"),
    ("# a comment\n\n[outputs]\ndecimals = 3", 3, r"no section \[outputs\]; did you mean output"),
    ("x = 1", 1, r"no section \[x\]"),
    ("output = 3", 1, "output takes names and values; got 3"),
    ("[output]\ndecimals = 2.5", 2, "decimals takes a whole number; got 2.5"),
    ("[output]\ndecimals = true", 2, "decimals takes a whole number; got true"),
    ("[output]\n\ndecimals = 99", 3, "from 0 to 15; got 99"),
    ("[output]\nnoise = nan", 2, "noise takes a number from 0 to 1; got nan"),
    ('[output]\nkind = "labels"', 2, "one of probabilities, label; got 'labels'; did you mean label"),
    ('[monitor]\nenabled = "yes"', 2, 'enabled takes true or false; got "yes"'),
    ("[output]\nreverse_sigmoid = { betta = 1 }", 2, "has no betta; did you mean beta"),
    ("[output]\nreverse_sigmoid = 1", 2, "reverse_sigmoid takes names and values"),
    ("[output]\n[output.reverse_sigmoid]\nbeta = 7", 3, "from 0 to 2; got 7"),
    ("[output]\nkind = label", 2, "this is not TOML"),
    ("[output]\ntop_k = 1\ntop_k = 2", 3, "this is not TOML"),
    ("[output", 1, "this is not TOML"),
    ("[monitor]\ndecimals = 1\n[output]\ndecimals = 1", 2, r"\[monitor\] has no decimals"),
    ("[output]\ndecimals = 1 # beta\n[output.reverse_sigmoid]\ngamma = 0.2\nbeta = -1", 5, "from 0 to 2; got -1"),
]


@pytest.mark.parametrize("text, line, sentence", WRONG, ids=[text for text, _, _ in WRONG])
def test_what_is_wrong_is_said_with_its_line(text, line, sentence):
    with pytest.raises(PolicyError, match=sentence) as error:
        policy.parse(text)
    assert error.value.line == line and str(error.value).startswith(f"line {line}: ")


@pytest.fixture(params=[1, 20])
def room(request):
    """Python with its usual stack, and with one so high that it reads thousands of brackets."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(request.param * usual)
    yield
    sys.setrecursionlimit(usual)


@pytest.mark.parametrize(
    "text",
    [before + "[" * deep + after for deep in (9, 900, 3000) for before, after in (("a=", ""), ("output = [", "]"))]
    + ["a=" + "{a=" * 3000, 'a = "[" # [\nb = ' + "[" * 9 + "]" * 9]
    + [f"[monitor]\nood_share = {'9' * digits}" for digits in (400, 5000)],
)
def test_what_no_setting_needs_is_told_in_a_sentence_too_however_deep_the_stack_is(text, room):
    with pytest.raises(PolicyError, match="short numbers and a few brackets") as error:
        parse(text)
    assert len(str(error.value)) < 100


def test_brackets_in_texts_and_comments_open_nothing():
    who = ["'[[[[[[[[['", '"[[[[[[[[[\\""', '"""\n[[[[[[[[[\n"""', "'''[[[[[[[[['''"]
    for text in who:
        assert parse(f"[identity]\nwho = {text}  # [[[[[[[[[").identity.who.count("[") == 9


LONG = "x" * 5000


@pytest.mark.parametrize(
    "text",
    [f"[{LONG}]", f"[output]\n{LONG} = 1", f'[output]\nkind = "{LONG}"', f'[output]\ndecimals = "{LONG}"']
    + [f'output = "{LONG}"', f"[output]\ndecimals = 1{'0' * 3000}", f"[output]\ndecimals = [{'1, ' * 3000}]"]
    + [f"output = [{'1, ' * 3000}]", f"{LONG} = 1\n{LONG} = 1", f"[output]\ndecimals.{'a.' * 3000}a = 1"],
    ids=lambda text: text[:30],
)
def test_an_error_quotes_no_more_than_a_line_of_the_policy(text):
    with pytest.raises(PolicyError, match=r"^line \d: ") as error:
        parse(text)
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)


def test_a_file_is_named_in_its_error(tmp_path):
    path = tmp_path / "policy.toml"
    with pytest.raises(PolicyError, match="policy.toml cannot be read"):
        policy.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not UTF-8"):
        policy.load(path)
    path.write_text("[output]\ntop = 3")
    with pytest.raises(PolicyError, match="^policy.toml, line 2: "):
        policy.load(path)


def test_a_request_takes_no_more_rows_than_http_reads():
    assert policy.parse(f"[limits]\nrows_per_request = {MOST_ROWS}").limits.rows_per_request == MOST_ROWS
    with pytest.raises(policy.PolicyError, match="line 2: rows_per_request takes .* to 1024; got 1025"):
        policy.parse(f"[limits]\nrows_per_request = {MOST_ROWS + 1}")
