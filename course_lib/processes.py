"""One process, or several under torchrun that train one model together, through Hugging Face Accelerate.

Each process takes its share of every batch; the gradients' mean makes the step that one process would have made with
the whole batch. Batch normalisation is the exception: each process normalises by its own share of the batch.
"""

import os

from course_lib.inputs import autocast


def team(device, precision="float32"):
    """The processes that train together: one, or WORLD_SIZE of them, as torchrun sets it."""
    return Several(device, precision) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else One(device, precision)


def is_first():
    """True in the process that speaks and writes files."""
    return os.environ.get("RANK", "0") == "0"


class One:
    """This process alone: plain torch."""

    rank, size = 0, 1

    def __init__(self, device, precision):
        self.device, self.precision = device, precision

    def prepare(self, model, optimiser):
        return model, optimiser

    def precise(self):
        return autocast(self.device, self.precision)

    def share(self, batch):
        """Row numbers (B,) -> this process's part of them, and the weight of that part's mean loss."""
        return batch, 1.0

    def backward(self, loss):
        loss.backward()

    def wait(self):
        """Return once all processes are here."""

    def leave(self, model):
        """Take apart what prepare put around the model."""


class Several(One):
    """One of several processes, each with a device of its own."""

    def __init__(self, device, precision):
        super().__init__(device, precision)
        try:
            from accelerate import Accelerator
        except ImportError:
            raise ImportError(
                "training in several processes needs the package accelerate: pip install accelerate"
            ) from None
        autocast(device, precision)  # an unknown precision gets our sentence
        mixed = {"float32": "no", "bfloat16": "bf16"}[precision]
        self.accelerator = Accelerator(
            mixed_precision=mixed, cpu=device.type == "cpu", step_scheduler_with_optimizer=False
        )
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes

    def prepare(self, model, optimiser):
        return self.accelerator.prepare(model, optimiser)

    def precise(self):
        return self.accelerator.autocast()

    def share(self, batch):
        mine = batch[self.rank :: self.size]
        if len(batch) < self.size:
            raise ValueError(
                f"a batch of {len(batch)} cannot be shared by {self.size} processes: choose a batch_size whose last batch "
                f"has at least {self.size} examples"
            )
        return mine, len(mine) * self.size / len(batch)

    def backward(self, loss):
        self.accelerator.backward(loss)

    def wait(self):
        self.accelerator.wait_for_everyone()

    def leave(self, model):
        self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
