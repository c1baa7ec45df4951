"""What a model costs: FLOPs and bytes, counted, and seconds, timed."""

import copy
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode


def count_flops(model, x, training=False):
    """FLOPs per example for x (B, ...): of an answer, or with training=True of a training step (forward and backward).

    torch counts matrix products and convolutions, a multiplication and an addition as two; the rest (biases, ReLU, the
    loss, the optimiser) is small and is left out.
    """
    model = copy.deepcopy(model).requires_grad_(training)  # nothing of the caller's model changes
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        output = model(x)
        if training:
            output.sum().backward()
    return counter.get_total_flops() / len(x)


def count_bytes(model):
    """Bytes of a model's weights in memory."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


@torch.no_grad()
def count_seconds(model, x, runs=5):
    """Seconds per example of an answer to x (B, ...): the median of some runs, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        model(x).flatten()[0].item()  # .item() waits for a GPU to finish
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / len(x)
