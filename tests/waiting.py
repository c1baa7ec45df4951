"""How the tests wait: for something to happen, never for a time to pass. A deadline here only ends a hang."""

import time

HANG = 300  # seconds: what has not happened by then will not happen, however busy the machine is


def until(happened, going_on=lambda: True, rest=lambda: time.sleep(0.01)):
    """What happened() gives, as soon as that is true; between two looks, rest().

    going_on() false: what should make it happen has ended, so the next look is the last one. An AssertionError where
    it does not happen.
    """
    give_up = time.monotonic() + HANG
    while True:
        last = not going_on() or time.monotonic() > give_up
        if found := happened():
            return found
        assert not last, "what was waited for did not happen"
        rest()
