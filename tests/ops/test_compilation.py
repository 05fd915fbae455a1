"""The notice of compilation: for our kernels only, when one is compiled, and once."""

import pytest
from numba import njit

from dermseg.ops import compilation
from dermseg.ops.compilation import announced


@pytest.fixture(autouse=True)
def unannounced(monkeypatch):
    monkeypatch.setattr(compilation._notice, "given", False)


def test_the_first_compilation_says_so_and_later_ones_do_not(caplog):
    one, two = announced(njit(lambda x: x + 1)), announced(njit(lambda x: x + 2))
    assert not caplog.records
    assert one(1) == 2
    [record] = caplog.records
    assert (record.name, record.levelname) == ("dermseg.ops", "WARNING")
    assert "compiling the CPU kernels" in record.message
    one(1)
    two(1.0)
    assert len(caplog.records) == 1


def test_functions_of_others_are_compiled_without_a_word(caplog):
    assert njit(lambda x: x + 3)(1) == 4
    assert not caplog.records
