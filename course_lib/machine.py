"""What this computer has, and which size of the course fits it."""

import os


def tier():
    """ "gpu" where CUDA is, "cpu" elsewhere (Apple's MPS too); COURSE_TIER overrides."""
    asked = os.environ.get("COURSE_TIER")
    if asked:
        if asked not in ("cpu", "gpu"):
            raise ValueError(f'COURSE_TIER is {asked!r}; set it to "cpu" or "gpu", or unset it')
        return asked
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def pick(cpu, gpu):
    """The setting for this machine: WIDTH, EPOCHS = pick(cpu=(16, 30), gpu=(64, 100))."""
    return gpu if tier() == "gpu" else cpu
