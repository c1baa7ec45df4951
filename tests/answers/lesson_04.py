"""Answers to lesson 04's exercises, right and wrong."""

import random

import torch
import torch.nn.functional as F
from scipy import stats

from course_lib.losses import kd_loss
from course_lib.train import predict
from tests.answers import Answers

# ---- 4.1 ----


def freeze_by_hand(model):
    for p in model.parameters():
        p.requires_grad = False
    return model.train(False)


def freeze_in_one_line(model):
    return model.eval().requires_grad_(False)


def only_eval(model):
    return model.eval()


def only_no_gradient(model):
    return model.requires_grad_(False)


def forgot_to_return(model):
    model.eval()
    model.requires_grad_(False)


def froze_the_first_layer(model):
    model.eval()
    next(model.parameters()).requires_grad_(False)
    return model


def zeroed(model):
    for p in model.parameters():
        p.data.zero_()
    return model.eval().requires_grad_(False)


# ---- 4.2 ----


def distil_cached(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    """Asks the teacher once for everything and reuses its answers."""
    answers = predict(teacher, x)
    optimiser = torch.optim.AdamW(student.parameters(), lr=lr)
    order = random.Random(seed)
    for _ in range(epochs):
        student.train()
        rows = list(range(len(x)))
        order.shuffle(rows)
        for start in range(0, len(rows), batch_size):
            batch = torch.tensor(rows[start : start + batch_size])
            loss = kd_loss(student(x[batch]), answers[batch], T)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    student.eval()
    return student


def distil_online(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=batch_size, shuffle=True)
    optimiser = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    student.train()
    for _ in range(epochs):
        for (batch,) in loader:
            p = (teacher(batch).detach() / T).softmax(-1)
            log_q = F.log_softmax(student(batch) / T, -1)
            loss = T**2 * F.kl_div(log_q, p, reduction="batchmean")
            student.zero_grad()
            loss.backward()
            optimiser.step()
    return student.eval()


def loop(
    mode=True,
    clear=True,
    step=True,
    new_order=True,
    permute=True,
    passes=None,
    give_back=True,
    loss=kd_loss,
    answers_of=None,
    wake_teacher=False,
    whole=False,
    back=True,
):
    """A training loop with one thing left out or wrong."""

    def distil(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
        optimiser = torch.optim.Adam(student.parameters(), lr=lr)
        student.train(mode)
        if wake_teacher:
            teacher.train()
        order = torch.randperm(len(x))
        for _ in range(passes or epochs):
            order = torch.randperm(len(x)) if new_order else order
            batches = order.split(len(x) if whole else batch_size)
            for rows in batches if permute else torch.randint(len(x), (3, batch_size)):
                if clear:
                    optimiser.zero_grad()
                answers = answers_of(teacher, x, rows) if answers_of else teacher(x[rows]).detach()
                value = loss(student(x[rows]), answers, T)
                if back:
                    value.backward()
                if step:
                    optimiser.step()
        return student if give_back else None

    return distil


# ---- 4.3 ----


def evaluate_with_predict(student, teacher, x, labels):
    mine, theirs = predict(student, x).argmax(-1), predict(teacher, x).argmax(-1)
    return float((mine == labels).double().mean()), float((mine == theirs).double().mean())


def evaluate_by_hand(student, teacher, x, labels):
    mode = student.training
    student.eval()
    with torch.inference_mode():
        mine, theirs = student(x).max(1).indices, teacher(x).max(1).indices
    student.train(mode)
    right = sum(int(a == b) for a, b in zip(mine, labels, strict=True))
    same = sum(int(a == b) for a, b in zip(mine, theirs, strict=True))
    return right / len(x), same / len(x)


def measured_in_training_mode(student, teacher, x, labels):
    mine = student(x).argmax(-1)
    return (mine == labels).float().mean().item(), (mine == teacher(x).argmax(-1)).float().mean().item()


def left_in_eval_mode(student, teacher, x, labels):
    student.eval()
    mine = student(x).argmax(-1)
    return (mine == labels).float().mean().item(), (mine == teacher(x).argmax(-1)).float().mean().item()


def left_in_train_mode(student, teacher, x, labels):
    both = left_in_eval_mode(student, teacher, x, labels)
    student.train()
    return both


def percent(student, teacher, x, labels):
    return tuple(100 * value for value in evaluate_by_hand(student, teacher, x, labels))


def swapped(student, teacher, x, labels):
    return evaluate_by_hand(student, teacher, x, labels)[::-1]


def teachers_accuracy(student, teacher, x, labels):
    accuracy, _ = evaluate_by_hand(student, teacher, x, labels)
    return accuracy, (teacher(x).argmax(-1) == labels).float().mean().item()


def only_accuracy(student, teacher, x, labels):
    return evaluate_by_hand(student, teacher, x, labels)[0]


def counted_shared_right_answers(student, teacher, x, labels):
    accuracy, _ = evaluate_by_hand(student, teacher, x, labels)
    mine = predict(student, x).argmax(-1)
    both = (mine == labels) & (teacher(x).argmax(-1) == labels)
    return accuracy, both.float().mean().item()


# ---- 4.4 ----


def interval_by_scipy(a, b):
    result = stats.ttest_rel(a.double().numpy(), b.double().numpy())
    low, high = result.confidence_interval(0.95)
    return (a - b).mean().item(), low, high


def interval_by_hand(a, b):
    d = [float(one) - float(other) for one, other in zip(a, b, strict=True)]
    n, mean = len(d), sum(d) / len(d)
    error = (sum((v - mean) ** 2 for v in d) / (n - 1) / n) ** 0.5
    t = stats.t.ppf(0.975, n - 1)
    return mean, mean - t * error, mean + t * error


def interval(half, sign=1):
    def paired_interval(a, b):
        d = sign * (a - b)
        return d.mean().item(), (d.mean() - half(d, a, b)).item(), (d.mean() + half(d, a, b)).item()

    return paired_interval


T4 = stats.t.ppf(0.975, 4)

# ---- 4.5 ----


def shuffle_by_sorting(teacher_logits, labels, seed=0):
    """Sorts random numbers inside each class."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(labels), generator=generator)
    target = torch.tensor(sorted(range(len(labels)), key=lambda i: labels[i].item()))
    source = torch.tensor(sorted(range(len(labels)), key=lambda i: (labels[i].item(), noise[i].item())))
    shuffled = torch.empty_like(teacher_logits)
    shuffled[target] = teacher_logits[source]
    return shuffled


def shuffle_with_lists(teacher_logits, labels, seed=0):
    order = random.Random(seed)
    new = list(range(len(labels)))
    for label in set(labels.tolist()):
        rows = [i for i in range(len(labels)) if labels[i] == label]
        other = rows[:]
        order.shuffle(other)
        for row, source in zip(rows, other, strict=True):
            new[row] = source
    return teacher_logits[new]


def shuffle_everything(teacher_logits, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return teacher_logits[torch.randperm(len(labels), generator=generator)]


def shuffle_columns(teacher_logits, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return teacher_logits[:, torch.randperm(teacher_logits.shape[1], generator=generator)]


def shuffle_in_place(teacher_logits, labels, seed=0):
    source = teacher_logits.clone()
    teacher_logits[:] = shuffle_with_lists(source, labels, seed)
    return teacher_logits


def draw_with_replacement(teacher_logits, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shuffled = teacher_logits.clone()
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        shuffled[rows] = teacher_logits[rows[torch.randint(len(rows), (len(rows),), generator=generator)]]
    return shuffled


def ignores_the_seed(teacher_logits, labels, seed=0):
    return shuffle_with_lists(teacher_logits, labels, 7)


def no_seed_at_all(teacher_logits, labels, seed=0):
    return shuffle_with_lists(teacher_logits, labels, None)


# ---- 4.6 ----


def choose_with_a_loop(settings, try_out):
    best, best_mean = None, float("-inf")
    for setting in settings:
        mean = float(try_out(setting).mean())
        if mean > best_mean:
            best, best_mean = setting, mean
    return best


def choose_with_stack(settings, try_out):
    return settings[torch.stack([try_out(setting) for setting in settings]).mean(1).argmax()]


ANSWERS = {
    "4.1": Answers(
        right=[freeze_by_hand, freeze_in_one_line],
        wrong={
            "gradients off only": (only_no_gradient, "still in training mode"),
            "eval mode only": (only_eval, "weight tensors still ask for gradients"),
            "one layer only": (froze_the_first_layer, "5 of the teacher's 6"),
            "no return": (forgot_to_return, "returned None"),
            "wiped the weights": (zeroed, "the weights changed"),
        },
    ),
    "4.2": Answers(
        right=[distil_cached, distil_online],
        wrong={
            "no return": (loop(give_back=False), "return student"),
            "teacher in train mode": (loop(wake_teacher=True), "the teacher changed"),
            "student in eval mode": (loop(mode=False), "eval mode in 12 of 12 steps"),
            "no zero_grad": (loop(clear=False), "zero_grad()"),
            "no step": (loop(step=False), "did not move"),
            "no backward": (loop(back=False, step=False), "no gradient ever reached"),
            "one epoch": (loop(passes=1), "1 to 1 times"),
            "draws with replacement": (loop(permute=False), "each of the 50 examples"),
            "one order for all epochs": (loop(new_order=False), "same order"),
            "the whole set as one batch": (loop(whole=True), "a batch held 50"),
            "no T squared": (loop(loss=lambda z, a, T: kd_loss(z, a, T) / T**2), "lacks T**2"),
            "T not handed on": (loop(loss=lambda z, a, T: kd_loss(z, a)), "T is 4.0"),
            "T forgotten": (loop(loss=lambda z, a, T: kd_loss(z, a, 1.0)), "T is 1 "),
            "the teacher's top answer": (
                loop(loss=lambda z, a, T: F.cross_entropy(z, a.argmax(-1))),
                "top answer only",
            ),
            "swapped": (loop(loss=lambda z, a, T: kd_loss(a, z, T)), "swapped"),
            "probabilities for logits": (loop(loss=lambda z, a, T: kd_loss(z, a.softmax(-1), T)), "probabilities"),
            "left in train mode": (loop(), "came back in train mode"),
            "misaligned answers": (
                loop(answers_of=lambda teacher, x, rows: teacher(x[: len(rows)]).detach()),
                "same pictures",
            ),
        },
    ),
    "4.3": Answers(
        right=[evaluate_with_predict, evaluate_by_hand],
        wrong={
            "in training mode": (measured_in_training_mode, "training mode, where dropout"),
            "left in eval mode": (left_in_eval_mode, "came out in eval mode"),
            "left in train mode": (left_in_train_mode, "came out in train mode"),
            "percent": (percent, "shares between 0 and 1"),
            "swapped": (swapped, "wrong order"),
            "the teacher's accuracy": (teachers_accuracy, "teacher's own accuracy"),
            "one number": (only_accuracy, "two numbers"),
            "shared right answers only": (counted_shared_right_answers, "wrong together counts too"),
        },
    ),
    "4.4": Answers(
        right=[interval_by_scipy, interval_by_hand],
        wrong={
            "b minus a": (interval(lambda d, a, b: T4 * d.std() / 5**0.5, sign=-1), "b minus a"),
            "no square root of S": (interval(lambda d, a, b: T4 * d.std()), "square root of S"),
            "1.96": (interval(lambda d, a, b: 1.96 * d.std() / 5**0.5), "1.96 is right for very many"),
            "divided by S": (interval(lambda d, a, b: T4 * d.std(correction=0) / 5**0.5), "divide by S - 1"),
            "S degrees of freedom": (interval(lambda d, a, b: stats.t.ppf(0.975, 5) * d.std() / 5**0.5), "4 here"),
            "90%": (interval(lambda d, a, b: stats.t.ppf(0.95, 4) * d.std() / 5**0.5), "90% interval"),
            "unpaired": (interval(lambda d, a, b: T4 * ((a.var() + b.var()) / 5) ** 0.5), "unrelated runs"),
        },
    ),
    "4.5": Answers(
        right=[shuffle_by_sorting, shuffle_with_lists],
        wrong={
            "across classes": (shuffle_everything, "another class"),
            "columns": (shuffle_columns, "came apart"),
            "in place": (shuffle_in_place, "changed the teacher's answers"),
            "with replacement": (draw_with_replacement, "come twice"),
            "ignores the seed": (ignores_the_seed, "Is the seed used"),
            "no seed": (no_seed_at_all, "gave another shuffle"),
            "no shuffle": (lambda teacher_logits, labels, seed=0: teacher_logits.clone(), "its own answer"),
        },
    ),
    "4.6": Answers(
        right=[choose_with_a_loop, choose_with_stack],
        wrong={
            "the best single seed": (lambda s, t: max(s, key=lambda one: t(one).max()), "single best seed"),
            "the lowest": (lambda s, t: min(s, key=lambda one: t(one).mean()), "worst mean"),
            "the best worst seed": (lambda s, t: max(s, key=lambda one: t(one).min()), "best worst seed"),
            "tries twice": (lambda s, t: [t(one) for one in s] and choose_with_a_loop(s, t), "tried 10 times"),
            "the score": (lambda s, t: max(t(one).mean() for one in s), "chosen setting itself"),
            "the first": (lambda s, t: s[0], "never tried"),
        },
    ),
}
