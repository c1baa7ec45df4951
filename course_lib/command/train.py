"""`course train`: a teacher, a student, or a student alone, from the command line. Starts without torch.

course train teacher --model resnet9 --data cifar10 --epochs 10
course train student --model resnet8 --teacher runs/teacher-resnet9-cifar10
course train alone   --model resnet8 --seeds 3
torchrun --nproc_per_node 2 -m course_lib train teacher ...       in several processes, on several GPUs

Each run has a folder: weights-SEED.pt, state-SEED (from which the same command goes on), result.json.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from course_lib.command.refused import Refused
from course_lib.command.train_flags import DEFAULTS
from course_lib.files import DataError, keep_folder


def run(options):
    """Train, and print one line per seed; the exit code."""
    import torch

    from course_lib.train import GpuFull, is_first

    if not is_first():  # of several processes, one speaks
        sys.stdout = open(os.devnull, "w")
    try:
        print(f"\n{_train(options)}")
        return 0
    except (GpuFull, torch.OutOfMemoryError):
        batch = options.batch_size
        smaller = f"--batch-size {batch // 2} in place of {batch}, or " if batch > 1 else ""
        print(
            f"\nThe GPU's memory is full. Try {smaller}a smaller --model, or fewer pictures with --examples",
            file=sys.stderr,
        )
        return 1
    except (
        Refused,
        DataError,
        ValueError,
        ArithmeticError,
        MemoryError,
        OSError,
        RuntimeError,
        ImportError,
    ) as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1


def _train(options):
    import torch

    from course_lib import machine
    from course_lib.data import all_views, load, load_uint8, some_views, stratified_split
    from course_lib.losses import cross_entropy, distill_loss
    from course_lib.measure import accuracy, agreement, count_flops, record
    from course_lib.models import keep, network
    from course_lib.train import checkpoint, fit, is_first, one_cycle, predict, sgd

    name, seeds = DEFAULTS[options.role]
    name, seeds = options.model or name, options.seeds or seeds
    if options.role == "student" and not options.teacher:
        raise Refused(
            "A student needs --teacher, the folder of a teacher's run; none came. "
            "Train one first: python -m course_lib train teacher"
        )
    if options.role != "student" and options.teacher:
        raise Refused(f"--teacher is for a student; a run of the role {options.role} learns from labels alone")
    many = min(512, 4 * options.batch_size)  # pictures at once where nobody learns: that takes less memory
    device = machine.device()
    precision = options.precision or ("bfloat16" if device.type == "cuda" else "float32")
    pictures = load("digits") if options.data == "digits" else load_uint8(options.data, size=options.size)
    x, y = pictures.x_train, pictures.y_train
    if options.examples and options.examples < len(x):
        (rows,) = stratified_split(y, (options.examples / len(x),), seed=0)
        x, y = x[rows], y[rows]
    x, y, x_val, x_test = (t.to(device) for t in (x, y, pictures.x_val, pictures.x_test))
    channels, classes = x.shape[1], len(pictures.classes)
    mirror = options.mirror == "yes" if options.mirror else channels == 3
    shift = max(1, x.shape[-1] // 8)
    most = len(all_views(shift, mirror).ids)
    views = some_views(min(options.views, most), shift, mirror)
    data_name = Path(options.data).name
    folder = options.out or keep_folder() / "runs" / f"{options.role}-{name}-{data_name}".replace("/", "-")
    print(
        f"{options.role} {name} on {len(x):,} pictures of {data_name}, {options.epochs} epochs, {device}, "
        f"{precision}; the run's folder is {folder}"
    )

    def logits(model, x):
        return predict(model, x, many, precision).cpu()

    target, loss, asking, teacher = (y,), cross_entropy, 0.0, None
    if options.role == "student":
        teacher = _teacher(Path(options.teacher), options.data, classes, channels).to(device)
        answers, asking = _answers(teacher, x, views, many, options.online, folder)
        target = (y, answers)

        def loss(logits, labels, teacher_logits):
            hard = options.hard_weight
            return distill_loss(logits, labels, teacher_logits, options.T, hard, 1 - hard)

        loss.__qualname__ = (
            f"distill_loss, T={options.T:g}, hard_weight={options.hard_weight:g}"  # a checkpoint knows it
        )

    how = dict(views=views, precision=precision, channels_last=options.channels_last, compile=options.compile)
    how |= dict(epochs=options.epochs, batch_size=options.batch_size, lr=options.lr, optimiser=sgd, schedule=one_cycle)
    students, seconds = [], []
    for seed in range(seeds):
        model = network(name, classes, channels, seed=seed).to(device)
        state = folder / f"state-{seed}"
        fit(model, (x, *target), loss, seed=seed, checkpoint=state, advice=False, **how)  # cli tells how to go on
        if is_first():
            seconds.append(checkpoint.seconds(state))
            keep.save(model, folder / f"weights-{seed}.pt")
        students.append(model)
        print(f"seed {seed}: {accuracy(logits(model, x_val), pictures.y_val)} on val")

    def all_logits(x):
        return torch.stack([logits(model, x) for model in students])

    figures = {"accuracy_val": accuracy(all_logits(x_val), pictures.y_val)}
    if options.test:
        figures["accuracy_test"] = accuracy(all_logits(x_test), pictures.y_test)
    if teacher is not None:
        figures["agreement_val"] = agreement(all_logits(x_val), logits(teacher, x_val))
    result = {
        **{k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("command", "out")},
        **{"model": name, "seeds": seeds, "classes": classes, "channels": channels, "precision": precision},
        **{"n_train": len(x), "n_val": len(x_val), "n_test": len(x_test) if options.test else 0},
        **{key: vars(value) for key, value in figures.items()},
        **{"views": len(views.ids), "mirror": mirror, "size": x.shape[-1]},
        "seconds": seconds,  # of every seed's epochs, over all calls that it took
        "seconds_asking_the_teacher": asking,
        "flops_per_example": count_flops(students[0].cpu(), x[:2].cpu().float(), training=True),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        **record.surroundings(),
    }
    if is_first():
        record.write(folder / "result.json", result)
    return "\n".join(f"{key.replace('_', ' on ')}: {value}" for key, value in figures.items())


def _teacher(folder, data, classes, channels):
    """The teacher of a run's folder, or a sentence."""
    from course_lib import models
    from course_lib.models import keep, network

    try:
        about = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        made = network(about["model"], about["classes"], about["channels"])
    except FileNotFoundError:
        raise Refused(
            f"A teacher's run was expected in {folder}, with result.json and weights-0.pt; it has no result.json. "
            "Train it: python -m course_lib train teacher"
        ) from None
    if (about["classes"], about["channels"]) != (classes, channels):
        raise Refused(
            f"The teacher in {folder} knows {about['classes']} classes of pictures with {about['channels']} channels; "
            f"these data have {classes} and {channels}. Train it on the same data"
        )
    if Path(about["data"]).name != Path(data).name:
        raise Refused(
            f"The teacher in {folder} learned {about['data']}; these data are {data}. Train it on the same data"
        )
    return models.freeze(keep.load(folder / "weights-0.pt", made))


def _answers(teacher, x, views, batch_size, online, folder):
    """What fit is given in place of the teacher, and the seconds that asking it once took, over all calls.

    It is asked once in float32, whatever the student trains in: half precision keeps a logit to 2**-11, bfloat16 to 2**-8.
    """
    from course_lib.answers import Online, answers_fingerprint, build
    from course_lib.measure import record
    from course_lib.train.processes import team

    if online:
        return Online(teacher), 0.0
    path = folder.parent / "answers" / answers_fingerprint(teacher, x, views)[:16]
    kept = path.with_suffix(".json")  # the seconds, beside the answers
    seconds, start = record.read(kept)["seconds"] if kept.exists() else 0.0, time.perf_counter()
    processes = team(x.device)
    if os.environ.get("LOCAL_RANK", "0") == "0" and not path.exists():  # one process per host
        try:
            build(path, teacher, x, views, batch_size)
        finally:  # what was asked before an interruption took its time, too
            seconds += time.perf_counter() - start
            with contextlib.suppress(OSError):  # of a full disk build tells more
                record.write(kept, {"seconds": seconds})
    processes.wait()
    answers = build(path, teacher, x, views, batch_size)
    print(
        f"asking the teacher in {len(views.ids)} views pays off from epoch {len(views.ids) + 1} of all students together"
    )
    return answers, seconds
