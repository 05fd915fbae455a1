"""What the tests of Triton kernels share: where they can run, and how they are compiled without a GPU."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
runs_kernels = pytest.mark.skipif(
    not INTERPRETED and DEVICE == "cpu",
    reason="needs a GPU or TRITON_INTERPRET=1; test_in_the_interpreter runs it there",
)
outside_the_interpreter = pytest.mark.skipif(INTERPRETED, reason="already in the interpreter")


def run_in_the_interpreter(file):
    """Run the tests of a file again in a process of its own: triton chooses its interpreter on import."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
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
