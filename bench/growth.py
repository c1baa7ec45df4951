"""Does the cost grow linearly? Seconds per epoch of our loop with a cached teacher, by examples and by parameters.

Parameters grow by layers here, as in the ResNets of He et al.: each further block of a stage costs the same again. A
network that grows by width gets faster per parameter, because wider products use the processor better.
"""

import tempfile
from pathlib import Path

import contenders
import harness
import numpy as np
import tasks

from course_lib import answers, plots
from course_lib.data import some_views
from course_lib.models import count_parameters, network

EXAMPLES = (32, 64, 96, 128, 192)  # with resnet20
DEPTHS = (8, 14, 20, 26, 32)  # with 64 examples
BATCH, DEPTH, FIXED = 32, 20, 64


def measure(x, y, blocks=5, examples=EXAMPLES, depths=DEPTHS):
    """{"examples": rows, "parameters": rows}: so many of them, and an epoch's seconds: median, min, max of `blocks` epochs."""
    times = -(-max(*examples, FIXED) // len(x))  # the same pictures again, where there are too few of them
    x, y = x.repeat(times, 1, 1, 1), y.repeat(times)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def epoch(depth, n):
            student = network(f"resnet{depth}").to(memory_format=tasks.LAYOUT)
            path = Path(folder) / f"answers-{n}"
            teacher = network("resnet8", seed=1)
            tasks.settle(teacher, x[:BATCH])
            views = some_views(1)
            kept = answers.build(path, teacher, x[:n], views)
            task = tasks.Task(None, student, x[:n], y[:n], views, kept, BATCH, tasks.SGD)
            return contenders.ours_cached(task, student), count_parameters(student)

        by_examples = {n: epoch(DEPTH, n) for n in examples}
        by_depth = {depth: epoch(depth, FIXED) for depth in depths}
        runs = {("n", n): run for n, (run, _) in by_examples.items()}
        runs |= {("depth", depth): run for depth, (run, _) in by_depth.items()}
        for run in runs.values():
            run()
        seconds = {key: harness.spread(times) for key, times in harness.in_blocks(runs, blocks)[0].items()}
    return {
        "examples": [(n, *seconds["n", n]) for n in examples],
        "parameters": [(by_depth[depth][1], *seconds["depth", depth]) for depth in depths],
    }


def line(rows):
    """(slope, start, off): seconds = start + slope * x, the best line, and the largest distance of a median from it.

    rows: (x, median, ...) each. The distance is a share of the longest epoch.
    """
    x, y = np.array(rows, dtype=float).T[:2]
    slope, start = np.polyfit(x, y, 1)
    return float(slope), float(start), float(np.abs(y - (slope * x + start)).max() / y.max())


def sentence(found):
    """What the picture shows, in words."""
    (per_example, _, off), (per_parameter, _, off_parameters) = line(found["examples"]), line(found["parameters"])
    return (
        f"An epoch takes {per_example * 1e3:.1f} ms more per example (resnet20; the medians lie within {off:.0%} of the longest "
        f"epoch of a line) and {per_parameter * 1e6:.2f} s more per million parameters ({FIXED} examples, ResNets of "
        f"{DEPTHS[0]} to {DEPTHS[-1]} layers; within {off_parameters:.0%} of a line)."
    )


def alt(found):
    """The picture's alt text, with every number of it."""

    def told(rows, unit):
        return "; ".join(f"{x:,} {unit} {seconds:.2f} s" for x, seconds, *_ in rows)

    return (
        "Two plots of seconds per epoch with a cached teacher, each with the best straight line. Left, resnet20: "
        f"{told(found['examples'], 'examples')}. Right, ResNets that grow by layers, {FIXED} examples: "
        f"{told(found['parameters'], 'parameters')}."
    )


def picture(found):
    """The figure: each epoch's median, from its minimum to its maximum, and the best line through the medians."""
    fig, axes = plots.figure(9, 3.5, columns=(1, 1))
    labels = {"examples": ("examples (resnet20)", 1), "parameters": (f"thousand parameters ({FIXED} examples)", 1000)}
    colour, marker = plots.look("student")
    for ax, (name, (xlabel, unit)) in zip(axes, labels.items(), strict=True):
        x, y, low, high = np.array(found[name], dtype=float).T
        slope, start, _ = line(found[name])
        ends = np.array([0, x.max()])
        ax.plot(ends / unit, start + slope * ends, "--", color=plots.look("control")[0], linewidth=1)
        ax.vlines(x / unit, low, high, color=colour, linewidth=2)
        ax.plot(x / unit, y, marker, color=colour, markersize=7, markeredgecolor="white")
        ax.set(xlabel=f"{xlabel}\nbars: minimum to maximum of the blocks", ylabel="seconds per epoch", ylim=0)
    return fig
