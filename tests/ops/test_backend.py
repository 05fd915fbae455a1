"""Which back-end runs, and what a user reads when the wanted one cannot."""

import importlib.util
import logging

import pytest
import torch
from torch.autograd import forward_ad

from dermseg.errors import ConfigError, DermsegWarning
from dermseg.ops import backend

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.delenv("DERMSEG_BACKEND", raising=False)
    backend._choose.cache_clear()
    yield
    backend._choose.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_cpu_runs_numba(dtype):
    assert backend.choose("scan", CPU, dtype) == "numba"


def test_other_devices_run_the_reference():
    assert backend.choose("scan", torch.device("mps"), torch.float32) == "reference"


@pytest.fixture
def with_triton(monkeypatch):
    """A machine where triton can be imported, as this one perhaps cannot."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(backend, "_triton_version", lambda: (3, 3))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_gpu_runs_triton(with_triton, dtype):
    assert backend.choose("scan", torch.device("cuda"), dtype) == "triton"


def test_without_triton_a_gpu_runs_the_reference(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.warns(DermsegWarning, match="triton is not installed"):
        assert backend.choose("scan", "cuda", torch.float32) == "reference"


def test_an_old_triton_is_not_used(with_triton, monkeypatch):
    monkeypatch.setattr(backend, "_triton_version", lambda: (3, 2))
    with pytest.warns(DermsegWarning, match="older than 3.3"):
        assert backend.choose("scan", "cuda", torch.float32) == "reference"


def test_an_old_gpu_runs_the_reference(with_triton, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    with pytest.warns(DermsegWarning, match="GPU is older"):
        assert backend.choose("scan", "cuda", torch.float32) == "reference"


def test_a_cpu_runs_triton_in_its_interpreter_alone(with_triton, monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "triton")
    with pytest.warns(DermsegWarning, match="set TRITON_INTERPRET=1"):
        assert backend.choose("scan", CPU, torch.float32) == "reference"
    backend._choose.cache_clear()
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert backend.choose("scan", CPU, torch.float32) == "triton"


def test_the_variable_overrides(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "reference")
    assert backend.choose("scan", CPU, torch.float32) == "reference"
    monkeypatch.setenv("DERMSEG_BACKEND", "")
    assert backend.choose("scan", CPU, torch.float32) == "numba"


def test_an_unknown_name_lists_the_choices(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "cuda")
    with pytest.raises(ConfigError, match=r"DERMSEG_BACKEND='cuda'.*reference, numba, triton"):
        backend.choose("scan", CPU, torch.float32)


def test_a_back_end_that_cannot_run_falls_back_with_one_warning(monkeypatch, recwarn):
    monkeypatch.setenv("DERMSEG_BACKEND", "numba")
    with pytest.warns(DermsegWarning, match="does not run float32 on cuda"):
        assert backend.choose("scan", torch.device("cuda"), torch.float32) == "reference"
    assert backend.choose("scan", torch.device("cuda"), torch.float32) == "reference"
    assert not recwarn.list


def test_without_numba_the_reference_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.warns(DermsegWarning, match="numba is not installed"):
        assert backend.choose("scan", CPU, torch.float32) == "reference"


def test_the_reference_runs_where_derivatives_are_wanted_that_no_kernel_has():
    def chosen(x):
        assert backend.choose("scan", CPU, torch.float32) == "reference"
        return x

    one = torch.ones(1)
    with pytest.warns(DermsegWarning, match="forward-mode"), forward_ad.dual_level():
        chosen(one)
    # From here on a warning would be an error: one is enough.
    torch.func.jvp(chosen, (one,), (one,))
    torch.vmap(chosen)(one)
    torch.func.vjp(chosen, one)
    assert backend.choose("scan", CPU, torch.float32) == "numba"


def test_whoever_asks_for_the_reference_is_not_warned(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "reference")
    with forward_ad.dual_level():
        assert backend.choose("scan", CPU, torch.float32) == "reference"


def test_a_device_may_be_given_by_its_name():
    assert backend.choose("scan", "cpu", torch.float32) == "numba"
    assert backend.choose("scan", "meta", torch.float32) == "reference"


def test_the_choice_is_logged_once(caplog):
    with caplog.at_level(logging.DEBUG, logger="dermseg"):
        for _ in range(3):
            backend.choose("scan", CPU, torch.float32)
    assert [record.getMessage() for record in caplog.records] == ["scan on cpu in float32: numba"]
