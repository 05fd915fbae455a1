"""The analytic costs, against operators that are counted while they run."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from dermseg.costs import operators
from dermseg.costs.counter import PRODUCTS, SCAN, CostCounter
from dermseg.ops.mlstm import mlstm
from dermseg.ops.mlstm.chunkwise import CHUNK
from dermseg.ops.slstm import slstm
from dermseg.ops.slstm.reference import slstm as slstm_reference
from dermseg.ops.slstm.state import empty_state
from dermseg.ops.ss2d import ss2d_scan


def counted(function, *inputs, **options) -> CostCounter:
    counter = CostCounter()
    with torch.no_grad(), counter.of(torch.nn.Identity(), *tree_leaves(inputs)):
        function(*inputs, **options)
    return counter


def elements(*shapes):
    return sum(torch.Size(shape).numel() for shape in shapes)


def test_ss2d_is_four_scans():
    x, A = torch.randn(2, 5, 3, 6), -torch.rand(4, 6, 2)
    delta, B, C = torch.randn(2, 5, 3, 4, 6), torch.randn(2, 5, 3, 4, 2), torch.randn(2, 5, 3, 4, 2)
    counter = counted(ss2d_scan, x, delta, A, B, C, torch.randn(4, 6), torch.randn(4, 6))
    cost = operators.ss2d(2, 5, 3, 6, 2)
    assert counter.multiply_adds == {("", SCAN): cost.multiply_adds}
    assert cost.multiply_adds == 4 * operators.selective_scan(2, 15, 6, 2).multiply_adds
    shapes = [x.shape, x.shape, delta.shape, B.shape, C.shape, A.shape, (4, 6), (4, 6)]
    assert cost.bytes == 4 * elements(*shapes)


def test_selective_scan_is_the_formula_of_the_field():
    batch, length, channels, state = 2, 100, 768, 16
    cost = operators.selective_scan(batch, length, channels, state, itemsize=2)
    assert cost.multiply_adds == 9 * 2 * 100 * 768 * 16 + 2 * 100 * 768
    shapes = [(batch, length, channels)] * 3 + [(batch, length, state)] * 2
    assert cost.bytes == 2 * elements(*shapes, (channels, state), (channels,), (channels,))


def test_slstm_counts_the_recurrent_products():
    gates, R = torch.randn(3, 7, 4, 2, 5), torch.randn(4, 2, 5, 5)
    cost = operators.slstm(3, 7, 2, 5)
    assert counted(slstm, gates, R).multiply_adds == {("", PRODUCTS): cost.multiply_adds}
    state = empty_state((3, 2, 5), torch.float32, torch.device("cpu"))
    assert sum(counted(slstm_reference, gates, R, state).multiply_adds.values()) == cost.multiply_adds
    assert cost.bytes == 4 * elements(gates.shape, R.shape, (3, 7, 2, 5), *[(3, 2, 5)] * 7)


@pytest.mark.parametrize("steps", [1, CHUNK, CHUNK + 1, 3 * CHUNK - 5])
def test_mlstm_by_chunks_counts_every_product(steps):
    q, k, v = (torch.randn(2, steps, 3, 8) for _ in range(3))
    gates = [torch.randn(2, steps, 3) for _ in range(2)]
    cost = operators.mlstm(2, steps, 3, 8, chunk=CHUNK)
    counter = counted(mlstm, q, k, v, *gates, final_state=False)
    assert counter.multiply_adds == {("", PRODUCTS): cost.multiply_adds}
    assert cost.bytes == 4 * elements(*[q.shape] * 4, *[gates[0].shape] * 2)


def test_chunks_of_mlstm_pay_where_heads_are_wide():
    step_by_step, by_chunks = (
        operators.mlstm(1, 4096, 4, 256, chunk=chunk).multiply_adds for chunk in (None, 64)
    )
    assert by_chunks < 1.3 * step_by_step
    assert (
        operators.mlstm(1, 8192, 4, 64, chunk=64).multiply_adds
        < 2.05 * operators.mlstm(1, 4096, 4, 64, chunk=64).multiply_adds
    )
