"""One process, or several under torchrun that train one model together, through Hugging Face Accelerate.

Each process takes its share of every batch; the gradients' mean makes the step that one process would have made with
the whole batch. Batch normalisation is the exception: each process normalises by its own share of the batch.
"""

import datetime
import os

import torch.distributed as dist

from course_lib.train.given import autocast


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
        """(model, optimiser) as the steps are to use them."""
        return model, optimiser

    def precise(self):
        """The context in which the model computes: autocast's, in this team's precision."""
        return autocast(self.device, self.precision)

    def share(self, batch):
        """Row numbers (B,) -> this process's part of them, and the weight of that part's mean loss."""
        return batch, 1.0

    def backward(self, loss):
        """The gradients of a loss (); of several processes, the mean of theirs."""
        loss.backward()

    def agree(self, epoch):
        """Go on only if all processes start from the same epoch."""

    def wait(self):
        """Return once all processes are here."""

    def leave(self, model):
        """End with the same model in every process."""


class Several(One):
    """One of several processes, each with a device of its own."""

    def __init__(self, device, precision):
        super().__init__(device, precision)
        try:
            from accelerate import Accelerator
            from accelerate.utils import InitProcessGroupKwargs
        except ImportError:
            raise ImportError(
                "training in several processes needs the package accelerate: pip install accelerate"
            ) from None
        # One process may ask the teacher for hours while the others wait; torch would end them after 10 or 30 minutes.
        patience = InitProcessGroupKwargs(timeout=datetime.timedelta(days=1))
        # No precision here: that is autocast's, as in one process.
        self.accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes

    def prepare(self, model, optimiser):
        """The model wrapped, so that backward() averages the gradients over the processes."""
        return self.accelerator.prepare(model, optimiser)

    def share(self, batch):
        """Every size-th row, beginning at this rank. ValueError for a batch with fewer rows than processes."""
        mine = batch[self.rank :: self.size]
        if len(batch) < self.size:
            raise ValueError(
                f"a batch of {len(batch)} cannot be shared by {self.size} processes: choose a batch_size whose last batch "
                f"has at least {self.size} examples"
            )
        return mine, len(mine) * self.size / len(batch)

    def backward(self, loss):
        """As of one process; then the gradients are those of the whole batch."""
        self.accelerator.backward(loss)

    def agree(self, epoch):
        """Raises ValueError, in every process, if they would start from different epochs."""
        epochs = [None] * self.size
        dist.all_gather_object(epochs, epoch)
        if len(set(epochs)) > 1:
            raise ValueError(
                f"the processes start from different epochs ({epochs}): the checkpoint must lie where all of them read it"
            )

    def wait(self):
        """Return once all processes have called this."""
        self.accelerator.wait_for_everyone()

    def leave(self, model):
        """Give every process the first one's buffers: each has kept the running figures of its own shares."""
        for buffer in model.buffers():  # each process has kept the running figures of its own shares
            dist.broadcast(buffer, 0)
