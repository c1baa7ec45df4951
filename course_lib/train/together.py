"""All seeds of a small student at once: S networks of one shape are one network with an extra dimension, S.

A 64-16-10 network is so small that a step is spent on starting operations, not on arithmetic. torch.func stacks the
weights of S students into tensors (S, ...), and torch.vmap turns each operation on one student into one on all of them.
"""

import warnings

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap


class CannotFollow(Exception):
    """torch.func cannot train these students together; the message says what it could not follow."""


class Together:
    """S students of one shape with stacked weights. They keep the mode, train or eval, that the first student is in."""

    def __init__(self, models):
        try:
            self.weights, self.buffers = stack_module_state(models)  # {name: (S, ...)}
        except RuntimeError as error:
            raise CannotFollow("students of several shapes or modes") from error
        self.models = models
        self.is_mlp = type(models[0]) is nn.Sequential and all(
            isinstance(layer, nn.ReLU)
            or (isinstance(layer, nn.Flatten) and layer.start_dim == 1 and layer.end_dim == -1)
            or (isinstance(layer, nn.Linear) and layer.bias is not None)
            for layer in models[0]
        )

    def learned(self):
        """The stacked parameters that learn."""
        return [p for p in self.weights.values() if p.requires_grad]

    def losses(self, loss, x, *targets):
        """x (S, B, ...), targets (S, B, ...) -> each student's loss on its own batch (S,)."""
        return vmap(loss)(self._layer_by_layer(x) if self.is_mlp else self._whole(x), *targets)

    def _whole(self, x):
        def one(weights, buffers, x):
            return functional_call(self.models[0], (weights, buffers), (x,))

        return vmap(one)(self.weights, self.buffers, x)

    def _layer_by_layer(self, x):
        """The same without a detour: a linear layer of S students is one batched matrix product. (S, B, ...)"""
        for name, layer in self.models[0].named_children():
            if isinstance(layer, nn.Flatten):
                x = x.flatten(2)
            elif isinstance(layer, nn.Linear):
                x = torch.baddbmm(self.weights[f"{name}.bias"][:, None], x, self.weights[f"{name}.weight"].mT)
            else:
                x = layer(x)
        return x

    def logits(self, x):
        """The same x (B, ...) for every student -> (S, B, C)."""

        def one(weights, buffers):
            return functional_call(self.models[0], (weights, buffers), (x,))

        return vmap(one)(self.weights, self.buffers)

    @torch.no_grad()
    def unstack(self):
        """Write each student's weights back into its own model."""
        for name, stacked in self.weights.items():
            for model, weights in zip(self.models, stacked, strict=True):
                model.get_parameter(name).copy_(weights)

    def follow(self, loss, batch, plain):
        """Raise CannotFollow unless the first student's loss and slopes come out as they do for it alone.

        batch: the first batch of every student, (S, B, ...). plain: the first student's loss and slopes.
        """
        if any(isinstance(part, nn.modules.batchnorm._NormBase) for part in self.models[0].modules()):
            raise CannotFollow("batch normalisation, whose running figures each student keeps for itself")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message=".*performance drop")
                losses = self.losses(loss, *batch)
            slopes = torch.autograd.grad(losses.sum(), self.learned(), allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever torch.func raises: the same loss has just run for one student
            raise CannotFollow(_reason(str(error))) from error
        together = [losses, *(g for g in slopes if g is not None)]
        same = losses.shape == (len(self.models),) and len(together) == len(plain)
        if not (
            same
            and all(
                torch.allclose(t[0], p, rtol=1e-3, atol=1e-5, equal_nan=True)
                for t, p in zip(together, plain, strict=True)
            )
        ):
            raise CannotFollow("a loss that gives another number when it is asked for all students together")


def _reason(message):
    """torch.func's message in the learner's words."""
    reasons = {
        ".item()": "a number taken out of a tensor, by .item() or float()",
        "data-dependent control flow": "a Python `if` on a tensor",
        "dynamic shape": "a boolean mask, or another operation whose size depends on the numbers",
        "random": "random numbers, such as dropout",
    }
    return next((words for key, words in reasons.items() if key in message), "one of its operations")
