"""Where and with what a run was made: versions, machine, source revision."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dermseg import __version__

PACKAGES = ("torch", "lightning", "numba", "numpy", "timm")


def environment() -> dict[str, Any]:
    """Return what is needed to explain a difference between two runs; nothing that identifies the user."""
    return {
        "dermseg": __version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _revision() -> str | None:
    """Commit of the source checkout, '+' where files differ from it; None for an installed package."""
    here = Path(__file__).parent
    try:
        # An installed package may lie inside a checkout of something else, in its virtual environment.
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "+" * bool(changed)


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, check=True, text=True, timeout=10
    )
    return done.stdout.strip()


def processor() -> str:
    """Name the processor of this machine."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
