# ---
# jupyter:
#   course:
#     question: TODO What does the lesson TITLE ask?
#     minutes: 20
#     cpu_seconds: 60
#     workshop: further
#     shows: TODO what is measured and shown, in one line
#     draft: true
# ---

# %% [markdown] tags=["slide"]
# # NN · TODO What does the lesson TITLE ask?
#
# TODO Two or three sentences: what is known so far, and what is asked now. What follows is an example that runs. Put
# your lesson in its place, beat by beat, and take `draft: true` out of the header when no TODO is left.
#
# **20 minutes.** You build: TODO a distance. Needed: [lesson 04](04_teacher_and_student.ipynb).

# %%
import torch

from course_lib import plots
from course_lib.checks import check, hint, quiz
from course_lib.live import show

SHIFTS = (0.0, 0.1, 0.2, 0.4, 0.8)  # how far each number is moved

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown] tags=["slide"]
# ## TODO The idea
#
# **Idea.** How far apart are two batches of numbers? One measure is the *mean squared difference*:
#
# $$\frac{1}{BD} \sum_{b=1}^{B} \sum_{d=1}^{D} (a_{bd} - b_{bd})^2$$
#
# It is 0 if they are equal, and a difference that is twice as large counts four times.

# %% [markdown] tags=["teacher"]
# **For whoever teaches this.** This cell is in the solution only, and is the speaker's note to the slide above.
#
# - *Time.* TODO Minute 0 to 5: the idea. 5 to 15: the exercise. 15 to 20: the questions, aloud.
# - *What many get wrong.* TODO They add up over the features and average over the batch alone.
# - *To discuss.* TODO When does a square hide what the absolute difference would show?

# %% [markdown]
# ### Exercise N.1 · How far apart · 6 minutes · difficulty ●○○
#
# TODO Say what to write, in two sentences. Here: write the formula, without a loss of torch's own.


# %%
def distance(a, b):
    """The mean squared difference of two batches. a, b (B, D) -> ()."""
    # BEGIN SOLUTION
    return (a - b).square().mean()
    # END SOLUTION


# %% tags=["check"]
distance = check("N.1", distance)

# %%
# hint("N.1")

# %% [markdown]
# **Predict.** You move every number of a batch by 0.1, then by 0.2. How many times larger is the second distance?

# %%
my_guess = 2  # change me before you go on

# %%
here = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))  # (B, D)
apart = [distance(here, here + shift).item() for shift in SHIFTS]
print(f"you said {my_guess} times; it is {apart[2] / apart[1]:.1f} times")

# %% tags=["nbval-check-output"]
print("equal batches are 0 apart:", apart[0] == 0)
print("twice the shift, four times the distance:", abs(apart[2] / apart[1] - 4) < 0.01)

# %% [markdown]
# **Look.** The distance against the shift: a parabola.

# %% tags=["slide"]
ax = plots.lines(SHIFTS, {"distance": apart}, "shift of every number", "mean squared difference")
said = "; ".join(f"{shift:g}: {value:.3f}" for shift, value in zip(SHIFTS, apart, strict=True))
show(ax.figure, f"Mean squared difference of two batches by the shift between them. {said}.")

# %% [markdown]
# ## Three questions

# %%
quiz("""
N.q1 TODO Every difference doubles. What does the mean squared difference do?
- it doubles: Not quite. A square of twice is not twice the square.
* it is four times as large: Yes. The square of 2 is 4.
- it stays, since it is a mean: No. A mean of larger numbers is larger.
""")

# %%
quiz("""
N.q2 TODO What is it between a batch and itself?
* 0: Yes. No difference, no distance.
- 1: No. That would be a share of equal numbers.
- it depends on the batch: No. Every difference is 0, whatever the batch.
""")

# %%
quiz("""
N.q3 TODO One number of a thousand is off by 10, all others are right. What does `distance` say?
- 10: That is the largest difference; a mean asks all of them.
- 0.01: That is the mean of the differences. Each is squared first.
* 0.1: Yes. The square is 100, a thousandth of it 0.1: one number far off weighs much.
""")

# %% [markdown]
# ## So
#
# TODO Repeat the question of the title. The answer is one sentence, with a number that is printed in it.

# %%
print(
    f"TODO A shift of {SHIFTS[2]:g} is {apart[2]:.2f} apart, {apart[2] / apart[1]:.0f} times a shift of {SHIFTS[1]:g}."
)

# %% [markdown]
# ### What this cannot show
#
# - TODO What was not tried, and what would be needed to know.

# %% [markdown]
# ### Go further
#
# 1. TODO A task that takes an evening.
# 2. TODO One that nobody has done.
#
# <!-- next -->
