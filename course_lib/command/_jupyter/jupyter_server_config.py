"""What JupyterLab is told, beside the settings of its pages: talk to the kernels encrypted, where that can be had.

Otherwise each kernel prints a warning that frightens more than it tells; and on a shared server it matters.
"""

import zmq
from jupyter_client.manager import KernelManager

if zmq.has("curve") and hasattr(KernelManager, "transport_encryption"):
    get_config().KernelManager.transport_encryption = "auto"  # noqa: F821 (Jupyter brings it)
