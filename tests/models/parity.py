"""Equality with a release, as tests that a network's parity class inherits."""

import re
from typing import Any, ClassVar

import pytest
import torch
from golden import Golden, golden, needs_reference
from torch import Tensor, nn

from dermseg.errors import CheckpointError
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model, model_info
from dermseg.models.released import load_released


@needs_reference
class ParityTester:
    """Inherit and name a release: its parameter count, outputs and intermediate tensors are compared.

    Mark the subclass `parity` where a forward pass at full size takes longer than a second or two.
    """

    name: ClassVar[str]
    """In the registry."""
    recording: ClassVar[str]
    """Of the golden data; mostly the same."""
    arguments: ClassVar[dict[str, Any]] = {}
    outputs: ClassVar[dict[str, int]] = {"out": 0}
    """Recorded outputs: 0 for the logits, 1 and more for the auxiliary ones."""
    sigmoid_inside: ClassVar[bool] = False
    """Whether the recorded outputs are probabilities."""
    taps: ClassVar[dict[str, str]] = {}
    """Recorded intermediate tensors and those of our modules that compute them."""
    atol: ClassVar[float | None] = None
    """Of the outputs, where the json states none: 1e-5 for probabilities, 1e-4 for logits behind a scan."""
    tap_precision: ClassVar[float | None] = None
    """Tolerance of intermediate tensors in units of their standard deviation, for those nearly constant."""

    @pytest.fixture
    def data(self) -> Golden:
        return golden(self.recording)

    @pytest.fixture
    def model(self) -> SegmentationModel:
        return create_model(self.name, **self.arguments).eval()

    def tap(self, recorded: str, output: Tensor) -> Tensor:
        """Bring the output of our module into the recorded layout; override where they differ."""
        assert recorded in self.taps
        return output

    def test_as_many_parameters_as_released_less_the_dead(
        self, data: Golden, model: SegmentationModel
    ) -> None:
        count = sum(parameter.numel() for parameter in model.parameters())
        report = load_released(model, data.state_dict())
        dead = sum(
            _size(shape)
            for key, shape in data.facts["state_dict"]
            if self._is_dead(key, report.skipped, data)
        )
        assert count == data.facts["n_params"] - dead
        if not self.arguments:
            info = model_info(self.name)
            assert (info.parameters, info.dead) == (data.facts["n_params"], dead)

    @staticmethod
    def _is_dead(key: str, skipped: tuple[str, ...], data: Golden) -> bool:
        buffers = ("running_mean", "running_var", *data.recipe.SKIP)
        return key in skipped and not key.endswith(buffers)

    @torch.no_grad()
    def test_outputs_equal_the_release(self, data: Golden, model: SegmentationModel) -> None:
        load_released(model, data.state_dict())
        taps, outputs = self._computed(model, data.images(1))
        for recorded, tensor in taps.items():
            facts = (data.facts["outputs"] | data.facts.get("hooks", {}))[recorded]
            data.assert_close(tensor, recorded, self.tap_precision and self.tap_precision * facts["std"])
        for recorded, tensor in outputs.items():
            data.assert_close(tensor, recorded, self.atol)

    @torch.no_grad()
    def test_other_weights_and_images_give_other_logits_as_recorded(
        self, data: Golden, model: SegmentationModel
    ) -> None:
        if "heldout_outputs" not in data.facts:
            self._check_other_weights_count(data, model)
            return
        load_released(model, data.state_dict(salt=1))
        taps, outputs = self._computed(model, data.images(1, salt=1))
        for recorded, tensor in taps.items():
            facts = data.facts["heldout_outputs"][recorded]
            largest = max(abs(facts["min"]), abs(facts["max"]))
            precision = self.tap_precision and self.tap_precision * facts["std"]
            data.assert_statistics(tensor, recorded, precision or 5e-4 * largest)
        for recorded, tensor in outputs.items():
            data.assert_statistics(tensor, recorded, self.atol or 1e-4)

    @staticmethod
    def _check_other_weights_count(data: Golden, model: SegmentationModel) -> None:
        """Where no statistics were recorded: logits are finite and vary, and other weights change them."""
        images, logits = data.images(1, salt=1), []
        for salt in (0, 1):
            load_released(model, data.state_dict(salt))
            logits.append(model(images))
            assert logits[-1].isfinite().all()
            assert logits[-1].std() > 1e-3 * logits[-1].abs().mean()
        assert (logits[1] - logits[0]).std() > 0.1 * logits[0].std()

    def _computed(
        self, model: SegmentationModel, images: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what the taps and the outputs give, by the names of their recordings."""
        seen: dict[str, Tensor] = {}
        hooks = [
            model.get_submodule(ours).register_forward_hook(_keeping(seen, recorded))
            for recorded, ours in self.taps.items()
        ]
        logits, auxiliary = model.outputs(images)
        for hook in hooks:
            hook.remove()
        assert torch.equal(model(images), logits)
        assert set(seen) == set(self.taps)
        given = {recorded: (logits, *auxiliary)[place] for recorded, place in self.outputs.items()}
        return (
            {recorded: self.tap(recorded, tensor) for recorded, tensor in seen.items()},
            {name: tensor.sigmoid() if self.sigmoid_inside else tensor for name, tensor in given.items()},
        )

    def test_a_wrong_or_missing_key_is_named_and_changes_nothing(
        self, data: Golden, model: SegmentationModel
    ) -> None:
        weights = data.state_dict()
        dead = load_released(model, weights).skipped
        live = [key for key in weights if key not in dead and not key.endswith("num_batches_tracked")]
        lost = live[-1]
        before = {key: value.clone() for key, value in model.state_dict().items()}
        other = data.state_dict(salt=1)
        with pytest.raises(CheckpointError, match=r"unknown key surplus\.weight"):
            load_released(model, other | {"surplus.weight": torch.zeros(1)})
        with pytest.raises(CheckpointError, match=re.escape(lost)):
            load_released(model, {key: value for key, value in other.items() if key != lost})
        with pytest.raises(CheckpointError, match=f"wrong shape of .*{re.escape(lost)}"):
            load_released(model, other | {lost: torch.zeros(7, 7, 7)})
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def _keeping(seen: dict[str, Tensor], recorded: str) -> Any:
    """Return a hook that keeps the output of a module's first call."""

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        seen.setdefault(recorded, output)

    return keep


def _size(shape: list[int]) -> int:
    return int(torch.Size(shape).numel())
