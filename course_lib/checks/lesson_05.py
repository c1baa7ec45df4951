"""Checks of lesson 05: what makes distillation fast at full size, and what must stay exact while it becomes fast.

Judged against plain slicing, against torch, and against numbers worked out by hand.
"""

import copy
import re
import statistics
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from course_lib.checks import trial
from course_lib.checks.exercise import Exercise, expect
from course_lib.checks.table import Case, Table, instead
from course_lib.data import augment
from course_lib.models import fingerprint

# ---- what the lesson goes on with until the learner's own answers are right ----


def ask(teacher, x):
    teacher.eval()
    with torch.no_grad():
        return teacher(x)


def gains(teacher_forward, student_step, views, epochs, students):
    bound = (teacher_forward + student_step) / student_step
    steps = epochs * students
    share = (views * teacher_forward + steps * student_step) / (steps * (teacher_forward + student_step))
    return bound, share


def cache_key(teacher, x, views):
    weights = {f"teacher.{name}": value for name, value in teacher.state_dict().items()}
    return fingerprint({"layers": str(teacher), **weights, "x": x, "views": views})


def look_up(kept, views, rows, view):
    same = views == view[:, None]  # (B, K)
    if not same.any(1).all():
        raise KeyError(f"views {view[~same.any(1)].tolist()} were not asked")
    return kept[same.int().argmax(1), rows].float()


def step(student, optimiser, x, labels, answers, loss, device_type="cpu"):
    optimiser.zero_grad()
    with torch.autocast(device_type, torch.bfloat16):
        logits = student(x)
    value = loss(logits.float(), labels, answers)
    value.backward()
    optimiser.step()
    return value.detach()


def faster(old, new):
    ratios = (new / old).tolist()
    return statistics.median(ratios), min(ratios), max(ratios)


def random(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def typed(value):
    """float32, uint8"""
    return str(getattr(value, "dtype", value)).removeprefix("torch.")


def of_type(value, dtype, why):
    """The value; a sentence where it is a tensor of the same sort of numbers, and of another type."""
    near = isinstance(value, torch.Tensor) and value.is_floating_point() == dtype.is_floating_point
    expect(not near or value.dtype == dtype, f"{typed(dtype)} is expected, and {typed(value)} came. {why}")
    return value


# ---- 5.1 views ----


def sliced(x, view, shift=4):
    """What see is to give, picture by picture with slices."""
    h, w, seen = *x.shape[2:], []
    for one, v in zip(x, view.tolist(), strict=True):
        corner, mirrored = divmod(v, 2)
        down, right = divmod(corner, 2 * shift + 1)
        framed = F.pad(one[None].double(), [shift] * 4)[0]
        cut = framed[:, down : down + h, right : right + w]
        seen.append(cut.flip(-1) if mirrored else cut)
    return torch.stack(seen).to(x.dtype)


def viewing(seen, x, view, why, *shift):
    view = torch.tensor(view)
    return Case(seen, (x, view, *shift), sliced(x, view, *shift), why)


def pictures(seed, *shape):
    return torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


APART = "view = (down * (2 * shift + 1) + right) * 2 + mirrored: take it apart from the end. Outside of a picture there is black."
SMALL = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
CORNER = "It is [[0, 4], [0, 0]]: down 2 and right 2 leave the 4 alone, and then it is mirrored."
DIVMOD, WINDOW = "divmod(corner, 2 * shift + 1)", "framed[:, down : down + h, right : right + w]"
SEE = Table(
    "see",
    "one picture for each that came, as large as it was",
    (
        viewing("18 pictures in all views of shift 1", pictures(1, 18, 2, 4, 5), [*range(7, 18), *range(7)], APART, 1),
        viewing("the picture [[1, 2], [3, 4]] in view 17 of shift 1", SMALL, [17], CORNER, 1),
        viewing("pictures of float32, no shift given", random(2, 5, 1, 6, 6), [0, 81, 160, 35, 161], "It is 4 then."),
        viewing(
            "3 pictures of 3 colours, shift 2", pictures(3, 3, 3, 7, 3), [49, 12, 1], "Is a size written into it?", 2
        ),
    ),
    (
        instead(sliced, "view.tolist()", "[view[0].item()] * len(x)"),
        "Every picture was seen in the first picture's view. Each has its own: view is (B,).",
        instead(sliced, "view.tolist()", "[view[-1].item()] * len(x)"),
        "Every picture was seen in the last picture's view. Each has its own: view is (B,).",
        instead(sliced, DIVMOD, f"{DIVMOD}\n        right = 2 * shift - right if mirrored else right"),
        "The mirror comes before the cut in yours: then `right` counts from the other side. Cut first, then mirror what was cut out.",
        instead(sliced, "down, right =", "right, down ="),
        "down and right have changed places: corner = down * (2 * shift + 1) + right, so right is the remainder.",
        instead(sliced, WINDOW, "one.roll((shift - down, shift - right), (-2, -1))"),
        "What leaves the picture on one side comes in again on the other. Outside of a picture there is black: frame it with zeros.",
        instead(sliced, "if mirrored", "if False"),
        "No picture is mirrored. The last bit of a view's number, view % 2, says which are.",
        instead(sliced, "if mirrored", "if True"),
        "Every picture is mirrored. The last bit of a view's number, view % 2, says which are.",
        instead(sliced, "if mirrored", "if not mirrored"),
        "The wrong half is mirrored. Where the last bit of a view's number is 1 the picture is mirrored; where it is 0 it stays.",
        instead(sliced, "* 4)", '* 4, mode="reflect")'),
        "The frame repeats the picture, like a mirror at its border. It is black: zeros.",
        instead(sliced, "* 4)", '* 4, mode="replicate")'),
        "The frame repeats the picture's last pixels. It is black: zeros.",
        instead(sliced, "flip(-1)", "flip(-2)"),
        "Mirrored pictures stand on their heads: left and right change places, which is the last dimension.",
        instead(sliced, "flip(-1)", "flip(-1, -2)"),
        "Mirrored pictures are turned by 180 degrees: left and right change places alone, which is the last dimension.",
        instead(sliced, DIVMOD, "divmod((2 * shift + 1) ** 2 - 1 - corner, 2 * shift + 1)"),
        "The picture moves the wrong way: (down, right) is the corner of what is cut out, counted from the framed picture's corner.",
        instead(sliced, "to(x.dtype)", "float()"),
        "That is four times the bytes. A view moves pixels; keep their type.",
    ),
    play=lambda answer, x, *given: of_type(answer(x, *given), x.dtype, "A view moves pixels; keep their type."),
)


# ---- 5.2 a teacher is asked ----


def asked_teacher(answer, look, training, part=0):
    """look(what changed, logits, teacher) after the answer has asked a teacher with dropout and batch norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        layers = nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.ReLU(), nn.Linear(12, 3)
        teacher, x = nn.Sequential(nn.Flatten(), *layers).train(training), 3 * random(6, 16, 1, 2, 2)
        teacher[part].train(training or part > 0)
        teacher[2].running_mean += 0.3
        before, kept = copy.deepcopy(teacher).state_dict(), x.clone()
        logits = answer(teacher, x)
    after = teacher.state_dict()
    changed = [name for name in before if differs(before[name], after[name])]
    changed += ["dropout"] if teacher[3].p != 0.5 else ["x"] if not torch.equal(x, kept) else []
    changed += ["requires_grad"] if not all(p.requires_grad for p in teacher.parameters()) else []
    return look(changed, logits, teacher)


def differs(one, other):
    return one.dtype != other.dtype or not torch.equal(one, other)


def traces(changed, logits, teacher):
    what = "of inference_mode" if logits.is_inference() else "with a graph" if logits.requires_grad else "plain numbers"
    return f"{what}: {'changed ' + changed[0] if changed else 'nothing changed'}"


def said(changed, logits, teacher):
    return of_type(logits, torch.float32, "Give back what the teacher said, as it said it.")


def mode(changed, logits, teacher):
    return "train" if any(part.training for part in teacher.modules()) else "eval"


def truth(changed, logits, teacher):
    with torch.no_grad():
        return teacher.eval()(3 * random(6, 16, 1, 2, 2))


TRUTH, CLEAN = asked_teacher(ask, truth, False), "plain numbers: nothing changed"
STAYS = "Answers hold no graph, and the teacher stays as it was: teacher.eval(), and torch.no_grad() around teacher(x)."
LEARNS = (
    "The teacher was in training mode, where batch norm learns from every batch that it sees. no_grad(), detach() and "
    "requires_grad=False stop gradients and nothing else. In which mode is it asked?"
)
WHOLE = (
    "Dropout throws parts of an answer away, and batch norm takes its averages from the batch, unless they are in eval mode. Is "
    "the teacher (or a copy of it) asked in eval mode, whole, and what it says given back as it is?"
)
PARTS = (
    "teacher.training was False, and one layer was in train mode all the same: each part has its own mode. Call teacher.eval() "
    "whatever teacher.training says; it reaches every part."
)
ASK = Table(
    "ask",
    "logits of the teacher",
    (
        Case("a teacher in eval mode, your answers and what asking changed", (traces, False), CLEAN, STAYS),
        Case("a teacher in train mode, your answers and what asking changed", (traces, True), CLEAN, LEARNS),
        Case("a teacher in train mode", (said, True), TRUTH, WHOLE),
        Case("a teacher in eval mode, but for its batch norm,", (said, False, 2), TRUTH, PARTS),
        Case(
            "a teacher that came in eval mode, its mode then",
            (mode, False),
            "eval",
            "Leave the mode that it had, or eval.",
        ),
    ),
    (
        lambda teacher, x: teacher.eval()(x),
        "The answers still carry the graph that made them, and every step would keep all of its activations. Ask under no_grad().",
        lambda teacher, x: teacher.eval().requires_grad_(False)(x),
        "requires_grad_(False) freezes the teacher for everybody after you. Under torch.no_grad() nothing has to be frozen.",
        torch.inference_mode()(lambda teacher, x: teacher.eval()(x)),
        "Answers made in inference_mode() cannot stand in every loss: (student - answers)**2 would fail at backward(). Ask under "
        "torch.no_grad().",
        lambda teacher, x: ask(teacher, x).softmax(-1),
        "Probabilities came. Logits are asked for: a softmax can be taken later, at any temperature, and not be undone.",
        lambda teacher, x: ask(teacher, x).log_softmax(-1),
        "Log-probabilities came. Logits are asked for, as the teacher's last layer gives them.",
    ),
    play=asked_teacher,
)


# ---- 5.3 what can be gained ----


def gain(seen, given, right, why):
    names = ("teacher_forward", "student_step", "views", "epochs", "students")
    seen = f"{seen} ({', '.join(f'{name} {value:g}' for name, value in zip(names, given, strict=True))})"
    return Case(seen, given, right, why)


BY_HAND = (
    "An online step costs 8 + 2, a cached one 2. A picture costs 10 * 8 + 60 * 2 = 200, online 60 * (8 + 2) = 600."
)
BOUND, SHARE = "(teacher_forward + student_step) / student_step", "views * teacher_forward + steps"
ONLINE = "(steps * (teacher_forward + student_step))"
GAINS = Table(
    "gains",
    "the bound and the share",
    (
        gain("a large teacher", (8.0, 2.0, 10, 20, 3), (5.0, 200 / 600), BY_HAND),
        gain("no whole bound", (7.0, 3.0, 4, 6, 5), (10 / 3, 118 / 300), "A bound need not be whole."),
        gain("many views, one student", (9e9, 3e9, 162, 30, 1), (4.0, 4.3), "Above 1 caching does not pay in FLOPs."),
        gain("as many views as steps", (7, 5, 60, 20, 3), (2.4, 1.0), "Then both ways cost the same."),
    ),
    (
        instead(gains, "return bound, share", "return share, bound"),
        "The two numbers are in the wrong order: the bound first, then the share.",
        instead(gains, BOUND, "student_step / (teacher_forward + student_step)"),
        "The bound is turned round. The online step is the longer one: how many times faster is the cached one?",
        instead(gains, BOUND, "teacher_forward / student_step"),
        "That is the teacher's cost over the student's. An online step has both in it, a cached step only the student's.",
        instead(gains, "student_step) / student_step", "student_step) / teacher_forward"),
        "That is what leaving out the student would gain. The cache leaves out the teacher.",
        instead(gains, BOUND, "(3 * teacher_forward + student_step) / student_step"),
        "That counts a backward pass for the teacher. It learns nothing: teacher_forward is all of it.",
        instead(gains, "views * teacher_forward + ", ""),
        "That is without the building of the cache: the teacher looks at every picture once in each of the views.",
        instead(gains, SHARE, "students * views * teacher_forward + steps"),
        "In yours every student builds a cache of its own. One cache serves all.",
        instead(gains, SHARE, "epochs * views * teacher_forward + steps"),
        "In yours the cache is built again in every epoch. That is what caching spares.",
        instead(gains, SHARE, "teacher_forward + steps"),
        "In yours one view is built. The teacher looks at every picture once in each of the views.",
        instead(gains, "bound, share", "bound, 1 / share"),
        "The share is turned round: the cost with the cache stands over the cost online.",
        instead(gains, "bound, share", "bound, 1 - share"),
        "That is what the cache saves. The share that it still costs is asked for.",
        instead(gains, ONLINE, "(epochs * teacher_forward + steps * student_step)"),
        "In yours the online teacher answers once per epoch for all students. Each student asks for itself, in views of its own.",
        instead(gains, "step) / (steps", "step) // (steps"),
        "A division rounds the share to a whole number in yours. Take / and not //.",
        instead(gains, "step) / student_step", "step) // student_step"),
        "A division rounds the bound to a whole number in yours. Take / and not //.",
        instead(gains, "bound, share", "bound, min(1, share)"),
        "A share above 1 is a result, too: then caching does not pay in FLOPs.",
    ),
)


# ---- 5.4 a word for all that the answers depend on ----


def keyed():
    """(teacher, x, views), the same ones each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        teacher = nn.Sequential(nn.Linear(16, 40), nn.BatchNorm1d(40), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 40))
    return teacher, pictures(8, 1100, 16), torch.tensor([80, 17, 3, 121, 9, 160, 44, 2, 77, 51, 12, 90])


def word_after(answer, change):
    """What the word does when change(teacher, x, views) is made."""
    before, after = keyed(), keyed()
    with torch.no_grad():
        change(*after)
    key = answer(*before)
    expect(
        isinstance(key, str) and re.fullmatch(r"[\w.=+-]{1,64}", key),
        "a word of at most 64 characters was expected, a str of letters and digits, so that it can be part of a file's name; "
        f"{trial.describe(key)} came. hashlib.sha256(...).hexdigest() gives 64.",
    )
    return "the same word" if answer(*after) == key else "another word"


def swap_layers(teacher, x, views):
    teacher[2], teacher[4] = teacher[4], teacher[2]


def elsewhere(answer):
    here = answer(*keyed())
    with trial.other_process(answer):
        expect(
            answer(*keyed()) == here,
            "the word is made with Python's hash(), which gives a text another number in every process: tomorrow no cache would be "
            "found. Take hashlib.sha256.",
        )


def word(seen, change, why, right="another word"):
    return Case(seen, (change,), right, why)


SAME = "the same word"
EQUAL = "Does a clock, a random number or a place in memory go in (id, the printed name of an object)?"
NO_WEIGHT = "No weight changed. Take the numbers of its state_dict() alone."
BYTES = "Sums, rounding and sorting lose it. Take the bytes, .cpu().contiguous().numpy().tobytes()."
ALL = "Does all of each tensor go in? A printed tensor leaves out its middle."
BUFFERS = "The averages that batch norm keeps are buffers and no parameters: state_dict() has both."
LAYERS = "What has no weights is not in state_dict(): str(teacher) names every layer."
ROWS = "Row 7 of the cache would be about another picture. Does every picture go in, in order, in all its bytes?"
CACHE_KEY = Table(
    "cache_key",
    "as the answers could be",
    (
        word("an equal teacher, equal pictures and equal views", lambda t, x, v: None, EQUAL, SAME),
        word("a teacher put into eval mode", lambda t, x, v: t.eval(), NO_WEIGHT, SAME),
        word("a frozen teacher", lambda t, x, v: t.requires_grad_(False), NO_WEIGHT, SAME),
        word("other weights", lambda t, x, v: [p.add_(1) for p in t.parameters()], "Its numbers must go in."),
        word("one other weight in the middle", lambda t, x, v: t[2].weight[20, 20].add_(1), ALL),
        word("another first weight", lambda t, x, v: t[0].weight[0, 0].add_(1), ALL),
        word("another last weight", lambda t, x, v: t[4].bias[-1].add_(1), ALL),
        word("weights in another order", lambda t, x, v: t[2].weight[20].copy_(t[2].weight[20].roll(1)), BYTES),
        word("another last bit", lambda t, x, v: t[2].weight.view(torch.int32)[20, 20].bitwise_xor_(1), BYTES),
        word("two layers that changed places", swap_layers, "Which layer is which? Go through them in their order."),
        word("another running mean", lambda t, x, v: t[1].running_mean[20].add_(0.5), BUFFERS),
        word("another running variance", lambda t, x, v: t[1].running_var[20].add_(0.5), BUFFERS),
        word("a GELU where a ReLU stood", lambda t, x, v: t.__setitem__(3, nn.GELU()), LAYERS),
        word("other pictures", lambda t, x, v: x.copy_(255 - x), "x must go in, and not its shape alone."),
        word("another last pixel", lambda t, x, v: x[-1, -1].bitwise_xor_(1), ROWS),
        word("pixels in another order", lambda t, x, v: x[551].copy_(x[551].roll(1)), ROWS),
        word("pictures in another order", lambda t, x, v: x.copy_(x.roll(1, 0)), ROWS),
        word("another picture in the middle", lambda t, x, v: x[550, 8].bitwise_xor_(1), ROWS),
        word("other views", lambda t, x, v: v.add_(1), "views must go in, and not their number alone."),
        word("another last view", lambda t, x, v: v[-1].bitwise_xor_(1), "Do all of them go in, as they are?"),
        word("views in another order", lambda t, x, v: v.copy_(v.roll(1)), "Layer 1 would be another view."),
    ),
    (
        instead(cache_key, "**weights, ", ""),
        "Names and shapes are not what the teacher knows: its numbers must go in.",
        instead(cache_key, "state_dict().items()", "named_parameters()"),
        BUFFERS,
        instead(cache_key, '"layers": str(teacher), ', ""),
        LAYERS,
        instead(cache_key, '"x": x', '"x": id(x)'),
        "A clock, a random number or a place in memory goes in (id, the printed name of an object). Take the numbers themselves.",
        instead(cache_key, '"x": x, ', ""),
        "The pictures are left out: other pictures would get these answers.",
        instead(cache_key, ', "views": views', ""),
        "The views are left out: other views would get these answers.",
    ),
    play=word_after,
    also=elsewhere,
)


# ---- 5.5 looked up ----


def looked(answer, kept, views, rows, view):
    stranger = not torch.isin(view, views).all()
    try:
        came = answer(kept, views, rows, view)
    except Exception:
        if not stranger:
            raise
        return "an error"
    came = of_type(came, torch.float32, "Half precision is for keeping; the loss computes in float32.")
    return "an answer" if stranger else came


def looking(seen, views, rows, view, why, slots=None):
    """slots: where each of `view` stands in `views`, found by hand; None: one of them was never asked."""
    k, n, c = torch.meshgrid(torch.arange(len(views)), torch.arange(6), torch.arange(3), indexing="ij")
    kept = (100 * k + 10 * n + c).half()  # answers that say where they stand, exact in half precision
    right = [[100.0 * k + 10 * row + c for c in range(3)] for k, row in zip(slots or [], rows, strict=False)]
    seen = f"{seen}: views {views} kept, rows {rows} in the views {view}"
    given = kept, torch.tensor(views), torch.tensor(rows), torch.tensor(view)
    return Case(seen, given, torch.tensor(right) if slots else "an error", why)


SLOT = "same.int().argmax(1)"
STANDS = "kept[k, n] is 100 k + 10 n, + 1, + 2 here: layer k holds the view views[k]."
GAPS = "views are in no order, and their numbers have gaps."
STRANGE = "A student would learn from another view's answer, and nobody would know: raise an error."
LOOK_UP = Table(
    "look_up",
    "one logit for each picture and class",
    (
        looking("four pictures", [2, 0, 3, 1], [3, 1, 0, 3], [1, 2, 0, 3], STANDS, [3, 0, 1, 2]),
        looking("five pictures", [80, 7, 161], [5, 0, 5, 2, 1], [7, 161, 80, 80, 161], GAPS, [1, 2, 0, 0, 2]),
        looking("a view between those kept", [80, 7, 161], [5, 0, 5], [7, 8, 80], STRANGE),
        looking("a view below those kept", [80, 7, 161], [5, 0, 5], [7, 161, 0], STRANGE),
        looking("a view above those kept", [80, 7, 161], [5, 0, 5], [300, 161, 80], STRANGE),
        looking("no view that was kept", [80, 7, 161], [5, 0], [8, 9], STRANGE),
    ),
    (
        instead(look_up, SLOT, "view"),
        "The view's number was taken as the layer's. Layer k holds the view views[k]: look for it there.",
        instead(look_up, f"{SLOT}, rows", f"rows, {SLOT}"),
        "Rows and layers have changed places: kept is (K, N, C), the layer comes first.",
        instead(look_up, f"[{SLOT}, rows]", f"[{SLOT}][:, rows]"),
        "Every view was paired with every row. kept[slots, rows] with two tensors (B,) pairs them one by one.",
        instead(look_up, "argmax(1)", "argmax(1)[0]"),
        "All pictures were answered from the first one's view. Each has its own: view is (B,).",
        instead(look_up, "argmax(1)", "argmax(1)[-1]"),
        "All pictures were answered from the last one's view. Each has its own: view is (B,).",
        instead(look_up, ", rows]", ", torch.arange(len(rows))]"),
        "The pictures are rows 0, 1, 2, ... in yours. Take the rows that were asked for.",
        instead(look_up, SLOT, "views[view]"),
        "views was read backwards: views[k] is the view in layer k; the layer of a view is where it stands in views.",
    ),
    play=looked,
)


# ---- 5.6 one step ----


TAKES = {"item", "tolist", "numpy", "cpu"} | {f"__{name}__" for name in "array float int bool format repr".split()}


class Waits(TorchFunctionMode):
    """Inside, `made` names what took a number out of a tensor in the answer's own lines, for which a processor waits."""

    def __init__(self, answer):
        super().__init__()
        self.theirs, self.made = getattr(answer, "__globals__", None), ""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        frame = sys._getframe(1)
        while frame.f_globals["__name__"] in ("torch._tensor", "torch.overrides"):
            frame = frame.f_back
        if name in TAKES and frame.f_globals is self.theirs:
            self.made = name
        return function(*args, **(kwargs or {}))


def step_loss(logits, labels, answers):
    """Computes in what it is given, as torch's own losses do; under autocast they take float32."""
    return F.cross_entropy(logits, labels) + 0.1 * F.mse_loss(logits, answers.to(logits.dtype))


def small_student():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def stepped(answer, look, batches=1):
    """look(events, types, student, how far the last step went along the right one, and beside it) after so many steps."""
    student, twin = small_student(), small_student()
    events, types, values = [], [], []
    student[3].register_forward_hook(lambda layer, x, out: types.append(out.dtype))
    student[3].weight.register_post_accumulate_grad_hook(lambda p: events.append("backward"))
    optimiser = torch.optim.SGD(student.parameters(), lr=0.01)
    optimiser.register_step_pre_hook(lambda *_: events.append("step"))

    def loss(*given):
        values.append(step_loss(*given))
        return values[-1]

    for seed in range(batches):
        x, labels, answers = random(10 * seed, 12, 1, 2, 2), torch.arange(12) % 3, random(10 * seed + 1, 12, 3)
        twin.load_state_dict(student.state_dict())
        before = torch.get_autocast_dtype("cpu")
        torch.set_autocast_dtype("cpu", torch.float16)  # what a GPU's autocast takes where nothing is said
        try:
            with Waits(answer) as waits:
                came = answer(student, optimiser, x, labels, answers, loss, "cpu")
        finally:
            torch.set_autocast_dtype("cpu", before)
        expect(
            isinstance(came, torch.Tensor) and came.shape == (),
            f"{trial.describe(came)} came back, and the loss was expected, a tensor of shape (). For .item() the processor waits until "
            "the GPU has finished, at every step: return loss.detach().",
        )
        expect(
            not waits.made,
            f"a line of yours takes a number out of a tensor ({waits.made}), and there the processor waits until the GPU has "
            "finished, at every step. Return loss.detach(), whose number nobody has seen.",
        )
        expect(
            not came.requires_grad,
            "the loss that came back still carries its graph: whoever adds it up keeps every step's activations. Return "
            "loss.detach().",
        )
        expect(
            values and torch.allclose(came.float(), values[-1].detach().float()),
            "what came back is not what loss(logits, labels, answers) gave. Return that, detached.",
        )
    with torch.autocast("cpu", torch.bfloat16):
        logits = twin(x)
    gradient = torch.autograd.grad(step_loss(logits.float(), labels, answers), list(twin.parameters()))
    wanted = -0.01 * torch.cat([one.flatten() for one in gradient])
    moved = nn.utils.parameters_to_vector(student.parameters()) - nn.utils.parameters_to_vector(twin.parameters())
    along = moved @ wanted / wanted.norm() ** 2
    return look(events, types, student, (along.item(), ((moved - along * wanted).norm() / wanted.norm()).item()))


def happened(events, types, student, went):
    return ", ".join(events)


def logit_types(events, types, student, went):
    return " ".join(map(typed, types))


def weight_type(events, types, student, went):
    return typed(student[1].weight)


def how_far(events, types, student, went):
    return went


def mode_after(events, types, student, went):
    return "train" if student.training else "eval"


ORDER = "The order is zero_grad, forward, the loss, backward, optimiser.step()."
NAMED = "Left alone, autocast takes float16 on a GPU, whose small gradients become 0: name torch.bfloat16."
INSIDE = "Run student(x), once, inside `with torch.autocast(device_type, torch.bfloat16):`."
WEIGHTS = "A thousandth of a weight is lost in bfloat16, which has 8 bits for it. Autocast computes in it and leaves the weights."
ONE = "Nothing stands between backward() and step(), all of the batch counts, row by row, and nobody rounds a weight."
THREE = "The first step was right. What is left of it at the second?"
BACK, MOVE, CLEAR = "value.backward()", "optimiser.step()", "optimiser.zero_grad()"
STEP = Table(
    "step",
    "in this order",
    (
        Case("one step, what happened", (happened,), "backward, step", ORDER),
        Case("one step, the type of the student's logits", (logit_types,), "bfloat16", INSIDE),
        Case("one step, the type of the student's weights", (weight_type,), "float32", WEIGHTS),
        Case("one step, how far it went along the right one, and beside it,", (how_far,), (1.0, 0.0), ONE, 0.03),
        Case(
            "three steps, how far the last went along the right one, and beside it,",
            (how_far, 3),
            (1.0, 0.0),
            THREE,
            0.06,
        ),
        Case(
            "a student in train mode, its mode after a step", (mode_after,), "train", "The next step needs that mode."
        ),
    ),
    (
        instead(step, BACK, ""),
        "No gradient reached the student. Is backward() called on the loss?",
        instead(step, MOVE, ""),
        "optimiser.step() was not called: it moves the weights.",
        instead(step, f"{BACK}\n    {MOVE}", f"{MOVE}\n    {BACK}"),
        "optimiser.step() ran before backward() had given it gradients: a step takes those of the batch before.",
        instead(step, "with torch.autocast(device_type, torch.bfloat16)", "if True"),
        "The student computed in float32 throughout. Run student(x) inside `with torch.autocast(device_type, torch.bfloat16):`.",
        instead(step, "device_type, torch.bfloat16", "device_type"),
        NAMED,
        instead(step, CLEAR, f"x, student = x.bfloat16(), student.bfloat16()\n    {CLEAR}"),
        "The weights were made bfloat16, and small steps are lost in it. Autocast alone computes in bfloat16.",
        instead(step, BACK, f"{BACK}\n    {CLEAR}"),
        "The gradients were cleared between backward() and step(), so nothing moved. Clear them before backward().",
        instead(step, BACK, "(value / 2).backward()"),
        "It went half as far as it should: is backward() called on the loss itself?",
        instead(step, CLEAR, ""),
        "Gradients of earlier steps are still in the sum: clear them with optimiser.zero_grad() before each backward().",
    ),
    play=stepped,
)


# ---- 5.7 faster, or not ----


def race(seen, old, new, right, why):
    seen = f"{seen}: {old}, and then {new} pictures per second,"
    return Case(seen, (torch.tensor(old).double(), torch.tensor(new).double()), right, why)


FIVE = "The ratios are 1.2, 1.3, 1.75, 1.1 and 1.6: give the one in the middle by size, the smallest, the largest."
FOUR = "The ratios are 1.2, 0.9, 1.5 and 1. Two are in the middle, and below 1 the new loop was slower."
RATIOS, MIDDLE, ALL_THREE = (
    "(new / old)",
    "statistics.median(ratios)",
    "statistics.median(ratios), min(ratios), max(ratios)",
)
FASTER = Table(
    "faster",
    "the middle, the smallest and the largest ratio",
    (
        race("five blocks", [100, 120, 48, 150, 90], [120, 156, 84, 165, 144], (1.3, 1.1, 1.75), FIVE),
        race("four blocks", [100, 200, 50, 80], [120, 180, 75, 80], (1.1, 0.9, 1.5), FOUR),
        race("three blocks", [7, 11, 13], [3, 7, 11], (7 / 11, 3 / 7, 11 / 13), "Round nothing."),
        race("one block", [50], [60], (1.2, 1.2, 1.2), "It is the middle, the smallest and the largest."),
    ),
    (
        instead(faster, ALL_THREE, "min(ratios), statistics.median(ratios), max(ratios)"),
        "The three are in another order. Return the middle first, then the smallest, then the largest.",
        instead(faster, "min(ratios), max(ratios)", "max(ratios), min(ratios)"),
        "The ends have changed places: the smallest comes second, the largest last.",
        instead(faster, RATIOS, "(old / new)"),
        "That says how many times *slower* the new one is. Divide the new speed by the old one.",
        instead(faster, "median", "mean"),
        "That is the mean of the ratios. One busy block moves a mean; take the one in the middle.",
        instead(faster, MIDDLE, "statistics.median(new.tolist()) / statistics.median(old.tolist())"),
        "That compares two medians, which may come from different moments. Compare block by block, then take the middle.",
        instead(faster, MIDDLE, "(new.sum() / old.sum()).item()"),
        "That compares the sums of all blocks. Compare block by block, then take the middle of the ratios.",
        instead(faster, RATIOS, "(new.sort().values / old.sort().values)"),
        "The speeds were sorted first. Blocks with the same number ran at the same moment; sort the ratios, if anything.",
        instead(faster, MIDDLE, "ratios[len(ratios) // 2]"),
        "That is the block in the middle of the race. The ratio in the middle by size is asked for.",
        instead(faster, MIDDLE, "(new.max() / old.max()).item()"),
        "That is the fastest block against the fastest. A lucky block on either side decides; compare block by block.",
        instead(faster, RATIOS, "(new / old - 1)"),
        "That is what was won. How many *times* faster counts from 1: twice as fast is 2.",
        instead(faster, RATIOS, "(new - old)"),
        "That is a difference of speeds. Divide.",
        instead(faster, "min(ratios), max(ratios)", "(new.min() / old.max()).item(), (new.max() / old.min()).item()"),
        "The ends are a block against any other block. Only blocks with the same number met the same moment.",
        instead(faster, "median(", "median_low("),
        "Of four ratios yours takes the smaller one in the middle, as Tensor.median() does. Take the mean of the two.",
        instead(faster, "median(", "median_high("),
        "Of four ratios yours takes the larger one in the middle. Take the mean of the two.",
    ),
    read=lambda came: tuple(came) if isinstance(came, np.ndarray) else came,
)


EXERCISES = {
    e.number: e
    for e in (
        Exercise(
            "5.1",
            "See a picture in a view",
            10,
            3,
            augment,
            SEE,
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
            ASK,
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
            GAINS,
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
            CACHE_KEY,
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
            LOOK_UP,
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
            STEP,
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
            FASTER,
            (
                "new / old divides block by block: one ratio for each pair of blocks that ran side by side.",
                "statistics.median finds the middle of a list, also of an even number; ratios.tolist() makes a list of a tensor.",
                "Return three numbers: the middle, min(...), max(...).",
            ),
        ),
    )
}
