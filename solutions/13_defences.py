# ---
# jupyter:
#   course:
#     question: What does each defence cost, and whom?
#     minutes: 60
#     cpu_seconds: 60
#     workshop: two days
#     shows: thief's agreement against honest users' cost, one point per policy, from SQL on the ledger; what an alarm means
# ---

# %% [markdown]
# # 13 · What does each defence cost, and whom?
#
# In [lesson 11](11_query_by_query.ipynb) you copied a model through its API. Now the vault is yours. You build four
# kinds of defence, set each by a policy file, count what honest users lose, and then attack it as one who knows it. At
# the end stands one picture: what the thief still gets, against who pays.
#
# **60 minutes.** You build: bent answers, keyed noise, a rate limit, a detector and its threshold, a linker of keys, the
# meaning of an alarm. Every target is a model of this course, on this computer.

# %%
import hmac
import math
import tempfile
from datetime import date
from functools import partial

import numpy as np
import torch
from scipy import special, stats

from course_lib import attack, plots
from course_lib.checks import check, hint
from course_lib.data import arena
from course_lib.live import show
from course_lib.losses import cross_entropy
from course_lib.measure import compare, estimate
from course_lib.models import mlp
from course_lib.train import fit_many, predict
from course_lib.vault import honest
from course_lib.vault.honest import toll
from course_lib.vault.local import local_vault
from course_lib.vault.policy import parse
from course_lib.vault.service import Service
from course_lib.vault.victims import victims

MODEL = "digits-net"
BUDGET = 300  # questions that a thief wants answered
SEEDS = 16  # thieves per policy: other questions, other first weights
DAYS = 5  # days of honest users per policy
UPDATES = 300  # steps that a copy's training takes, whatever it was told

# %% tags=["solution-only"]
from course_lib.checks import strict

strict()

# %% [markdown]
# ## The vault, a thief, and two controls
#
# **Idea.** A defence is judged at an *equal budget*: so many questions, undefended and defended. Two vaults are the
# ruler. The undefended one sends all probabilities. The label-only one sends the least that is still an answer. What a
# defence is worth lies between.
#
# The vault below is a server of its own, on this computer, as in lesson 11. You hold both ends: the keys and the policy.

# %%
pictures = arena.shares("digits")  # who owns which pictures: victim, thief, val, judge
judged, base = arena.judge_set(pictures)  # (10000, 1, 8, 8) copies of held-out pictures, (10000,) of which one
questions = torch.cat([arena.copies(pictures.thief[0], BUDGET, seed)[0] for seed in range(SEEDS)])
mine = torch.arange(SEEDS * BUDGET).view(SEEDS, BUDGET)  # seed s asks the questions in row s

# %% [markdown]
# A copy learns from whatever came back, as in lesson 11. Its *agreement* is the share of held-out pictures on which it
# answers as the model in the vault does. Those are shifted, turned and scaled copies of few pictures, so the scores are
# averaged per picture first: the interval counts pictures, not copies of pictures.

# %%
scored = {}  # copies that learn from the same answers are the same: they are trained once


def agreement(x, answers, rows):
    """The agreement with the vault of SEEDS copies, picture by picture: (S, pictures).

    Seed s learns from the questions x[rows[s]] and their answers (N, C), in UPDATES steps.
    """
    answers = torch.as_tensor(answers, dtype=torch.float32)
    what = x[rows].numpy().tobytes() + answers[rows].numpy().tobytes()
    if what not in scored:
        copies = attack.copy_by_training(
            lambda seed: mlp(64, 64, 10, seed=seed), x, answers, rows, seeds=SEEDS, updates=UPDATES
        )
        scored[what] = attack.same_by_base(predict(copies, judged), truth, base)
    return scored[what]


# %%
vault = local_vault(keys=["thief"])  # a server of its own, as in lesson 11; it ends when this notebook does
thief = vault.oracle("thief", MODEL)  # over HTTP: questions (B, ...) -> answers (B, 10)
model = victims()[MODEL]  # you own it, so you may look at its answers directly
truth = torch.tensor(model.answer(judged.flatten(1).double().numpy()))  # (10000, 10)

probs = thief(questions)  # (S * BUDGET, 10)
vault.set_policy('[output]\nkind = "label"')
labels = thief(questions)  # a 1 at the label, 0 elsewhere
found = {"undefended": agreement(questions, probs, mine)}
found["label only"] = agreement(questions, labels, mine)
for name, scores in found.items():
    print(f"{name:11s} agreement {estimate(scores)}")

# %% [markdown]
# What an output control can take from a thief at this budget is about the gap between these two, if it still gives true
# labels.
#
# ## The other people
#
# **Idea.** Behind every other key sits somebody who does no harm. Five kinds, each a generator of questions: an app that
# asks twice a minute; a class of fifteen that sees only threes and eights; a user who asks forty pictures at once; a cheap
# camera with noisy pixels; a student who wipes out one pixel after another, to see which of them count.

# %%
day = honest.traffic(*pictures.judge, seed=0)
kinds = list(honest.BEHAVIOURS)
fig, ax = plots.figure(8, 2.8)
for row, kind in enumerate(kinds):
    theirs = [q for q in day if honest.behaviour_of(q.user) == kind]
    sizes = [14 * len(q.x) ** 0.7 for q in theirs]
    ax.scatter([q.at / 60 for q in theirs], [row] * len(theirs), sizes, color=plots.PLAIN, alpha=0.5, linewidth=0)
ax.set(yticks=range(len(kinds)), yticklabels=kinds, xlabel="minutes of the day", ylim=(len(kinds) - 0.4, -0.6))
counts = {kind: sum(len(q.x) for q in day if honest.behaviour_of(q.user) == kind) for kind in kinds}
words = "; ".join(f"{kind} {n} pictures" for kind, n in counts.items())
show(fig, f"Who asks when: a dot is a request, a larger dot more pictures at once. {words}.")

# %% [markdown]
# What can they lose? Who needs the *label* loses a question that is refused, or answered late (by over a second), or with
# another label than the undefended vault's. Who needs the *confidence* loses all of these, and also an answer that comes
# without a confidence, or with one over ten points off. Each kind of user counts the same.
#
# Days have to pass, so here the vault runs in this process, on a clock that moves when told: the same service and the same
# policy file, without the network.

# %%
clock = honest.Clock()
folder = tempfile.TemporaryDirectory(prefix="vault-")
service = Service(folder.name, clock=clock)
blocks = {"class of 3 and 8": 2, "noisy camera": 3, "curious student": 4}  # the others sit in a café, block 1


def address(user, turn, day=0):
    """Where a user's request number `turn` comes from; a class shares a block, and so do people in a café."""
    return f"10.{day}.{blocks.get(honest.behaviour_of(user), 1)}.{1 + turn % 200}"


lived = {}  # policy: its honest days


def days_under(policy):
    """Honest users' days under a policy, each day with keys of its own: a list of lists of what was served."""
    if policy not in lived:
        service.set_policy(policy)
        lived[policy] = []
        for day in range(DAYS):
            ask = honest.through(service, MODEL, f"{service.policy.version}, day {day}", partial(address, day=day))
            lived[policy].append(honest.serve(ask, honest.traffic(*pictures.judge, seed=day), clock))
    return lived[policy]


# %%
OFF = "[monitor]\nenabled = false\n"
baseline = toll.cost(days_under(OFF), model.answer)
print(f"undefended: accuracy {baseline.accuracy}")
print(f"            ECE (expected calibration error, lesson 04) {baseline.calibration:.3f}")
print(f"            label lost {baseline.label_lost.value:.0%}, by definition: the others are held against this")

# %% [markdown]
# ## 1 · Output controls: say less, or say it bent
#
# **Idea.** A thief learns from the small numbers in an answer. Reverse sigmoid (Lee et al., 2019) leaves the first
# answer first, mostly, and bends the rest until it misleads. With $s$ the sigmoid and $s^{-1}$ the logit:
#
# $$y' \;\propto\; y - \beta\,\Big(s\big(\gamma\, s^{-1}(y)\big) - \tfrac12\Big)$$
#
# Unlikely classes gain up to $\beta/2$, the likely one loses as much. The sign ∝ says: then divide the row by its sum.
#
# ### Exercise 13.1 · Reverse sigmoid · 7 minutes · difficulty ●●○
#
# `special.expit` is the sigmoid, `special.logit` its inverse; both take arrays, with exact zeros and ones too.


# %%
def reverse_sigmoid(probs, beta=1.0, gamma=0.2):
    """Answers bent to mislead whoever learns from them. probs (B, C) -> (B, C), each row sums to 1."""
    # BEGIN SOLUTION
    bent = probs - beta * (special.expit(gamma * special.logit(probs)) - 0.5)
    return bent / bent.sum(-1, keepdims=True)
    # END SOLUTION


# %% tags=["check"]
reverse_sigmoid = check("13.1", reverse_sigmoid)

# %%
# hint("13.1")  # stuck? Take the first # away and run this cell; each run shows one more hint

# %% [markdown]
# A team sets it in a policy file, which the vault reads while it runs. Is what then comes over HTTP what your formula makes
# of the model's answers? **Look** at one answer, before and after.

# %%
REVERSE_SIGMOID = """
[monitor]
enabled = false
[output]
reverse_sigmoid = {beta = 1.0, gamma = 0.2}
"""
vault.set_policy(REVERSE_SIGMOID)
bent = thief(questions)
raw = model.answer(questions.flatten(1).double().numpy())
row = int(np.abs(raw.max(1) - 0.9).argmin())  # a question on which the model is 90% sure
fig, axes = plots.figure(8, 2.8, columns=(1, 1))
for ax, one, title in zip(axes, (raw[row], bent[row]), ("the model's answer", "what leaves the vault"), strict=True):
    plots.probabilities(one, pictures.classes, ax).set_title(title)
words = [", ".join(f"{value:.2f}" for value in one) for one in (raw[row], bent[row])]
show(fig, f"One answer, classes 0 to 9. The model's: {words[0]}. What leaves the vault: {words[1]}.")

# %% tags=["nbval-check-output"]
print("the vault sends what your formula says:", np.abs(bent - reverse_sigmoid(raw)).max() < 1e-3)

# %% [markdown]
# **Predict.** Undefended, you saw the agreement above. With bent answers, a thief who believes them gets to:

# %%
my_agreement = 0.50  # change me before you go on

# %% [markdown]
# Now be the thief who *knows* the defence. The first answer is still first, mostly: so throw the numbers away and keep
# the argmax, a label. Nothing else is needed.
#
# **The primary comparison**, named before it is run: *agreement at this budget, under reverse sigmoid, of thieves who take
# the argmax against thieves who believe the numbers.* All other comparisons here are exploratory. Differences are in points
# of agreement.


# %%
def argmax(answers):
    """A 1 at the largest number of each row, 0 elsewhere. (B, C) -> (B, C)."""
    return np.eye(answers.shape[1])[answers.argmax(1)]


found["reverse sigmoid, believed"] = agreement(questions, bent, mine)
found["reverse sigmoid, argmax"] = agreement(questions, argmax(bent), mine)
print(f"you said {my_agreement:.0%}; believed, it is {estimate(found['reverse sigmoid, believed'])}")
points = {name: 100 * scores for name, scores in found.items()}
primary = compare(points["reverse sigmoid, argmax"], points["reverse sigmoid, believed"], "argmax", "believing")
print(primary)

# %%
for other in ("label only", "undefended"):
    print(compare(points["reverse sigmoid, argmax"], points[other], "argmax", other, exploratory=True))
ax = plots.estimates({name: estimate(scores) for name, scores in found.items()}, "agreement with the vault")
words = "; ".join(f"{name} {estimate(scores)}" for name, scores in found.items())
show(ax.figure, f"Agreement of copies made with {BUDGET} questions. {words}.")

# %% [markdown]
# What does it cost the others? Their first answer is not always first any more: with no class above one half the bend can
# put another on top. And the confidence is gone for all.

# %%
bent_cost = toll.cost(days_under(REVERSE_SIGMOID), model.answer)
print(f"label lost      {bent_cost.label_lost}\nconfidence lost {bent_cost.confidence_lost}")
print(f"ECE             {bent_cost.calibration:.3f}; undefended {baseline.calibration:.3f}")

# %% tags=["nbval-check-output"]
value = {name: estimate(scores).value for name, scores in found.items()}
gap = value["label only"] - value["reverse sigmoid, believed"]
print("argmax, against believing the bent numbers:", primary.word)
print("believing them costs a thief more than 5 points against labels:", gap > 0.05)
gap = value["label only"] - value["reverse sigmoid, argmax"]
print("the argmax comes within 2 points of true labels:", abs(gap) < 0.02)
print("confidence lost to more than 9 honest questions in 10:", bent_cost.confidence_lost.value > 0.9)

# %% [markdown]
# **So.** Knowing the defence brings the thief back to nearly what labels give; the rest is what the bend took from the
# first answer, from honest users too. Whoever needs a confidence has none under either.
#
# ### Noise, fresh and keyed

# %% [markdown]
# **Idea.** Add noise to each answer. Fresh noise is new at every question: ask again, average, and it is gone. Noise that
# is a secret function of the *question* stays, however often one asks. Two details: the function needs a key, or a thief
# computes it too; and it must round the question first, or a hair's breadth makes it fresh again.

# %% [markdown]
# ### Exercise 13.2 · Noise that does not average out · 9 minutes · difficulty ●●●
#
# HMAC is a fingerprint that only the owner of a secret can compute. For each row of pixels, rounded to sixteenths (the
# digits' own grey levels) and made whole numbers (`np.int16`): `digest = hmac.new(secret, row.tobytes(), "sha256").digest()`;
# then a generator, `np.random.default_rng`, with the seed `int.from_bytes(digest, "big")`; then `classes` normal numbers from it.


# %%
def keyed_noise(x, secret, sd, classes=10):
    """Noise that is a secret function of each question. x (B, D) in [0, 1], secret: bytes -> (B, classes).

    Normal with standard deviation sd. Questions that agree when rounded to sixteenths get the same noise.
    """
    # BEGIN SOLUTION
    noise = []
    for row in np.round(np.asarray(x) * 16).astype(np.int16):  # (D,)
        digest = hmac.new(secret, row.tobytes(), "sha256").digest()
        noise.append(np.random.default_rng(int.from_bytes(digest, "big")).normal(0, sd, classes))
    return np.stack(noise)
    # END SOLUTION


# %% tags=["check"]
keyed_noise = check("13.2", keyed_noise)

# %%
# hint("13.2")

# %% [markdown]
# **Attack it, knowing it.** The thief asks the same forty questions again and again, each time moved by less than an eye
# sees. The mean of the answers is no good: noise below 0 was cut off, and that stays. The *median* forgives it. How far is
# the median answer from the model's own? The vault has keyed noise of its own; yours, with another
# secret, stands beside it.

# %%
few = np.round(questions[:40].flatten(1).double().numpy() * 16) / 16
wiggles = np.random.default_rng(0).uniform(-0.02, 0.02, (64, *few.shape))  # less than half a sixteenth


def median_error(answers):
    """Mean distance of the median of k answers (k, B, C) from the model's own."""
    median = np.median(answers, 0)
    return np.abs(median / median.sum(1, keepdims=True) - model.answer(few.copy())).mean()


repeats, away = (1, 4, 16, 64), {}
for name in ("fresh_noise", "noise"):
    vault.set_policy(f"[output]\n{name} = 0.1")
    answers = thief((few + wiggles).reshape(-1, few.shape[1])).reshape(64, len(few), -1)
    away[name] = [median_error(answers[:k]) for k in repeats]
asked = (few + wiggles).reshape(-1, few.shape[1])  # the same questions, noised by your function
yours = (model.answer(asked.copy()) + keyed_noise(asked, b"my secret", 0.1)).clip(0)
yours = (yours / yours.sum(1, keepdims=True)).reshape(64, len(few), -1)
away["yours"] = [median_error(yours[:k]) for k in repeats]
named = dict(zip(("fresh noise", "keyed noise", "keyed, yours"), away.values(), strict=True))
ax = plots.lines(repeats, named, "times asked", "error")
ax.set(xscale="log", xticks=repeats, xticklabels=repeats, ylim=(0, None))
ax.minorticks_off()
rows = zip(repeats, *away.values(), strict=True)
words = "; ".join(f"{k} times: fresh {a:.3f}, keyed {b:.3f}, yours {c:.3f}" for k, a, b, c in rows)
show(ax.figure, f"Mean distance of the median answer from the true one, by times asked. {words}.")

# %% tags=["nbval-check-output"]
for name, (once, *_, often) in zip(named, away.values(), strict=True):
    print(f"{name}, asked 64 times: less than 0.4 of the error is left: {often < 0.4 * once}")

# %% [markdown]
# **So.** A key turns noise that averages out into noise that stays. But a copy does not need any one answer exactly. It
# learns from many *different* questions, each with noise of its own, and training is an average as well. The frontier will
# show what the noise is worth.

# %% [markdown]
# ## 2 · Rate limits: not so fast
#
# **Idea.** Every key has a bucket. It holds at most `burst` tokens, `rate` tokens drip in each second, a row takes one.
# Too few tokens: wait. The clock is an argument, so that days pass in a test; and computers' clocks are set back now
# and then.
#
# ### Exercise 13.3 · A bucket of tokens · 9 minutes · difficulty ●●●
#
# Fill up for the time that passed (never above `burst`; a clock that went back means no time), then decide. Granted: the
# rows are taken, the wait is 0. Refused: nothing is taken, and the wait is until enough is there, `math.inf` if that
# never comes. The new bucket carries the later of both times.


# %%
def take(bucket, rows, now, rate, burst):
    """Ask a bucket (tokens, when) for so many rows at the time `now`. Returns ((tokens, when), wait).

    now, when, wait: seconds; rate: tokens per second. wait is 0.0 where the rows are granted.
    """
    # BEGIN SOLUTION
    tokens, when = bucket
    now = max(now, when)
    tokens = min(burst, tokens + rate * (now - when))
    if rows <= tokens:
        return (tokens - rows, now), 0.0
    never = rows > burst or rate == 0
    return (tokens, now), math.inf if never else (rows - tokens) / rate
    # END SOLUTION


# %% tags=["check"]
take = check("13.3", take)

# %%
# hint("13.3")

# %% [markdown]
# Two rows a minute and a burst of forty: who would need more? The vault's own limit, set by the file, against your
# bucket on a camera's day: do both grant the same requests?

# %%
RATE_LIMIT = """
[monitor]
enabled = false
[limits]
rows_per_minute_per_key = 2
burst_per_key = 40
"""
service.set_policy(RATE_LIMIT)
camera = list(honest.noisy_camera(*pictures.judge, seed=0))
served = honest.serve(honest.through(service, MODEL, "bucket"), camera, clock, patience=0)  # who is refused gives up
its = [one.probs is not None for one in served]
bucket, yours = (40.0, 0.0), []
for one in camera:
    bucket, wait = take(bucket, len(one.x), one.at, rate=2 / 60, burst=40)
    yours.append(wait == 0)
print(f"of {len(camera)} pictures of the camera, your bucket grants {sum(yours)}, the vault {sum(its)}")

# %% [markdown]
# And the others? Your users give up after a minute and never split a request; a patient client would lose less. Intervals
# are over five days; a timetable that is the same every day has none.

# %%
limited = days_under(RATE_LIMIT)
costs = {kind: toll.cost(toll.only(limited, kind), model.answer) for kind in kinds}
ax = plots.estimates({kind: one.label_lost for kind, one in costs.items()}, "share of questions refused or late")
words = "; ".join(f"{kind} {one.label_lost}" for kind, one in costs.items())
show(ax.figure, f"What a limit of two rows a minute takes from honest users. {words}.")
for kind, one in costs.items():
    print(f"{kind:16s} refused and given up {one.refused.value:.0%}, mean wait for an answer {one.delay.value:.1f} s")

# %% [markdown]
# **Predict.** A thief with one key waits as long as the vault says. How many minutes until all its
# questions are answered? And with fifteen keys?

# %%
my_minutes, my_minutes_with_fifteen = 60, 60  # change me before you go on


# %%
def patient(keys, per_minute=2, burst=40):
    """Seed 0's questions, spread over so many keys, each asking as fast as the limit lets it."""
    asked = []
    for i, x in enumerate(questions[:BUDGET].flatten(1).double().numpy()):
        turn = i // keys  # how many this key has asked before
        at = max(0, turn - burst + 1) * 60 / per_minute
        asked.append(honest.Question(at, f"thief, key {i % keys}", x[None], [0]))
    return asked


service.set_policy(RATE_LIMIT)
minutes = {}
for keys in (1, 15):
    served = honest.serve(honest.through(service, MODEL, f"patient, {keys} keys"), patient(keys), clock)
    assert all(one.probs is not None for one in served)  # every question was answered
    minutes[keys] = max(one.question.at + one.delay for one in served) / 60  # simulated
print(f"one key: {minutes[1]:.0f} minutes; you said {my_minutes}")
print(f"fifteen keys: {minutes[15]:.0f} minutes; you said {my_minutes_with_fifteen}")

# %% tags=["nbval-check-output"]
print("your bucket and the vault's grant the same requests:", yours == its)
print(f"{BUDGET} questions take one key {minutes[1]:.0f} simulated minutes, fifteen keys {minutes[15]:.0f}")
print("the camera loses more than a quarter of its day:", costs["noisy camera"].label_lost.value > 0.25)
print("the app, which asks twice a minute, loses nothing:", costs["steady app"].label_lost.value == 0)

# %% [markdown]
# **So.** A limit that honest users hardly bear costs a thief two hours and ten minutes of waiting; one who brings
# fifteen keys does not wait at all. A rate limit protects the server. It does not protect the model.

# %% [markdown]
# ## 3 · Monitoring: who asks oddly?
#
# **Idea.** Some thieves own few pictures, so they make questions: take one, move every pixel a step in the direction in
# which the copy's answer changes most, ask again (Papernot et al., 2017). Such questions lie at the same distance from
# each other, again and again. The distances between real pictures spread, about normally. PRADA (Juuti et al., 2019)
# tests just that.
#
# ### Exercise 13.4 · How far from the questions before? · 6 minutes · difficulty ●●○
#
# For each question, its Euclidean distance to the nearest *earlier* one that got the same answer; `np.inf` where there is
# none yet.


# %%
def nearest_earlier(x, answers):
    """Distance of each question to the nearest earlier one with the same answer. x (N, D), answers (N,) -> (N,)."""
    # BEGIN SOLUTION
    found = np.full(len(x), np.inf)
    for i in range(len(x)):
        before = x[:i][answers[:i] == answers[i]]  # (earlier ones, D)
        if len(before):
            found[i] = np.sqrt(((before - x[i]) ** 2).sum(-1)).min()
    return found
    # END SOLUTION


# %% tags=["check"]
nearest_earlier = check("13.4", nearest_earlier)

# %%
# hint("13.4")

# %% [markdown]
# PRADA's statistic is Shapiro and Wilk's W (1965) of these distances, without those beyond three standard deviations: 1
# for a normal spread, lower for any other. It is taken once there are a hundred distances, then every 25. An alarm rings
# at *any* of these looks, so what counts is a user's lowest W.


# %%
def lowest_W(x):
    """The lowest W of all looks at one key's questions x (N, D); nan where there are too few to look."""
    d = nearest_earlier(x, model.answer(x.copy()).argmax(1))
    d = d[np.isfinite(d)]
    looks = [d[:n] for n in range(100, len(d) + 1, 25)]
    return min((stats.shapiro(d[np.abs(d - d.mean()) < 3 * d.std()]).statistic for d in looks), default=math.nan)


def honest_W(part, seeds, kinds):
    """{kind: (seeds,) lowest W of a day's questions}; a class is looked at as a whole."""
    return {
        kind: np.array([lowest_W(honest.stream(honest.BEHAVIOURS[kind](*part, s))) for s in seeds]) for kind in kinds
    }


known = [kind for kind in kinds if kind != "curious student"]  # the kinds that the defender has thought of
honest_val = honest_W(pictures.val, range(60), known)

# %% [markdown]
# Now the thieves that it is made for, sixteen of them. Each starts with fifty pictures. In each round a copy is trained on
# the answers so far, and every question moves by a tenth in each pixel, along the sign of the copy's slope. (They are made
# beforehand, from the answers that an undefended vault gives.)


# %%
def made_up(seeds, start=50, step=0.1):
    """Questions of thieves who make them: (seeds, BUDGET, 1, 8, 8)."""
    x = torch.stack([arena.copies(pictures.thief[0], start, seed)[0] for seed in range(seeds)])  # (S, n, 1, 8, 8)
    while x.shape[1] < BUDGET:
        flat, n = x.flatten(0, 1), x.shape[1]
        y = torch.tensor(model.answer(flat.flatten(1).double().numpy()).argmax(1))
        rows = torch.arange(len(flat)).view(seeds, n)
        learned = fit_many(lambda seed: mlp(64, 64, 10, seed=seed), (flat, y), cross_entropy, seeds, rows, epochs=15)
        z = x.clone().requires_grad_()
        sum(one(z[s]).gather(1, y[rows[s], None]).sum() for s, one in enumerate(learned)).backward()
        x = torch.cat([x, (x + step * z.grad.sign()).clamp(0, 1)], 1)
    return x[:, :BUDGET]


made = made_up(SEEDS)  # (S, BUDGET, 1, 8, 8)

# %% [markdown]
# ### Exercise 13.5 · A threshold from honest traffic · 4 minutes · difficulty ●○○
#
# You promise that at most 1% of honest users ring. The alarm rings where the lowest W is *below* the threshold. Choose the
# highest threshold that keeps the promise on the traffic given: of n values, at most `share * n`, rounded down, lie below.


# %%
def threshold(honest, share=0.01):
    """The highest threshold below which at most this share of honest values lies. honest (n,) -> one number."""
    # BEGIN SOLUTION
    return np.sort(honest)[int(np.floor(share * len(honest) + 1e-9))]
    # END SOLUTION


# %% tags=["check"]
threshold = check("13.5", threshold)

# %%
# hint("13.5")

# %% [markdown]
# **Predict.** The threshold is set on users who ask about pictures of `val`, four kinds of them. Now come users with other
# pictures, and curious students, whom nobody thought of. What share of the curious rings?

# %%
my_false_alarms = 0.01  # change me before you go on

# %%
delta = threshold(np.concatenate(list(honest_val.values())))
new = honest_W(pictures.judge, range(1000, 1060), kinds)
thieves = {"thief, makes questions": np.array([lowest_W(x.flatten(1).double().numpy()) for x in made])}
thieves["thief, asks pictures"] = np.array([lowest_W(questions[rows].flatten(1).double().numpy()) for rows in mine])
fig, ax = plots.figure(8, 3.4)
for row, (kind, values) in enumerate((new | thieves).items()):
    colour, marker = plots.ROLE["copy"] if "thief" in kind else plots.ROLE["student"]
    ax.plot(values, row + np.linspace(-0.3, 0.3, len(values)), marker, color=colour, markersize=4, alpha=0.6)
ax.axvline(delta, color="black", linestyle=":")
ax.set(yticks=range(7), yticklabels=[*new, *thieves], ylim=(6.6, -0.6), xlabel="lowest W (dotted: the threshold)")
words = "; ".join(f"{kind} {values.min():.2f} to {values.max():.2f}" for kind, values in (new | thieves).items())
show(fig, f"Lowest W of new honest users and of thieves; the threshold is {delta:.3f}. {words}.")

# %%
rings = {kind: estimate(torch.tensor(values < delta).float()) for kind, values in (new | thieves).items()}
for kind, share in rings.items():
    print(f"{kind:23s} rings: {share}")
days_cut = [honest.stream(honest.curious_student(*pictures.judge, seed))[:120] for seed in range(1000, 1060)]
short = estimate(torch.tensor([bool(lowest_W(x) < delta) for x in days_cut]).float())
print(f"you said {my_false_alarms:.0%} of curious students; of their first 120 questions alone, {short} ring")

# %% tags=["nbval-check-output"]
print("every thief who makes questions rings:", rings["thief, makes questions"].value == 1)
print("of those who ask pictures, fewer than half:", rings["thief, asks pictures"].value < 0.5)
print("curious students ring more than ten times as often as promised:", rings["curious student"].value > 0.1)

# %% [markdown]
# **So**, three things at once. The alarm sees what it was made for. A thief who asks about ordinary pictures looks about as
# honest as everybody. And the promise of 1% was made for the users that it was set on: other pictures bend it, another
# kind of user breaks it. It was made for days of 120 to 180 questions, too, and who asks more is looked at more often; but
# curious students ring nearly as often in their first 120. *Unusual* is all that an alarm can say.

# %% [markdown]
# ### Knowing it
#
# The thieves who make questions read the paper too. *Mixing*: four ordinary pictures to each made one. It takes patience:
# five questions are paid for one. *Splitting*: fifteen keys, each with fewer than a hundred questions, so none is ever
# looked at. Now in the vault itself: your threshold goes into the policy file. An alarm on W, and only that, blocks.

# %%
MONITOR = f"""
[monitor]
per = "key"
action = "block"
prada_delta = {delta:.3f}
ood_share = 0
duplicate_share = 0
coverage = 0
volume = 0
"""

# %% [markdown]
# The vault's monitor judges five numbers: W (`prada_delta`); of the last 200 rows, the share that looks like no known picture
# (`ood_share`) and the share that nearly repeats an earlier one (`duplicate_share`); the share of the input space that a key
# has visited (`coverage`); rows in an hour (`volume`). A 0 switches one off.

# %%
five = range(5)  # thieves
more = arena.copies(pictures.thief[0], 5 * 4 * BUDGET, seed=100)[0].view(5, 4 * BUDGET, 1, 8, 8)  # ordinary pictures
order = np.random.default_rng(0).permutation(5 * BUDGET)
streams = {  # name: (questions of each thief, keys)
    "made questions": (made[:5], 1),
    "mixed 1 to 4": (torch.cat([made[:5], more], 1)[:, order], 1),
    "made, fifteen keys": (made[:5], 15),
    "ordinary pictures": (torch.stack([questions[mine[s]] for s in five]), 1),
}


def answered(name, x, keys):
    """The share of each thief's questions that the vault answers, asked five at a time, key by key in turn. (S,)"""
    parts = [part.flatten(1).double().numpy() for one in x for part in one.split(5)]
    per_thief = len(parts) // len(x)
    asked = [
        honest.Question(float(i % per_thief), f"{i // per_thief}, key {i % keys}", part, [i // per_thief])
        for i, part in enumerate(parts)
    ]
    asked.sort(key=lambda one: one.at)
    served = honest.serve(honest.through(service, MODEL, name), asked, clock)
    return np.array([np.mean([one.probs is not None for one in served if one.question.labels == [s]]) for s in five])


service.set_policy(MONITOR)
shares = {name: answered(name, *stream) for name, stream in streams.items()}
for name, share in shares.items():
    print(f"{name:19s} answered of five thieves' questions: {', '.join(f'{one:.0%}' for one in share)}")

# %% tags=["nbval-check-output"]
print("made questions: every thief is stopped before half:", bool((shares["made questions"] < 0.5).all()))
for name in ("mixed 1 to 4", "made, fifteen keys"):
    print(f"{name}: answered in full to at least four of the five: {(shares[name] == 1).sum() >= 4}")

# %% [markdown]
# ## 4 · Identity: who acts together?
#
# **Idea.** Fifteen keys that share work share something else too: a network, a card, a class code. Keys that share are
# joined to a *cohort*, and what was counted per key is counted per cohort. Sharing is no guilt: a class sits behind one
# address, and so does a café.
#
# ### Exercise 13.6 · Keys that act together · 8 minutes · difficulty ●●○
#
# From pairs (key, address block) make cohorts: keys that share a block are together, and so are all who are linked through
# others.


# %%
def cohorts(seen):
    """Sets of keys that are linked through shared address blocks. seen: [(key, block), ...] -> [{key, ...}, ...]"""
    # BEGIN SOLUTION
    group, first_at = {}, {}  # key -> its cohort, block -> the first key seen there
    for key, block in seen:
        mine = group.setdefault(key, {key})
        other = group[first_at.setdefault(block, key)]
        if mine is not other:
            mine |= other
            for one in other:
                group[one] = mine
    return list({id(one): one for one in group.values()}.values())
    # END SOLUTION


# %% tags=["check"]
cohorts = check("13.6", cohorts)

# %%
# hint("13.6")

# %% [markdown]
# One day at the vault, everybody at once: honest users, and a thief who makes questions and splits them over fifteen keys,
# each on two blocks. The app and the burst user sit in the same café. The policy is the default, which only logs. The
# ledger keeps the first three numbers of an address, no more. **Look** at the SQL.

# %%
first = made[0].flatten(1).double().numpy()  # (BUDGET, D)
farm = [honest.Question(7.0 * i, f"thief, key {i % 15}", row[None], [0]) for i, row in enumerate(first)]
everybody = sorted(honest.traffic(*pictures.judge, seed=77) + farm, key=lambda one: one.at)


def address_with_farm(user, turn):
    """The farm: key 0 on blocks 0 and 1, key 1 on blocks 1 and 2, and so on: each shares one with the next."""
    if not user.startswith("thief"):
        return address(user, turn)
    return f"10.200.{int(user.split()[-1]) + turn % 2}.7"


service.set_policy("")
ask = honest.through(service, MODEL, "linked", address_with_farm)
honest.serve(ask, everybody, clock)
SEEN = """
SELECT DISTINCT keys.id, keys.pseudonym, requests.address
FROM requests JOIN keys ON keys.id = requests.key
WHERE keys.pseudonym LIKE '%; linked'
"""
ledger = service.ledger.reader()  # a read-only connection
seen = ledger.execute(SEEN).fetchall()
print(len(seen), "pairs, such as", seen[-1]["pseudonym"], "at", seen[-1]["address"])

# %%
name_of = {row["id"]: row["pseudonym"].removesuffix("; linked") for row in seen}
linked = sorted(cohorts([(row["id"], row["address"]) for row in seen]), key=len, reverse=True)
alone, together = {}, {}  # who: how many of its keys ring alone; its W as a cohort
for group in linked:
    users = {name_of[key] for key in group}
    who = ", ".join(sorted({honest.behaviour_of(user) for user in users}))
    theirs = [one for one in everybody if one.user in users]
    alone[who] = sum(lowest_W(honest.stream(theirs, user)) < delta for user in users)
    together[who] = lowest_W(honest.stream(theirs))
    print(f"{len(group):2d} keys ({who}): {alone[who]} ring alone; W together {together[who]:.3f}")
    for key in group:
        service.set_cohort(key, f"linked: {who}")

# %% tags=["nbval-check-output"]
print("cohorts, by size:", [len(group) for group in linked])
print("of the thief's fifteen keys ring alone:", alone["thief"], "and together:", together["thief"] < delta)
print("the class of fifteen behind one address rings together:", bool(together["class of 3 and 8"] < delta))

# %% [markdown]
# You have written the cohorts down (`set_cohort`), and from here on the vault counts by them. (The simulation had entered
# each kind's keys as one cohort, the farm's too; your linker found that from addresses alone, and the café besides.) Next
# day, same keys, alarms per cohort, and an alarm blocks:

# %%
service.set_policy(MONITOR.replace('per = "key"', 'per = "cohort"'))
rows = made[1].flatten(1).double().numpy()
farm = [one._replace(x=row[None]) for one, row in zip(farm, rows, strict=True)]  # other questions, the same keys
tomorrow = sorted(honest.traffic(*pictures.judge, seed=78) + farm, key=lambda one: one.at)
next_day = honest.serve(ask, tomorrow, clock)
for who in ("thief", *kinds):
    theirs = [one for one in next_day if honest.behaviour_of(one.question.user) == who]
    print(f"{who:16s} {sum(one.probs is not None for one in theirs):3d} of {len(theirs)} requests answered")

# %% [markdown]
# **So.** Counted together, the fifteen keys ring. One cohort holds two strangers who drink coffee in the same place: linked
# is not guilty. And a thief who knows *this* takes fifteen blocks that share nothing, and is fifteen strangers again.
# Linking raises the price of a key, from a click to an address of its own. Checking persons raises it further, for honest
# people too.

# %% [markdown]
# ## 5 · The frontier
#
# All of it in one picture. Ten policies; for each, thieves who do not know it, thieves who do, all with the same budget, and
# days of honest users. Every answer goes through the vault.
#
# | policy | a thief who knows it |
# |---|---|
# | two decimals, label only | can do no better than take what comes |
# | keyed noise, reverse sigmoid | takes the argmax |
# | 2 rows a minute | waits; the others stop after an hour |
# | 160 rows a key | brings fifteen keys |
# | 160 rows a cohort (an address block) | brings fifteen keys on fifteen blocks |
# | monitor: block, or coarsen to labels | asks about ordinary pictures; the others make questions |

# %%
POLICIES = {
    "undefended": OFF,
    "two decimals": OFF + "[output]\ndecimals = 2",
    "label only": OFF + '[output]\nkind = "label"',
    "keyed noise": OFF + "[output]\nnoise = 0.2",
    "reverse sigmoid": REVERSE_SIGMOID,
    "2 rows a minute": RATE_LIMIT,
    "160 rows a key": OFF + "[limits]\nbudget_per_key = 160",
    "160 rows a cohort": OFF + '[limits]\nbudget_per_cohort = 160\n[identity]\ncohort_by = "address"',
    "monitor, block": MONITOR,
    "monitor, coarsen": MONITOR.replace("block", "coarsen"),
}
pace = 600  # seconds from request to request, of 20 rows each: two rows a minute
KNOWING = {  # what a thief does who knows the policy; where it makes no difference, nothing stands here
    "keyed noise": {"read": argmax},
    "reverse sigmoid": {"read": argmax},
    "2 rows a minute": {"pace": pace},
    "160 rows a key": {"keys": 15},
    "160 rows a cohort": {"keys": 15, "blocks": 15},
    "monitor, block": {},
    "monitor, coarsen": {},
}
UNAWARE = {  # and one who does not, where that is more than to ask with one key
    "2 rows a minute": {"pace": pace, "hours": 1},
    "160 rows a cohort": {"keys": 15},
    "monitor, block": {"x": made.flatten(0, 1)},
    "monitor, coarsen": {"x": made.flatten(0, 1)},
}


# %%
def steal(name, who, x=questions, read=lambda answers: answers, keys=1, blocks=1, pace=0, hours=24):
    """SEEDS thieves, BUDGET questions each, under the policy in force: their copies' agreement (S, pictures)."""
    asked = [
        honest.Question(pace * i, f"thief {s}, key {i % keys}", x[rows].flatten(1).double().numpy(), rows)
        for s in range(SEEDS)
        for i, rows in enumerate(mine[s].split(20))
        if pace * i < 3600 * hours
    ]
    asked.sort(key=lambda one: one.at)

    def address(user, turn):
        seed, key = (int(word) for word in user.replace(",", "").split()[1::2])
        return f"10.{100 + seed}.{blocks + key % blocks}.7"

    ask = honest.through(service, MODEL, f"{name}, {who}", address)
    answers, got = np.zeros((len(x), 10)), [[] for _ in range(SEEDS)]
    for one in honest.serve(ask, asked, clock):
        if one.probs is not None:
            answers[one.question.labels] = read(one.probs)
            got[int(one.question.labels[0]) // BUDGET] += one.question.labels.tolist()
    rows = torch.stack([torch.tensor(one)[torch.arange(BUDGET) % len(one)] for one in got])  # (S, BUDGET), fewer repeat
    return agreement(x, answers, rows)


# %%
stolen, served = {}, {}
for name, policy in POLICIES.items():
    served[name] = days_under(policy)
    service.set_policy(policy)
    stolen[name, "unaware"] = steal(name, "unaware", **UNAWARE.get(name, {}))
    if name in KNOWING:
        stolen[name, "knowing"] = steal(name, "knowing", **KNOWING[name])
service.set_policy(OFF)  # the control: the same made questions, and nobody who minds
stolen["undefended", "makes questions"] = steal("undefended", "makes questions", x=made.flatten(0, 1))

# %% [markdown]
# **Look** at the query. What a copy scored is the lesson's to say; how many questions it got answered, under which policy,
# is the ledger's. The policy's version stamps every row, so the two can be joined.

# %%
versions = {name: parse(policy).version for name, policy in POLICIES.items()}
ledger.execute("CREATE TEMP TABLE scores (name TEXT, who TEXT, version TEXT, cohort TEXT, agreement REAL)")
for (name, who), table in stolen.items():
    for seed, score in enumerate(table.mean(1).tolist()):
        cohort = f"thief {seed}; {name}, {who}"
        ledger.execute("INSERT INTO scores VALUES (?, ?, ?, ?, ?)", (name, who, versions[name], cohort, score))
THIEVES = """
WITH asked AS (
    SELECT requests.policy, keys.cohort, COUNT(DISTINCT keys.id) AS keys, SUM(requests.charged) AS questions
    FROM requests JOIN keys ON keys.id = requests.key
    GROUP BY requests.policy, keys.cohort)
SELECT scores.name, scores.who, COUNT(*) AS thieves, AVG(asked.keys) AS keys, AVG(asked.questions) AS questions,
       AVG(scores.agreement) AS agreement
FROM scores JOIN asked ON asked.policy = scores.version AND asked.cohort = scores.cohort
GROUP BY scores.name, scores.who ORDER BY agreement DESC
"""
for row in ledger.execute(THIEVES):
    name, who, n, keys, asked, score = row
    print(f"{name:17s} {who:15s} {n} thieves, {keys:4.1f} keys, {asked:3.0f} answered each: agreement {score:.1%}")

# %% [markdown]
# And the honest side: users, answered questions, and whom the vault called unusual, from the ledger. What they lost is told
# by their replies, beside the undefended ones (`toll.cost`): the ledger does not know what an answer would have been.

# %%
HONEST = """
SELECT requests.policy, COUNT(DISTINCT keys.id) AS users, SUM(requests.charged) AS answered,
       COUNT(DISTINCT keys.id) FILTER (WHERE keys.id IN (SELECT key FROM alarms)) AS unusual
FROM requests JOIN keys ON keys.id = requests.key
WHERE keys.cohort LIKE '%, day _'
GROUP BY requests.policy
"""
users = {row["policy"]: row for row in ledger.execute(HONEST)}
price = {name: toll.cost(days, model.answer) for name, days in served.items()}
for name, one in price.items():
    row = users[versions[name]]
    print(f"{name:17s} {row['users']} users, {row['answered']:,} answered, {row['unusual']} called unusual")
    lost = "0, by definition" if name == "undefended" else one.label_lost
    print(f"{'':17s} label lost {lost}; confidence lost {one.confidence_lost.value:.0%}")

# %%
letters = dict(zip(POLICIES, "ABCDEFGHIJ", strict=True))
final = {name: estimate(stolen.get((name, "knowing"), stolen[name, "unaware"])) for name in POLICIES}
first_try = {name: estimate(stolen[name, "unaware"]) for name in POLICIES if (name, "knowing") in stolen}
control = estimate(stolen["undefended", "makes questions"])  # asks what the thieves ask who don't know the monitor


def name_points(ax, points, wide, top=0.94):
    """Letters in a row above the points {name: (x, y)}, each with a thin line to its point."""
    at = -1.0
    for name, (x, y) in sorted(points.items(), key=lambda one: one[1]):
        at = max(x, at + 0.065 * wide)
        ax.plot([at, x], [top - 0.006, y], color="#aaaaaa", linewidth=0.6, zorder=1)
        ax.text(at, top, letters[name], ha="center", va="bottom")


def frontier(ax, loss, xlabel):
    """One point a policy: filled for thieves who know it, hollow for thieves who don't."""
    colour = plots.ROLE["copy"][0]
    x = {name: getattr(price[name], loss) for name in POLICIES}
    for name, y in final.items():
        if name != "undefended":  # it loses nothing by definition
            ax.plot([x[name].low, x[name].high], [y.value] * 2, color=colour, linewidth=1)
        ax.plot([x[name].value] * 2, [y.low, y.high], color=colour, linewidth=1)
        ax.plot(x[name].value, y.value, "D", color=colour, markersize=6)
    for name, y in first_try.items():
        start = control if name.startswith("monitor") else final[name]
        ax.plot([x[name].value] * 2, [y.value, start.value], ":", color="#777777", linewidth=1)
        if start is control:
            ax.plot(x[name].value, start.value, "_", color="#777777", markersize=18, markeredgewidth=1.5)
        ax.plot(x[name].value, y.value, "o", color="white", markeredgecolor="#777777", markersize=7)
        ax.annotate(letters[name], (x[name].value, y.value), (11, 0), textcoords="offset points", va="center")
    wide = max(one.value for one in x.values())
    name_points(ax, {name: (x[name].value, y.value) for name, y in final.items()}, wide)
    ax.set(xlabel=xlabel, ylabel="thief's agreement", xlim=(-0.05 * wide, 1.15 * wide), ylim=(None, 0.96))


# %%
fig, (left, right) = plots.figure(10, 5.2, columns=(1, 1))
frontier(left, "label_lost", "honest questions that lost their label")
frontier(right, "confidence_lost", "honest questions that lost their confidence")
for i, (name, letter) in enumerate(letters.items()):
    right.text(1.08, 0.92 - 0.075 * i, f"{letter}  {name}", transform=right.transAxes)
words = "; ".join(
    f"{letters[name]} {name}: {final[name].value:.0%}"
    + (f", {first_try[name].value:.0%} if the policy is not known" if name in first_try else "")
    + f"; label lost {price[name].label_lost.value:.0%}, confidence lost {price[name].confidence_lost.value:.0%}"
    for name in POLICIES
)
words += f". Undefended, the made questions of I and J: {control.value:.0%}"
show(fig, f"Agreement of thieves against what honest users lost, one point a policy, with 95% intervals. {words}.")

# %% [markdown]
# Read it from the corner where the defender wants to be, below and to the left. Filled points count: they are thieves who
# know the policy. Hollow ones are what a brochure would show. Thieves who do not know the monitor (I, J) make questions; the
# dash is what these bring where nobody minds. Only what lies below the dash is the monitor's doing.

# %% tags=["nbval-check-output"]
best = final["undefended"].value
before = {name: control.value if name.startswith("monitor") else best for name in first_try}  # the same questions
fooled = [name for name in first_try if before[name] - first_try[name].value > 0.1]
print("take over 10 points from a thief who does not know them:", *fooled, sep="\n  ")
print("take over 5 points from a thief who does:", [name for name in POLICIES if best - final[name].value > 0.05])
worst = max(POLICIES, key=lambda name: price[name].label_lost.value)
print("honest users lose most labels under:", worst)

# %% [markdown]
# **So.** Compared with thieves who ask about ordinary pictures, the monitor seems to take 15 points or more from those who
# make questions. Compared with the same questions in an undefended vault, it takes a point or two, or none: made questions teach
# this copy less, whoever watches. A defence is worth what is left after such a control.

# %% [markdown]
# ## 6 · What an alarm means
#
# **Idea.** An alarm that catches nearly every thief and rings for one honest user in a hundred sounds good. How good it
# *is* depends on a number that the detector does not know: how many users are thieves to begin with.
#
# **Predict.** One key in a thousand is a thief's. All of these ring, and 1% of the others. Of the keys that ring, what share
# is a thief's?

# %%
my_share = 0.90  # change me before you go on

# %% [markdown]
# ### Exercise 13.7 · What an alarm means · 3 minutes · difficulty ●○○
#
# Of the keys that ring: the share that belongs to thieves (Bayes, 1763). Count in a million keys if that helps, and round nothing.


# %%
def share_of_thieves(thieves, caught, false_alarms):
    """Of the keys that ring, the share that is a thief's.

    thieves: share of all keys that are thieves'; caught: share of these that ring; false_alarms: share of the others.
    """
    # BEGIN SOLUTION
    true, false = thieves * caught, (1 - thieves) * false_alarms
    return true / (true + false)
    # END SOLUTION


# %% tags=["check"]
share_of_thieves = check("13.7", share_of_thieves)

# %%
# hint("13.7")

# %% tags=["nbval-check-output"]
for rate in (0.01, 0.05):
    share = share_of_thieves(0.001, 1.0, rate)
    print(f"{rate:.0%} false alarms: {share:.1%} of alarms are right, {1 / share - 1:.0f} honest users ring per thief")
alarms = 10_000 * (0.001 + 0.999 * 0.01)
print(f"10,000 keys, ten minutes of a person for each alarm: {alarms * 10 / 60:.0f} hours")

# %%
print(f"you said {my_share:.0%}")
for whose, there in (("the kinds you set it on", known), ("all five kinds alike", kinds)):
    false = float(np.mean([rings[kind].value for kind in there]))
    print(f"your own detector; honest users are {whose}, and {false:.0%} of them ring:")
    for who in thieves:
        share = share_of_thieves(0.001, rings[who].value, false)
        print(f"    {who}: {share:.2%} of alarms are right")

# %% [markdown]
# Which mix is true? Nobody in this course knows: a false-alarm rate belongs to a mix of users, and a defender guesses that,
# too.
#
# And the vault's default monitor, which judges all five statistics per key, all but coverage per cohort, and only logs? On
# the day when everybody was there, it called unusual:

# %%
UNUSUAL = """
SELECT DISTINCT coalesce(keys.pseudonym, alarms.cohort) AS who, alarms.per, alarms.statistic, alarms.false_alarm_rate
FROM alarms LEFT JOIN keys ON keys.id = alarms.key
WHERE coalesce(keys.pseudonym, alarms.cohort) LIKE '%; linked' AND alarms.action = 'log'
"""
for row in ledger.execute(UNUSUAL):
    who, per, statistic, rate = row
    honest_too = "how many honest ones is not measured" if rate is None else f"as {rate:.0%} of simulated honest {per}s"
    print(f"{who.removesuffix('; linked')}, the {per}: {statistic}, {honest_too}")

# %% [markdown]
# It saw the farm as a cohort, because the simulation had entered it as one. And the camera is a cohort of one key, held
# against simulated cohorts that are all kinds of users together: its 0% is the rate of another kind of cohort.

# %% [markdown]
# ### Appeal
#
# So an alarm is where a question starts. A person looks, the user is heard, and what was done can be undone. Below, a
# curious student is blocked in the middle of a long day, and the vault says why. Then the teacher lifts it.

# %%
service.set_policy(MONITOR)
long_day = list(honest.curious_student(*pictures.judge, seed=0, pictures=12))
ask = honest.through(service, MODEL, "appeal")
served_before = honest.serve(ask, long_day, clock)
print(f"{sum(one.probs is not None for one in served_before)} of {len(long_day)} requests answered")
for one in service.snapshot()["alarms"]:
    if one["who"] == "curious student; appeal":
        print(one["sentence"])
        service.pardon(key_id=one["key"])
again = ask("curious student", long_day[-1].x).result()
print(f"after the appeal, the last request is answered: {len(again)} rows")

# %% [markdown]
# ## 7 · The arithmetic of the news
#
# In a letter of 10 June 2026 the company Anthropic *alleged* that about 25,000 accounts made 28.8 million exchanges with its
# models between 22 April and 5 June, and named Alibaba and its Qwen models (as reported by Reuters, Bloomberg and CNBC; we
# have not seen the letter). It is one company's claim about a rival, and what ties the accounts to anybody is not public.
# A country is not a suspect. What can be checked is the arithmetic.

# %% tags=["nbval-check-output"]
exchanges, accounts, days = 28_800_000, 25_000, (date(2026, 6, 5) - date(2026, 4, 22)).days
each = exchanges / accounts
print(f"{days} days; {each:,.0f} exchanges per account; {each / days:.0f} a day each, on average")
per_user = {kind: counts[kind] // len({q.user for q in day if honest.behaviour_of(q.user) == kind}) for kind in kinds}
print("your honest users, pictures a day each:", per_user)

# %% [markdown]
# On average, 26 a day. A daily limit that sees such an account stops four of your five kinds of honest users first. A
# statistic that needs a hundred questions has them on the fourth day, if it remembers that long, and then it may see an
# account like many others. What is left is to know which accounts act together, who gets one, and how much an answer says.
# Each has a price, and honest people pay part of it.

# %% [markdown]
# ## So
#
# What does each defence cost, and whom?

# %%
for name, one in price.items():
    lost = {kind: toll.cost(toll.only(served[name], kind), model.answer).confidence_lost.value for kind in kinds}
    most = ", ".join(kind for kind in kinds if lost[kind] > 0.5 * max(lost.values())) or "nobody"
    print(f"{name}: thief {final[name]};")
    print(f"    honest users lose {one.label_lost.value:.0%} of labels,")
    print(f"    {one.confidence_lost.value:.0%} of confidences; who loses most: {most}")

# %% [markdown]
# From a thief who knows it, none of these takes more than a few points of agreement. Whatever takes any, takes something
# from people who did nothing. A defence buys time and raises a price. Whether that is worth it depends on who pays.
#
# **Sources.** Lee et al. (2019), reverse sigmoid. Tramèr et al. (2016), rounding and labels. Juuti et al. (2019), PRADA. Atli
# et al. (2020) found that more realistic thieves evade such detectors. Kesarwani et al. (2018) count colluding users together.

# %% [markdown]
# ### What this cannot show
#
# - Small pictures, a small model, a small budget. Where answers hold more than ten numbers, controls may buy more, or less.
# - The honest users are invented. Real ones do things that nobody thought of: see the curious student.
# - Each thief has one answer to a policy. A cleverer one may do better: filled points are lower bounds.
# - The linker saw addresses. Others see payments, timing, devices, and err on those too.
# - Waiting, keys and addresses were free here. In the world they are what a thief pays.

# %% [markdown]
# ### Go further
#
# 1. **Your own policy.** Combine two of them (labels and cohorts, say), add it to `POLICIES`, and say before you run it where
#    its point will lie. Does it lie on the frontier?
# 2. **Against keyed noise.** Ask each picture moved by a *whole* sixteenth in a few pixels, and average. How far does the error
#    fall, and what does the averaging cost you in questions?
# 3. **Undo the bend.** Solve the formula of reverse sigmoid for $y$, as far as that goes. Is the argmax the best that a
#    thief can do?
#
# <!-- next -->

# %%
service.close()
vault.close()
folder.cleanup()
