"""What benchmarks measure memory by."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import machine

    yield machine
    sys.modules.pop("machine", None)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux forgets a peak")
def test_the_peak_is_that_since_it_was_forgotten(machine):
    # Of ones, since zeros need no memory before they are written to.
    large = np.ones(64 << 17)
    size = large.nbytes / 2**20
    del large
    assert machine.peak_mib() > machine.resident_mib() + size / 2
    machine.forget_peak()
    assert machine.peak_mib() < machine.resident_mib() + size / 2


def test_the_machine_is_named_with_its_libraries(machine):
    named = machine.describe_machine()
    assert f"{os.cpu_count()} cores" in named
    assert "torch 2." in named
    assert "numba 0." in named
