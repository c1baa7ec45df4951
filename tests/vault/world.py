"""What the vault's tests stand on: a small victim that needs no training, and a clock that moves when told."""

import numpy as np

from course_lib.vault.refusal import Refusal
from course_lib.vault.service import Service
from course_lib.vault.victims import Victim
from tests.waiting import HANG

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.normal(size=(4, 3)), RNG.normal(size=3)
PICTURES = RNG.uniform(size=(600, 4))


def softmax(x):
    e = np.exp(x @ WEIGHT + BIAS)
    return e / e.sum(1, keepdims=True)


TOY = {"toy": Victim("toy", ("a", "b", "c"), (4,), 15, softmax, PICTURES)}


class Clock:
    """Seconds that pass when told."""

    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class World:
    """A vault in a folder, with one key whose holder has accepted the rules."""

    def __init__(self, folder, policy="", **settings):
        self.folder, self.clock = folder, Clock()
        (folder / "policy.toml").write_text(policy)
        self.open(**settings)
        self.token = self.key("ada")

    def open(self, **settings):
        self.service = Service(self.folder, clock=self.clock, victims=TOY, class_name="test", **settings)

    def key(self, name, cohort="green", rules=True, **settings):
        token = self.service.new_key(name, cohort, **settings)
        if rules:
            self.service.accept_rules(token)
        return token

    def ask(self, rows=1, request_id=None, token=None, start=0, **settings):
        x = PICTURES[start : start + rows] if isinstance(rows, int) else rows
        future = self.service.ask(token or self.token, "toy", x, request_id, **settings)
        return future.result(HANG)

    def status(self, *args, **settings):
        try:
            self.ask(*args, **settings)
        except Refusal as refusal:
            return refusal.status, refusal.type
        return 200, None

    def restart(self, **settings):
        self.service.close()
        self.open(**settings)
