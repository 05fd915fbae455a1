"""Lack of memory is told from mistakes in the program."""

import pytest
import torch

from dermseg.no_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("unable to mmap 4096 bytes from file <a>: Cannot allocate memory (12)"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_every_name_for_a_lack_of_memory_is_known(error: Exception):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not fit"), OSError(2, "No such file"), ValueError("out of memory")]
)
def test_other_errors_are_none(error: Exception):
    assert not is_out_of_memory(error)


def test_pytorch_still_says_so_in_these_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
