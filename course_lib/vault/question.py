"""A question as it may be asked: rows of numbers for one model; and for whatever else comes, which sentence."""

import numpy as np

from course_lib.vault import refusal
from course_lib.vault.policy import LARGEST_INPUT, MOST_ROWS


def read(victims, model, rows, most=MOST_ROWS):
    """(the Victim, the rows as (B, D) float64) of a question. Raises Refusal: no-model, malformed-input, ...

    victims: {name: Victim}. most: the rows that a request takes today, for the sentence; who asks for them is not known yet.
    """
    victim = victims.get(model) if isinstance(model, str) else None
    if victim is None:
        raise refusal.no_model(model, victims)
    d = victim.shape[0]
    try:
        x = np.asarray(rows)
    except (ValueError, OverflowError):  # rows of several lengths
        raise refusal.malformed(d, "rows of several lengths") from None
    if x.dtype.kind not in "fiu":
        raise refusal.malformed(d, "something else")
    if x.ndim == 1:
        x = x[None]
    if x.ndim != 2 or x.shape[1] != d or not len(x):
        raise refusal.malformed(d, f"the shape {' x '.join(map(str, x.shape))}")
    if len(x) > MOST_ROWS:
        raise refusal.too_many_rows(len(x), most)
    x = np.ascontiguousarray(x, float)
    if not (x.max() <= LARGEST_INPUT and x.min() >= -LARGEST_INPUT):  # not a number is not, either
        raise refusal.out_of_range(LARGEST_INPUT)
    return victim, x


def meant(rows):
    """How many rows somebody meant to ask, as far as can be told."""
    many = isinstance(rows, (list, tuple, np.ndarray)) and len(rows) and isinstance(rows[0], (list, tuple, np.ndarray))
    return len(rows) if many else 1
