"""Checks of lesson 04: the training loop with a teacher in it, and what it takes to believe a difference."""

import math

import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from course_lib.checks.exercise import Exercise, NotYet, expect

# ---- 4.1 a frozen teacher ----


def freeze_teacher(model):
    model.eval()
    model.requires_grad_(False)
    return model


def _network(seed, batch_norm=True):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        middle = [nn.BatchNorm1d(12), nn.Dropout(0.5)] if batch_norm else []
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 12), *middle, nn.ReLU(), nn.Linear(12, 3))


def examine_freeze_teacher(answer):
    model = _network(0).train()
    before = [p.clone() for p in model.parameters()]
    frozen = answer(model)
    expect(frozen is not None, "your function returned None. End it with `return` and the model.")
    expect(isinstance(frozen, nn.Module), f"expected a model back; got a {type(frozen).__name__}.")
    modes = [type(m).__name__ for m in frozen.modules() if m.training]
    expect(
        not modes,
        f"the teacher is still in training mode ({', '.join(modes[:3])}): dropout throws parts of its answer away and batch "
        "norm moves with every batch it sees. Which method of a model switches that off?",
    )
    open_ = sum(p.requires_grad for p in frozen.parameters())
    expect(
        open_ == 0,
        f"{open_} of the teacher's {len(before)} weight tensors still ask for gradients, so a careless backward() would work "
        "through the teacher and an optimiser could change it. Which method of a model switches that off?",
    )
    same = all(torch.equal(p, q) for p, q in zip(frozen.parameters(), before, strict=False))
    expect(
        same and len(before) == len(list(frozen.parameters())), "the weights changed; a teacher keeps what it learned."
    )


# ---- 4.2 the loop ----


def kd_loss(student_logits, teacher_logits, T):
    log_q, log_p = F.log_softmax(student_logits / T, -1), F.log_softmax(teacher_logits / T, -1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def distil(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    optimiser = torch.optim.Adam(student.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        student.train()
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            with torch.no_grad():
                answers = teacher(x[rows])
            optimiser.zero_grad()
            kd_loss(student(x[rows]), answers, T).backward()
            optimiser.step()
    return student.eval()


class _Watched(nn.Module):
    """A student that remembers what it was shown, in which mode, and whether old gradients were still there."""

    def __init__(self, network):
        super().__init__()
        self.network, self.batches, self.modes, self.first, self.piled_up = network, [], [], {}, 0
        self.arriving = {}
        for name, p in network.named_parameters():
            p.register_hook(lambda g, name=name: self._arrives(name, g))
            p.register_post_accumulate_grad_hook(lambda p, name=name: self._arrived(name, p))

    def forward(self, x):
        if torch.is_grad_enabled():
            self.batches.append(x.detach().clone())
            self.modes.append(self.training)
        return self.network(x)

    def _arrives(self, name, gradient):
        self.arriving[name] = gradient.detach().clone()
        self.first.setdefault(name, self.arriving[name])

    def _arrived(self, name, p):
        self.piled_up += not torch.allclose(p.grad, self.arriving[name], rtol=1e-4, atol=1e-7)


def examine_distil(answer):
    x = torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    teacher = freeze_teacher(_network(2))
    with torch.no_grad():
        teacher[-1].weight *= 8  # a teacher with something to say
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    start = _network(3, batch_norm=False)
    student = _Watched(_network(3, batch_norm=False)).eval()
    T, size, epochs = 3.0, 20, 4
    try:
        trained = answer(student, teacher, x, epochs, T=T, batch_size=size, lr=0.01, seed=0)
    except RuntimeError as error:
        expect(
            "does not require grad" not in str(error),
            "the loss has no gradient to give. kd_loss lets none through to its second argument: are student and teacher "
            "swapped in it? Or did the student answer inside no_grad()?",
        )
        raise

    expect(trained is student, "expected the trained student back. End the function with `return student`.")
    moved = [n for n, v in teacher.state_dict().items() if not torch.equal(v, state[n])]
    expect(
        not moved,
        f"the teacher changed while the student learned ({', '.join(moved[:2])}). It must stay as it is: give the optimiser the "
        "student's weights only, and leave the teacher in eval mode.",
    )
    expect(student.batches, "the student was never trained: its forward pass was not run with gradients on.")
    expect(
        student.first,
        "no gradient ever reached the student. Is the loss made of the student's own logits, and is backward() called?",
    )
    expect(
        all(student.modes),
        f"the student was in eval mode in {student.modes.count(False)} of {len(student.modes)} steps. Call student.train() "
        "before the steps: whatever ran before you may have left it in eval mode.",
    )
    _expect_every_example_once_per_epoch(x, student.batches, epochs, size)
    expect(
        not student.piled_up,
        "gradients of earlier steps are still in the sum at a later step. Clear them with zero_grad() before each backward().",
    )
    _expect_gradient_of_kd_loss(start, teacher, student, T)
    weights = zip(start.parameters(), student.network.parameters(), strict=True)
    expect(
        any(not torch.equal(p, q) for p, q in weights),
        "the student's weights did not move. Is optimiser.step() called?",
    )
    expect(not student.training, "the student learned well and came back in train mode. End with student.eval().")


def _expect_every_example_once_per_epoch(x, batches, epochs, size):
    key = {tuple(row.flatten().tolist()): i for i, row in enumerate(x)}
    seen = [key.get(tuple(row.flatten().tolist())) for batch in batches for row in batch]
    expect(None not in seen, "the student was shown pictures that are not in x. Does an index pick the right rows?")
    biggest = max(len(batch) for batch in batches)
    expect(biggest <= size, f"a batch held {biggest} examples; batch_size is {size}.")
    counts = torch.bincount(torch.tensor(seen), minlength=len(x))
    expect(
        counts.min() == counts.max() == epochs,
        f"in {epochs} epochs each of the {len(x)} examples is shown {epochs} times; yours were shown {counts.min()} to "
        f"{counts.max()} times. Does the last, smaller batch count, and does the loop run `epochs` times?",
    )
    orders = [seen[e * len(x) : (e + 1) * len(x)] for e in range(epochs)]
    expect(
        all(sorted(order) == list(range(len(x))) for order in orders),
        "some examples come twice before others come once. One epoch shows each example once: cut one permutation of the "
        "rows into batches.",
    )
    expect(
        orders[0] != orders[1],
        "every epoch shows the examples in the same order. Draw a new permutation inside the loop over epochs.",
    )


def _expect_gradient_of_kd_loss(start, teacher, student, T):
    """The first step's gradient, held against torch's own kl_div on the same batch, and against the usual mistakes."""
    batch = student.batches[0]
    names = [name for name, _ in start.named_parameters()]
    answers = teacher(batch)

    def gradient(loss):
        return dict(zip(names, torch.autograd.grad(loss(start(batch)), list(start.parameters())), strict=True))

    def like(loss):
        return all(torch.allclose(student.first[n], g, rtol=1e-3, atol=1e-6) for n, g in gradient(loss).items())

    def soft(logits, T=T, weight=None, target=answers):
        weight = T**2 if weight is None else weight
        p = F.log_softmax(target / T, -1)
        return weight * F.kl_div(F.log_softmax(logits / T, -1), p, reduction="batchmean", log_target=True)

    if like(soft):
        return
    usual = (
        (lambda z: soft(z, weight=1.0), f"the loss lacks T**2: your first gradient is {T**2:.0f} times too small."),
        (lambda z: soft(z, T=4.0), "T is 4.0 in your loss whatever the caller asks for. Hand T on to kd_loss."),
        (lambda z: soft(z, T=1.0), "T is 1 in your loss whatever the caller asks for. Hand T on to kd_loss."),
        (
            lambda z: F.cross_entropy(z, answers.argmax(-1)),
            "the student learns the teacher's top answer only, as if it were a label. Give kd_loss the teacher's logits.",
        ),
        (
            lambda z: soft(answers, target=z),
            "student and teacher are swapped in the loss: the student's logits come first.",
        ),
        (
            lambda z: soft(z, target=answers.softmax(-1)),
            "the loss was given the teacher's probabilities. It softens logits itself: give it the teacher's logits.",
        ),
    )
    for loss, sentence in usual:
        if like(loss):
            raise NotYet(sentence)
    raise NotYet(
        "the first step's gradient is not that of kd_loss(student's logits, teacher's logits, T) on this batch. Do both see "
        "the same pictures in the same order?"
    )


# ---- 4.3 evaluate ----


@torch.no_grad()
def evaluate(student, teacher, x, labels):
    was_training = student.training
    student.eval()
    answers = student(x).argmax(-1)
    student.train(was_training)
    return (answers == labels).float().mean().item(), (answers == teacher(x).argmax(-1)).float().mean().item()


class _Scripted(nn.Module):
    """Answers that are known beforehand; in training mode they are wrong, as dropout might make them."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        rows = x.flatten(1)[:, 0].long()
        answers = (self.answers[rows] + self.training) % 4
        return self.scale * F.one_hot(answers, 4).float()


def examine_evaluate(answer):
    labels = torch.arange(20) % 4
    student_says, teacher_says = labels.clone(), labels.clone()
    student_says[:6] = (labels[:6] + 1) % 4  # 14 of 20 right
    teacher_says[:4] = (labels[:4] + 1) % 4  # the teacher shares four of the six mistakes
    teacher_says[15:] = (labels[15:] + 2) % 4  # and makes five of its own: 11 of 20 right, 13 answers shared
    x = torch.arange(20.0).reshape(20, 1, 1, 1).expand(20, 1, 2, 2).contiguous()
    student, teacher = _Scripted(student_says).train(), _Scripted(teacher_says).eval()
    right = (student_says == labels).float().mean().item()
    agree = (student_says == teacher_says).float().mean().item()
    got = answer(student, teacher, x, labels)
    expect(
        isinstance(got, tuple | list) and len(got) == 2,
        f"expected two numbers, (accuracy, agreement); got {_short(got)}.",
    )
    for value in got:
        good = isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1)
        expect(good, f"expected two plain numbers; one of yours is {_short(value)}.")
    accuracy, agreement = (float(value) for value in got)
    expect(not (accuracy > 1 or agreement > 1), f"expected shares between 0 and 1; got {accuracy:g} and {agreement:g}.")
    expect(
        not (math.isclose(accuracy, agree, abs_tol=1e-4) and math.isclose(agreement, right, abs_tol=1e-4)),
        "the two numbers are in the wrong order: accuracy first, then agreement with the teacher.",
    )
    expect(
        not math.isclose(accuracy, 0.0, abs_tol=1e-4),
        "the student was measured in training mode, where dropout still throws parts of it away. Call eval() first.",
    )
    expect(
        math.isclose(accuracy, right, abs_tol=1e-4),
        f"the student is right on {right:.0%} of these 20 examples; you say {accuracy:.0%}. Compare its largest logit's class "
        "with the labels.",
    )
    teacher_right = (teacher_says == labels).float().mean().item()
    expect(
        not math.isclose(agreement, teacher_right, abs_tol=1e-4),
        f"{agreement:.0%} is the teacher's own accuracy. Agreement compares the student's answer with the teacher's.",
    )
    expect(
        math.isclose(agreement, agree, abs_tol=1e-4),
        f"student and teacher give the same answer on {agree:.0%} of these 20 examples (wrong together counts too); you say "
        f"{agreement:.0%}.",
    )
    expect(
        student.training,
        "the student went in in training mode and came out in eval mode: the rest of its training would run without dropout. "
        "Remember student.training first, and restore it.",
    )
    answer(student.eval(), teacher, x, labels)
    expect(
        not student.training,
        "a student that went in in eval mode came out in train mode. Restore the mode that it had: remember student.training.",
    )


# ---- 4.4 a paired interval ----


def paired_interval(a, b):
    difference = a - b
    half = stats.t.ppf(0.975, len(a) - 1) * difference.std() / len(a) ** 0.5
    mean = difference.mean()
    return mean.item(), (mean - half).item(), (mean + half).item()


def examine_paired_interval(answer):
    a = torch.tensor([0.94, 0.91, 0.95, 0.90, 0.93])
    b = torch.tensor([0.92, 0.88, 0.94, 0.88, 0.90])
    d = (a - b).double().numpy()
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    got = answer(a.clone(), b.clone())
    good = isinstance(got, tuple | list) and len(got) == 3
    expect(good, f"expected three numbers, (difference, low, high); got {_short(got)}.")
    mean, lower, upper = (float(value) for value in got)
    expect(
        not math.isclose(mean, -d.mean(), abs_tol=1e-5),
        f"the difference is b minus a ({mean:+.3f}); what is asked is a minus b.",
    )
    expect(
        math.isclose(mean, d.mean(), abs_tol=1e-5), f"the mean of a - b is {d.mean():+.3f} here; yours is {mean:+.3f}."
    )
    expect(lower <= upper, f"low is {lower:.3f} and high is {upper:.3f}: the two ends are in the wrong order.")
    half, n = (upper - lower) / 2, len(d)
    sd, t = d.std(ddof=1), stats.t.ppf(0.975, n - 1)
    slips = (
        (
            t * sd,
            "you used the spread of single seeds. The mean of S seeds spreads less: divide by the square root of S.",
        ),
        (
            1.96 * sd / n**0.5,
            f"1.96 is right for very many seeds. With {n} the spread itself is uncertain: take Student's t with {n - 1} degrees "
            f"of freedom ({t:.2f} here).",
        ),
        (
            t * d.std() / n**0.5,
            "the standard deviation was divided by S; from a sample, divide by S - 1 (torch's std does, numpy's does not).",
        ),
        (
            stats.t.ppf(0.975, n) * sd / n**0.5,
            f"S seeds leave S - 1 degrees of freedom ({n - 1} here), since the mean used one up; you took {n}.",
        ),
        (
            stats.t.ppf(0.95, n - 1) * sd / n**0.5,
            "this is a 90% interval: 5% are left out on each side. For 95%, leave out 2.5% on each side.",
        ),
        (
            t * ((a.double().var() + b.double().var()) / n).sqrt().item(),
            "you added the variances of a and b, as if they came from unrelated runs. Seed by seed they share labels and first "
            "weights: take the differences first, then their spread.",
        ),
    )
    for wrong, sentence in slips:
        expect(not math.isclose(half, wrong, rel_tol=2e-3), sentence)
    expect(
        math.isclose(lower, low, abs_tol=1e-5) and math.isclose(upper, high, abs_tol=1e-5),
        f"for these five pairs the interval is [{low:.4f}, {high:.4f}]; yours is [{lower:.4f}, {upper:.4f}]. It is the mean plus "
        "and minus t times the standard deviation of the differences over the square root of S.",
    )


# ---- 4.5 a control: the right class, the wrong picture ----


def shuffle_within_class(teacher_logits, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shuffled = teacher_logits.clone()
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        shuffled[rows] = teacher_logits[rows[torch.randperm(len(rows), generator=generator)]]
    return shuffled


def examine_shuffle_within_class(answer):
    labels = torch.arange(60) % 3
    logits = torch.arange(60.0)[:, None] + torch.tensor([0.0, 100.0, 200.0])  # row i starts with i
    given = logits.clone()
    got = answer(given, labels.clone(), seed=0)
    shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
    expect(shape == (60, 3), f"expected a tensor of the teacher's answers, shape (60, 3); got {shape}.")
    expect(
        torch.equal(given, logits),
        "your function changed the teacher's answers that it was given. Write into a copy: teacher_logits.clone().",
    )
    row = got[:, 0].round().long()
    whole = (
        bool(((row >= 0) & (row < 60)).all()) and torch.equal(got, logits[row])
        if row.max() < 60 and row.min() >= 0
        else False
    )
    expect(whole, "an answer came apart: each row must be one whole answer of the teacher, its columns in their order.")
    expect(
        not torch.equal(row, torch.arange(60)),
        "every picture still has its own answer. Shuffle the rows of each class.",
    )
    strangers = int((labels[row] != labels).sum())
    expect(
        strangers == 0,
        f"{strangers} of 60 pictures got an answer that the teacher gave to another class. Shuffle inside each class only.",
    )
    lost = 60 - len(row.unique())
    expect(
        lost == 0,
        f"{lost} of the 60 answers are gone and others come twice. Use a permutation; a random draw repeats itself.",
    )
    again, other = answer(logits.clone(), labels.clone(), seed=0), answer(logits.clone(), labels.clone(), seed=1)
    expect(
        torch.equal(again, got), "the same seed gave another shuffle. Draw from torch.Generator().manual_seed(seed)."
    )
    expect(not torch.equal(other, got), "seeds 0 and 1 give the same shuffle. Is the seed used?")


# ---- 4.6 choose on val ----


def choose(settings, try_out):
    means = [try_out(setting).mean() for setting in settings]
    return settings[max(range(len(settings)), key=lambda i: means[i])]


def examine_choose(answer):
    table = {
        "T=1": torch.tensor([0.90, 0.91, 0.92]),
        "T=2": torch.tensor([0.99, 0.85, 0.86]),  # one lucky seed
        "T=4": torch.tensor([0.94, 0.95, 0.93]),  # the best mean
        "T=8": torch.tensor([0.70, 0.93, 0.71]),
        "T=16": torch.tensor([0.935, 0.935, 0.935]),  # the best worst seed
    }
    for settings in (list(table), list(table)[::-1]):
        asked = []

        def try_out(setting, asked=asked):
            expect(
                isinstance(setting, str) and setting in table,
                f"try_out was given {_short(setting)}; give it one setting at a time.",
            )
            asked.append(setting)
            return table[setting].clone()

        got = answer(list(settings), try_out)
        expect(got is not None, "your function returned None. Return the setting that you chose.")
        expect(
            isinstance(got, str),
            f"expected the chosen setting itself ({settings[0]!r} is one); got {_short(got)}. Its score or its place in the list "
            "is not what the next cell needs.",
        )
        missed = [setting for setting in settings if setting not in asked]
        expect(not missed, f"{', '.join(missed)} was never tried. Try every setting before you choose.")
        expect(
            len(asked) == len(settings),
            f"{len(settings)} settings were tried {len(asked)} times. Each trial is paid for, and the budgets must be equal: try "
            "each once.",
        )
        expect(
            got != "T=2",
            "you chose the setting with the single best seed. One lucky seed is not a good setting: choose by the mean.",
        )
        expect(got != "T=8", "you chose the worst mean. The scores are accuracies: higher is better.")
        expect(
            got != "T=16", "you chose the steadiest setting, or the one with the best worst seed. Choose by the mean."
        )
        expect(got == "T=4", f"you chose {got}; the best mean over the seeds is that of T=4 here.")


def _short(value):
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "4.1",
            "Freeze the teacher",
            5,
            1,
            freeze_teacher,
            examine_freeze_teacher,
            (
                "Two things are switched: how layers behave (dropout, batch norm), and whether gradients are kept.",
                "The methods are model.eval() and model.requires_grad_(False). Return the model.",
            ),
        ),
        Exercise(
            "4.2",
            "Distil: the whole loop",
            12,
            3,
            distil,
            examine_distil,
            (
                "Outside: an Adam optimiser over the student's weights, and a generator with the seed. For each epoch: train mode, "
                "a new permutation of the rows, cut into batches.",
                "For each batch: ask the teacher under torch.no_grad(), clear the gradients, kd_loss(student(x[rows]), answers, T), "
                "backward, step.",
                "for rows in torch.randperm(len(x), generator=generator).split(batch_size): gives you the batches. At the end, "
                "return student.eval().",
            ),
        ),
        Exercise(
            "4.3",
            "Evaluate: accuracy and agreement",
            8,
            2,
            evaluate,
            examine_evaluate,
            (
                "Agreement needs no label: it compares two argmaxes.",
                "Remember student.training, call student.eval(), compute both shares under torch.no_grad(), then "
                "student.train(what it was).",
            ),
        ),
        Exercise(
            "4.4",
            "An interval from pairs",
            8,
            2,
            paired_interval,
            examine_paired_interval,
            (
                "Start from the S differences a - b. Everything else is about these S numbers.",
                "Half the width is t times the standard deviation of the differences, divided by the square root of S.",
                "t is stats.t.ppf(0.975, S - 1): 2.5% are left out on each side, and S - 1 degrees of freedom remain.",
            ),
        ),
        Exercise(
            "4.5",
            "A control: right class, wrong picture",
            8,
            2,
            shuffle_within_class,
            examine_shuffle_within_class,
            (
                "Go through the classes one by one; in each, hand the answers of its rows round.",
                "rows = (labels == label).nonzero()[:, 0] are the rows of a class; rows[torch.randperm(len(rows), "
                "generator=generator)] are the same rows in another order.",
            ),
        ),
        Exercise(
            "4.6",
            "Choose on val",
            6,
            1,
            choose,
            examine_choose,
            (
                "Try each setting once and keep its mean over the seeds.",
                "max(settings, key=...) needs a number per setting: the mean of what try_out gave for it.",
            ),
        ),
    )
}
