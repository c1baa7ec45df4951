"""Teachers and students: a plain network, several as one, a frozen one."""

import torch
from torch import nn

from course_lib.files import quoted


def mlp(*widths, dropout=0.0, seed=0):
    """A plain network of the given widths, mlp(64, 16, 10) say: pictures (B, ...) of 64 numbers in, logits (B, 10) out.

    The initial weights are a function of the seed; no other random number is touched.
    """
    if len(widths) < 2:
        raise ValueError(
            f"mlp takes at least two widths, what goes in and what comes out: mlp(64, 10); got {quoted(widths)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Flatten()]
        for i, (d_in, d_out) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.ReLU()] if i else []
            layers += [nn.Dropout(dropout)] if i and dropout else []
            layers += [nn.Linear(d_in, d_out)]
        return nn.Sequential(*layers)


def count_parameters(model):
    """The number of learned numbers in a model."""
    return sum(p.numel() for p in model.parameters())


def freeze(model):
    """Make a model a teacher: eval mode, no gradient. Returns it."""
    return model.eval().requires_grad_(False)


class Ensemble(nn.Module):
    """Several models as one teacher: the mean of their logits. (B, ...) -> (B, C)."""

    def __init__(self, models):
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x):
        """x (B, ...) -> the mean of the models' logits (B, C)."""
        return torch.stack([model(x) for model in self.models]).mean(0)
