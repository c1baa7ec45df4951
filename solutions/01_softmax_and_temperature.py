# ---
# jupyter:
#   course:
#     question: What does a temperature do to an answer?
#     minutes: 60
#     cpu_seconds: 60
#     workshop: 90 minutes
#     shows: bars and entropy under live sliders; the ranking of real answers at 7 temperatures
# ---

# %% [markdown]
# # 01 · What does a temperature do to an answer?
#
# A network's last layer gives ten plain numbers. You turn them into an answer: ten probabilities. On the way there is
# one knob, the temperature, and everything in this course turns it. In this lesson you build the knob, find its two
# ends, and learn what it can change and what it never does.
#
# **60 minutes.** You build: softmax, log-softmax, entropy, both limits, the Jacobian, and a search for the right T.

# %%
import math

import torch

from course_lib import plots
from course_lib.checks import check, hint
from course_lib.data import load
from course_lib.live import explore, show, slider
from course_lib.losses import cross_entropy
from course_lib.measure import accuracy
from course_lib.models import mlp
from course_lib.train import fit, predict

DATA = "digits"  # "mnist" works too
EPOCHS = 30

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## A real answer
#
# You need real logits. Train a small network on a thousand handwritten digits, in a few seconds, and let it look at
# pictures that it has not seen. ([logits](00_start_here.ipynb#Glossary) are the numbers that a network gives, before
# anything is done to them.)

# %%
data = load(DATA)
x, y = data.x_train[:1000], data.y_train[:1000]  # (1000, 1, h, w), (1000,)
net = fit(mlp(x[0].numel(), 64, 10), (x, y), cross_entropy, epochs=EPOCHS)
logits = predict(net, data.x_val)  # (N, 10)
print(f"right on pictures it has not seen: {accuracy(logits, data.y_val)}")

# %% [markdown]
# Take one picture: the one where the largest logit leads the second by 3, as nearly as there is one. It will come back
# all lesson long.

# %%
first, second = logits.topk(2).values.T  # (N,) each: the largest logit of every picture, and the next
row = (first - second - 3).abs().argmin()
one, label = logits[row], data.classes[data.y_val[row]]  # (10,)
names = [data.classes[i] for i in one.argsort(descending=True)]  # the ranking

fig, (left, right) = plots.figure(width=9, columns=(1, 3))
left.imshow(data.x_val[row, 0], cmap="gray_r")
left.set_axis_off()
left.set_title(f"label {label}")
right.bar(data.classes, one, color=plots.PLAIN)
right.set(xlabel="class", ylabel="logit")
alt = ", ".join(f"{c}: {z:.1f}" for c, z in zip(data.classes, one, strict=True))
show(fig, f"A handwritten digit, labelled {label}, and its ten logits: {alt}.")

# %% [markdown]
# ## From logits to probabilities
#
# **Idea.** The softmax (Bridle, 1990) makes every number positive with exp and divides by the sum. With a temperature T
# the logits are divided by T first (Hinton et al., 2015, section 2):
#
# $$p_i = \frac{e^{z_i/T}}{\sum_j e^{z_j/T}}$$
#
# $z_i$ is the logit of class $i$, $p_i$ its probability. T = 1 is the ordinary softmax.
#
# **Predict.** The logits 2, 1, 0 give the winner a probability of 0.665 at T = 1. What does it have at T = 2?

# %%
my_guess = 0.50  # change me before you go on

# %% tags=["nbval-check-output"]
winner = torch.softmax(torch.tensor([2.0, 1.0, 0.0]) / 2, dim=-1)[0]
print(f"you said {my_guess:.3f}; it is {winner:.3f}")

# %% [markdown]
# The winner loses, the others gain. Now the trap: the formula is right, and the computer cannot count that far.

# %% tags=["nbval-check-output"]
z = torch.tensor([100.0, 99.0])
print("exp:   ", z.exp().tolist())
print("answer:", (z.exp() / z.exp().sum()).tolist())
print("and in half precision exp(12) is", torch.tensor(12.0, dtype=torch.half).exp().item())

# %% [markdown]
# Infinity divided by infinity is nan, "not a number", and one nan spoils a whole training. But the answer exists: it is
# the same as for the logits 1 and 0. **Adding the same number to every logit of an answer changes none of its
# probabilities.** Use that.
#
# ### Exercise 1.1 · A softmax that survives · 6 minutes · difficulty ●●○
#
# Write the softmax with exp, sum and a division (no `torch.softmax` this time). It must survive logits of ±10,000 and
# half precision, and treat each row of a batch as one answer.


# %%
def softmax(logits: torch.Tensor, T: float = 1.0) -> torch.Tensor:
    """Probabilities at temperature T. logits (..., C) -> (..., C), adding up to 1 over the last dim."""
    # BEGIN SOLUTION
    z = logits / T
    e = (z - z.max(dim=-1, keepdim=True).values).exp()  # the largest exponent is 0
    return e / e.sum(dim=-1, keepdim=True)
    # END SOLUTION


# %% tags=["check"]
softmax = check("1.1", softmax)

# %%
# hint("1.1")  # stuck? Take the first # away and run this cell; each run shows one more hint

# %% [markdown]
# **Look.** The same picture, the same ten logits, at two temperatures. At T = 1 you see the winner and little else. At
# T = 4 you see what else the network found in the picture.

# %%
fig, axes = plots.figure(width=9, columns=(1, 1))
alt = []
for T, ax in zip((1.0, 4.0), axes, strict=True):
    p = softmax(one, T)
    plots.probabilities(p, data.classes, ax).set_title(f"T = {T:g}")
    alt += [f"T = {T:g}"] + [f"{c}: {value:.2f}" for c, value in zip(data.classes, p, strict=True)]
show(fig, f"The network's probabilities for the digit at two temperatures. {', '.join(alt)}.")

# %% [markdown]
# ## When probabilities are too small to exist
#
# **Idea.** Losses take the log of a probability. A network that is sure gives its last class a probability like
# $e^{-200}$, which float32 rounds to 0, and then the log of it is lost:

# %% tags=["nbval-check-output"]
sure = torch.tensor([0.0, -200.0])
print("log of the softmax:", softmax(sure).log().tolist())
z = sure.clone().requires_grad_()
softmax(z).log()[1].backward()
print("and its gradient:  ", z.grad.tolist())

# %% [markdown]
# The true value is −200, an ordinary number. A loss that meets −inf is infinite, its gradient is nan, and the network
# is lost. The way round is algebra: take the log of the fraction on paper first, then compute.
#
# ### Exercise 1.2 · Log-softmax, without the log of a zero · 5 minutes · difficulty ●●○
#
# Write $\log p_i$ at temperature T so that no probability is ever made. `log` is the natural logarithm, as everywhere
# in this course.


# %%
def log_softmax(logits: torch.Tensor, T: float = 1.0) -> torch.Tensor:
    """Natural logs of the probabilities at temperature T. logits (..., C) -> (..., C), at most 0."""
    # BEGIN SOLUTION
    z = logits / T
    z = z - z.max(dim=-1, keepdim=True).values
    return z - z.exp().sum(dim=-1, keepdim=True).log()
    # END SOLUTION


# %% tags=["check"]
log_softmax = check("1.2", log_softmax)

# %%
# hint("1.2")

# %% [markdown]
# **So.** From here on a loss works with log-probabilities, and the smallest of them survive:

# %% tags=["nbval-check-output"]
print("log-softmax:", log_softmax(sure).tolist())

# %% [markdown]
# ## How undecided is an answer? One number
#
# **Idea.** When a class of probability $p_i$ turns out to be the one, your surprise is $-\log p_i$: none if it was
# certain, much if it was rare. Entropy (Shannon, 1948) is the surprise to expect, the mean over the classes:
#
# $$H(p) = -\sum_i p_i \log p_i$$
#
# With the natural log it counts in [nats](00_start_here.ipynb#Glossary), with base 2 in bits: a fair coin has one. A
# class with $p_i = 0$ adds nothing, since $p \log p$ goes to 0 with $p$.
#
# **Predict.** Ten digits, all equally likely. How many bits of entropy is that?

# %%
my_guess = 10.0  # change me before you go on

# %% [markdown]
# ### Exercise 1.3 · Entropy in nats and bits · 5 minutes · difficulty ●○○
#
# `base` is the base of the logarithm: without it nats, with `base=2` bits. Mind the zeros.


# %%
def entropy(probs: torch.Tensor, base: float = math.e) -> torch.Tensor:
    """Entropy of each answer, in nats (or in bits with base=2). probs (..., C) -> (...)."""
    # BEGIN SOLUTION
    return -torch.xlogy(probs, probs).sum(dim=-1) / math.log(base)
    # END SOLUTION


# %% tags=["check"]
entropy = check("1.3", entropy)

# %%
# hint("1.3")

# %% tags=["nbval-check-output"]
ten = torch.full((10,), 0.1)
print(f"you said {my_guess:.2f} bits for ten equal digits; it is {entropy(ten, 2):.2f}, or {entropy(ten):.2f} nats")
print(f"a fair coin: {entropy(torch.tensor([0.5, 0.5]), 2):.2f} bits")
print(f"99 to 1: {entropy(torch.tensor([0.99, 0.01]), 2):.2f} bits")

# %% [markdown]
# ## Turn the knob
#
# **Predict.** A photograph has the logits cat 4, dog 2, fox 1, car −3. At T = 1 dog has a probability of 0.11. You may
# choose any T above 0: what is the most that the temperature alone can give to dog?

# %%
my_guess = 0.50  # change me before you go on

# %% [markdown]
# Move T first: click its handle and use the arrow keys, or drag it. Then move the logits, and then T again. Watch the
# ranking in the title.

# %%
PHOTO = ("cat", "dog", "fox", "car")


def turn(T, cat, dog, fox, car):
    z = torch.tensor([cat, dog, fox, car])
    p, order = softmax(z, T), z.argsort(descending=True, stable=True)
    ranking = " > ".join(PHOTO[i] for i in order)
    ax = plots.probabilities(p, PHOTO)
    ax.set_title(f"T = {T:.1f}   entropy {entropy(p):.2f} nats   {ranking}")
    bars = ", ".join(f"{name} {share:.3f}" for name, share in zip(PHOTO, p, strict=True))
    return ax.figure, f"T = {T:.1f}: {bars}. Entropy {entropy(p):.2f} nats. Ranking: {ranking}."


knobs = {name: slider(f"logit of {name}", -6, 6, z) for name, z in zip(PHOTO, (4, 2, 1, -3), strict=True)}
explore(turn, T=slider("temperature T", 0.1, 20, 1.0), **knobs)

# %% [markdown]
# Did you find the most that dog can have? For the logits that the sliders began with, try a few hundred temperatures:

# %% tags=["nbval-check-output"]
temperatures = torch.logspace(-1, 2, 300)
photo = torch.tensor([4.0, 2.0, 1.0, -3.0])
dog = torch.stack([softmax(photo, T)[1] for T in temperatures])
best = temperatures[dog.argmax()]
print(f"you said {my_guess:.3f}; dog gets {dog.max():.3f} at most, at T = {best:.1f}")

# %% [markdown]
# A little more than its equal share, and then it comes down again: a very hot answer gives everyone a quarter. Dog never
# passes cat. Is that a rule, or luck with four logits?
#
# ## What never changes
#
# **The lesson's primary comparison.** The ranking of all ten classes at T = 1, against six other temperatures, for
# every picture of `val`. One picture with a changed ranking would settle it.
#
# **Predict.** In what share of the pictures does some T change the ranking?

# %%
my_guess = 0.10  # change me before you go on

# %% tags=["nbval-check-output"]
order = logits.argsort(dim=-1, descending=True)  # (N, 10), the ranking
changed = torch.zeros(len(logits), dtype=torch.bool)
for T in (0.1, 0.5, 2.0, 4.0, 20.0, 100.0):
    ranked = log_softmax(logits, T).gather(-1, order)  # (N, 10): does it ever rise?
    changed |= (ranked.diff(dim=-1) > 0).any(dim=-1)
print(f"you said {my_guess:.0%}; it is {changed.sum()} of {len(changed)} pictures")

# %% [markdown]
# Not one. Dividing by a positive number keeps order, and so do exp and a common divisor. This is arithmetic: it needs
# no seeds and no interval.
#
# So accuracy is the same at every T, and so is the list of runners-up. What T changes is how loudly they speak. That
# is also why one T, chosen on `val`, can mend a network's over-confidence and leave its accuracy as it was (Guo et
# al., 2017).

# %% [markdown]
# ## The cold end
#
# **Idea.** Let T go to 0. The lead of the winner over every other class, divided by T, grows without end, and the
# answer becomes "this one, and nothing else": as sharp as a label.
#
# **Predict.** And if two classes share the first place, logits 3, 1, 3, 0? Write the four probabilities at T → 0.

# %%
my_guess = [0.25, 0.25, 0.25, 0.25]  # change me before you go on

# %% [markdown]
# ### Exercise 1.4 · The coldest answer · 4 minutes · difficulty ●○○
#
# Write the limit itself, without a tiny T. Both winners count.


# %%
def cold(logits: torch.Tensor) -> torch.Tensor:
    """The limit of softmax(logits, T) as T goes to 0. logits (..., C) -> (..., C)."""
    # BEGIN SOLUTION
    winners = (logits == logits.max(dim=-1, keepdim=True).values).float()
    return winners / winners.sum(dim=-1, keepdim=True)
    # END SOLUTION


# %% tags=["check"]
cold = check("1.4", cold)

# %%
# hint("1.4")

# %%
tied = torch.tensor([3.0, 1.0, 3.0, 0.0])
print("you said", my_guess)
for T in (1.0, 0.3, 0.1):
    print(f"T = {T:.1f}:", [f"{p:.3f}" for p in softmax(tied, T)])
print("T → 0  :", [f"{p:.3f}" for p in cold(tied)])

# %% [markdown]
# ## The hot end
#
# **Idea.** Let T grow. Every class goes to 1/C, its equal share, and nothing is left of the answer. Nothing? Look at
# *how* it gets there. For a large T the exponents are small, and for a small $x$, $e^x \approx 1 + x$. What stays is
# a straight line in 1/T:
#
# $$p_i \approx \frac{1}{C} + \text{something}_i \cdot \frac{1}{T}$$

# %% [markdown]
# ### Exercise 1.5 · Nearly as hot as it gets · 6 minutes · difficulty ●●○
#
# Find the something, on paper, and write the approximation, without any exp. Two things to hold it against: the
# probabilities must still add up to 1, and adding a number to all logits must still change nothing.


# %%
def hot(logits: torch.Tensor, T: float) -> torch.Tensor:
    """softmax(logits, T) for a large T, to first order in 1/T. logits (..., C) -> (..., C)."""
    # BEGIN SOLUTION
    C = logits.shape[-1]
    return 1 / C + (logits - logits.mean(dim=-1, keepdim=True)) / (C * T)
    # END SOLUTION


# %% tags=["check"]
hot = check("1.5", hot)

# %%
# hint("1.5")

# %% [markdown]
# **Predict.** You double T. How many times smaller does the approximation's largest error get?

# %%
my_guess = 2.0  # change me before you go on

# %% tags=["nbval-check-output"]
z = photo.double()
error = {T: (hot(z, T) - softmax(z, T)).abs().max().item() for T in (50, 100, 200)}
print(f"you said {my_guess:.1f}; from T = 50 to 100 it gets {error[50] / error[100]:.1f} times smaller")
print(f"and from 100 to 200 {error[100] / error[200]:.1f} times")

# %% [markdown]
# A quarter each time: the error goes like $1/T^2$. **Look.** Drawn over 1/T, first order is a straight line. Follow the
# exact curve from the left: it sets out along the line, and turns away as the answer cools.

# %%
Ts = [100, 50, 25, 16, 12, 8, 6, 4, 3, 2]
curves = {"exact": [softmax(z, T)[1] for T in Ts], "first order": [hot(z, T)[1] for T in Ts]}
ax = plots.lines([1 / T for T in Ts], curves, "1/T (hottest on the left)", "probability of dog")
alt = "; ".join(f"{name}: {p[0]:.3f} at T = 100, {p[-1]:.3f} at T = 2" for name, p in curves.items())
show(ax.figure, f"Dog's probability against 1/T. {alt}. First order is straight; exact bends down.")

# %% [markdown]
# **So.** What the straight line carries is the logit minus the mean logit. **A hot answer is the centred logits, in
# small print.** In [lesson 03](03_distillation_loss.ipynb) this turns a loss on probabilities into a loss on logits
# (Hinton et al., 2015, section 2.1).

# %% [markdown]
# ## What moves when a logit moves
#
# **Idea.** Training pushes logits. How far does each probability move? That is a table, the Jacobian: row $i$,
# column $j$ holds $\partial p_i / \partial z_j$. For T = 1 and $p_i = e^{z_i} / \sum_k e^{z_k}$, the quotient rule
# gives it in two lines, one for $i = j$ and one for $i \neq j$.
#
# **Predict.** What does each column of the table add up to?

# %%
my_guess = 1.0  # change me before you go on

# %% [markdown]
# ### Exercise 1.6 · Which probability moves when a logit moves · 7 minutes · difficulty ●●●
#
# Derive it on paper at T = 1, then put T in. Write the formula; `torch.autograd` may check you, not replace you.


# %%
def jacobian(logits: torch.Tensor, T: float = 1.0) -> torch.Tensor:
    """Row i, column j: dp_i / dz_j of p = softmax(z, T). logits (C,) -> (C, C)."""
    # BEGIN SOLUTION
    p = softmax(logits, T)
    return (torch.diag(p) - torch.outer(p, p)) / T
    # END SOLUTION


# %% tags=["check"]
jacobian = check("1.6", jacobian)

# %%
# hint("1.6")

# %% tags=["nbval-check-output"]
J = {T: jacobian(photo, T) for T in (1.0, 4.0)}
for T in J:
    zero = J[T].sum(0).abs().max().item() < 1e-6
    print(f"T = {T:g}: every column adds up to 0: {zero}; car follows its own logit by {J[T][3, 3]:.4f}")
print(f"you said the columns add up to {my_guess:g}")

# %% [markdown]
# What one class wins, the others lose. In percentage points (each table has its own colour scale):

# %%
fig, axes = plots.figure(width=11, height=4, columns=(1, 1))
for T, ax in zip(J, axes, strict=True):
    points = (100 * J[T]).round(decimals=2) + 0  # + 0 turns -0 into 0
    plots.heatmap(points, PHOTO, PHOTO, "points per unit of logit", ax).set_title(f"T = {T:g}")
    ax.set(xlabel="logit that moves", ylabel="probability that follows")
cat = ", ".join(f"{100 * J[T][0, 0]:.1f} at T = {T:g}" for T in J)
show(fig, f"Two tables of dp/dz, positive on the diagonal, negative beside it. Cat follows cat: {cat}.")

# %% [markdown]
# At T = 1 the car's row and column are nearly empty: a class without a chance hardly moves, and its logit moves
# next to nothing. At T = 4 every class takes part. But note the 1/T in front: softening makes the large pushes smaller.
# Keep that in mind until [lesson 03](03_distillation_loss.ipynb), where a factor $T^2$ answers it.

# %% [markdown]
# ## Which T for this answer?
#
# **Idea.** T = 4 means little by itself: a network with logits twice as large needs T = 8 for the same answer.
# Entropy is the common scale. It never falls when T rises: $dH/dT = \mathrm{Var}_p(z) / T^3 \geq 0$, where
# $\mathrm{Var}_p(z)$ is the variance of the logits under $p$. So, with one winner, each entropy between 0 and
# $\log C$ belongs to exactly one T.
#
# ### Exercise 1.7 · The temperature that gives a wanted entropy · 9 minutes · difficulty ●●●
#
# Bisection: look at the middle between `low` and `high`, keep the half that holds the T you want, repeat until the
# entropy is right to 0.001 nats.


# %%
def temperature_for(logits: torch.Tensor, wanted: float, low=0.01, high=100.0) -> float:
    """The T in low...high at which softmax(logits, T) has `wanted` nats of entropy. logits (C,)."""
    # BEGIN SOLUTION
    for _ in range(60):
        middle = (low + high) / 2
        too_sharp = entropy(softmax(logits, middle)) < wanted
        low, high = (middle, high) if too_sharp else (low, middle)
    return middle
    # END SOLUTION


# %% tags=["check"]
temperature_for = check("1.7", temperature_for)

# %%
# hint("1.7")

# %% [markdown]
# **Predict.** With ten classes, entropy is log 10 = 2.30 nats at most. Which T brings the answer to the lesson's
# picture to half of that?

# %%
my_guess = 2.0  # change me before you go on

# %%
T_half = temperature_for(one, math.log(10) / 2)
before, after = entropy(softmax(one)), entropy(softmax(one, T_half))
print(f"you said T = {my_guess:.1f}; it is T = {T_half:.2f}: from {before:.2f} to {after:.2f} nats")

# %% [markdown]
# **Look.** The network is surer of some pictures than of others. Slide through T and the pictures, from the one with the
# smallest lead to the one with the largest. The same T means something else to each of them.

# %%
by_lead = (first - second).argsort()  # rows of val, the smallest lead first


def look(T, rank):
    row = by_lead[round(rank / 100 * (len(by_lead) - 1))]
    p, label = softmax(logits[row], T), data.classes[data.y_val[row]]
    ranking = " > ".join(data.classes[i] for i in logits[row].argsort(descending=True)[:3])
    fig, (left, right) = plots.figure(width=9, columns=(1, 3))
    left.imshow(data.x_val[row, 0], cmap="gray_r")
    left.set_axis_off()
    left.set_title(f"label {label}")
    said = f"T = {T:.1f}   entropy {entropy(p):.2f} nats   {ranking} …"
    plots.probabilities(p, data.classes, right).set_title(said)
    return fig, f"A digit labelled {label}. {said} The winner has {p.max():.3f}."


rank = slider("lead, smallest to largest, %", 0, 100, 20, 1)
explore(look, T=slider("temperature T", 0.1, 20, 2.0), rank=rank)

# %% [markdown]
# ## So
#
# What does a temperature do to an answer?

# %%
print("It moves the answer between a label and an equal share, and never touches the ranking:")
print(f"{changed.sum()} of {len(changed)} rankings changed. T = {T_half:.2f} takes the lesson's picture")
print(f"from {before:.2f} to {after:.2f} nats, and {names[0]} still leads {names[1]}.")

# %% [markdown]
# ### What this cannot show
#
# - Which T makes a good lesson for a student. A louder runner-up is not yet a useful one: that is measured in lessons
#   [02](02_dark_knowledge.ipynb) and [04](04_teacher_and_student.ipynb).
# - Whether the probabilities are *right*. Entropy says how undecided an answer is, not how often it is true.
# - Anything about other networks: the pictures here come from one small net on small digits. The arithmetic holds for
#   all.

# %% [markdown]
# ### Go further
#
# 1. **Calibrate.** Guo et al. (2017) choose one T for a whole network: the T with the smallest cross-entropy on
#    `val`. Find it with your softmax for this net. Is it above or below 1? What does that say about the net's
#    confidence?
# 2. **Prove it.** You used $dH/dT = \mathrm{Var}_p(z)/T^3$. Derive it with your Jacobian, and hold it against
#    `(entropy(softmax(z, T + 0.001)) - entropy(softmax(z, T))) / 0.001`, in double precision.
#
# <!-- next -->
