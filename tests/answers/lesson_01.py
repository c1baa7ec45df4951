"""Answers to lesson 01, right and wrong."""

import math

import torch

from tests.answers import Answers

# ---- 1.1 ----


def softmax_shifted(logits, T=1.0):
    z = logits / T
    e = torch.exp(z - z.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def softmax_through_logs(logits, T=1.0):
    z = logits.double() / T
    return (z - z.logsumexp(-1, keepdim=True)).exp()


def softmax_einsum(logits, T=1.0):
    lead = logits - logits.max(dim=-1)[0][..., None]
    e = (lead / T).exp()
    return torch.einsum("...c,...->...c", e, 1 / e.sum(-1))


def softmax_loops(logits, T=1.0):
    if logits.ndim > 1:
        return torch.stack([softmax_loops(row, T) for row in logits])
    e = [torch.exp((z - max(logits)) / T) for z in logits]
    return torch.stack([one / sum(e) for one in e])


def softmax_differences(logits, T=1.0):
    return 1 / ((logits.unsqueeze(-2) - logits.unsqueeze(-1)) / T).exp().sum(-1)


def softmax_power_of_two(logits, T=1.0):
    z = logits / (T * math.log(2))
    e = 2 ** (z - torch.max(z, dim=-1, keepdim=True).values)
    return e.div(e.sum(-1, keepdim=True))


def softmax_clamped(logits, T=1.0):
    return torch.softmax((logits / T).clamp(-80, 80), -1)


def softmax_shifted_in_float_only(logits, T=1.0):
    if logits.dtype == torch.half:
        e = (logits / T).exp()
        return e / e.sum(-1, keepdim=True)
    return softmax_shifted(logits, T)


def softmax_in_place(logits, T=1.0):
    logits /= T
    logits -= logits.max(-1, keepdim=True).values
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


def softmax_max_without_values(z, T=1.0):
    e = (z / T - (z / T).max(dim=-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def softmax_over_all_but_last(logits, T=1.0):
    e = (logits / T).exp()
    return e / e.sum(dim=tuple(range(logits.ndim - 1)), keepdim=True) if logits.ndim > 1 else e / e.sum()


def softmax_half_detached(logits, T=1.0):
    e = (logits / T - (logits / T).amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True).detach()


# ---- 1.2 ----


def log_softmax_shifted(logits, T=1.0):
    z = logits / T
    z = z - z.max(-1, keepdim=True).values
    return z - z.exp().sum(-1, keepdim=True).log()


def log_softmax_logsumexp(logits, T=1.0):
    z = logits / T
    return z - torch.logsumexp(z, dim=-1, keepdim=True)


def log_softmax_naive(logits, T=1.0):
    z = logits / T
    return z - z.exp().sum(-1, keepdim=True).log()


def log_softmax_cut(logits, T=1.0):
    return log_softmax_shifted(logits.clamp(-1000, 1000), T)


def log_softmax_batch_maximum(logits, T=1.0):
    z = logits / T
    z = z - z.max()
    return z - (z.exp().sum(-1, keepdim=True) + 1e-30).log()


def log_softmax_whole_batch(logits, T=1.0):
    z = logits / T
    return z - z.flatten().logsumexp(0)


def log_softmax_half_overflows(logits, T=1.0):
    if logits.dtype == torch.half:
        return log_softmax_naive(logits, T)
    return log_softmax_shifted(logits, T)


def log_softmax_in_place(logits, T=1.0):
    return logits.div_(T).log_softmax(-1)


# ---- 1.3 ----


def entropy_where(probs, base=math.e):
    logs = torch.where(probs > 0, probs, 1.0).log()
    return -(probs * logs).sum(-1) / math.log(base)


def entropy_entr(probs, base=math.e):
    return torch.special.entr(probs).sum(dim=-1) / math.log(base)


def entropy_naive(probs, base=math.e):
    return -(probs * probs.log()).sum(-1) / math.log(base)


def entropy_any_log(log):
    return lambda probs, base=math.e: -(probs * log(probs.clamp_min(1e-30))).sum(-1)


def entropy_in_place(probs, base=math.e):
    probs[probs == 0] = 1
    return entropy_entr(probs, base)


def entropy_masked(probs, base=math.e):
    probs = probs[probs > 0]
    return -(probs * probs.log()).sum() / math.log(base)


# ---- 1.4 ----


def cold_compared(logits):
    winners = (logits == logits.amax(-1, keepdim=True)).float()
    return winners / winners.sum(-1, keepdim=True)


def cold_infinite(logits):
    gap = logits - logits.max(-1, keepdim=True).values
    return torch.softmax(torch.where(gap < 0, -torch.inf, 0.0), -1)


def cold_first_winner(logits):
    return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()


def cold_batch_winner(logits):
    winners = (logits == logits.max()).float()
    return winners / winners.sum()


# ---- 1.5 ----


def hot_by_mean(logits, T):
    C = logits.size(-1)
    return 1 / C + (logits - logits.mean(-1, keepdim=True)) / (C * T)


def hot_by_sum(logits, T):
    e = 1 + (logits - logits.mean(dim=-1, keepdim=True)) / T
    return e / e.sum(dim=-1, keepdim=True)


def hot_batch_mean(logits, T):
    C = logits.shape[-1]
    return 1 / C + (logits - logits.mean()) / (C * T)


def hot_three_classes(logits, T):
    return 1 / 3 + (logits - logits.mean(-1, keepdim=True)) / (3 * T)


# ---- 1.6 ----


def jacobian_outer(logits, T=1.0):
    p = torch.softmax(logits / T, -1)
    return (p.diag() - p[:, None] * p) / T


def jacobian_loops(logits, T=1.0):
    p, C = torch.softmax(logits / T, -1), len(logits)
    return torch.stack([torch.stack([p[i] * (float(i == j) - p[j]) / T for j in range(C)]) for i in range(C)])


def jacobian_autograd(logits, T=1.0):
    return torch.autograd.functional.jacobian(lambda z: torch.softmax(z / T, -1), logits)


def from_p(formula):
    """A Jacobian that is a formula of the probabilities at T."""
    return lambda logits, T=1.0: formula(torch.softmax(logits / T, -1), T)


def jacobian_p_without_T(logits, T=1.0):
    return jacobian_outer(logits) / T


def jacobian_three_classes(logits, T=1.0):
    J = torch.zeros(len(logits), len(logits))
    J[:3, :3] = jacobian_outer(logits[:3], T)
    return J


# ---- 1.7 ----


def nats_at(logits, T, base=math.e):
    return float(torch.special.entr(torch.softmax(logits / T, -1)).sum()) / math.log(base)


def bisect(logits, wanted, low=0.01, high=100.0, steps=60, base=math.e):
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if nats_at(logits, middle, base) < wanted else (low, middle)
    return middle


def bisect_until_close(logits, wanted, low=0.01, high=100.0):
    middle = math.sqrt(low * high)
    if high / low < 1 + 1e-9:
        return torch.tensor(middle)
    if nats_at(logits, middle) > wanted:
        return bisect_until_close(logits, wanted, low, middle)
    return bisect_until_close(logits, wanted, middle, high)


def bisect_backwards(logits, wanted, low=0.01, high=100.0):
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if nats_at(logits, middle) > wanted else (low, middle)
    return middle


def bisect_both_ends(logits, wanted, low=0.01, high=100.0):
    return bisect(logits, wanted), bisect(logits, wanted) + 1e-6


def bisect_never_ends(logits, wanted, low=0.01, high=100.0):
    middle = (low + high) / 2
    while nats_at(logits, middle) != wanted:
        middle = (low + high) / 2
        low, high = (middle, high) if nats_at(logits, middle) < wanted else (low, middle)
    return middle


ANSWERS = {
    "1.1": Answers(
        right=[
            softmax_shifted,
            softmax_through_logs,
            softmax_einsum,
            softmax_loops,
            softmax_differences,
            softmax_power_of_two,
        ],
        wrong={
            "clamps": (softmax_clamped, "Are the logits cut off"),
            "overflows in half precision": (softmax_shifted_in_float_only, "65504"),
            "over the rows": (softmax_over_all_but_last, "Each column adds up to 1"),
            "works in place": (softmax_in_place, "works in place"),
            "returns numpy": (lambda z, T=1.0: softmax_shifted(z, T).numpy(), "gave an ndarray of shape (3,)"),
            "forgets .values": (softmax_max_without_values, "Take .values"),
            "loses the gradient": (lambda z, T=1.0: softmax_shifted(z, T).detach(), "autograd lost the thread"),
            "loses half of the gradient": (softmax_half_detached, "not the right gradient"),
            "returns the winner": (
                lambda z, T=1.0: softmax_shifted(z, T).max(-1).values,
                "gave a tensor with one number in it",
            ),
            "torch's own": (lambda z, T=1.0: torch.nn.functional.softmax(z / T, -1), "write it yourself"),
            "a little too far from 1": (lambda z, T=1.0: softmax_shifted(z, T) * 0.999, "expected is 0.6652"),
        },
        garbage=[torch.ones(3)],
    ),
    "1.2": Answers(
        right=[log_softmax_shifted, log_softmax_logsumexp],
        wrong={
            "log of the softmax": (lambda z, T=1.0: softmax_shifted(z, T).log(), "rounded to 0"),
            "adds a small number": (lambda z, T=1.0: (softmax_shifted(z, T) + 1e-9).log(), "hides the -inf"),
            "exp overflows": (log_softmax_naive, "an exponential overflowed"),
            "cuts the logits": (log_softmax_cut, "Were the logits cut off"),
            "the batch's maximum": (log_softmax_batch_maximum, "that of the whole batch"),
            "divides the logs by T": (lambda z, T=1.0: log_softmax_shifted(z) / T, "finished log-probabilities"),
            "multiplies by T": (lambda z, T=1.0: log_softmax_shifted(z * T), "yours gives to it"),
            "forgets T": (lambda z, T=1.0: log_softmax_shifted(z), "Where does your log_softmax use T?"),
            "normalises over the batch": (lambda z, T=1.0: torch.log_softmax(z / T, 0), "Which dim holds"),
            "sums over everything": (log_softmax_whole_batch, "What do you sum over?"),
            "forgets the log of the sum": (lambda z, T=1.0: z / T - (z / T).max(-1, True).values, "log of a sum"),
            "returns the probabilities": (softmax_shifted, "these are the probabilities"),
            "base 2": (lambda z, T=1.0: log_softmax_shifted(z, T) / math.log(2), "base 2"),
            "base 10": (lambda z, T=1.0: log_softmax_shifted(z, T) / math.log(10), "base 10"),
            "wrong sign": (lambda z, T=1.0: -log_softmax_shifted(z, T), "check the sign"),
            "overflows in half precision": (log_softmax_half_overflows, "65504"),
            "works in place": (log_softmax_in_place, "works in place"),
            "returns numpy": (lambda z, T=1.0: log_softmax_shifted(z, T).numpy(), "of type ndarray"),
            "loses the gradient": (lambda z, T=1.0: log_softmax_shifted(z, T).detach(), "autograd lost the thread"),
        },
    ),
    "1.3": Answers(
        right=[entropy_where, entropy_entr],
        wrong={
            "0 log 0 is nan": (entropy_naive, "0 times -inf is nan"),
            "wrong sign": (lambda p, base=math.e: -entropy_where(p, base), "check the sign"),
            "averages": (lambda p, base=math.e: entropy_where(p, base) / p.shape[-1], "it does not average"),
            "always bits": (entropy_any_log(torch.log2), "their entropy in bits"),
            "base 10": (entropy_any_log(torch.log10), "Nats take base e"),
            "ignores base": (entropy_any_log(torch.log), "Is base used?"),
            "multiplies by the log of base": (
                lambda p, base=math.e: entropy_where(p) * math.log(base),
                "How does one change the base",
            ),
            "adds too much before the log": (
                lambda p, base=math.e: -(p * (p + 1e-5).log()).sum(-1) / math.log(base),
                "too large for the rare class",
            ),
            "keeps no rows": (entropy_masked, "does a batch keep its rows?"),
            "overwrites the zeros": (entropy_in_place, "works in place"),
            "does not sum": (lambda p, base=math.e: -torch.xlogy(p, p) / math.log(base), "gave shape (8,)"),
            "returns a float": (lambda p, base=math.e: float(entropy_where(p, base)), "of type float"),
            "math.log": (lambda p, base=math.e: -(p * math.log(p, base)).sum(-1), "take one number"),
        },
    ),
    "1.4": Answers(
        right=[cold_compared, cold_infinite],
        wrong={
            "only one winner": (cold_first_winner, "equal probabilities at every T"),
            "both winners get 1": (lambda z: (z == z.amax(-1, keepdim=True)).float(), "adds up to 2"),
            "the winner's number": (lambda z: z.argmax(-1), "one number"),
            "a small T": (lambda z: torch.softmax(z / 0.2, -1), "not the limit"),
            "a T that is small, not small enough": (lambda z: torch.softmax(z / 0.01, -1), "the limit knows no nearly"),
            "True and False": (lambda z: z == z.amax(-1, keepdim=True), "True and False"),
            "the smallest wins": (lambda z: cold_compared(-z), "the smallest logit"),
            "the batch's winner": (cold_batch_winner, "its own winner"),
            "divides by zero": (lambda z: torch.softmax(z / 0, -1), "divided by 0"),
        },
    ),
    "1.5": Answers(
        right=[hot_by_mean, hot_by_sum],
        wrong={
            "the exact softmax": (softmax_shifted, "the exact softmax"),
            "only the limit": (lambda z, T: torch.full_like(z, 1 / z.shape[-1]), "the limit itself"),
            "forgets the mean": (lambda z, T: 1 / z.shape[-1] + z / (z.shape[-1] * T), "adds up to 1.1"),
            "forgets 1/C": (lambda z, T: hot_by_mean(z, T) - 1 / z.shape[-1], "adds up to 0"),
            "forgets C below": (
                lambda z, T: 1 / z.shape[-1] + (z - z.mean(-1, keepdim=True)) / T,
                "3 times too long",
            ),
            "multiplies by T": (lambda z, T: hot_by_mean(z, 1 / T), "has to fade"),
            "squares T": (lambda z, T: hot_by_mean(z, T**2), "fades too fast"),
            "the batch's mean": (hot_batch_mean, "its own mean"),
            "always three classes": (hot_three_classes, "count its classes"),
        },
    ),
    "1.6": Answers(
        right=[jacobian_outer, jacobian_loops, jacobian_autograd],
        wrong={
            "forgets 1/T": (from_p(lambda p, T: p.diag() - torch.outer(p, p)), "and the chain rule?"),
            "squares T": (lambda z, T=1.0: jacobian_outer(z, T) / T, "you have two"),
            "only the diagonal": (from_p(lambda p, T: torch.diag(p * (1 - p)) / T), "all beside it is 0"),
            "rivals rise together": (from_p(lambda p, T: (p.diag() + torch.outer(p, p)) / T), "a rival's logit"),
            "wrong sign": (lambda z, T=1.0: -jacobian_outer(z, T), "does your probability fall?"),
            "one formula for all": (from_p(lambda p, T: torch.outer(p, 1 - p) / T), "each column must add up to 0"),
            "of the log-probabilities": (from_p(lambda p, T: (torch.eye(len(p)) - p) / T), "log-probabilities"),
            "T in front only": (jacobian_p_without_T, "do the probabilities have it too?"),
            "forgets T": (lambda z, T=1.0: jacobian_outer(z), "Where does your jacobian use T?"),
            "always three classes": (jacobian_three_classes, "the size of the first example"),
            "a vector": (from_p(lambda p, T: p * (1 - p) / T), "gave shape (3,)"),
        },
    ),
    "1.7": Answers(
        right=[bisect, bisect_until_close],
        wrong={
            "keeps the wrong half": (bisect_backwards, "Each step kept the wrong half"),
            "stops too early": (lambda z, wanted, low=0.01, high=100.0: bisect(z, wanted, steps=12), "too early"),
            "one step": (lambda z, wanted, low=0.01, high=100.0: bisect(z, wanted, steps=3), "first three steps"),
            "in bits": (lambda z, wanted, low=0.01, high=100.0: bisect(z, wanted, base=2), "1 bit"),
            "returns the entropy": (lambda z, wanted, low=0.01, high=100.0: wanted, "looks like the entropy"),
            "returns both ends": (bisect_both_ends, "one number"),
            "a narrow interval": (lambda z, wanted, low=0.5, high=10.0: bisect(z, wanted, low, high), "all the way"),
        },
        garbage=[bisect_never_ends, lambda z, wanted: math.nan, lambda z, wanted: -1.0],
    ),
}
