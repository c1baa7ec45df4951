"""All seeds of a small student at once: S networks of one shape are one network with an extra dimension, S.

A 64-16-10 network is so small that a step is spent on starting operations, not on arithmetic. torch.func stacks the
weights of S students into tensors (S, ...) and runs one operation for all of them: torch.vmap writes the loop over S.
"""

import torch
from torch.func import functional_call, stack_module_state, vmap


class CannotFollow(Exception):
    """torch.func cannot train these students together; the message says what it could not follow."""


class Together:
    """S students of one shape with stacked weights (S, ...)."""

    def __init__(self, models):
        try:
            self.parameters, self.buffers = stack_module_state(models)
        except RuntimeError as error:
            raise CannotFollow("the students are not of one shape") from error
        self.models = models

    def learned(self):
        """The stacked parameters that learn."""
        return [p for p in self.parameters.values() if p.requires_grad]

    def losses(self, loss, x, *targets):
        """x (S, B, ...), targets (S, B, ...) -> each student's loss on its own batch (S,)."""

        def one(parameters, buffers, x, *targets):
            return loss(functional_call(self.models[0], (parameters, buffers), (x,)), *targets)

        return vmap(one)(self.parameters, self.buffers, x, *targets)

    def logits(self, x):
        """The same x (B, ...) for every student -> (S, B, C)."""

        def one(parameters, buffers):
            return functional_call(self.models[0], (parameters, buffers), (x,))

        return vmap(one)(self.parameters, self.buffers)

    @torch.no_grad()
    def unstack(self):
        """Write each student's weights back into its own model."""
        for seed, model in enumerate(self.models):
            for name, own in model.named_parameters():
                own.copy_(self.parameters[name][seed])
        return self.models


def cannot_follow(students, loss, batch, plain):
    """Why torch.func cannot train these students with this loss, or None. plain: the first student's own loss on batch.

    batch: the first batch of every student, tensors (S, B, ...).
    """
    if students.buffers:
        return "a model with buffers, such as batch normalisation"
    try:
        losses = students.losses(loss, *batch)
    except Exception as error:  # whatever vmap raises; the same loss has just run plainly, so the code is right
        return _reason(str(error))
    if losses.shape != (len(students.models),) or not torch.allclose(losses[0], plain, rtol=1e-3, equal_nan=True):
        return "a loss that gives another number when it runs for all students together"
    return None


def _reason(message):
    """vmap's message in the learner's words."""
    reasons = {
        ".item()": "a number taken out of a tensor, with .item() or float()",
        "data-dependent control flow": "a Python `if` on a tensor",
        "dynamic shape": "a boolean mask or another operation whose size depends on the data",
        "random": "random numbers, such as dropout",
    }
    return next((words for key, words in reasons.items() if key in message), "an operation that it does not know")
