"""Honest users of the vault: who asks what, and when.

A behaviour is a generator of questions. traffic() is a day with all of them, serve() lets them ask, by a clock that moves
only as told. What a policy takes from them is in toll.py.
"""

import heapq
import math
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import torch

from course_lib.data import arena
from course_lib.vault.refusal import Refusal

PATIENCE = 60.0  # seconds that a user waits before giving a question up


class Question(NamedTuple):
    """One request of an honest user."""

    at: float  # seconds since the day began
    user: str  # "burst user"; a class has several: "class of 3 and 8, student 4"
    x: np.ndarray  # (rows, D) float64 in [0, 1]
    labels: np.ndarray  # (rows,)


class Clock:
    """A clock that moves when it is told to, and never back: days pass in a moment. Seconds."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        """Seconds since 1970."""
        return self.now

    def to(self, when):
        """Move on to a time; one that is past changes nothing."""
        self.now = max(self.now, when)


# ---- behaviours: (x (N, 1, 8, 8), y (N,), seed) -> questions in the order of their time ----


def steady_app(x, y, seed, n=120, every=30.0):
    """An app that asks one picture about every half minute."""
    rng = np.random.default_rng([seed, 1])
    pictures, labels = _pictures(x, y, n, 10 * seed + 1)
    for i in range(n):
        yield Question(every * (i + float(rng.uniform(0, 0.5))), "steady app", pictures[i : i + 1], labels[i : i + 1])


def class_of_3_and_8(x, y, seed, students=15, n=12, minutes=40.0):
    """A class of students, each with a key: all ask about threes and eights, in one lesson, from one address."""
    rng = np.random.default_rng([seed, 2])
    keep = torch.isin(y, torch.tensor([3, 8]))
    pictures, labels = _pictures(x[keep], y[keep], students * n, 10 * seed + 2)
    times = np.sort(rng.uniform(0, 60 * minutes, students * n))
    for i, at in enumerate(times):
        yield Question(float(at), f"class of 3 and 8, student {i % students}", pictures[i : i + 1], labels[i : i + 1])


def burst_user(x, y, seed, bursts=3, rows=40, every=600.0):
    """A user who is silent for ten minutes and then asks forty pictures at once."""
    pictures, labels = _pictures(x, y, bursts * rows, 10 * seed + 3)
    for i in range(bursts):
        part = slice(i * rows, (i + 1) * rows)
        yield Question(every * (i + 1), "burst user", pictures[part], labels[part])


def noisy_camera(x, y, seed, n=120, every=10.0, sd=0.2):
    """A cheap camera that asks a picture every ten seconds, with sensor noise on every pixel."""
    rng = np.random.default_rng([seed, 4])
    pictures, labels = _pictures(x, y, n, 10 * seed + 4)
    pictures = (pictures + rng.normal(0, sd, pictures.shape)).clip(0, 1)
    for i in range(n):
        yield Question(every * i, "noisy camera", pictures[i : i + 1], labels[i : i + 1])


def curious_student(x, y, seed, pictures=5, every=300.0):
    """A student who wants to know which pixels count: wipes out the pixels of a picture, one at a time."""
    whole, labels = _pictures(x, y, pictures, 10 * seed + 5)
    for i in range(pictures):
        wiped = whole[i] * (1 - np.eye(whole.shape[1]))  # (D, D): row d lacks pixel d
        wiped = np.concatenate([whole[i : i + 1], wiped[whole[i] > 0]])
        yield Question(every * (i + 1), "curious student", wiped, np.repeat(labels[i : i + 1], len(wiped)))


BEHAVIOURS = {
    "steady app": steady_app,
    "class of 3 and 8": class_of_3_and_8,
    "burst user": burst_user,
    "noisy camera": noisy_camera,
    "curious student": curious_student,
}


def traffic(x, y, seed, behaviours=BEHAVIOURS):
    """A day's questions of all behaviours, by time: a list of Questions, a function of (x, y, seed)."""
    return list(heapq.merge(*(make(x, y, seed) for make in behaviours.values()), key=lambda question: question.at))


def behaviour_of(user):
    """ "class of 3 and 8" of "class of 3 and 8, student 4"."""
    return user.partition(",")[0]


def stream(questions, user=None):
    """All pictures of one user (or of all), one under the other, in the order in which they are asked: (N, D)."""
    return np.concatenate([question.x for question in questions if user in (None, question.user)])


def _pictures(x, y, n, seed):
    """n copies of pictures as flat float64 rows (n, D), and their labels (n,)."""
    pictures, base = arena.copies(x, n, seed)
    return pictures.flatten(1).double().numpy(), y[base].numpy()


# ---- a day at the vault ----


class Served(NamedTuple):
    """What became of a question."""

    question: Question
    probs: np.ndarray | None  # (rows, C); whole numbers: labels alone; None: it was refused, and given up
    delay: float  # seconds between the first try and the answer, or until it was given up


def serve(ask, questions, clock, patience=PATIENCE):
    """Let the users ask; a Served for each question, in their order.

    ask(user, x) -> probs (rows, C), or a Future of them, or raises the vault's Refusal. Who is refused waits as long as
    the vault says and asks again; who is not told how long, or would wait longer than `patience` seconds in all, gives up.
    """
    start = clock()
    todo = [(question.at, i) for i, question in enumerate(questions)]
    heapq.heapify(todo)
    served = [None] * len(questions)
    while todo:
        when, i = heapq.heappop(todo)
        question = questions[i]
        clock.to(start + when)
        try:
            answer = ask(question.user, question.x)
            if isinstance(answer, Future) and answer.done():
                answer = answer.result()
            served[i] = Served(question, answer, when - question.at)
        except Refusal as refusal:
            again = math.inf if refusal.retry_after is None else when + max(refusal.retry_after, 1e-3)
            if again - question.at > patience:
                served[i] = Served(question, None, when - question.at)
            else:
                heapq.heappush(todo, (again, i))
    return [one._replace(probs=_arrived(one.probs)) for one in served]


def _arrived(answer):
    """The probs of an answer that was on its way; None if the ledger refused it."""
    if not isinstance(answer, Future):
        return answer if answer is None else np.asarray(answer)
    try:
        return answer.result(timeout=60)
    except Refusal:
        return None


def through(service, model, day, address=lambda user, turn: ""):
    """ask(user, x) -> Future of probs, of a service in this process. Every user of a day gets a key; a class shares a cohort.

    address(user, turn): where that user's request number `turn` comes from. Labels alone come as a 1 at the label, as
    whole numbers: no confidence was said.
    """
    keys, turns = {}, {}
    classes = len(service.victims[model].classes)

    def ask(user, x):
        if user not in keys:
            keys[user] = service.new_key(f"{user}; {day}", cohort=f"{behaviour_of(user)}; {day}", accepted=True)
        turns[user] = turns.get(user, -1) + 1
        return _probs(service.ask(keys[user], model, x, address=address(user, turns[user])), classes)

    return ask


def _probs(future, classes):
    """A Future of the probs in a Future of a Reply."""
    out = Future()

    def settle(done):
        if done.exception():
            out.set_exception(done.exception())
        else:
            reply = done.result()
            out.set_result(np.eye(classes, dtype=int)[reply.labels] if reply.probs is None else reply.probs)

    future.add_done_callback(settle)
    return out
