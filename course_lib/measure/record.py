"""A measurement as it is kept: the figures, and where, when and with what they were measured, as JSON."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path

import torch

from course_lib.files import whole

__all__ = ["every", "read", "surroundings", "words", "write"]


def surroundings(device=None):
    """{date, processor, cores, threads, gpu, ..., versions, load}: what a figure has to be read with."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    has_gpu = torch.cuda.is_available()
    packages = {}
    for package in ("torchvision", "accelerate"):
        try:
            packages[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            packages[package] = "none"
    return {
        "date": str(datetime.date.today()),
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if has_gpu else "none",
        "gpus": torch.cuda.device_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if has_gpu else None,
        "cudnn": torch.backends.cudnn.version() if has_gpu else None,
        "tf32": torch.backends.cudnn.conv.fp32_precision == "tf32" if has_gpu else None,  # allow_tf32 may raise
        **packages,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def words(here):
    """Surroundings as one line: "2026-11-25: AMD EPYC, 2 cores, 1 thread, Linux, Python 3.11.7, torch 2.14.1"."""
    gpu = "" if here["gpu"] == "none" else f"{here['gpu']}, "
    threads = f"{here['threads']} thread{'s' * (here['threads'] != 1)}"
    load = f", load average {here['load']}" if here["load"] is not None else ""
    where = f"{gpu}{here['processor']}, {here['cores']} cores, {threads}, {here['system']}"
    return f"{here['date']}: {where}, Python {here['python']}, torch {here['torch']}{load}"


def write(path, figures):
    """The figures as JSON, whole or not at all."""
    with whole(path, "w") as file:
        file.write(json.dumps(figures, indent=1) + "\n")


def read(path):
    """The figures in a file that `write` made."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def every(folder, name):
    """{kind: figures} of all records of one measurement, folder/name_KIND.json: {"cpu": ..., "gpu": ...}, as there are."""
    return {path.stem.removeprefix(f"{name}_"): read(path) for path in sorted(Path(folder).glob(f"{name}_*.json"))}
