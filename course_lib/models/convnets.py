"""Convolutional networks for small pictures: ResNets as CIFAR-10 knows them, a quick teacher, and torchvision's by name.

Every network takes pictures (B, channels, h, w) as numbers in [0, 1] and does its own normalisation, so that a teacher
and a student that look at the same picture each see it as they learned to see it.
"""

import contextlib
import difflib
import re

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.files import quoted

FAMILIAR = ("resnet8", "resnet20", "resnet56", "resnet8x4", "resnet32x4", "resnet9", "resnet9-16")
TORCHVISION = tuple(
    f"torchvision/{name}" for name in ("resnet18", "resnet34", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large")
)
MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)  # of CIFAR-10's training pictures, by colour


class Normalise(nn.Module):
    """(x - mean) / std, by channel: of CIFAR-10 for three channels, 0.5 and 0.25 for any other number."""

    def __init__(self, channels):
        super().__init__()
        mean, std = (MEAN, STD) if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x):
        """x (B, channels, h, w) in [0, 1] -> the same shape, about mean 0 and deviation 1."""
        return (x - self.mean) / self.std


def conv(c_in, c_out, stride=1, size=3):
    """A convolution without a bias, and the batch normalisation that makes a bias needless."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False), nn.BatchNorm2d(c_out))


class Block(nn.Module):
    """Two convolutions beside a path that skips them (He et al., 2016). (B, c_in, h, w) -> (B, c_out, h/s, w/s)."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.body = nn.Sequential(conv(c_in, c_out, stride), nn.ReLU(), conv(c_out, c_out))
        same = stride == 1 and c_in == c_out
        self.skip = nn.Identity() if same else conv(c_in, c_out, stride, size=1)

    def forward(self, x):
        """x (B, c_in, h, w) -> (B, c_out, h/s, w/s)."""
        return F.relu(self.body(x) + self.skip(x))


class Add(nn.Module):
    """x + body(x)."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        """x (B, ...) -> the same shape."""
        return x + self.body(x)


class Scale(nn.Module):
    """x * factor: keeps the first logits small."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        """Logits (B, C) -> (B, C)."""
        return x * self.factor

    def extra_repr(self):
        """The factor, in str(model): so that a fingerprint of the model knows it."""
        return f"factor={self.factor}"


def resnet(depth=20, widths=(16, 16, 32, 64), classes=10, channels=3, seed=0):
    """The ResNet of He et al. (2016, section 4.2): 6n + 2 layers in three stages, (B, channels, h, w) -> (B, C).

    widths: channels of the first layer and of the three stages. resnet(20) and resnet(56) are the paper's; "8x4" and
    "32x4" of the distillation literature are resnet(8, (32, 64, 128, 256)) and resnet(32, (32, 64, 128, 256)).
    """
    if (depth - 2) % 6 or depth < 8:
        raise ValueError(
            f"a ResNet of this kind has 6n + 2 layers: 8, 14, 20, 32, 56, 110; depth came as {quoted(depth)}"
        )
    with _seeded(seed):
        layers = [Normalise(channels), conv(channels, widths[0]), nn.ReLU()]
        c_in = widths[0]
        for stage, c_out in enumerate(widths[1:]):
            for block in range((depth - 2) // 6):
                layers.append(Block(c_in, c_out, stride=2 if stage and not block else 1))
                c_in = c_out
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, classes)]
        return _he(nn.Sequential(*layers))


def resnet9(width=64, classes=10, channels=3, seed=0):
    """A short, wide ResNet that learns CIFAR-10 in a few epochs (Page, 2018). (B, channels, h, w) -> (B, C).

    Pictures of 8 x 8 and larger. width: channels of the first layer; the last has eight times as many.
    """

    def halved(c_in, c_out):
        return [*conv(c_in, c_out), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]

    def added(c):
        return Add(nn.Sequential(*conv(c, c), nn.ReLU(), *conv(c, c), nn.ReLU()))

    with _seeded(seed):
        return nn.Sequential(
            Normalise(channels),
            *conv(channels, width),
            nn.ReLU(),
            *halved(width, 2 * width),
            added(2 * width),
            *halved(2 * width, 4 * width),
            *halved(4 * width, 8 * width),
            added(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Linear(8 * width, classes, bias=False),
            Scale(0.125),
        )


def network(name, classes=10, channels=3, seed=0):
    """A network by its name; its initial weights are a function of the seed.

    resnet8, resnet14, resnet20, resnet32, resnet56, resnet110; the same four times as wide, resnet8x4 or resnet32x4;
    resnet9, or resnet9-16 with another width; torchvision/resnet18 and torchvision's other ResNets and MobileNetV3s.
    """
    if match := re.fullmatch(r"resnet9(?:-([1-9]\d*))?", name):
        return resnet9(int(match[1] or 64), classes, channels, seed)
    if match := re.fullmatch(r"resnet(\d+)(x4)?", name):
        widths = (32, 64, 128, 256) if match[2] else (16, 16, 32, 64)
        return resnet(int(match[1]), widths, classes, channels, seed)
    if name in TORCHVISION:
        return _torchvision(name.removeprefix("torchvision/"), classes, channels, seed)
    near = difflib.get_close_matches(name, (*FAMILIAR, *TORCHVISION), n=1)
    raise ValueError(
        f"no network is called {quoted(name)}; "
        + (f"did you mean {near[0]!r}? " if near else "")
        + f"There are {', '.join(FAMILIAR)} and their like, and {', '.join(TORCHVISION)}"
    )


def _torchvision(name, classes, channels, seed):
    """torchvision's network without pretrained weights; its first layers, made for large pictures, no longer shrink."""
    import torchvision

    with _seeded(seed):
        net = getattr(torchvision.models, name)(num_classes=classes)
        if name.startswith("resnet"):
            net.conv1, net.maxpool = nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.Identity()
        else:
            net.features[0][0] = nn.Conv2d(channels, net.features[0][0].out_channels, 3, 1, 1, bias=False)
        return nn.Sequential(Normalise(channels), net)


@contextlib.contextmanager
def _seeded(seed):
    """The random numbers of this seed for a while; afterwards the generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _he(net):
    """He et al.'s initial weights for every convolution (2015, equation 14)."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return net
