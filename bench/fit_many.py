"""How much faster is fit_many than training the same students one by one?

    python bench/fit_many.py            prints the table
    python bench/fit_many.py --record   also writes it into bench/README.md

The work: 16 students, 64-16-10, on the 1,078 training digits, batch 64, Adam, one thread. The opponent is the leanest
loop that we could write: plain torch, tensors in memory, no progress, no checks, nothing computed but the steps.
Its three forms (fused, foreach and plain Adam) run too; the ratio is taken against the fastest. Blocks of all
contenders alternate, so that a busy moment hits each of them, and the time is the processor time of this process.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import harness
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import data, losses, train
from course_lib.measure import record
from course_lib.models import mlp

SEEDS, BATCH, LR = 16, 64, 3e-3
OURS = "fit_many"


def lean(x, target, loss, epochs, **adam):
    """One by one: the same initial weights, order of examples, loss and optimiser as fit_many."""
    models = []
    for seed in range(SEEDS):
        model = nn.Sequential(*list(mlp(64, 16, 10, seed=seed))[1:])  # without the Flatten: x is flat already
        optimiser = torch.optim.Adam(model.parameters(), lr=LR, **adam)
        for epoch in range(epochs):
            for rows in train.order(len(x), seed, epoch).split(BATCH):
                optimiser.zero_grad()
                loss(model(x[rows]), target[rows]).backward()
                optimiser.step()
        models.append(model)
    return models


def contenders(loss, epochs):
    """{name: function that trains all students and returns them}."""
    digits = data.load("digits")
    x = digits.x_train.flatten(1).contiguous()  # (N, 64)
    target = digits.y_train
    if loss is losses.kd_loss:
        target = torch.randn(len(x), 10, generator=torch.Generator().manual_seed(0))
    return {
        OURS: lambda: train.fit_many(
            lambda seed: mlp(64, 16, 10, seed=seed), (x, target), loss, SEEDS, epochs=epochs, batch_size=BATCH, lr=LR
        ),
        "lean loop, fused Adam": lambda: lean(x, target, loss, epochs, fused=True),
        "lean loop, foreach Adam": lambda: lean(x, target, loss, epochs, foreach=True),
        "lean loop, plain Adam": lambda: lean(x, target, loss, epochs, foreach=False),
    }


def largest_difference(models, others):
    """The largest difference between two lists of models, in any weight."""
    pairs = zip(models, others, strict=True)
    return max(
        (p - q).abs().max().item()
        for model, other in pairs
        for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


def measure(loss, epochs=10, blocks=5, names=None, clock=time.process_time):
    """{name: seconds of each block}. First a gate: all contenders train the same students, to 1e-5."""
    runs = contenders(loss, epochs)
    runs = {name: runs[name] for name in names or runs}
    trained = {name: run() for name, run in runs.items()}  # also the warm-up
    for name in runs:
        difference = largest_difference(trained[OURS], trained[name])
        assert difference < 1e-5, f"{name} trains other students than {OURS}: a weight differs by {difference:.1e}"
    return harness.in_blocks(runs, blocks, clocks=(clock,))[0]


def ratios(seconds):
    """How many times faster fit_many was than the fastest lean loop, block by block."""
    fastest = min((name for name in seconds if name != OURS), key=lambda name: statistics.median(seconds[name]))
    return [slow / fast for slow, fast in zip(seconds[fastest], seconds[OURS], strict=True)]


def table(loss_name, seconds):
    """One row per contender, in Markdown."""
    rows = [f"| {loss_name} | median s | min | max |", "|---|---|---|---|"]
    for name, times in seconds.items():
        rows.append(f"| {name} | {statistics.median(times):.3f} | {min(times):.3f} | {max(times):.3f} |")
    times = ratios(seconds)
    rows.append(f"| **times faster** | **{statistics.median(times):.1f}** | {min(times):.1f} | {max(times):.1f} |")
    return "\n".join(rows)


def main():
    """Measure both losses on one thread, print the tables; --record keeps them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="epochs per block (10)")
    parser.add_argument("--blocks", type=int, default=5, help="how often each contender runs (5)")
    parser.add_argument("--record", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = [
        table(name, measure(loss, options.epochs, options.blocks))
        for name, loss in {"cross-entropy": F.cross_entropy, "kd_loss": losses.kd_loss}.items()
    ]
    work = f"{SEEDS} students, {options.epochs} epochs of 1,078 examples per block, {options.blocks} blocks each."
    text = "\n\n".join([f"{work} {record.words(record.surroundings())}.", *tables])
    print(text)
    if options.record:
        harness.record("fit_many", text, Path(__file__).with_name("README.md"))


if __name__ == "__main__":
    sys.exit(main())
