"""Checks of lesson 11: asking within a budget, equations out of answers, a copy by training, and how close it came."""

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from course_lib.attack import OverBudget, with_one
from course_lib.checks import trial
from course_lib.checks.exercise import Exercise, expect
from course_lib.checks.table import Case, Table, instead

# ---- what the lesson goes on with until the learner's own answers are right ----


def budgeted(oracle, budget):
    def ask(x):
        if ask.spent + len(x) > budget:
            raise OverBudget(f"{len(x):,} questions, and {budget - ask.spent:,} are left: none was asked")
        answers = oracle(x)
        ask.spent += len(x)
        return answers

    ask.spent = 0
    return ask


def agreement(copy_answers, vault_answers, base):
    same = (copy_answers.argmax(-1) == vault_answers.argmax(-1)).double()
    shares = torch.stack([same[base == picture].mean() for picture in base.unique()])
    half = stats.t.ppf(0.975, len(shares) - 1) * shares.std() / len(shares) ** 0.5
    return shares.mean().item(), (shares.mean() - half).item(), (shares.mean() + half).item()


def solve(x, probs):
    A = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    R = probs.log()
    R = R - R.mean(1, keepdim=True)
    return torch.linalg.lstsq(A, R, driver="gelsd").solution


def trusted(probs):
    known, winner = probs > 0, probs.amax(1, keepdim=True)
    log_ratios = torch.where(known, torch.where(known, probs, 1.0).log() - winner.log(), 0.0)
    return log_ratios, probs


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


def most_doubtful(logits, n, asked):
    top = logits.softmax(-1).topk(2).values
    gap = top[:, 0] - top[:, 1]
    gap[asked] = 2
    return gap.topk(n, largest=False).indices


def classifier(seed, d, c, scale=1.0):
    """Weights (d + 1, c) of a softmax classifier, the last row the biases; float64."""
    return torch.from_numpy(scale * np.random.default_rng(seed).normal(size=(d + 1, c)))


def answers_of(W, x):
    return torch.softmax(with_one(x) @ W, -1)


# ---- 11.1 a budget ----


def happened(answer, budget, *turns):
    """What came of the last turn. A number asks so many; "other" turns to a second asker, "away" breaks the vault."""
    W, x = classifier(0, 3, 4), np.random.default_rng(1).random((20, 3))
    vaults = [SimpleNamespace(seen=0, away=False) for _ in range(2)]

    def asking(vault):
        def ask(x):
            if vault.away:
                raise ConnectionError("the vault is away")
            vault.seen += len(x)
            return answers_of(W, x).numpy()

        return ask

    askers, now, said = [answer(asking(vault), budget) for vault in vaults], 0, "nothing asked"
    expect(
        callable(askers[0]) and hasattr(askers[0], "spent"),
        "expected is a function ask(x) with a number ask.spent, defined inside and given back by its name; "
        f"{trial.describe(askers[0])} came. Set ask.spent = 0 before you return ask.",
    )
    for turn in turns:
        if turn == "other":
            now = 1
            continue
        vaults[now].away, asked = turn == "away", x[: 2 if turn == "away" else turn]
        try:
            came = askers[now](asked)
            said = "answered" if np.array_equal(came, answers_of(W, asked).numpy()) else "other answers"
            said = said if isinstance(came, np.ndarray) else "no array"
        except OverBudget:
            said = "refused"
        except ConnectionError:
            said = "an error"
    return f"{said}: {askers[now].spent} spent, {vaults[now].seen} asked"


WHOLE = "What is more than is left is refused whole: none of it is asked, and none is charged."
BUDGETED = Table(
    "ask",
    "where rows are counted",
    tuple(
        Case(f"a budget of {budget} and {seen}", (budget, *turns), right, why)
        for budget, seen, turns, right, why in (
            (10, "no question", (), "nothing asked: 0 spent, 0 asked", "spent starts at 0, and only ask(x) asks."),
            (10, "4 questions", (4,), "answered: 4 spent, 4 asked", "Ask each row once, and give back what came."),
            (10, "a second asker", (4, "other", 3), "answered: 3 spent, 3 asked", "Each asker counts for itself."),
            (10, "10 questions, then 1", (10, 1), "refused: 10 spent, 10 asked", WHOLE),
            (10, "4 questions, then 7", (4, 7), "refused: 4 spent, 4 asked", WHOLE),
            (10, "4, then 6", (4, 6), "answered: 10 spent, 10 asked", "All calls count."),
            (10, "4, 7, then 6", (4, 7, 6), "answered: 10 spent, 10 asked", "7 were refused; 6 are left."),
            (10, "11 at once", (11,), "refused: 0 spent, 0 asked", "The first call is no exception."),
            (0, "1 question", (1,), "refused: 0 spent, 0 asked", "0 is a budget, too."),
            (5, "2 to a vault that is away", ("away",), "an error: 0 spent, 0 asked", "Let its error through."),
            (5, "5, after an error", ("away", 5), "answered: 5 spent, 5 asked", "An error costs nothing."),
        )
    ),
    (
        instead(budgeted, "len(x)", "1"),
        "4 questions in one call counted as 1. The vault charges by rows: add len(x).",
        instead(budgeted, "answers = oracle(x)", "pass", "if ask", "answers = oracle(x)\n        if ask"),
        "They went to the oracle, and the bill with them. Look at what is left before you ask.",
        instead(budgeted, "> budget", "> 99"),
        "They were let through. Raise OverBudget(...) where len(x) is more than what is left.",
        instead(budgeted, "ask.spent + len(x) > budget", "ask.spent >= budget"),
        "Something was left, but not enough for all of them: compare len(x) with it.",
        instead(budgeted, "raise OverBudget", "return len"),
        "They were refused without a word, and the caller takes what came for answers. Raise OverBudget(...) with a sentence.",
        instead(budgeted, "raise OverBudget", "ask.spent += len(x)\n            raise OverBudget"),
        "A call that is refused asks nothing and costs nothing.",
        instead(budgeted, "> budget", ">= budget"),
        "A budget of 10 lets exactly 10 through: is that a > or a >=?",
        instead(budgeted, "ask.spent += len(x)", "pass", "answers =", "ask.spent += len(x)\n        answers ="),
        "The oracle raised an error and gave no answer, and you charged for it. Count after the answer has come.",
    ),
    play=happened,
)


# ---- 11.2 agreement ----


def agreeing(seen, pictures, why, classes=5):
    """pictures: a list of (number of questions, on how many of them both name the same class)."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.tensor([i for i, (n, _) in enumerate(pictures) for _ in range(n)])
    differs = torch.tensor([place >= same for n, same in pictures for place in range(n)])
    vault = torch.softmax(3 * torch.randn(len(picture), classes, generator=generator), -1).double()
    winner = F.one_hot((vault.argmax(-1) + differs) % classes, classes)
    copy = 2 * winner + torch.rand(vault.shape, generator=generator).double()
    order = torch.randperm(len(picture), generator=generator)
    shares = [same / n for n, same in pictures]
    right = stats.ttest_1samp(shares, 0).confidence_interval(0.95)
    given = copy[order], vault[order], picture[order] * 3 + 5
    return Case(seen, given, (float(np.mean(shares)), float(right.low), float(right.high)), why)


SHARES = (
    "The pictures' shares are 1, 0.9, 0.8, 1, 0.5, 0.9, 1 and 0.7, in whatever order their rows came. Take their mean, and "
    "stats.t.ppf(0.975, 7) times their standard deviation over the square root of 8."
)
UNEVEN = "Every picture counts once, however many questions were made of it."
EVEN = [(30, same) for same in (30, 27, 24, 30, 15, 27, 30, 21)]
AGREEMENT = Table(
    "agreement",
    "share, low and high",
    (
        agreeing("8 pictures with 30 questions each", EVEN, SHARES),
        agreeing("4 pictures with 5, 10, 20 and 40 questions", [(5, 3), (10, 8), (20, 14), (40, 36)], UNEVEN),
        agreeing("2 pictures with 50 questions each", [(50, 25), (50, 26)], "Is a number of pictures written into it?"),
    ),
    (
        instead(agreement, ") == vault", ") != vault"),
        "That is the share on which they differ. Agreement is the share on which they give the same class.",
        instead(agreement, ".argmax(-1)", "", ").double()", ").all(-1).double()"),
        "Compare the classes, argmax(-1) of each: two lists of probabilities are never quite equal.",
        instead(agreement, "torch.stack([same[base == picture].mean() for picture in base.unique()])", "same"),
        "Your interval treats all questions as independent, and many were made from one picture: average over the questions of a "
        "picture first, then take the interval over pictures.",
        instead(agreement, "shares.mean()", "same.mean()"),
        "The share is taken over all questions, and the interval over pictures. Average over pictures in both.",
        instead(agreement, "/ len(shares)", "/ len(base)"),
        "You divided by the square root of the number of questions. What varies here is the pictures.",
        instead(agreement, "/ len(shares) ** 0.5", ""),
        "This is the spread of single pictures. Their mean spreads less: divide by the square root of their number.",
        instead(agreement, "stats.t.ppf(0.975, len(shares) - 1)", "1.96"),
        "1.96 is right for very many pictures. With few, take Student's t: stats.t.ppf(0.975, P - 1).",
        instead(agreement, "len(shares) - 1", "len(shares)"),
        "P pictures leave P - 1 degrees of freedom: one went into their mean.",
        instead(agreement, "0.975", "0.95"),
        "With 0.95, a twentieth lies beyond *each* end. 95% in the middle leaves 0.025 on either side: 0.975.",
        instead(agreement, "std()", "std(correction=0)"),
        "The standard deviation divides by P, as numpy's does, where P - 1 is due: the mean was made of the same pictures.",
        instead(agreement, "0.975", "0.025"),
        "The two ends are in the wrong order: (share, low, high).",
    ),
    read=lambda came: tuple(came) if isinstance(came, np.ndarray) else came,
)


# ---- 11.3 equations ----


def visible(W):
    """Weights without what all classes share, which no answer shows."""
    return W - W.mean(1, keepdim=True) if isinstance(W, torch.Tensor) and W.ndim == 2 else W


def equations(seen, why, n, d, c, noise=0.0, dark=0):
    """n questions to a classifier of d pixels and c classes; the first `dark` pixels are 0 in all of them."""
    random = np.random.default_rng(n)
    x, W = torch.from_numpy(random.random((n, d))), classifier(n, d, c, 1.5)
    x[:, :dark] = 0
    p = answers_of(W, x) * torch.from_numpy(np.exp(random.normal(0, noise, (n, c))))
    p = p / p.sum(1, keepdim=True)
    smallest = torch.from_numpy(np.linalg.pinv(with_one(x).numpy())) @ p.log()
    return Case(seen, (x, p), visible(W if n == d + 1 else smallest), why)


ENOUGH = equations("13 answers of 12 pixels, which are enough", "R is log p, up to one number for each row.", 13, 12, 4)
FEW = "There are many solutions, and the smallest is asked: torch.linalg.lstsq(A, R, driver='gelsd') finds it."


def precise(answer):
    came = answer(*(one.clone() for one in ENOUGH.given))
    off = (visible(came) - ENOUGH.right).abs().max().item()
    expect(
        came.dtype == torch.float64 and off < 1e-7,
        f"your weights are {str(came.dtype).removeprefix('torch.')} and right up to {off:.1g}; float64 gives 1e-10, and 65 "
        "unknowns lose digits quickly. Does something in between run in float32, or was something added (a ridge)?",
    )


SOLVE = Table(
    "solve",
    "one row per pixel and a last one for the bias, one column per class",
    (
        ENOUGH,
        equations("60 noisy answers of 12 pixels", "Least squares takes them all: torch.linalg.lstsq.", 60, 12, 4, 0.3),
        equations("40 answers of 20 pixels and 2 classes", "Is a size written into your code?", 40, 20, 2, 0.1),
        equations("8 answers of 12 pixels, too few", FEW, 8, 12, 4),
        equations("40 answers of 12 pixels, of which one is always black,", FEW, 40, 12, 4, dark=1),
    ),
    (
        lambda x, p: solve(x, p)[:-1],
        "The bias is missing. Give the questions one more column, of ones, and it is a weight too.",
        lambda x, p: solve(x, p).T,
        "Your weights lie on their side: transpose them.",
        lambda x, p: solve(x, p).roll(1, 0),
        "The bias stands in the first row; it is expected in the last. Put the column of ones behind the pixels.",
        instead(solve, "probs.log()", "probs"),
        "You solved for the probabilities themselves, and they are not linear in x. Their logarithms nearly are.",
        instead(solve, "probs.log()", "probs.logit()"),
        "log(p / (1 - p)) holds a number that differs from class to class. What of log p is the same for a whole row?",
        instead(solve, "mean(1", "mean(0"),
        "The mean of each column was subtracted. The normaliser is the same along a *row*: .mean(1, keepdim=True).",
        instead(solve, "lstsq(A, R", "lstsq(A[: A.shape[1]], R[: A.shape[1]]"),
        "You used only as many answers as there are unknowns. Least squares (torch.linalg.lstsq) takes them all.",
        instead(solve, 'lstsq(A, R, driver="gelsd").solution', "solve(A.T @ A, A.T @ R)"),
        "The normal equations have one solution only where every unknown is settled; driver='gelsd' gives the smallest of many.",
        instead(solve, "gelsd", "gels"),
        "driver='gels' needs as many independent equations as there are unknowns; driver='gelsd' needs none.",
    ),
    read=visible,
    also=precise,
)


# ---- 11.4 equations that survive rounding ----


def tables(answer, probs):
    """(log_ratios, weights as multiples of the first loser's) of the answer. A winner's weight counts nowhere: 0.

    The winner's p was rounded, too. Whether an error counts that, added or in quadrature, is the learner's to say.
    """
    came = answer(probs)
    if not isinstance(came, (tuple, list)) or len(came) != 2 or getattr(came[1], "shape", 0) != probs.shape:
        return came
    p, top = probs, probs.amax(1, keepdim=True)
    losers = (p > 0) & (p < top)
    weights = came[1].double() / came[1][losers][0]
    for form in (p * top / (p + top), p * top / (p**2 + top**2).sqrt()):
        if torch.allclose(weights[losers], form[losers] / form[losers][0], rtol=1e-3):
            weights = torch.where(losers, p / p[losers][0], weights)
    return came[0], torch.where((p < top) | ~weights.isfinite(), weights, 0.0)


def trust(weights=lambda p: p, ratios=lambda p, top: torch.where(p > 0, (p.clamp(min=1e-12) / top).log(), 0.0)):
    return lambda probs: (ratios(probs, probs.amax(1, keepdim=True)), weights(probs))


def trusting(seen, probs, why):
    p, top = np.array(probs), np.max(probs, 1, keepdims=True)
    ratios = np.log(p / top, out=np.zeros_like(p), where=p > 0)
    weights = np.where(p < top, p, 0.0) / p[(p > 0) & (p < top)][0]
    right = torch.from_numpy(ratios), torch.from_numpy(weights)
    return Case(f"{seen}, weights as multiples of the first loser's,", (torch.from_numpy(p),), right, why, 1e-10)


PLAIN = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]
ZEROS = [[0.7, 0.2, 0.1, 0.0], [0.0, 0.004, 0.996, 0.0], [0.0, 0.0, 1.0, 0.0]]
RATIO = "A log ratio is log p_c - log p_winner; a weight is one over the error, so p = 0.3 weighs three times p = 0.1."
NOTHING = "A rounded 0 says nothing about its logarithm: ratio 0, weight 0. What was not rounded away counts."
TINY = "Small probabilities count too, by their size: was something added to them, or were they cut off?"
TRUSTED = Table(
    "trusted",
    "log_ratios and weights, (n, C) each",
    (
        trusting("the answers (0.5, 0.3, 0.2), (0.1, 0.8, 0.1), (0.2, 0.2, 0.6)", PLAIN, RATIO),
        trusting("the answers (0.7, 0.2, 0.1, 0), (0, 0.004, 0.996, 0), (0, 0, 1, 0)", ZEROS, NOTHING),
        trusting("the answer (0.9, 0.0999999, 1e-7)", [[0.9, 0.0999999, 1e-7]], TINY),
    ),
    (
        trust(ratios=lambda p, top: p.log()),
        "These are log p, not ratios: subtract the winner's log p, and the row's normaliser is gone.",
        trust(ratios=lambda p, top: (p / p[:, :1]).log()),
        "The ratios are taken to class 0, and its own p may be a rounded 0. Take them to the winner: it is never 0.",
        trust(ratios=lambda p, top: (top / p).log()),
        "The ratios are upside down: log p_c minus log p_winner, so that none is above 0.",
        trust(ratios=lambda p, top: (p / p.amax()).log()),
        "Each row has its own winner: .amax(1, keepdim=True).",
        trust(lambda p: (p > 0).double()),
        "You trust all equations alike. Half a unit of the last digit moves log 0.004 a lot and log 0.7 hardly: an error of u "
        "in p is one of about u / p in log p.",
        trust(lambda p: torch.where(p > 0, 1 / p, 0.0)),
        "The weights are upside down: this is the size of the error, 1 / p. The larger the error, the smaller the weight.",
        trust(lambda p: p**2),
        "These are squared. The weight is one over the error; what solves the equations squares it.",
        trust(lambda p: p / p.amax(1, keepdim=True)),
        "You weighed p_c / p_winner, as if every winner were known alike. The error of log p_c is about u / p_c.",
        trust(ratios=lambda p, top: (p / top).log()),
        "log 0 is minus infinity, and 0 times that is nan. Where p is 0, put the ratio 0.",
        trust(ratios=lambda p, top: (p / top).log().nan_to_num()),
        "nan_to_num makes -1.8e308 of log 0, a number that is finite and says nothing. Where p is 0, put the ratio 0.",
        trust(ratios=lambda p, top: (p.clamp(min=0.0005) / top).log()),
        "Where p is 0 you guess what it was. Nothing is known there: ratio 0, weight 0.",
        trust(lambda p: p.clamp(min=0.0005)),
        "A rounded 0 says nothing about its logarithm, and you give such an equation a weight. Give it 0.",
    ),
    play=tables,
)


# ---- 11.5 a copy by training ----

VAULT = classifier(8, 6, 4, 2.0)


class Student(nn.Module):
    """A linear student, almost a copy, that notes each batch it could learn from: in which mode, and which pictures."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(6, 4), []
        start = (VAULT + classifier(12, 6, 4, 0.3)).float()
        self.layer.weight.data, self.layer.bias.data = start[:-1].T.clone(), start[-1].clone()

    def forward(self, x):
        if torch.is_grad_enabled():
            self.seen.append((self.training, (x[:, 0, 0, 0] * 64).round().long()))
        return self.layer(x.flatten(1))

    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.parameters()])


def small_pictures(n):
    """(n, 1, 2, 3); the first pixel of each says which it is."""
    x = torch.rand(n, 1, 2, 3, generator=torch.Generator().manual_seed(9))
    x[:, 0, 0, 0] = torch.arange(n) / 64
    return x


def copied(answer, look, n, epochs, batch_size, lr=0.05):
    """What look(student, batches, asked, lr) sees after the answer has trained a student on n questions."""
    asked, student = [], Student().eval()

    def ask(x):
        asked.extend(x)
        return answers_of(VAULT, x).numpy()

    came = answer(ask, student, small_pictures(n), epochs, batch_size, lr, 0)
    expect(came is student, f"give back the student that came, trained; {trial.describe(came)} came.")
    return look(student, [rows for _, rows in student.seen], asked, lr)


def off_adam(student, batches, asked, lr):
    """(28,): how far the weights are from where one step of Adam on each of the batches takes them."""
    twin, x = Student(), small_pictures(40)
    answers, adam = answers_of(VAULT, x).float(), torch.optim.Adam(twin.parameters(), lr)
    for rows in batches:
        adam.zero_grad()
        (-(answers[rows] * twin(x[rows]).log_softmax(-1)).sum() / len(rows)).backward()
        adam.step()
    return student.weights() - twin.weights()


def orders(student, batches, asked, lr):
    first, second = torch.cat(batches).reshape(2, -1)
    whole = torch.equal(first.sort().values, torch.arange(len(first)))
    return "some left out" if not whole else "twice the same" if torch.equal(first, second) else "two orders"


def modes(student, batches, asked, lr):
    return tuple("train" if mode else "eval" for mode in (*(mode for mode, _ in student.seen), student.training))


def sizes(student, batches, asked, lr):
    return ", ".join(str(len(rows)) for rows in batches)


def paid(student, batches, asked, lr):
    return len(asked)


NEW_EPOCH, NEW_ADAM = "for _ in range(epochs):", "optimiser = torch.optim.Adam(student.parameters(), lr=lr)"
STILL, LOGITS, PROBS = torch.zeros(28), "student(x[rows])", "student(x[rows]).softmax(-1)"
ADAM = "Each epoch is one step of Adam at lr on the cross-entropy with all the probabilities, answers[rows] beside x[rows]."
PARTS = "Each epoch goes through all questions, batch_size at a time; the last batch is what is left."
OWN = "Does every batch get the answers to its own rows, and the loss the mean over them?"
TWO = "Each epoch goes through every question once, by a new torch.randperm(len(x))."
KNOCKOFF = Table(
    "knockoff",
    "as the exercise says",
    (
        Case("12 questions, 3 epochs, how far the weights are from Adam's", (off_adam, 12, 3, 12), STILL, ADAM, 1e-3),
        Case("12 questions and lr=0.01, the same", (off_adam, 12, 2, 16, 0.01), STILL, "Is lr used?", 1e-3),
        Case(
            "40 questions in batches of 15, 2 epochs, their sizes", (sizes, 40, 2, 15), "15, 15, 10, 15, 15, 10", PARTS
        ),
        Case(
            "40 questions and 2 epochs, how many were asked",
            (paid, 40, 2, 15),
            40,
            "Ask each once, and keep the answers.",
        ),
        Case("40 questions and 2 epochs, their orders", (orders, 40, 2, 15), "two orders", TWO),
        Case("40 questions, 2 epochs, how far the weights are from Adam's", (off_adam, 40, 2, 15), STILL, OWN, 1e-3),
        Case("a student in eval mode, its mode in 2 steps and after", (modes, 12, 2, 12), ("train", "train", "eval")),
    ),
    (
        instead(knockoff, "answers[rows])", "answers[rows].argmax(-1))"),
        "It learned from labels. You paid for all the probabilities; give the cross-entropy all of them, (B, C).",
        instead(knockoff, "F.cross_entropy(student(x[rows])", "F.mse_loss(student(x[rows]).softmax(-1)"),
        "It learned by squared error. The loss is the cross-entropy with the probabilities.",
        instead(knockoff, LOGITS, PROBS),
        "F.cross_entropy takes logits, and was given probabilities: it has its softmax inside.",
        instead(
            knockoff,
            "cross_entropy(",
            "kl_div(answers[rows].log(), ",
            "answers[rows])",
            "reduction='sum')",
            LOGITS,
            PROBS,
        ),
        "It learned by the reversed KL, weighed by the student's own answers. The vault's answers are the targets.",
        instead(knockoff, "optim.Adam", "optim.SGD"),
        "It learned by plain gradient steps. The optimiser is torch.optim.Adam.",
        instead(knockoff, "optim.Adam", "optim.AdamW"),
        "It learned by AdamW, which makes the weights smaller at every step. The optimiser is torch.optim.Adam.",
        instead(knockoff, NEW_EPOCH, f"{NEW_EPOCH}\n        {NEW_ADAM}"),
        "A new Adam in every epoch forgets what the last one had averaged. Make one, before the loop.",
        instead(knockoff, "optimiser.zero_grad()", "pass"),
        "Gradients of earlier steps are still in the sum: optimiser.zero_grad() before each backward().",
        instead(knockoff, "split(batch_size)", "split(batch_size)[: max(1, len(x) // batch_size)]"),
        "The last batch is dropped where it is not full: its questions were paid for, too.",
        instead(knockoff, "split(batch_size)", "split(len(x))"),
        "All questions are one batch in yours. Where is batch_size used?",
        instead(knockoff, NEW_EPOCH, f"{NEW_EPOCH}\n        answers = torch.from_numpy(ask(x)).float()"),
        "Each epoch asks again, and an answer is paid for each time. Ask once, before the first epoch, and keep the answers.",
        instead(knockoff, "generator=generator", "generator=torch.Generator().manual_seed(seed)"),
        "Both epochs went through the questions in the same order. Draw a new permutation for each.",
        instead(knockoff, "student.train()", "student.eval()"),
        "The student never ran in train mode: student.train() before the loop.",
        instead(knockoff, "student.eval()", "student"),
        "The student came back in train mode. End with student.eval().",
    ),
    play=copied,
)


# ---- 11.6 whom to ask next ----


def doubtful(seen, logits, n, asked, why=""):
    p = -np.sort(-F.softmax(logits.double(), -1).numpy(), 1)
    gaps = sorted((gap, row) for row, gap in enumerate(p[:, 0] - p[:, 1]) if row not in asked)
    return Case(seen, (logits, n, torch.tensor([*asked]).long()), torch.tensor(sorted(row for _, row in gaps[:n])), why)


def normal(seed, n, c):
    return 3 * torch.randn(n, c, generator=torch.Generator().manual_seed(seed))


GAPS = "Choose those with the smallest gap between the two largest probabilities, none of them asked before."
SURE = "A gap can be 1. What was asked needs more than that."
SIZE = "Is a size or a threshold written into it?"
MOST_DOUBTFUL = Table(
    "most_doubtful",
    "row numbers",
    (
        doubtful(
            "60 questions, every fourth of them asked (your rows in order)",
            normal(11, 60, 5),
            12,
            range(0, 60, 4),
            GAPS,
        ),
        doubtful("20 questions with 3 classes", normal(0, 20, 3), 7, [19, 2], SIZE),
        doubtful("10 questions, none of them asked", normal(4, 10, 4), 1, [], "One row is a tensor (1,), too."),
        doubtful("4 sure answers, both wanted that are left", 200 * torch.eye(4), 2, [1, 2], SURE),
    ),
    (
        instead(most_doubtful, "largest=False", "largest=True", "= 2", "= -1"),
        "These are the questions of which the copy is surest. Ask where the gap is smallest.",
        instead(most_doubtful, "gap[asked] = 2", ""),
        "Some of them were asked before. Their answers are paid for: leave the rows in `asked` out.",
        instead(most_doubtful, ".softmax(-1)", "", "= 2", "= 1e9"),
        "This is the gap between logits. Take it between probabilities: softmax first.",
        instead(most_doubtful, "softmax(-1)", "softmax(0)"),
        "This softmax goes over the questions. Which dim holds the classes?",
        instead(most_doubtful, " - top[:, 1]", ""),
        "These have the smallest winner. Doubt between two classes is the gap between the two largest probabilities.",
        instead(most_doubtful, "top[:, 0] - top[:, 1]", "-torch.special.entr(logits.softmax(-1)).sum(-1)"),
        "These have the largest entropy, which counts all classes. Here doubt is the gap between the two largest.",
        instead(most_doubtful, "topk(2)", "topk(logits.shape[1])", "top[:, 1]", "top[:, -1]"),
        "This is the gap between the largest and the smallest probability. Take the two largest: topk(2).",
        instead(most_doubtful, ".indices", ".values"),
        "These are the gaps themselves. Asked are the rows in which they stand: .indices.",
        instead(most_doubtful, "gap[asked] = 2", "gap = gap[[row for row in range(len(gap)) if row not in asked]]"),
        "These are places among the rows that are left, not row numbers: row 3 of the rest is another row of all.",
        instead(most_doubtful, "= 2", "= 1"),
        "A gap of 1 can be among the smallest where every gap is 1. Give what was asked more than any gap: 2.",
    ),
    read=lambda came: came.sort().values if isinstance(came, torch.Tensor) and came.ndim == 1 else came,
)


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "11.1",
            "The budget",
            6,
            1,
            budgeted,
            BUDGETED,
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
            AGREEMENT,
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
            SOLVE,
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
            TRUSTED,
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
            KNOCKOFF,
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
            MOST_DOUBTFUL,
            (
                "softmax, then topk(2).values: the gap is their difference, (N,).",
                "A gap is at most 1. Give what was asked a gap of 2, and it is never among the smallest.",
            ),
        ),
    )
}
