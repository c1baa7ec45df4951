"""The same work, done in several ways: one epoch of a student that learns from labels and from a teacher.

A contender is a function (task, student) -> run. run() trains the student once over all batches of the work and returns
the losses of its steps. What can be made ready is made ready before run(), outside the time. Everybody has the same
initial weights, order, batches, loss weights, optimiser, precision and memory layout (channels_last).

Ours are the course's own fit, which cuts its views out of uint8 pictures within its time; the others are handed the
very same views, cut out beforehand. With pictures=True a contender starts from stored pictures and its own loader.
"""

import time

import harness
import torch
import torch.nn.functional as F
from tasks import HARD, LAYOUT, SEED, SOFT, T, batches, data_set
from torch.utils.data import DataLoader

from course_lib import answers, losses, train

# ---- ours ----


def ours(task, student, answers):
    """The course's fit, called for one epoch; answers: the teacher's, cached or online."""
    options = {name: value for name, value in task.sgd.items() if name != "lr"}

    def run():
        heard = []

        def loss(logits, labels, teacher_logits):
            heard.append(losses.distill_loss(logits, labels, teacher_logits, T, HARD, SOFT))
            return heard[-1]

        with harness.quietly():  # its line of progress would fall into the tables
            train.fit(
                student,
                (task.x, task.y, answers),
                loss,
                epochs=1,
                batch_size=task.batch,
                lr=task.sgd["lr"],
                seed=SEED,
                views=task.views,
                optimiser=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, **options),
                channels_last=True,
            )
        return [value.item() for value in heard]

    return run


def ours_cached(task, student):
    """Ours, with the teacher's answers asked beforehand and looked up."""
    return ours(task, student, task.answers)


def ours_online(task, student):
    """Ours, with a teacher that is asked at every step."""
    return ours(task, student, answers.Online(task.teacher))


# ---- others ----


def limit(task, student):
    """The student alone on the same batches: nothing but its steps. No way of distilling can be faster."""
    ready = list(batches(task))
    optimiser = torch.optim.SGD(student.parameters(), **task.sgd)

    def run():
        student.train()
        heard = []
        for pictures, labels in ready:
            optimiser.zero_grad()
            loss = F.cross_entropy(student(pictures), labels)
            loss.backward()
            optimiser.step()
            heard.append(loss.detach())
        return [value.item() for value in heard]

    return run


def teacher_alone(task):
    """The teacher's answers to the same batches: what an online teacher costs at the very least."""
    ready = list(batches(task))

    @torch.no_grad()
    def run():
        for pictures, _ in ready:
            task.teacher(pictures)

    return run


def common(task, student, pictures=False):
    """The loop of most tutorials: the teacher is asked at every step, and the loss is read out at every step."""
    data, sampler = data_set(task, pictures)
    loader = DataLoader(data, task.batch, sampler=sampler(data))
    optimiser = torch.optim.SGD(student.parameters(), **task.sgd)

    def run():
        student.train()
        task.teacher.eval()
        heard = []
        for x, y in loader:
            x = x.to("cpu", memory_format=LAYOUT)
            with torch.no_grad():
                teacher_logits = task.teacher(x)
            logits = student(x)
            soft = F.kl_div(F.log_softmax(logits / T, 1), F.softmax(teacher_logits / T, 1), reduction="batchmean")
            loss = HARD * F.cross_entropy(logits, y) + SOFT * T**2 * soft
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            heard.append(loss.item())
        return heard

    return run


def loader_alone(task):
    """The common loop's loader with nothing behind it: what starting from stored pictures costs it."""
    data, sampler = data_set(task, True)
    loader = DataLoader(data, task.batch, sampler=sampler(data))

    def run():
        for x, _ in loader:
            x.to("cpu", memory_format=LAYOUT)

    return run


def torchdistill(task, student, pictures=False):
    """torchdistill's own box, loader, loss and meters, driven as its image_classification example drives them.

    Version 1.1.5 leaves the teacher in whichever mode it comes (since its commit fcc8727), so the caller puts it in
    eval mode, here and at every start. The box freezes the teacher's weights: requires_grad is False.
    """
    from torchdistill.core.distillation import get_distillation_box
    from torchdistill.misc.log import MetricLogger, SmoothedValue

    data, sampler = data_set(task, pictures)
    network_config = {"forward_proc": "forward_batch_only", "sequential": [], "forward_hook": {}}
    config = {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": sampler},
            "kwargs": {"batch_size": task.batch},
        },
        "teacher": {**network_config, "requires_grad": False},
        "student": {**network_config, "requires_grad": True},
        "optimizer": {"key": "SGD", "kwargs": dict(task.sgd)},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": _kd_loss()}, "weight": 1.0}}},
        },
    }
    device = torch.device("cpu")
    box = get_distillation_box(task.teacher, student, {"train": data}, config, device, None, False, 1.0)

    def run():
        heard = []
        task.teacher.eval()
        box.pre_epoch_process(epoch=0)
        meters = MetricLogger(delimiter="  ")
        meters.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
        meters.add_meter("img/s", SmoothedValue(window_size=10, fmt="{value}"))
        for x, y, supplement in meters.log_every(box.train_data_loader, 50, "Epoch: [0]"):
            start = time.time()
            x, y = x.to(device, memory_format=LAYOUT), y.to(device)
            loss = box.forward_process(x, y, supplement)
            box.post_forward_process(loss=loss)
            heard.append(loss.item())
            meters.update(loss=heard[-1], lr=box.optimizer.param_groups[0]["lr"])
            meters.meters["img/s"].update(len(x) / (time.time() - start))
            if torch.isnan(loss) or torch.isinf(loss):
                raise FloatingPointError("torchdistill's loss is not a finite number")
        box.post_epoch_process()
        return heard

    return run


def _kd_loss():
    places = {
        f"{who}_module_{what}": at for who in ("student", "teacher") for what, at in (("path", "."), ("io", "output"))
    }
    return {**places, "temperature": T, "alpha": HARD, "beta": SOFT, "reduction": "batchmean"}


CACHED, ONLINE, LIMIT, TORCHDISTILL, COMMON = "ours, cached", "ours, online", "the limit", "torchdistill", "common loop"
DISTILLING = {CACHED: ours_cached, ONLINE: ours_online, TORCHDISTILL: torchdistill, COMMON: common}
ALL = {LIMIT: limit, **DISTILLING}
