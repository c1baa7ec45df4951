"""Answers to lesson 05's exercises, right and wrong."""

import copy
import hashlib
import io
import statistics
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import functional as pictures

from tests.answers import Answers

# ---- 5.1 ----


def see_in_a_loop(x, view, shift=4):
    h, w = x.shape[2:]
    framed, seen = F.pad(x, [shift] * 4), []
    for i, v in enumerate(view.tolist()):
        corner, mirrored = divmod(v, 2)
        down, right = divmod(corner, 2 * shift + 1)
        cut = framed[i, :, down : down + h, right : right + w]
        seen.append(cut.flip(-1) if mirrored else cut)
    return torch.stack(seen)


def see_by_indexing(x, view, shift=4):
    """Through every window of the framed pictures at once, with gather for the mirror."""
    h, w = x.shape[2:]
    side = 2 * shift + 1
    windows = F.pad(x, (shift, shift, shift, shift)).unfold(2, h, 1).unfold(3, w, 1)  # (B, channels, side, side, h, w)
    cut = windows[torch.arange(len(x)), :, view // 2 // side, view // 2 % side]
    columns = torch.arange(w).expand(cut.shape)
    mirrored = (view % 2).bool().view(-1, 1, 1, 1)
    return cut.gather(-1, torch.where(mirrored, w - 1 - columns, columns))


def see_with_torchvision(x, view, shift=4):
    """crop() fills with black what lies outside of a picture, so that no frame is needed."""
    new = torch.zeros_like(x)
    for i in range(len(x)):
        down, right = int(view[i]) // 2 // (2 * shift + 1), int(view[i]) // 2 % (2 * shift + 1)
        new[i] = pictures.crop(x[i], down - shift, right - shift, x.shape[2], x.shape[3])
        if view[i] & 1:
            new[i] = pictures.hflip(new[i])
    return new


def see(
    of=lambda view, i: view[i],
    apart=lambda v, side: (v // 2 // side, v // 2 % side, v % 2),
    frame="constant",
    mirror=lambda cut: cut.flip(-1),
    mirror_first=False,
    finish=lambda new, x: new.to(x.dtype),
    own_shift=None,
):
    """A loop over the pictures with one thing left out or wrong."""

    def look(x, view, shift=4):
        h, w = x.shape[2:]
        shift, new = own_shift or shift, []
        for i in range(len(x)):
            down, right, mirrored = apart(int(of(view, i)), 2 * shift + 1)
            one = mirror(x[i]) if mirrored and mirror_first else x[i]
            cut = F.pad(one[None].float(), [shift] * 4, mode=frame)[0, :, down : down + h, right : right + w]
            new.append(mirror(cut) if mirrored and not mirror_first else cut)
        return finish(torch.stack(new), x)

    return look


def see_by_rolling(x, view, shift=4):
    side, new = 2 * shift + 1, []
    for one, v in zip(x, view.tolist(), strict=True):
        moved = one.roll((shift - v // 2 // side, shift - v // 2 % side), (-2, -1))
        new.append(moved.flip(-1) if v % 2 else moved)
    return torch.stack(new)


def see_in_place(x, view, shift=4):
    x[:] = see_in_a_loop(x, view, shift)
    return x


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
def ask_a_copy(teacher, x):
    return copy.deepcopy(teacher).eval().requires_grad_(False)(x)


def ask_one_by_one(teacher, x):
    return torch.cat([teacher.eval()(one[None]).detach() for one in x])


def only_no_grad(teacher, x):
    with torch.no_grad():
        return teacher(x)


def only_eval(teacher, x):
    return teacher.eval()(x)


def only_detach(teacher, x):
    return teacher(x).detach()


def only_frozen_weights(teacher, x):
    return teacher.requires_grad_(False)(x)


@torch.no_grad()
def a_copy_in_train_mode(teacher, x):
    return copy.deepcopy(teacher).train()(x)


@torch.no_grad()
def only_dropout_off(teacher, x):
    teacher = copy.deepcopy(teacher).train()
    for part in teacher.modules():
        if isinstance(part, torch.nn.Dropout):
            part.eval()
    return teacher(x)


@torch.no_grad()
def trusts_the_mode(teacher, x):
    if teacher.training:
        teacher.eval()
    return teacher(x)


def left_in_train_mode(teacher, x):
    logits = ask_a_copy(teacher, x)
    teacher.train()
    return logits


def ask_in_inference_mode(teacher, x):
    with torch.inference_mode():
        return teacher.eval()(x)


# ---- 5.3 ----


def gains_in_whole_runs(teacher_forward, student_step, views, epochs, students):
    online = epochs * students * (teacher_forward + student_step)
    cached = views * teacher_forward + epochs * students * student_step
    return 1 + teacher_forward / student_step, cached / online


def gains_student_by_student(teacher_forward, student_step, views, epochs, students):
    online = cached = 0
    for _ in range(students):
        online += epochs * (teacher_forward + student_step)
        cached += epochs * student_step
    cached += views * teacher_forward
    return [(teacher_forward + student_step) / student_step, torch.tensor(cached / online, dtype=torch.float64)]


def gain(bound=None, share=None, together=lambda bound, share: (bound, share)):
    """gains with one number wrong; bound(t, s) and share(t, s, v, e, n) are other readings."""

    def gains(t, s, v, e, n):
        right = gains_in_whole_runs(t, s, v, e, n)
        return together(bound(t, s) if bound else right[0], share(t, s, v, e, n) if share else right[1])

    return gains


# ---- 5.4 ----


def key_by_sha256(teacher, x, views):
    digest = hashlib.sha256(str(teacher).encode())
    for name, value in {**teacher.state_dict(), "x": x, "views": views}.items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def key_by_crc32(teacher, x, views):
    crc = zlib.crc32(repr(teacher).encode())
    for value in [*teacher.state_dict().values(), x, views]:
        crc = zlib.crc32(value.numpy(), crc)
    return f"{crc:08x}"


def key_of_a_saved_file(teacher, x, views):
    file = io.BytesIO()
    torch.save([str(teacher), *teacher.state_dict().values(), x, views], file)
    return hashlib.md5(file.getvalue()).hexdigest()


def key_by_printing_everything(teacher, x, views):
    numbers = [value.tolist() for value in [*teacher.parameters(), *teacher.buffers(), x, views]]
    layers = [f"{name}: {part.extra_repr()} {type(part)}" for name, part in teacher.named_modules()]
    return hashlib.sha256(repr([numbers, layers]).encode()).hexdigest()[:16]


def key_of(*pieces):
    """A word made of what the pieces take from (teacher, x, views)."""

    def key(teacher, x, views):
        parts = [piece(teacher, x, views) for piece in pieces]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    return key


def all_of_it(teacher, x, views):
    return [value.tolist() for value in teacher.state_dict().values()]


def the_pictures(teacher, x, views):
    return x.tolist()


def the_views(teacher, x, views):
    return views.tolist()


def the_sums(teacher, x, views):
    return [value.double().sum().item() for value in teacher.state_dict().values()]


def salted(teacher, x, views):
    return str(hash(key_by_sha256(teacher, x, views)))


# ---- 5.5 ----


def look_up_with_a_dict(kept, views, rows, view):
    layer = {int(v): k for k, v in enumerate(views)}
    return torch.stack([kept[layer[int(v)], int(row)] for v, row in zip(view, rows, strict=True)]).to(torch.float32)


def look_up_with_a_table(kept, views, rows, view):
    slot = torch.full((int(views.max()) + 1,), len(views))
    slot[views] = torch.arange(len(views))
    return kept[slot[view], rows].float()


def look_up_in_sorted_views(kept, views, rows, view):
    in_order, layers = views.sort()
    place = torch.searchsorted(in_order, view).clamp(max=len(views) - 1)
    if (in_order[place] != view).any():
        raise ValueError("a view that was not asked")
    return kept[layers[place]].float()[torch.arange(len(rows)), rows]


def slots(views, view):
    return (views == view[:, None]).int().argmax(1)


def table_of_minus_ones(kept, views, rows, view):
    slot = torch.full((400,), -1)
    slot[views] = torch.arange(len(views))
    return kept[slot[view], rows].float()


def checked(answer):
    """The answer, with an error for a view that was not asked."""

    def look_up(kept, views, rows, view):
        if not torch.isin(view, views).all():
            raise KeyError("not asked")
        return answer(kept, views, rows, view)

    return look_up


# ---- 5.6 ----


def step_by_the_book(student, optimiser, x, labels, answers, loss, device_type):
    with torch.autocast(device_type=device_type, dtype=torch.bfloat16):
        value = loss(student(x), labels, answers)
    student.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return value.detach()


def step_that_clears_at_the_end(student, optimiser, x, labels, answers, loss, device_type):
    context = torch.amp.autocast_mode.autocast(device_type, torch.bfloat16)
    value = loss(context(student)(x).float(), labels, answers)
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


def one_step(
    dtype=torch.bfloat16,
    on=True,
    cast=lambda student: student,
    clear="first",
    back=True,
    move=True,
    move_first=False,
    of=lambda z: z.float(),
    weight=1.0,
    give_back=lambda value: value.detach(),
):
    """A step with one thing left out or wrong."""

    def step(student, optimiser, x, labels, answers, loss, device_type):
        student = cast(student)
        if clear == "first":
            optimiser.zero_grad()
        with torch.autocast(device_type, dtype, enabled=on):
            logits = student(x.to(next(student.parameters()).dtype))
        value = loss(of(logits), labels, answers)
        if move_first:
            optimiser.step()
        if back:
            (weight * value).backward()
        if clear == "late":
            optimiser.zero_grad()
        if move and not move_first:
            optimiser.step()
        return give_back(value)

    return step


# ---- 5.7 ----


def faster_by_quantiles(old, new):
    return tuple((new / old).quantile(torch.tensor([0.5, 0.0, 1.0], dtype=old.dtype)))


def faster_with_numpy(old, new):
    ratios = np.asarray(new) / np.asarray(old)
    return np.median(ratios).item(), ratios.min().item(), ratios.max().item()


def faster_by_sorting(old, new):
    ratios = sorted(float(b) / float(a) for a, b in zip(old, new, strict=True))
    half = len(ratios) // 2
    return [(ratios[half] + ratios[-half - 1]) / 2, ratios[0], ratios[-1]]


def faster_by(ratio=lambda old, new: new / old, middle=None, ends=None):
    """faster with one thing wrong: what is compared, what counts as the middle, or the ends."""

    def faster(old, new):
        ratios = ratio(old, new)
        low, high = ends(old, new) if ends else (ratios.min(), ratios.max())
        return middle(old, new) if middle else statistics.median(ratios.tolist()), low, high

    return faster


def faster_in_place(old, new):
    return faster_by_sorting(old, new.div_(old) * old)


ANSWERS = {
    "5.1": Answers(
        right=[see_in_a_loop, see_by_indexing, see_with_torchvision],
        wrong={
            "one view for all": (see(of=lambda view, i: view[0]), "the first picture's view"),
            "the last view for all": (see(of=lambda view, i: view[-1]), "the last picture's view"),
            "mirrored before the cut": (see(mirror_first=True), "the mirror comes before the cut"),
            "down and right swapped": (
                see(apart=lambda v, side: (v // 2 % side, v // 2 // side, v % 2)),
                "have changed places",
            ),
            "rolled round": (see_by_rolling, "comes in again on the other"),
            "never mirrored": (see(mirror=lambda cut: cut), "no picture is mirrored"),
            "always mirrored": (
                see(apart=lambda v, side: (v // 2 // side, v // 2 % side, 1)),
                "every picture is mirrored",
            ),
            "mirrored the others": (
                see(apart=lambda v, side: (v // 2 // side, v // 2 % side, 1 - v % 2)),
                "the wrong half is mirrored",
            ),
            "reflects": (see(frame="reflect"), "like a mirror at its border"),
            "replicates": (see(frame="replicate"), "last pixels"),
            "upside down": (see(mirror=lambda cut: cut.flip(-2)), "stand on their heads"),
            "half a turn": (see(mirror=lambda cut: cut.flip(-1, -2)), "turned by 180 degrees"),
            "the wrong way": (
                see(apart=lambda v, side: (side - 1 - v // 2 // side, side - 1 - v // 2 % side, v % 2)),
                "moves the wrong way",
            ),
            "the first bit": (see(apart=lambda v, side: (v // side % side, v % side, v // side**2)), "down="),
            "float": (see(finish=lambda new, x: new), "and went as float32"),
            "in place": (see_in_place, "changed the pictures"),
            "the frame too": (lambda x, view, shift=4: F.pad(x, [shift] * 4), "shape (18, 2, 6, 7) came"),
            "shift is 1": (
                see(own_shift=1, apart=lambda v, side: (v // 6 % 3, v // 2 % 3, v % 2)),
                "stub's own shift=4",
            ),
        },
    ),
    "5.2": Answers(
        right=[ask_and_put_back, ask_a_copy, ask_one_by_one],
        wrong={
            "no_grad only": (only_no_grad, "no_grad() stops gradients and nothing else"),
            "detach only": (only_detach, "asking changed the teacher (2.running_mean"),
            "requires_grad only": (only_frozen_weights, "requires_grad=False holds weights still"),
            "eval only": (only_eval, "carry the graph"),
            "a copy in train mode": (a_copy_in_train_mode, "says two things"),
            "dropout off, batch norm on": (only_dropout_off, "depends on the others in the batch"),
            "trusts teacher.training": (trusts_the_mode, "each part has its own mode"),
            "left in train mode": (left_in_train_mode, "left in train mode"),
            "inference mode": (ask_in_inference_mode, "fail at backward()"),
            "probabilities": (lambda teacher, x: ask_a_copy(teacher, x).softmax(-1), "a softmax can be taken later"),
            "log-probabilities": (lambda teacher, x: ask_a_copy(teacher, x).log_softmax(-1), "log-probabilities came"),
            "the top answer": (lambda teacher, x: ask_a_copy(teacher, x).argmax(-1), "shape (16,) came"),
        },
    ),
    "5.3": Answers(
        right=[gains_in_whole_runs, gains_student_by_student],
        wrong={
            "the ratio alone": (gain(lambda t, s: t / s), "the teacher's cost over the student's"),
            "bound turned round": (gain(lambda t, s: s / (t + s)), "the bound is turned round"),
            "a teacher that learns": (gain(lambda t, s: (3 * t + s) / s), "a backward pass for the teacher"),
            "the student left out": (gain(lambda t, s: (t + s) / t), "leaving out the student"),
            "three student steps": (gain(lambda t, s: (t + 3 * s) / (3 * s)), "three times over"),
            "a free cache": (gain(share=lambda t, s, v, e, n: s / (t + s)), "without the building"),
            "a cache per student": (
                gain(share=lambda t, s, v, e, n: (v * t + e * s) / (e * (t + s))),
                "a cache of its own",
            ),
            "a cache per epoch": (
                gain(share=lambda t, s, v, e, n: (e * v * t + e * n * s) / (e * n * (t + s))),
                "again in every epoch",
            ),
            "one view": (gain(share=lambda t, s, v, e, n: (t + e * n * s) / (e * n * (t + s))), "one view is built"),
            "share turned round": (gain(together=lambda bound, share: (bound, 1 / share)), "the share is turned round"),
            "what is saved": (gain(together=lambda bound, share: (bound, 1 - share)), "what the cache saves"),
            "at most 1": (gain(together=lambda bound, share: (bound, min(1, share))), "A share above 1"),
            "swapped": (gain(together=lambda bound, share: (share, bound)), "in the wrong order"),
            "one teacher for all": (
                gain(share=lambda t, s, v, e, n: (v * t + e * n * s) / (e * t + e * n * s)),
                "Each student asks for itself",
            ),
            "whole numbers": (
                gain(share=lambda t, s, v, e, n: (v * t + e * n * s) // (e * n * (t + s))),
                "Take / and not //",
            ),
            "one number": (gain(together=lambda bound, share: bound), "expected two numbers"),
        },
    ),
    "5.4": Answers(
        right=[key_by_sha256, key_by_crc32, key_of_a_saved_file, key_by_printing_everything],
        wrong={
            "the layers alone": (key_of(lambda t, x, v: str(t), the_pictures, the_views), "Names and shapes"),
            "printed": (key_of(lambda t, x, v: t.state_dict(), the_pictures, the_views), "leaves out its middle"),
            "sums": (key_of(the_sums, the_pictures, the_views), "A sum forgets the order"),
            "rounded": (
                key_of(
                    lambda t, x, v: [(1000 * p).round().tolist() for p in t.state_dict().values()],
                    the_pictures,
                    the_views,
                ),
                "Rounding",
            ),
            "layers sorted": (
                key_of(
                    lambda t, x, v: sorted(repr(value.tolist()) for value in t.state_dict().values()),
                    the_pictures,
                    the_views,
                ),
                "which layer is which",
            ),
            "parameters only": (
                key_of(lambda t, x, v: [p.tolist() for p in t.parameters()], the_pictures, the_views),
                "a buffer and no parameter",
            ),
            "the average only": (
                key_of(
                    lambda t, x, v: [p.tolist() for n, p in t.state_dict().items() if "running_var" not in n],
                    the_pictures,
                    the_views,
                ),
                "Every buffer counts",
            ),
            "no layers": (key_of(all_of_it, the_pictures, the_views), "a GELU stands where a ReLU stood"),
            "no pictures": (key_of(all_of_it, lambda t, x, v: x.shape, the_views), "x must go in"),
            "the first pictures": (key_of(all_of_it, lambda t, x, v: x[:10].tolist(), the_views), "every picture"),
            "pictures in any order": (
                key_of(all_of_it, lambda t, x, v: sorted(x.tolist()), the_views),
                "Row 7 of the cache",
            ),
            "no views": (key_of(all_of_it, the_pictures, lambda t, x, v: len(v)), "views must go in"),
            "the first view": (key_of(all_of_it, the_pictures, lambda t, x, v: v[:2].tolist()), "Do all of them go in"),
            "views sorted": (key_of(all_of_it, the_pictures, lambda t, x, v: sorted(v.tolist())), "another view"),
            "hash()": (salted, "another number in every process"),
            "id()": (key_of(lambda t, x, v: (id(t), id(x), id(v))), "place in memory"),
            "the mode": (
                key_of(lambda t, x, v: t.training, all_of_it, the_pictures, the_views),
                "from train to eval mode",
            ),
            "frozen or not": (
                key_of(lambda t, x, v: list(t.parameters())[0].requires_grad, all_of_it, the_pictures, the_views),
                "freezing the teacher",
            ),
            "random": (lambda teacher, x, views: f"{torch.rand(()).item():.8f}", "two words"),
            "a digest in bytes": (lambda *all: hashlib.sha256(key_by_sha256(*all).encode()).digest(), "a bytes came"),
            "too long": (lambda *all: 2 * key_by_sha256(*all), "has 128 characters"),
        },
    ),
    "5.5": Answers(
        right=[look_up_with_a_dict, look_up_with_a_table, look_up_in_sorted_views],
        wrong={
            "view as layer": (lambda kept, views, rows, view: kept[view, rows].float(), "taken as the layer's"),
            "rows and layers": (
                lambda kept, views, rows, view: kept[rows, slots(views, view)].float(),
                "the layer comes first",
            ),
            "every pair": (
                lambda kept, views, rows, view: kept[slots(views, view)][:, rows].float(),
                "paired with every",
            ),
            "half precision": (checked(lambda kept, views, rows, view: kept[slots(views, view), rows]), "float16 came"),
            "answers anything": (
                lambda kept, views, rows, view: kept[slots(views, view), rows].float(),
                "it is answered with 50",
            ),
            "the last layer for strangers": (table_of_minus_ones, "it is answered with 250"),
            "the nearest view": (
                lambda kept, views, rows, view: kept[(views - view[:, None]).abs().argmin(1), rows].float(),
                "it is answered with 150",
            ),
            "one view for all": (
                lambda kept, views, rows, view: kept[slots(views, view)[0], rows].float(),
                "the first one's view",
            ),
            "the last view for all": (
                lambda kept, views, rows, view: kept[slots(views, view)[-1], rows].float(),
                "the last one's view",
            ),
            "the first rows": (
                lambda kept, views, rows, view: kept[slots(views, view), torch.arange(len(rows))].float(),
                "rows 0, 1, 2",
            ),
            "backwards": (lambda kept, views, rows, view: kept[views[view], rows].float(), "read backwards"),
        },
    ),
    "5.6": Answers(
        right=[step_by_the_book, step_that_clears_at_the_end, step_with_a_scaler],
        wrong={
            ".item()": (one_step(give_back=lambda value: value.item()), "a float came back"),
            "with its graph": (one_step(give_back=lambda value: value), "carries its graph"),
            "no return": (one_step(give_back=lambda value: None), "returned None"),
            "one number in a list": (one_step(give_back=lambda value: value.detach()[None]), "shape (1,) came"),
            "another number": (one_step(give_back=lambda value: 2 * value.detach()), "came back. Return what"),
            "no autocast": (one_step(on=False), "in float32 throughout"),
            "float16": (one_step(dtype=torch.float16), "name torch.bfloat16"),
            "weights in bfloat16": (
                one_step(on=False, cast=lambda student: student.bfloat16()),
                "student's weights are bfloat16",
            ),
            "the loss in bfloat16": (one_step(of=lambda z: z), "given bfloat16 logits outside of autocast"),
            "no zero_grad": (one_step(clear="never"), "gradients of earlier steps"),
            "cleared too late": (one_step(clear="late"), "cleared between backward() and step()"),
            "no backward": (one_step(back=False), "no gradient reached"),
            "no step": (one_step(move=False), "did not move. Is optimiser.step()"),
            "step before backward": (one_step(move_first=True, clear="never"), "ran before backward()"),
            "half the loss": (one_step(weight=0.5), "off by 50%"),
        },
    ),
    "5.7": Answers(
        right=[faster_by_quantiles, faster_with_numpy, faster_by_sorting],
        wrong={
            "turned round": (faster_by(lambda old, new: old / new), "times *slower*"),
            "the mean": (faster_by(middle=lambda old, new: (new / old).mean()), "is the mean of the ratios"),
            "medians compared": (faster_by(middle=lambda old, new: new.median() / old.median()), "the two medians"),
            "sums compared": (faster_by(middle=lambda old, new: new.sum() / old.sum()), "the sums or the means"),
            "sorted first": (
                faster_by(lambda old, new: new.sort().values / old.sort().values),
                "pairs the blocks by their rank",
            ),
            "the block in the middle": (
                faster_by(middle=lambda old, new: (new / old)[len(old) // 2]),
                "the middle of the race",
            ),
            "the first block": (faster_by(middle=lambda old, new: (new / old)[0]), "the first block alone"),
            "the last block": (faster_by(middle=lambda old, new: (new / old)[-1]), "the last block alone"),
            "the best against the best": (
                faster_by(middle=lambda old, new: new.max() / old.max()),
                "fastest block against",
            ),
            "what was won": (faster_by(lambda old, new: new / old - 1), "counts from 1"),
            "percent": (faster_by(lambda old, new: 100 * (new / old - 1)), "is a percentage"),
            "a difference": (faster_by(lambda old, new: new - old), "a difference of speeds"),
            "any block against any": (
                faster_by(ends=lambda old, new: (new.min() / old.max(), new.max() / old.min())),
                "a block against another block",
            ),
            "ends swapped": (
                faster_by(ends=lambda old, new: ((new / old).max(), (new / old).min())),
                "have changed places",
            ),
            "smallest first": (lambda old, new: sorted(faster_by_sorting(old, new)), "in another order"),
            "the smaller of two": (faster_by(middle=lambda old, new: (new / old).median()), "yours is the smaller"),
            "the larger of two": (
                faster_by(middle=lambda old, new: (new / old).sort().values[len(old) // 2]),
                "yours is the larger",
            ),
            "never below 1": (
                faster_by(ends=lambda old, new: ((new / old).min().clamp(min=1), (new / old).max())),
                "below 1",
            ),
            "in place": (faster_in_place, "changed the speeds"),
            "the middle alone": (
                lambda old, new: statistics.median((new / old).tolist()),
                "three numbers were expected",
            ),
            "rounded": (
                lambda old, new: [round(one, 2) for one in faster_by_sorting(old, new)],
                "Is something rounded",
            ),
            "whole numbers": (faster_by(lambda old, new: new // old), "are 1.20, 1.30, 1.75"),
        },
    ),
}
