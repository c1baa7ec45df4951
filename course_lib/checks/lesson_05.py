"""Checks of lesson 05: what makes distillation fast at full size, and what must stay exact while it becomes fast.

Judged against plain slicing, against torch, and against numbers worked out by hand.
"""

import builtins
import copy
import math
import re
import statistics
import sys
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.checks.exercise import Exercise, NotYet, expect
from course_lib.data import augment
from course_lib.models import fingerprint


def _tensor(value, shape, meaning):
    """The answer's value, if it is a tensor of the wanted shape; a sentence when it is something else."""
    shape = tuple(shape)
    expect(value is not None, "your function returned None. End it with `return` and the tensor.")
    expect(
        isinstance(value, torch.Tensor),
        f"a tensor of shape {shape} was expected ({meaning}); a {type(value).__name__} came.",
    )
    expect(
        value.shape == shape,
        f"a tensor of shape {shape} was expected ({meaning}); shape {tuple(value.shape)} came.",
    )
    return value


def _random(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- 5.1 views ----


def _cut(x, view, shift, down=None, right=None, mirrored=None, frame="constant"):
    """What see is to give, picture by picture with slices; what is handed over as a function of view is another reading."""
    h, w = x.shape[2:]
    side = 2 * shift + 1
    pictures = []
    for one, v in zip(x, view.tolist(), strict=True):
        top = down(v) if down else v // 2 // side
        left = right(v) if right else v // 2 % side
        flip = mirrored(v) if mirrored else v % 2
        framed = F.pad(one[None].double(), [shift] * 4, mode=frame)[0]
        cut = framed[:, top : top + h, left : left + w]
        pictures.append(cut.flip(-1) if flip else cut)
    return torch.stack(pictures).to(x.dtype)


def _examine_see(see):
    shift, side = 1, 3
    view = torch.randperm(18, generator=torch.Generator().manual_seed(0))  # every view of shift 1, in no order
    x = torch.randint(1, 256, (18, 2, 4, 5), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    given = x.clone()
    got = _tensor(see(given, view.clone(), shift=shift), x.shape, "one picture for each that came, as large as it was")
    expect(
        got.dtype == x.dtype,
        f"the pictures came as {_type(x)} and went as {_type(got)}: four times the bytes, or a rounding. A view moves pixels; "
        "keep their type.",
    )
    expect(torch.equal(given, x), "your function changed the pictures that it was given. Write into a new tensor.")
    truth = _cut(x, view, shift)
    rolled = [
        one.roll((shift - v // 2 // side, shift - v // 2 % side), (-2, -1))
        for one, v in zip(x, view.tolist(), strict=True)
    ]
    rolled = torch.stack([one.flip(-1) if v % 2 else one for one, v in zip(rolled, view.tolist(), strict=True)])
    mirrored = (view % 2 == 1)[:, None, None, None]
    wrong = {
        "every picture was seen in the first picture's view. Each has its own: view is (B,).": _cut(
            x, view[:1].expand(18), shift
        ),
        "every picture was seen in the last picture's view. Each has its own: view is (B,).": _cut(
            x, view[-1:].expand(18), shift
        ),
        "the mirror comes before the cut in yours: then `right` counts from the other side. Cut first, then mirror what was "
        "cut out.": _cut(x, view, shift, right=lambda v: 2 * shift - v // 2 % side if v % 2 else v // 2 % side),
        "down and right have changed places: corner = down * (2 * shift + 1) + right, so right is the remainder.": _cut(
            x, view, shift, down=lambda v: v // 2 % side, right=lambda v: v // 2 // side
        ),
        "what leaves the picture on one side comes in again on the other. Outside of a picture there is black: frame it with "
        "zeros, then cut.": rolled,
        "no picture is mirrored. The last bit of a view's number, view % 2, says which are.": _cut(
            x, view, shift, mirrored=lambda v: 0
        ),
        "every picture is mirrored. The last bit of a view's number, view % 2, says which are.": _cut(
            x, view, shift, mirrored=lambda v: 1
        ),
        "the wrong half is mirrored. Where the last bit of a view's number is 1 the picture is mirrored; where it is 0 it "
        "stays.": _cut(x, view, shift, mirrored=lambda v: 1 - v % 2),
        "the frame repeats the picture, like a mirror at its border. It is black: zeros.": _cut(
            x, view, shift, frame="reflect"
        ),
        "the frame repeats the picture's last pixels. It is black: zeros.": _cut(x, view, shift, frame="replicate"),
        "mirrored pictures stand on their heads: left and right change places, which is the last dimension.": torch.where(
            mirrored, truth.flip(-1, -2), truth
        ),
        "mirrored pictures are turned by 180 degrees: left and right change places alone, which is the last dimension.": torch.where(
            mirrored, truth.flip(-2), truth
        ),
        "the picture moves the wrong way: (down, right) is the corner of what is cut out, counted from the framed picture's "
        "corner.": _cut(
            x, view, shift, down=lambda v: 2 * shift - v // 2 // side, right=lambda v: 2 * shift - v // 2 % side
        ),
    }
    for sentence, picture in wrong.items():
        expect(not torch.equal(got, picture), sentence)
    bad = next((i for i in range(18) if not torch.equal(got[i], truth[i])), None)
    if bad is not None:
        v = int(view[bad])
        raise NotYet(
            f"view {v} of shift {shift} is down={v // 2 // side}, right={v // 2 % side}, {'' if v % 2 else 'not '}mirrored; in "
            f"yours the first row of that picture is {got[bad, 0, 0].tolist()} and should be {truth[bad, 0, 0].tolist()}."
        )
    numbers, view = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 81, 160, 35])
    got = _tensor(see(numbers, view), numbers.shape, "four views of the stub's own shift=4")
    expect(
        torch.equal(got, _cut(numbers, view, 4)),
        "right for shift=1 and wrong for the stub's own shift=4. Is a number written into your code where shift belongs?",
    )
    small = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)  # by hand: the corner (2, 2) holds the 4 alone
    expect(
        see(small, torch.tensor([17]), 1).tolist() == [[[[0, 4], [0, 0]]]],
        "the picture [[1, 2], [3, 4]] in view 17 of shift 1 is [[0, 4], [0, 0]]; yours is not. Is a size written into your code?",
    )


def _type(t):
    return str(t.dtype).removeprefix("torch.")


# ---- 5.2 a teacher is asked ----


def ask(teacher, x):
    teacher.eval()
    with torch.no_grad():
        return teacher(x)


class _Teacher(nn.Sequential):
    """A teacher with dropout and batch norm that remembers whether gradients were on when it was asked."""

    def __init__(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            super().__init__(
                nn.Flatten(), nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.ReLU(), nn.Linear(12, 3)
            )
        self[2].running_mean += 0.3
        self.asked = []

    def forward(self, x):
        self.asked.append(torch.is_grad_enabled())
        return super().forward(x)


def _examine_ask(ask):
    x = 3 * _random(6, 16, 1, 2, 2)
    teacher = _Teacher().train()
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    got = _tensor(ask(teacher, x.clone()), (16, 3), "one logit for each picture and class")
    moved = [name for name, value in teacher.state_dict().items() if not torch.equal(value, state[name])]
    if moved:
        how = "the teacher was in training mode, where batch norm learns from every batch that it sees."
        if teacher.asked and not teacher.asked[-1]:
            how = f"no_grad() stops gradients and nothing else: {how}"
        elif not any(p.requires_grad for p in teacher.parameters()):
            how = f"requires_grad=False holds weights still, and {moved[0]} is no weight: {how}"
        raise NotYet(f"asking changed the teacher ({', '.join(moved[:2])}). In yours, {how} Which mode is it asked in?")
    expect(
        not got.requires_grad,
        "the answers still carry the graph that made them: the teacher's weights ask for gradients here, and every step would "
        "keep all of its activations. Ask under torch.no_grad().",
    )
    expect(
        not got.is_inference(),
        "answers made in inference_mode() cannot stand in every loss: (student - answers)**2 would fail at backward(). Ask "
        "under torch.no_grad().",
    )
    again = ask(teacher, x.clone())
    expect(
        torch.equal(again, got),
        "asked twice about the same pictures, the teacher says two things: dropout still throws parts of its answer away. In "
        "which mode does it (or a copy of it) answer?",
    )
    alone = torch.cat([ask(teacher, x[i : i + 2]) for i in range(0, 16, 2)])
    expect(
        torch.allclose(alone, got, atol=1e-4),
        "what the teacher says of a picture depends on the others in the batch: batch norm still takes its averages from the "
        "batch. In which mode does it (or a copy of it) answer?",
    )
    with torch.no_grad():
        truth = copy.deepcopy(teacher).eval()(x)
    expect(
        not torch.allclose(got, truth.softmax(-1), atol=1e-5),
        "probabilities came. Logits are asked for: a softmax can be taken later, at any temperature, and not be undone.",
    )
    expect(
        not torch.allclose(got, truth.log_softmax(-1), atol=1e-5),
        "log-probabilities came. Logits are asked for, as the teacher's last layer gives them.",
    )
    expect(
        torch.allclose(got, truth, atol=1e-5),
        f"for the first picture the teacher in eval mode says {_numbers(truth[0])}; yours says {_numbers(got[0])}.",
    )
    ask(teacher.eval(), x)
    expect(
        not any(part.training for part in teacher.modules()),
        "a teacher that came in eval mode was left in train mode. Leave it in eval mode, or in the mode that it had.",
    )
    teacher[2].train()  # as after teacher.eval(), when something calls .train() on one part
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    got = ask(teacher, x)
    same = all(torch.equal(value, state[name]) for name, value in teacher.state_dict().items())
    expect(
        same and torch.allclose(got, truth, atol=1e-5),
        "teacher.training was False, and one layer of it was in train mode all the same: each part has its own mode. Call "
        "teacher.eval() whatever teacher.training says; it reaches every part.",
    )


def _numbers(row):
    return "(" + ", ".join(f"{value:.2f}" for value in row.tolist()) + ")"


# ---- 5.3 what can be gained ----


def gains(teacher_forward, student_step, views, epochs, students):
    bound = (teacher_forward + student_step) / student_step
    passes = epochs * students
    share = (views * teacher_forward + passes * student_step) / (passes * (teacher_forward + student_step))
    return bound, share


def _examine_gains(gains):
    t, s, views, epochs, students = 8.0, 2.0, 10, 20, 3
    got = gains(t, s, views, epochs, students)
    expect(got is not None, "your function returned None. End it with `return bound, share`.")
    expect(isinstance(got, tuple | list) and len(got) == 2, f"expected two numbers, (bound, share); got {_short(got)}.")
    for value in got:
        good = isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1)
        expect(good, f"expected two plain numbers; one of yours is {_short(value)}.")
    bound, share = (float(value) for value in got)
    seen = f"A teacher's pass costs {t:g}, a student's step {s:g}:"
    _unless(
        bound,
        {
            "the two numbers are in the wrong order: the bound first, then the share.": 1 / 3,
            f"{seen} the bound is turned round ({bound:.2f}). The online step is the longer one: how many times faster is the "
            "cached one?": s / (t + s),
            f"{seen} {bound:g} is the teacher's cost over the student's. An online step has both in it, a cached step only the "
            "student's: (8 + 2) to 2.": t / s,
            f"{seen} {bound:g} is what leaving out the student would gain. The cache leaves out the teacher.": (t + s)
            / t,
            f"{seen} {bound:g} counts a backward pass for the teacher. It learns nothing: its pass is a forward pass, and "
            "teacher_forward is all of it.": (3 * t + s) / s,
            f"{seen} {bound:g} counts the student three times over. student_step has its forward and its backward pass in "
            "it.": (t + 3 * s) / (3 * s),
        },
        (t + s) / s,
        f"{seen} an online step costs 10 and a cached one 2, so the bound is 5; yours is {bound:.2f}.",
    )
    passes = epochs * students
    online, cached = passes * (t + s), views * t + passes * s
    seen = "10 views, 20 epochs, 3 students:"
    _unless(
        share,
        {
            f"{seen} {share:.2f} is without the building of the cache: the teacher looks at every picture once in each of the 10 "
            "views.": passes * s / online,
            f"{seen} in yours every student builds a cache of its own (or only one student learns). One cache serves all 3.": (
                students * views * t + passes * s
            )
            / online,
            f"{seen} the share is turned round ({share:.2f}): the cost with the cache stands over the cost online.": online
            / cached,
            f"{seen} {share:.2f} is what the cache saves. The share that it still costs is asked for.": 1
            - cached / online,
            f"{seen} in yours the online teacher answers once per epoch for all students. Each student asks for itself, in views "
            "of its own.": cached / (epochs * t + passes * s),
            f"{seen} in yours one view is built. The teacher looks at every picture once in each of the 10 views.": (
                t + passes * s
            )
            / online,
            f"{seen} in yours the cache is built again in every epoch. That is what caching spares.": (
                epochs * views * t + passes * s
            )
            / online,
            f"{seen} {share:.2f} is the gain in time of a step again. The share counts everything, the building too.": (
                t + s
            )
            / s,
            f"{seen} a division rounds to a whole number in yours. Take / and not //.": 0.0,
        },
        cached / online,
        f"{seen} with the cache a picture costs 10 * 8 + 60 * 2 = 200, online 60 * (8 + 2) = 600. The share is 0.33; yours is "
        f"{share:.2f}.",
    )
    bound, share = (float(value) for value in gains(9e9, 3e9, 162, 30, 1))
    expect(
        math.isclose(bound, 4, rel_tol=1e-6),
        f"right for costs of 8 and 2; for 9e9 and 3e9 the bound is 4, and yours is {bound:.3g}. Is a number written into it?",
    )
    expect(
        math.isclose(share, 4.3, rel_tol=1e-6),
        f"162 views for one student of 30 epochs: the cache costs 4.30 times what online costs; yours says {share:.2f}. A share "
        "above 1 is a result, too: then caching does not pay in FLOPs.",
    )
    _, share = gains(7, 5, 60, 20, 3)
    expect(
        math.isclose(float(share), 1, rel_tol=1e-6),
        f"with 60 views and 3 students of 20 epochs each, both ways cost the same, a share of 1; yours is {float(share):.2f}.",
    )


def _unless(value, wrong, truth, sentence):
    """Pass when the value is true; else the sentence of the wrong number that it equals, or the last one."""
    if not math.isclose(value, truth, rel_tol=1e-6):
        raise NotYet(
            next((why for why, number in wrong.items() if math.isclose(value, number, rel_tol=1e-6)), sentence)
        )


# ---- 5.4 a word for all that the answers depend on ----


def cache_key(teacher, x, views):
    weights = {f"teacher.{name}": value for name, value in teacher.state_dict().items()}
    return fingerprint({"layers": str(teacher), **weights, "x": x, "views": views})


def _keyed_teacher():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return nn.Sequential(nn.Linear(48, 40), nn.BatchNorm1d(40), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 40))


class _Elsewhere:
    """hash() as the answer's own lines get it in another process: each text has another number (PYTHONHASHSEED)."""

    def __init__(self, answer):
        self.real, self.theirs = builtins.hash, getattr(answer, "__globals__", None)

    def __call__(self, value):
        salted = sys._getframe(1).f_globals is self.theirs and self._has_text(value)
        return self.real(value) ^ 0x5DEECE66D if salted else self.real(value)

    def _has_text(self, value):
        return isinstance(value, str | bytes) or (isinstance(value, tuple) and any(map(self._has_text, value)))


def _examine_cache_key(cache_key):
    x = torch.randint(0, 256, (60, 48), generator=torch.Generator().manual_seed(8)).to(torch.uint8)
    views = torch.tensor([80, 17, 3, 121])
    teacher = _keyed_teacher()

    def key_of(change=lambda teacher, x, views: None, teacher=teacher):
        changed = copy.deepcopy(teacher), x.clone(), views.clone()
        with torch.no_grad():
            new = change(*changed)
        return cache_key(*(new or changed))

    key = cache_key(teacher, x, views)
    expect(key is not None, "your function returned None. End it with `return` and the word.")
    expect(isinstance(key, str), f"a word was expected, a str; a {type(key).__name__} came.")
    expect(
        re.fullmatch(r"[\w.=+-]{1,64}", key),
        f"a word of at most 64 characters was expected, letters and digits, so that it can be part of a file's name; yours "
        f"has {len(key)} characters and starts {key[:20]!r}. hashlib.sha256(...).hexdigest() gives 64.",
    )
    expect(cache_key(teacher, x, views) == key, "asked twice, it gives two words. Do a clock or random numbers go in?")
    with mock.patch("builtins.hash", _Elsewhere(cache_key)):
        expect(
            cache_key(teacher, x, views) == key,
            "the word is made with Python's hash(), which gives a text another number in every process: tomorrow no cache "
            "would be found. Take hashlib.sha256.",
        )
    expect(
        key_of(teacher=_keyed_teacher()) == key,
        "an equal teacher, equal pictures and equal views got another word. Does the place in memory go in (id, hash or the "
        "printed name of an object)? Take the numbers themselves.",
    )
    expect(
        key_of(lambda teacher, x, views: teacher.eval() and None) == key,
        "switching the teacher from train to eval mode changed the word, and it changes no weight. Take its state_dict().",
    )
    expect(
        key_of(lambda teacher, x, views: teacher.requires_grad_(False) and None) == key,
        "freezing the teacher (requires_grad_(False)) changed the word, and it changes no weight. Take the numbers alone.",
    )
    for change, (what, look) in CHANGES.items():
        expect(key_of(change) != key, f"{what} and the word stayed: a wrong cache would be served. {look}")


def _all_weights(teacher, x, views):
    for p in teacher.parameters():
        p += 1


def _a_weight_in_the_middle(teacher, x, views):
    teacher[2].weight[20, 20] += 1


def _swap_weights(teacher, x, views):
    teacher[2].weight[20, [20, 21]] = teacher[2].weight[20, [21, 20]].clone()


def _last_bit(teacher, x, views):
    teacher[2].weight.view(torch.int32)[20, 20] ^= 1


def _swap_layers(teacher, x, views):
    teacher[2], teacher[4] = teacher[4], teacher[2]


def _average(teacher, x, views):
    teacher[1].running_mean[20] += 0.5


def _variance(teacher, x, views):
    teacher[1].running_var[20] += 0.5


def _other_pictures(teacher, x, views):
    return teacher, 255 - x, views


def _other_layer(teacher, x, views):
    teacher[3] = nn.GELU()


def _one_pixel(teacher, x, views):
    x[30, 24] ^= 1


def _swap_pictures(teacher, x, views):
    x[[30, 31]] = x[[31, 30]]


def _other_views(teacher, x, views):
    views += 1


def _one_view(teacher, x, views):
    views[-1] = 122


def _swap_views(teacher, x, views):
    views[[1, 2]] = views[[2, 1]]


CHANGES = {  # what changes, and where to look when the word stays
    _all_weights: (
        "every weight of the teacher changed",
        "Names and shapes are not what the teacher knows: its numbers must go in.",
    ),
    _a_weight_in_the_middle: (
        "one weight in the middle of the teacher grew by 1",
        "Does all of each tensor go in? A printed tensor leaves out its middle.",
    ),
    _swap_weights: (
        "two weights of the teacher changed places",
        "A sum forgets the order. Take the bytes, .cpu().numpy().tobytes().",
    ),
    _last_bit: (
        "the last bit of one weight changed",
        "Rounding, and sums of many numbers, lose it. Take the bytes, .cpu().numpy().tobytes().",
    ),
    _swap_layers: (
        "two layers of the same shape changed places",
        "Go through the tensors in their order: what sorts or adds them forgets which layer is which.",
    ),
    _average: ("the average that batch norm keeps changed", "It is a buffer and no parameter: state_dict() has both."),
    _variance: ("the variance that batch norm keeps changed", "Every buffer counts: state_dict() has them all."),
    _other_pictures: ("all pictures changed", "x must go in, and not its shape alone."),
    _one_pixel: ("one pixel changed by one", "Does every picture go in, in all its bytes?"),
    _swap_pictures: (
        "two pictures changed places",
        "Row 7 of the cache would belong to another picture. Sums and sorting forget the order.",
    ),
    _other_views: ("all views changed", "views must go in, and not their number alone."),
    _one_view: ("the last view changed", "Do all of them go in?"),
    _swap_views: (
        "two views changed places",
        "Layer 1 of the cache would be another view. Sums, sets and sorting forget the order.",
    ),
    _other_layer: (
        "a GELU stands where a ReLU stood, with the same weights,",
        "What has no weights is not in state_dict(): str(teacher) names every layer.",
    ),
}


# ---- 5.5 looked up ----


def look_up(kept, views, rows, view):
    same = views == view[:, None]  # (B, K)
    if not same.any(1).all():
        raise KeyError(f"views {view[~same.any(1)].tolist()} were not asked")
    return kept[same.int().argmax(1), rows].float()


def _examine_look_up(look_up):
    views, rows, view = torch.tensor([2, 0, 3, 1]), torch.tensor([3, 1, 0, 3]), torch.tensor([1, 2, 0, 3])
    kept = _kept(4, 4)
    slot = torch.tensor([3, 0, 1, 2])  # by hand: where each of `view` stands in `views`
    got = look_up(kept.clone(), views.clone(), rows.clone(), view.clone())
    expect(
        not (isinstance(got, torch.Tensor) and got.ndim == 3),
        f"a logit for each picture and class was expected, (4, 3); {tuple(getattr(got, 'shape', ()))} came: every view was "
        "paired with every row. kept[slots, rows] with two tensors (B,) pairs them one by one.",
    )
    got = _tensor(got, (4, 3), "one logit for each picture and class")
    wrong = {
        "the view's number was taken as the layer's. Layer k holds the view views[k]: look for it there.": kept[
            view, rows
        ],
        "rows and layers have changed places: kept is (K, N, C), the layer comes first.": kept[rows, slot],
        "all pictures were answered from the first one's view. Each has its own: view is (B,).": kept[slot[0], rows],
        "all pictures were answered from the last one's view. Each has its own: view is (B,).": kept[slot[-1], rows],
        "the pictures are rows 0, 1, 2, ... in yours. Take the rows that were asked for.": kept[slot, torch.arange(4)],
        "views was read backwards: views[k] is the view in layer k; the layer of a view is where it stands in views.": kept[
            views[view], rows
        ],
    }
    for sentence, value in wrong.items():
        expect(not torch.equal(got.half(), value), sentence)
    expect(
        torch.equal(got.half(), kept[slot, rows]),
        f"row {rows[0]} in view {view[0]} is in layer {slot[0]} and begins {kept[slot[0], rows[0], 0]:g}; yours begins "
        f"{got[0, 0]:g}.",
    )
    expect(
        got.dtype == torch.float32,
        f"{_type(got)} came and float32 was expected: half precision is for keeping; the loss computes with .float().",
    )
    kept, views = _kept(3, 6), torch.tensor([80, 7, 161])
    rows, view = torch.tensor([5, 0, 5, 2, 1]), torch.tensor([7, 161, 80, 80, 161])
    got = _tensor(look_up(kept, views, rows, view), (5, 3), "5 pictures, 3 classes")
    expect(
        torch.equal(got, kept[torch.tensor([1, 2, 0, 0, 2]), rows].float()),
        "right for the views 2, 0, 3, 1 and wrong for the views 80, 7, 161. They are in no order, and their numbers have gaps.",
    )
    for stranger in (8, 0, 300):  # between those that were asked, below and above them
        try:
            got = look_up(kept, views, rows, torch.tensor([7, 161, stranger, 80, 161]))
        except Exception:
            continue
        first = f" with {got[2, 0]:g}, ..." if isinstance(got, torch.Tensor) and got.ndim == 2 else ""
        raise NotYet(
            f"view {stranger} was never asked, and it is answered{first}: a student would learn from another view's answer, and "
            "nobody would know. Raise an error for a view that is not among views."
        )


def _kept(K, N):
    """Answers that say where they stand: layer k, row n, class c is 100 k + 10 n + c, exact in half precision."""
    k, n, c = torch.meshgrid(torch.arange(K), torch.arange(N), torch.arange(3), indexing="ij")
    return (100 * k + 10 * n + c).half()


# ---- 5.6 one step ----


def step(student, optimiser, x, labels, answers, loss, device_type="cpu"):
    optimiser.zero_grad()
    with torch.autocast(device_type, torch.bfloat16):
        logits = student(x)
    value = loss(logits.float(), labels, answers)
    value.backward()
    optimiser.step()
    return value.detach()


class _Diary:
    """A student, its optimiser and a loss that write down what happens to them, in order."""

    def __init__(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(9)
            self.student = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.events, self.made_in, self.values, self.loss_in = [], set(), [], []
        for layer in (self.student[1], self.student[3]):
            layer.register_forward_hook(lambda layer, x, out: self.made_in.add(out.dtype))
        self.student[3].weight.register_post_accumulate_grad_hook(lambda p: self.events.append("backward"))
        self.optimiser = torch.optim.SGD(self.student.parameters(), lr=0.5)
        self.optimiser.register_step_pre_hook(lambda *_: self.events.append("step"))

    def loss(self, logits, labels, answers):
        self.loss_in.append(logits.dtype if not torch.is_autocast_enabled("cpu") else torch.float32)
        value = _step_loss(logits, labels, answers)
        self.values.append(value.detach().float())
        return value

    def weights(self):
        return torch.cat([p.detach().flatten().float() for p in self.student.parameters()])


def _step_loss(logits, labels, answers):
    """Computes in what it is given, as torch's own losses do; under autocast they take float32."""
    return F.cross_entropy(logits, labels) + 0.1 * F.mse_loss(logits, answers.to(logits.dtype))


def _examine_step(step):
    batches = [(_random(s, 12, 1, 2, 2), torch.arange(12) % 3, _random(s + 1, 12, 3)) for s in (10, 20, 30)]
    diary, before = _Diary(), torch.get_autocast_dtype("cpu")
    torch.set_autocast_dtype("cpu", torch.float16)  # what a GPU's autocast takes where nothing is said
    try:
        _examine_steps(step, diary, batches)
    finally:
        torch.set_autocast_dtype("cpu", before)


def _examine_steps(step, diary, batches):
    x, labels, answers = batches[0]
    start = diary.weights()
    got = step(diary.student, diary.optimiser, x, labels, answers, diary.loss, "cpu")
    expect(got is not None, "your function returned None. End it with `return` and the loss, detached.")
    expect(diary.made_in, "the student was not asked: its logits are student(x).")
    expect(diary.values, "the loss was not computed: it is loss(logits, labels, answers).")
    types = {_type(p) for p in diary.student.parameters()}
    expect(
        types == {"float32"},
        f"the student's weights are {', '.join(sorted(types))} now. A step of a thousandth of a weight is lost in bfloat16, which "
        "has 8 bits for it: autocast computes in bfloat16 and leaves the weights in float32.",
    )
    expect(
        diary.made_in != {torch.float32},
        "the student's layers computed in float32 throughout. Run student(x) inside `with torch.autocast(device_type, "
        "torch.bfloat16):`.",
    )
    expect(
        diary.made_in == {torch.bfloat16},
        f"the student's layers gave {', '.join(sorted(str(t).removeprefix('torch.') for t in diary.made_in))}, and bfloat16 was "
        "expected. Left alone, autocast takes float16 on a GPU, whose small gradients become 0: name torch.bfloat16.",
    )
    expect(
        set(diary.loss_in) == {torch.float32},
        "the loss was given bfloat16 logits outside of autocast, and a loss computes in what it is given: two or three decimal "
        "digits. Give it logits.float(), or compute it under autocast.",
    )
    _expect_the_weights_moved(diary, start)
    expect(
        isinstance(got, torch.Tensor),
        f"a {type(got).__name__} came back. For .item() or float() the processor waits until the GPU has finished, at every "
        "step: return the tensor, loss.detach().",
    )
    expect(
        got.shape == (),
        f"the loss is one number, a tensor of shape (); shape {tuple(got.shape)} came.",
    )
    expect(
        not got.requires_grad,
        "the loss that came back still carries its graph: whoever adds it up keeps every step's activations. Return "
        "loss.detach().",
    )
    expect(
        torch.allclose(got.float(), diary.values[-1]),
        f"the loss was {diary.values[-1]:.4f} and {got:.4f} came back. Return what loss(logits, labels, answers) gave.",
    )
    _expect_move(diary, start, batches[0], "")
    for batch in batches[1:]:
        start = diary.weights()
        step(diary.student, diary.optimiser, *batch, diary.loss, "cpu")
        _expect_move(
            diary,
            start,
            batch,
            " The first step was right, so gradients of earlier steps are still in the sum: clear them with "
            "optimiser.zero_grad() before each backward().",
        )


def _expect_the_weights_moved(diary, start):
    if not torch.equal(diary.weights(), start):
        return
    expect("backward" in diary.events, "no gradient reached the student. Is backward() called on the loss?")
    expect("step" in diary.events, "the weights did not move. Is optimiser.step() called?")
    raise NotYet(
        "optimiser.step() ran before backward() had given it gradients: a step takes those of the batch before. The order is "
        "zero_grad, forward, backward, step."
        if diary.events.index("step") < diary.events.index("backward")
        else "the gradients were cleared between backward() and step(), so nothing moved. Clear them before backward()."
    )


def _expect_move(diary, start, batch, why):
    """The weights moved by the learning rate times the gradient that torch gives for this batch alone."""
    x, labels, answers = batch
    twin = _Diary().student
    nn.utils.vector_to_parameters(start.clone(), twin.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        logits = twin(x)
    gradient = torch.autograd.grad(_step_loss(logits.float(), labels, answers), list(twin.parameters()))
    wanted = -0.5 * torch.cat([g.flatten() for g in gradient])
    moved = diary.weights() - start
    off = (moved - wanted).norm() / wanted.norm()
    expect(
        off < 0.05,
        f"the weights did not move by the learning rate times this batch's gradient (off by {off:.0%}).{why}",
    )


# ---- 5.7 faster, or not ----


def faster(old, new):
    ratios = (new / old).tolist()
    return statistics.median(ratios), min(ratios), max(ratios)


def _examine_faster(faster):
    old = torch.tensor([100.0, 120, 48, 150, 90], dtype=torch.float64)  # the third block met a busy moment
    new = torch.tensor([120.0, 156, 84, 165, 144], dtype=torch.float64)
    middle, low, high = _three(faster, old, new)  # 1.2, 1.3, 1.75, 1.1, 1.6
    seen = "Five blocks at 100, 120, 48, 150, 90 and then at 120, 156, 84, 165, 144:"
    if (low, middle) == (1.3, 1.1) or (middle, high) == (1.75, 1.3):
        raise NotYet(
            "the three numbers are right and in another order. Return the middle first, then the smallest, then the largest."
        )
    _unless(
        middle,
        {
            f"{seen} {middle:.2f} says how many times *slower* the new one is. Divide the new speed by the old one.": 1
            / 1.3,
            f"{seen} {middle:.2f} is the mean of the ratios. One busy block moves a mean; take the one in the middle.": 1.39,
            f"{seen} {middle:.2f} compares the two medians, which may come from different moments. Compare block by block, then "
            "take the middle of the ratios.": 1.44,
            f"{seen} {middle:.2f} compares the sums or the means of all blocks. Compare block by block, then take the middle of "
            "the ratios.": 669 / 508,
            f"{seen} {middle:.2f} pairs the blocks by their rank: the speeds were sorted first. Blocks with the same number ran "
            "at the same moment; sort the ratios, if anything.": 4 / 3,
            f"{seen} {middle:.2f} is the block in the middle of the race. The ratio in the middle by size is asked for.": 1.75,
            f"{seen} {middle:.2f} is the first block alone.": 1.2,
            f"{seen} {middle:.2f} is the last block alone.": 1.6,
            f"{seen} {middle:.2f} is the fastest block against the fastest. A lucky block on either side decides; compare block "
            "by block.": 1.1,
            f"{seen} {middle:.2f} is what was won. How many *times* faster counts from 1: twice as fast is 2.": 0.3,
            f"{seen} {middle:.2f} is a percentage. How many *times* faster is asked for: twice as fast is 2.": 30,
            f"{seen} {middle:.2f} is a difference of speeds. Divide.": 36,
        },
        1.3,
        f"{seen} the ratios are 1.20, 1.30, 1.75, 1.10, 1.60, and 1.30 is in the middle; yours is {middle:.2f}.",
    )
    for name, value, truth, pairs in (("smallest", low, 1.1, 84 / 150), ("largest", high, 1.75, 165 / 48)):
        _unless(
            value,
            {
                f"the {name} ratio is {value:.2f} in yours: a block against another block of the race. Only blocks with the same "
                "number met the same moment.": pairs,
                f"the {name} and the other end have changed places: the smallest comes second, the largest last.": 1.1
                + 1.75
                - truth,
            },
            truth,
            f"the ratios are 1.20, 1.30, 1.75, 1.10, 1.60: the {name} is {truth:.2f}, and yours is {value:.2f}.",
        )
    old = torch.tensor([100.0, 200, 50, 80], dtype=torch.float64)
    new = torch.tensor([120.0, 180, 75, 80], dtype=torch.float64)  # 1.2, 0.9, 1.5, 1.0
    middle, low, high = _three(faster, old, new)
    _unless(
        middle,
        {
            "with four blocks two ratios are in the middle, 1.0 and 1.2, and yours is the smaller, as Tensor.median() takes it. "
            "Take their mean: statistics.median does, or .quantile(0.5).": 1.0,
            "with four blocks two ratios are in the middle, 1.0 and 1.2, and yours is the larger. Take their mean.": 1.2,
        },
        1.1,
        f"with four blocks of ratios 1.2, 0.9, 1.5, 1.0 the middle is 1.10, and yours is {middle:.2f}.",
    )
    expect(
        math.isclose(low, 0.9, rel_tol=1e-6) and math.isclose(high, 1.5, rel_tol=1e-6),
        f"with ratios 1.2, 0.9, 1.5, 1.0 the ends are 0.90 and 1.50; yours are {low:.2f} and {high:.2f}. A ratio below 1 is a "
        "result, too: the new one was slower.",
    )
    old, new = torch.tensor([7.0, 11, 13], dtype=torch.float64), torch.tensor([3.0, 7, 11], dtype=torch.float64)
    for what, value, truth in zip(
        ("middle", "smallest", "largest"), _three(faster, old, new), (7 / 11, 3 / 7, 11 / 13), strict=True
    ):
        expect(
            math.isclose(value, truth, rel_tol=1e-6),
            f"right for the other races; with three blocks, at 7, 11, 13 and then at 3, 7, 11, the {what} ratio is {truth:.6f}, and "
            f"yours is {value:.6f}. Is something rounded, or written for one number of blocks?",
        )


def _three(faster, old, new):
    """The answer's three numbers as floats; a sentence when they are something else, or the speeds were changed."""
    given = old.clone(), new.clone()
    got = faster(*given)
    expect(got is not None, "your function returned None. End it with `return middle, low, high`.")
    if isinstance(got, torch.Tensor) and got.shape == (3,):
        got = tuple(got)
    expect(
        isinstance(got, tuple | list) and len(got) == 3,
        f"three numbers were expected, (middle, smallest, largest); {_short(got)} came.",
    )
    for value in got:
        good = isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1)
        expect(good, f"three plain numbers were expected; one of yours is {_short(value)}.")
    expect(
        torch.equal(given[0], old) and torch.equal(given[1], new),
        "your function changed the speeds that it was given, and the lesson needs them again. Work on new tensors.",
    )
    return [round(float(value), 9) for value in got]


def _short(value):
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "5.1",
            "See a picture in a view",
            10,
            3,
            augment,
            _examine_see,
            (
                "Take the number apart first: corner = view // 2, mirrored = view % 2; then corner // (2 * shift + 1) is down, and "
                "the remainder is right.",
                "F.pad(x, [shift] * 4) puts the black frame around every picture. Then a loop over the batch may cut each one out: "
                "framed[i, :, down:down + h, right:right + w].",
                "Mirror what was cut out, where the last bit is set, with .flip(-1); torch.stack puts the pictures together.",
            ),
        ),
        Exercise(
            "5.2",
            "Ask a teacher, whatever mode it is in",
            5,
            1,
            ask,
            _examine_ask,
            (
                "Two things are switched, and neither does the other's work: how the layers behave, and whether gradients are kept.",
                "teacher.eval() for dropout and batch norm, `with torch.no_grad():` around teacher(x).",
            ),
        ),
        Exercise(
            "5.3",
            "What a cache can gain",
            6,
            2,
            gains,
            _examine_gains,
            (
                "Write down one picture's costs: an online step is a teacher's pass and a student's step, a cached one the "
                "student's step alone.",
                "Online, the step is paid epochs * students times. With the cache, the teacher is paid `views` times in all, and "
                "the student's step as often as before.",
            ),
        ),
        Exercise(
            "5.4",
            "The key of a cache",
            8,
            2,
            cache_key,
            _examine_cache_key,
            (
                "teacher.state_dict() has the weights and the buffers, str(teacher) the layers. All of it goes in, then x, then views, "
                "in this order.",
                "digest = hashlib.sha256(); digest.update(bytes) takes in one piece after the other; digest.hexdigest() is the word.",
                "A tensor's bytes are value.cpu().numpy().tobytes(). Put its name in as well: name.encode().",
            ),
        ),
        Exercise(
            "5.5",
            "Look up what the teacher said",
            7,
            2,
            look_up,
            _examine_look_up,
            (
                "For each picture you need two numbers: its row, and the layer k with views[k] equal to its view.",
                "same = views == view[:, None] is (B, K): in each row one True, or none, and then an error is due.",
                "kept[same.int().argmax(1), rows] pairs layers and rows one by one. .float() at the end.",
            ),
        ),
        Exercise(
            "5.6",
            "A step in mixed precision",
            7,
            2,
            step,
            _examine_step,
            (
                "Only the forward pass runs under torch.autocast(device_type, torch.bfloat16). The weights stay as they are.",
                "The order is zero_grad, forward, loss of logits.float(), backward, step.",
                "Return value.detach(): a tensor, so that nobody waits for its number.",
            ),
        ),
        Exercise(
            "5.7",
            "Faster, or not",
            5,
            1,
            faster,
            _examine_faster,
            (
                "new / old divides block by block: one ratio for each pair of blocks that ran side by side.",
                "statistics.median finds the middle of a list, also of an even number; ratios.tolist() makes a list of a tensor.",
                "Return three numbers: the middle, min(...), max(...).",
            ),
        ),
    )
}
