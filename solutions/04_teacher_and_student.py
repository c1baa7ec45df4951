# ---
# jupyter:
#   course:
#     question: Does it work? How would you know?
#     minutes: 60
#     shows: few labels, many pictures, all labels; four controls; accuracy, agreement, calibration; verdicts
# ---

# %% [markdown]
# # 04 · Does it work? How would you know?
#
# You have the loss ([lesson 03](03_distillation_loss.ipynb)). Now you write the whole loop: a teacher, a student, and
# the question whether the student is better for having had one. Most tutorials answer it with one run. You will
# answer it with sixteen, with controls that cost the same, and with a verdict that may be "no".
#
# **60 minutes.** You build: a frozen teacher, the loop, the evaluation, a paired interval, a control, a choice made
# on val.

# %%
import torch
from scipy import stats

from course_lib import plots
from course_lib.checks import check, hint
from course_lib.data import load, stratified_split
from course_lib.live import explore, show, slider
from course_lib.losses import cross_entropy, distill_loss, kd_loss
from course_lib.machine import pick
from course_lib.measure import accuracy, agreement, calibration, compare, correct, count_flops, same_answer
from course_lib.models import Ensemble, mlp
from course_lib.train import fit_many, predict

DATA = "digits"  # "mnist", or the path of a folder of your own pictures, works too
SEEDS = 16
LABELLED = 100  # the pictures that you can afford to have labelled
UPDATES, BATCH = 400, 20  # what every student costs: 400 steps of 20 pictures
POOL = pick(cpu=5_000, gpu=50_000)  # a larger data set is cut to so many pictures; the digits have 1,078

# %% tags=["solution-only"]
from course_lib import exercises

exercises.strict()

# %% [markdown]
# ## A teacher
#
# **Idea.** Averaging the logits of several networks gives a better one, and a slow one: eight times the work per
# answer. Such a teacher is what you would like to *have*, not what you would like to *run*.
#
# It learns from all the labels of the training part. Remember that: whatever a student gains from this teacher was
# once paid for in labels. The student's makers did not pay; the teacher's did.

# %%
data = load(DATA)
share = min(1.0, POOL / len(data.x_train))
(pool,) = stratified_split(data.y_train, (share,), seed=0)
x, y = data.x_train[pool], data.y_train[pool]  # (N, channels, h, w), (N,)
D, C = x[0].numel(), len(data.classes)

experts = fit_many(lambda seed: mlp(D, 128, C, seed=seed), (x, y), cross_entropy, seeds=8, epochs=30)
teacher = Ensemble(experts)
print(f"{len(x):,} training pictures of {D} numbers, {C} classes")
print(f"one network:      {accuracy(predict(experts[0], data.x_val), data.y_val)}")
print(f"eight, averaged:  {accuracy(predict(teacher, data.x_val), data.y_val)}")

# %% [markdown]
# One number here is about one model on these pictures, so its interval speaks of the pictures alone (n says so).
#
# ### Exercise 4.1 · Freeze the teacher · 5 minutes · difficulty ●○○
#
# A teacher gives answers; it does not learn, and its answer to a picture must not depend on the other pictures in the
# batch. Two switches see to that. One turns off what layers do only while training. The other stops gradients.


# %%
def freeze_teacher(model):
    """Make a model a teacher: nothing in it moves any more. Returns the model."""
    # BEGIN SOLUTION
    model.eval()
    model.requires_grad_(False)
    return model
    # END SOLUTION


# %% tags=["check"]
freeze_teacher = check("4.1", freeze_teacher)

# %%
# hint("4.1")  # stuck? Take the first # away and run this cell; each run shows one more hint

# %% [markdown]
# Asked once, a frozen teacher never has to be asked again: its answer to a picture stays the same. You keep its
# answers to the training and the val pictures; lesson 05 makes a whole machine of this.

# %%
teacher = freeze_teacher(teacher)
teacher_says = predict(teacher, x)  # (N, C) logits
teacher_says_val = predict(teacher, data.x_val)

# %% [markdown]
# ## The loop
#
# **Idea.** Distillation is ordinary training in which the target is another model's answer. Nothing here needs a
# label.
#
# ### Exercise 4.2 · Distil: the whole loop · 12 minutes · difficulty ●●●
#
# For each epoch: a new random order, cut into batches. For each batch: the teacher's answer, the student's answer,
# the loss, one step of Adam. The student is in train mode while it learns, and is given back in eval mode. `kd_loss`
# is imported.


# %%
def distil(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    """Train the student on the teacher's answers to x (N, ...), and return it. The teacher is frozen already."""
    # BEGIN SOLUTION
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
    # END SOLUTION


# %% tags=["check"]
distil = check("4.2", distil)

# %%
# hint("4.2")

# %% [markdown]
# ### Exercise 4.3 · Evaluate: accuracy and agreement · 8 minutes · difficulty ●●○
#
# Two questions about a student. *Accuracy*: is its answer the label? *Agreement*: is its answer the teacher's, right
# or wrong? The second needs no label at all, so you can ask it of pictures that nobody has labelled.
#
# Measure in eval mode, and leave the student in the mode in which it came: real loops measure in the middle of
# training.


# %%
def evaluate(student, teacher, x, labels):
    """(accuracy, agreement with the teacher), two shares between 0 and 1. x (N, ...), labels (N,)."""
    # BEGIN SOLUTION
    was_training = student.training
    student.eval()
    with torch.no_grad():
        answers, teachers = student(x).argmax(-1), teacher(x).argmax(-1)  # (N,) each
    student.train(was_training)
    return (answers == labels).float().mean().item(), (answers == teachers).float().mean().item()
    # END SOLUTION


# %% tags=["check"]
evaluate = check("4.3", evaluate)

# %%
# hint("4.3")

# %% [markdown]
# Your loop runs: a student with 16 hidden units learns from the teacher's answers to a hundred pictures. The two
# models side by side, in parameters and in FLOPs (floating-point operations, counted, not guessed):

# %%
few = stratified_split(y, (LABELLED / len(y),), seed=0)[0]  # about LABELLED rows, every class in its share
epochs = max(1, round(UPDATES * BATCH / len(few)))
student = distil(mlp(D, 16, C, seed=0), teacher, x[few], epochs, batch_size=BATCH)
right, same = evaluate(student, teacher, data.x_val, data.y_val)
print(f"{len(few)} pictures, no label, {UPDATES} steps: accuracy {right:.1%}, agreement {same:.1%} (val)")

teacher_flops, student_flops = count_flops(teacher, x[:64]), count_flops(student, x[:64])
step_flops = count_flops(student, x[:64], training=True)
print(f"one answer: teacher {teacher_flops:,.0f} FLOPs, student {student_flops:,.0f}")
asking, learning = teacher_flops * len(few), step_flops * UPDATES * BATCH
print(
    f"asking the teacher once per picture: {asking / 1e6:.1f} MFLOP; training the student: {learning / 1e6:.1f} MFLOP"
)

# %% [markdown]
# ## One run is an anecdote
#
# A student *alone* learns from the hundred labels instead, with the same first weights, the same pictures in the same
# order, and as many steps. Another seed draws other weights and another hundred pictures. `fit_many` is your loop for
# all seeds at once: it gives what one-by-one training gives, and is several times faster.


# %%
def rows_for(n):
    """(S, about n) row numbers: which pictures each seed has labelled. None stands for all of them."""
    return None if n >= len(y) else torch.stack([stratified_split(y, (n / len(y),), seed=s)[0] for s in range(SEEDS)])


def train(n, targets, loss, lr=1e-2, updates=UPDATES, batch_size=BATCH):
    """SEEDS students of 16 hidden units, each with n pictures of its own. targets: a tuple of tensors (N, ...)."""
    rows = rows_for(n)
    size = len(y) if rows is None else rows.shape[1]
    epochs = max(1, round(updates * batch_size / size))
    make = lambda seed: mlp(D, 16, C, seed=seed)  # noqa: E731
    settings = dict(seeds=SEEDS, rows=rows, epochs=epochs, batch_size=batch_size, lr=lr)
    return fit_many(make, (x, *targets), loss, **settings)


# %% [markdown]
# **Look** at sixteen pairs before any average. Each line joins two students that differ in one thing only: the
# teacher.

# %%
first_alone = train(LABELLED, (y,), cross_entropy)
first_distilled = train(LABELLED, (teacher_says,), kd_loss)
a = correct(predict(first_distilled, data.x_val), data.y_val).mean(1)  # (S,) accuracies on val
b = correct(predict(first_alone, data.x_val), data.y_val).mean(1)
fig, ax = plots.figure(6, 3.6)
for one, other in zip(b.tolist(), a.tolist(), strict=True):
    ax.plot([0, 1], [one, other], color="#999999", linewidth=1)
ax.plot([0] * SEEDS, b, "^", color=plots.ROLE["alone"][0], markersize=8)
ax.plot([1] * SEEDS, a, "o", color=plots.ROLE["student"][0], markersize=8)
ax.set(xticks=[0, 1], xticklabels=["alone", "distilled"], xlim=(-0.4, 1.4), ylabel="accuracy on val")
show(fig, f"Accuracy on val of {SEEDS} pairs of students: alone {b.min():.1%} to {b.max():.1%}, distilled {a.min():.1%} to "
     f"{a.max():.1%}; the distilled one is the better of the pair in {int((a > b).sum())} of {SEEDS}.")  # fmt: skip

# %% [markdown]
# ### Exercise 4.4 · An interval from pairs · 8 minutes · difficulty ●●○
#
# How far might the mean difference be off, with other seeds? The $S$ differences $d_s = a_s - b_s$ are $S$ draws of
# one number. Their mean $\bar d$ has the standard error $s_d / \sqrt{S}$, and Student's t (1908) says how many of
# those to go to each side. `stats.t.ppf` gives its quantiles.


# %%
def paired_interval(a, b):
    """(difference, low, high): the mean of a - b and its 95% interval over seeds. a, b: (S,), paired seed by seed."""
    # BEGIN SOLUTION
    d = a - b  # (S,)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std().item() / len(d) ** 0.5
    return d.mean().item(), d.mean().item() - half, d.mean().item() + half
    # END SOLUTION


# %% tags=["check"]
paired_interval = check("4.4", paired_interval)

# %%
# hint("4.4")

# %% [markdown]
# Your interval treats the val pictures as if there were no others. They were drawn too. `compare` counts both draws,
# seeds and pictures, and is never much narrower than yours; from here on it gives the verdicts.

# %%
difference, low, high = paired_interval(a, b)
print(f"yours, over seeds:           {100 * difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]")
scores = [correct(predict(models, data.x_val), data.y_val) for models in (first_distilled, first_alone)]  # (S, N) each
both = compare(*scores, "distilled", "alone", exploratory=True).difference
print(f"over seeds and pictures:     {100 * both.value:+.1f} points [{100 * both.low:+.1f}, {100 * both.high:+.1f}]")

# %% [markdown]
# ## Controls
#
# **Idea.** "Better with a teacher" can have dull reasons: a badly tuned student alone; any soft target would do; the
# average answer per class would do. Each dull reason gets a student of its own, at the same cost. If one of them does
# as well, the teacher's answers are not what helped.
#
# | student | its target | the dull reason it tests |
# |---|---|---|
# | alone, tuned | labels | the other one was tuned more |
# | label smoothing | labels, softened evenly | any softness helps |
# | shuffled teacher | the answer to another picture of the class | the class average is enough |
# | random teacher | an untrained network's answers | any second opinion helps |

# %% [markdown]
# ### Exercise 4.5 · A control: right class, wrong picture · 8 minutes · difficulty ●●○
#
# Hand the teacher's answers round *inside each class*: every picture of a 7 gets the answer to some 7, as a whole
# row, and no answer is lost. What a 7 is like on average survives; what *this* 7 is like does not.


# %%
def shuffle_within_class(teacher_logits, labels, seed=0):
    """The same answers, each handed to another picture of its class. (N, C), (N,) -> (N, C). Inputs stay as they are."""
    # BEGIN SOLUTION
    generator = torch.Generator().manual_seed(seed)
    shuffled = teacher_logits.clone()
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        shuffled[rows] = teacher_logits[rows[torch.randperm(len(rows), generator=generator)]]
    return shuffled
    # END SOLUTION


# %% tags=["check"]
shuffle_within_class = check("4.5", shuffle_within_class)

# %%
# hint("4.5")

# %% [markdown]
# ### Exercise 4.6 · Choose on val · 6 minutes · difficulty ●○○
#
# Each arm may try four settings, no more, and is judged by the mean over its sixteen seeds on *val*. The best single
# seed is luck, and luck does not come twice. Write the choice.


# %%
def choose(settings, try_out):
    """The setting with the best mean. try_out(setting) -> (S,) accuracies on val; it is expensive, so try each once."""
    # BEGIN SOLUTION
    means = [try_out(setting).mean() for setting in settings]
    return settings[max(range(len(settings)), key=lambda i: means[i])]
    # END SOLUTION


# %% tags=["check"]
choose = check("4.6", choose)

# %%
# hint("4.6")

# %% [markdown]
# Equal tuning budgets: four step sizes for the student alone. The distilled student inherits the step size that was
# best for its *opponent*, and tries two temperatures with two weights on the labels. Label smoothing tries four
# strengths.


# %%
def tune(settings, train_one):
    """(the setting chosen on val, its students); train_one(setting) gives SEEDS students."""
    trained = {}

    def try_out(setting):
        trained[setting] = train_one(setting)
        return correct(predict(trained[setting], data.x_val), data.y_val).mean(1)  # (S,)

    best = choose(settings, try_out)
    return best, trained[best]


def with_teacher(says, setting, n=LABELLED, lr=None, **cost):
    """Students that learn from labels and from a teacher's answers (N, C); setting is (T, hard_weight)."""
    T, hard = setting
    loss = lambda z, labels, t: distill_loss(z, labels, t, T, hard_weight=hard, soft_weight=1 - hard)  # noqa: E731
    return train(n, (y, says), loss, lr=lr or best_lr, **cost)


# %%
students = {}
rates = [2e-3, 5e-3, 1e-2, 2e-2]
best_lr, students["alone"] = tune(rates, lambda lr: train(LABELLED, (y,), cross_entropy, lr=lr))
grid = [(T, hard) for T in (4.0, 8.0) for hard in (0.0, 0.5)]
best, students["distilled"] = tune(grid, lambda setting: with_teacher(teacher_says, setting))
smooth = lambda e: train(LABELLED, (y,), lambda z, labels: cross_entropy(z, labels, e), lr=best_lr)  # noqa: E731
strength, students["label smoothing"] = tune([0.01, 0.03, 0.1, 0.3], smooth)
print(f"chosen on val: step size {best_lr}; T = {best[0]:g}, hard_weight = {best[1]:g}; smoothing {strength}")

# %% [markdown]
# The two false teachers take the distilled student's setting as it is. **Predict** before you run the next cell: of
# the points that the teacher brings, what share survives when each picture gets the answer to another picture of its
# class?

# %%
my_share = 0.5  # change me before you go on: 0 is nothing, 1 is all of it

# %%
untrained = freeze_teacher(mlp(D, 128, C, seed=99))
students["shuffled teacher"] = with_teacher(shuffle_within_class(teacher_says, y), best)
students["random teacher"] = with_teacher(predict(untrained, x), best)
on_val = {name: accuracy(predict(models, data.x_val), data.y_val) for name, models in students.items()}
gain, kept = (on_val[name].value - on_val["alone"].value for name in ("distilled", "shuffled teacher"))
print(f"you said {my_share:.0%}; on val {100 * kept:+.1f} of {100 * gain:+.1f} points survive: {kept / gain:.0%}")

# %% [markdown]
# The random teacher knows nothing, so whatever its student can do comes from the labels in the mix. With
# `hard_weight` 0 that would be nothing at all, and a good student would tell you that labels had leaked into the
# targets.

# %%
ax = plots.estimates({**on_val, "the teacher itself": accuracy(teacher_says_val, data.y_val)}, "accuracy on val")
show(ax.figure, "Accuracy on val with 95% intervals. " + "; ".join(f"{name} {e}" for name, e in on_val.items()))

# %% [markdown]
# ## Many pictures, few labels
#
# **Idea.** Pictures are cheap, labels are not. A teacher can answer on every picture that you have, labelled or not.
# Its whole answer, or its top answer only, as if it were a label? Both students see all the training pictures, no
# true label, and take as many steps as the others.

# %%
T = best[0]
students["all pictures, teacher's answers"] = train(len(y), (teacher_says,), lambda z, t: kd_loss(z, t, T), lr=best_lr)
students["all pictures, teacher's top answer"] = train(len(y), (teacher_says.argmax(-1),), cross_entropy, lr=best_lr)

# %% [markdown]
# ## All labels
#
# **Predict.** Now nothing is scarce: both students have every picture, every label, and batches of 64. Each arm tries
# three settings. By how many points does the teacher help?

# %%
my_points = 3.0  # change me before you go on; a negative number says that it harms

# %%
rich = dict(batch_size=64)
rate, students["all labels, alone"] = tune(
    [2e-3, 5e-3, 1e-2], lambda lr: train(len(y), (y,), cross_entropy, lr=lr, **rich)
)
soft = [(2.0, 0.5), (4.0, 0.5), (8.0, 0.5)]
_, students["all labels, distilled"] = tune(
    soft, lambda setting: with_teacher(teacher_says, setting, len(y), rate, **rich)
)
a, b = (accuracy(predict(students[f"all labels, {n}"], data.x_val), data.y_val) for n in ("distilled", "alone"))
print(f"you said {my_points:+.1f} points; on val it is {100 * (a.value - b.value):+.1f} points")

# %% [markdown]
# **Look** at how the gain melts as labels become plentiful. Settings are those chosen at a hundred labels.

# %%
sizes = [50, LABELLED, 200, 500, len(y)]
curve = {"alone": [], "distilled": []}
for n in sizes:
    trained = n == LABELLED  # those are there already
    alone = students["alone"] if trained else train(n, (y,), cross_entropy, lr=best_lr)
    distilled = students["distilled"] if trained else with_teacher(teacher_says, best, n)
    for name, models in (("alone", alone), ("distilled", distilled)):
        curve[name].append(accuracy(predict(models, data.x_val), data.y_val))
ax = plots.lines(sizes, curve, "pictures that the student learns from (log scale)", "accuracy on val")
ax.set_xscale("log")
ax.set_xticks(sizes, [f"{n:,}" for n in sizes], minor=False)
ax.minorticks_off()
parts = (f"{n}: alone {a.value:.1%}, distilled {b.value:.1%}" for n, a, b in zip(sizes, *curve.values(), strict=True))
show(ax.figure, f"Accuracy on val against the number of pictures, {SEEDS} seeds. " + "; ".join(parts))

# %% [markdown]
# ## The one look at test
#
# Everything is chosen; nothing will be changed after this. **The primary comparison**, named before it is run:
# *accuracy on test, distilled against alone, both on a hundred pictures, both tuned on val.* All others are
# exploratory: with many comparisons, some look good by chance.

# %%
logits = {name: predict(models, data.x_test) for name, models in students.items()}  # (S, N, C) each
right = {name: correct(z, data.y_test) for name, z in logits.items()}  # (S, N)
teacher_test = predict(teacher, data.x_test)  # (N, C)
primary = compare(right["distilled"], right["alone"], "distilled", "alone")
print(primary)

# %% [markdown]
# The controls, each against the distilled student; then the unlabelled pictures, then all labels.

# %%
for a, b in (
    ("distilled", "label smoothing"),
    ("distilled", "shuffled teacher"),
    ("distilled", "random teacher"),
    ("all pictures, teacher's answers", "distilled"),
    ("all pictures, teacher's answers", "all pictures, teacher's top answer"),
    ("all labels, distilled", "all labels, alone"),
):
    print(compare(right[a], right[b], a, b, exploratory=True), end="\n\n")

# %% [markdown]
# This cell holds what the text leans on, as yes or no: it stays the same on other machines.

# %% tags=["nbval-check-output"]
rich_difference = (right["all labels, distilled"] - right["all labels, alone"]).mean().item()
print("few labels: distilled is", primary.word, "than alone")
print("few labels, gain between 2 and 8 points:", 0.02 < primary.difference.value < 0.08)
print("all labels, difference below 1 point:", abs(rich_difference) < 0.01)
print("shuffled teacher worse than distilled:", compare(
    right["shuffled teacher"], right["distilled"], "shuffled", "distilled", exploratory=True).word)  # fmt: skip
print(
    "random teacher worse than distilled:",
    compare(right["random teacher"], right["distilled"], "random", "distilled", exploratory=True).word,
)

# %%
ax = plots.estimates({name: accuracy(z, data.y_test) for name, z in logits.items()}, "accuracy on test")
ax.axvline(accuracy(teacher_test, data.y_test).value, color="black", linestyle=":")
ax.set_title("dotted line: the teacher", fontsize=10, loc="right")
show(ax.figure, "Accuracy on test with 95% intervals. " + "; ".join(f"{n} {accuracy(z, data.y_test)}" for n, z in logits.items())
     + f"; the teacher {accuracy(teacher_test, data.y_test)}")  # fmt: skip

# %% [markdown]
# ## Agreement and calibration
#
# Accuracy is one of three questions. Does the student answer as the teacher does? And when it says 90%, is it right
# nine times in ten? ([calibration](00_start_here.ipynb#Glossary); Guo et al., 2017.)

# %%
shown = ["alone", "label smoothing", "distilled", "all pictures, teacher's answers"]
calibrations = {name: calibration(logits[name], data.y_test) for name in shown}
for name in shown:
    print(f"{name}:\n  agreement {agreement(logits[name], teacher_test)}\n  ECE {calibrations[name].ece:.3f}")
ax = plots.reliability(calibrations)
show(ax.figure, "Accuracy against confidence on test; the diagonal is honest. Expected calibration error: "
     + ", ".join(f"{name} {one.ece.value:.3f}" for name, one in calibrations.items()))  # fmt: skip

# %% [markdown]
# The ECE (expected calibration error) is the mean gap between confidence and accuracy. It is *biased*: even a
# perfectly calibrated model gets an ECE above zero, since the gaps are absolute values of noisy numbers. Compare ECEs
# of the same pictures; do not read one alone.
#
# Below the diagonal a student is surer than it should be; above it, less sure.

# %%
print(compare(same_answer(logits["distilled"], teacher_test), same_answer(logits["alone"], teacher_test),
              "agreement with the teacher: distilled", "alone", exploratory=True))  # fmt: skip

# %% [markdown]
# ## Look at the pictures
#
# Move the slider through val pictures on which seed 0's two students disagree. Is the teacher's answer one that you
# would have given?

# %%
mine, theirs = predict(students["distilled"][0], data.x_val), predict(students["alone"][0], data.x_val)
disputed = (mine.argmax(-1) != theirs.argmax(-1)).nonzero()[:, 0]


def draw(which):
    row = disputed[int(which)]
    fig, (left, right_) = plots.figure(7.5, 3)[0], (None, None)
    fig.clear()
    left, right_ = fig.subplots(1, 2, width_ratios=(1, 2.4))
    left.imshow(data.x_val[row].permute(1, 2, 0).squeeze(-1), cmap="gray_r", vmin=0, vmax=1)
    left.set_axis_off()
    says = {"teacher": teacher_says_val[row], "distilled": mine[row], "alone": theirs[row]}
    for i, (name, z) in enumerate(says.items()):
        colour, _ = plots.look(name)
        bars = right_.bar([c + 0.27 * (i - 1) for c in range(C)], z.softmax(-1), width=0.27, color=colour, label=name)
        for bar in bars:
            bar.set_hatch(["", "//", ".."][i])
    right_.set(xticks=range(C), xticklabels=data.classes, xlabel="class", ylabel="probability", ylim=(0, 1))
    right_.legend(frameon=False)
    answers = ", ".join(
        f"{name} says {data.classes[z.argmax()]} ({z.softmax(-1).max():.0%})" for name, z in says.items()
    )
    return fig, f"Disputed picture {int(which)}: the label is {data.classes[data.y_val[row]]}; {answers}"


explore(draw, which=slider("disputed picture", 0, max(1, len(disputed) - 1), 0, step=1))

# %% [markdown]
# ## So
#
# Does it work? It depends on what is scarce, and the printed sentence is the whole claim.

# %%
d = primary.difference
print(f"With {LABELLED} pictures, a teacher's answers instead of labels move a 16-unit student by {100 * d.value:+.1f} points "
      f"[{100 * d.low:+.1f}, {100 * d.high:+.1f}] on test;\nall {len(y):,} labels: {100 * rich_difference:+.1f} points.")  # fmt: skip

# %% [markdown]
# You would know it by: the same cost, the same tuning, sixteen seeds, controls for the dull reasons, choices on val,
# one look at test, and a sentence fixed beforehand.
#
# **Sources.** Hinton, Vinyals and Dean (2015) for the method. Szegedy et al. (2016) for label smoothing. Stanton et
# al. (2021): a student can gain accuracy and still copy its teacher imperfectly; that is why agreement stands beside
# accuracy here.

# %% [markdown]
# ### What this cannot show
#
# - The teacher had all the labels. Measured from the first label on, nothing came for free.
# - Two small networks, one data set of small pictures. On other pairs the gain may vanish or grow; lesson 05 asks at full size.
# - Sixteen seeds bound the mean, not the next single run: look at the pairs again.
# - A few hundred test pictures cannot tell differences below about a point.

# %% [markdown]
# ### Go further
#
# 1. **Your own pictures.** Put them in `train/<class>/` and `test/<class>/` under one folder, all of one size, set `DATA` to its
#    path, and run everything. Does the verdict hold?
# 2. **A student as large as its teacher** (Furlanello et al., 2018, "Born-Again Networks"): give the student 128 hidden units, and
#    let it teach the next one. Write down your primary comparison first.
