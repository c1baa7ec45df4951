"""Checks of lesson 11: asking within a budget, equations out of answers, a copy by training, and how close it came."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from course_lib.attack import OverBudget, solve_weighed
from course_lib.checks.exercise import Exercise, expect

# ---- 11.1 a budget ----


def budgeted(oracle, budget):
    def ask(x):
        if ask.spent + len(x) > budget:
            raise OverBudget(f"{len(x):,} questions, and {budget - ask.spent:,} are left: none was asked")
        answers = oracle(x)
        ask.spent += len(x)
        return answers

    ask.spent = 0
    return ask


class _Oracle:
    """A small softmax classifier that remembers what it was asked. x (n, D) -> (n, C) float64 numpy."""

    def __init__(self, d=3, c=4, seed=0, decimals=None, scale=1.0):
        self.W = scale * np.random.default_rng(seed).normal(size=(d + 1, c))
        self.decimals, self.asked, self.broken = decimals, [], False

    def __call__(self, x):
        if self.broken:
            raise ConnectionError("the vault is away")
        x = np.asarray(x, np.float64).reshape(len(x), -1)
        self.asked.extend(x)
        z = x @ self.W[:-1] + self.W[-1]
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        if self.decimals is None:
            return p
        p = p.round(self.decimals)
        return p / p.sum(1, keepdims=True)


def _refused(ask, x):
    try:
        ask(x)
    except OverBudget:
        return True
    return False


def examine_budgeted(answer):
    oracle = _Oracle()
    x = np.random.default_rng(1).random((10, 3))
    ask = answer(oracle, 10)
    expect(ask is not None, "your function returned None. End it with `return` and the function that asks.")
    expect(
        callable(ask),
        f"expected a function that asks, ask(x); got {_short(ask)}. Define it inside, and return its name.",
    )
    expect(not oracle.asked, "questions were asked before anybody had one. Only ask(x) asks.")
    expect(hasattr(ask, "spent"), "the function that you return has no .spent. Set ask.spent = 0 before you return it.")
    expect(ask.spent == 0, f"nothing has been asked yet, and spent is {_short(ask.spent)}; it starts at 0.")
    got = ask(x[:4])
    expect(
        isinstance(got, np.ndarray) and got.shape == (4, 4) and np.array_equal(got, _Oracle()(x[:4])),
        f"ask(x) gives back the oracle's answers as they are, (4, 4) here; yours gave {_short(got)}.",
    )
    expect(len(oracle.asked) == 4, f"4 questions should have been asked once; the oracle saw {len(oracle.asked)}.")
    expect(
        ask.spent != 1,
        "4 questions in one call counted as 1. The vault charges by rows: add len(x).",
    )
    expect(ask.spent == 4, f"4 questions were asked, and spent says {_short(ask.spent)}.")
    for times in (1, 2):
        refused = _refused(ask, x[:7])
        expect(
            len(oracle.asked) == 4,
            "7 questions with 6 left went to the oracle, and the bill with them. Look at what is left before you ask.",
        )
        expect(
            refused, "7 questions with 6 left were let through without a word. Raise OverBudget(...) with a sentence."
        )
        expect(
            ask.spent == 4,
            f"a call that was refused asked nothing and costs nothing; spent went from 4 to {ask.spent}"
            + (" at the second refusal." if times == 2 else "."),
        )
    expect(
        not _refused(ask, x[4:]),
        "6 questions with 6 left were refused. A budget of 10 lets exactly 10 through: is that a > or a >=?",
    )
    expect(ask.spent == 10, f"all 10 are spent; your count says {ask.spent}.")
    expect(_refused(ask, x[:1]), "one more question than the budget was let through.")
    one, other = answer(_Oracle(), 3), answer(_Oracle(), 3)
    expect(
        not _refused(one, x[:3]) and other.spent == 0 and not _refused(other, x[:3]),
        "two askers share one count. Keep the count with the function that you return, not outside.",
    )
    away = _Oracle()
    ask = answer(away, 5)
    away.broken = True
    try:
        ask(x[:2])
    except ConnectionError:
        pass
    expect(
        ask.spent == 0,
        "the oracle raised an error and gave no answer, and you charged for it. Count after the answer has come.",
    )


# ---- 11.2 agreement ----


def agreement(copy_answers, vault_answers, base):
    same = (copy_answers.argmax(-1) == vault_answers.argmax(-1)).double()
    shares = torch.stack([same[base == picture].mean() for picture in base.unique()])
    half = stats.t.ppf(0.975, len(shares) - 1) * shares.std() / len(shares) ** 0.5
    return shares.mean().item(), (shares.mean() - half).item(), (shares.mean() + half).item()


def examine_agreement(answer):
    generator = torch.Generator().manual_seed(0)
    ease = torch.tensor([1.0, 1.0, 0.9, 0.3, 1.0, 0.8, 1.0, 0.5])  # per picture
    base = torch.arange(8).repeat(30)[torch.randperm(240, generator=generator)] * 3 + 5
    vault = torch.softmax(3 * torch.randn(240, 5, generator=generator), -1).double()
    copy = torch.softmax(vault + 0.2 * torch.rand(240, 5, generator=generator), -1).double()
    wanted = vault.argmax(-1)
    differs = torch.rand(240, generator=generator) > ease[(base - 5) // 3]
    wanted = torch.where(differs, (wanted + 1) % 5, wanted)
    copy = torch.where(F.one_hot(wanted, 5).bool(), 1.0, copy)  # the copy's winner is `wanted`
    same = (copy.argmax(-1) == vault.argmax(-1)).double()
    shares = np.array([same[base == picture].mean() for picture in base.unique()])
    got = answer(copy.clone(), vault.clone(), base.clone())
    good = isinstance(got, tuple | list) and len(got) == 3
    expect(good, f"expected three numbers, (share, low, high); got {_short(got)}.")
    for value in got:
        number = isinstance(value, (int, float, np.floating)) or (torch.is_tensor(value) and value.numel() == 1)
        expect(number, f"expected three plain numbers; one of yours is {_short(value)}.")
    share, low, high = (float(value) for value in got)
    expect(
        not math.isclose(share, 1 - shares.mean(), abs_tol=1e-4),
        f"{share:.3f} is the share on which they differ. Agreement is the share on which they give the same class.",
    )
    expect(
        not (share == 0 or share > 1),
        f"you say {share:g}. Compare the classes, argmax(-1) of each: two lists of probabilities are never quite equal.",
    )
    expect(
        math.isclose(share, shares.mean(), abs_tol=1e-4),
        f"they give the same class on {shares.mean():.3f} of these questions; you say {share:.3f}.",
    )
    expect(low <= high, f"low is {low:.3f} and high is {high:.3f}: the two ends are in the wrong order.")
    half, p, n = (high - low) / 2, len(shares), len(same)
    t, sd = stats.t.ppf(0.975, p - 1), shares.std(ddof=1)
    alone = stats.t.ppf(0.975, n - 1) * float(same.std()) / n**0.5
    expect(
        not math.isclose(half, alone, rel_tol=0.03),
        f"your interval treats {n} questions as independent. They were made from {p} pictures, 30 from each: average over the "
        "questions of a picture first, then take the interval over pictures.",
    )
    expect(
        not math.isclose(half, t * sd / n**0.5, rel_tol=5e-3),
        f"you divided by the square root of {n}, the questions. What varies here is the pictures, and there are {p}.",
    )
    expect(
        not math.isclose(half, t * sd, rel_tol=5e-3),
        "this is the spread of single pictures. Their mean spreads less: divide by the square root of their number.",
    )
    expect(
        not math.isclose(half, 1.96 * sd / p**0.5, rel_tol=3e-3),
        f"1.96 is right for very many pictures. With {p}, take Student's t with {p - 1} degrees of freedom ({t:.2f}).",
    )
    right = stats.ttest_1samp(shares, 0).confidence_interval(0.95)
    expect(
        math.isclose(low, right.low, abs_tol=1e-4) and math.isclose(high, right.high, abs_tol=1e-4),
        f"the interval over these {p} pictures is [{right.low:.4f}, {right.high:.4f}]; yours is [{low:.4f}, {high:.4f}]. The rows "
        "of one picture are those with the same number in base; they don't stand side by side.",
    )


# ---- 11.3 equations ----


def solve(x, probs):
    A = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    R = probs.log()
    return torch.linalg.lstsq(A, R - R.mean(1, keepdim=True), driver="gelsd").solution


def examine_solve(answer):
    d, c = 12, 4
    oracle = _Oracle(d, c, seed=3, scale=1.5)
    W = torch.from_numpy(oracle.W)
    random = np.random.default_rng(4)

    def asked(n):
        x = random.random((n, d))
        return torch.from_numpy(x), torch.from_numpy(oracle(x))

    x, p = asked(d + 1)
    got = answer(x.clone(), p.clone())
    expect(got is not None, "your function returned None. End it with `return` and the weights.")
    expect(isinstance(got, torch.Tensor), f"expected the weights as a tensor; got {_short(got)}.")
    expect(
        tuple(got.shape) != (d, c),
        f"your weights are ({d}, {c}): the bias is missing. Give the questions one more column, of ones, and it is a weight too.",
    )
    expect(
        tuple(got.shape) == (d + 1, c),
        f"expected one row per pixel and one for the bias, one column per class: ({d + 1}, {c}) here; got {tuple(got.shape)}.",
    )
    expect(
        bool(got.isfinite().all()),
        "your weights hold NaN or infinity. Which number did you take the logarithm of, or divide by?",
    )
    expect(
        got.dtype == torch.float64,
        f"your weights are {_dtype(got)}. Keep everything in float64, as the answers came: 65 unknowns lose digits quickly.",
    )
    mine, true = got - got.mean(1, keepdim=True), W - W.mean(1, keepdim=True)
    swapped = torch.cat([true[-1:], true[:-1]])
    expect(
        not torch.allclose(mine, swapped, atol=1e-5),
        "the bias stands in the first row; it is expected in the last. Put the column of ones behind the pixels.",
    )
    raw = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1).double()], 1), p.log(), driver="gelsd").solution
    expect(
        not torch.allclose(got, raw, atol=1e-6),
        "log p is not linear in x: each row still holds its own normaliser, the log of the sum. Subtract something from each row "
        "in which it is the same for all classes, such as the row's mean, and it is gone.",
    )
    prob = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1).double()], 1), p, driver="gelsd").solution
    expect(
        not torch.allclose(mine, prob - prob.mean(1, keepdim=True), atol=1e-6),
        "you solved for the probabilities themselves, and they are not linear in x. Their logarithms nearly are.",
    )
    worst = (mine - true).abs().max().item()
    expect(
        worst < 1e-7,
        f"{d + 1} questions are enough for this classifier of {d} pixels, and the weights are still off by {worst:.2g} (up to "
        "what all classes share, which softmax cannot show).",
    )
    x, p = asked(200)
    noisy = p * torch.from_numpy(np.exp(random.normal(0, 0.3, p.shape)))
    noisy /= noisy.sum(1, keepdim=True)
    got = answer(x.clone(), noisy.clone())
    best = solve(x, noisy)
    first = solve(x[: d + 1], noisy[: d + 1])
    mine = got - got.mean(1, keepdim=True)
    expect(
        not torch.allclose(mine, first, atol=1e-5),
        f"of 200 noisy answers you used the first {d + 1} alone. Least squares (torch.linalg.lstsq) takes them all.",
    )
    expect(
        torch.allclose(mine, best, atol=0.25) and bool(mine.isfinite().all()),
        "with 200 noisy answers your weights are not those of least squares over all of them: torch.linalg.lstsq.",
    )
    x, p = asked(8)
    got = answer(x.clone(), p.clone())
    ok = bool(got.isfinite().all()) and torch.allclose(_answers(got, x), p, atol=1e-6)
    expect(
        ok,
        f"with 8 questions for {d + 1} unknowns there are many solutions, and yours is none of them: it does not give the 8 answers "
        'back. torch.linalg.lstsq(A, R, driver="gelsd") finds the smallest one.',
    )


def _answers(W, x):
    return torch.softmax(x @ W[:-1] + W[-1], -1)


# ---- 11.4 equations that survive rounding ----


def trusted(probs):
    known, winner = probs > 0, probs.amax(1, keepdim=True)
    log_ratios = torch.where(known, torch.where(known, probs, 1.0).log() - winner.log(), 0.0)
    return log_ratios, probs


def examine_trusted(answer):
    probs = torch.tensor(
        [[0.7, 0.2, 0.1, 0.0], [0.0, 0.004, 0.996, 0.0], [0.0, 0.0, 1.0, 0.0], [0.3, 0.26, 0.24, 0.2]],
        dtype=torch.float64,
    )
    given = probs.clone()
    got = answer(given)
    good = isinstance(got, tuple | list) and len(got) == 2
    expect(good, f"expected two tables, (log_ratios, weights); got {_short(got)}.")
    for name, table in zip(("log_ratios", "weights"), got, strict=True):
        expect(
            isinstance(table, torch.Tensor) and table.shape == probs.shape,
            f"expected {name} of shape (n, C), (4, 4) here; got {_short(table)}.",
        )
    expect(torch.equal(given, probs), "your function changed the answers that it was given. Work on new tensors.")
    ratios, weights = (table.double() for table in got)
    known = probs > 0
    expect(
        bool(ratios.isfinite().all()) and bool(weights.isfinite().all()),
        "a table holds NaN or infinity: log 0 is minus infinity, and 0 times that is NaN. Where p is 0, put the ratio 0.",
    )
    true = probs.clamp(min=1e-300).log() - probs.amax(1, keepdim=True).log()
    first = probs.clamp(min=1e-300).log() - probs[:, :1].clamp(min=1e-300).log()
    off = (ratios - true)[known].abs().max().item()
    expect(
        not torch.allclose(ratios[[0, 3]], probs[[0, 3]].clamp(min=1e-300).log() * known[[0, 3]], atol=1e-6),
        "these are log p, not ratios: subtract the winner's log p, and the row's normaliser is gone.",
    )
    expect(
        not (torch.allclose(ratios[3], first[3], atol=1e-6) and off > 1e-6),
        "the ratios are taken to class 0, and its own p may be a rounded 0. Take them to the winner: it is never 0.",
    )
    expect(
        not torch.allclose(-ratios[known], true[known], atol=1e-6),
        "the ratios are upside down: log p_c minus log p_winner, so that none is above 0.",
    )
    expect(
        off < 1e-6, f"a log ratio is log p_c - log p_winner: for p = 0.2 beside 0.7 that is {math.log(2 / 7):.3f}; yours is "
        f"{ratios[0, 1]:.3f}."
    )  # fmt: skip
    heavy = weights[~known].abs().max().item()
    expect(
        heavy == 0,
        f"a rounded 0 says nothing about its logarithm, and you give such an equation the weight {heavy:g}. Give it 0.",
    )
    losers = [(0, 1), (0, 2), (3, 1), (3, 3), (1, 1)]
    w = torch.tensor([weights[place] for place in losers])
    p = torch.tensor([probs[place] for place in losers])
    expect(
        bool((w > 0).all()),
        f"p = {p[w <= 0][0]:g} was not rounded away, and you give it no weight." if (w <= 0).any() else "",
    )
    expect(
        not torch.allclose(w / w[0], torch.ones_like(w), rtol=1e-6),
        "you trust all equations alike. Half a unit of the last digit moves log 0.004 a lot and log 0.7 hardly: an error of u in p "
        "is one of about u / p in log p.",
    )
    expect(
        not torch.allclose(w / w[0], p[0] / p, rtol=1e-3),
        "the weights are upside down: this is the size of the error, 1 / p. The larger the error, the smaller the weight.",
    )
    winner = torch.tensor([probs[row].max() for row, _ in losers])
    both = 1 / (1 / p + 1 / winner)  # the winner's p was rounded, too
    fine = [torch.allclose(w / w[0], one / one[0], rtol=1e-3) for one in (p, both)]
    expect(
        any(fine),
        f"the weight is one over the error, so p = 0.2 weighs {0.2 / 0.1:.0f} times as much as p = 0.1; yours weighs "
        f"{w[0] / w[1]:.2f} times as much.",
    )
    oracle = _Oracle(8, 4, seed=5, decimals=2, scale=2.0)
    x = np.random.default_rng(6).random((400, 8))
    p = torch.from_numpy(oracle(x))
    found = solve_weighed(x, p.argmax(1), *answer(p))
    oracle.decimals = None
    new = np.random.default_rng(7).random((1000, 8))
    same = (_answers(found, torch.from_numpy(new)).argmax(1) == torch.from_numpy(oracle(new)).argmax(1)).double().mean()
    expect(
        same > 0.97,
        f"solved with your weights, a small classifier agrees on {same:.3f} of new questions; 0.97 is easy.",
    )


# ---- 11.5 a copy by training ----


def knockoff(ask, student, x, epochs, batch_size=64, lr=1e-2, seed=0):
    answers = torch.from_numpy(ask(x)).float()
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    student.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            loss = F.cross_entropy(student(x[rows]), answers[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return student.eval()


class _Student(nn.Module):
    """A linear student with a switch that shows its mode, and a record of the rows that it learned from."""

    def __init__(self):
        super().__init__()
        self.layer, self.batches = nn.Linear(6, 4), []
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()

    def forward(self, x):
        if self.training and torch.is_grad_enabled():
            self.batches.append(x.detach().clone())
        return self.layer(x.flatten(1))


def examine_knockoff(answer):
    oracle = _Oracle(6, 4, seed=8, scale=1.0)
    x = torch.rand(96, 1, 2, 3, generator=torch.Generator().manual_seed(9))
    asked = []

    def ask(questions):
        n = len(questions)
        expect(
            len(asked) + n <= len(x),
            f"{len(asked) + n} questions were asked for {len(x)} pictures: an answer is paid for each time you ask. Ask once, before "
            "the first epoch, and keep the answers.",
        )
        asked.extend(range(n))
        return oracle(questions)

    student = _Student().eval()
    before = student.layer.weight.detach().clone()
    epochs = 60
    got = answer(ask, student, x.clone(), epochs, 16, 0.05, 0)
    expect(got is not None, "your function returned None. End it with `return` and the student.")
    expect(got is student, f"expected the student itself back; got {_short(got)}.")
    expect(len(asked) == len(x), f"{len(x)} pictures are to be asked, each once; {len(asked)} were.")
    expect(
        not torch.equal(student.layer.weight, before), "the student's weights did not move. Is there an optimiser step?"
    )
    steps = len(student.batches)
    expect(
        steps > 0,
        "the student never ran in train mode with gradients on: student.train() before the loop, and no torch.no_grad() around it.",
    )
    expect(
        steps == epochs * 6,
        f"{epochs} epochs of 96 questions in batches of 16 are {epochs * 6} steps; yours took {steps}.",
    )
    orders = [torch.cat(student.batches[6 * e : 6 * e + 6])[:, 0, 0, 0] for e in range(2)]
    whole = all(torch.equal(order.sort().values, x[:, 0, 0, 0].sort().values) for order in orders)
    expect(whole, "each epoch goes through every question once; yours leaves some out or repeats some.")
    expect(
        not torch.equal(*orders),
        "both epochs went through the questions in the same order. Draw a new permutation for each.",
    )
    expect(not student.training, "the student came back in train mode. End with student.eval().")
    new = torch.rand(500, 1, 2, 3, generator=torch.Generator().manual_seed(10))
    p = torch.from_numpy(oracle(new))
    with torch.no_grad():
        log_q = student(new).double().log_softmax(-1)
    gap = F.kl_div(log_q, p, reduction="batchmean").item()
    label = F.cross_entropy(log_q, p.argmax(-1)).item() < 0.6 * F.cross_entropy(p.log(), p.argmax(-1)).item()
    expect(
        not label,
        "the student is far surer of the winner than the vault is: it learned from labels. You paid for all the probabilities; "
        "give the cross-entropy all of them, (B, C).",
    )
    flat = F.kl_div(torch.full_like(p, 0.25).log(), p, reduction="batchmean").item()
    expect(
        gap < 0.05 * flat,
        f"after {epochs} epochs the student is still {gap:.3f} nats from the vault's answers (an untrained one: {flat:.3f}; a right "
        "loop gets below a twentieth of that). Does every batch get the answers to its own rows, as probabilities?",
    )


# ---- 11.6 whom to ask next ----


def most_doubtful(logits, n, asked):
    top = logits.softmax(-1).topk(2).values
    gap = top[:, 0] - top[:, 1]
    gap[asked] = 2
    return gap.topk(n, largest=False).indices


def examine_most_doubtful(answer):
    generator = torch.Generator().manual_seed(11)
    logits = 3 * torch.randn(60, 5, generator=generator)
    asked = torch.arange(0, 60, 4)
    kept, kept_asked = logits.clone(), asked.clone()
    got = answer(logits, 12, asked)
    expect(got is not None, "your function returned None. End it with `return` and the row numbers.")
    expect(
        isinstance(got, torch.Tensor) and got.ndim == 1 and not got.is_floating_point() and got.dtype != torch.bool,
        f"expected 12 row numbers, whole numbers in a tensor of shape (12,); got {_short(got)}.",
    )
    expect(
        torch.equal(kept, logits) and torch.equal(kept_asked, asked),
        "your function changed the logits or the list of what was asked. Work on new tensors.",
    )
    expect(len(got) == 12, f"12 questions were wanted; you chose {len(got)}.")
    expect(
        0 <= got.min() and got.max() < 60, f"there are rows 0 to 59; you chose {int(got.min())} to {int(got.max())}."
    )
    rest = torch.tensor([row for row in range(60) if row not in asked])
    p = logits.softmax(-1)
    top = p.topk(2).values
    gap = top[:, 0] - top[:, 1]
    expect(
        got.max() >= len(rest) or set(got.tolist()) != set(gap[rest].topk(12, largest=False).indices.tolist()),
        "these are places among the rows that are left, not row numbers: row 3 of the rest is another row of all.",
    )
    again = torch.isin(got, asked)
    expect(
        not again.any(),
        f"{int(again.sum())} of the 12 were asked before. Their answers are paid for: leave the rows in `asked` out.",
    )
    expect(len(got.unique()) == 12, "some rows come twice, and would be paid for twice.")

    def best(score, largest):
        score = score.clone()
        score[asked] = -torch.inf if largest else torch.inf
        return set(score.topk(12, largest=largest).indices.tolist())

    chosen = set(got.tolist())
    z = logits.topk(2).values
    expect(
        chosen != best(gap, True), "these are the questions of which the copy is surest. Ask where the gap is smallest."
    )
    slips = (
        (
            best(z[:, 0] - z[:, 1], False),
            "this is the gap between logits. Take it between probabilities: softmax first.",
        ),
        (
            best(top[:, 0], False),
            "these have the smallest winner. Doubt between two classes is the gap between the two largest probabilities.",
        ),
        (
            best(-(p * p.log()).sum(-1), True),
            "these have the largest entropy, which counts all classes. Here doubt is the gap between the two largest.",
        ),
        (
            best(p.amax(-1) - p.amin(-1), False),
            "this is the gap between the largest and the smallest probability. Take the two largest: topk(2).",
        ),
    )
    wanted = best(gap, False)
    for wrong, sentence in slips:
        expect(chosen != wrong or wrong == wanted, sentence)
    expect(
        chosen == wanted,
        f"{len(chosen & wanted)} of your 12 are among the 12 with the smallest gap between the two largest probabilities.",
    )
    rest = answer(logits[:20], 20 - 5, torch.arange(5))
    expect(
        sorted(rest.tolist()) == list(range(5, 20)), "where all that is left is wanted, all that is left is the answer."
    )


def _dtype(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def _short(value):
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "11.1",
            "The budget",
            6,
            1,
            budgeted,
            examine_budgeted,
            (
                "Define a function ask(x) inside, and return it. It looks at what is left first, then asks, then counts.",
                "A function can carry a number: ask.spent = 0, set after its definition and before you return it.",
                'if ask.spent + len(x) > budget: raise OverBudget("...") comes first; ask.spent += len(x) comes last.',
            ),
        ),
        Exercise(
            "11.2",
            "Agreement, with an honest interval",
            8,
            2,
            agreement,
            examine_agreement,
            (
                "Three steps: 1 where both name the same class, else 0; the mean of these for each picture; the interval over pictures.",
                "same[base == picture].mean() is one picture's share; base.unique() are the pictures.",
                "Half the width is stats.t.ppf(0.975, P - 1) times the standard deviation of the P shares, over the square root of P.",
            ),
        ),
        Exercise(
            "11.3",
            "Equations, and their solution",
            10,
            3,
            solve,
            examine_solve,
            (
                "log p_c is x · w_c + b_c minus a number that is the same for all classes. Which operation on a row removes such a "
                "number?",
                "A is the questions with a column of ones behind them, (n, D + 1). R is log p minus each row's mean, (n, C).",
                'torch.linalg.lstsq(A, R, driver="gelsd").solution is what is asked, whatever n is.',
            ),
        ),
        Exercise(
            "11.4",
            "Equations that survive rounding",
            8,
            2,
            trusted,
            examine_trusted,
            (
                "Ratios first: log p_c minus the log of the row's largest p. Where p_c is 0 you know nothing: ratio 0, weight 0.",
                "An error of u in p is one of about u / p in log p, so the weight, one over the error, is proportional to ... p.",
                "torch.where(known, probs, 1.0).log() takes no logarithm of 0; what the weights are then needs no formula at all.",
            ),
        ),
        Exercise(
            "11.5",
            "The copy loop",
            9,
            2,
            knockoff,
            examine_knockoff,
            (
                "Ask once, at the top, and keep the answers: torch.from_numpy(ask(x)).float() is (n, C).",
                "The rest is lesson 04's loop: a new permutation per epoch, batches of rows, one step of Adam each.",
                "F.cross_entropy(student(x[rows]), answers[rows]) takes probabilities as targets. Return student.eval().",
            ),
        ),
        Exercise(
            "11.6",
            "Ask where you doubt",
            6,
            2,
            most_doubtful,
            examine_most_doubtful,
            (
                "softmax, then topk(2).values: the gap is their difference, (N,).",
                "A gap is at most 1. Give what was asked a gap of 2, and it is never among the smallest.",
            ),
        ),
    )
}
