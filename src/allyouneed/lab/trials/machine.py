"""What a run's numbers were measured on."""

import importlib.metadata
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The hardware and the versions here, as plain values.

    `cores` are those that this process may use. `gpu`, `cuda` and `cpu_capability` (the vector instructions
    that torch uses) are None unless torch is loaded: asking for them would load it.
    """
    torch = sys.modules.get("torch")
    has_gpu = torch is not None and torch.cuda.is_available()
    cores = _cores()
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "threads": torch.get_num_threads() if torch else _threads(cores),
        "cpu_capability": torch.backends.cpu.get_cpu_capability() if torch else None,
        "gpu": torch.cuda.get_device_name() if torch and has_gpu else None,
        "cuda": torch.version.cuda if torch and has_gpu else None,
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "python": platform.python_version(),
        "os": platform.platform(),
    }


def _cpu_model() -> str:
    """The processor's name as the system gives it, "unknown" if it gives none."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Not on macOS.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads(cores: int) -> int:
    """How many threads a numerical library would start with."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(asked) if asked.isdigit() and int(asked) > 0 else cores


def _version(package: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None
