"""The Triton kernels of the sLSTM: equal to the reference, compiled for a GPU."""

from pathlib import Path

import pytest
import torch
from triton_kernels import compile_for_hopper, needs_a_gpu, needs_triton, run_tests

pytestmark = needs_triton

CASES = Path(__file__).with_name("slstm_kernels.py")


@pytest.mark.parametrize("chosen", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(chosen):
    run_tests(CASES, chosen, interpreted=True)


@needs_a_gpu
def test_on_a_gpu():
    run_tests(CASES, "slow or not slow", interpreted=False)


@pytest.mark.parametrize("head_dim", [48, pytest.param(192, marks=pytest.mark.slow)])
@pytest.mark.parametrize("half", [pytest.param("fp32", marks=pytest.mark.slow), "bf16"])
@pytest.mark.parametrize("name", ["forward", "backward"])
def test_kernels_compile_for_an_h100(name, half, head_dim):
    from dermseg.ops.slstm import gpu, gpu_kernels

    kernel = getattr(gpu_kernels, name)
    constants = gpu._constants(head_dim, torch.float32) | ({"KEEP": True} if name == "forward" else {})
    warps = constants.pop("num_warps")
    types = dict.fromkeys(kernel.arg_names, "*fp32")
    types |= {"preactivations": "*" + half, "R": "*" + half, "T": "i32", "heads": "i32", "d": "i32"}
    compiled = compile_for_hopper(kernel, types, constants, warps)
    assert len(compiled.asm["cubin"]) > 0
    assert compiled.metadata.shared <= 4096  # sums that cross warps, nothing else
