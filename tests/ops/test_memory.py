"""Freed memory stays with the process, unless its user has chosen otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from dermseg.ops import memory

# Page faults of five rounds in which eight blocks of 8 MiB are filled, then all freed.
SCRIPT = """
import resource, sys
from dermseg.ops import memory
if sys.argv[1] == "keep":
    memory.keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    return [bytearray(b"x") * 2**23 for _ in range(8)]
work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


def faults(choice, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in memory._VARIABLES}
    command = [sys.executable, "-c", SCRIPT, choice]
    output = subprocess.run(command, env=environment | variables, check=True, capture_output=True, text=True)
    return int(output.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the C library of Linux")
def test_memory_that_was_freed_is_used_again():
    assert faults("keep") < 1000 < faults("leave")


@pytest.mark.parametrize("variable", memory._VARIABLES)
def test_the_environment_goes_first(variable, monkeypatch):
    monkeypatch.setenv(variable, "")
    assert not memory.keep_freed_memory()
