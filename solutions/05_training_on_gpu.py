# ---
# jupyter:
#   course:
#     question: How do you train a student at full size, fast?
#     minutes: 60
#     cpu_seconds: 120
#     workshop: two days
#     shows: one bar per optimisation against the limit; a cached teacher against an online one; accuracy over seeds, with a verdict
# ---

# %% [markdown]
# # 05 · How do you train a student at full size, fast?
#
# Lesson 04's students learned from a thousand small pictures. Now the pictures have colour and there are tens of
# thousands of them, and one habit makes everything slow: asking the teacher again at every step.
#
# **60 minutes.** You build: views with numbers, a teacher that is really frozen, the key of a cache, its look-up, a
# step in mixed precision, and the arithmetic that says what each gain can be at most.

# %%
import copy
import hashlib
import os
import statistics
import time

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler keeps its own log to itself
import torch
import torch.nn.functional as F

from course_lib import plots
from course_lib.answers import Cached, Online, build
from course_lib.checks import check, hint
from course_lib.data import all_views, as_numbers, augment, load, load_uint8, some_views, stratified_split
from course_lib.files import ROOT, DataError, keep_folder
from course_lib.live import show
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.machine import device, pick, tier
from course_lib.measure import accuracy, agreement, compare, correct, count_flops, count_seconds, record
from course_lib.models import network
from course_lib.train import fit, one_cycle, predict, sgd

N = pick(cpu=2_000, gpu=45_000)  # training pictures
TEACHER, STUDENT = pick(cpu=("resnet9-8", "resnet9-4"), gpu=("resnet9", "resnet9-16"))  # names of networks, see below
TEACHER_EPOCHS, EPOCHS, SEEDS = pick(cpu=(12, 6, 4), gpu=(16, 12, 5))  # SEEDS students of each kind
VIEWS = pick(cpu=6, gpu=12)  # how many views of each picture the teacher is asked about
BATCH, LR, T = pick(cpu=(64, 0.2, 1.0), gpu=(512, 0.4, 1.0))  # LR: the largest step size
RACED, ROUNDS = pick(cpu=(256, 3), gpu=(20_480, 5))  # pictures per block of a race, and blocks
PHOTOS = pick(cpu=256, gpu=2_048)  # the same for the plain loop, which would take long for more
TESTED = pick(cpu=3_000, gpu=10_000)  # test pictures that are looked at
COMPILE = pick(cpu=False, gpu=True)  # on a CPU, compiling takes longer than this lesson
DEVICE, begun = device(), time.perf_counter()
torch.backends.cudnn.benchmark = True  # a GPU tries its ways to compute a convolution, and keeps the fastest

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## Pictures, once, on the device
#
# CIFAR-10 is 60,000 photographs of 32 × 32 pixels (Krizhevsky, 2009). As bytes they take 184 MB, so they fit on any
# GPU, whole. They are decoded once, kept in one file, and moved to the device once.
#
# Where CIFAR-10 is not there and cannot be fetched, this lesson runs on the digits, and says so.
#
# The networks are small *ResNets*: convolutions with shortcuts around them. `resnet9-8` has nine layers, the first 8
# channels wide.

# %%
start = time.perf_counter()
try:
    data = load_uint8("cifar10")
except DataError as trouble:
    print(f"{trouble}\nUntil then, this lesson runs on the digits: small grey pictures, the same steps.\n")
    data = load("digits")
CHANNELS, SIZE, C = data.x_train.shape[1], data.x_train.shape[-1], len(data.classes)
MIRROR, SHIFT = CHANNELS == 3, SIZE // 8  # a mirrored 3 is no 3; a mirrored cat is a cat
rows = stratified_split(data.y_train, (min(1.0, N / len(data.x_train)),), seed=0)[0]
x, y = data.x_train[rows].to(DEVICE), data.y_train[rows].to(DEVICE)  # (N, channels, h, w), (N,)
RACED, PHOTOS = (min(number, len(x) // BATCH * BATCH) for number in (RACED, PHOTOS))
VIEWS = min(VIEWS, len(all_views(SHIFT, MIRROR).ids))  # the digits have nine
x_val, y_val = data.x_val[:2_000].to(DEVICE), data.y_val[:2_000]
print(f"{len(x):,} of {len(data.x_train):,} training pictures, {tuple(x.shape[1:])}, {x.dtype}, on {x.device}")
print(f"loaded in {time.perf_counter() - start:.2f} s; {x.numel() * x.element_size() / 1e6:.1f} MB on the device")

# %% [markdown]
# ## A view has a number
#
# **Idea.** A cat two pixels further to the left, or mirrored, is still a cat. Training shows each picture shifted and
# mirrored at random, *augmented*. Drawn anew each time, such a view can't be repeated. Give it a number, and it can be
# named, kept and looked up.

# %% [markdown]
# ### Exercise 5.1 · See a picture in a view · 10 minutes · difficulty ●●●
#
# Frame the picture with `shift` black pixels on every side. Cut it out again at its own size, `down` and `right` from
# the frame's corner, each from 0 to `2 * shift`. Then mirror it, left for right, or not. The number packs all three:
# `view = (down * (2 * shift + 1) + right) * 2 + mirrored`. A loop over the batch is fine.


# %%
def see(x, view, shift=4):
    """Pictures x (B, channels, h, w), each in its view (B,) -> the same shape and type."""
    # BEGIN SOLUTION
    h, w = x.shape[2:]
    framed = F.pad(x, [shift] * 4)
    seen = []
    for picture, number in zip(framed, view.tolist(), strict=True):
        corner, mirrored = divmod(number, 2)
        down, right = divmod(corner, 2 * shift + 1)
        cut = picture[:, down : down + h, right : right + w]
        seen.append(cut.flip(-1) if mirrored else cut)
    return torch.stack(seen)
    # END SOLUTION


# %% tags=["check"]
see = check("5.1", see)

# %%
# hint("5.1")  # stuck? Take the first # away and run this cell; each run shows one more hint

# %% [markdown]
# Your function is right; `views.augment` does the same for a whole batch at once, on the device. **Look** at one
# picture in ten views, and at who is faster. Both give the same bytes.

# %%
views = some_views(VIEWS, SHIFT, MIRROR)  # those that the training will use; the picture as it is comes first
ten = some_views(10, SHIFT, MIRROR).ids if MIRROR else some_views(9, SHIFT, MIRROR).ids
one = x[:1].cpu().expand(len(ten), -1, -1, -1)
mine, theirs = see(one, ten, SHIFT), augment(one, ten, SHIFT)
block, numbers = x[:BATCH].cpu(), views.ids[torch.arange(BATCH) % len(views.ids)]
for name, way in (("yours", see), ("augment", augment)):
    way(block, numbers, SHIFT)  # the first time does not count
    start = time.perf_counter()
    way(block, numbers, SHIFT)
    print(f"{name}: {1e3 * (time.perf_counter() - start):.1f} ms for {BATCH} pictures")
fig = plots.pictures(as_numbers(theirs), [str(number) for number in ten.tolist()], columns=5)
show(fig, f"One picture, a {data.classes[y[0]]}, in {len(ten)} views with the numbers {ten.tolist()}")

# %% tags=["nbval-check-output"]
print("the same bytes:", torch.equal(mine, theirs))
print("views with a shift of 4, mirrored or not:", 2 * (2 * 4 + 1) ** 2)

# %% [markdown]
# ## A teacher that is really frozen
#
# **Idea.** At full size a teacher has *batch normalisation*: in train mode it computes with the mean of the batch, and
# remembers it. One careless `.train()` and the teacher's answers depend on who else is in the batch, and drift.
# Libraries in use have shipped this: in torchdistill 1.1.5 the caller must call `.eval()`.

# %% [markdown]
# ### Exercise 5.2 · Ask a teacher, whatever mode it is in · 5 minutes · difficulty ●○○
#
# The teacher may come in any mode. Its answer has no gradient and depends on no neighbour, and nothing in the teacher
# is changed by asking (its mode may be).


# %%
def ask(teacher, x):
    """Logits (B, C) of a teacher, in eval mode and without a gradient, whatever mode it was left in."""
    # BEGIN SOLUTION
    teacher.eval()
    with torch.no_grad():
        return teacher(x)
    # END SOLUTION


# %% tags=["check"]
ask = check("5.2", ask)

# %%
# hint("5.2")

# %% [markdown]
# Train the teacher, with `fit` as you know it. New: `views`, a step size that rises and falls (`one_cycle`), and on a
# GPU, half the bytes (`bfloat16`). You come to that.

# %%
PRECISION = pick(cpu="float32", gpu="bfloat16")
how = dict(batch_size=BATCH, optimiser=sgd, schedule=one_cycle, channels_last=True)
teacher = network(TEACHER, C, CHANNELS, seed=100)
start = time.perf_counter()
many_views = all_views(SHIFT, MIRROR)
fit(
    teacher,
    (x, y),
    cross_entropy,
    TEACHER_EPOCHS,
    lr=LR / 2,
    views=many_views,
    precision=PRECISION,
    label="teacher",
    **how,
)
teacher_seconds = time.perf_counter() - start
teacher_val = predict(teacher, x_val).cpu()
teacher_on_val = accuracy(teacher_val, y_val)
print(f"the teacher after {TEACHER_EPOCHS} epochs and {teacher_seconds:.0f} s: {teacher_on_val} on val")

# %% [markdown]
# ## The limit
#
# **Idea.** Before you make something faster, work out how fast it can get. A student's step costs its forward and its
# backward pass; that must be paid. Asking the teacher is a forward pass of the teacher. Count both, in FLOPs, and you
# know what a cache can win at most.

# %% [markdown]
# ### Exercise 5.3 · What a cache can gain · 6 minutes · difficulty ●●○
#
# A picture costs the teacher `teacher_forward` FLOPs per answer and the student `student_step` per training step.
# Online, each step pays both. With a cache, the teacher answers `views` times per picture, once for all students.
# Return two numbers: how many times faster a student's *step* can be at most; and the FLOPs of the whole training, all
# students and epochs, with a cache as a share of those without.


# %%
def gains(teacher_forward, student_step, views, epochs, students):
    """(bound, share): at most so many times faster per step; FLOPs of everything with a cache / without."""
    # BEGIN SOLUTION
    bound = (teacher_forward + student_step) / student_step
    steps = epochs * students
    share = (views * teacher_forward + steps * student_step) / (steps * (teacher_forward + student_step))
    return bound, share
    # END SOLUTION


# %% tags=["check"]
gains = check("5.3", gains)

# %%
# hint("5.3")

# %% [markdown]
# **Predict.** Asking the teacher once, not at every step, makes a student's step how many times faster?

# %%
my_factor = 1.5  # change me before you go on

# %%
few = as_numbers(x[:8].cpu())
student_step = count_flops(network(STUDENT, C, CHANNELS), few, training=True)
teacher_forward = count_flops(copy.deepcopy(teacher).cpu().eval(), few)
bound, share = gains(teacher_forward, student_step, len(views.ids), EPOCHS, SEEDS)
print(
    f"per picture: the teacher's answer {teacher_forward / 1e6:,.1f} MFLOP, a student's step {student_step / 1e6:,.1f}"
)
print(f"you said {my_factor:.1f} times; the bound is {bound:.2f} times")
print(f"{SEEDS} students, {EPOCHS} epochs, {len(views.ids)} views: the cache takes {share:.0%} of the FLOPs, all told")
print(f"it pays off once all students together have more than {len(views.ids)} epochs; here they have {SEEDS * EPOCHS}")

# %% [markdown]
# ## The teacher's answers in a file
#
# **Idea.** A cache that serves the wrong teacher's answers is worse than none: the student learns, accuracy looks
# plausible, and nobody notices. So the file carries a *key*: a word made from everything that the answers depend on.
# Another key, another file.

# %% [markdown]
# ### Exercise 5.4 · The key of a cache · 8 minutes · difficulty ●●○
#
# Make a word, at most 64 letters and digits, that is another one whenever the answers could be: another weight, another
# running mean in a batch normalisation (a *buffer*: `state_dict()` has both), other pictures or another order, other
# views. Equal things give an equal word, tomorrow and in another process: Python's own `hash` of a text does not.
# `hashlib.sha256()` has `.update(bytes)` and `.hexdigest()`; `tensor.cpu().contiguous().numpy().tobytes()` gives bytes.


# %%
def cache_key(teacher, x, views):
    """A word that changes whenever the teacher's answers could. x (N, ...), views (K,) -> str."""
    # BEGIN SOLUTION
    digest = hashlib.sha256()
    for name, value in [*teacher.state_dict().items(), ("x", x), ("views", views)]:
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
    # END SOLUTION


# %% tags=["check"]
cache_key = check("5.4", cache_key)

# %%
# hint("5.4")

# %% [markdown]
# Now the answers themselves: K views of N pictures, C logits each, in half precision (2 bytes). `build` asks the
# teacher view by view, shows how long it still takes, and goes on where it was stopped.

# %%
name = cache_key(teacher, x, views.ids)[:16]
start = time.perf_counter()
file = keep_folder() / "answers" / name
reused = file.exists()
answers = build(file, teacher, x, views, precision=PRECISION).to(DEVICE)
cache_seconds = time.perf_counter() - start
print(f"{tuple(answers.logits.shape)} logits, {answers.logits.numel() * 2 / 1e6:.1f} MB, in {cache_seconds:.1f} s")
if reused:
    print("They were there from an earlier run: this is the time to find them again, not to make them.")

# %% [markdown]
# ### Exercise 5.5 · Look up what the teacher said · 7 minutes · difficulty ●●○
#
# `kept[k, n]` is what the teacher said about picture `n` in the view with the number `views[k]`. A batch asks about
# pictures `rows` (B,), each in its own view `view` (B,). Find the layer of each view. A view that the teacher was never
# asked about must raise an error: an answer from another layer would be a quiet lie.


# %%
def look_up(kept, views, rows, view):
    """kept (K, N, C) float16, views (K,), rows (B,), view (B,) -> what the teacher said, (B, C) float32."""
    # BEGIN SOLUTION
    same = views[None, :] == view[:, None]  # (B, K)
    if not same.any(1).all():
        raise ValueError("the teacher was not asked about one of these views")
    layer = same.int().argmax(1)  # (B,)
    return kept[layer, rows].float()
    # END SOLUTION


# %% tags=["check"]
look_up = check("5.5", look_up)

# %%
# hint("5.5")

# %% [markdown]
# Is what was kept what the teacher says? Half precision keeps 11 binary digits of a logit, so the two may differ by one
# part in 2,048; the teacher's own rounding adds to it, where it computes in half the bytes.

# %%
batch, view = torch.arange(64, device=DEVICE), views.ids[-1].repeat(64).to(DEVICE)
fresh = ask(teacher, as_numbers(augment(x[:64], view, SHIFT)))
kept = look_up(answers.logits.cpu(), views.ids, batch.cpu(), view.cpu()).to(DEVICE)
print(f"largest difference: {(kept - fresh).abs().max():.5f}, where logits go up to {fresh.abs().max():.1f}")

# %% tags=["nbval-check-output"]
allowed = 2**-11 if PRECISION == "float32" else 2**-5
print("kept and fresh are the same, to rounding:", torch.allclose(kept, fresh, rtol=1.01 * allowed, atol=2 * allowed))

# %% [markdown]
# ## Half the bytes
#
# **Idea.** A *bfloat16* number has the range of a float32 and 8 binary digits in place of 24. Products and convolutions
# survive that; sums of many small steps do not. So in *mixed precision* the passes run in bfloat16, and the weights, the
# loss and the optimiser stay in float32. `torch.autocast` sees to it. (On newer GPUs, torch's "float32" is not all of it
# either: convolutions multiply in TF32, 11 digits, unless you forbid it.)

# %% [markdown]
# Why not everything? Add 0.001 to 1, a thousand times:

# %% tags=["nbval-check-output"]
for kind in (torch.float32, torch.bfloat16):
    total = torch.ones((), dtype=kind)
    for _ in range(1_000):
        total = total + 0.001
    print(f"{kind}: {total.item():.2f}")

# %% [markdown]
# In bfloat16 the next number after 1 is 1.0078; each step of 0.001 is rounded away, as the small steps of an optimiser
# would be.
#
# ### Exercise 5.6 · A step in mixed precision · 7 minutes · difficulty ●●○
#
# One training step. The student answers under `torch.autocast(device_type, torch.bfloat16)`; the weights stay float32.
# Return the loss as a tensor without its graph, and do not take the number out of it: `.item()` makes the processor stop
# and wait for the GPU, at every step.


# %%
def step(student, optimiser, x, labels, answers, loss, device_type="cpu"):
    """One step on the batch x (B, ...); loss(logits, labels, answers) -> (). Returns the loss, on its device."""
    # BEGIN SOLUTION
    optimiser.zero_grad()
    with torch.autocast(device_type, torch.bfloat16):
        logits = student(x)
    value = loss(logits.float(), labels, answers)
    value.backward()
    optimiser.step()
    return value.detach()
    # END SOLUTION


# %% tags=["check"]
step = check("5.6", step)

# %%
# hint("5.6")

# %% [markdown]
# Three of your steps, and the same three in float32, from the same first weights:

# %%
for name, precise in (("mixed", True), ("float32", False)):
    student = network(STUDENT, C, CHANNELS, seed=0)
    optimiser, losses, few = sgd(student.parameters(), 0.05), [], as_numbers(x[:BATCH].cpu())
    says = answers.at(torch.arange(BATCH, device=DEVICE), views.ids[:1].repeat(BATCH).to(DEVICE)).cpu()
    for _ in range(3):
        if precise:
            losses.append(step(student, optimiser, few, y[:BATCH].cpu(), says, distill_loss))
        else:
            optimiser.zero_grad()
            losses.append(distill_loss(student(few), y[:BATCH].cpu(), says))
            losses[-1].backward()
            optimiser.step()
    print(f"{name:8}", " ".join(f"{value.item():.3f}" for value in losses), "nats")

# %% [markdown]
# ## The speed ladder
#
# **Idea.** Every optimisation is one change. Make them one at a time, measure after each, and keep what pays *here*.
#
# The lowest rung is the loop of most tutorials: pictures as PIL images (Python's usual picture library), changed one by
# one on the processor, without helper processes; a teacher that is asked at each step (`Online`); `.item()` for the loss.


# %%
class Photos(torch.utils.data.Dataset):
    """The training pictures as a folder of photographs would give them: (picture, label), one at a time."""

    def __init__(self):
        from torchvision import transforms as t

        levels = x.cpu() if x.dtype == torch.uint8 else (255 * x.cpu()).byte()
        self.photos = [t.functional.to_pil_image(one) for one in levels[:PHOTOS]]
        self.labels = y[:PHOTOS].tolist()
        flip = [t.RandomHorizontalFlip()] if MIRROR else []
        self.change = t.Compose([t.RandomCrop(SIZE, padding=SHIFT), *flip, t.ToTensor()])

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, i):
        return self.change(self.photos[i]), self.labels[i]


def new_student(seed=0):
    return network(STUDENT, C, CHANNELS, seed=seed).to(DEVICE)


# %%
def plain_loop():
    """One epoch, the common way."""
    student = new_student().train()
    optimiser, losses = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9), []
    for pictures, labels in torch.utils.data.DataLoader(photos, BATCH, shuffle=True):
        pictures, labels = pictures.to(DEVICE), labels.to(DEVICE)
        with torch.no_grad():
            says = online.teacher(pictures)
        loss = distill_loss(student(pictures), labels, says, T)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# The other rungs are `fit`, with one more switch each:
#
# - *pictures on the device*: also changed there, a batch at a time, and an optimiser that is one call;
# - *no waiting*: no number is taken out of a tensor;
# - *channels last*: the colours of one pixel lie side by side in memory, as fast convolutions want them;
# - *bfloat16*: half the bytes;
# - *cached teacher*: its answers are looked up (`Cached`);
# - *compile*: torch first writes code for this one network.
#
# The limit is a student's forward and backward pass and nothing else.


# %%
def loss(logits, labels, says):
    return distill_loss(logits, labels, says, T)


def waiting(logits, labels, says):
    value = loss(logits, labels, says)
    value.item()  # stop here until the number is there
    return value


def climb(target, loss=loss, precision="float32", channels_last=False, compile=False):
    """One epoch on RACED pictures with these switches; the student is the same each time."""
    some = (x[:RACED], y[:RACED], target)
    switches = dict(precision=precision, channels_last=channels_last, compile=compile)
    fit(new_student(), some, loss, epochs=1, batch_size=BATCH, lr=0.01, optimiser=sgd, views=views, **switches)


def limit(precision="float32", channels_last=False, compile=False):
    """A student alone: forward and backward on one batch that is there already, again and again."""
    student, batch = new_student().train(), as_numbers(x[:BATCH])
    if channels_last:
        student, batch = (one.to(memory_format=torch.channels_last) for one in (student, batch))
    forward = torch.compile(student, dynamic=False) if compile else student
    for _ in range(max(1, RACED // BATCH)):
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16"):
            value = cross_entropy(forward(batch), y[:BATCH])
        student.zero_grad()  # the last batch's gradients are forgotten, not added to
        value.backward()


# %% [markdown]
# A race: each contender runs once to warm up, then in turn, so that a busy moment hits all of them.


# %%
def race(contenders):
    """({name: pictures per second}, {name: (min, max)}): the median over ROUNDS blocks that take turns."""
    seconds = {name: [] for name in contenders}
    for _ in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()  # the GPU works on its own; wait until it is done
            seconds[name].append(time.perf_counter() - start)
    pictures = dict.fromkeys(contenders, RACED) | {"plain loop": PHOTOS}
    speeds = {name: [pictures[name] / taken for taken in times[1:]] for name, times in seconds.items()}
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    return medians, {name: (min(each), max(each)) for name, each in speeds.items()}


photos = Photos()
online = Online(
    copy.deepcopy(teacher).to(memory_format=torch.contiguous_format)
)  # colours first, as most loops have it
last_online = Online(copy.deepcopy(teacher).to(memory_format=torch.channels_last))
cached = Cached(answers.logits[:, :RACED], views).to(DEVICE)

# %% [markdown]
# **Predict** each change before you look: how many times faster does it make the loop *on this machine*? Less than 1
# means slower; `bfloat16` is a candidate on a CPU.

# %%
my_gains = {  # change these numbers before you go on
    "pictures on the device": 1.0,
    "no waiting": 1.0,
    "channels last": 1.0,
    "bfloat16": 1.0,
    "cached teacher": 1.0,
    "compile": 1.0,
}

# %%
first = {
    "plain loop": plain_loop,
    "pictures on the device": lambda: climb(online, waiting),
    "no waiting": lambda: climb(online),
    "channels last": lambda: climb(last_online, channels_last=True),
    "bfloat16": lambda: climb(last_online, channels_last=True, precision="bfloat16"),
}
speeds, spread = race(first)
# keep what clearly pays on this machine
keep = {"channels_last": speeds["channels last"] > 1.05 * speeds["no waiting"], "precision": "float32"}
keep |= {"precision": "bfloat16"} if speeds["bfloat16"] > 1.05 * speeds["channels last"] else {}
keep |= {"channels_last": True} if keep["precision"] == "bfloat16" else {}
asked = last_online if keep["channels_last"] else online
second = {
    "online, what paid": lambda: climb(asked, **keep),
    "cached teacher": lambda: climb(cached, **keep),
    "limit": lambda: limit(compile=COMPILE, **keep),
}
if COMPILE:
    second["compile"] = lambda: climb(cached, compile=True, **keep)
for ours, theirs in zip((speeds, spread), race(second), strict=True):
    ours |= theirs
top = speeds["limit"]
for name, speed in speeds.items():
    low, high = spread[name]
    print(f"{name:24}{speed:8,.0f} pictures/s ({low:,.0f} to {high:,.0f}) {speed / top:5.0%} of the limit")

# %%
order = [name for name in (*first, "cached teacher", "compile") if name in speeds]
changes = {new: speeds[new] / speeds[old] for old, new in zip(order, order[1:], strict=False)}
changes["cached teacher"] = speeds["cached teacher"] / speeds["online, what paid"]
print(f"kept here: {keep}")
for name, factor in changes.items():
    print(
        f"{name:24} {factor:5.2f} times; you said {my_gains[name]:.1f}{'   ← costs more than it brings' * (factor < 0.9)}"
    )
print(f"a step with the cache, by FLOPs alone: {bound:.2f} times at most")
print(f"from bottom to top: {speeds[order[-1]] / speeds['plain loop']:.1f} times; the limit: {top:,.0f} pictures/s")

# %% [markdown]
# How much of the machine is that? Its *peak* here is what one large product of two matrices reaches, in the same precision.

# %%
side = pick(cpu=1024, gpu=8192)
square = torch.randn(side, side, device=DEVICE, dtype=getattr(torch, keep["precision"]))
peak = 2 * side**3 / count_seconds(lambda m: m @ m, square[None], runs=9)  # FLOPs per second
share_of_peak = speeds[order[-1]] * student_step / peak
print(f"peak: {peak / 1e9:,.0f} GFLOP/s in {keep['precision']}; the rung '{order[-1]}' uses {share_of_peak:.0%} of it")

# %% [markdown]
# **Look**: your bars, and the limit. Beside them, where there is one, a run on CIFAR-10 that was recorded on another
# machine; if yours is on the digits, compare the order of the bars and not their lengths.

# %%
mine = {"date": record.surroundings()["date"], "speeds": speeds, **record.surroundings()}
kept_runs = sorted((ROOT / "results").glob("lesson_05_*.json"))
recorded = {path.stem.removeprefix("lesson_05_"): record.read(path) for path in kept_runs}
fig, axes = plots.figure(9 if recorded else 7, 3.6, columns=(1,) * (1 + len(recorded)))
runs = {"here": mine, **{f"recorded, {kind}": run for kind, run in recorded.items()}}
words = []
for ax, (title, run) in zip(axes if recorded else [axes], runs.items(), strict=True):
    rungs = [name for name in run["speeds"] if name not in ("limit", "online, what paid")]
    heights = [run["speeds"][name] for name in rungs]
    bars = ax.barh(
        rungs, heights, color=[plots.PLAIN if name != "cached teacher" else plots.ROLE["student"][0] for name in rungs]
    )
    label = dict(padding=3, fontsize=9, bbox=dict(facecolor="white", edgecolor="none", pad=1))  # the line stays behind
    ax.bar_label(bars, [f"{height:,.0f}" for height in heights], **label)
    ax.axvline(run["speeds"]["limit"], color="black", linestyle=":")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.25 * max(*heights, run["speeds"]["limit"]))
    ax.set(title=title, xlabel="pictures per second; dotted: the limit")
    if ax is not (axes[0] if recorded else axes):
        ax.set_yticklabels([])
    named = ", ".join(f"{name} {speed:,.0f}" for name, speed in run["speeds"].items())
    words.append(f"{title} ({run['gpu'] if run['gpu'] != 'none' else run['processor']}, {run['date']}): {named}")
show(fig, f"Pictures per second by rung. {'; '.join(words)}")
if "gpu" not in recorded:
    print("No run on a GPU has been recorded yet.")
for kind, run in recorded.items():
    print(f"recorded, {kind}: {record.words(run)}; n={run['rounds']} blocks")

# %% [markdown]
# A processor does one thing after the other, so waiting for a number costs it nothing; a GPU works on its own, and stands
# still while it is waited for. A processor without bfloat16 units translates each number twice. Differences of a few
# percent are noise here.
#
# Read the bars against the limit: what is left above the top rung is all that cleverness could still win. To go faster
# from there, you need a smaller student, fewer steps, or another machine.

# %% [markdown]
# ### Where does a step's time go?
#
# torch's profiler tells. Each row is one kind of operation, in a few steps of the top rung.

# %%
kinds = [torch.profiler.ProfilerActivity.CPU]
kinds += [torch.profiler.ProfilerActivity.CUDA] if DEVICE.type == "cuda" else []
with torch.profiler.profile(activities=kinds) as profile:
    climb(cached, **keep)
on_gpu = DEVICE.type == "cuda"
rows = [e for e in profile.key_averages() if not on_gpu or e.device_type == torch.autograd.DeviceType.CUDA]
rows = [e for e in rows if not e.is_user_annotation]
spent = {e.key: e.self_device_time_total if on_gpu else e.self_cpu_time_total for e in rows}
total = sum(spent.values())
for key in sorted(spent, key=spent.get, reverse=True)[:6]:
    print(f"{spent[key] / total:5.0%}  {key[:70]}")
if not on_gpu:  # a GPU's kernels have names of their own
    layers = sum(time for key, time in spent.items() if "conv" in key or "batch_norm" in key)
    print(f"{layers / total:5.0%}  convolutions and batch normalisation, together")

# %% [markdown]
# Most of it should be convolutions and batch normalisation, forward and backward. A copy between host and device
# high in this table, or on a processor `_local_scalar_dense` (that is `.item()`), is a loop that waits.

# %% [markdown]
# **DataLoader workers.** With `num_workers=4` a DataLoader changes pictures in four other processes. On Windows and macOS
# each of them starts a new Python and imports your program again; what is defined in a notebook cell isn't there, and the
# loop hangs or fails. Linux copied the running process until Python 3.13, and starts a clean one since 3.14. Pictures
# that lie on the device need no workers.

# %% [markdown]
# ## Is the student better?
#
# **The primary comparison**, named before it is run: *accuracy on test, distilled against alone.* Both take the same
# number of updates with the same step size, which suits the student alone, on the same pictures in the same views. The
# distilled one reads no label. T is 1 here, not 4 (*Go further* asks why). The teacher's own training and its answers come on
# top. **Predict** the difference in percent points.

# %%
my_points = 2.0  # change me before you go on


# %%
def students_of(name, target, loss):
    """SEEDS students; each seed has its own first weights, order and views."""
    settings = dict(precision=keep["precision"], views=views, lr=LR, **{**how, "channels_last": keep["channels_last"]})
    return [
        fit(new_student(seed), (x, *target), loss, EPOCHS, seed=seed, label=f"{name}, seed {seed}", **settings)
        for seed in range(SEEDS)
    ]


def smoothed(logits, labels):
    return cross_entropy(logits, labels, 0.1)


start = time.perf_counter()
students = {"alone": students_of("alone", (y,), cross_entropy)}
students["label smoothing"] = students_of("label smoothing", (y,), smoothed)
students["distilled"] = students_of("distilled", (answers,), lambda logits, says: kd_loss(logits, says, T))
students_seconds = time.perf_counter() - start
print(
    f"the teacher {teacher_seconds:.0f} s, its answers {cache_seconds:.0f} s, a student {students_seconds / 3 / SEEDS:.0f} s"
)

# %%
x_test, y_test = data.x_test[:TESTED].to(DEVICE), data.y_test[:TESTED]
logits = {name: torch.stack([predict(m, x_test).cpu() for m in models]) for name, models in students.items()}
says_test = predict(teacher, x_test).cpu()
right = {name: correct(z, y_test) for name, z in logits.items()}
primary = compare(right["distilled"], right["alone"], "distilled", "alone")
d = primary.difference
print(f"you said {my_points:+.1f} points; it is {100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]\n")
print(primary)
print(compare(right["distilled"], right["label smoothing"], "distilled", "label smoothing", exploratory=True))
for name, z in logits.items():
    print(f"{name}: agreement with the teacher {agreement(z, says_test)}")

# %%
found = {name: accuracy(z, y_test) for name, z in logits.items()} | {"the teacher": accuracy(says_test, y_test)}
ax = plots.estimates(found, "accuracy on test")
words = "; ".join(f"{name} {one}" for name, one in found.items())
show(ax.figure, f"Accuracy on test with 95% intervals. {words}")

# %% [markdown]
# A short training of a small student: the numbers are far from the best that these networks reach, and the comparison is
# about this cost, not about any other. Agreement says how much of the teacher's behaviour came over; it asks no label.

# %% [markdown]
# ## Two processes
#
# **Idea.** Several GPUs train one model when each takes its share of every batch and the gradients are averaged. The mean
# of the shares' gradients *is* the gradient of the whole batch, so the steps are the same. `fit` does it through Hugging
# Face Accelerate as soon as `torchrun` starts it more than once; here on two processes of the CPU.

# %%
import subprocess
import sys
import tempfile
from pathlib import Path

program = """
import sys
import torch
from course_lib.data import load
from course_lib.losses import cross_entropy
from course_lib.models import mlp
from course_lib.train import is_first
from course_lib.train import fit

digits = load("digits")
model = fit(mlp(64, 32, 10), (digits.x_train, digits.y_train), cross_entropy, epochs=2)
if torch.distributed.is_initialized():
    print("processes:", torch.distributed.get_world_size())
if is_first():
    torch.save(model.state_dict(), sys.argv[1])
"""
place = Path(tempfile.mkdtemp())
(place / "program.py").write_text(program)
weights, path = {}, os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
for processes, starter in ((1, []), (2, ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"])):
    command = [sys.executable, *starter, place / "program.py", place / f"weights-{processes}"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
    ran = subprocess.run(command, env=settings, capture_output=True, text=True)
    troubles = [line for line in ran.stderr.splitlines() if "Error:" in line]
    print(*set(ran.stdout.split("\n")) - {""} or troubles[:1], sep="\n")
    if ran.returncode == 0:
        weights[processes] = torch.load(place / f"weights-{processes}")

# %%
if len(weights) == 2:
    pairs = zip(weights[1].values(), weights[2].values(), strict=True)
    gap = max((a - b).abs().max().item() for a, b in pairs)
    print(f"largest difference in any weight: {gap:.1e}; the same to 1e-5: {gap < 1e-5}")

# %% [markdown]
# That was a network without batch normalisation, on purpose. With it the two are *not* the same: each process normalises
# by the mean of its own share of the batch. Large shares make that harmless; with a few pictures per process, exchange
# the layer for `nn.SyncBatchNorm`.
#
# The same from the command line, for more GPUs or more hosts, without other code:
# `torchrun --nproc_per_node 8 -m course_lib train student --teacher FOLDER`.

# %% [markdown]
# ## Nothing is lost
#
# A long training is stopped one day: by you, by the machine's owner, by the mains. `fit(..., checkpoint=FILE)` keeps each
# epoch's end, whole or not at all. The same call goes on from there. Since order and views are pure functions of seed and
# epoch, the end is the same, bit for bit, as if nothing had happened.

# %% tags=["nbval-check-output"]


class Stop(Exception):
    pass


def interrupt(epoch, _):
    if epoch == 1:
        raise Stop


def train(path, on_epoch=None):
    student, settings = new_student(), dict(epochs=2, batch_size=BATCH, views=views, optimiser=sgd, lr=0.05)
    return fit(student, (x[:RACED], y[:RACED]), cross_entropy, checkpoint=path, on_epoch=on_epoch, **settings)


try:
    train(place / "state", interrupt)
except Stop:
    print("stopped after an epoch")
continued, whole = train(place / "state"), train(place / "other")
pairs = list(zip(continued.state_dict().values(), whole.state_dict().values(), strict=True))
if DEVICE.type == "cpu":
    print("continued and uninterrupted have the same bits:", all(torch.equal(a, b) for a, b in pairs))
else:
    print(f"largest difference: {max((a - b).abs().max().item() for a, b in pairs):.1e} (a GPU may add in any order)")

# %% [markdown]
# ## So

# %%
print(
    f"Pay for the teacher once ({bound:.2f} times at most, by FLOPs), keep pictures where they are used, wait for nothing, "
    f"and know the limit: {speeds[order[-1]]:,.0f} of {top:,.0f} pictures/s here, "
    f"{speeds[order[-1]] / speeds['plain loop']:.1f} times the plain loop."
)

# %% tags=["solution-only"]
if os.environ.get("COURSE_RECORD"):  # makers of the course keep this run beside their others
    figures = {"speeds": speeds, "spread": spread, "rounds": ROUNDS, "keep": keep, "bound": bound}
    figures |= {
        "peak_flops": peak,
        "share_of_peak": share_of_peak,
        "top_over_bottom": speeds[order[-1]] / speeds["plain loop"],
    }
    figures |= {"primary": {**vars(primary.difference), "verdict": primary.word}, "teacher_val": vars(teacher_on_val)}
    figures |= {"accuracy_test": {name: vars(one) for name, one in found.items()}, "n": len(x), "seeds": SEEDS}
    figures |= {"teacher_seconds": teacher_seconds, "students_seconds": students_seconds}
    figures |= {"cache_seconds": None if reused else cache_seconds, "lesson_seconds": time.perf_counter() - begun}
    figures |= {"settings": f"{TEACHER} {STUDENT} {TEACHER_EPOCHS} {EPOCHS}", **record.surroundings()}
    record.write(ROOT / "results" / f"lesson_05_{tier()}.json", figures)

# %% [markdown]
# **Sources.** Beyer et al. (2022): student and teacher see the same view. Shen and Xing (2022): teachers' answers kept
# per view. He et al. (2016) and Page (2018) for the networks. Jordan (2024): CIFAR-10 to 94% in seconds, with n, hardware
# and time beside every figure.

# %% [markdown]
# ### What this cannot show
#
# - On the CPU the networks are small and the pictures few; the order of the rungs is another one on a GPU.
# - A handful of seeds, one data set. The verdict is about this cost.
# - Mixed pictures (mixup, CutMix) have no number: for them the teacher must be asked online.
# - A cache is exact only for the views that it holds; this student sees few views, an online one could see all.

# %% [markdown]
# ### Go further
#
# 1. Set `VIEWS` to 1, then to 18. What does the cache cost, and what does the student lose or gain?
# 2. `python -m course_lib train teacher`, then `train student --teacher FOLDER`: all of CIFAR-10, overnight on a CPU or
#    in minutes on a GPU. Stop it with Ctrl-C and type the same line again.
# 3. Set `T` to 2, then to 4. On val, what does a softer target do in a training as short as this, and in one twice as
#    long?
# 4. Let teacher and student see *different* views (inconsistent teaching) and compare, seed by seed. Write down your
#    primary comparison first.
#
# <!-- next -->
