"""One rule chooses the device, and an absent one is named."""

import pytest
import torch

from dermseg.devices import resolve_device
from dermseg.errors import ConfigError


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_or_the_cpu_and_never_mps(cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == chosen


@pytest.mark.parametrize("name", ["gpu", "cuda:77", "meta:x"])
def test_an_absent_device_is_named(name: str):
    with pytest.raises(ConfigError, match=name):
        resolve_device(name)
