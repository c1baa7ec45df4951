"""Data sets as a handful of tensors."""

from typing import NamedTuple

import torch


class Data(NamedTuple):
    """Pictures as float32 (N, channels, height, width) in [0, 1]; labels as whole numbers (N,).

    Choose on val; look at test once.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    classes: tuple[str, ...]


def load(name="digits"):
    """The data set called `name`: "digits" always works, "mnist" and others are downloaded once."""
    if name != "digits":
        raise ValueError(f'no data set is called {name!r}; there is "digits"')
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # (1797, 1, 8, 8)
    y = torch.tensor(digits.target)
    train, val, test = stratified_split(y, (0.6, 0.2, 0.2), seed=0)
    return Data(x[train], y[train], x[val], y[val], x[test], y[test], tuple("0123456789"))


def stratified_split(labels, shares, seed):
    """Rows of each part, every class in the same share: labels (N,) -> one (n,) tensor of row numbers per share."""
    generator = torch.Generator().manual_seed(seed)
    parts = [[] for _ in shares]
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        cuts = [round(len(rows) * sum(shares[: i + 1])) for i in range(len(shares))]
        for part, start, stop in zip(parts, [0, *cuts], cuts, strict=False):
            part.append(rows[start:stop])
    return [torch.cat(part).sort().values for part in parts]
