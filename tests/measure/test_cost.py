"""What a model costs is what counting by hand gives."""

import torch
from torch import nn

from course_lib.measure import count_bytes, count_flops, count_seconds


def test_flops_are_those_counted_by_hand():
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    x = torch.randn(8, 64)
    forward = 2 * (64 * 16 + 16 * 10)
    backward = forward + 2 * 16 * 10  # every weight's gradient, and the gradient of the hidden layer
    assert count_flops(net, x) == forward
    assert count_flops(net, x, training=True) == forward + backward
    assert count_flops(nn.Conv2d(3, 5, 3, padding=1), torch.randn(2, 3, 8, 8)) == 2 * 8 * 8 * 5 * 3 * 9
    assert count_bytes(net) == 4 * (64 * 16 + 16 + 16 * 10 + 10)


def test_counting_changes_nothing_in_the_model():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(8, 4)
    assert count_flops(net.eval(), x, training=True) > count_flops(net, x) > 0 and count_seconds(net, x) > 0
    assert all(p.grad is None and not p.requires_grad for p in net.parameters()) and not net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
