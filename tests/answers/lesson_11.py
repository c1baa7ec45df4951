"""Answers to lesson 11's exercises, right and wrong."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

from course_lib.attack import OverBudget, answer_loss, with_one
from tests.answers import Answers

# ---- 11.1 ----


class Asker:
    """A right answer written as a class."""

    def __init__(self, oracle, budget):
        self.oracle, self.left, self.spent = oracle, budget, 0

    def __call__(self, x):
        n = len(x)
        if n > self.left:
            raise OverBudget(f"{n} asked, {self.left} left")
        answers = self.oracle(x)
        self.left, self.spent = self.left - n, self.spent + n
        return answers


def by_closure(oracle, budget):
    def ask(x):
        if len(x) > budget - ask.spent:
            raise OverBudget("too many")
        answers = oracle(x)
        ask.spent = ask.spent + len(x)
        return answers

    ask.spent = 0
    return ask


def budget_with(
    rows=len, over=lambda spent, n, budget: spent + n > budget, first="look", charge_refused=False, say=True
):
    """A budgeter with one thing wrong."""

    def budgeted(oracle, budget):
        def ask(x):
            n = rows(x)
            if first == "count":
                ask.spent += n
            answers = oracle(x) if first == "ask" else None
            if over(ask.spent - n * (first == "count"), n, budget):
                if charge_refused:
                    ask.spent += n
                if say:
                    raise OverBudget("too many")
                return None
            answers = oracle(x) if answers is None else answers
            if first != "count":
                ask.spent += n
            return answers

        ask.spent = 0
        return ask

    return budgeted


def no_count(oracle, budget):
    def ask(x):
        return oracle(x)

    return ask


class SharedCount(Asker):
    """Counts in one place for all askers."""

    total = 0
    spent = property(lambda self: SharedCount.total, lambda self, n: setattr(SharedCount, "total", n))

    def __init__(self, oracle, budget):
        self.oracle, self.budget = oracle, budget

    left = property(lambda self: self.budget - SharedCount.total, lambda self, n: None)


def asks_at_once(oracle, budget):
    oracle(np.zeros((1, 3)))
    return by_closure(oracle, budget)


def counted_before_the_answer(oracle, budget):
    def ask(x):
        if ask.spent + len(x) > budget:
            raise OverBudget("too many")
        ask.spent += len(x)
        return oracle(x)

    ask.spent = 0
    return ask


# ---- 11.2 ----


def shares_of(a, b, base):
    same = (a.argmax(-1) == b.argmax(-1)).double()
    return same, torch.stack([same[base == picture].mean() for picture in base.unique()])


def agreement_by_bincount(copy_answers, vault_answers, base):
    same = (copy_answers.max(-1).indices == vault_answers.max(-1).indices).numpy()
    _, place = np.unique(base.numpy(), return_inverse=True)
    shares = np.bincount(place, same) / np.bincount(place)
    low, high = stats.t.interval(0.95, len(shares) - 1, shares.mean(), stats.sem(shares))
    return float(shares.mean()), float(low), float(high)


def agreement_by_scipy(copy_answers, vault_answers, base):
    _, shares = shares_of(copy_answers, vault_answers, base)
    found = stats.ttest_1samp(shares.numpy(), 0).confidence_interval(0.95)
    return shares.mean(), torch.tensor(found.low), torch.tensor(found.high)


def interval(shares, half):
    m = shares.mean().item()
    return m, m - float(half), m + float(half)


def by_question(copy_answers, vault_answers, base):
    same, _ = shares_of(copy_answers, vault_answers, base)
    return interval(same, stats.t.ppf(0.975, len(same) - 1) * same.std() / len(same) ** 0.5)


def wilson_like(copy_answers, vault_answers, base):
    same, shares = shares_of(copy_answers, vault_answers, base)
    return interval(shares, stats.t.ppf(0.975, len(shares) - 1) * shares.std() / len(same) ** 0.5)


def not_divided(copy_answers, vault_answers, base):
    _, shares = shares_of(copy_answers, vault_answers, base)
    return interval(shares, stats.t.ppf(0.975, len(shares) - 1) * shares.std())


def with_1_96(copy_answers, vault_answers, base):
    _, shares = shares_of(copy_answers, vault_answers, base)
    return interval(shares, 1.96 * shares.std() / len(shares) ** 0.5)


def whole_rows(copy_answers, vault_answers, base):
    same = (copy_answers == vault_answers).all(-1).double()
    return interval(same, same.std() / len(same) ** 0.5)


def disagreement(copy_answers, vault_answers, base):
    _, shares = shares_of(copy_answers, vault_answers, base)
    return interval(1 - shares, stats.t.ppf(0.975, len(shares) - 1) * shares.std() / len(shares) ** 0.5)


def in_the_order_given(copy_answers, vault_answers, base):
    same = (copy_answers.argmax(-1) == vault_answers.argmax(-1)).double()
    shares = same.reshape(len(base.unique()), -1).mean(1)
    return interval(shares, stats.t.ppf(0.975, len(shares) - 1) * shares.std() / len(shares) ** 0.5)


def ends_swapped(copy_answers, vault_answers, base):
    share, low, high = agreement_by_bincount(copy_answers, vault_answers, base)
    return share, high, low


# ---- 11.3 ----


def solve_by_svd(x, probs):
    A = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    R = probs.log() - probs.log().mean(1, keepdim=True)
    return torch.linalg.pinv(A) @ R


def solve_to_class_0(x, probs):
    """Log ratios to class 0, whose column is then 0: the same classifier."""
    return torch.from_numpy(np.linalg.lstsq(with_one(x).numpy(), (probs / probs[:, :1]).log().numpy(), rcond=None)[0])


def solved(x, R, rows=slice(None)):
    return torch.linalg.lstsq(with_one(x)[rows], R[rows], driver="gelsd").solution


def centred(probs):
    return probs.log() - probs.log().mean(1, keepdim=True)


def in_float32(x, probs):
    A = with_one(x).float()
    return torch.linalg.lstsq(A, centred(probs).float(), driver="gelsd").solution


def exactly_enough(x, probs):
    d = x.shape[1] + 1
    return solved(x, centred(probs), slice(0, d))


def bias_first(x, probs):
    W = solved(x, centred(probs))
    return torch.cat([W[-1:], W[:-1]])


def square_only(x, probs):
    """Right for one question per unknown; elsewhere through the transposed system, which is another problem."""
    A, R = with_one(x), centred(probs)
    if len(A) == A.shape[1]:
        return torch.linalg.solve(A, R)
    return A.T @ R


# ---- 11.4 ----


def trusted_by_masks(probs):
    top = probs.max(1, keepdim=True).values
    ratios, weights = torch.zeros_like(probs), torch.zeros_like(probs)
    known = probs > 0
    ratios[known] = (probs / top)[known].log()
    weights[known] = 1000 * probs[known]
    return ratios, weights


def trusted_on_both_sides(probs):
    """The winner was rounded, too: the error is u / p + u / p_winner."""
    top = probs.amax(1, keepdim=True)
    ratios = (probs.clamp(min=1e-12) / top).log() * (probs > 0)
    return ratios, probs * top / (probs + top)


def trust(weights=lambda p: p, ratios=None):
    def trusted(probs):
        known, top = probs > 0, probs.amax(1, keepdim=True)
        plain = torch.where(known, (probs.clamp(min=1e-12) / top).log(), 0.0)
        return plain if ratios is None else ratios(probs, known, top), weights(probs)

    return trusted


def log_p(probs, known, top):
    return torch.where(known, probs.clamp(min=1e-12).log(), 0.0)


def to_class_0(probs, known, top):
    return torch.where(known, (probs.clamp(min=1e-12) / probs[:, :1].clamp(min=1e-12)).log(), 0.0)


# ---- 11.5 ----


def knockoff_with_loader(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    answers = torch.tensor(ask(x), dtype=torch.float32)
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, answers), batch_size=batch_size, shuffle=True
    )
    optimiser = torch.optim.SGD(student.parameters(), lr=10 * lr, momentum=0.9)
    student.train()
    for _ in range(epochs):
        for batch, p in loader:
            student.zero_grad()
            answer_loss(student(batch), p).backward()
            optimiser.step()
    student.eval()
    return student


def knockoff_by_kl(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    """Asks batch by batch, but only in the first epoch; learns by the KL, which differs by a constant."""
    answers = torch.cat([torch.from_numpy(ask(part)) for part in x.split(batch_size)]).float()
    optimiser = torch.optim.AdamW(student.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            student.train()
            loss = F.kl_div(student(x[rows]).log_softmax(-1), answers[rows], reduction="batchmean")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return student.eval()


def loop(
    each_epoch=False, target=lambda p: p, mix=False, back=True, order="new", step=True, eval_at_end=True, twice=False
):
    """The copy loop with one thing wrong."""

    def knockoff(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
        answers = None if each_epoch else torch.from_numpy(ask(x)).float()
        optimiser = torch.optim.Adam(student.parameters(), lr=lr)
        generator = torch.Generator().manual_seed(seed)
        student.train()
        fixed = torch.randperm(len(x), generator=generator)
        for _ in range(epochs):
            permutation = fixed if order == "fixed" else torch.randperm(len(x), generator=generator)
            if order == "drawn":
                permutation = torch.randint(len(x), (len(x),), generator=generator)
            if each_epoch:
                answers = torch.from_numpy(ask(x)).float()
            for i, rows in enumerate(permutation.split(batch_size)):
                mine = answers[i * batch_size : i * batch_size + len(rows)] if mix else answers[rows]
                loss = F.cross_entropy(student(x[rows]), target(mine))
                optimiser.zero_grad()
                loss.backward()
                if step:
                    optimiser.step()
        if eval_at_end:
            student.eval()
        return student if back else None

    return knockoff


def in_eval_mode(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    answers = torch.from_numpy(ask(x)).float()
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    student.eval()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch_size):
            loss = F.cross_entropy(student(x[rows]), answers[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return student


def whole_batch(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    answers = torch.from_numpy(ask(x)).float()
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    student.train()
    for _ in range(epochs):
        optimiser.zero_grad()
        F.cross_entropy(student(x), answers).backward()
        optimiser.step()
    return student.eval()


# ---- 11.6 ----


def doubtful_by_sort(logits, n, asked):
    p = torch.softmax(logits, -1).sort(-1, descending=True).values
    gap = (p[:, 0] - p[:, 1]).tolist()
    forbidden = set(asked.tolist())
    rows = sorted((i for i in range(len(gap)) if i not in forbidden), key=gap.__getitem__)
    return torch.tensor(rows[:n])


def doubtful_among_the_rest(logits, n, asked):
    rest = torch.ones(len(logits), dtype=torch.bool)
    rest[asked] = False
    rest = rest.nonzero()[:, 0]
    top = logits[rest].softmax(-1).topk(2).values
    return rest[(top[:, 1] - top[:, 0]).argsort(descending=True)[:n]]


def doubt(score, largest=False, mask=True, out=lambda rows, score: rows):
    def most_doubtful(logits, n, asked):
        s = score(logits).clone()
        if mask:
            s[asked] = -torch.inf if largest else torch.inf
        return out(s.topk(n, largest=largest).indices, s)

    return most_doubtful


def gap_of(values):
    top = values.topk(2).values
    return top[:, 0] - top[:, 1]


def p_gap(logits):
    return gap_of(logits.softmax(-1))


def places_among_the_rest(logits, n, asked):
    rest = torch.ones(len(logits), dtype=torch.bool)
    rest[asked] = False
    return p_gap(logits[rest]).topk(n, largest=False).indices


ANSWERS = {
    "11.1": Answers(
        right=[Asker, by_closure],
        wrong={
            "counts calls": (budget_with(rows=lambda x: 1), "counted as 1"),
            "asks before it looks": (budget_with(first="ask"), "went to the oracle"),
            "off by one": (budget_with(over=lambda s, n, b: s + n >= b), "exactly 10"),
            "charges what it refused": (budget_with(charge_refused=True), "costs nothing"),
            "refuses in silence": (budget_with(say=False), "without a word"),
            "no count": (no_count, "no .spent"),
            "asks when it is made": (asks_at_once, "before anybody had one"),
            "one count for all": (SharedCount, "share one count"),
            "charges for an error": (counted_before_the_answer, "Count after"),
        },
    ),
    "11.2": Answers(
        right=[agreement_by_bincount, agreement_by_scipy],
        wrong={
            "questions as if independent": (by_question, "30 from each"),
            "divided by the questions": (wilson_like, "What varies here is the pictures"),
            "not divided": (not_divided, "spread of single pictures"),
            "1.96": (with_1_96, "1.96"),
            "whole rows compared": (whole_rows, "Compare the classes"),
            "disagreement": (disagreement, "on which they differ"),
            "rows of a picture side by side": (in_the_order_given, "don't stand side by side"),
            "ends swapped": (ends_swapped, "wrong order"),
        },
    ),
    "11.3": Answers(
        right=[solve_by_svd, solve_to_class_0],
        wrong={
            "no bias": (lambda x, p: solved(x, centred(p))[:-1], "the bias is missing"),
            "log p as it is": (lambda x, p: solved(x, p.log()), "normaliser"),
            "probabilities": (lambda x, p: solved(x, p), "not linear in x"),
            "float32": (in_float32, "float64"),
            "the first rows only": (exactly_enough, "you used the first 13 alone"),
            "bias first": (bias_first, "in the first row"),
            "square systems only": (square_only, "200 noisy answers"),
            "transposed": (lambda x, p: solved(x, centred(p)).T, "one row per pixel"),
        },
    ),
    "11.4": Answers(
        right=[trusted_by_masks, trusted_on_both_sides],
        wrong={
            "log of zero": (lambda p: ((p / p.amax(1, keepdim=True)).log(), p), "NaN or infinity"),
            "all alike": (trust(lambda p: (p > 0).double()), "all equations alike"),
            "weights upside down": (trust(lambda p: torch.where(p > 0, 1 / p.clamp(min=1e-9), 0.0)), "upside down"),
            "square root": (trust(lambda p: p.sqrt()), "weighs 2 times"),
            "zeros are half a unit": (trust(lambda p: p.clamp(min=5e-4)), "rounded 0 says nothing"),
            "log p": (trust(ratios=log_p), "these are log p"),
            "to class 0": (trust(ratios=to_class_0), "to class 0"),
            "ratios upside down": (
                trust(ratios=lambda p, k, t: -(p.clamp(min=1e-12) / t).log() * k),
                "none is above 0",
            ),
        },
    ),
    "11.5": Answers(
        right=[knockoff_with_loader, knockoff_by_kl],
        wrong={
            "asks in every epoch": (loop(each_epoch=True), "Ask once"),
            "labels only": (loop(target=lambda p: p.argmax(-1)), "learned from labels"),
            "answers of other rows": (loop(mix=True), "its own rows"),
            "returns nothing": (loop(back=False), "returned None"),
            "one order for all epochs": (loop(order="fixed"), "the same order"),
            "draws with repetition": (loop(order="drawn"), "leaves some out"),
            "no step": (loop(step=False), "did not move"),
            "left in train mode": (loop(eval_at_end=False), "came back in train mode"),
            "trains in eval mode": (in_eval_mode, "never ran in train mode"),
            "whole batches": (whole_batch, "steps; yours took"),
        },
    ),
    "11.6": Answers(
        right=[doubtful_by_sort, doubtful_among_the_rest],
        wrong={
            "the surest": (doubt(p_gap, largest=True), "surest"),
            "asks again": (doubt(p_gap, mask=False), "asked before"),
            "gap of logits": (doubt(gap_of), "between logits"),
            "smallest winner": (doubt(lambda z: z.softmax(-1).amax(-1)), "smallest winner"),
            "entropy": (
                doubt(lambda z: -(z.softmax(-1) * z.log_softmax(-1)).sum(-1), largest=True),
                "largest entropy",
            ),
            "gaps, not rows": (doubt(p_gap, out=lambda rows, score: score[rows]), "row numbers"),
            "places among the rest": (places_among_the_rest, "places among the rows"),
        },
    ),
}
