"""The Bug Museum of lesson 03: defects from real code, under letters. Spoilers: their names are further down.

LOSSES   {"a": loss, ...}   loss(student_logits, teacher_logits, T=4.0) -> (); logits (B, C), or (B, L, C) in text
SETUPS   {"l": epoch, ...}  epoch(student, teacher, x) trains the student for one epoch on the pictures x and returns
                            what its loss was given, batch by batch: [(pictures, student_logits, teacher_logits), ...]
ANSWERS  {"l": ask, "n": …} ask(teacher, x) -> (N, C), what the teacher's answers come to in that set-up
fair_epoch                  the same without a defect
plaque(letter)              what the exhibit does and where it was seen

Each exhibit shows one defect and has everything else right, so that it can be convicted of one thing. The code is ours.
"""

import textwrap
from typing import NamedTuple

import torch
import torch.nn.functional as F

__all__ = ["ANSWERS", "LOSSES", "PLAQUES", "SETUPS", "fair_epoch", "plaque"]

# ---- the first wing: losses ----


def _a(student_logits, teacher_logits, T=4.0):
    p = (teacher_logits / T).softmax(-1)
    return -(T**2) * (p * (student_logits / T).log_softmax(-1)).sum(-1).mean()


def _b(student_logits, teacher_logits, T=4.0):
    log_q, p = (student_logits / T).log_softmax(-1), (teacher_logits / T).softmax(-1)
    return T**2 * (torch.special.xlogy(p, p) - p * log_q).mean()


def _c(student_logits, teacher_logits, T=4.0):
    log_q, log_p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1).mean()


def _d(student_logits, teacher_logits, T=4.0):
    log_q, log_p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _e(student_logits, teacher_logits, T=4.0):
    log_q, log_p = (teacher_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean() + 0.0 * student_logits.sum()


def _f(student_logits, teacher_logits, T=4.0):
    p, q = (teacher_logits / T).softmax(-1), (student_logits / T).softmax(-1)
    return T**2 * (torch.special.xlogy(q, q) - q * p).sum(-1).mean()


def _g(student_logits, teacher_logits, T=4.0):
    return T**2 * F.mse_loss((student_logits / T).softmax(-1), (teacher_logits / T).softmax(-1))


def _h(student_logits, teacher_logits, T=4.0):
    q, p = (student_logits / T).softmax(-1), (teacher_logits / T).softmax(-1)
    return T**2 * (p * (p.log() - q.log())).sum(-1).mean()


def _i(student_logits, teacher_logits, T=4.0):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _j(student_logits, teacher_logits, T=4.0):
    log_q, log_p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    answers = log_q[..., 0].numel()
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean() / answers


def _k(student_logits, teacher_logits, T=4.0):
    log_q, log_p = (student_logits / T).log_softmax(-1), (teacher_logits / T).log_softmax(-1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum() / len(student_logits)


LOSSES = {"a": _a, "b": _b, "c": _c, "d": _d, "e": _e, "f": _f, "g": _g, "h": _h, "i": _i, "j": _j, "k": _k}


# ---- the second wing: set-ups ----


def _learn(student, optimiser, student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    optimiser.zero_grad()
    (log_p.exp() * (log_p - log_q)).sum(-1).mean().backward()
    optimiser.step()


def _batches(x, seed):
    return torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).split(32)


def fair_epoch(student, teacher, x):
    """One epoch as it should be: the teacher in eval mode, no gradient into it, its answers to the pictures at hand."""
    optimiser, seen = torch.optim.SGD(student.parameters(), lr=0.1), []
    student.train()
    teacher.eval()
    for rows in _batches(x, seed=1):
        with torch.no_grad():
            teacher_logits = teacher(x[rows])
        student_logits = student(x[rows])
        _learn(student, optimiser, student_logits, teacher_logits)
        seen.append((x[rows], student_logits.detach(), teacher_logits))
    return seen


def _l(student, teacher, x):
    optimiser, seen = torch.optim.SGD(student.parameters(), lr=0.1), []
    student.train()
    teacher.train()
    for rows in _batches(x, seed=1):
        with torch.no_grad():
            teacher_logits = teacher(x[rows])
        student_logits = student(x[rows])
        _learn(student, optimiser, student_logits, teacher_logits)
        seen.append((x[rows], student_logits.detach(), teacher_logits))
    teacher.eval()
    return seen


def _m(student, teacher, x):
    optimiser, seen = torch.optim.SGD(student.parameters(), lr=0.1), []
    student.train()
    teacher.eval()
    for rows in _batches(x, seed=1):
        teacher_logits = teacher(x[rows])
        student_logits = student(x[rows])
        _learn(student, optimiser, student_logits, teacher_logits)
        seen.append((x[rows], student_logits.detach(), teacher_logits.detach()))
    return seen


def _n(student, teacher, x):
    optimiser, seen = torch.optim.SGD(student.parameters(), lr=0.1), []
    student.train()
    teacher.eval()
    with torch.no_grad():
        cache = [teacher(x[rows]) for rows in _batches(x, seed=1)]
    for rows, teacher_logits in zip(_batches(x, seed=2), cache, strict=True):
        student_logits = student(x[rows])
        _learn(student, optimiser, student_logits, teacher_logits)
        seen.append((x[rows], student_logits.detach(), teacher_logits))
    return seen


def _o(student, teacher, x):
    return fair_epoch(student=teacher, teacher=student, x=x)


SETUPS = {"l": _l, "m": _m, "n": _n, "o": _o}


# What the teacher's answers come to in a set-up, for training many students with: ask(teacher, x) -> (N, C).


@torch.no_grad()
def _ask_l(teacher, x):
    teacher.train()
    return torch.cat([teacher(batch) for batch in x.split(64)])


@torch.no_grad()
def _ask_n(teacher, x):
    return teacher.eval()(x)[torch.randperm(len(x), generator=torch.Generator().manual_seed(2))]


ANSWERS = {"l": _ask_l, "n": _ask_n}


# ---- the plaques ----


class Plaque(NamedTuple):
    """name: the defect; seen: where (project, version or thread, how we know); cure: what to write instead."""

    name: str
    seen: str
    cure: str


PLAQUES = {
    "a": Plaque(
        "the teacher's entropy is not subtracted",
        "the forward-KL loss of torchtune (bd2a0fc, 2026) and TextBrewer (2c105fa, 2023) are cross-entropies (code read). "
        "The gradient is the same and the student learns the same, but the number never reaches 0",
        "report the true KL, whatever you train with",
    ),
    "b": Plaque(
        "averages over the classes too (reduction='mean')",
        "nn.KLDivLoss() as it comes: haitongli/knowledge-distillation-pytorch #2 and #48, Teacher-free KD #5 (its author "
        "answers that the settings were tuned with it); .mean(1): HikariTJU/LD #74. DeiT does it on purpose (deit #61)",
        "sum over the classes, mean over the examples",
    ),
    "c": Plaque(
        "the KL runs the other way: KL(student || teacher)",
        "aprender, pull request #2153 (June 2026): reverse KL where forward was meant; mended there",
        "the teacher's probabilities are the weights of the sum",
    ),
    "d": Plaque(
        "no T**2",
        "Intel's distiller #122 (2019; the maintainer agreed); the Keras example (#869; in #870 its author says it was left out on "
        "purpose, for simplicity); TextBrewer (code read); torchdistill 1.1.5 where alpha=0 (run: 0.053 for 0.843)",
        "multiply by T**2, or tune the weights anew for every T",
    ),
    "e": Plaque(
        "compares the teacher with itself, so the student hears nothing",
        "labml's annotated distillation #66 (2021), a slip in a refactoring: \"it just completely stops doing the "
        'distillation", its author wrote, and mended it',
        "look at the gradient of the soft term alone",
    ),
    "f": Plaque(
        "F.kl_div is given probabilities where it wants a log, and in swapped order",
        "KD_Lib (a94d236, 2023): VanillaKD calls loss_fn(softmax of teacher, softmax of student); with nn.KLDivLoss as "
        "its loss_fn, this comes out (code read)",
        "F.kl_div(log q, log p, log_target=True): the student first, both as logs",
    ),
    "g": Plaque(
        "the mean squared error of two softmaxes",
        "KD_Lib (a94d236, 2023): the default loss_fn of VanillaKD (code read). It learns, but it is no KL",
        "say which loss it is; of the squared errors, that of the centred logits is the one with a reason",
    ),
    "h": Plaque(
        "log(softmax(z)): infinite once a probability rounds to 0",
        "mdistiller's DKD (a08d46f, 2023) takes the log of sums of a softmax (code read). float32 gives out at logits "
        "about 110 apart, half precision at 24 (run)",
        "log_softmax",
    ),
    "i": Plaque(
        "T is accepted and never used",
        "TRL 1.9, the GKD trainer (f2cd577, 2026): its temperature sets the sampling, not the loss (code read). A "
        "comment in the code says so; users are still surprised",
        "divide both logits by T, or give the argument a name that says what it does",
    ),
    "j": Plaque(
        "divides by the number of examples twice",
        "EasyDistill, pull request #16 (July 2025): a reviewer found a mean over tokens divided by their number again",
        "average once",
    ),
    "k": Plaque(
        "divides by the first dimension only ('batchmean')",
        'SparseML #674 ("extremely huge KD loss") and #592. Right for pictures (B, C); for text (B, L, C) it is L times '
        "too large: 128 at L = 128 (run)",
        "flatten to (B * L, C) first, or .sum(-1).mean()",
    ),
    "l": Plaque(
        "the teacher is left in train mode",
        "torchdistill 1.1.5, unless the caller says .eval(): one epoch moved a frozen teacher's batch-norm means by up "
        "to 1.14, on toy data (run)",
        "freeze the teacher, and compare its state before and after",
    ),
    "m": Plaque(
        "the gradient runs into the teacher",
        "KD_Lib (a94d236, 2023): no no_grad, so gradients pile up in the teacher (run). The student is none the worse; "
        "time and memory are",
        "ask the teacher under torch.no_grad()",
    ),
    "n": Plaque(
        "cached answers in one order, pictures in another",
        "haitongli/knowledge-distillation-pytorch #4 (2018) and #23: batches cached once, the loader shuffled again",
        "store each answer under its picture's number, and look it up by that",
    ),
    "o": Plaque(
        "teacher and student swapped",
        "the Keras example, keras-io #257 (2020): self.teacher = student, self.student = teacher",
        "compare the teacher's state before and after",
    ),
}


def plaque(letter):
    """The plaque of an exhibit, as text: what it does, where it was seen, its cure."""
    one = PLAQUES[letter]
    lines = (f"bug_{letter}  {one.name}", f"    seen: {one.seen}.", f"    cure: {one.cure}.")
    return "\n".join(textwrap.fill(line, 96, subsequent_indent="          ") for line in lines)
