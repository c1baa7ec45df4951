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
# Lesson 04's students learned from a thousand small pictures. Now there are tens of thousands, in colour, and one habit
# makes everything slow: asking the teacher again at every step.
#
# **60 minutes.** You build: views with numbers, a frozen teacher, the key of a cache, its look-up, a step in mixed
# precision, how large a gain can be, and whether it was one.
# Needed: [lesson 04](04_teacher_and_student.ipynb).

# %%
from course_lib.checks import check, hint
from course_lib.machine import device, pick

N = pick(cpu=1_600, gpu=45_000)  # training pictures
TEACHER, STUDENT = pick(cpu=("resnet9-8", "resnet9-4"), gpu=("resnet9", "resnet9-16"))  # names of networks, see below
TEACHER_EPOCHS, EPOCHS, SEEDS = pick(cpu=(10, 5, 4), gpu=(16, 12, 5))  # SEEDS students of each kind
VIEWS = pick(cpu=5, gpu=12)  # how many views of each picture the teacher is asked about
BATCH, T = pick(cpu=(64, 1.0), gpu=(512, 1.0))
RATES = pick(cpu=(0.1, 0.2, 0.4), gpu=(0.2, 0.4, 0.8))  # step sizes to choose from
RACED, PHOTOS, BLOCKS = pick(cpu=(256, 256, 3), gpu=(20_480, 2_048, 5))  # pictures per block of a race, and blocks
TESTED = pick(cpu=3_000, gpu=10_000)  # test pictures that are looked at
COMPILE = pick(cpu=False, gpu=True)  # on a CPU, writing the code takes longer than the whole race
DEVICE = device()

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

# %%
from course_lib.data import load, load_uint8
from course_lib.files import DataError
from course_lib.measure import timed

seconds = {}  # what the long parts of this lesson take
with timed(seconds, "loading"):
    try:
        data = load_uint8("cifar10")
    except DataError as trouble:
        print(f"{trouble}\nUntil then, this lesson runs on the digits: small grey pictures, the same steps.\n")
        data = load("digits")

# %% [markdown]
# A share of the training pictures, each class in its proportion, goes to the device.

# %%
from course_lib.data import stratified_split

CHANNELS, SIZE, C = data.x_train.shape[1], data.x_train.shape[-1], len(data.classes)
rows = stratified_split(data.y_train, (min(1.0, N / len(data.x_train)),), seed=0)[0]
x, y = data.x_train[rows].to(DEVICE), data.y_train[rows].to(DEVICE)  # (N, channels, h, w), (N,)
x_val, y_val = data.x_val[:2_000].to(DEVICE), data.y_val[:2_000]
print(f"{len(x):,} of {len(data.x_train):,} training pictures, {tuple(x.shape[1:])}, {x.dtype}, on {x.device}")
print(f"loaded in {seconds['loading']:.2f} s; {x.numel() * x.element_size() / 1e6:.1f} MB on the device")

# %% [markdown]
# ## A view has a number
#
# **Idea.** A cat two pixels further to the left, or mirrored, is still a cat. Training shows each picture shifted and
# mirrored at random, *augmented*. Drawn anew each time, such a view can't be repeated. Give it a number, and it can be
# named, kept and looked up.

# %% [markdown]
# ### Exercise 5.1 · See a picture in a view · 10 minutes · difficulty ●●●
#
# Frame the picture with `shift` black pixels (zeros) on every side. Cut it out again at its own size, `down` and `right`
# from the frame's corner, each from 0 to `2 * shift`. Then mirror it, left for right, or not. The number packs all three:
# `view = (down * (2 * shift + 1) + right) * 2 + mirrored`. A loop over the batch is fine.

# %%
import torch
import torch.nn.functional as F


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
# `augment` does the same as your function, for a whole batch at once, on the device. **Look** at one picture in ten
# views.

# %%
from course_lib import plots
from course_lib.data import as_numbers, augment, some_views
from course_lib.live import show

MIRROR, SHIFT = CHANNELS == 3, SIZE // 8  # a mirrored 3 is no 3; a mirrored cat is a cat
ten = some_views(10 if MIRROR else 9, SHIFT, MIRROR).ids  # the picture as it is comes first; the digits have nine
one = x[:1].cpu().expand(len(ten), -1, -1, -1)
mine, theirs = see(one, ten, SHIFT), augment(one, ten, SHIFT)
places = [(number // 2 // (2 * SHIFT + 1), number // 2 % (2 * SHIFT + 1)) for number in ten.tolist()]
titles = [f"{n}{', mirrored' * (n % 2)}\ndown {d}, right {r}" for n, (d, r) in zip(ten.tolist(), places, strict=True)]
fig = plots.pictures(as_numbers(theirs), titles, columns=5, size=1.5, outline=True)
show(fig, f"One picture, a {data.classes[y[0]]}, in {len(ten)} views with the numbers {ten.tolist()}")

# %% [markdown]
# The first picture, on the top left, is as it is. Do both functions give the same bytes?

# %% tags=["nbval-check-output"]
print("the same bytes:", torch.equal(mine, theirs))
print("views with a shift of 4, mirrored or not:", 2 * (2 * 4 + 1) ** 2)

# %% [markdown]
# Which of the two is faster on one batch? (The first time does not count: it sets up memory.)

# %%
import time

block, numbers = x[:BATCH].cpu(), ten[torch.arange(BATCH) % len(ten)]
for name, way in (("yours", see), ("augment", augment)):
    way(block, numbers, SHIFT)
    start = time.perf_counter()
    way(block, numbers, SHIFT)
    print(f"{name}: {1e3 * (time.perf_counter() - start):.1f} ms for {BATCH} pictures")

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
# Now a teacher. The networks of this lesson are small *ResNets*: convolutions with shortcuts around them. `resnet9-8`
# has nine layers, the first 8 channels wide. It is trained with `fit` as you know it. New: `views`, in which each picture
# is seen another way in each epoch; a step size that rises and falls (`one_cycle`); and on a GPU, half the bytes
# (`bfloat16`). You come to that.

# %%
from course_lib.data import all_views
from course_lib.losses import cross_entropy
from course_lib.models import network
from course_lib.train import fit, one_cycle, sgd

torch.backends.cudnn.benchmark = True  # a GPU tries its ways to compute a convolution, and keeps the fastest
PRECISION = pick(cpu="float32", gpu="bfloat16")
how = dict(batch_size=BATCH, optimiser=sgd, schedule=one_cycle)
teacher = network(TEACHER, C, CHANNELS, seed=100)
with timed(seconds, "the teacher"):
    every = all_views(SHIFT, MIRROR)
    fit(teacher, (x, y), cross_entropy, TEACHER_EPOCHS, lr=RATES[1], views=every, precision=PRECISION, **how)

# %% [markdown]
# How good is it? As always, look on `val`.

# %%
from course_lib.measure import accuracy
from course_lib.train import predict

teacher_on_val = accuracy(predict(teacher, x_val).cpu(), y_val)
print(f"the teacher after {TEACHER_EPOCHS} epochs and {seconds['the teacher']:.0f} s: {teacher_on_val} on val")

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
# Return how many times faster a student's *step* can be at most; and the FLOPs of the whole training, all students and
# epochs, with a cache as a share of those without.


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

# %% [markdown]
# Torch counts the FLOPs of an answer, and of a training step, by running them once.

# %%
from course_lib.measure import count_flops


def new_student(seed=0):
    return network(STUDENT, C, CHANNELS, seed=seed).to(DEVICE)


few = as_numbers(x[:8])
student_step, teacher_forward = count_flops(new_student(), few, training=True), count_flops(teacher, few)
print(f"a teacher's answer: {teacher_forward / 1e6:,.1f} MFLOP; a student's step: {student_step / 1e6:,.1f} MFLOP")

# %% [markdown]
# Your two numbers, for the students of this lesson:

# %%
views = some_views(min(VIEWS, len(ten)), SHIFT, MIRROR)  # those that the students will learn from
K, students = len(views.ids), SEEDS + len(RATES) - 1  # with those that only serve to choose a step size
bound, share = gains(teacher_forward, student_step, K, EPOCHS, students)
print(f"you said {my_factor:.1f} times; the bound is {bound:.2f} times")
print(f"{students} students, {EPOCHS} epochs, {K} views: the cache takes {share:.0%} of the FLOPs, all told")
print(f"it pays off once all students together have more than {K} epochs; here they have {students * EPOCHS}")

# %% [markdown]
# ## The teacher's answers in a file
#
# **Idea.** A cache that serves the wrong teacher's answers is worse than none: the student learns, accuracy looks
# plausible, and nobody notices. So the file carries a *key*: a word made from everything that the answers depend on.
# Another key, another file.

# %% [markdown]
# ### Exercise 5.4 · The key of a cache · 8 minutes · difficulty ●●○
#
# Make a word, at most 64 letters and digits: another one whenever the answers could be. Another weight or running mean
# (`state_dict()` has both), another kind of layer (`str(teacher)`), other pictures, order or views. Equal things give an
# equal word, tomorrow too: Python's own `hash` of a text does not. `hashlib.sha256()` has `.update(bytes)` and
# `.hexdigest()`; `tensor.cpu().contiguous().numpy().tobytes()` gives bytes.

# %%
import hashlib


def cache_key(teacher, x, views):
    """A word that changes whenever the teacher's answers could. x (N, ...), views (K,) -> str."""
    # BEGIN SOLUTION
    digest = hashlib.sha256(str(teacher).encode())  # its layers: a ReLU and a GELU have no weights
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
from course_lib.answers import build
from course_lib.files import keep_folder

file = keep_folder() / "answers" / cache_key(teacher, x, views.ids)[:16]
reused = file.exists()
with timed(seconds, "its answers"):
    answers = build(file, teacher, x, views, precision=PRECISION).to(DEVICE)
print(f"{tuple(answers.logits.shape)} logits, {answers.logits.numel() * 2 / 1e6:.1f} MB,", end=" ")
print("found again from an earlier run" if reused else f"made in {seconds['its answers']:.1f} s")

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
some, view = torch.arange(64), views.ids[-1].repeat(64)
fresh = ask(teacher, as_numbers(augment(x[:64], view.to(DEVICE), SHIFT))).cpu()
kept = look_up(answers.logits.cpu(), views.ids, some, view)
print(f"largest difference: {(kept - fresh).abs().max():.5f}, where logits go up to {fresh.abs().max():.1f}")

# %% [markdown]
# Within that rounding?

# %% tags=["nbval-check-output"]
allowed = 2**-11 if PRECISION == "float32" else 2**-5
print("kept and fresh are the same, to rounding:", torch.allclose(kept, fresh, rtol=1.01 * allowed, atol=2 * allowed))

# %% [markdown]
# ## Half the bytes
#
# **Idea.** A *bfloat16* number has the range of a float32 and 8 binary digits in place of 24. Products and convolutions
# survive that; sums of many small steps do not. So in *mixed precision* the passes run in bfloat16; weights, loss and
# optimiser stay in float32. `torch.autocast` sees to it. (On newer GPUs even torch's "float32" convolutions multiply in
# TF32, 11 digits, unless you forbid it.)

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

# %% [markdown]
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
# Three of your steps on one batch, from the same first weights as three steps in float32:

# %%
from course_lib.losses import distill_loss

plain_view = views.ids[:1].repeat(BATCH)  # the pictures as they are
says = look_up(answers.logits.cpu(), views.ids, torch.arange(BATCH), plain_view)
batch = (as_numbers(x[:BATCH].cpu()), y[:BATCH].cpu(), says)


def three(step):
    """The losses of three steps, in nats."""
    student = network(STUDENT, C, CHANNELS, seed=0)
    optimiser = sgd(student.parameters(), 0.05)
    return "  ".join(f"{step(student, optimiser, *batch, distill_loss).item():.3f}" for _ in range(3))


# %% [markdown]
# A step in float32 is yours without `autocast`:


# %%
def step_in_float32(student, optimiser, x, labels, answers, loss):
    optimiser.zero_grad()
    value = loss(student(x), labels, answers)
    value.backward()
    optimiser.step()
    return value.detach()


print(f"mixed    {three(step)} nats\nfloat32  {three(step_in_float32)} nats")

# %% [markdown]
# ## The speed ladder
#
# **Idea.** Every optimisation is one change. Make them one at a time, measure after each, and keep what pays *here*.
#
# The lowest rung is the loop of most tutorials: pictures as PIL images (Python's usual picture library), changed one by
# one on the processor, without helper processes; a teacher that is asked at each step; `.item()` for the loss.

# %%
from torchvision import transforms

RACED, PHOTOS = (min(number, len(x) // BATCH * BATCH) for number in (RACED, PHOTOS))
levels = x[:PHOTOS].cpu() if x.dtype == torch.uint8 else (255 * x[:PHOTOS].cpu()).byte()
photos = [(transforms.functional.to_pil_image(one), label) for one, label in zip(levels, y.tolist(), strict=False)]
flip = transforms.RandomHorizontalFlip(0.5 * MIRROR)
change = transforms.Compose([transforms.RandomCrop(SIZE, padding=SHIFT), flip, transforms.ToTensor()])


def changed(batch):
    """[(photo, label)] -> (pictures (B, channels, h, w), labels (B,)), one photo after the other."""
    return torch.stack([change(photo) for photo, _ in batch]), torch.tensor([label for _, label in batch])


# %% [markdown]
# One epoch of it. Each rung gives back how many pictures it trained on, for the race below.


# %%
def plain_loop():
    """One epoch, the common way."""
    student, losses = new_student().train(), []
    optimiser = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9)
    for pictures, labels in torch.utils.data.DataLoader(photos, BATCH, shuffle=True, collate_fn=changed):
        pictures, labels = pictures.to(DEVICE), labels.to(DEVICE)
        value = distill_loss(student(pictures), labels, ask(teacher, pictures), T)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return len(photos)


# %% [markdown]
# ### How a picture lies in memory
#
# Memory is one long row of numbers. In torch's usual order a picture lies colour by colour: all of its reds, then all
# greens, then all blues. *Channels last* is the other order, pixel by pixel: a pixel's red, green and blue lie side by
# side. Shape and values stay what they are. Fast convolutions read all colours of a pixel at once, so many of them want
# the second order.

# %% tags=["nbval-check-output"]
picture = torch.tensor([[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34]]).view(1, 3, 2, 2)  # 3 colours, 4 pixels
other = picture.to(memory_format=torch.channels_last)
for name, one in (("usual", picture), ("channels last", other)):
    print(f"{name:14}", one.as_strided((12,), (1,)).tolist())  # the row of numbers, as it lies there
print("the same picture:", torch.equal(picture, other))

# %% [markdown]
# The other rungs are `fit`, with one more switch each:
#
# - *pictures on the device*: also changed there, a batch at a time, and an optimiser that is one call;
# - *no waiting*: no number is taken out of a tensor;
# - *channels last*, for pictures and networks;
# - *bfloat16*: half the bytes;
# - *cached teacher*: its answers are looked up (`Cached`);
# - *compile*: torch first writes code for this one network. Raced on a GPU only: on a CPU that takes too long.


# %%
def loss(logits, labels, says):
    return distill_loss(logits, labels, says, T)


def waiting(logits, labels, says):
    value = loss(logits, labels, says)
    value.item()  # stop here until the number is there
    return value


# %% [markdown]
# One epoch of `fit`, with the switches to be tried; the student is the same each time.


# %%
def climb(target, loss=loss, precision="float32", channels_last=False, compile=False):
    """Train on RACED pictures; target: the teacher, or its answers."""
    some, once = (x[:RACED], y[:RACED], target), dict(epochs=1, batch_size=BATCH, lr=0.01, optimiser=sgd, views=views)
    fit(new_student(), some, loss, precision=precision, channels_last=channels_last, compile=compile, **once)
    return RACED


# %% [markdown]
# And the limit: a student's forward and backward pass and nothing else, on one batch that is there already, again and
# again. No loop that trains this student can do with less.


# %%
def limit(precision="float32", channels_last=False, compile=False):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    student, batch = (one.to(memory_format=layout) for one in (new_student().train(), as_numbers(x[:BATCH])))
    forward = torch.compile(student, dynamic=False) if compile else student
    for _ in range(RACED // BATCH):
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16"):
            value = cross_entropy(forward(batch), y[:BATCH])
        student.zero_grad()  # the last batch's gradients are forgotten, not added to
        value.backward()
    return RACED


# %% [markdown]
# **Predict** each change before you look: how many times faster does it make the loop *on this machine*? Less than 1
# means slower: `bfloat16` is a candidate, on a processor that has no units for it.

# %%
my_gains = {  # change these numbers before you go on
    "pictures on the device": 1.0,
    "no waiting": 1.0,
    "channels last": 1.0,
    "bfloat16": 1.0,
    "cached teacher": 1.0,
    "compile": 1.0,  # on a GPU only
}

# %% [markdown]
# The contenders. `Online` is a frozen teacher that is asked at each step, here in both memory orders. In a race, each runs
# once to warm up; then they run a *block* each in turn, so that a busy moment of the machine hits all of them.

# %%
import copy

from course_lib.answers import Online

online, last_online = Online(teacher), Online(copy.deepcopy(teacher).to(memory_format=torch.channels_last))
first = {
    "plain loop": plain_loop,
    "pictures on the device": lambda: climb(online, waiting),
    "no waiting": lambda: climb(online),
    "channels last": lambda: climb(last_online, channels_last=True),
    "bfloat16": lambda: climb(last_online, channels_last=True, precision="bfloat16"),
}

# %% [markdown]
# **Look** at the blocks of one contender: its speed is not one number.

# %%
from course_lib.measure import race

with timed(seconds, "the race"):
    speeds = race(first, BLOCKS)  # {name: pictures per second, (BLOCKS,)}
for name, blocks in speeds.items():
    print(f"{name:24}", "".join(f"{speed:9,.0f}" for speed in blocks.tolist()), "pictures/s")

# %% [markdown]
# ### Exercise 5.7 · Faster, or not · 5 minutes · difficulty ●○○
#
# Blocks with the same number ran side by side, in the same moment of the machine. So compare block by block: how many
# times faster is the new loop? Return the ratio in the middle (of an even number of blocks: the mean of the two in the
# middle), then the smallest and the largest.

# %%
import statistics


def faster(old, new):
    """(middle, smallest, largest): how many times faster new is. old, new (B,): pictures per second, by block."""
    # BEGIN SOLUTION
    ratios = (new / old).tolist()
    return statistics.median(ratios), min(ratios), max(ratios)
    # END SOLUTION


# %% tags=["check"]
faster = check("5.7", faster)

# %%
# hint("5.7")

# %% [markdown]
# A change has paid if it was faster in *every* block, and has cost if it was slower in every block. Between the two, this
# race cannot tell. How often would a change that does nothing look as if it had paid?

# %%
names = list(first)
changes = {new: faster(speeds[old], speeds[new]) for old, new in zip(names, names[1:], strict=False)}
paid = {name: bool(smallest > 1) for name, (_, smallest, _) in changes.items()}
keep = {"precision": "bfloat16" if paid["bfloat16"] else "float32"}
keep["channels_last"] = paid["channels last"] or paid["bfloat16"]  # bfloat16 was raced on top of it
print(f"kept here: {keep}\nby luck alone, {BLOCKS} blocks of {BLOCKS} are faster in {0.5**BLOCKS:.0%} of races")

# %% [markdown]
# The second race, with what has paid: a teacher that is asked at each step, the cached one, and the limit.

# %%
from course_lib.answers import Cached

asked, cached = last_online if keep["channels_last"] else online, Cached(answers.logits[:, :RACED], views).to(DEVICE)
second = {
    "online, what paid": lambda: climb(asked, **keep),
    "cached teacher": lambda: climb(cached, **keep),
    "limit": lambda: limit(compile=COMPILE, **keep),
}
if COMPILE:
    second["compile"] = lambda: climb(cached, compile=True, **keep)
with timed(seconds, "the race"):
    speeds |= race(second, BLOCKS)

# %% [markdown]
# **Look.** Each rung: the block in the middle, the slowest and the fastest, and its share of the limit.

# %%
from course_lib.measure import middle

rungs = {name: middle(blocks) for name, blocks in speeds.items()}  # Estimates, in pictures per second
top = rungs["limit"].value
for name, one in rungs.items():
    print(
        f"{name:24}{one.value:8,.0f} ({one.low:,.0f} to {one.high:,.0f}) pictures/s, {one.value / top:.0%} of the limit"
    )
for name in [name for name, one in rungs.items() if one.value > top]:
    print(f"{name} went past the limit. No loop can: the machine was busy while the limit was measured. Race again.")

# %% [markdown]
# And each change, against what you said.

# %%
changes["cached teacher"] = faster(speeds["online, what paid"], speeds["cached teacher"])
if COMPILE:
    changes["compile"] = faster(speeds["cached teacher"], speeds["compile"])
for name, (factor, low, high) in changes.items():
    word = "paid" if low > 1 else "cost" if high < 1 else "cannot tell"
    print(f"{name:24}{factor:5.2f} times ({low:.2f} to {high:.2f}): {word}; you said {my_gains[name]:.1f}")
print(f"the cache, by FLOPs alone: {bound:.2f} times at most{'' if COMPILE else '; compile: raced on a GPU only'}")

# %% [markdown]
# How much of the machine is that? Its *peak* here is what one large product of two matrices reaches, in the same precision.

# %%
from course_lib.measure import count_seconds

last, side = ("compile", 8192) if COMPILE else ("cached teacher", 1024)
square = torch.randn(side, side, device=DEVICE, dtype=getattr(torch, keep["precision"]))
peak = 2 * side**3 / count_seconds(lambda m: m @ m, square[None], runs=9)  # FLOPs per second
used = rungs[last].value * student_step / peak
print(f"peak: {peak / 1e9:,.0f} GFLOP/s in {keep['precision']}; the rung '{last}' uses {used:.0%} of it")

# %% [markdown]
# **Look**: your bars, and the limit. Beside them, where there is one, a run on CIFAR-10 that was recorded on another
# machine; if yours is on the digits, compare the order of the bars and not their lengths.

# %%
from course_lib.files import ROOT
from course_lib.measure import Estimate, record

recorded = record.every(ROOT / "results", "lesson_05")  # {"cpu": a run's figures, ...}
panels = {"here": rungs}
for kind, run in recorded.items():
    how_many = (f"{run['rounds']} blocks", "blocks", "smallest to largest")
    panels[f"recorded, {kind}"] = {n: Estimate(one, *run["spread"][n], *how_many) for n, one in run["speeds"].items()}
shown = {title: {n: one for n, one in bars.items() if n != "online, what paid"} for title, bars in panels.items()}
said = "; ".join(
    f"{title}: " + ", ".join(f"{n} {e.value:,.0f}" for n, e in bars.items()) for title, bars in shown.items()
)
show(plots.bars(shown, "pictures per second", "limit"), f"Pictures per second by rung. {said}")

# %% [markdown]
# Where and when the recorded runs were made:

# %%
for kind, run in recorded.items():
    print(f"recorded, {kind}: {record.words(run)}")
if "gpu" not in recorded:
    print("No run on a GPU has been recorded yet.")

# %% [markdown]
# A processor does one thing after the other, so waiting for a number costs it next to nothing; a GPU works on its own, and
# stands still while it is waited for. A processor without bfloat16 units translates each number twice.
#
# Read the bars against the limit: what is left above the top rung is all that cleverness could still win. To go faster
# from there, you need a smaller student, fewer steps, or another machine.

# %% [markdown]
# ### Where does a step's time go?
#
# torch's profiler tells. Each row is one kind of operation, in a few steps with the cached teacher.

# %%
from course_lib.measure import by_operation

shares = by_operation(lambda: climb(cached, **keep), DEVICE)
for name, part in list(shares.items())[:6]:
    print(f"{part:5.0%}  {name[:70]}")
layers = {name: part for name, part in shares.items() if "conv" in name or "batch_norm" in name}
print(f"{sum(layers.values()):5.0%}  convolutions and batch normalisation" if DEVICE.type == "cpu" else "")

# %% [markdown]
# On a processor, nothing else takes as long as convolutions and batch normalisation, forward and backward. (A GPU's
# kernels have names of their own.)

# %% tags=["nbval-check-output"]
others = max(part for name, part in shares.items() if name not in layers)
print("longer than any other kind of operation:", sum(layers.values()) > others or DEVICE.type == "cuda")

# %% [markdown]
# A copy between host and device high in this table, or on a processor `_local_scalar_dense` (that is `.item()`), is a loop
# that waits.

# %% [markdown]
# **DataLoader workers.** With `num_workers=4` a DataLoader changes pictures in four other processes. On Windows and macOS
# each of them starts a new Python and imports your program again; what is defined in a notebook cell isn't there, and the
# loop hangs or fails. Linux copied the running process until Python 3.13, and starts a clean one since 3.14. Pictures
# that lie on the device need no workers.

# %% [markdown]
# ## Is the student better?
#
# **The primary comparison**, named before it is run: *accuracy on test, distilled against alone.* Both take the same
# number of updates, on the same pictures in the same views, each with the step size that suited it best on `val`. The
# distilled one reads no label. T is 1 here (*Go further* asks why). Its one teacher's training and answers come on top.
# **Predict** the difference in percent points.

# %%
my_points = 2.0  # change me before you go on

# %% [markdown]
# Three kinds of students. Each kind is what it learns from, and its loss; each seed has its own first weights, order and
# views.

# %%
from functools import partial

from course_lib.losses import kd_loss

kinds = {
    "alone": (y, cross_entropy),
    "label smoothing": (y, partial(cross_entropy, label_smoothing=0.1)),
    "distilled": (answers, partial(kd_loss, T=T)),
}


def student_of(kind, rate, seed):
    target, loss = kinds[kind]
    return fit(new_student(seed), (x, target), loss, EPOCHS, seed=seed, lr=rate, views=views, **how, **keep)


# %% [markdown]
# First the step size, for `alone` and for `distilled` with the same budget: one student per step size, judged on `val`.
# Label smoothing is a side question here, and takes that of `alone`.

# %%
from course_lib.progress_line import each

tries = [(kind, rate) for kind in ("alone", "distilled") for rate in RATES]
with timed(seconds, "choosing step sizes"):
    tried = {one: student_of(*one, seed=0) for one in each(tries, f"{len(tries)} students")}
on_val = {one: accuracy(predict(model, x_val).cpu(), y_val) for one, model in tried.items()}
best = {kind: max(RATES, key=lambda rate: on_val[kind, rate].value) for kind in ("alone", "distilled")}
best["label smoothing"] = best["alone"]
for (kind, rate), found in on_val.items():
    edge = ", at the edge of those tried" * (rate in (min(RATES), max(RATES)))
    print(f"{kind:10} step size {rate}: {found} on val{f'  ← chosen{edge}' * (rate == best[kind])}")

# %% [markdown]
# The chosen ones are the students with seed 0; now the others.

# %%
wanted = [(kind, best[kind], seed) for kind in kinds for seed in range(SEEDS)]
with timed(seconds, "the students"):
    for kind, rate, seed in each([one for one in wanted if one[2] or one[:2] not in tried], "the other students"):
        tried[kind, rate, seed] = student_of(kind, rate, seed)
models = {kind: [tried.get((kind, best[kind], s)) or tried[kind, best[kind]] for s in range(SEEDS)] for kind in kinds}

# %% [markdown]
# The test pictures, for the first time.

# %%
from course_lib.measure import agreement, compare, correct

x_test, y_test = data.x_test[:TESTED].to(DEVICE), data.y_test[:TESTED]
logits = {}  # {kind: (S, N, C)}
for kind, ms in each(models.items(), "the test"):
    logits[kind] = torch.stack([predict(m, x_test, BATCH).cpu() for m in ms])
right = {kind: correct(z, y_test) for kind, z in logits.items()}
primary = compare(right["distilled"], right["alone"], "distilled", "alone")
d = primary.difference
print(f"you said {my_points:+.1f} points; it is {100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]\n")
print(primary)

# %% [markdown]
# And two that are exploratory: against label smoothing, and how much of the teacher's behaviour came over. Agreement
# asks no label.

# %%
says_test = predict(teacher, x_test).cpu()
print(compare(right["distilled"], right["label smoothing"], "distilled", "label smoothing", exploratory=True))
for kind, z in logits.items():
    print(f"{kind}: agreement with the teacher {agreement(z, says_test)}")

# %% [markdown]
# **Look.** All of them, and the teacher.

# %%
found = {kind: accuracy(z, y_test) for kind, z in logits.items()} | {"the teacher": accuracy(says_test, y_test)}
ax = plots.estimates(found, "accuracy on test")
words = "; ".join(f"{name} {one}" for name, one in found.items())
show(ax.figure, f"Accuracy on test with 95% intervals. {words}")

# %% [markdown]
# A short training of a small student: the numbers are far from the best that these networks reach, and the comparison is
# about this cost and this one teacher, not about any other.

# %% [markdown]
# ## Two processes
#
# **Idea.** Several GPUs train one model when each takes its share of every batch and the gradients are averaged. The mean
# of the shares' gradients *is* the gradient of the whole batch, so the steps are the same.
#
# Two tools do the work. `torchrun` is torch's starter: it starts one program several times, and tells each process its
# number. Hugging Face's *Accelerate* is a package that lets such processes exchange their gradients.

# %% [markdown]
# `fit` calls Accelerate as soon as `torchrun` has started it more than once. So the program is an ordinary one:

# %%
program = """
import os
from course_lib.data import load
from course_lib.losses import cross_entropy
from course_lib.models import mlp
from course_lib.train import fit

print("one of", os.environ.get("WORLD_SIZE", 1))
digits = load("digits")
model = fit(mlp(64, 32, 10), (digits.x_train, digits.y_train), cross_entropy, epochs=2)
"""

# %% [markdown]
# `launch` runs it here, and then in two processes on the CPU through `torchrun`. It gives back the weights of `model`.
# Are they the same?

# %%
from course_lib.train import launch

one = launch(program, processes=1)
try:
    with timed(seconds, "two processes"):
        two = launch(program, processes=2)
    gap = max((a - b).abs().max().item() for a, b in zip(one.values(), two.values(), strict=True))
    print(f"largest difference in any weight: {gap:.1e}; the same to 1e-5: {gap < 1e-5}")
except RuntimeError as trouble:
    print(trouble)

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


# %%
class Stop(Exception):
    """The mains fail."""


def interrupt(epoch, predict):
    raise Stop


def train(path, on_epoch=None):
    some, settings = (x[:RACED], y[:RACED]), dict(epochs=2, batch_size=BATCH, lr=0.05, optimiser=sgd, views=views)
    return fit(new_student(), some, cross_entropy, checkpoint=path, on_epoch=on_epoch, **settings)


# %% [markdown]
# One training is stopped after its first epoch and called again; another runs through.

# %% tags=["nbval-check-output"]
import tempfile
from pathlib import Path

place = Path(tempfile.mkdtemp())
try:
    train(place / "state", interrupt)
except Stop:
    print("stopped after an epoch")
continued, whole = train(place / "state").state_dict(), train(place / "other").state_dict()
gap = max((a - b).abs().max().item() for a, b in zip(continued.values(), whole.values(), strict=True))
print("the same bits:", gap == 0) if DEVICE.type == "cpu" else print(f"{gap:.1e} apart (a GPU may add in any order)")

# %% [markdown]
# ## So
#
# How do you train a student at full size, fast?

# %%
print(
    f"Pay for the teacher once ({bound:.2f} times at most, by FLOPs), keep pictures where they are used, wait for nothing, "
    f"and know the limit: {rungs[last].value:,.0f} of {top:,.0f} pictures/s here, "
    f"{rungs[last].value / rungs['plain loop'].value:.1f} times the plain loop."
)
print(f"\nThis lesson computed for {sum(seconds.values()):.0f} s, in its long parts:")
print(", ".join(f"{what} {taken:.0f}" for what, taken in seconds.items()))

# %% tags=["solution-only"]
import os

from course_lib.machine import tier

if os.environ.get("COURSE_RECORD"):  # makers of the course keep this run beside their others
    figures = {"speeds": {name: one.value for name, one in rungs.items()}, "rounds": BLOCKS}
    figures |= {"spread": {name: (one.low, one.high) for name, one in rungs.items()}, "keep": keep, "bound": bound}
    figures |= {"peak_flops": peak, "share_of_peak": used, "n": len(x), "seeds": SEEDS, "step_sizes": best}
    figures |= {"primary": {**vars(d), "verdict": primary.word}, "teacher_val": vars(teacher_on_val)}
    figures |= {"accuracy_test": {name: vars(one) for name, one in found.items()}, "seconds": seconds, "reused": reused}
    figures |= {"settings": f"{TEACHER} {STUDENT} {TEACHER_EPOCHS} {EPOCHS}", **record.surroundings()}
    record.write(ROOT / "results" / f"lesson_05_{tier()}.json", figures)

# %% [markdown]
# **Sources.** Beyer et al. (2022): student and teacher see the same view. Shen and Xing (2022): teachers' answers kept
# per view. He et al. (2016) and Page (2018) for the networks. Jordan (2024): CIFAR-10 to 94% in seconds, with n, hardware
# and time beside every figure.

# %% [markdown]
# ### What this cannot show
#
# - Networks and pictures are few and small on the CPU; on a GPU the rungs may have another order.
# - A few seeds, one teacher, one data set, one cost: another teacher may turn the verdict.
# - One student each chose the step size; another might have chosen its neighbour.
# - Mixed pictures (mixup, CutMix) have no number: for them, ask the teacher online.
# - A cached student sees kept views; an online one could see all.

# %% [markdown]
# ### Go further
#
# 1. Set `VIEWS` to 1, then to 18. What does the cache cost, and what does the student lose or gain?
# 2. `python -m course_lib train teacher`, then `train student --teacher FOLDER`: all of CIFAR-10, overnight on a CPU.
#    Stop it with Ctrl-C; type the same line again.

# %% [markdown]
# 3. Set `T` to 2, then to 4. On val, what does a softer target do in a training as short as this, and in one twice as
#    long?
# 4. Let teacher and student see *different* views (inconsistent teaching) and compare, seed by seed. Write down your
#    primary comparison first.
#
# <!-- next -->
