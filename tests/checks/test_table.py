"""A table passes what is right in every case, and names the likeliest mistake in what is not."""

from dataclasses import replace

import pytest
import torch

from course_lib.checks import values
from course_lib.checks.exercise import Exercise, NotYet, judge
from course_lib.checks.table import Case, Table, instead

ROWS = torch.tensor([[1.0, 2.0, 6.0], [0.0, 4.0, 5.0]])


def mean(x):
    return x.mean(-1)


TABLE = Table(
    "mean",
    "one number per row",
    (
        Case("the row 2, 4", (torch.tensor([2.0, 4.0]),), torch.tensor(3.0)),
        Case("two rows of three", (ROWS,), torch.tensor([3.0, 3.0], dtype=torch.double), "One mean per row."),
        Case("the row 1, 1, 4", (torch.tensor([1.0, 1.0, 4.0]),), torch.tensor(2.0), "Not the middle one."),
    ),
    (
        lambda x: x.sum(-1),
        "That is the sum.",
        lambda x: x.sum(-1) / 2,
        "Two is the first row's length.",
        lambda x: x.mean(0),
        "Over which dim?",
        lambda x: x.mean(-1, keepdim=x.ndim > 1),
        "A column.",
        lambda x: x - x.mean(-1),
        "There keepdim is missing.",
    ),
    gradient=mean,
    forbids=({"median"}, "no median, please."),
)
MEAN = Exercise("1.1", "a mean", 1, 1, mean, TABLE)


def says(answer, exercise=MEAN):
    return judge(exercise, answer)[1]


@pytest.mark.parametrize("right", [lambda x: x.sum(-1) / x.shape[-1], lambda x: x.double().mean(-1)])
def test_what_is_right_in_every_case_passes_in_another_precision_too(right):
    assert judge(MEAN, right) == ("passed", "well done.")


def test_the_sentence_is_that_of_the_mistake_which_gave_the_same_in_every_case_so_far():
    """The sum of two numbers and half the sum of four agree somewhere; only what agrees everywhere is named."""
    assert says(lambda x: torch.einsum("...c->...", x)).endswith("That is the sum.")
    assert says(lambda x: (x[..., 0] + x[..., 1:].sum(-1)) / 2) == (
        "for two rows of three your mean gave 4.5, 4.5; expected is 3, 3. Two is the first row's length."
    )


def test_without_a_mistake_that_agrees_the_case_says_what_to_look_at():
    assert says(lambda x: x.mean(-1) if x.ndim < 2 else x[..., 1]).endswith(
        "gave 2, 4; expected is 3, 3. One mean per row."
    )
    assert says(lambda x: x.median(-1).values if x.ndim < 2 and len(x) > 2 else x.mean(-1)).endswith(
        "Not the middle one."
    )


def test_a_wrong_shape_and_an_error_are_known_by_their_kind():
    column = says(lambda x: (x.mean(-1) + 7)[:, None] if x.ndim > 1 else x.mean())
    assert column.endswith(
        "gave a tensor of shape (2, 1); expected is 3, 3, a tensor of shape (2,), one number per row. A column."
    )
    assert "must match the size of tensor" in says(lambda x: x.mean() if x.ndim < 2 else (x / x.sum(-1)).sum(-1))
    shapes = TABLE.mistakes[:-2] + (lambda x: x.mean() if x.ndim < 2 else x - x.mean(-1), "keepdim is missing.")
    table = Table(TABLE.name, TABLE.what, TABLE.cases, shapes)
    other = says(lambda x: x.mean() if x.ndim < 2 else (x / x.sum(-1)).sum(-1), Exercise("1.1", "", 1, 1, mean, table))
    assert other.startswith("for two rows of three your code raised RuntimeError") and other.endswith(
        "keepdim is missing."
    )


@pytest.mark.parametrize(
    "answer, part",
    [
        (lambda x: 3.0, "gave 3, a float; expected is 3, a tensor with one number in it"),
        (
            lambda x: torch.tensor(3.0),
            "gave 3, a tensor with one number in it; expected is 3, 3, a tensor of shape (2,)",
        ),
        (lambda x: None, "gave back None. Is there a `return`"),
        (lambda x: x.mean(-1).numpy(), "gave an ndarray with one number in it; expected is 3, a tensor with one"),
        (lambda x: x.mean(-1).long(), "gave whole numbers; expected is numbers with decimals"),
        (lambda x: x.mean(-1).detach(), "autograd lost the thread"),
        (lambda x: x.mean(-1) + (x - x.detach()).sum(-1), "not the right gradient"),
        (lambda x: x.div_(x.shape[-1]).sum(-1), "changed what it was given"),
        (lambda x: x.requires_grad_().mean(-1), "changed what it was given"),
        (lambda x: x.clone().requires_grad_().mean(-1), "End with .detach()"),
        (lambda x, calls=[]: calls.append(1) or x.mean(-1) + (len(calls) > 3), "once more. What does it remember"),  # noqa: B006
        (lambda x: x.median(-1) and x.mean(-1), "no median, please."),
    ],
)
def test_what_is_no_right_answer_though_its_numbers_may_be(answer, part):
    state, sentence = judge(MEAN, answer)
    assert state == "not yet" and part in sentence, sentence


def test_an_answer_that_uses_none_of_its_arguments_is_told_so():
    cases = tuple(Case(f"x = {x}", (x,), 2.0 * x) for x in (1.0, 2.0, 3.0))
    double = Exercise("1.1", "", 1, 1, lambda x: 2 * x, Table("double", "a number", cases, ()))
    assert says(lambda x: 7, double) == (
        "for x = 1.0 your double gave 7; expected is 2. That comes whatever is given: does your function use its arguments?"
    )
    assert judge(double, lambda x: torch.tensor([2 * x]))[0] == "passed"  # a number may be a tensor of one


def test_a_message_never_shows_the_same_numbers_twice():
    came, right = values.differ(torch.tensor([0.7, 0.30004]), torch.tensor([0.7, 0.3]), 1e-6, "")
    assert (came, right) == ("0.7, 0.30004", "0.7, 0.3")
    long = torch.arange(20.0).reshape(2, 10)
    assert values.differ(long + 0, long.index_fill(1, torch.tensor([7]), 0), 0, "") == ("7 at place 7 of row 0", "0")
    assert values.differ(torch.tensor([-20000.0]), torch.tensor([-19000.0]), 0, "") == ("-20000", "-19000")
    assert values.differ((1.0, torch.tensor([2.0])), (1.0, torch.tensor([3.0])), 0, "") == ("2 as the second of 2", "3")


def test_whole_numbers_are_exact_and_infinities_are_numbers():
    assert not values.same(torch.tensor([100_000]), torch.tensor([100_001]), 1.0)
    assert not values.same(100_000, 100_001, 1.0)
    assert values.same(torch.tensor([torch.inf, 1.0]), torch.tensor([torch.inf, 1.00001]), 0)
    assert not values.same(torch.tensor([torch.inf]), torch.tensor([-torch.inf]), 0)


def test_a_model_is_unchanged_only_with_its_weights_its_modes_and_what_it_trains():
    def model():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    assert not values.unchanged([2, 1], [1, 2])
    assert values.unchanged([model(), {"a": [1]}], [model(), {"a": [1]}])
    assert not values.unchanged({"a": [1]}, {"a": [1, 2]})
    assert not values.unchanged(model(), model().eval())
    assert not values.unchanged(model(), model().requires_grad_(False))
    used = model()
    used(torch.ones(3, 2))  # moves the running mean
    assert not values.unchanged(model(), used)


def test_what_may_be_written_instead_is_the_function_with_pieces_of_its_text_replaced():
    assert instead(mean, ".mean", ".sum", "-1", "0")(ROWS).tolist() == [1.0, 6.0, 11.0]
    with pytest.raises(ValueError, match="mean has no 'median'"):
        instead(mean, "median", "sum")


def test_an_answer_can_be_played_with_more_than_one_call():
    twice = replace(TABLE, play=lambda answer, x: (answer(x) + answer(x)) / 2, gradient=None)
    twice(lambda x: x.mean(-1))
    with pytest.raises(NotYet, match="gave 6; expected is 3. That is the sum."):
        twice(lambda x: x.sum(-1))
