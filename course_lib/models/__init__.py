"""Teachers and students: make, freeze, keep.

floor 0   mlp       a plain network, several as one, a frozen one
          convnets  networks for pictures: CIFAR's ResNets, a quick teacher, torchvision's by name
          keep      weights in a file; train once, reuse; what a model is recognised by
"""

from course_lib.models.convnets import (
    network,
    resnet,
    resnet9,
)
from course_lib.models.keep import (
    fingerprint,
    load,
    reuse,
    save,
    state_hash,
)
from course_lib.models.mlp import (
    Ensemble,
    count_parameters,
    freeze,
    mlp,
)

__all__ = [
    "Ensemble",
    "count_parameters",
    "fingerprint",
    "freeze",
    "load",
    "mlp",
    "network",
    "resnet",
    "resnet9",
    "reuse",
    "save",
    "state_hash",
]
