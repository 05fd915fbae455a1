"""What a benchmark ran on, for the table of its results."""

import os
import platform
from pathlib import Path

import numba
import torch


def describe_machine() -> str:
    """Processor, cores and versions."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line.split(":", 1) for line in information.read_text().splitlines() if ":" in line]
        facts = {key.strip(): value.strip() for key, value in lines}
        model = f"{facts.get('model name', model)} (model {facts.get('model', 'unknown')})"
    return f"{model}, {os.cpu_count()} cores, torch {torch.__version__}, numba {numba.__version__}"
