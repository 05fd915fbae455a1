from typing import Any, ClassVar

import pytest
import torch
from golden import Golden
from parity import ParityTester
from tester import ModelTester
from torch import Tensor
from torch.nn import functional as F

from dermseg.data.augment import normalize
from dermseg.errors import ConfigError
from dermseg.layers.otsu import otsu_masks
from dermseg.models.base import Outputs, Preprocessing, SegmentationModel, repeat_border
from dermseg.models.fa_net import ResidualBlock
from dermseg.models.registry import create_model
from dermseg.models.released import load_released

SMALL = {"width": 8, "passes": 2}


class TestFANet(ModelTester):
    name = "fa_net"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    # MixPool's own mask is cut off by its threshold; the release has the same 48 tensors without gradient.
    silent = r".*\.mix\.attention\..*"

    overfit_rate = 1e-2
    last: Tensor | None = None

    def create(self, **overrides: Any) -> SegmentationModel:
        """Open the gates: with many weights the one hidden unit of a gate is 0 and has no gradient."""
        model = super().create(**overrides)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, ResidualBlock):
                    module.gate[0].weight.abs_()
                    module.shortcut[1].bias += 1
        return model

    def training_outputs(self, model: SegmentationModel, images: Tensor) -> Outputs:
        """Show Otsu's masks and the masks of the step before in turn, as passes will."""
        shown = model.first_masks(images) if self.last is None else self.last
        outputs = model.outputs(images, shown)
        self.last = outputs.logits.detach() > 0 if self.last is None else None
        return outputs


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


def small(**overrides: Any) -> SegmentationModel:
    torch.manual_seed(0)
    return create_model("fa_net", **(SMALL | overrides)).eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 48), (37, 70), (17, 33)])
def test_each_pass_is_shown_what_the_one_before_predicted(size: tuple[int, int]):
    """At odd sizes as well: the padding counts neither for Otsu's threshold nor for a later mask."""
    generator = torch.Generator().manual_seed(0)
    blurred = F.interpolate(torch.rand(6, 3, 7, 9, generator=generator), size=size, mode="bilinear")
    model, images = small(passes=3), (255 * blurred).round() / 255
    if size != (32, 48):
        padded = model.first_masks(repeat_border(images, model.stride))[..., : size[0], : size[1]]
        assert not torch.equal(padded, model.first_masks(images))  # so that the test can fail
    first = model.refine(images, model.first_masks(images))
    # The median makes about half of the pixels lesion, so that the masks differ.
    model.head.bias -= first.median()
    expected = model.first_masks(images)
    for _ in range(3):
        logits = model.refine(images, expected)
        expected = logits > 0  # as a probability above 0.5, but for rounding
    assert torch.equal(model(images), logits)
    model.passes = 1
    assert not torch.equal(model(images), logits)


def test_training_makes_one_pass_with_the_mask_given_or_otsus():
    model, images = small().train(), torch.rand(2, 3, 32, 32)
    calls = []
    model.head.register_forward_hook(lambda *_: calls.append(1))
    logits = model.outputs(images).logits
    assert len(calls) == 1
    assert torch.equal(model.outputs(images, model.first_masks(images)).logits, logits)
    assert not torch.equal(model.outputs(images, 1 - model.first_masks(images)).logits, logits)


@torch.no_grad()
def test_first_masks_are_those_of_the_image_before_it_was_standardised():
    pixels = torch.randint(0, 256, (2, 3, 20, 30), generator=torch.Generator().manual_seed(0))
    model = small()
    model.preprocessing = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.1))
    images = normalize(pixels, model.preprocessing.mean, model.preprocessing.std)
    assert torch.equal(model.first_masks(images), otsu_masks(pixels).float())


@torch.no_grad()
def test_masks_of_any_type_are_taken_and_padded_with_the_image():
    model, images = small(), torch.rand(1, 3, 21, 37)
    masks = torch.rand(1, 1, 21, 37) > 0.5
    logits = model.refine(images, masks)
    assert logits.shape == (1, 1, 21, 37)
    for other in (masks.byte(), masks.double()):
        assert torch.equal(model.refine(images, other), logits)
    # The last column of image and mask repeats: padding by hand changes nothing.
    wider = [torch.cat([x, x[..., -1:]], dim=-1) for x in (images, masks)]
    assert torch.equal(model.refine(*wider)[..., :37], logits)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (1, 3, 32, 32), (1, 1, 32, 16), (1, 32, 32)])
def test_masks_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigError, match="masks must have shape"):
        small().refine(torch.rand(1, 3, 32, 32), torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "named"), [({"width": 6}, "width"), ({"width": 0}, "width"), ({"passes": 0}, "passes")]
)
def test_impossible_values_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("fa_net", **arguments)
