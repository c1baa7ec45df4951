"""An error quotes what came in one line, and never all of it."""

import ast
from pathlib import Path

import pytest
import torch

from course_lib import data, losses, machine, models, plots, train
from course_lib.checks import by_number
from course_lib.command import cli, environment, lab
from course_lib.command.vault import keys, verbs
from course_lib.data import arena
from course_lib.files import cut, quoted
from course_lib.measure import Estimate
from course_lib.models import convnets
from course_lib.vault import client, keyring, refusal
from course_lib.vault.http import request
from course_lib.vault.http.desk import desk
from course_lib.vault.keyring import new_token

LIBRARY = Path(__file__).resolve().parents[1] / "course_lib"
LONG = "long " * 2000
MANY = [1.5] * 5000
DEEP = None
for _ in range(100_000):
    DEEP = [DEEP]
NUMBER = 10**4200
TABLE = torch.arange(900.0).reshape(30, 30)  # written in 30 lines and more


CAME = {"text": LONG, "list": MANY, "brackets": DEEP, "number": NUMBER, "more digits than Python writes": 10**9000}
CAME |= {"tensor": TABLE, "dict": {LONG: LONG}, "bytes": LONG.encode()}


@pytest.mark.parametrize("name", CAME)
def test_what_came_is_quoted_in_one_line_of_at_most_80_characters(name):
    said = quoted(CAME[name])
    assert 5 < len(said) <= 80 and "\n" not in said and said.endswith("...")


def test_what_is_short_is_quoted_as_it_is():
    for value in ("a  b", 3, 2.5, None, [1, "a"], "x" * 78, "é\n"):
        assert quoted(value) == repr(value)
    assert cut("one line\n  and another") == "one line and another" and cut("x" * 81) == "x" * 77 + "..."


x = torch.rand(4, 1, 8, 8)
y = torch.zeros(4, dtype=torch.int64)


def fit(**settings):
    return lambda: train.fit(models.mlp(64, 10), (x, y), losses.cross_entropy, **settings)


def loss_of_no_such_target(logits, one, other, another=LONG):
    """Takes more than it is given, and says so at length."""


def no_address(address):
    return lambda: client.settle(address, lambda *_, **__: (_ for _ in ()).throw(OSError))


def from_the_server(**said):
    return lambda: client.read(404, {}, str(said).replace("'", '"').encode())


CALLS = {
    "a precision": fit(precision=LONG),
    "epochs": fit(epochs=MANY),
    "a batch size": fit(batch_size=TABLE),
    "a loss": lambda: train.fit(models.mlp(64, 10), (x, y), loss_of_no_such_target),
    "seeds": lambda: train.fit_many(lambda s: models.mlp(64, 10), (x, y), losses.cross_entropy, seeds=MANY),
    "widths": lambda: models.mlp(TABLE),
    "a depth": lambda: convnets.resnet(NUMBER),
    "a network": lambda: models.network(LONG),
    "a data set": lambda: data.load("no\n" + 100 * "such "),
    "a count": lambda: arena.copies(x, MANY, seed=0),
    "views": lambda: data.some_views(NUMBER),
    "a line's name": lambda: plots.lines([1, 2], {LONG: [1]}, "x", "y"),
    "what varied": lambda: Estimate(1, 0, 2, "3 seeds", LONG),
    "n": lambda: Estimate(1, 0, 2, LONG, "seeds"),
    "a lesson": lambda: lab.find_lesson(LIBRARY.parent, LONG),
    "a port": lambda: lab.free_port(NUMBER),
    "a key's name": lambda: keys.keys_of(lambda _: {"keys": []}, LONG),
    "workers": lambda: verbs.one_worker(LONG),
    "a class": lambda: new_token(LONG),
    "a pseudonym": lambda: keyring.check_name("a pseudonym", LONG),
    "an exercise": lambda: by_number.find(LONG),
    "a model": lambda: (_ for _ in ()).throw(refusal.no_model(LONG, ["toy"])),
    "a field": lambda: request.fields({LONG: 1}, model=str),
    "a shape": lambda: request.packed_rows("", MANY),
    "an address": lambda: client.settle("http://a/" + LONG),
    "a host": no_address("http://" + "a" * 5000),
    "the vault's words": from_the_server(detail=LONG),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_error_quotes_a_line_of_what_came(name):
    told_in_a_line(CALLS[name])


def told_in_a_line(call):
    with pytest.raises(Exception) as error:
        call()
    words = error.value.args[0] if isinstance(error.value, KeyError) else str(error.value)
    assert 20 < len(words) < 560 and "\n" not in words, words[:1000]
    assert "..." in words or LONG[:60] in words or "1.5" not in words


def test_weights_of_another_network_are_told_in_a_line(tmp_path):
    models.save(models.network("resnet8", channels=1), tmp_path / "weights")
    told_in_a_line(lambda: models.load(tmp_path / "weights", models.network("resnet20", channels=1)))


def test_a_setting_of_the_machine_is_quoted_in_a_line(monkeypatch):
    monkeypatch.setenv("COURSE_TIER", LONG)
    told_in_a_line(machine.tier)


@pytest.mark.parametrize(
    ("name", "said"),
    [("keys", {"pseudonym": LONG}), ("keys", {"pseudonym": "a", "scope": LONG}), ("keys", {LONG: 1})]
    + [("keys", {"pseudonym": "a", "cohort": LONG}), ("keys", {"pseudonym": "a", "budget": NUMBER})]
    + [("keys", {"pseudonym": "a", "hours": NUMBER}), ("keys", {"pseudonym": "a", "expires": NUMBER})]
    + [("keys", {"pseudonym": "a", "expires": float("inf")})]
    + [("cohort", {"id": NUMBER, "cohort": "b"}), ("cohort", {"id": 1, "cohort": LONG}), ("revoke", {"id": NUMBER})]
    + [("lift", {"key": NUMBER}), ("lift", {"cohort": LONG}), ("forget", {"pseudonym": LONG})]
    + [("policy", {"text": LONG}), ("policy", {"text": f"[output]\n{LONG.replace(' ', '')} = 1"})],
    ids=lambda part: part if isinstance(part, str) else min(part, key=len),
)
def test_an_instructors_slip_is_told_in_a_line(world, name, said):
    w = world()
    with pytest.raises(refusal.Refusal) as refused:
        desk(w.service)[name](said)
    assert refused.value.status in (404, 422) and len(refused.value.detail) < 400
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize(
    "typed",
    [[LONG], ["lab", "--port", LONG], ["train", LONG], ["train", "alone", "--epochs", LONG], ["doctor", LONG]]
    + [["train", "alone", "--precision", LONG.replace(" ", "")], ["vault", "serve", "--workers", "9" * 5000]]
    + [
        ["train", "alone", LONG],
        ["vault", "key", "new", "ant", "--scope", LONG],
        ["vault", "key", "revoke", "1" * 5000],
    ],
)
def test_the_command_quotes_a_line_of_what_was_typed(typed, capsys):
    with pytest.raises(SystemExit):
        cli.run(typed)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(said) < 300


def test_the_number_of_keys_is_quoted_in_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "python_for", lambda *_, **__: None)
    options = cli.parser().parse_args(["vault", "key", "new", "ant", "--count", "1" * 4000])
    told_in_a_line(lambda: keys.new(options, tmp_path))


# What `{...!r}` may quote as it is: names that were checked before, and paths.
BOUNDED = {"self.class_name", "service.class_name", "options.class_name", "state['class']", "kept.name", "copy.name"}
BOUNDED |= {"error.name", "near[0]", "str(path)", "str(folder)"}


def test_no_other_message_quotes_all_of_what_came():
    """`{quoted(value)}` in place of `{value!r}`; on floor 0, which imports nothing, `{value!r:.80}`."""
    for path in LIBRARY.rglob("*.py"):
        if path.name.startswith("lesson_"):
            continue  # a check tells what an answer was in its own way
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__repr__"]
        skip = {id(node) for function in inside for node in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and id(node) not in skip:
                source = ast.unparse(node.value)
                assert node.format_spec or source in BOUNDED, f"{path.name}, line {node.lineno}: {{{source}!r}}"
