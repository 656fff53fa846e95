"""What a result depends on, as a dictionary for JSON: commit, versions, machine, settings."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = ("ins3d", "torch", "torchvision", "nerfstudio", "kornia", "numpy")


def run_record(**settings: Any) -> dict[str, Any]:
    """Commit, versions, machine, date; whatever else is given is added under its own name."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        **settings,
    }


def peak_memory_mb() -> dict[str, int]:
    """Peak memory of this process so far, in MiB: `ram`, and `gpu` where there is one."""
    if sys.platform == "win32":
        most = psutil.Process().memory_info().peak_wset
    else:
        import resource  # not there on Windows

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    found = {"ram": most // 2**20}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.max_memory_allocated() // 2**20
    return found


def _commit() -> str | None:
    try:
        # An environment may lie inside a checkout of something else, whose commit says nothing about us.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None  # an installed package is no checkout


def _git(*words: str) -> str:
    return subprocess.check_output(["git", *words], cwd=Path(__file__).parent, text=True, stderr=subprocess.DEVNULL).strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
