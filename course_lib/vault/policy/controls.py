"""What is done to an answer before it leaves. Each control takes probs (B, C) float64 and gives probs (B, C)."""

import hmac

import numpy as np
from scipy.special import expit, logit

QUANTUM = 1 / 16  # inputs that agree when rounded to this get the same keyed noise; the digits' own grey levels


def softened(probs, T):
    """The answer at temperature T: what softmax(logits / T) would have been, from probabilities alone."""
    with np.errstate(divide="ignore"):
        log = np.log(probs) / T
    p = np.exp(log - log.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def reverse_sigmoid(probs, beta, gamma):
    """Lee et al., 2019 (Defending against model stealing with deceptive perturbations), equations 4 and 5.

    y' = a (y - r(y)), r(y) = beta (s(gamma s^-1(y)) - 1/2), s the sigmoid, a so that each row's sum is 1.
    """
    return normalised(probs - beta * (expit(gamma * logit(probs)) - 0.5))


def keyed_noise(probs, x, sd, secret):
    """Normal noise that is a secret function of the input, so that asking again does not average it away.

    x (B, D) is rounded to QUANTUM first: a tiny change of the input gets the same noise, not a fresh one.
    """
    return normalised(probs + sd * keyed_normals(x, probs.shape[1], secret))


def fresh_noise(probs, sd, rng):
    """Normal noise that is new at every question: the mean of many answers is without it."""
    return normalised(probs + rng.normal(0, sd, probs.shape))


def planted(probs, x, share, secret):
    """(probs, (B,) which rows were changed): a secret share of inputs gets another winner, in the spirit of DAWN.

    In such a row the largest probability changes places with that of another class (Szyller et al., 2021).
    """
    draws = [_draw(row, b"planted", secret) for row in _quantised(x)]
    chosen = np.array([draw[0] < share * 2**64 for draw in draws], bool)
    probs = probs.copy()
    for row in chosen.nonzero()[0]:
        win = probs[row].argmax()
        other = (win + 1 + int(draws[row][1]) % (probs.shape[1] - 1)) % probs.shape[1]
        probs[row, [win, other]] = probs[row, [other, win]]
    return probs, chosen


def rounded(probs, decimals):
    """Each probability rounded to so many decimals, then the row divided by its sum, so that it is 1 again.

    Rounding is Tramer et al., 2016, section 7. A row of zeros only keeps its winner.
    """
    out = np.round(probs, decimals)
    empty = out.sum(1) == 0
    out[empty] = label_only(probs[empty])
    return out / out.sum(1, keepdims=True)


def top_k(probs, k):
    """The k largest of each row as they are, zeros elsewhere; of equals, the earlier class. The sum is below 1."""
    out = np.zeros_like(probs)
    keep = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    np.put_along_axis(out, keep, np.take_along_axis(probs, keep, 1), 1)
    return out


def label_only(probs):
    """1 at each row's own winner, 0 elsewhere."""
    out = np.zeros_like(probs)
    out[np.arange(len(probs)), probs.argmax(1)] = 1.0
    return out


def apply(probs, x, policy, secret, rng):
    """(what leaves (B, C), which rows were planted (B,)) under a policy, for inputs x (B, D)."""
    output, sown = policy.output, None
    if output.temperature != 1:
        probs = softened(probs, output.temperature)
    if output.reverse_sigmoid.beta:
        probs = reverse_sigmoid(probs, output.reverse_sigmoid.beta, output.reverse_sigmoid.gamma)
    if output.noise:
        probs = keyed_noise(probs, x, output.noise, secret)
    if output.fresh_noise:
        probs = fresh_noise(probs, output.fresh_noise, rng)
    if policy.planted.share:
        probs, sown = planted(probs, x, policy.planted.share, secret)
    if output.decimals:
        probs = rounded(probs, output.decimals)
    if output.kind == "label":
        probs = label_only(probs)
    elif output.top_k:
        probs = top_k(probs, output.top_k)
    return probs, sown


def normalised(probs):
    """Negative numbers become 0 and each row's sum 1; a row with nothing left is 1/C everywhere."""
    probs = probs.clip(0)
    total = probs.sum(1, keepdims=True)
    return np.where(total > 0, probs / np.where(total > 0, total, 1), 1 / probs.shape[1])


def keyed_normals(x, n, secret):
    """(B, n) standard normal numbers, row by row a function of the quantised input and the secret alone."""
    pairs = (n + 1) // 2
    draws = np.stack([_draw(row, b"noise", secret, 2 * pairs) for row in _quantised(x)]) / 2.0**64  # (B, 2 pairs)
    radius, angle = np.sqrt(-2 * np.log1p(-draws[:, :pairs].clip(max=1 - 2.0**-53))), 2 * np.pi * draws[:, pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :n]  # Box and Muller, 1958


def _quantised(x):
    return np.round(np.asarray(x, float) / QUANTUM).astype(np.int32)


def _draw(row, purpose, secret, n=2):
    """n numbers below 2**64 from HMAC-SHA512(secret, purpose, block, row): (n,) uint64."""
    row = row.tobytes()
    blocks = [hmac.digest(secret, b"%b %d " % (purpose, i) + row, "sha512") for i in range(-(-n // 8))]
    return np.frombuffer(b"".join(blocks), "<u8")[:n]
