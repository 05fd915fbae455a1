"""What the tests of Triton kernels share: where they run, and how they are compiled without a GPU."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or INTERPRETED, reason="needs triton, TRITON_INTERPRET unset"
)
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def run_tests(file, chosen, *, interpreted):
    """Run the tests of a file in a process of its own: triton chooses its interpreter when it is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", chosen, str(file)]
    environment = {**os.environ, "TRITON_INTERPRET": str(int(interpreted))}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def compile_for_hopper(kernel, types, constants, num_warps=1):
    """Compile a kernel for an H100; `types` names that of every argument that is not compiled in."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]  # as PyTorch's allocator gives memory
        for place, name in enumerate(kernel.arg_names)
        if signature[name].startswith("*")
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    return compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps})
