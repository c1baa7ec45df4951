"""How fast does a student learn from a teacher: with our loop, with others', and at the limit?

    python bench/distil_loop.py                 checks, measures, prints the tables; about 12 minutes
    python bench/distil_loop.py --json FILE     also writes every number
    python bench/distil_loop.py --record        also writes the tables and the picture of bench/README.md

The work: one epoch over a few batches of 32x32 pictures, for two teacher-student pairs. First the gate (gate.py): all
contenders (contenders.py) take the same first step, to 1e-6 in float64. Then they work in turn, block by block, with one thread
and with two. A ratio is taken within a block; its median, minimum and maximum over the blocks are shown.

The bound: a cached teacher can at best save the teacher's forward pass, so it can be at most
(teacher's forward pass + student alone) / student alone times as fast as an online one. Both are timed in every block.
From stored pictures it can save the loader's time, too.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import contenders
import fit_many
import gate
import growth
import harness
import memory
import tasks
import torch
import torch.nn.functional as F
from contenders import CACHED, COMMON, LIMIT, ONLINE, TORCHDISTILL
from harness import Spread, spread
from tasks import BATCH

from course_lib import losses
from course_lib.measure import cost, record

STORED = ", from stored pictures"
TEACHER, LOADER = "the teacher's forward pass", "the loader of stored pictures"
STEPS = {"resnet56 to resnet20": 6, "resnet32x4 to resnet8x4": 2}  # of a block; the wide pair's take five times as long
BARS = {
    "cached_over_limit": 0.95,
    "cached_over_torchdistill_share_of_bound": 0.95,
    "online_over_common": 0.97,
    "end_to_end_share_of_bound": 0.9,
}
JUDGED = "The bars are judged with one thread, as the top level of the JSON is; the verdicts with two threads are for information."
HERE = Path(__file__).resolve().parent


def bound(teacher, limit, loader=0.0):
    """How many times as fast as an online teacher a cached one can be at most, from seconds for the same pictures."""
    return (loader + teacher + limit) / limit


def ratios(seconds):
    """{name: [its value in each block]} of seconds {contender: [of each block]}."""
    found = {name: [] for name in (*BARS, "bound", "cached_over_torchdistill", "cached_over_common")}
    found |= {"end_to_end_bound": [], "end_to_end": []}
    for block in range(len(seconds[LIMIT])):
        s = {name: times[block] for name, times in seconds.items()}
        best, best_stored = bound(s[TEACHER], s[LIMIT]), bound(s[TEACHER], s[LIMIT], s[LOADER])
        now = {
            "bound": best,
            "cached_over_limit": s[LIMIT] / s[CACHED],
            "cached_over_torchdistill": s[TORCHDISTILL] / s[CACHED],
            "cached_over_torchdistill_share_of_bound": s[TORCHDISTILL] / s[CACHED] / best,
            "cached_over_common": s[COMMON] / s[CACHED],
            "online_over_common": s[COMMON] / s[ONLINE],
            "end_to_end_bound": best_stored,
            "end_to_end": s[COMMON + STORED] / s[CACHED],
            "end_to_end_share_of_bound": s[COMMON + STORED] / s[CACHED] / best_stored,
        }
        for name, value in now.items():
            found[name].append(value)
    return found


def everything(task):
    """({name: run} of all that is timed, a function that gives the student its initial weights back)."""
    student = copy.deepcopy(task.student)  # one for all: each has its own optimiser, and starts from the same weights
    runs = {name: contender(task, student) for name, contender in contenders.ALL.items()}
    runs |= {TEACHER: contenders.teacher_alone(task), LOADER: contenders.loader_alone(task)}
    for name in (COMMON, TORCHDISTILL):
        runs[name + STORED] = contenders.ALL[name](task, student, pictures=True)
    return runs, lambda: student.load_state_dict(task.student.state_dict())


def warm_up(runs, before):
    """Each once, not timed. What starts from the same numbers must also start with the same loss, to one per cent."""
    first = {}
    for name, run in runs.items():
        before()
        first[name] = (run() or [None])[0]
    for name in (CACHED, ONLINE, TORCHDISTILL):
        assert abs(first[name] / first[COMMON] - 1) < 0.01, (
            f"{name} starts with a loss of {first[name]}, not {first[COMMON]}"
        )


def measure(task, least=5, seconds=0.0, threads=1):
    """({name: [seconds of each block]} on the clock, the same in processor time) with so many threads."""
    runs, before = everything(task)
    torch.set_num_threads(threads)
    warm_up(runs, before)
    twice = (LIMIT, CACHED, TEACHER)  # the shortest, on which every ratio leans
    return harness.in_blocks(runs, least, seconds, before, twice, (time.perf_counter, time.process_time))


def summary(seconds, processor_seconds, count):
    """One row of the JSON: images per second of every contender, and the ratios, each with its spread over the blocks."""
    speeds = {name: spread([count / s for s in times])._asdict() for name, times in seconds.items()}
    on_clock, in_time = (
        {name: spread(values)._asdict() for name, values in ratios(each).items()}
        for each in (seconds, processor_seconds)
    )
    row = {"blocks": len(seconds[LIMIT]), "images_per_second": speeds}
    return row | {"ratios": on_clock, "ratios_of_processor_time": in_time}


def smaller(pairs, threads):
    """{ratio with a bar: its median for the pair where that is smaller}, with so many threads."""
    return {one: min(pair["threads"][threads]["ratios"][one]["median"] for pair in pairs.values()) for one in BARS}


# ---- the page ----


def pair_tables(name, pair):
    """Markdown: a pair's images per second, ratios and memory."""
    threads = list(pair["threads"])
    head = [f"| {name}, images per second | " + " | ".join(map(_threads, threads)) + " | memory, MB |"]
    rows = [*head, "|---|" + "---|" * (len(threads) + 1)]
    for one in pair["threads"][threads[0]]["images_per_second"]:
        speeds = [f"{Spread(**pair['threads'][n]['images_per_second'][one]):.0f}" for n in threads]
        needed = pair["memory_bytes"].get(one)
        rows.append(f"| {one} | " + " | ".join(speeds) + f" | {'' if needed is None else f'{needed / 1e6:.0f}'} |")
    columns = {_threads(n): pair["threads"][n]["ratios"] for n in threads}
    columns["1 thread, processor time"] = pair["threads"]["1"]["ratios_of_processor_time"]
    rows += ["", "| ratio | bar | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for one in columns["1 thread"]:
        values = [f"{Spread(**ratios[one]):.2f}" for ratios in columns.values()]
        rows.append(f"| {one} | {BARS.get(one, '')} | " + " | ".join(values) + " |")
    return "\n".join(rows)


def _threads(n):
    return f"{n} thread{'s' * (int(n) > 1)}"


def page(found):
    """Markdown: all tables of a run."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    parts = [
        f"{found['date']}: {found['hardware']}, {found['system']}, Python {found['python']}, {versions}. "
        f"Pictures: {found['pictures']}. Others used {found['others_share']:.1%} of the processors meanwhile; the whole took "
        f"{found['seconds'] / 60:.0f} minutes.",
        f"Batch {found['batch']}, {found['precision']}, {found['layout']}, for everybody. Each number is a median over blocks, "
        "with minimum and maximum; a ratio is taken within each block.",
    ]
    for name, pair in found["pairs"].items():
        blocks = " and ".join(f"{n} blocks with {_threads(threads)}" for threads, n in found["n"][name].items())
        parts.append(
            f"**{name}**: {blocks}, {pair['steps_per_block']} steps each. By FLOPs the bound is {pair['flops_bound']:.2f}. In the "
            f"gate the largest difference was {max(pair['gate_largest_difference'].values()):.0e}. To ask the teacher once about "
            f"one view of every picture costs as much as {pair['break_even_epochs_per_view']:.1f} epochs with its answers save."
        )
        parts.append(pair_tables(name, pair))
    many = ", ".join(f"{Spread(**one):.1f} with {name}" for name, one in found["fit_many"].items())
    many = f"fit_many against the leanest loop, times as fast: {many}."
    return "\n\n".join([*parts, bars_table(found), JUDGED, many, growth.sentence(found["growth"])])


def bars_table(found):
    """Markdown: each bar, and whether the smaller of the two pairs meets it, with one thread and with two."""
    rows = ["| the smaller of the two pairs | bar | 1 thread | | 2 threads | |", "|---|---|---|---|---|---|"]
    for one, bar in BARS.items():
        values = found[one], found["two_threads"].get(one)
        cells = [" | " if v is None else f"{v:.3f} | {'met' if v >= bar else 'not met'}" for v in values]
        rows.append(f"| {one} | {bar} | {' | '.join(cells)} |")
    return "\n".join(rows)


def measure_pair(name, x, y, answers, threads, seconds):
    """Everything about one pair, as the JSON holds it. answers: the file for the cached teacher."""
    say(f"{name}: the gate")
    off = {who: max(both) for who, both in gate.check(name, x, y).items()}
    x, y = x[: STEPS[name] * BATCH], y[: STEPS[name] * BATCH]
    torch.set_num_threads(1)
    task, rows = tasks.make(name, x, y, BATCH, answers), {}
    for n in threads:
        say(f"{name}: {_threads(n)}")
        rows[str(n)] = summary(*measure(task, seconds=seconds / n, threads=n), len(x))
    torch.set_num_threads(1)
    say(f"{name}: memory")
    needed = memory.measure(name, task, answers)
    speeds = {who: Spread(**one).median for who, one in rows["1"]["images_per_second"].items()}
    teacher, student = cost.count_flops(task.teacher, x[:1] / 255), cost.count_flops(task.student, x[:1] / 255, True)
    return {
        **{one: rows["1"]["ratios"][one]["median"] for one in BARS},
        "steps_per_block": STEPS[name],
        "threads": rows,
        "memory_bytes": needed,
        "flops_per_example": {"teacher": teacher, "student_step": student},
        "flops_bound": bound(teacher, student),
        "break_even_epochs_per_view": (1 / speeds[TEACHER]) / (1 / speeds[COMMON] - 1 / speeds[CACHED]),
        "gate_largest_difference": off,
    }


def measure_all(seconds, busy):
    """The whole bench, as the JSON holds it."""
    started, look = time.perf_counter(), harness.processors()
    if not busy:
        harness.refuse_if_busy()
    threads = [n for n in (1, 2) if n <= (os.cpu_count() or 1)]
    x, y, what = tasks.pictures(max(STEPS.values()) * BATCH)
    gate.check_pictures(x, y)
    pairs, here = {}, record.surroundings()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for number, name in enumerate(tasks.PAIRS):
            pairs[name] = measure_pair(name, x, y, Path(folder) / f"answers-{number}", threads, seconds)
    torch.set_num_threads(1)
    say("fit_many")
    kinds = {"cross-entropy": F.cross_entropy, "kd_loss": losses.kd_loss}
    many = {kind: spread(fit_many.ratios(fit_many.measure(loss, epochs=5)))._asdict() for kind, loss in kinds.items()}
    say("growth")
    return {
        **smaller(pairs, "1"),
        "two_threads": smaller(pairs, "2") if 2 in threads else {},
        "bars": BARS,
        "n": {name: {n: row["blocks"] for n, row in pair["threads"].items()} for name, pair in pairs.items()},
        "batch": BATCH,
        "precision": "float32",
        "layout": "channels_last",
        "pictures": what,
        "pairs": pairs,
        "fit_many": many,
        "growth": growth.measure(x, y),
        **here,
        "hardware": f"{here['processor']}, {here['cores']} cores",
        "versions": {package: version(package) for package in ("torch", "torchvision", "torchdistill")},
        "threads": threads,
        "others_share": harness.others(look, harness.processors()),
        "seconds": time.perf_counter() - started,
    }


def say(what):
    """A line of progress, with the time of day, on the error stream: what is printed stays the page."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main():
    """Measure, print the page; --json and --record keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write every number into this file")
    parser.add_argument("--record", action="store_true", help="write the tables and the picture of bench/README.md")
    parser.add_argument("--busy", action="store_true", help="measure although others use the processors")
    parser.add_argument(
        "--seconds", type=float, default=150, help="per pair with one thread, half with two; at least 5 blocks (150)"
    )
    options = parser.parse_args()
    found = measure_all(options.seconds, options.busy)
    text = page(found)
    print(text)
    if options.json:
        record.write(options.json, found)
    if options.record:
        growth.picture(found["growth"]).savefig(HERE / "growth.png", dpi=144)
        harness.record("distil_loop", f"{text}\n\n![{growth.alt(found['growth'])}](growth.png)", HERE / "README.md")


if __name__ == "__main__":
    sys.exit(main())
