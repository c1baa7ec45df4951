# ---
# jupyter:
#   course:
#     question: Is my machine ready, and how does this course work?
#     minutes: 25
#     cpu_seconds: 60
#     workshop: 90 minutes
#     shows: the doctor's table; a model in a vault and its copy, question by question
# ---

# %% [markdown]
# # 00 · Is my machine ready, and how does this course work?
#
# **25 minutes.** You find out whether your machine is ready, crack a small vault with two lines of code, and by doing
# so learn how every lesson goes.
#
# The grey boxes are code. **Click into one and press Shift+Enter**: it runs, and the next box is chosen. Start with
# this one.

# %%
import random

from course_lib import machine, plots
from course_lib.checks import check, hint
from course_lib.live import explore, show, slider

print("It runs.")

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## The story
#
# A model was trained at great cost, and its weights are locked in a vault. But the vault has a window: you ask a
# question, and the model answers. Many of the best systems of today are offered like this.
#
# **Who can copy what a model knows, when only its answers come out? And who should be allowed to?**
#
# First the friendly half, lessons 00 to 04: a teacher that *wants* a student to learn. This is [knowledge
# distillation](#Glossary) (Hinton et al., 2015). Then copies that nobody asked for, the defences, and what they cost
# honest users. Both halves are the same mathematics.

# %% [markdown]
# ## Is my machine ready?
#
# Ask the doctor. It looks for ten seconds or so.

# %%
machine.doctor()

# %% [markdown]
# Every row that is not *ok* says what to do about it, as a command for a terminal. A *note* can wait; *mend* cannot.
# After mending, choose **Kernel ▸ Restart Kernel** above and run this notebook from the top. The same table in a
# terminal, in the course's folder: `python -m course_lib doctor`.

# %% [markdown]
# ## A vault to crack
#
# Here is the smallest model there is: a line, $a \cdot x + b$. Its two numbers, the weights, are locked away. What is
# left outside is its [oracle](#Glossary), a function from a question to an answer, and the vault's
# [ledger](#Glossary), which counts what you ask.


# %%
def lock_away(a, b):
    ledger = []

    def oracle(x):
        ledger.append(x)
        return a * x + b

    return oracle, ledger


dice = random.Random(2021)
oracle, ledger = lock_away(round(dice.uniform(-3, 3), 2), round(dice.uniform(-3, 3), 2))

# %% [markdown]
# You could look up the two numbers in Python's memory. Pretend that you cannot: a real vault is another computer.
# Ask a question instead; change the 3 and ask again, as often as you like.

# %%
print("the vault answers:", round(oracle(3), 4))
print("questions so far:", len(ledger))

# %% [markdown]
# ### Predict
#
# Before each experiment a lesson asks what you expect. Nobody marks it. But a guess that you have written down turns a
# result into a surprise, and you remember surprises. **How many questions do you need to know this model entirely, its
# answer to every x there is?**

# %%
my_guess = 10  # change me before you go on, then press Shift+Enter

# %% [markdown]
# ### By hand
#
# Here are three of the vault's answers. Lay your line over them: drag the handles, or click one and use the arrow keys.
# The title says how far off you are at worst.

# %%
asked = [-4, 0, 5]
answers = [oracle(x) for x in asked]


def lay(a, b):
    gaps = [abs(a * x + b - answer) for x, answer in zip(asked, answers, strict=True)]
    fig, ax = plots.figure()
    ax.plot([-6, 6], [b - 6 * a, b + 6 * a], color=plots.ROLE["copy"][0], label="your line")
    ax.plot(asked, answers, "s", color=plots.ROLE["teacher"][0], label="the vault's answers")
    ax.legend(frameon=False, loc="lower right")
    said = f"a = {a:.1f}, b = {b:.1f}: off by {max(gaps):.1f} at worst"
    ax.set(xlabel="question x", ylabel="answer", ylim=(-22, 22), title=said)
    points = ", ".join(f"{y:.1f} at x = {x}" for x, y in zip(asked, answers, strict=True))
    return fig, f"Your line with {said}. The vault answers {points}."


explore(lay, a=slider("slope a", -3, 3, 0.0), b=slider("offset b", -3, 3, 0.0))

# %% [markdown]
# Close, but a hand never quite gets there: the sliders move in steps of 0.1. Two lines of code do.
#
# ### Exercise 0.1 · One secret number · 2 minutes · difficulty ●○○
#
# An exercise is a function with a hole. Read what it should give back, replace the line with `raise` by your own, and
# run the box. Here one line is enough: find the slope by asking.


# %%
def slope(oracle) -> float:
    """The slope a of a vault that answers a * x + b. oracle: a function x -> answer."""
    # BEGIN SOLUTION
    return oracle(1) - oracle(0)
    # END SOLUTION


# %% [markdown]
# Then run the check below it. It tries your function on vaults that it made itself and says one of three things: **to
# do** (nothing written yet), **not yet** (with what it saw, and where to look) or **passed**.

# %% tags=["check"]
slope = check("0.1", slope)

# %% [markdown]
# Try it: write something wrong on purpose, `return oracle(1)` for one, run both boxes, and read what the check says.
# When you are stuck, ask for a hint: remove the `#` and run. Each run gives one more, and there are three at most.

# %%
# hint("0.1")

# %% [markdown]
# ### Exercise 0.2 · The whole vault · 3 minutes · difficulty ●○○
#
# Now the copy: a function that answers any x as the vault would, and never asks the vault at that x. It may ask at
# **two places only**: 0 and 1, for example. One line again, and you may use your `slope`.


# %%
def copy(oracle, x: float) -> float:
    """What the vault would answer at x, found without asking it at x."""
    # BEGIN SOLUTION
    return oracle(0) + slope(oracle) * x
    # END SOLUTION


# %% tags=["check"]
copy = check("0.2", copy)

# %%
# hint("0.2")

# %% [markdown]
# ### Look
#
# Now the test. **The lesson's primary comparison:** your copy against the vault at a thousand questions that you never
# asked. (A line has no luck in it, so this needs no repetitions and no interval. Almost everything later will.)

# %% tags=["nbval-check-output"]
ledger.clear()
copy(oracle, 1000.0)
questions = len(set(ledger))  # different ones: asking the same thing twice tells nothing new
unseen = [dice.uniform(-6, 6) for _ in range(1000)]
gap = max(abs(copy(oracle, x) - oracle(x)) for x in unseen)
print(f"you said {my_guess} questions; it took {questions}")
print(f"largest difference at 1,000 unseen x: {gap:.6f}")

# %% [markdown]
# Fifteen of the thousand, to look at:

# %%
few = sorted(unseen[:15])
fig, ax = plots.figure()
ax.plot(few, [copy(oracle, x) for x in few], color=plots.ROLE["copy"][0], label="your copy")
ax.plot(few, [oracle(x) for x in few], "s", color=plots.ROLE["teacher"][0], label="the vault")
ax.set(xlabel="question x", ylabel="answer")
ax.legend(frameon=False)
show(fig, f"Fifteen answers of the vault, and your copy: a line through all, off by {gap:.6f} at most.")

# %% [markdown]
# ### So

# %%
print(f"The lock held, and the model is out: all it knew fitted through the window in {questions} answers.")

# %% [markdown]
# ### What this cannot show
#
# A line has two numbers, and two exact answers give both. A network has thousands or
# billions, its answers are short, rounded, limited and paid for, and a copy is only ever *nearly* as good. How
# nearly, from how many questions, and how you would know: that is the course. The idea is older than the chat
# windows: Tramèr et al. (2016) solved for the weights of models behind real prediction services.

# %% [markdown]
# ## How the course works
#
# - **Every lesson has the same six beats**: idea, predict, code, check, look, so. Sources stand beside claims, and
#   numbers come with how sure they are.
# - **Leave an exercise open if you like.** Until yours is right, the lesson goes on with the course's own answer, so
#   all that follows works.
# - **That answer sits in `course_lib/checks/`, where you can read it**, and each lesson is solved in the folder
#   [`solutions`](../solutions/00_start_here.ipynb). Nobody stops you. Try first: trying is what stays.

# %% [markdown]
# ## Your work is yours
#
# - **Saving.** Your copy of each lesson is in the folder `workspace`, and saved every ten seconds; Ctrl+S (Cmd+S) saves
#   now. No update of the course overwrites what you wrote.
# - **Progress.** `python -m course_lib progress` in a terminal lists what you passed. It stays on your machine.
# - **A fresh copy.** `python -m course_lib reset 00` begins a lesson anew and keeps the old one beside it.

# %% [markdown]
# ## When something is odd
#
# - A box shows `[*]` for long: it is running. **Kernel ▸ Interrupt Kernel** stops it.
# - A name is not defined: a box above has not run. **Kernel ▸ Restart Kernel and Run All Cells…** runs everything in
#   order. What you wrote stays.
# - A slider does not move the picture: run its box again.
# - Something else: run the doctor above, and do what it says.

# %% [markdown]
# ## Go further
#
# 1. **More dimensions.** A model $a_1 x_1 + a_2 x_2 + a_3 x_3 + b$ is in the vault. How many questions does its copy
#    cost? Write the vault and the copy.
# 2. **A first defence.** Let the oracle round its answers to whole numbers. Ask at 0 and 1: how wrong is the copy at
#    100? Which two questions would you ask instead? And whom else does rounding hurt?
#
# <!-- next -->

# %% [markdown]
# ## Glossary
#
# Later lessons link here. One word per thing, the same everywhere.
#
# **Who is who**
#
# - **teacher**: a trained model whose answers another model learns from. It does not change any more.
# - **student**: the model that learns from a teacher.
# - **alone**: a student without a teacher, trained on labels at the same cost. The comparison that keeps us honest.
# - **copy**: a student of someone else's model, made from its answers.
# - **knowledge distillation**: training a student on a teacher's answers.
#
# **The vault**
#
# - **oracle**: a function from a question x to an answer. How it works inside is not shown.
# - **vault**: an oracle behind keys: its weights are locked away, its answers are not.
# - **key**: what lets you ask. Keys that act together are a **cohort**.
# - **ledger**: the vault's book: which key asked what, and when.
# - **policy**: the vault's rules: who may ask how much, and what is answered.
#
# **An answer**
#
# - **logits**: the C numbers that a network gives for C classes, before anything is done to them.
# - **probs**: probabilities, one per class, adding up to 1.
# - **labels**: the right classes, one whole number per example.
# - **cross-entropy**: the loss against labels: −log of the probability given to the right class, in nats. Against a
#   soft target: the −log of each class, weighted by the target.
# - **softmax**: makes probs from logits: exp of each, divided by the sum.
# - **temperature**: T, the number that logits are divided by before the softmax. Above 1 it makes an answer softer.
#
# **What an answer says**
#
# - **soft target**: a teacher's probs, softened by a temperature, given to a student in place of a label.
# - **dark knowledge**: what the small probabilities of a teacher tell: which wrong classes are nearly right (Hinton's
#   word).
# - **entropy**: how undecided an answer is: 0 when certain, log C when all C classes are equal.
# - **nat**: the unit of entropy with natural logarithms; 1 nat is 1.44 bits.
# - **KL divergence**: how much one answer differs from another, in nats; 0 only when they are equal.
#
# **Measuring**
#
# - **accuracy**: the share of examples that a model gets right.
# - **agreement**: the share on which student and teacher choose the same class, right or wrong.
# - **calibration**: whether probs can be believed: of the answers given with 80%, are 80% right?
# - **train, val, test**: what a model learns from; what we choose settings on; what we look at once, at the end.
# - **transfer set**: the inputs that a teacher answers for the student; they need no labels.
#
# **Being sure**
#
# - **seed**: the number that fixes all chance in a run: first weights, order of examples. Another seed, another result.
# - **interval**: where the true value probably lies: made so that 95 in 100 such intervals hold it.
# - **control**: the same experiment without the one thing that is tested, a shuffled teacher for one.
# - **verdict**: what a comparison allows us to say: BETTER, WORSE or NOT SEPARABLE.
