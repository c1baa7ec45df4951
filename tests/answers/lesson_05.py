"""Answers to lesson 05's exercises, right and wrong."""

import copy
import hashlib
import io
import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import functional as pictures

from tests.answers import Answers

# ---- 5.1 ----


def see_by_indexing(x, view, shift=4):
    """Through every window of the framed pictures at once, with gather for the mirror."""
    h, w = x.shape[2:]
    side = 2 * shift + 1
    windows = F.pad(x, (shift, shift, shift, shift)).unfold(2, h, 1).unfold(3, w, 1)  # (B, channels, side, side, h, w)
    cut = windows[torch.arange(len(x)), :, view // 2 // side, view // 2 % side]
    columns = torch.arange(w).expand(cut.shape)
    mirrored = (view % 2).bool().view(-1, 1, 1, 1)
    return cut.gather(-1, torch.where(mirrored, w - 1 - columns, columns))


def see_with_torchvision(x, view, shift=4, of=lambda i: i):
    """crop() fills with black what lies outside of a picture, so that no frame is needed."""
    new = torch.zeros_like(x)
    for i in range(len(x)):
        v = int(view[of(i)])
        down, right = v // 2 // (2 * shift + 1), v // 2 % (2 * shift + 1)
        new[i] = pictures.crop(x[i], down - shift, right - shift, x.shape[2], x.shape[3])
        if v & 1:
            new[i] = pictures.hflip(new[i])
    return new


def see_the_first_bit(x, view, shift=4):
    """The mirror's bit read from the other end."""
    half = (2 * shift + 1) ** 2
    return see_by_indexing(x, view % half * 2 + view // half, shift)


def see_in_place(x, view, shift=4):
    return x.copy_(see_by_indexing(x, view, shift))


# ---- 5.2 ----


def ask_and_put_back(teacher, x):
    modes = {part: part.training for part in teacher.modules()}
    teacher.train(False)
    with torch.no_grad():
        logits = teacher(x)
    for part, mode in modes.items():
        part.training = mode
    return logits


@torch.no_grad()
def ask_a_copy(teacher, x, train=(), back=()):
    """Of the copy, parts of the kinds `train` are in train mode; the teacher ends in train mode where back says so."""
    twin = copy.deepcopy(teacher).eval().requires_grad_(False)
    for part in twin.modules():
        part.train(isinstance(part, train)) if train else None
    teacher.train() if back else None
    return twin(x)


def ask_one_by_one(teacher, x):
    return torch.cat([teacher.eval()(one[None]).detach() for one in x])


@torch.no_grad()
def trusts_the_mode(teacher, x):
    return (teacher.eval() if teacher.training else teacher)(x)


def gradients_off_for_good(teacher, x):
    torch.set_grad_enabled(False)
    return teacher.eval()(x)


def frozen_for_good(teacher, x):
    for p in teacher.parameters():
        p.requires_grad = False
    return ask_and_put_back(teacher, x)


# ---- 5.3 ----


def gains_in_whole_runs(teacher_forward, student_step, views, epochs, students):
    online = epochs * students * (teacher_forward + student_step)
    cached = views * teacher_forward + epochs * students * student_step
    return 1 + teacher_forward / student_step, cached / online


def gains_student_by_student(teacher_forward, student_step, views, epochs, students, caches=1):
    online = cached = 0
    for _ in range(students):
        online += epochs * (teacher_forward + student_step)
        cached += epochs * student_step
    cached += caches * views * teacher_forward
    return [(teacher_forward + student_step) / student_step, torch.tensor(cached / online, dtype=torch.float64)]


def then(answer, change):
    """change(what the answer gave)."""
    return lambda *given: change(*answer(*given))


# ---- 5.4 ----


def key_by_sha256(teacher, x, views, pictures=slice(None), views_of=lambda views: views):
    digest = hashlib.sha256(str(teacher).encode())
    for name, value in {**teacher.state_dict(), "x": x[pictures], "views": views_of(views)}.items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def key_by_crc32(teacher, x, views):
    crc = zlib.crc32(repr(teacher).encode())
    for value in [*teacher.state_dict().values(), x, views]:
        crc = zlib.crc32(value.contiguous().numpy().tobytes(), crc)
    return f"{crc:08x}"


def key_of_a_saved_file(teacher, x, views):
    file = io.BytesIO()
    torch.save([str(teacher), *teacher.state_dict().values(), x, views], file)
    return hashlib.md5(file.getvalue()).hexdigest()


def key_by_printing(
    teacher, x, views, weights=lambda teacher: [value.tolist() for value in teacher.state_dict().values()]
):
    return hashlib.sha256(repr([str(teacher), weights(teacher), x.tolist(), views.tolist()]).encode()).hexdigest()[:16]


def key_with(**slip):
    return lambda teacher, x, views: (key_by_printing if "weights" in slip else key_by_sha256)(
        teacher, x, views, **slip
    )


# ---- 5.5 ----


def look_up_with_a_dict(kept, views, rows, view, other=None):
    layer = {int(v): k for k, v in enumerate(views)}
    found = [layer[int(v)] if other is None else layer.get(int(v), other) for v in view]
    return torch.stack([kept[k, int(row)] for k, row in zip(found, rows, strict=True)]).to(torch.float32)


def look_up_in_sorted_views(kept, views, rows, view):
    in_order, layers = views.sort()
    place = torch.searchsorted(in_order, view).clamp(max=len(views) - 1)
    if (in_order[place] != view).any():
        raise ValueError("a view that was not asked")
    return kept[layers[place]].float()[torch.arange(len(rows)), rows]


# ---- 5.6 ----


def step_by_the_book(
    student, optimiser, x, labels, answers, loss, device_type, give=torch.Tensor.detach, after=lambda s: None
):
    with torch.autocast(device_type=device_type, dtype=torch.bfloat16):
        value = loss(student(x), labels, answers)
    student.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    after(student)
    return give(value)


def step_on_bfloat16_logits(student, optimiser, x, labels, answers, loss, device_type):
    """Clears at the end; the loss computes in what it is given."""
    value = loss(torch.amp.autocast_mode.autocast(device_type, torch.bfloat16)(student)(x), labels, answers)
    value.backward()
    optimiser.step()
    optimiser.zero_grad()
    return value.data.clone()


def step_with_a_scaler(student, optimiser, x, labels, answers, loss, device_type):
    scaler = torch.amp.GradScaler(device_type)
    optimiser.zero_grad()
    with torch.autocast(device_type, dtype=torch.bfloat16):
        value = loss(student(x), labels, answers)
    scaler.scale(value).backward()
    scaler.step(optimiser)
    scaler.update()
    return value.detach()


def stepping(**slip):
    return lambda *given: step_by_the_book(*given, **slip)


@torch.no_grad()
def rounded(student):
    for p in student.parameters():
        p.copy_(p.bfloat16())


# ---- 5.7 ----


def faster_with_numpy(old, new, off=0.0, digits=9):
    ratios = (np.asarray(new) / np.asarray(old) - off).round(digits)
    return np.median(ratios).item(), ratios.min().item(), ratios.max().item()


def faster_by_quantiles(old, new, at=(0.5, 0.0, 1.0)):
    return (new / old).quantile(torch.tensor(at, dtype=old.dtype))


def faster_in_place(old, new):
    return faster_by_quantiles(torch.ones_like(old), new.div_(old))


ANSWERS = {
    "5.1": Answers(
        right=[see_by_indexing, see_with_torchvision],
        wrong={
            "the next picture's view": (
                lambda *given: see_with_torchvision(*given, of=lambda i: i - 1),
                "from the end",
            ),
            "the first bit": (see_the_first_bit, "take it apart from the end"),
            "in place": (see_in_place, "changed what it was given"),
            "the frame too": (lambda x, view, shift=4: F.pad(x, [shift] * 4), "shape (18, 2, 6, 7)"),
            "int64": (lambda x, *given: see_by_indexing(x.long(), *given), "uint8 is expected, and int64 came"),
        },
    ),
    "5.2": Answers(
        right=[ask_and_put_back, ask_a_copy, ask_one_by_one],
        wrong={
            "gradients off for good": (gradients_off_for_good, "leaves them off"),
            "frozen for good": (frozen_for_good, "freezes the teacher for everybody"),
            "detach only": (lambda teacher, x: teacher(x).detach(), "stop gradients and nothing else"),
            "dropout alone": (lambda *given: ask_a_copy(*given, train=torch.nn.Dropout), "Dropout throws parts"),
            "trusts teacher.training": (trusts_the_mode, "each part has its own mode"),
            "left in train mode": (lambda *given: ask_a_copy(*given, back="train"), "Leave the mode that it had"),
        },
    ),
    "5.3": Answers(
        right=[gains_in_whole_runs, gains_student_by_student],
        wrong={
            "whole numbers": (then(gains_in_whole_runs, lambda bound, share: (math.floor(bound), share)), "and not //"),
            "a cache per student": (lambda *given: gains_student_by_student(*given, given[4]), "a cache of its own"),
            "in percent": (then(gains_in_whole_runs, lambda bound, share: (bound, 100 * share)), "online 60 * (8 + 2)"),
            "one number": (then(gains_in_whole_runs, lambda bound, share: bound), "expected is a tuple of 2"),
        },
    ),
    "5.4": Answers(
        right=[key_by_sha256, key_by_crc32, key_of_a_saved_file, key_by_printing],
        wrong={
            "the first 1,000 pictures": (key_with(pictures=slice(1000)), "Does every picture go in"),
            "views sorted": (key_with(views_of=lambda views: views.sort().values), "Layer 1 would be another view"),
            "printed": (key_with(weights=lambda teacher: teacher.state_dict()), "leaves out its middle"),
            "sums": (key_with(weights=lambda t: [v.double().sum() for v in t.state_dict().values()]), "Take the bytes"),
            "hash()": (lambda *given: str(hash(key_by_sha256(*given))), "another number in every process"),
            "random": (lambda *given: f"{torch.rand(()).item():.8f}", "a random number"),
            "too long": (lambda *given: 2 * key_by_sha256(*given), "at most 64 characters"),
        },
    ),
    "5.5": Answers(
        right=[look_up_with_a_dict, look_up_in_sorted_views],
        wrong={
            "the last layer for strangers": (lambda *given: look_up_with_a_dict(*given, other=-1), "nobody would know"),
            "half precision": (lambda *given: look_up_in_sorted_views(*given).half(), "float16 came"),
            "logits as shares": (lambda *given: look_up_with_a_dict(*given).softmax(-1), "layer k holds"),
        },
    ),
    "5.6": Answers(
        right=[step_by_the_book, step_on_bfloat16_logits, step_with_a_scaler],
        wrong={
            ".item()": (stepping(give=lambda value: value.item()), "the loss was expected, a tensor"),
            ".item() and back": (stepping(give=lambda value: torch.tensor(value.item())), "takes a number out"),
            "printed": (stepping(give=lambda value: f"{value:.2f}" and value.detach()), "(__format__)"),
            "with its graph": (stepping(give=lambda value: value), "carries its graph"),
            "another number": (stepping(give=lambda value: 2 * value.detach()), "Return that, detached"),
            "rounded weights": (stepping(after=rounded), "nobody rounds a weight"),
        },
    ),
    "5.7": Answers(
        right=[faster_by_quantiles, faster_with_numpy],
        wrong={
            "rounded": (lambda *given: faster_with_numpy(*given, digits=2), "Round nothing"),
            "the middle half": (
                lambda *given: faster_by_quantiles(*given, at=(0.5, 0.25, 0.75)),
                "the smallest, the largest",
            ),
            "in place": (faster_in_place, "changed what it was given"),
            "the middle alone": (lambda *given: faster_with_numpy(*given)[0], "gave 1.3, a float"),
        },
    ),
}
