"""Answers to lesson 11's exercises, right and wrong."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

from course_lib.attack import OverBudget, answer_loss, by_base, with_one
from tests.answers import Answers

# ---- 11.1 ----


class Asker:
    """A right answer written as a class; a class attribute for `spent` would be shared."""

    def __init__(self, oracle, budget):
        self.oracle, self.left, self.spent = oracle, budget, 0

    def __call__(self, x):
        n = len(x)
        if n > self.left:
            raise OverBudget(f"{n} asked, {self.left} left")
        answers = self.oracle(x)
        self.left, self.spent = self.left - n, self.spent + n
        return answers


class SharedCount(Asker):
    total = 0
    spent = property(lambda self: SharedCount.total, lambda self, n: setattr(SharedCount, "total", n))


def by_closure(oracle, budget, fits=lambda x, left: len(x) <= left, cut=lambda x, left: x):
    def ask(x):
        left = budget - ask.spent
        if not fits(x, left):
            raise OverBudget("too many")
        answers = oracle(cut(x, left))
        ask.spent = ask.spent + len(answers)
        return answers

    ask.spent = 0
    return ask


# ---- 11.2 ----


def agreement_by_bincount(copy_answers, vault_answers, base):
    same = (copy_answers.max(-1).indices == vault_answers.max(-1).indices).numpy()
    _, place = np.unique(base.numpy(), return_inverse=True)
    shares = np.bincount(place, same) / np.bincount(place)
    low, high = stats.t.interval(0.95, len(shares) - 1, shares.mean(), stats.sem(shares))
    return float(shares.mean()), float(low), float(high)


def agreement_by_scipy(copy_answers, vault_answers, base, shares=by_base):
    shares = shares(copy_answers.topk(1).indices[:, 0] == vault_answers.topk(1).indices[:, 0], base)
    found = stats.ttest_1samp(shares.numpy(), 0).confidence_interval(0.95)
    return shares.mean(), torch.tensor(found.low), torch.tensor(found.high)


# ---- 11.3 ----


def solve_to_class_0(x, probs):
    """Log ratios to class 0, whose column is then 0: the same classifier."""
    return torch.from_numpy(np.linalg.lstsq(with_one(x).numpy(), (probs / probs[:, :1]).log().numpy(), rcond=None)[0])


def solve_plain(x, probs):
    """log p as it is: what its normaliser leaves is a common column."""
    return torch.linalg.pinv(with_one(x)) @ probs.log()


def first_unknowns_zero(x, probs):
    few = max(0, x.shape[1] + 1 - len(x))
    return F.pad(torch.linalg.lstsq(with_one(x)[:, few:], probs.log()).solution, (0, 0, few, 0))


# ---- 11.4 ----


def trusted_by_masks(probs, least=0.0):
    top = probs.max(1, keepdim=True).values
    ratios, weights = torch.zeros_like(probs), torch.zeros_like(probs)
    known = probs > least
    ratios[known] = (probs / top)[known].log()
    weights[known] = 1000 * probs[known]
    return ratios, weights


def trusted_on_both_sides(probs, power=1):
    """The winner was rounded, too: the errors u / p and u / p_winner add up, or (power=2) their squares do."""
    top, u = probs.amax(1, keepdim=True), 0.0005
    ratios = (probs.clamp(min=1e-12) / top).log() * (probs > 0)
    return ratios, ((u / probs) ** power + (u / top) ** power) ** (-1 / power)


# ---- 11.5 ----


def knockoff_with_loader(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    answers = torch.tensor(ask(x), dtype=torch.float32)
    torch.manual_seed(seed)
    pairs = torch.utils.data.TensorDataset(x, answers)
    optimiser = torch.optim.Adam(student.parameters(), lr)
    student.train()
    for _ in range(epochs):
        for batch, p in torch.utils.data.DataLoader(pairs, batch_size, shuffle=True):
            student.zero_grad()
            answer_loss(student(batch), p).backward()
            optimiser.step()
    student.eval()
    return student


def knockoff_by_kl(
    ask,
    student,
    x,
    epochs,
    batch_size=64,
    lr=1e-2,
    seed=0,
    optimiser=torch.optim.Adam,
    reduction="batchmean",
    mix=False,
):
    """Asks batch by batch, but only in the first epoch; learns by the KL, which differs by a constant."""
    answers = torch.cat([torch.from_numpy(ask(part)) for part in x.split(batch_size)]).float()
    optimiser, random = optimiser(student.parameters(), lr=lr), np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            of = slice(start, start + batch_size) if mix else rows
            F.kl_div(student.train()(x[rows]).log_softmax(-1), answers[of], reduction=reduction).backward()
            optimiser.step()
            optimiser.zero_grad()
    return student.eval()


def copying(**slip):
    return lambda *given: knockoff_by_kl(*given, **slip)


# ---- 11.6 ----


def doubtful_by_sort(logits, n, asked):
    p = torch.softmax(logits, -1).sort(-1, descending=True).values
    gap = (p[:, 0] - p[:, 1]).tolist()
    forbidden = set(asked.tolist())
    return torch.tensor(sorted((i for i in range(len(gap)) if i not in forbidden), key=gap.__getitem__)[:n])


def doubtful_among_the_rest(logits, n, asked, rows=lambda rest, places: rest[places]):
    rest = torch.ones(len(logits), dtype=torch.bool)
    rest[asked] = False
    rest = rest.nonzero()[:, 0]
    top = logits[rest].softmax(-1).topk(2).values
    return rows(rest, (top[:, 1] - top[:, 0]).argsort(descending=True)[:n])


ANSWERS = {
    "11.1": Answers(
        right=[Asker, by_closure],
        wrong={
            "one count for all": (SharedCount, "Each asker counts for itself"),
            "what fits": (
                lambda *given: by_closure(*given, lambda x, left: left, lambda x, left: x[:left]),
                "refused whole",
            ),
        },
    ),
    "11.2": Answers(
        right=[agreement_by_bincount, agreement_by_scipy],
        wrong={
            "by question": (
                lambda *given: agreement_by_scipy(*given, lambda same, base: same.double()),
                "as independent",
            ),
            "share, half": (lambda *given: agreement_by_scipy(*given)[:2], "expected is a tuple"),
        },
    ),
    "11.3": Answers(
        right=[solve_to_class_0, solve_plain],
        wrong={
            "float32": (lambda x, p: solve_to_class_0(x, p).float(), "your weights are float32"),
            "in place": (lambda x, p: solve_plain(x, p.log_().exp()), "changed what it was given"),
            "not the smallest": (first_unknowns_zero, "the smallest is asked"),
        },
    ),
    "11.4": Answers(
        right=[trusted_by_masks, trusted_on_both_sides, lambda probs: trusted_on_both_sides(probs, 2)],
        wrong={
            "one table": (lambda probs: trusted_by_masks(probs)[0], "expected is a tuple"),
            "small ones left out": (lambda probs: trusted_by_masks(probs, 0.0005), "were they cut off"),
        },
    ),
    "11.5": Answers(
        right=[knockoff_with_loader, knockoff_by_kl],
        wrong={
            "momentum": (
                copying(optimiser=lambda p, lr: torch.optim.SGD(p, lr, 0.9)),
                "Each epoch is one step of Adam",
            ),
            "sums": (copying(reduction="sum"), "the mean over them"),
            "answers of other rows": (copying(mix=True), "answers[rows] beside x[rows]"),
        },
    ),
    "11.6": Answers(
        right=[doubtful_by_sort, doubtful_among_the_rest],
        wrong={
            "places among the rest": (
                lambda *given: doubtful_among_the_rest(*given, lambda rest, places: places),
                "places among the rows",
            ),
            "at another temperature": (lambda z, n, asked: doubtful_by_sort(z / 2, n, asked), "written into it"),
        },
    ),
}
