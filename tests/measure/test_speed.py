"""A race takes turns and counts what was done; a profile's shares add up. Clocks are arguments: no test waits."""

import pytest
import torch

from course_lib.measure import by_operation, middle, race, timed


class Clock:
    """A clock that the contenders move."""

    now = 0.0

    def __call__(self):
        return self.now


def test_a_race_takes_turns_and_leaves_the_first_run_out():
    clock, order = Clock(), []

    def runner(name, seconds, pictures):
        def run():
            order.append(name)
            clock.now += next(seconds)
            return pictures

        return run

    fast, slow = iter([100, 1, 2, 4]), iter([100, 10, 20, 20])
    found = race({"fast": runner("fast", fast, 8), "slow": runner("slow", slow, 40)}, 3, clock)
    assert order == ["fast", "slow"] * 4
    assert found["fast"].tolist() == [8, 4, 2] and found["slow"].tolist() == [4, 2, 2]
    assert found["fast"].dtype == torch.float64


def test_the_middle_of_some_blocks_reaches_from_the_smallest_to_the_largest():
    one = middle(torch.tensor([4.0, 1.0, 2.0, 8.0]))
    assert (one.value, one.low, one.high) == (3, 1, 8)
    assert f"{one:.0f}" == "3 [1, 8] (n=4 blocks; smallest to largest)"
    assert middle([5.0]).n == "1 block"


def test_the_shares_of_operations_add_up_and_the_largest_comes_first():
    net, x = torch.nn.Conv2d(3, 16, 3), torch.rand(8, 3, 32, 32)
    found = by_operation(lambda: net(x).sum().backward(), torch.device("cpu"))
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert any("conv" in name for name in found)


def test_seconds_of_one_name_add_up_and_those_of_a_failure_do_not_count():
    clock, seconds = Clock(), {}
    for taken in (2, 3):
        with timed(seconds, "the race", clock):
            clock.now += taken
    with pytest.raises(KeyError), timed(seconds, "lost", clock):
        raise KeyError
    assert seconds == {"the race": 5}
