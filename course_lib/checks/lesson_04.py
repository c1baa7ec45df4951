"""Checks of lesson 04: the training loop with a teacher in it, and what it takes to believe a difference."""

import copy

import torch
import torch._dynamo  # what the first optimiser of a session loads, for seconds: not in the time of an answer
import torch.nn.functional as F
from scipy import stats
from torch import nn

from course_lib.checks import values
from course_lib.checks.exercise import Exercise, NotYet, expect
from course_lib.checks.table import Case, Table
from course_lib.models import Ensemble

# ---- what the lesson goes on with until the learner's own answers are right ----


def freeze_teacher(model):
    return model.eval().requires_grad_(False)


def distil(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        student.train()
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            with torch.no_grad():
                answers = teacher(x[rows])
            optimiser.zero_grad()
            soft_loss(student(x[rows]), answers, T).backward()
            optimiser.step()
    return student.eval()


@torch.no_grad()
def evaluate(student, teacher, x, labels):
    return shares(mine := said(student, x), labels, mine, said(teacher, x))


def paired_interval(a, b):
    return around(a - b)


def shuffle_within_class(teacher_logits, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shuffled = teacher_logits.clone()
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        shuffled[rows] = teacher_logits[rows[torch.randperm(len(rows), generator=generator)]]
    return shuffled


def choose(settings, try_out):
    return max(settings, key=lambda setting: try_out(setting).mean())


# ---- 4.1 a frozen teacher ----


def network(seed, *middle):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Flatten(), nn.Linear(4, 12), *middle, nn.ReLU(), nn.Linear(12, 3))
        made(torch.rand(9, 4))  # moves what batch norm keeps
        return made


def noisy():
    return nn.BatchNorm1d(12), nn.Dropout(0.5)


def examine_freeze_teacher(answer):
    half = network(1, *noisy()).eval()
    half[1].requires_grad_(False)
    for seen, model in (
        ("a network", network(0, *noisy())),
        ("a network with layers inside layers", network(0, nn.Sequential(*noisy()))),
        ("a network whose first layer is frozen already", half),
        ("several networks in one, as in this lesson,", Ensemble([network(seed, *noisy()) for seed in (2, 3)])),
    ):
        before = [value.clone() for value in model.state_dict().values()]
        frozen = answer(model)
        expect(frozen is not None, "your function returned None. End it with `return` and the model.")
        expect(
            frozen is model,
            f"the model itself was expected, frozen; another {type(frozen).__name__} came, and the model is as it was.",
        )
        modes = [type(part).__name__ for part in model.modules() if part.training]
        expect(
            not modes,
            f"{seen} is still in training mode ({', '.join(modes[:3])}): dropout throws parts of its answer away and batch "
            "norm moves with every batch it sees. Which method of a model switches that off, in all layers?",
        )
        asking = [part.requires_grad for part in model.parameters()]
        expect(
            not any(asking),
            f"{sum(asking)} of the {len(asking)} weight tensors of {seen} still ask for gradients, so a careless backward() "
            "would work through the teacher and an optimiser could change it. Which method switches that off?",
        )
        now = model.state_dict().values()
        expect(
            all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(before, now, strict=True)),
            "the weights changed, or what batch norm keeps; a teacher keeps what it learned.",
        )


# ---- 4.2 the loop: every step is watched, and then all of them are made again ----

X = 4 * torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.double)
EPOCHS, SIZE, RATE, HEAT = 4, 16, 0.02, 3.0  # none is the stub's default
SIZES = [16, 16, 16, 2]


def soft_loss(z, v, T=HEAT):
    """kd_loss, by torch."""
    p, log_q = F.log_softmax(v.detach() / T, -1), F.log_softmax(z / T, -1)
    return T**2 * F.kl_div(log_q, p, reduction="batchmean", log_target=True)


class Watched(nn.Module):
    """A student that notes what it is shown, in which mode, and how its answer is pushed."""

    def __init__(self):
        super().__init__()
        self.network, self.noted = network(3).double().eval(), []

    def forward(self, x):
        z = self.network(x)
        if z.requires_grad:
            note = [x.detach().clone(), self.training]
            self.noted.append(note)
            z.register_hook(note.append)
        return z

    def steps(self):
        """[(pictures, mode, push), ...]: what was learned from; what was only looked at is left out."""
        return [note for note in self.noted if len(note) > 2]


def examine_distil(answer):
    teacher = network(2, *noisy()).double()
    teacher[-1].weight.data *= 8  # a teacher with something to say
    freeze_teacher(teacher)

    def run(**settings):
        student, asked, x = Watched().eval(), copy.deepcopy(teacher), X.clone()
        try:
            trained = answer(student, asked, x, EPOCHS, **settings)
        except RuntimeError as error:
            expect(
                "does not require grad" not in str(error),
                "the loss has no gradient to give. kd_loss lets none through to its second argument: are student and "
                "teacher swapped in it? Or did the student answer inside no_grad()?",
            )
            raise
        expect(trained is student, "expected the trained student back, itself. End the function with `return student`.")
        expect(
            values.unchanged(teacher, asked),
            "the teacher changed while the student learned. It came frozen and in eval mode, and must stay as it is: give the "
            "optimiser the student's weights only, and switch nothing in the teacher.",
        )
        expect(torch.equal(x, X), "the pictures x were changed, and the next student would see others. Work on a copy.")
        return student

    told = {"T": HEAT, "batch_size": SIZE, "lr": RATE}
    student = run(**told, seed=0)
    order = order_of(student.steps())
    expect_one_adam_on_kd_loss(student, teacher)
    left = [part for part in student.modules() if part.training]
    expect(not left, "the student learned well and came back in train mode. End with student.eval().")
    same, other = (order_of(run(**told, seed=seed).steps()) for seed in (0, 1))
    expect(same == order, "the same seed gave another order. Draw from torch.Generator().manual_seed(seed).")
    expect(other != order, "seeds 0 and 1 give the same orders. Is the seed used?")
    expect(
        alike(run(), run(T=4.0, batch_size=20, lr=1e-2, seed=0)),
        "what the caller leaves out is not what the stub says (T=4.0, batch_size=20, lr=1e-2, seed=0). Keep the defaults.",
    )


def order_of(steps):
    """The numbers of the pictures as they were shown; NotYet unless each epoch is a new permutation in batches."""
    expect(steps, "no gradient ever reached the student. Is the loss made of its own logits, and is backward() called?")
    asleep = [training for _, training, _ in steps].count(False)
    expect(
        not asleep,
        f"the student was in eval mode in {asleep} of {len(steps)} steps. Call student.train() before the steps: whatever ran "
        "before you may have left it in eval mode.",
    )
    key = {tuple(row.flatten().tolist()): i for i, row in enumerate(X)}
    batches = [[key.get(tuple(row.flatten().tolist())) for row in x] for x, _, _ in steps]
    order = sum(batches, [])
    expect(None not in order, "the student was shown pictures that are not in x. Does an index pick the right rows?")
    epochs = [order[i : i + len(X)] for i in range(0, len(order), len(X))]
    times = [order.count(i) for i in range(len(X))]
    expect(
        [sorted(epoch) for epoch in epochs] == [list(range(len(X)))] * EPOCHS,
        f"in each of {EPOCHS} epochs each of the {len(X)} examples is shown once; yours were shown {min(times)} to {max(times)} "
        "times. Cut one permutation of the rows into batches, the last, smaller one too, `epochs` times.",
    )
    n = len(batches) // EPOCHS
    first, second = (
        {frozenset(batch) for batch in some if len(batch) > 2} for some in (batches[:n], batches[n : 2 * n])
    )
    neighbours = [abs(a - b) == 1 for epoch in epochs for a, b in zip(epoch, epoch[1:], strict=False)]
    expect(
        not first & second and sum(neighbours) < len(neighbours) / 2,
        "the same examples come together in every epoch. Draw a new permutation of all rows inside the loop over epochs, and "
        "cut it then.",
    )
    sizes = [len(batch) for batch in batches]
    expect(
        sizes == SIZES * EPOCHS,
        f"with batch_size {SIZE} the {len(X)} examples of an epoch come as {SIZES}; yours came as {sizes[:4]} and so on. Cut "
        "the order into pieces of batch_size; only the last is smaller.",
    )
    return order


def adam(weights, lr=RATE):
    return torch.optim.Adam(weights, lr=lr)


def again(steps, teacher, loss=soft_loss, make=adam, anew=1000, clear=1, every=1, change=lambda weights: None):
    """A student that is shown the same batches once more; all is as it should be, but for what is told otherwise."""
    student = Watched().train()
    weights = list(student.parameters())
    for number, (x, _, _) in enumerate(steps):
        if number % anew == 0:
            optimiser = make(weights)
        if number % clear == 0:
            optimiser.zero_grad()
        loss(student(x), teacher(x)).backward()
        change(weights)
        if number % every == every - 1:
            optimiser.step()
    return student


LOOPS = (
    {"loss": lambda z, v: soft_loss(z, v, 4.0)},
    "T is 4.0 in your loss whatever the caller asks for. Hand T on to kd_loss.",
    {"loss": lambda z, v: soft_loss(z, v, 1.0)},
    "T is 1 in your loss whatever the caller asks for. Hand T on to kd_loss.",
    {"loss": lambda z, v: F.cross_entropy(z, v.argmax(-1))},
    "the student learns the teacher's top answer only, as if it were a label. Give kd_loss the teacher's logits.",
    {"loss": lambda z, v: soft_loss(z, v.softmax(-1))},
    "the loss was given the teacher's probabilities. It softens logits itself: give it the teacher's logits.",
    {"every": 1000},
    "the student's weights did not move. Is optimiser.step() called, while the gradients are there?",
    {"make": lambda weights: torch.optim.SGD(weights, lr=RATE)},
    "that is plain gradient descent (SGD). The exercise asks for Adam: torch.optim.Adam(student.parameters(), lr=lr).",
    {"make": lambda weights: torch.optim.AdamW(weights, lr=RATE)},
    "that is AdamW, which draws every weight towards 0 on the way. The exercise asks for Adam.",
    {"make": lambda weights: adam(weights, 1e-2)},
    "the step size is 0.01 whatever the caller asks for. Hand lr on to Adam.",
    {"anew": 1},
    "each batch gets a new Adam, which remembers nothing of the steps before. Make it once, before the loops.",
    {"anew": 4},
    "each epoch gets a new Adam, which remembers nothing of the steps before. Make it once, before the loops.",
    {"clear": 1000},
    "gradients of earlier steps are still in the sum at a later step. Clear them with zero_grad() before each backward().",
    {"clear": 4, "every": 4},
    "there is one step in an epoch. Take one for each batch: step() belongs inside the inner loop.",
    {"change": lambda weights: nn.utils.clip_grad_norm_(weights, 1.0)},
    "the gradients are clipped to length 1 on the way. Nothing asked for that: backward(), then step().",
)


def expect_one_adam_on_kd_loss(student, teacher):
    """Pushes and weights must be those of one Adam on kd_loss; else, are they those of one of the usual mistakes?"""

    right = again(student.steps(), teacher)
    if alike(student, right):
        return
    for settings, sentence in zip(LOOPS[::2], LOOPS[1::2], strict=True):
        expect(not alike(student, again(student.steps(), teacher, **settings)), sentence)
    mine, its = student.steps()[0][2], right.steps()[0][2]
    times = float((mine * its).sum() / its.square().sum())
    expect(
        near(mine, its) or not near(mine, times * its),
        f"your loss is {times:.3g} times kd_loss(student's logits, teacher's logits, T), with T = {HEAT:g} and a batch of {SIZE}. "
        "kd_loss has T**2 and the mean inside: leave it as it is.",
    )
    expect(
        near(mine, its),
        "the first step's gradient is not that of kd_loss(student's logits, teacher's logits, T) on its batch. Do both see the "
        "same pictures in the same order?",
    )
    raise NotYet(
        "the first gradient is right, and what comes then is not what one Adam over all of the student's weights makes, with "
        "step size lr and kd_loss on each batch. Are the answers always those to the pictures of the batch? Does something else "
        "touch gradients, weights or the step size: clipping, decay, a schedule?"
    )


def near(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def alike(one, other):
    """Whether two students were pushed alike, step by step, and came to the same weights."""
    mine, theirs = ([*(push for _, _, push in student.steps()), *student.parameters()] for student in (one, other))
    return len(mine) == len(theirs) and all(map(near, mine, theirs))


# ---- 4.3 evaluate ----


class Scripted(nn.Module):
    """Answers that are known beforehand; in training mode they are wrong, as dropout might make them."""

    def __init__(self, answers, scale):
        super().__init__()
        self.answers, self.scale = answers, nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        answers = (self.answers[x.flatten(1)[:, 0].long()] + self.training) % 4
        return self.scale * F.one_hot(answers, 4).float()


def said(model, x, training=False):
    """The model's answers (N,) in this mode; it stays in its own."""
    return copy.deepcopy(model).train(training)(x).argmax(-1)


def shares(*pairs):
    """How often each two of the answers are the same: a tuple."""
    return tuple(float((a == b).double().mean()) for a, b in zip(pairs[::2], pairs[1::2], strict=True))


def measured(seen, labels, off, why, mode="train"):
    """off: how far the student's and the teacher's answers are from the labels, mod 4."""
    x = torch.arange(float(len(labels)))[:, None, None, None]
    mine, theirs = ((labels + one) % 4 for one in off)
    student, teacher = Scripted(mine, 1.0).train(mode == "train"), freeze_teacher(Scripted(theirs, 3.0))
    right = shares(mine, labels, mine, theirs)
    return Case(f"{seen} and a student in {mode} mode", (student, teacher, x, labels), right, why)


def kept_as_it_was(answer, student, teacher, x, labels):
    mine = copy.deepcopy(student)
    came = answer(mine, teacher, x, labels)
    mode, now = ("train" if one.training else "eval" for one in (student, mine))
    expect(
        mode == now,
        f"the student went in in {mode} mode and came out in {now} mode: the rest of its training would run differently. "
        "Remember student.training first, and restore it.",
    )
    expect(
        values.unchanged(student, mine), "the student was changed: measuring leaves its weights as they are, and free."
    )
    return came


TWENTY = torch.tensor([1] * 6 + [0] * 14), torch.tensor([1] * 4 + [2] + [0] * 10 + [2] * 5)
MANY = torch.arange(1301)
LATE = (
    (MANY >= 1020) * (1 + MANY % 2),
    (MANY % 7 >= 5) * (1 + MANY % 2),
)  # nearly all of the student's mistakes come late
RARE = (MANY % 500 > 0) * 1, (MANY % 400 > 0) * 2

EVALUATE = Table(
    "evaluate",
    "two shares between 0 and 1, accuracy and agreement",
    (
        measured("20 pictures", MANY[:20] % 4, TWENTY, "Wrong together counts as agreement."),
        measured("20 pictures", MANY[:20] % 4, TWENTY, "Wrong together counts as agreement.", "eval"),
        measured(
            "1,301 pictures",
            MANY % 5 % 4,
            LATE,
            "Each picture counts as much as another. Is any left out, or the share rounded?",
        ),
        measured("1,301 pictures", MANY % 5 % 4, RARE, "Leave the shares unrounded."),
    ),
    (
        lambda s, t, x, y: evaluate(s, t, x, y)[::-1],
        "The two are in the wrong order: accuracy first, then agreement with the teacher.",
        lambda s, t, x, y: shares(a := said(s, x, True), y, a, said(t, x)),
        "The student was measured in training mode, where dropout still throws parts of it away. Call eval() first.",
        lambda s, t, x, y: tuple(100 * share for share in evaluate(s, t, x, y)),
        "These are percent. Asked for are shares between 0 and 1.",
        lambda s, t, x, y: tuple(1 - share for share in evaluate(s, t, x, y)),
        "These are the shares that are wrong, or that differ.",
        lambda s, t, x, y: shares(said(s, x), y, said(t, x), y),
        "The second is the teacher's own accuracy. Agreement compares the student's answer with the teacher's.",
        lambda s, t, x, y: (evaluate(s, t, x, y)[0], float(((said(s, x) == y) & (said(t, x) == y)).float().mean())),
        "The second counts where both are right. Where both give the same wrong answer, they agree too.",
    ),
    play=kept_as_it_was,
)


# ---- 4.4 a paired interval ----


def around(d, t=None, spread=None, centre=None):
    """(mean, low, high) of the differences d, with another t, spread of the mean or centre where one is given."""
    centre = float(d.double().mean()) if centre is None else centre
    spread = d.double().std() / len(d) ** 0.5 if spread is None else spread
    half = float((stats.t.ppf(0.975, len(d) - 1) if t is None else t) * spread)
    return centre, centre - half, centre + half


def pairs(
    seen, a, b, why="It is the mean, plus and minus t times the spread of the differences over the square root of S."
):
    """right is scipy's own paired test."""
    a, b = torch.tensor(a).float(), torch.tensor(b).float()
    d = (a.double() - b.double()).numpy()
    return Case(seen, (a, b), (float(d.mean()), *stats.ttest_1samp(d, 0).confidence_interval(0.95)), why)


PAIRED_INTERVAL = Table(
    "paired_interval",
    "three numbers, the difference, low and high",
    (
        pairs("five pairs", [0.94, 0.91, 0.95, 0.90, 0.93], [0.92, 0.88, 0.94, 0.88, 0.90]),
        pairs("five pairs of which b wins two", [0.90, 0.93, 0.88, 0.96, 0.91], [0.94, 0.89, 0.87, 0.91, 0.92]),
        pairs("four pairs in which b is far better", [0.2, 0.3, 0.1, 0.6], [0.9, 0.7, 0.8, 0.7]),
        pairs("eight pairs in percent", [91, 40, 93, 90, 95, 60, 92, 94], [88, 91, 30, 89, 91, 92, 90, 93]),
        pairs("two pairs", [0.91, 0.95], [0.90, 0.92], "Two differences have one degree of freedom."),
    ),
    (
        lambda a, b: around(b - a),
        "The difference is b minus a; what is asked is a minus b.",
        lambda a, b: (around(a - b)[0], *around(a - b)[:0:-1]),
        "The two ends are in the wrong order: low, then high.",
        lambda a, b: around(a - b, spread=(a - b).std()),
        "You used the spread of single seeds. The mean of S seeds spreads less: divide by the square root of S.",
        lambda a, b: around(a - b, t=1.96),
        "1.96 is right for very many seeds. With few the spread itself is uncertain: take Student's t with S - 1 degrees of freedom.",
        lambda a, b: around(a - b, spread=(a - b).std(correction=0) / len(a) ** 0.5),
        "The standard deviation was divided by S; from a sample, divide by S - 1 (torch's std does, numpy's does not).",
        lambda a, b: around(a - b, t=stats.t.ppf(0.975, len(a))),
        "S seeds leave S - 1 degrees of freedom, since the mean used one up; you took S.",
        lambda a, b: around(a - b, t=stats.t.ppf(0.95, len(a) - 1)),
        "This is a 90% interval: 5% are left out on each side. For 95%, leave out 2.5% on each side.",
        lambda a, b: around(a - b, spread=((a.var() + b.var()) / len(a)) ** 0.5),
        "You added the variances of a and b, as if they came from unrelated runs. Seed by seed they share labels and first "
        "weights: take the differences first, then their spread.",
        lambda a, b: around(a.sort().values - b.sort().values),
        "The two were sorted first, and the pairs are lost: a[s] belongs to b[s], since both had the seed s.",
        lambda a, b: around((a - b).abs()),
        "The differences have lost their signs. Where b wins, a - b is below 0, and that counts against a.",
        lambda a, b: (around(a - b)[0], max(0.0, around(a - b)[1]), around(a - b)[2]),
        "The interval is cut off at 0. An end below 0 says that b may be the better one.",
    ),
)


# ---- 4.5 a control: the right class, the wrong picture ----

CLASSES = {0: 30, 2: 24, 3: 1, 5: 8, 7: 33, 11: 36}  # class: how many pictures it has


def examine_shuffle_within_class(answer):
    order = torch.randperm(sum(CLASSES.values()), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([label for label, n in CLASSES.items() for _ in range(n)])[order]
    numbers = torch.arange(len(labels))
    logits = numbers[:, None] + 1000.0 * torch.arange(12)  # (132, 12); row i begins with i

    def shuffled(**seed):
        mine, theirs = logits.clone(), labels.clone()
        came = answer(mine, theirs, **seed)
        expect(came is not None, "your function returned None. End it with `return` and the shuffled answers.")
        what = f"shape {tuple(came.shape)}" if isinstance(came, torch.Tensor) else f"a {type(came).__name__}"
        expect(what == "shape (132, 12)", f"expected the teacher's answers, a tensor of shape (132, 12); got {what}.")
        expect(
            torch.equal(mine, logits) and torch.equal(theirs, labels),
            "your function changed the answers or the labels that it was given. Write into a copy: teacher_logits.clone().",
        )
        rows = came[:, 0].long().clamp(0, len(labels) - 1)
        expect(
            torch.equal(came, logits[rows]),
            "an answer came apart: each row must be one whole answer of the teacher, its columns in their order.",
        )
        return rows

    rows = shuffled(seed=0)
    strangers = int((labels[rows] != labels).sum())
    expect(
        strangers == 0,
        f"{strangers} of {len(labels)} pictures got an answer that the teacher gave to another class. Shuffle inside each class only.",
    )
    lost = len(labels) - len(rows.unique())
    expect(
        lost == 0,
        f"{lost} of the {len(labels)} answers are gone and others come twice. Use a permutation; a random draw repeats itself.",
    )
    for label, n in CLASSES.items():
        kept = int((rows == numbers)[labels == label].sum())
        expect(
            n == 1 or kept < max(n, 24) / 3,
            f"of the {n} pictures of class {label}, {kept} still have their own answer. Each class is to be shuffled, whatever "
            "its number, and all of its rows: does the loop reach every class that is in labels, and end before the return?",
        )
    again, unsaid, other = shuffled(seed=0), shuffled(), shuffled(seed=1)
    expect(
        torch.equal(again, rows), "the same seed gave another shuffle. Draw from torch.Generator().manual_seed(seed)."
    )
    expect(torch.equal(unsaid, rows), "without a seed the stub's seed=0 holds, and yours does not. Keep the default.")
    for label, n in CLASSES.items():
        mine = labels == label
        expect(
            n == 1 or not torch.equal(other[mine], rows[mine]),
            f"seeds 0 and 1 shuffle class {label} alike. Is the seed used?",
        )


# ---- 4.6 choose on val ----


def scores(*groups):
    """16 accuracies: (accuracy, how many seeds), ..."""
    return torch.tensor([accuracy for accuracy, seeds in groups for _ in range(seeds)])


RESULTS = {
    "steady": scores((0.9262, 16)),  # the best worst seed
    "lucky": scores((0.90, 10), (0.88, 5), (0.99, 1)),  # the best single seed
    "middle": scores((0.95, 9), (0.80, 7)),  # the best median
    "best": scores((0.90, 4), (0.94, 6), (0.93, 6)),
    "worst": scores((0.85, 16)),
    "wide": scores((0.87, 8), (0.98, 8)),  # the best half
    "one bad": scores((0.935, 15), (0.70, 1)),  # the best mean but for one seed
}


def choice(seen, settings, names):
    return Case(seen, (list(settings), [RESULTS[name] for name in names]), settings[names.index("best")])


def trying_each_once(answer, settings, results):
    asked, known = [], dict(zip(settings, results, strict=True))

    def try_out(setting):
        expect(
            any(setting is one for one in settings),
            f"try_out was given {str(setting)[:60]}, which is none of the settings: give it one at a time.",
        )
        expect(
            setting not in asked,
            f"{setting} was tried a second time. Each trial is paid for, and the budgets must be equal: try each once.",
        )
        asked.append(setting)
        return known[setting].clone()

    came = answer(settings, try_out)
    missed = [str(setting) for setting in known if setting not in asked]
    expect(not missed, f"{', '.join(missed)} was never tried. Try every setting before you choose.")
    return came


def by(score, pick=max):
    return lambda settings, try_out: pick(settings, key=lambda setting: score(try_out(setting)))


ORDER = list(RESULTS)
CHOOSE = Table(
    "choose",
    "the setting with the best mean over its seeds",
    (
        choice("seven settings with names", [f"T={T}" for T in (1, 2, 3, 4, 8, 16, 32)], ORDER),
        choice("settings (T, hard_weight)", [(float(T), 0.5) for T in (1, 2, 3, 4, 8, 16, 32)], ORDER[::-1]),
        choice("seven step sizes", [1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1], ORDER[4:] + ORDER[:4]),
    ),
    (
        by(torch.max),
        "That has the single best seed. One lucky seed is not a good setting: choose by the mean.",
        by(torch.min),
        "That is the steadiest setting, or the one with the best worst seed. Choose by the mean.",
        by(torch.median),
        "That has the best median, and half of its seeds are far worse. Choose by the mean.",
        by(torch.mean, min),
        "That has the worst mean. The scores are accuracies: higher is better.",
        by(lambda result: result.sort().values[1:-1].mean()),
        "Its worst seed was left out. All sixteen count, in the mean too.",
        by(lambda result: result.sort().values[8:].mean()),
        "That is the best by its better seeds alone. All sixteen count, in the mean too.",
        lambda settings, try_out: max(try_out(setting).mean() for setting in settings),
        "That is the best score. Asked for is the setting that reaches it.",
        lambda settings, try_out: int(torch.stack([try_out(setting) for setting in settings]).mean(1).argmax()),
        "That is its place in the list. Asked for is the setting itself.",
    ),
    play=trying_each_once,
)


EXERCISES = {
    one.number: one
    for one in (
        Exercise("4.1", "Freeze the teacher", 5, 1, freeze_teacher, examine_freeze_teacher).hinted(
            "Two things are switched: how layers behave (dropout, batch norm), and whether gradients are kept.",
            "The methods are model.eval() and model.requires_grad_(False). Return the model.",
        ),
        Exercise("4.2", "Distil: the whole loop", 12, 3, distil, examine_distil).hinted(
            "Outside: an Adam optimiser over the student's weights, and a generator with the seed. For each epoch: train "
            "mode, a new permutation of the rows, cut into batches.",
            "For each batch: ask the teacher under torch.no_grad(), clear the gradients, kd_loss(student(x[rows]), answers, "
            "T), backward, step.",
            "for rows in torch.randperm(len(x), generator=generator).split(batch_size): gives you the batches. At the end, "
            "return student.eval().",
        ),
        Exercise("4.3", "Evaluate: accuracy and agreement", 8, 2, evaluate, EVALUATE).hinted(
            "Agreement needs no label: it compares two argmaxes.",
            "Remember student.training, call student.eval(), compute both shares under torch.no_grad(), then student.train(what it was).",
        ),
        Exercise("4.4", "An interval from pairs", 8, 2, paired_interval, PAIRED_INTERVAL).hinted(
            "Start from the S differences a - b. Everything else is about these S numbers.",
            "Half the width is t times the standard deviation of the differences, divided by the square root of S.",
            "t is stats.t.ppf(0.975, S - 1): 2.5% are left out on each side, and S - 1 degrees of freedom remain.",
        ),
        Exercise(
            "4.5", "A control: right class, wrong picture", 8, 2, shuffle_within_class, examine_shuffle_within_class
        ).hinted(
            "Go through the classes one by one; in each, hand the answers of its rows round.",
            "rows = (labels == label).nonzero()[:, 0] are the rows of a class; rows[torch.randperm(len(rows), "
            "generator=generator)] are the same rows in another order.",
        ),
        Exercise("4.6", "Choose on val", 6, 1, choose, CHOOSE).hinted(
            "Try each setting once and keep its mean over the seeds.",
            "max(settings, key=...) needs a number per setting: the mean of what try_out gave for it.",
        ),
    )
}
