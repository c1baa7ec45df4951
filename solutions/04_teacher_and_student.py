# ---
# jupyter:
#   course:
#     question: Does it work? How would you know?
#     minutes: 60
#     cpu_seconds: 60
#     workshop: a day
#     shows: few labels, many pictures, all labels; four controls; accuracy, agreement, calibration; verdicts
# ---

# %% [markdown]
# # 04 · Does it work? How would you know?
#
# You have the loss ([lesson 03](03_distillation_loss.ipynb)). Now you write the whole loop: a teacher, a student, and
# the question whether the student is better for having had one. One run can't answer it. You answer it with sixteen,
# with controls that cost the same, and with a verdict that may be "no".
#
# **60 minutes.** You build: a frozen teacher, the loop, the evaluation, a paired interval, a control, and a choice made
# on [val](00_start_here.ipynb#Glossary).

# %%
import math

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

DATA = "digits"  # "mnist" works too, and so does the path of a folder of your own pictures
SEEDS = 16
LABELLED = 100  # the pictures that you can afford to have labelled
UPDATES, BATCH = 400, 20  # what a student costs: 400 steps of 20 pictures
EXPERTS, EXPERT_EPOCHS = 8, 30  # the networks that make the teacher, and how long each learns
POOL = pick(cpu=5_000, gpu=50_000)  # a larger data set is cut to so many pictures; the digits have 1,078

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## A teacher
#
# **Idea.** The average of several networks' logits is usually better than one of them (Hansen and Salamon, 1990), and
# slower: eight networks, eight times the work per answer. It is what you would like to *have*, not what you would like
# to *run*.
#
# It learns from all the labels of the training part. Remember that: whatever a student gains from this teacher was
# once paid for in labels. The student's makers did not pay; the teacher's did.

# %%
data = load(DATA)
(pool,) = stratified_split(data.y_train, (min(1.0, POOL / len(data.x_train)),), seed=0)
x, y = data.x_train[pool], data.y_train[pool]  # (N, channels, h, w), (N,)
PIXELS, C = x[0].numel(), len(data.classes)


def make_expert(seed):
    return mlp(PIXELS, 128, C, seed=seed)


experts = fit_many(make_expert, (x, y), cross_entropy, seeds=EXPERTS, epochs=EXPERT_EPOCHS)
teacher = Ensemble(experts)
print(f"{len(x):,} training pictures of {PIXELS} numbers, {C} classes")
print(f"one network:      {accuracy(predict(experts[0], data.x_val), data.y_val)}")
print(f"eight, averaged:  {accuracy(predict(teacher, data.x_val), data.y_val)}")

# %% [markdown]
# Each number is about one model, so its interval speaks of the pictures alone (n says so). So few of them can hardly
# tell eight networks from one.
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
# Asked once, a frozen teacher never has to be asked again: its answer to a picture stays the same. Keep its answers to
# the training pictures and to those of val.

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
# the loss, one step of Adam. The student is in train mode while it learns, and is given back in eval mode. `seed`
# fixes the orders. `kd_loss` is imported.


# %%
def distil(student, teacher, x, epochs, T=4.0, batch_size=20, lr=1e-2, seed=0):
    """The student, trained on the teacher's answers to x (N, ...). The teacher is frozen already."""
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
# Your loop runs: a student with 16 hidden units learns from the teacher's answers to a hundred pictures. Below it, what
# everything costs, in FLOPs (floating-point operations, counted, not guessed; an MFLOP is a million):


# %%
def epochs_for(n, batch_size=BATCH):
    """The number of epochs that makes about UPDATES steps on n pictures."""
    return max(1, round(UPDATES / math.ceil(n / batch_size)))


few = stratified_split(y, (min(1.0, LABELLED / len(y)),), seed=0)[0]  # every class in its share
epochs = epochs_for(len(few))
student = distil(mlp(PIXELS, 16, C, seed=0), teacher, x[few], epochs, batch_size=BATCH)
right, same = evaluate(student, teacher, data.x_val, data.y_val)
print(f"{len(few)} pictures, no label, {epochs} epochs: accuracy {right:.1%}, agreement {same:.1%} (val)")

teacher_flops, student_flops = count_flops(teacher, x[:64]), count_flops(student, x[:64])
learning = count_flops(student, x[:64], training=True) * epochs * len(few)
making = count_flops(teacher, x[:64], training=True) * EXPERT_EPOCHS * len(x)
print(f"one answer: teacher {teacher_flops:,.0f} FLOPs, student {student_flops:,.0f}")
print(f"training the student: {learning / 1e6:,.0f} MFLOP")
print(f"asking the teacher once per picture: {teacher_flops * len(few) / 1e6:,.0f} MFLOP")
print(f"training the teacher: {making / 1e6:,.0f} MFLOP")

# %% [markdown]
# ## One run is an anecdote
#
# A student *alone* learns from the hundred labels instead, with the same first weights, the same pictures in the same
# order, and as many steps. Another seed draws other weights and another hundred pictures. `fit_many` is your loop for
# all seeds at once: it gives what one-by-one training gives, faster.


# %%
def rows_for(n):
    """(SEEDS, about n) row numbers: the pictures that each seed learns from. None: all of them."""
    if n >= len(y):
        return None
    return torch.stack([stratified_split(y, (n / len(y),), seed=seed)[0] for seed in range(SEEDS)])


def make_student(seed):
    return mlp(PIXELS, 16, C, seed=seed)


def train(n, targets, loss, lr=1e-2, batch_size=BATCH):
    """SEEDS students, each with n pictures of its own. targets: a tuple of tensors (N, ...)."""
    rows = rows_for(n)
    epochs = epochs_for(len(y) if rows is None else rows.shape[1], batch_size)
    settings = dict(seeds=SEEDS, rows=rows, epochs=epochs, batch_size=batch_size, lr=lr)
    return fit_many(make_student, (x, *targets), loss, **settings)


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
ahead = f"the distilled one is the better of the pair in {int((a > b).sum())} of {SEEDS}"
ranges = f"alone {b.min():.1%} to {b.max():.1%}, distilled {a.min():.1%} to {a.max():.1%}"
show(fig, f"Accuracy on val of {SEEDS} pairs of students: {ranges}; {ahead}.")

# %% [markdown]
# ### Exercise 4.4 · An interval from pairs · 8 minutes · difficulty ●●○
#
# How far might the mean difference be off, with other seeds? The $S$ differences $a_s - b_s$ are $S$ draws of one
# number. Their mean has the standard error $\sigma / \sqrt{S}$, where $\sigma$ is the standard deviation of the
# differences. A 95% interval goes $t$ standard errors to each side; $t$ is a quantile of Student's distribution (1908),
# `stats.t.ppf(quantile, degrees_of_freedom)`. The mean has used up one degree of freedom.


# %%
def paired_interval(a, b):
    """(difference, low, high): the mean of a - b and its 95% interval over seeds.

    a, b: (S,), paired seed by seed.
    """
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
# seeds and pictures, so its interval is usually the wider one. From here on it gives the verdicts.


# %%
def points(d):
    """An Estimate of a difference in accuracy, in percent points."""
    return f"{100 * d.value:+.1f} points [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"


def on_val(models):
    """1 where a student is right about a val picture, else 0: (S, N)."""
    return correct(predict(models, data.x_val), data.y_val)


difference, low, high = paired_interval(a, b)
print(f"yours, over seeds:        {100 * difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]")
verdict = compare(on_val(first_distilled), on_val(first_alone), "distilled", "alone", exploratory=True)
print(f"over seeds and pictures:  {points(verdict.difference)}")

# %% [markdown]
# ## Controls
#
# **Idea.** "Better with a teacher" can have dull reasons: the student alone was badly tuned; any soft target would do;
# the average answer of a class would do. Each dull reason gets students of its own, at the same cost. If they do as
# well, what the teacher says about each picture is not what helped.
#
# | student | its target | the dull reason it tests |
# |---|---|---|
# | alone, tuned | labels | the other one was tuned more |
# | label smoothing | labels, softened evenly | any softness helps |
# | shuffled teacher | the answer to some picture of the class | the class average is enough |
# | random teacher | an untrained network's answers | any second opinion helps |

# %% [markdown]
# ### Exercise 4.5 · A control: right class, wrong picture · 8 minutes · difficulty ●●○
#
# Hand the teacher's answers round *inside each class*, at random: every picture of a 7 gets the answer to some 7, now
# and then its own, as a whole row, and no answer is lost. `seed` fixes who gets which. What a 7 is like on average
# survives; what *this* 7 is like does not.


# %%
def shuffle_within_class(teacher_logits, labels, seed=0):
    """The same answers, handed round at random inside each class. (N, C), (N,) -> (N, C).

    The inputs stay as they are.
    """
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
# Each kind of student may try four settings, no more. A setting is judged by the mean over its sixteen seeds on *val*:
# the best single seed is luck, and luck does not come twice. Write the choice.


# %%
def choose(settings, try_out):
    """The setting with the best mean. try_out(setting) -> (S,) accuracies on val.

    A trial is expensive: try each setting once.
    """
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
# best for its *opponent*, and tries two temperatures with two weights on the labels. Label smoothing inherits it too,
# and tries four strengths.


# %%
def tune(settings, train_one):
    """(the setting chosen on val, its students); train_one(setting) gives SEEDS students."""
    trained = {}

    def try_out(setting):
        trained[setting] = train_one(setting)
        return on_val(trained[setting]).mean(1)  # (S,)

    best = choose(settings, try_out)
    return best, trained[best]


def with_teacher(says, setting, n=LABELLED, lr=None, batch_size=BATCH):
    """Students that learn from labels and from a teacher's answers (N, C); setting is (T, hard_weight)."""
    T, hard = setting

    def loss(z, labels, t):
        return distill_loss(z, labels, t, T, hard_weight=hard, soft_weight=1 - hard)

    return train(n, (y, says), loss, lr=lr or best_lr, batch_size=batch_size)


def smoothed(strength):
    """Students that learn from smoothed labels, without a teacher."""
    return train(LABELLED, (y,), lambda z, labels: cross_entropy(z, labels, strength), lr=best_lr)


# %%
students = {}
rates = [2e-3, 5e-3, 1e-2, 2e-2]
best_lr, students["alone"] = tune(rates, lambda lr: train(LABELLED, (y,), cross_entropy, lr=lr))
grid = [(T, hard) for T in (4.0, 8.0) for hard in (0.0, 0.5)]
best, students["distilled"] = tune(grid, lambda setting: with_teacher(teacher_says, setting))
strength, students["label smoothing"] = tune([0.01, 0.03, 0.1, 0.3], smoothed)
print(f"chosen on val: step size {best_lr}; T = {best[0]:g}, hard_weight = {best[1]:g}; smoothing {strength}")

# %% [markdown]
# The two false teachers take the distilled student's setting as it is. **Predict** before you run the next cell: of
# the points that the teacher brings, what share survives when each picture gets the answer to some picture of its
# class?

# %%
my_share = 0.5  # change me before you go on: 0 is nothing, 1 is all of it

# %%
untrained = freeze_teacher(make_expert(99))
students["shuffled teacher"] = with_teacher(shuffle_within_class(teacher_says, y), best)
students["random teacher"] = with_teacher(predict(untrained, x), best)
found = {name: accuracy(predict(models, data.x_val), data.y_val) for name, models in students.items()}
found["the teacher itself"] = accuracy(teacher_says_val, data.y_val)
gain, kept = (found[name].value - found["alone"].value for name in ("distilled", "shuffled teacher"))
share = f"{kept / gain:.0%}" if gain > 0 else "there is no gain to keep"
print(f"you said {my_share:.0%}; on val {100 * kept:+.1f} of {100 * gain:+.1f} points survive: {share}")
ax = plots.estimates(found, "accuracy on val")
words = "; ".join(f"{name} {e}" for name, e in found.items())
show(ax.figure, f"Accuracy on val with 95% intervals. {words}")

# %% [markdown]
# The random teacher knows nothing, so whatever its student can do comes from the labels in the mix. With
# `hard_weight` 0 that would be nothing at all, and a good student would tell you that labels had leaked into the
# targets. (The two false teachers were not tuned. They say what is lost when their answers take the true ones' place,
# not how well one could do with them.)
#
# Is the gain smaller now than that of your first pairs? The step size is the opponent's choice: where the comparison is
# not quite fair, it leans against the teacher.

# %% [markdown]
# ## Many pictures, few labels
#
# **Idea.** Pictures are cheap, labels are not. A teacher can answer on every picture that you have, labelled or not.
# Its whole answer, or its top answer only, as if it were a label? Both kinds of student see all the training pictures,
# no true label, and take as many steps as the others.


# %%
def kd_at_best_T(student_logits, teacher_logits):
    return kd_loss(student_logits, teacher_logits, T=best[0])


whole = train(len(y), (teacher_says,), kd_at_best_T, lr=best_lr)
top = train(len(y), (teacher_says.argmax(-1),), cross_entropy, lr=best_lr)
students |= {"all pictures, teacher's answers": whole, "all pictures, teacher's top answer": top}

# %% [markdown]
# ## All labels
#
# **Predict.** Now nothing is scarce: every picture, every label, and batches of 64. Alone and distilled try three
# settings each. By how many points does the teacher help?

# %%
my_points = 3.0  # change me before you go on; a negative number says that it harms

# %%
rate, students["all labels, alone"] = tune(
    [2e-3, 5e-3, 1e-2], lambda lr: train(len(y), (y,), cross_entropy, lr=lr, batch_size=64)
)
soft = [(2.0, 0.5), (4.0, 0.5), (8.0, 0.5)]
_, students["all labels, distilled"] = tune(
    soft, lambda setting: with_teacher(teacher_says, setting, len(y), rate, batch_size=64)
)
a, b = (on_val(students[f"all labels, {name}"]) for name in ("distilled", "alone"))
verdict = compare(a, b, "distilled", "alone", exploratory=True)
print(f"you said {my_points:+.1f} points; on val it is {points(verdict.difference)}")

# %% [markdown]
# **Look** at how the gain melts as labels become plentiful. Settings, batches too, are those of a hundred labels.

# %%
sizes = [n for n in (50, LABELLED, 200, 500) if n < len(y)] + [len(y)]
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
rows = zip(sizes, *curve.values(), strict=True)
words = "; ".join(f"{n}: alone {a.value:.1%}, distilled {b.value:.1%}" for n, a, b in rows)
show(ax.figure, f"Accuracy on val against the number of pictures, {SEEDS} seeds. {words}")

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
pairs = [("distilled", control) for control in ("label smoothing", "shuffled teacher", "random teacher")]
pairs += [("all pictures, teacher's answers", "distilled")]
pairs += [("all pictures, teacher's answers", "all pictures, teacher's top answer")]
pairs += [("all labels, distilled", "all labels, alone")]
verdicts = {(a, b): compare(right[a], right[b], a, b, exploratory=True) for a, b in pairs}
for verdict in verdicts.values():
    print(verdict)

# %% [markdown]
# Some of it again, as yes or no. On other machines the numbers differ a little; these answers stay.

# %% tags=["nbval-check-output"]
all_labels = verdicts["all labels, distilled", "all labels, alone"].difference
print("few labels: distilled is", primary.word, "than alone")
print("few labels, gain between 2 and 8 points:", 0.02 < primary.difference.value < 0.08)
for control in ("label smoothing", "shuffled teacher", "random teacher"):
    print(f"few labels: distilled is {verdicts['distilled', control].word} than {control}")
print("all labels, difference below 1 point:", abs(all_labels.value) < 0.01)

# %% [markdown]
# **So.** On the digits, with few labels, the teacher helps, and none of the dull reasons explains it: none of the
# controls does as well. With all labels there is little left to gain. NOT SEPARABLE, where you read it, is not "equal":
# it is what this test set cannot tell.

# %%
found = {name: accuracy(z, data.y_test) for name, z in logits.items()}
teacher_accuracy = accuracy(teacher_test, data.y_test)
ax = plots.estimates(found, "accuracy on test")
ax.axvline(teacher_accuracy.value, color="black", linestyle=":")
ax.set_title("dotted line: the teacher", fontsize=10, loc="right")
words = "; ".join(f"{name} {e}" for name, e in found.items())
show(ax.figure, f"Accuracy on test with 95% intervals. {words}; the teacher {teacher_accuracy}")

# %% [markdown]
# ## Agreement and calibration
#
# Accuracy is one of three questions. Does the student answer as the teacher does? And when it says 90%, is it right
# nine times in ten ([calibration](00_start_here.ipynb#Glossary); Guo et al., 2017)? The *expected calibration error*,
# ECE, is the mean gap between confidence and accuracy. It is *biased*: even a perfectly calibrated model gets an ECE
# above zero, since the gaps are absolute values of noisy numbers. Compare ECEs of the same pictures; do not read one
# alone.

# %%
shown = ["alone", "label smoothing", "distilled"]
calibrations = {name: calibration(logits[name], data.y_test) for name in shown}
for name in shown:
    print(f"{name}:\n  agreement {agreement(logits[name], teacher_test)}\n  ECE {calibrations[name].ece:.3f}")
same = [same_answer(logits[name], teacher_test) for name in ("distilled", "alone")]  # (S, N) each
print(compare(*same, "agreement with the teacher: distilled", "alone", exploratory=True))
ax = plots.reliability(calibrations)
words = ", ".join(f"{name} {one.ece.value:.3f}" for name, one in calibrations.items())
show(ax.figure, f"Accuracy against confidence on test; the diagonal is honest. ECE: {words}")

# %% [markdown]
# Below the diagonal a student is surer than it should be; above it, less sure. Which of the two is label smoothing?

# %% [markdown]
# ## Look at the pictures
#
# Move the slider through the val pictures on which seed 0's two students disagree. Is the teacher's answer one that
# you would have given?

# %%
mine, theirs = predict(students["distilled"][0], data.x_val), predict(students["alone"][0], data.x_val)
disputed = (mine.argmax(-1) != theirs.argmax(-1)).nonzero()[:, 0]


def draw(which):
    row = disputed[which]
    fig, (left, right) = plots.figure(7.5, 3, columns=(1, 2.4))
    plots.picture(data.x_val[row], f"label {data.classes[data.y_val[row]]}", left)
    says = {"teacher": teacher_says_val[row], "distilled": mine[row], "alone": theirs[row]}
    for i, (name, z) in enumerate(says.items()):
        places = [c + 0.27 * (i - 1) for c in range(C)]
        colour, hatch = plots.look(name)[0], ["", "//", ".."][i]
        right.bar(places, z.softmax(-1), 0.27, color=colour, hatch=hatch, label=name)
    right.set(xticks=range(C), xticklabels=data.classes, xlabel="class", ylabel="probability", ylim=(0, 1))
    right.legend(frameon=False)
    label, sure = data.classes[data.y_val[row]], {name: z.softmax(-1).max() for name, z in says.items()}
    answers = (f"{name} says {data.classes[z.argmax()]} ({sure[name]:.0%})" for name, z in says.items())
    return fig, f"Disputed picture {which}: the label is {label}; {', '.join(answers)}"


if len(disputed):
    explore(draw, which=slider("disputed picture", 0, len(disputed) - 1, 0, step=1))
else:
    print("They agree on every picture of val.")

# %% [markdown]
# ## So
#
# Does it work? It depends on what is scarce, and the printed sentence is the whole claim.

# %%
print(f"{LABELLED} pictures: a teacher's answers move a 16-unit student by {points(primary.difference)} on test.")
print(f"All {len(y):,} pictures, with their labels: {points(all_labels)}.")

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
# - Two small networks, one data set of small pictures. On other pairs the gain may vanish or grow.
# - Four settings each is a small budget: the best of four is not the best there is.
# - Sixteen seeds bound the mean, not the next single run: look at the pairs again.
# - A few hundred test pictures cannot tell differences below about a point.

# %% [markdown]
# ### Go further
#
# 1. **Your own pictures.** Put them in `train/<class>/` and `test/<class>/` under one folder, all of one size, set
#    `DATA` to its path, and run everything. Does the verdict hold?
# 2. **A student as large as its teacher** (Furlanello et al., 2018, "Born-Again Networks"): give the student 128 hidden
#    units, and let it teach the next one. Write down your primary comparison first.
#
# <!-- next -->
