"""What everybody in distil_loop does: a pair of networks, pictures in an order and in views, a teacher's answers."""

from pathlib import Path
from typing import NamedTuple

import harness
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, RandomSampler, SequentialSampler, TensorDataset
from torchvision import transforms

from course_lib import answers, data, files, train
from course_lib.data import Views, as_numbers, augment, choose, some_views, sources
from course_lib.models import freeze, network

PAIRS = {"resnet56 to resnet20": ("resnet56", "resnet20"), "resnet32x4 to resnet8x4": ("resnet32x4", "resnet8x4")}
SEED, BATCH, T, HARD, SOFT = 0, 32, 4.0, 0.1, 0.9
SGD = dict(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)
LAYOUT = torch.channels_last
VIEWS = some_views(2, seed=SEED)  # of each picture; how many does not change an epoch's time


def pictures(count):
    """(uint8 (count, 3, 32, 32), labels (count,), what they are): CIFAR-10's where it is, else the digits."""
    places = [files.data_folder(), files.keep_folder()]
    with harness.quietly():  # it tells what it found, and load_uint8 will tell it again
        paths, _ = sources.named("cifar10", places)
    if all(Path(file).exists() for file in paths):
        found = data.load_uint8("cifar10")
        return found.x_train[:count].clone(), found.y_train[:count].clone(), "CIFAR-10"
    digits = data.load("digits")
    x = (digits.x_train[:count] * 255).byte().repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    return x.contiguous(), digits.y_train[:count], "scikit-learn's digits at 32x32, because CIFAR-10 is not here"


class Task(NamedTuple):
    """What everybody does."""

    teacher: nn.Module | None
    student: nn.Module  # with its initial weights; it is a copy that is trained
    x: torch.Tensor  # uint8 (N, 3, 32, 32); float64 in the gate
    y: torch.Tensor  # (N,)
    views: Views
    answers: answers.Cached | None  # the teacher's, asked beforehand
    batch: int
    sgd: dict


def teacher_of(pair, dtype=torch.float32):
    """A pair's teacher, untrained and frozen: how fast it is does not depend on what it knows."""
    return freeze(network(PAIRS[pair][0], seed=1).to(dtype).to(memory_format=LAYOUT))


def student_of(pair, dtype=torch.float32):
    """A pair's student with the first weights of SEED, in the memory order that all contenders use."""
    return network(PAIRS[pair][1], seed=SEED).to(dtype).to(memory_format=LAYOUT)


def settle(teacher, x):
    """Give the teacher's batch normalisation the statistics of these pictures, so that its logits have a sane size."""
    norms = [part for part in teacher.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        teacher(as_numbers(x))
    teacher.eval()


def make(pair, x, y, batch, path, dtype=torch.float32, kept=torch.float16, sgd=SGD):
    """The work of a pair on pictures x; the teacher's answers to some views are kept in the file `path`, as `kept`."""
    teacher = teacher_of(pair, dtype)
    settle(teacher, x[:batch])
    kept_answers = answers.build(path, teacher, x, VIEWS, dtype=kept)
    return Task(teacher, student_of(pair, dtype), x, y, VIEWS, kept_answers, batch, sgd)


def batches(task):
    """The batches as fit takes them in its first epoch: (pictures in their views (B, 3, h, w), labels (B,)) each."""
    view = choose(task.views, len(task.x), SEED, 0)
    for rows in train.order(len(task.x), SEED, 0).split(task.batch):
        pictures = as_numbers(augment(task.x[rows], view[rows], task.views.shift))
        yield pictures.contiguous(memory_format=LAYOUT), task.y[rows]


class Stored(Dataset):
    """Pictures as torchvision's CIFAR10 keeps and gives them: one array in memory, a PIL image when asked."""

    usual = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )  # Normalize is the first layer of the networks here, for everybody

    def __init__(self, x, y):
        self.arrays, self.labels = x.permute(0, 2, 3, 1).contiguous().numpy(), y.tolist()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return self.usual(Image.fromarray(self.arrays[row])), self.labels[row]


def data_set(task, pictures):
    """(data set, sampler): pictures for loaders that augment them; else the very batches that we train on."""
    if pictures:
        return Stored(task.x, task.y), RandomSampler
    parts = [torch.cat(part) for part in zip(*batches(task), strict=True)]
    return TensorDataset(*parts), SequentialSampler
