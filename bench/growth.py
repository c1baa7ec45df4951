"""Does the cost grow linearly? Seconds per epoch of our loop with a cached teacher, by examples and by parameters.

Parameters grow by layers here, as in the ResNets of He et al.: each further block of a stage costs the same again. A
network that grows by width gets faster per parameter, because wider products use the processor better.
"""

import statistics
import tempfile
from pathlib import Path

import contenders
import harness
import numpy as np
import tasks

from course_lib import cache, plots
from course_lib.convnets import network
from course_lib.models import count_parameters
from course_lib.views import some_views

EXAMPLES = (32, 64, 96, 128, 192)  # with resnet20
DEPTHS = (8, 14, 20, 26, 32)  # with 64 examples
BATCH, DEPTH, FIXED = 32, 20, 64


def measure(x, y, blocks=5, examples=EXAMPLES, depths=DEPTHS):
    """{"examples": [(examples, seconds)], "parameters": [(parameters, seconds)]}, each a median of `blocks` epochs."""
    times = -(-max(*examples, FIXED) // len(x))  # the same pictures again, where there are too few of them
    x, y = x.repeat(times, 1, 1, 1), y.repeat(times)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def epoch(depth, n):
            student = network(f"resnet{depth}").to(memory_format=tasks.LAYOUT)
            path = Path(folder) / f"answers-{n}"
            teacher = network("resnet8", seed=1)
            tasks.settle(teacher, x[:BATCH])
            views = some_views(1)
            answers = cache.build(path, teacher, x[:n], views)
            task = tasks.Task(None, student, x[:n], y[:n], views, answers, BATCH, tasks.SGD)
            return contenders.ours_cached(task, student), count_parameters(student)

        by_examples = {n: epoch(DEPTH, n) for n in examples}
        by_depth = {depth: epoch(depth, FIXED) for depth in depths}
        runs = {("n", n): run for n, (run, _) in by_examples.items()}
        runs |= {("depth", depth): run for depth, (run, _) in by_depth.items()}
        for run in runs.values():
            run()
        seconds = {key: statistics.median(times) for key, times in harness.in_blocks(runs, blocks)[0].items()}
    return {
        "examples": [(n, seconds["n", n]) for n in examples],
        "parameters": [(by_depth[depth][1], seconds["depth", depth]) for depth in depths],
    }


def line(points):
    """(slope, share): seconds per unit along the best line, and the largest distance from it as a share of its top."""
    x, y = np.array(points, dtype=float).T
    slope, start = np.polyfit(x, y, 1)
    off = np.abs(y - (slope * x + start)).max() / y.max()
    return float(slope), float(off)


def sentence(found):
    """What the picture shows, in words."""
    (per_example, off), (per_parameter, off_parameters) = line(found["examples"]), line(found["parameters"])
    return (
        f"An epoch grows by {per_example * 1e3:.1f} ms per example (resnet20; no epoch is further than {off:.0%} of the longest "
        f"from that line) and by {per_parameter * 1e6:.2f} s per million parameters ({FIXED} examples, ResNets of "
        f"{DEPTHS[0]} to {DEPTHS[-1]} layers; no epoch is further than {off_parameters:.0%} from that line)."
    )


def alt(found):
    def told(points, unit):
        return "; ".join(f"{x:,} {unit} {seconds:.2f} s" for x, seconds in points)

    return (
        "Two plots of seconds per epoch with a cached teacher, each with the best straight line. Left, resnet20: "
        f"{told(found['examples'], 'examples')}. Right, ResNets that grow by layers, {FIXED} examples: "
        f"{told(found['parameters'], 'parameters')}."
    )


def picture(found):
    """The figure: measured epochs, and the best line through them."""
    fig, axes = plots.figure(9, 3.5, columns=(1, 1))
    labels = {"examples": "examples (resnet20)", "parameters": f"parameters (8 to 32 layers, {FIXED} examples)"}
    for ax, (name, xlabel) in zip(axes, labels.items(), strict=True):
        x, y = np.array(found[name], dtype=float).T
        slope, start = np.polyfit(x, y, 1)
        ax.plot(x, slope * x + start, "--", color=plots.ROLE["control"][0], linewidth=1)
        plots.lines(x.tolist(), {"student": y.tolist()}, xlabel, "seconds per epoch", ax)
        ax.set_ylim(0)
    return fig
