"""A training's state at the end of an epoch, in a file: whole or not at all, and only for the same training."""

from pathlib import Path

import torch

from course_lib.files import cut, whole


class OtherTraining(ValueError):
    """The file belongs to a training with other settings, or cannot be read; the message says what to do."""

    def _render_traceback_(self):
        return [str(self)]


def save(path, settings, epoch, model, optimiser, seconds):
    """Write weights, buffers and the optimiser's state, whole or not at all.

    settings: {name: word or number} of all that the training depends on. The order of the examples, their views and
    what dropout draws are pure functions of seed and epoch, so no generator's state is needed. seconds: what all epochs
    so far took, in this call and in those before.
    """
    path = Path(path)
    state = {"settings": settings, "epoch": epoch, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
    state["seconds"] = seconds
    try:
        with whole(path) as file:
            torch.save(state, file)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the checkpoint could not be written to {path.parent} ({error.strerror}). The one before it is unharmed; "
            "the model keeps what it has learned. Free some space, or give another path",
        ) from None


def load(path, settings, model, optimiser):
    """Fill model and optimiser from the file; returns the epochs that are done and their seconds: (0, 0.0) without a file."""
    path = Path(path)
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # nothing in the file is executed
        there = state["settings"]
    except Exception as error:  # a damaged file fails in many ways: zip, pickle, end of file
        raise OtherTraining(f"{path} is damaged or is no checkpoint; delete it and start again") from error
    other = [name for name in {**settings, **there} if settings.get(name) != there.get(name)]
    if other:
        told = "; ".join(
            f"{name}: {cut(str(there.get(name)))} there, {cut(str(settings.get(name)))} here" for name in other
        )
        learned = " Has this model learned since? Build it anew, with its seed." if "model" in other else ""
        raise OtherTraining(
            f"{path} belongs to another training ({told}).{learned} Give another path, or delete the file to start anew"
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state["epoch"], state.get("seconds", 0.0)


def seconds(path):
    """What the epochs in a checkpoint took, over all calls."""
    return torch.load(path, map_location="cpu", weights_only=True).get("seconds", 0.0)
