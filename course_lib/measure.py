"""Quality and cost, with intervals and a verdict."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """A number with its 95% interval, n, and what varied: "examples", "seeds" or "seeds and examples"."""

    value: float
    low: float
    high: float
    n: str  # "360 examples", "16 seeds, 360 examples"
    over: str

    def __format__(self, spec):
        spec = spec or ".1%"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}] (n={self.n})"
