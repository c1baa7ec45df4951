"""Equations give back a linear model; copies learn from answers; intervals count pictures, not versions of pictures."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import optimize, stats

from course_lib import attack, measure
from course_lib.models import mlp
from course_lib.train import predict

D, C = 6, 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    """A softmax classifier and the oracle of it: W (D + 1, C), x (n, D) -> probs (n, C)."""
    W = torch.randn(D + 1, C, dtype=torch.float64, generator=generator())
    return W, lambda x: torch.softmax(x @ W[:-1] + W[-1], -1)


def questions(n, seed=1):
    return torch.rand(n, D, dtype=torch.float64, generator=generator(seed))


def ratios(probs):
    return probs.log() - probs.amax(1, keepdim=True).log()


def solve(x, probs):
    return attack.solve_weighed(x, probs.argmax(1), ratios(probs), probs, ridge=1e-14)


def test_it_may_not_know_the_vault():
    tree = ast.parse(Path(attack.__file__).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {f"{n.module}.{a.name}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert not [name for name in named if "vault" in name]


# ---- a linear model ----


def test_weighed_equations_give_back_the_weights_up_to_what_softmax_cannot_show(model):
    W, oracle = model
    x = questions(3 * (D + 1))
    found = solve(x, oracle(x))
    assert torch.allclose(found, W - W.mean(1, keepdim=True), atol=1e-6)
    assert torch.allclose(torch.softmax(attack.with_one(x) @ found, -1), oracle(x), atol=1e-8)


def test_weighed_equations_are_solved_as_scipys_least_squares_solves_them(model):
    _, oracle = model
    x = questions(40)
    p = torch.round(oracle(x), decimals=2)
    p = p / p.sum(1, keepdim=True)
    r = torch.where(p > 0, ratios(p.clamp(min=1e-9)), 0.0)
    winner = p.argmax(1, keepdim=True)
    a = attack.with_one(x)

    def misses(flat):
        z = a @ torch.from_numpy(flat.reshape(D + 1, C))
        return (p * (z - z.gather(1, winner) - r)).numpy().ravel()

    theirs = optimize.least_squares(misses, np.zeros((D + 1) * C), xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    ours = attack.solve_weighed(x, p.argmax(1), r, p, ridge=1e-14)
    theirs = torch.from_numpy(theirs.reshape(D + 1, C))
    assert torch.allclose(ours, theirs - theirs.mean(1, keepdim=True), atol=1e-5)


def test_an_equation_of_weight_zero_is_not_read(model):
    _, oracle = model
    x = questions(30)
    r, w = ratios(oracle(x)), oracle(x)
    w[:5] = 0
    winner = oracle(x).argmax(1)
    clean = attack.solve_weighed(x, winner, r, w)
    r[:5] = torch.tensor([0.0, -3.0, -1.0, -7.0])  # nonsense
    assert torch.allclose(attack.solve_weighed(x, winner, r, w), clean, atol=1e-9)


@pytest.mark.parametrize("decimals", [1, 3, 15])
@pytest.mark.parametrize("n", [1, 3, D + 1, 10 * D])
def test_few_and_rounded_answers_give_finite_weights_that_answer_alike(model, n, decimals):
    _, oracle = model
    x = questions(n)
    p = torch.round(oracle(x), decimals=decimals)
    found = attack.solve_weighed(x, p.argmax(1), torch.where(p > 0, ratios(p.clamp(min=1e-99)), 0.0), p)
    assert found.isfinite().all()
    assert ((attack.with_one(x) @ found).argmax(1) == p.argmax(1)).double().mean() > 0.8


def test_infinite_ratios_get_a_sentence(model):
    _, oracle = model
    x = questions(8)
    r = ratios(oracle(x))
    r[0, 0] = -torch.inf
    with pytest.raises(ValueError, match="an unknown ratio is 0 with weight 0"):
        attack.solve_weighed(x, oracle(x).argmax(1), r, oracle(x))


# ---- training on answers ----


def test_the_loss_is_torchs_cross_entropy_with_soft_targets():
    z = torch.randn(8, C, generator=generator())
    p = torch.softmax(torch.randn(8, C, generator=generator(1)), -1)
    assert torch.allclose(attack.answer_loss(z, p), F.cross_entropy(z, p))
    labels = torch.arange(8) % C
    assert torch.allclose(attack.answer_loss(z, F.one_hot(labels, C).float()), F.cross_entropy(z, labels))


def test_logits_and_answers_of_other_shapes_get_a_sentence():
    with pytest.raises(ValueError, match=r"both \(B, C\); they came as \(8, 4\) and \(4,\)"):
        attack.answer_loss(torch.zeros(8, 4), torch.zeros(4))


def test_what_an_answer_leaves_open_is_shared_evenly():
    given = torch.tensor([[0.9, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [0.6, 0.3, 0.0]])
    full = torch.tensor([[0.9, 0.05, 0.05], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    assert torch.allclose(attack.filled(given), full)


def test_copies_learn_to_answer_as_the_model_does(model):
    _, oracle = model
    x, new = questions(200).float(), questions(500, seed=2)
    copies = attack.copy_by_training(lambda seed: mlp(D, C, seed=seed), x, oracle(x.double()), seeds=2, updates=400)
    same = (predict(copies, new.float()).argmax(-1) == oracle(new).argmax(-1)).double().mean(1)
    assert (same > 0.9).all()


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_a_copy_costs_as_many_steps_however_much_it_was_told(n, monkeypatch):
    epochs = []
    monkeypatch.setattr(attack, "fit_many", lambda make, data, loss, seeds, rows, e, *settings: epochs.append(e))
    attack.copy_by_training(None, torch.zeros(n, D), torch.zeros(n, C), updates=300, batch_size=50)
    assert epochs[0] * -(-n // 50) == 300


# ---- the judge ----


def test_scores_by_base_picture_are_the_means_that_pandas_would_give():
    scores, base = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0]), torch.tensor([7, 7, 2, 7, 2])
    assert torch.allclose(attack.by_base(scores, base), torch.tensor([0.5, 2 / 3], dtype=torch.float64))
    both = attack.by_base(torch.stack([scores, 1 - scores]), base)
    assert torch.allclose(both.sum(0), torch.ones(2, dtype=torch.float64))


def test_agreement_is_the_share_of_the_same_answers_and_says_how_many_pictures_it_stands_on():
    base = torch.arange(40).repeat_interleave(25)
    answers = F.one_hot(torch.arange(1000) % C, C).double()
    copy = answers.clone()
    copy[:100] = copy[:100].roll(1, -1)  # other answers about the first four pictures
    found = attack.agreement_on(copy, answers, base)
    assert found.value == pytest.approx(0.9)
    assert found.n == "1,000 questions about 40 pictures" and found.over == "examples"


def test_the_interval_holds_the_truth_where_one_that_counts_versions_does_not():
    """Pictures differ in how often a copy agrees on their versions; simulated, with a known truth of 0.9."""
    rng = np.random.default_rng(0)
    held = {"by picture": 0, "by version": 0}
    base = torch.arange(100).repeat_interleave(20)
    for _ in range(400):
        ease = rng.beta(0.9, 0.1, size=100)  # mean 0.9
        scores = torch.from_numpy(rng.random(2000) < np.repeat(ease, 20)).double()
        found = attack.clustered(attack.by_base(scores, base), 2000)
        held["by picture"] += found.low <= 0.9 <= found.high
        found = measure.estimate(scores)
        held["by version"] += found.low <= 0.9 <= found.high
    assert held["by picture"] / 400 > 0.91 and held["by version"] / 400 < 0.7


def test_full_agreement_is_not_certainty():
    answers = F.one_hot(torch.arange(1000) % C, C).double()
    found = attack.agreement_on(answers, answers, torch.arange(1000) % 50)
    assert found.value == found.high == 1 and found.low < 0.95  # 50 pictures, not 1,000


def test_several_copies_vary_by_seed_and_picture():
    base = torch.arange(300) % 30
    answers = F.one_hot(torch.arange(300) % C, C).double()
    copies = torch.stack([answers, answers.roll(1, -1), answers])
    found = attack.agreement_on(copies, answers, base)
    assert found.value == pytest.approx(2 / 3) and found.n == "3 seeds, 300 questions about 30 pictures"
    assert found.over == "seeds and examples" and 0 <= found.low and found.high <= 1


def test_a_table_by_picture_is_what_compare_takes():
    base = torch.arange(300) % 30
    answers = F.one_hot(torch.arange(300) % C, C).double()
    a, b = (attack.same_by_base(z, answers, base) for z in (answers, answers.roll(1, -1)))
    verdict = measure.compare(a, b, "one", "other")
    assert verdict.word == "BETTER" and "30 examples" in verdict.difference.n


def test_bases_that_do_not_fit_get_a_sentence():
    with pytest.raises(ValueError, match="one base picture for each of the 5 scores"):
        attack.by_base(torch.zeros(5), torch.zeros(4, dtype=torch.long))


def test_the_interval_of_one_copy_is_students_over_pictures():
    scores = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    base = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    found = attack.clustered(attack.by_base(scores, base), 8)
    low, high = stats.ttest_1samp([1.0, 0.5, 0.5, 1.0], 0).confidence_interval(0.95)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(min(high, 1.0))
