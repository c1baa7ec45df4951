# ---
# jupyter:
#   course:
#     question: Which loss, exactly, and why T²?
#     minutes: 60
#     cpu_seconds: 60
#     workshop: half a day
#     shows: the gradient against T; fifteen bugs from real code, seen by accuracy and by invariants
# ---

# %% [markdown]
# # 03 · Which loss, exactly, and why T²?
#
# One line of code says what a student learns from its teacher. It is easily written wrong, and the students of a wrong
# one often look as good as any. You find out why T² stands in it, and how to tell a wrong loss from a right one.
#
# **60 minutes.** You build: the distillation loss, its gradient by hand, its limit at high temperature, the mix with
# labels, and three tests that convict a wrong loss. Needed: [lesson 01](01_softmax_and_temperature.ipynb) and
# [lesson 02](02_dark_knowledge.ipynb).

# %%
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import losses, plots
from course_lib.checks import check, hint, museum
from course_lib.data import load
from course_lib.live import explore, show, slider
from course_lib.losses import cross_entropy
from course_lib.machine import pick
from course_lib.measure import accuracy, compare, correct
from course_lib.models import freeze, mlp
from course_lib.train import fit, fit_many, predict

DATA = "digits"  # "mnist" works too
ROWS = 1078  # training pictures
SEEDS = pick(cpu=16, gpu=64)
SETTINGS = dict(epochs=20, batch_size=128, lr=2e-2)  # of each student

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## The teacher of this lesson
#
# A network with batch normalisation, trained on labels. It will matter later that batch normalisation keeps running
# means and variances of what passes through it: numbers that are part of the model, and that no gradient ever touches.

# %%
data = load(DATA)
x, y = data.x_train[:ROWS], data.y_train[:ROWS]  # (N, 1, h, w), (N,)
PIXELS, C = x[0].numel(), len(data.classes)


def make_teacher(hidden=128):
    body = [nn.Flatten(), nn.Linear(PIXELS, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*body, nn.Linear(hidden, C))


torch.manual_seed(0)
teacher = freeze(fit(make_teacher(), (x, y), cross_entropy, epochs=15))
print(f"the teacher's accuracy on val: {accuracy(predict(teacher, data.x_val), data.y_val)}")

# %% [markdown]
# ## 1 · The loss, from its definition
#
# **Idea.** The teacher answers $p = \mathrm{softmax}(v/T)$, the student $q = \mathrm{softmax}(z/T)$; $v$ and $z$ are
# their logits. The student is charged for what it does not know of the teacher's answer:
#
# $$\mathrm{kd\_loss} = T^2 \cdot \frac{1}{B}\sum_{b=1}^{B} \sum_{c=1}^{C} p_{bc}\,\big(\log p_{bc} - \log
# q_{bc}\big)$$
#
# $B$ is the number of examples, $C$ that of classes. The inner sum is KL(teacher ‖ student) of [lesson
# 02](02_dark_knowledge.ipynb): 0 where they agree, more where they don't. Mind the *sum* over
# classes and the *mean* over examples: the unit is nats per example.

# %% [markdown]
# ### Exercise 3.1 · The distillation loss · 6 minutes · difficulty ●●○
#
# Write the formula. Stay with log-probabilities, as in lesson 01: `log_softmax` is stable where `log(softmax)` is
# not.


# %%
def kd_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor, T: float = 4.0) -> torch.Tensor:
    """KL(teacher || student) between the answers softened at temperature T, times T**2.

    student_logits, teacher_logits: (B, C) -> () in nats per example.
    """
    # BEGIN SOLUTION
    log_q = F.log_softmax(student_logits / T, dim=-1)  # (B, C) student
    log_p = F.log_softmax(teacher_logits / T, dim=-1)  # (B, C) teacher
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    # END SOLUTION


# %% tags=["check"]
kd_loss = check("3.1", kd_loss)

# %%
# hint("3.1")

# %% [markdown]
# ### What the arguments of F.kl_div do
#
# torch has this sum built in, and several of the accidents in this lesson happened around it. Take a batch of two equal
# examples with two classes: teacher (1/2, 1/2), student (1/4, 3/4). On paper, KL(teacher ‖ student) $= \ln(2/\sqrt 3)
# = 0.1438$ nats. Which of these calls give that?

# %% tags=["nbval-check-output"]
p, q = torch.tensor([[0.5, 0.5]] * 2), torch.tensor([[0.25, 0.75]] * 2)  # (2, 2) teacher, student
log_p, log_q = p.log(), q.log()
calls = {
    "log q, p, 'batchmean'": F.kl_div(log_q, p, reduction="batchmean"),
    "log q, log p, 'batchmean', log_target": F.kl_div(log_q, log_p, reduction="batchmean", log_target=True),
    "log q, p, 'sum'": F.kl_div(log_q, p, reduction="sum"),
    "log q, p, 'mean'": F.kl_div(log_q, p, reduction="none").mean(),  # 'mean' itself also warns
    "log p, q, 'batchmean'": F.kl_div(log_p, q, reduction="batchmean"),
    "q, p, 'batchmean'": F.kl_div(q, p, reduction="batchmean"),
}
for call, value in calls.items():
    print(f"F.kl_div({call}):".ljust(50) + f"{value:8.4f}")

# %% [markdown]
# Only the first two are the definition. `sum` grows with the batch: two examples, twice the number. `mean`, the default,
# averages over classes too: half here, a tenth with ten classes. The order decides the direction: the *student* comes
# first. And the first argument is a log: given probabilities, the "KL" comes out negative, which no KL is.

# %% [markdown]
# ## 2 · Its gradient
#
# **Idea.** Training sees only the slope. Take one example. Since $\log q_i = z_i/T - \log\sum_k e^{z_k/T}$,
#
# $$\frac{\partial(-\log q_i)}{\partial z_j} = \frac{1}{T}\big(q_j - [i = j]\big)$$
#
# where $[i=j]$ is 1 if $i=j$, else 0. The KL is the average of $-\log q_i$ under the teacher's $p_i$, plus a part
# without $z$. So
#
# $$\frac{\partial\,\mathrm{KL}}{\partial z_j} = \sum_i p_i\,\frac{q_j - [i=j]}{T} = \frac{q_j - p_j}{T}$$

# %% [markdown]
# The student says too much ($q_j > p_j$): its logit goes down. Too little: it goes up. Times $T^2$, the slope of one
# example's loss is $T\,(q_j - p_j)$; in a batch of $B$ the loss is a mean, so each example counts for $1/B$.
#
# ### Exercise 3.2 · Its gradient, by hand · 5 minutes · difficulty ●●○
#
# Write it for a whole batch, by the formula alone: autograd comes after, to check it.


# %%
def kd_gradient(student_logits: torch.Tensor, teacher_logits: torch.Tensor, T: float = 4.0) -> torch.Tensor:
    """The slope of kd_loss in each of the student's logits, by the formula, without autograd.

    student_logits, teacher_logits: (B, C) -> (B, C).
    """
    # BEGIN SOLUTION
    q = torch.softmax(student_logits / T, dim=-1)
    p = torch.softmax(teacher_logits / T, dim=-1)
    return T * (q - p) / len(student_logits)
    # END SOLUTION


# %% tags=["check"]
kd_gradient = check("3.2", kd_gradient)

# %%
# hint("3.2")

# %% [markdown]
# Autograd finds the same slope without knowing the formula. `gradient` works for any loss; you will need it in the
# museum. Try both on real logits: an untrained student's and the teacher's, on the pictures of val.


# %% tags=["nbval-check-output"]
def gradient(loss, student_logits, teacher_logits, T):
    """The slope of loss(student_logits, teacher_logits, T) in the student's logits, by autograd: (B, C)."""
    z = student_logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(z, teacher_logits, T), z)
    return slope


z = predict(mlp(PIXELS, 16, C, seed=0), data.x_val).double()  # (N, C) student
v = predict(teacher, data.x_val).double()  # (N, C) teacher
for T in (1.0, 4.0, 16.0):
    gap = (kd_gradient(z, v, T) - gradient(kd_loss, z, v, T)).abs().max()
    print(f"T={T:g}: formula and autograd agree to 1e-12: {bool(gap < 1e-12)}")

# %% [markdown]
# **Look.** Three classes; the teacher's logits are (4, 2, 0). Move the student's first logit and the temperature. The
# right-hand bars are the push on each logit, $T\,(p - q)$: the slope with its sign turned. When is class 0 not pushed at
# all?


# %%
def draw(T, first):
    v3, z3 = torch.tensor([4.0, 2.0, 0.0]), torch.tensor([first, 0.0, 1.0])  # (3,) teacher, student
    p3, q3 = (v3 / T).softmax(-1), (z3 / T).softmax(-1)
    push, loss = T * (p3 - q3), kd_loss(z3[None], v3[None], T)
    fig, (left, right) = plots.figure(8, 3, columns=(1, 1))
    for i, (name, probs) in enumerate({"teacher": p3, "student": q3}.items()):
        places, (colour, _) = [c + 0.4 * i - 0.2 for c in range(3)], plots.ROLE[name]
        bars = left.bar(places, probs, 0.38, color=colour, hatch="//" * i, label=name)
        left.bar_label(bars, fmt="%.2f", fontsize=9)
    left.legend(frameon=False, loc="upper center")
    left.set(xticks=range(3), xlabel="class", ylabel=f"probability at T={T:.1f}", ylim=(0, 1.1))
    right.bar_label(right.bar(range(3), push, 0.6, color=colour), fmt="%+.2f", fontsize=9, padding=2)
    right.axhline(0, color="black", linewidth=0.8)
    right.set(xticks=range(3), xlabel="class", ylabel="push on the logit, T (p - q)", ylim=(-3, 3))
    right.set_title(f"kd_loss {loss:.3f} nats", fontsize=11)
    told = (f"class {c}: teacher {p3[c]:.2f}, student {q3[c]:.2f}, push {push[c]:+.2f}" for c in range(3))
    words = "; ".join(told)
    return fig, f"Bars at T={T:.1f}, student's first logit {first:.1f}, kd_loss {loss:.3f} nats. {words}."


explore(
    draw,
    T=slider("temperature T", 0.5, 20, 2, 0.5),
    first=slider("student's logit of class 0", -4, 8, 0, 0.5),
)

# %% [markdown]
# ## 3 · Why T²
#
# **Idea.** Softened answers differ less: at high T both are nearly flat, so $q - p$ shrinks like $1/T$. The chain
# rule adds another $1/T$. Without a factor, the soft term of the loss fades as T grows, and the hard labels take over
# unasked.
#
# **Predict.** The plain KL, no T². From T=4 to T=32 the length of its gradient shrinks by a factor of:

# %%
my_guess = 8.0  # change me before you go on

# %%
temperatures = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
with_T2 = [gradient(kd_loss, z, v, T).norm().item() for T in temperatures]
without = [length / T**2 for length, T in zip(with_T2, temperatures, strict=True)]
curves = {"with T²": with_T2, "without": without}
ax = plots.lines(temperatures, curves, "temperature T", "length of the gradient")
ax.set(xscale="log", yscale="log", xticks=temperatures, xticklabels=[f"{T:g}" for T in temperatures])
ax.minorticks_off()
rows = zip(temperatures, with_T2, without, strict=True)
words = "; ".join(f"T={T:g}: {a:.3g} and {b:.2g}" for T, a, b in rows)
show(ax.figure, f"Logarithmic axes. Length of the gradient with T squared and without, at {words}.")

shrinks, steady = without[2] / without[5], with_T2[5] / with_T2[2]
print(f"from T=4 to T=32 the gradient without T² shrinks {shrinks:.0f}-fold; you said {my_guess:.0f}-fold")
print(f"with T² its length at T=32 is {steady:.2f} times that at T=4")

# %% tags=["nbval-check-output"]
print("without T² it shrinks more than 20-fold from T=4 to T=32:", shrinks > 20)
print("with T² it changes less than 3-fold:", 1 / 3 < steady < 3)

# %% [markdown]
# **So.** The two factors $1/T$ make $(32/4)^2 = 64$. The rest is the slope of the upper line, which falls a little
# after T=4. T² keeps the soft term's pull about the same when you change T, so that T and the weights can be chosen one
# at a time (Hinton, Vinyals and Dean, 2015, section 2). It is a rule for *high* temperatures: where the answers are
# still sharp, near T=1, the two lines do not yet run straight.

# %% [markdown]
# ## 4 · The limit: matching logits
#
# **Idea.** Let T grow. As in exercise 1.5, $p_c \approx \frac1C\big(1 + \frac{v_c - \bar v}{T}\big)$, with $\bar v$ the
# mean logit of the example. Put this, and the same for $q_c$, into the slope $T\,(q_c - p_c)$, and T cancels:
#
# $$T\,(q_c - p_c) \;\to\; \frac{1}{C}\Big((z_c - \bar z) - (v_c - \bar v)\Big)$$
#
# That is the slope of half a mean squared error between *centred* logits (Hinton et al., 2015, section 2.1). One
# example's loss tends to
#
# $$\frac{1}{2C}\sum_c d_c^2, \qquad d_c = (z_c - \bar z) - (v_c - \bar v)$$

# %% [markdown]
# ### Exercise 3.3 · The limit of high temperature · 5 minutes · difficulty ●●○
#
# Centre each example over its own classes: a constant added to all logits of an example changes no probability, so it
# may not change the loss.


# %%
def high_T_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """What kd_loss tends to as T grows: half the mean squared difference of the centred logits.

    student_logits, teacher_logits: (B, C) -> () in nats per example.
    """
    # BEGIN SOLUTION
    difference = student_logits - teacher_logits
    centred = difference - difference.mean(-1, keepdim=True)  # (B, C), each row sums to 0
    return 0.5 * centred.square().mean(-1).mean()
    # END SOLUTION


# %% tags=["check"]
high_T_loss = check("3.3", high_T_loss)

# %%
# hint("3.3")

# %% [markdown]
# How fast does it get there? One more term of the expansion, with $v_c$ and $z_c$ centred, says how:
#
# $$\mathrm{kd\_loss} \approx \frac{1}{2C}\sum_c d_c^2 \;+\; \frac1T \cdot \frac{1}{6C}\sum_c d_c^2\,(z_c + 2 v_c)$$
#
# (A Taylor expansion in 1/T; the picture and the cell after it hold it against the loss.) The second term says that at
# a finite T the mistakes on classes that the teacher likes ($v_c > 0$) count for more.


# %%
def centre(logits):
    return logits - logits.mean(-1, keepdim=True)


limit = high_T_loss(z, v).item()
first_order = (centre(z - v).square() * (centre(z) + 2 * centre(v))).mean().item() / 6
ts = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]
curves = {
    "kd_loss": [kd_loss(z, v, T).item() for T in ts],
    "the limit": [limit] * len(ts),
    "limit + first order": [limit + first_order / T for T in ts],
}
ax = plots.lines(ts, curves, "temperature T", "nats per example")
ax.set(xscale="log", xticks=ts, xticklabels=[f"{T:g}" for T in ts])
ax.minorticks_off()
words = "; ".join(
    f"T={T:g}: {a:.2f}, with the first order {b:.2f}"
    for T, a, b in zip(ts, curves["kd_loss"], curves["limit + first order"], strict=True)
)
show(ax.figure, f"kd_loss against T nears the limit of {limit:.2f} nats. {words}.")

# %% tags=["nbval-check-output"]
far = {T: kd_loss(z, v, T) - limit for T in (32.0, 64.0)}  # from the limit
left = {T: distance - first_order / T for T, distance in far.items()}  # and from limit + first order
print("twice the T, half the distance to the limit:", bool(0.4 < far[64.0] / far[32.0] < 0.6))
print("and a quarter of the distance to limit + first order:", bool(0.2 < left[64.0] / left[32.0] < 0.3))

# %% [markdown]
# **So.** At a high T, distilling is matching logits. On the left, where the expansion leaves `kd_loss`, T is not large
# beside these logits: there the limit says nothing, even where the lines happen to meet.

# %% [markdown]
# ## 5 · Hard and soft
#
# **Idea.** Where you have labels, the student learns from them too, by the usual cross-entropy at T=1. Two weights mix
# the terms. Published code calls them alpha, lambda, gamma, and disagrees on which one alpha is; here they say what
# they weigh.
#
# ### Exercise 3.4 · Hard and soft · 3 minutes · difficulty ●○○
#
# Write the mix. `F.cross_entropy` takes logits and labels.


# %%
def distill_loss(
    student_logits: torch.Tensor,
    labels: torch.Tensor,
    teacher_logits: torch.Tensor,
    T: float = 4.0,
    hard_weight: float = 0.1,
    soft_weight: float = 0.9,
) -> torch.Tensor:
    """hard_weight * cross-entropy with the labels + soft_weight * kd_loss with the teacher.

    student_logits, teacher_logits: (B, C); labels: (B,) whole numbers -> () in nats per example.
    """
    # BEGIN SOLUTION
    hard = F.cross_entropy(student_logits, labels)
    soft = kd_loss(student_logits, teacher_logits, T)
    return hard_weight * hard + soft_weight * soft
    # END SOLUTION


# %% tags=["check"]
distill_loss = check("3.4", distill_loss)

# %%
# hint("3.4")

# %% [markdown]
# ### A teacher who knows nothing
#
# Label smoothing by $s$ mixes the label with a uniform answer. A uniform answer is what a teacher with equal logits
# gives. So smoothing *is* distillation at T=1, from a teacher who knows nothing (Yuan et al., 2020); the loss differs
# by that teacher's entropy, the constant $s\,\ln C$.

# %% tags=["nbval-check-output"]
s, labels = 0.1, data.y_val
smoothed = cross_entropy(z, labels, label_smoothing=s)
know_nothing = torch.zeros_like(z)  # (N, C): equal logits, every class 1/C
distilled = distill_loss(z, labels, know_nothing, T=1.0, hard_weight=1 - s, soft_weight=s)
constant = s * math.log(C)
print(f"equal to 1e-12, but for the constant: {bool(abs(smoothed - distilled - constant) < 1e-12)}")
print(f"the constant s ln C: {constant:.4f} nats")

# %% [markdown]
# **So.** Label smoothing is the control that every claim about a teacher needs: it softens the labels and knows
# nothing. [Lesson 04](04_teacher_and_student.ipynb) uses it as such.

# %% [markdown]
# ## 6 · The Bug Museum
#
# Behind letters hang fifteen defects from real code: most were shipped, some were caught in review, a few were put there
# on purpose and surprise all the same. `bug_a` to `bug_k` are losses, called like yours:
# `loss(student_logits, teacher_logits, T)`. `bug_l` to `bug_o` are ways to set up the training. Each shows one
# defect; the rest is right.
#
# Their code is in `course_lib/checks/museum.py`. Don't open it yet. Here is what the losses say on the logits from above: which
# look odd to you already?

# %%
rooms = {f"bug_{letter}": loss for letter, loss in museum.LOSSES.items()}
for name, loss in rooms.items():
    print(f"{name}: {loss(z, v, 1.0):9.4f} nats at T=1 {loss(z, v, 4.0):9.4f} at T=4")
print(f"kd_loss: {kd_loss(z, v, 1.0):7.4f} nats at T=1 {kd_loss(z, v, 4.0):9.4f} at T=4")

# %% [markdown]
# ### Would the accuracy tell?
#
# The usual test of a loss is to train with it. Do that: for each bug, `SEEDS` students that learn from 0.1 of the
# labels' loss plus 0.9 of the bug's; and as many with the correct loss. `bug_l` and `bug_n` change what the
# teacher answers. `bug_m` and `bug_o` are left out: the one harms no student, and the other's student never learns at
# all.
#
# **Predict.** Of these 13 bugs, how many give students that are measurably worse?

# %%
my_bugs = 7  # change me before you go on


# %%
def distil(loss, teacher_logits):
    """Train SEEDS students; (S, N), 1 where a student is right about a test picture, else 0."""

    def mixed(z, labels, v):
        return 0.1 * cross_entropy(z, labels) + 0.9 * loss(z, v, 4.0)

    def make(seed):
        return mlp(PIXELS, 16, C, seed=seed)

    students = fit_many(make, (x, y, teacher_logits), mixed, seeds=SEEDS, **SETTINGS)
    return correct(predict(students, data.x_test), data.y_test)


# %% [markdown]
# The primary comparison, named before it runs: **`bug_d` against the correct loss, accuracy on the test pictures.** The
# other twelve are exploratory: of twelve comparisons at 95%, one may well be separated by luck. All students share the
# same seeds and pictures, and with them the same luck; `compare` pairs them, and that luck cancels. This cell takes the
# longest of the lesson.

# %%
answers = predict(teacher, x)  # (N, C)
scores = {"correct": distil(kd_loss, answers)}
for name, loss in rooms.items():
    scores[name] = distil(loss, answers)
for letter, ask in museum.ANSWERS.items():
    scores[f"bug_{letter}"] = distil(kd_loss, ask(copy.deepcopy(teacher), x))
bugs = [name for name in scores if name != "correct"]

# %%
verdicts = {}
for name in bugs:
    a, b = scores[name], scores["correct"]
    verdicts[name] = compare(a, b, name, "the correct loss", exploratory=name != "bug_d")
print(verdicts["bug_d"])
print("\nEach against the correct loss, in points of accuracy (all but bug_d exploratory),")
print(f"and how many of the {scores['correct'].numel():,} answers to test pictures turn right or wrong:")
for name, verdict in verdicts.items():
    d, turned = verdict.difference, int((scores[name] != scores["correct"]).sum())
    numbers = f"{100 * d.value:+6.1f} [{100 * d.low:+6.1f}, {100 * d.high:+6.1f}]"
    print(f"  {name} {numbers}  {verdict.word:13}  {turned:5,} answers turn right or wrong")

# %%
near = {name: verdict for name, verdict in verdicts.items() if abs(verdict.difference.value) < 0.1}
named = {f"{name}, {verdict.word.lower()}": verdict.difference for name, verdict in near.items()}
ax = plots.estimates(named, "accuracy, minus that of the correct loss")
ax.axvline(0, color="black", linewidth=1)
words = "; ".join(f"{name} {one:+.1%}" for name, one in named.items())
show(ax.figure, f"Paired differences in accuracy beside a line at zero. {words}.")
worse = [name for name in bugs if verdicts[name].word == "WORSE"]
print(f"measurably worse: {', '.join(worse) or 'none'}: {len(worse)} of {len(bugs)} bugs; you said {my_bugs}")

# %% tags=["nbval-check-output"]
print("bug_n is worse by more than 30 points:", verdicts["bug_n"].difference.value < -0.3)
print("most bugs are not measurably worse:", len(worse) < len(bugs) / 2)

# %% [markdown]
# **So.** Few bugs show, and a wrong loss may even look better. NOT SEPARABLE does not mean harmless: it means that this
# measurement cannot tell. Where not one answer turns, the bug sleeps, until other logits, other shapes or a report wake
# it. (Such a row still has an interval: other pictures might turn.) A test of a loss must look at the loss.

# %% [markdown]
# ## 7 · Invariants
#
# **Idea.** You may not know the right number, but you know facts that hold for every right loss, whoever wrote it.
# Such a fact is an invariant; here it becomes a function of the loss. True means innocent. One for a start: appending
# classes that nobody believes in changes nothing.

# %%
generator = torch.Generator().manual_seed(0)
Z, V = 2 * torch.randn(2, 8, 10, generator=generator, dtype=torch.float64)  # (8, 10) student, teacher


def close(a, b):
    return bool((a - b).abs() <= 1e-4 * b.abs())


def classes(loss):
    """Ten more classes with no mass leave the loss as it is."""
    more_Z, more_V = (F.pad(logits, (0, 10), value=-1e4) for logits in (Z, V))  # (8, 20)
    return close(loss(more_Z, more_V, 4.0), loss(Z, V, 4.0))


print(f"classes: kd_loss {'innocent' if classes(kd_loss) else 'guilty'}")

# %% [markdown]
# ### Exercise 3.5 · Zero and flat at equality · 6 minutes · difficulty ●●○
#
# A student that answers as its teacher does pays nothing, and is not pushed. Two facts. Test both, for logits of your
# choice. Rounding is allowed: a correct loss may read 0.0000001. `gradient(loss, z, v, T)` from above helps.


# %%
def zero_and_flat(loss) -> bool:
    """True if loss(z, v, T) is 0, and its gradient is 0, where z equals v.

    loss: (B, C), (B, C), T -> (). True means innocent.
    """
    # BEGIN SOLUTION
    value, slope = loss(Z, Z, 4.0), gradient(loss, Z, Z, 4.0)
    return bool(value.abs() < 1e-6 and slope.abs().max() < 1e-6)
    # END SOLUTION


# %% tags=["check"]
zero_and_flat = check("3.5", zero_and_flat)

# %%
# hint("3.5")

# %% [markdown]
# ### Exercise 3.6 · Steady in T · 5 minutes · difficulty ●●○
#
# Section 3 as a test: when T changes from 4 to 16, the length of the gradient stays within a factor of 2. It is a
# test with a tolerance, since T² makes the gradient steady only nearly.


# %%
def steady_in_T(loss) -> bool:
    """True if the length of the loss's gradient at T=16 is within a factor of 2 of that at T=4.

    loss: (B, C), (B, C), T -> (). True means innocent.
    """
    # BEGIN SOLUTION
    cool, warm = gradient(loss, Z, V, 4.0).norm(), gradient(loss, Z, V, 16.0).norm()
    return bool(cool / 2 <= warm <= 2 * cool)
    # END SOLUTION


# %% tags=["check"]
steady_in_T = check("3.6", steady_in_T)

# %%
# hint("3.6")

# %% [markdown]
# Six more, written for you. Read each as a sentence, and think of the bug that it would catch.


# %%
def batch(loss):
    """Showing every example twice leaves a mean as it is."""
    return close(loss(torch.cat([Z, Z]), torch.cat([V, V]), 4.0), loss(Z, V, 4.0))


def layout(loss):
    """The same 8 answers laid out as 2 texts of 4 tokens, (2, 4, C), are still 8 answers."""
    return close(loss(Z.reshape(2, 4, -1), V.reshape(2, 4, -1), 4.0), loss(Z, V, 4.0))


def direction(loss):
    """Teacher (1/2, 1/2), student (1/4, 3/4): 0.1438 nats, more than the 0.1308 of the roles exchanged."""
    half, quarter = torch.tensor([[1.0, 1.0]]).log(), torch.tensor([[1.0, 3.0]]).log()  # (1, 2) logits
    return bool(loss(quarter, half, 1.0) > 1.05 * loss(half, quarter, 1.0))


# %% [markdown]
# The last three ask whether the loss says anything, whether it survives large logits, and whether it has the limit of
# section 4.


# %%
def teaches(loss):
    """Where student and teacher differ, the student is pushed."""
    return bool(gradient(loss, Z, V, 4.0).abs().max() > 0)


def finite(loss):
    """Logits 200 apart give a finite loss and a finite gradient, in float32."""
    far = torch.tensor([[200.0, 0.0]])
    return bool(loss(far, -far, 1.0).isfinite() and gradient(loss, far, -far, 1.0).isfinite().all())


def limit_holds(loss):
    """At T=1000 the loss is within 1% of half the mean squared difference of the centred logits."""
    return bool((loss(Z, V, 1000.0) / high_T_loss(Z, V) - 1).abs() < 0.01)


# %% [markdown]
# Now every bug goes through every invariant. Two correct losses go first, written in different ways: an invariant
# that convicts the innocent is worth nothing.


# %%
def torch_kd(student_logits, teacher_logits, T=4.0):
    """The correct loss once more, by F.kl_div."""
    log_q = F.log_softmax(student_logits / T, -1).flatten(0, -2)  # (..., C) -> (B, C)
    log_p = F.log_softmax(teacher_logits / T, -1).flatten(0, -2)
    return T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


tests = {
    "zero, flat": zero_and_flat,
    "steady in T": steady_in_T,
    "classes": classes,
    "batch": batch,
    "layout": layout,
    "direction": direction,
    "teaches": teaches,
    "finite": finite,
    "limit": limit_holds,
}
accused = {"correct, by hand": losses.kd_loss, "correct, by torch": torch_kd, **rooms}
guilty = {}  # the invariants that convict each of them
for name, loss in accused.items():
    guilty[name] = [test for test, holds in tests.items() if not holds(loss)]

# %%
fig, ax = plots.figure(9, 0.8 + 0.36 * len(guilty))
ax.grid(False)
for row, charges in enumerate(guilty.values()):
    for column, test in enumerate(tests):
        sign, colour = ("✗ guilty", "#a3123a") if test in charges else ("·", "#6b6b6b")
        ax.text(column, row, sign, ha="center", va="center", color=colour, fontsize=9)
ax.set(xlim=(-0.6, len(tests) - 0.4), ylim=(len(guilty) - 0.5, -0.5))
ax.set_xticks(range(len(tests)), tests, fontsize=9)
ax.set_yticks(range(len(guilty)), guilty, fontsize=9)
for row in range(1, len(guilty)):
    ax.axhline(row - 0.5, color="#e4e4e4", linewidth=0.8)
ax.tick_params(length=0, labeltop=True, labelbottom=False)
words = "; ".join(f"{name}: {', '.join(charges) or 'acquitted'}" for name, charges in guilty.items())
show(fig, f"Table of convictions. {words}.")

# %% [markdown]
# The same in words. A bug convicted by one invariant only is the argument for having that one.


# %% tags=["nbval-check-output"]
def sentence(name, charges):
    return f"{name:18} {'convicted by ' + ', '.join(charges) if charges else 'acquitted'}"


for name, charges in guilty.items():
    print(sentence(name, charges))

# %% [markdown]
# ### The set-ups
#
# A correct loss can still be fed wrongly. A set-up is a function `epoch(student, teacher, x)`: it trains the student
# for one epoch on the pictures x, and returns what its loss was given, batch by batch: `[(pictures, student_logits,
# teacher_logits), ...]`. The first fact to test: a teacher teaches; it does not learn.
#
# ### Exercise 3.7 · The teacher, unchanged · 6 minutes · difficulty ●●○
#
# Whatever makes up the teacher's answers is the same after the epoch as before. Note the teacher's state, run the
# epoch, compare. Remember what batch normalisation keeps.


# %%
def teacher_unchanged(epoch, student: nn.Module, teacher: nn.Module, x: torch.Tensor) -> bool:
    """True if one epoch(student, teacher, x) leaves the whole state of the teacher exactly as it was.

    x: (N, channels, height, width). True means innocent.
    """
    # BEGIN SOLUTION
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    epoch(student, teacher, x)
    return all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    # END SOLUTION


# %% tags=["check"]
teacher_unchanged = check("3.7", teacher_unchanged)

# %%
# hint("3.7")

# %% [markdown]
# Two more facts: no gradient is left in the teacher, and the teacher's answers belong to the pictures that they are
# used with.


# %%
def no_gradient(epoch, student, teacher, x):
    """After the epoch no parameter of the teacher holds a gradient."""
    epoch(student, teacher, x)
    return all(p.grad is None for p in teacher.parameters())


def answers_fit(epoch, student, teacher, x):
    """Each batch of answers is what the teacher, as it was before, says to the pictures of that batch."""
    asked = freeze(copy.deepcopy(teacher))
    seen = epoch(student, teacher, x)
    return all(torch.allclose(asked(shown), given, atol=1e-4) for shown, _, given in seen)


# %% tags=["nbval-check-output"]
tests = {"teacher unchanged": teacher_unchanged, "no gradient": no_gradient, "answers fit": answers_fit}
setups = {f"bug_{letter}": epoch for letter, epoch in museum.SETUPS.items()}
for name, epoch in {"fair epoch": museum.fair_epoch, **setups}.items():
    guilty[name] = []
    for test, holds in tests.items():
        fresh = copy.deepcopy(teacher).requires_grad_(True)
        if not holds(epoch, mlp(PIXELS, 16, C), fresh, x[:256]):
            guilty[name].append(test)
    print(sentence(name, guilty[name]))

# %% [markdown]
# ## 8 · The names
#
# What hung behind the letters, and where it was seen. "Code read" and "run" say how it is known; a number after # is
# a public thread. These are good projects: they are here because their code is open, and because someone looked.
# Before you read on, name three of them yourself.

# %%
for letter in museum.PLAQUES:
    print(museum.plaque(letter), end="\n\n")

# %% [markdown]
# **Look.** A reverse KL is no bug by itself: it is another objective, which prefers to be right about *one* of the
# teacher's favourites rather than to cover them all (Minka, 2005). It becomes a bug where the documentation says forward. And a
# wrong scale can be tuned away: then the tuned weights are right for this T and this number of classes, and for no
# other.

# %% [markdown]
# ## So

# %%
convicted = [name for name, charges in guilty.items() if charges and name.startswith("bug")]
wrongly = [name for name, charges in guilty.items() if charges and not name.startswith("bug")]
print(f"Accuracy showed {len(worse)} of {len(bugs)} bugs to be worse than the correct loss.")
print(f"Invariants convicted {len(convicted)} of {len(museum.PLAQUES)} bugs, and {len(wrongly)} of 3 innocents.")

# %% [markdown]
# ### What this cannot show
#
# - One data set, one small student, one T, one pair of weights, one optimiser. With other settings a bug may show in
#   the accuracy; the invariants don't depend on that.
# - Adam divides the scale of the gradient out, so a loss that is ten times too small hurts less here than it would
#   with plain gradient descent.
# - NOT SEPARABLE at this number of seeds is no proof of equality.
# - Invariants convict what they ask about. A loss that passes all of them can still be wrong.

# %% [markdown]
# ### Go further
#
# 1. Write a bug that passes every invariant of this lesson. Then write the invariant that convicts it.
# 2. Change the weights in `distil` to 0.9 and 0.1, or train on `ROWS = 100`, and look again: which bugs become
#    visible, and which of them *help*? Why is that no argument for them?
#
# <!-- next -->
