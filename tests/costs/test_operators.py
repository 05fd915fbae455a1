"""The analytic costs, against operators that are counted while they run."""

import torch
from torch.utils._pytree import tree_leaves

from dermseg.costs import operators
from dermseg.costs.counter import PRODUCTS, SCAN, CostCounter
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
    assert counter.multiply_adds == {("", SCAN): 4 * operators.selective_scan(2, 15, 6, 2).multiply_adds}


def test_selective_scan_is_the_formula_of_the_field():
    batch, length, channels, state = 2, 100, 768, 16
    cost = operators.selective_scan(batch, length, channels, state)
    assert cost.multiply_adds == 9 * 2 * 100 * 768 * 16 + 2 * 100 * 768
    shapes = [(batch, length, channels)] * 3 + [(batch, length, state)] * 2
    assert cost.bytes == 4 * elements(*shapes, (channels, state), (channels,), (channels,))


def test_slstm_counts_the_recurrent_products():
    gates, R = torch.randn(3, 7, 4, 2, 5), torch.randn(4, 2, 5, 5)
    cost = operators.slstm(3, 7, 2, 5)
    assert counted(slstm, gates, R).multiply_adds == {("", PRODUCTS): cost.multiply_adds}
    state = empty_state((3, 2, 5), torch.float32, torch.device("cpu"))
    assert sum(counted(slstm_reference, gates, R, state).multiply_adds.values()) == cost.multiply_adds
    assert cost.bytes == 4 * elements(gates.shape, R.shape, (3, 7, 2, 5), *[(3, 2, 5)] * 7)
