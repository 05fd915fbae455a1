from typing import Any, ClassVar

import pytest
import torch
from golden import Golden
from parity import ParityTester
from tester import ModelTester

from dermseg.models.base import SegmentationModel
from dermseg.models.fa_net import ResidualBlock
from dermseg.models.released import load_released

SMALL = {"width": 8, "passes": 2}


class TestFANet(ModelTester):
    name = "fa_net"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    # MixPool's own mask is cut off by its threshold; the release has the same 48 tensors without gradient.
    silent = r".*\.mix\.attention\..*"

    def create(self, **overrides: Any) -> SegmentationModel:
        """Open the gates: with many weights the one hidden unit of a gate is 0 and has no gradient."""
        model = super().create(**overrides)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, ResidualBlock):
                    module.gate[0].weight.abs_()
                    module.shortcut[1].bias += 1
        return model


@pytest.mark.parity
class TestFANetParity(ParityTester):
    name = "fa_net"
    recording = "fa_net"
    taps: ClassVar[dict[str, str]] = {
        "hook:e1.r2": "encoder.0.blocks.1",
        "hook:e1.p1": "encoder.0.mix",
        "hook:e1.p1.fmask.3": "encoder.0.mix.attention.3",
        "hook:e4.p1.fmask.3": "encoder.3.mix.attention.3",
        "hook:d4.p1.fmask.3": "decoder.3.mix.attention.3",
        **{f"hook:e{stage + 1}": f"encoder.{stage}" for stage in range(4)},
        **{f"hook:d{stage + 1}": f"decoder.{stage}" for stage in range(4)},
    }

    @torch.no_grad()
    def test_outputs_equal_the_release(self, data: Golden, model: SegmentationModel) -> None:
        load_released(model, data.state_dict())
        seen: dict[str, Any] = {}
        hooks = [
            model.get_submodule(ours).register_forward_hook(
                lambda _, __, output, key=recorded: seen.setdefault(key, output)
            )
            for recorded, ours in self.taps.items()
        ]
        images, disk = data.images(1), torch.from_numpy(data.outputs["mask"])
        data.assert_close(model.outputs(images, disk).logits, "out")
        for hook in hooks:
            hook.remove()
        assert set(seen) == set(self.taps)
        for recorded, output in seen.items():
            data.assert_close(output[0] if isinstance(output, tuple) else output, recorded)
        data.assert_close(model.refine(images, torch.zeros_like(disk)), "zero_mask", atol=2e-6)
        mask = disk
        for step in (1, 2, 3):
            logits = model.refine(images, mask)
            mask = logits > 0
            data.assert_close(logits, f"iter{step}", atol=2e-6)
            data.assert_close(mask.float(), f"iter{step}_mask", atol=0)
