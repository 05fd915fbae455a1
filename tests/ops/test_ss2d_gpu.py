"""The Triton kernels of S6 and SS2D: equal to the reference, compiled for a GPU."""

from pathlib import Path

import pytest
from triton_kernels import compile_for_hopper, needs_a_gpu, needs_triton, run_tests

pytestmark = needs_triton

CASES = Path(__file__).with_name("ss2d_kernels.py")
INPUTS = ("x", "delta", "B", "C", "y_grad", "delta_grad")
SIZES = ("batch", "height", "width", "channels", "chunks")


@pytest.mark.parametrize("chosen", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(chosen):
    run_tests(CASES, chosen, interpreted=True)


@needs_a_gpu
def test_on_a_gpu():
    run_tests(CASES, "slow or not slow", interpreted=False)


@pytest.mark.parametrize(
    "half",
    [pytest.param("fp32", marks=pytest.mark.slow), pytest.param("fp16", marks=pytest.mark.slow), "bf16"],
)
@pytest.mark.parametrize("name", ["summarise", "chain", "scan", "retrace", "differentiate"])
def test_kernels_compile_for_an_h100_and_exchange_nothing_between_lanes(name, half):
    import triton.language as tl

    from dermseg.ops.ss2d import gpu, gpu_gradients, gpu_kernels

    kernel = getattr(gpu_kernels, name, None) or getattr(gpu_gradients, name)
    known = {
        "DIRECTIONS": 4,
        "STATES": 16,
        "ROWS": 16,
        "CHUNK": gpu.CHUNK,
        "TILE": gpu.TILE,
        "BLOCK": gpu.BLOCK,
    }
    known |= {"AHEAD": gpu.AHEAD, "REVERSED": True, "ACC": tl.float32}
    types = dict.fromkeys(kernel.arg_names, "*fp32")
    types |= dict.fromkeys(INPUTS, "*" + half) | dict.fromkeys(SIZES, "i32")
    constants = {argument: value for argument, value in known.items() if argument in kernel.arg_names}
    compiled = compile_for_hopper(kernel, types, constants)
    assert len(compiled.asm["cubin"]) > 0
    assert compiled.metadata.shared == 0
