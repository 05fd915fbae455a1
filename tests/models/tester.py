"""The contract of `SegmentationModel`, as tests that every network's test class inherits."""

import copy
import pickle
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from exporting import assert_exports
from recorded import recorded, some_logits
from torch import Tensor

from dermseg.data.augment import normalize
from dermseg.data.images import read_image, read_mask
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import CheckpointError, ConfigError
from dermseg.export.onnx import export_onnx
from dermseg.losses.bce_dice import BCEDiceLoss
from dermseg.models.base import Outputs, SegmentationModel
from dermseg.models.checkpoint import COUNTERS, rename
from dermseg.models.registry import create_model, list_models, model_arguments
from dermseg.models.released import load_released
from dermseg.models.weights import load_model, save_model
from dermseg.training.module import per_image_overlap


class ModelTester:
    """Inherit, name a small variant of a network, and every promise of the contract is tested on it."""

    name: ClassVar[str]
    arguments: ClassVar[dict[str, Any]]
    drop_path: ClassVar[bool] = True
    random: ClassVar[str | None] = None
    """Argument of a network without drop path that makes training random, such as "dropout"."""
    silent: ClassVar[str] = r"(?!)"
    """Regular expression of the parameters that get no gradient, where that is a fact about the system."""
    export_size: ClassVar[int] = 64
    overfit_steps: ClassVar[int] = 600
    overfit_rate: ClassVar[float] = 1e-3
    running_statistics: ClassVar[bool] = True
    """Whether BatchNorm's running statistics fit the trained network; where they cannot, as a fact about the
    system, overfitting is measured under the statistics of the batch."""
    square: ClassVar[tuple[int, int]] = (64, 64)
    sizes: ClassVar[list[tuple[int, int]]] = [(64, 64), (32, 96), (37, 70), (5, 3), (1, 1)]
    usual_sizes: ClassVar[list[tuple[int, int]]] = [(256, 256), (192, 320), (255, 331)]

    def create(self, **overrides: Any) -> SegmentationModel:
        """Build the network with weights far from their initial values, so that no part is nearly silent."""
        torch.manual_seed(0)
        model = create_model(self.name, **(self.arguments | overrides))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        return model

    def _random(self) -> str | None:
        return "drop_path" if self.drop_path else self.random

    def images(self, batch: int, size: tuple[int, int] | None = None) -> Tensor:
        return torch.randn(batch, 3, *(size or self.square), generator=torch.Generator().manual_seed(1))

    def test_is_registered(self) -> None:
        assert self.name in list_models()
        model = self.create()
        assert model.name == self.name
        assert model.arguments == self.arguments

    def test_values_of_a_wrong_type_are_refused_by_the_name_of_their_argument(self) -> None:
        wrong: dict[type, list[object]] = {
            bool: ["yes", None, 2],
            int: [2.5, 8.0, "8", None, True, -1],
            float: ["0.1", None, 1.0, -0.1, float("nan")],
            tuple: [3, None, (), (8.0, 8.0, 8.0, 8.0), (None,) * 4],
            str: [5, None],
        }
        for argument, default in model_arguments(self.name).items():
            for value in wrong[type(default)]:
                with torch.device("meta"), pytest.raises(ConfigError, match=argument):
                    create_model(self.name, **(self.arguments | {argument: value}))

    @torch.no_grad()
    def test_logits_are_as_large_as_the_images(self) -> None:
        model = self.create().eval()
        for batch, size in product((1, 2), self.sizes):
            logits = model(self.images(batch, size))
            assert logits.shape == (batch, 1, *size)
            assert logits.dtype == torch.float32
            assert logits.isfinite().all()

    def test_logits_are_those_on_record(self) -> None:
        found = some_logits(self.create(), self.square)
        torch.testing.assert_close(found, recorded(type(self).__name__, found), atol=1e-6, rtol=1e-6)

    @torch.no_grad()
    def test_an_image_gets_the_same_logits_alone_and_in_any_batch(self) -> None:
        # In float64, where the order of additions leaves no trace, nothing but a true influence remains.
        model = self.create().eval().double()
        for size in self.sizes[:3]:
            images = self.images(3, size).double()
            together = model(images)
            backwards = model(images.flip(0)).flip(0)
            alone = torch.cat([model(image[None]) for image in images])
            if model.batch_independent:
                torch.testing.assert_close(alone, together, atol=1e-9, rtol=1e-9)
                torch.testing.assert_close(backwards, together, atol=1e-9, rtol=1e-9)
            else:
                assert (alone[1] - together[1]).abs().max() > 1e-3

    @pytest.mark.slow
    @torch.no_grad()
    def test_images_of_usual_size_keep_apart_to_float32(self) -> None:
        model = self.create().eval()
        for size in self.usual_sizes if model.batch_independent else []:
            images = self.images(2, size)
            together = model(images)
            alone = torch.cat([model(image[None]) for image in images])
            torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)

    @torch.no_grad()
    def test_half_precision_stays_close(self) -> None:
        model = self.create().eval()
        images = self.images(1)
        expected = model(images)
        logits = model.bfloat16()(images.bfloat16())
        assert logits.dtype == torch.bfloat16
        assert (logits - expected).abs().mean() < 0.2 * expected.std()

    @torch.no_grad()
    def test_copies_and_pickles_are_the_same_network(self) -> None:
        model = self.create().eval()
        images = self.images(1)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert copied.name == model.name
            assert copied.arguments == model.arguments
            assert torch.equal(copied(images), model(images))

    def test_modes_and_memory_formats_change_nothing(self) -> None:
        model = self.create().eval().double()
        images = self.images(2).double()
        expected = model(images).detach()
        with torch.inference_mode():
            # Where no gradient is wanted, kernels may sum in another order.
            for each in (images, images.to(memory_format=torch.channels_last)):
                torch.testing.assert_close(model(each), expected, atol=1e-9, rtol=1e-9)

    @torch.no_grad()
    def test_logits_depend_on_the_image(self) -> None:
        first, second = self.create().eval()(self.images(2))
        assert (first - second).abs().mean() > 1e-3
        assert first.std() > 1e-3

    def test_gradients_reach_every_parameter(self) -> None:
        model = self.create(**({self._random(): 0.0} if self._random() else {})).train()
        logits, auxiliary = model.outputs(self.images(2))
        sum(output.square().mean() for output in (logits, *auxiliary)).backward()
        # Before BatchNorm, the gradient of a bias is zero but for rounding: it need only be there.
        silent = {
            key
            for key, value in model.named_parameters()
            if value.grad is None or not (key.endswith("bias") or value.grad.any())
        }
        assert silent == {key for key, _ in model.named_parameters() if re.fullmatch(self.silent, key)}

    @torch.no_grad()
    def test_all_outputs_begin_with_the_logits_and_are_as_large_as_the_images(self) -> None:
        model = self.create().eval()
        images = self.images(2, self.sizes[-1])
        logits, auxiliary = model.outputs(images)
        assert torch.equal(logits, model(images))
        assert all(output.shape == logits.shape for output in auxiliary)

    @torch.no_grad()
    def test_only_training_is_random(self) -> None:
        argument = self._random()
        if not argument:
            pytest.skip("nothing in this network is random")
        model = self.create(**{argument: 0.5})
        images = self.images(4)
        assert not torch.equal(model.train()(images), model(images))
        assert torch.equal(model.eval()(images), model(images))

    def test_the_seed_decides_the_weights(self) -> None:
        states = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            states.append(create_model(self.name, **self.arguments).state_dict())
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])

    @torch.no_grad()
    def test_a_weight_file_gives_the_same_network(self, tmp_path: Path) -> None:
        model = self.create().eval()
        save_model(model, tmp_path / "model.safetensors", threshold=0.4)
        loaded = load_model(tmp_path / "model.safetensors")
        assert loaded.name == self.name
        assert not loaded.training
        assert loaded.threshold == 0.4
        assert loaded.preprocessing == model.preprocessing
        assert loaded.arguments.items() >= self.arguments.items()
        assert torch.equal(loaded(self.images(2)), model(self.images(2)))

    def released(self, model: SegmentationModel) -> dict[str, Tensor]:
        """Return other weights under the released names; override where a release divides them otherwise."""
        assert model.release is not None
        return {
            rename(key, model.release.names): torch.randn_like(value) if value.is_floating_point() else value
            for key, value in model.state_dict().items()
        }

    @torch.no_grad()
    def test_a_released_checkpoint_fits_key_by_key_or_the_key_is_named(self) -> None:
        model = self.create().eval()
        if model.release is None:
            pytest.skip("its releases are several; see test_released.py")
        weights, images = self.released(model), self.images(1)
        before = model(images)
        live = [key for key in weights if not key.endswith(COUNTERS)]
        for key in (*live[:: max(1, len(live) // 6)], live[-1]):
            others = {name: value for name, value in weights.items() if name != key}
            for spoilt, named in (
                (others, rf"missing key {re.escape(key)}\b"),
                (weights | {f"{key}_new": weights[key]}, rf"unknown key {re.escape(key)}_new\b"),
                (others | {key: torch.zeros(3, 1, 4, 1, 5)}, rf"(?=.*shape).*{re.escape(key)}\b"),
            ):
                with pytest.raises(CheckpointError, match=named):
                    load_released(model, spoilt)
        assert torch.equal(model(images), before)
        assert set(load_released(model, weights).loaded) == set(model.state_dict())
        assert not torch.equal(model(images), before)

    @pytest.mark.slow
    def test_compiles_to_one_graph(self) -> None:
        self.check_compiles()

    def check_compiles(self) -> None:
        # In double precision, since both ways round differently where kernels join what a graph keeps apart.
        model = self.create().eval().double()
        images = self.images(2).double()
        compiled = torch.compile(model, fullgraph=model.compiles, backend="aot_eager")
        with torch.no_grad():
            torch.testing.assert_close(compiled(images), model(images), atol=1e-8, rtol=1e-8)

    @pytest.mark.slow
    def test_exports_as_it_says(self, tmp_path: Path) -> None:
        model = self.create().eval()
        model.preprocessing = replace(model.preprocessing, size=self.export_size)
        if model.exports_to_onnx:
            assert_exports(model, [self.square, (37, 70)])
        else:
            with pytest.raises(ConfigError, match="cannot be written as ONNX"):
                export_onnx(model, tmp_path / "model.onnx")

    @pytest.mark.slow
    def test_overfits_four_synthetic_images(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        model = create_model(self.name, **(self.arguments | ({"drop_path": 0.0} if self.drop_path else {})))
        pairs = synthetic_collection(tmp_path, 4, size=self.square[1], seed=0).pairs
        images = torch.stack([torch.tensor(read_image(pair.image)).permute(2, 0, 1) for pair in pairs])
        masks = torch.stack([torch.tensor(read_mask(pair.mask)) for pair in pairs])[:, None]
        standardised = normalize(images, model.preprocessing.mean, model.preprocessing.std)
        assert self.fitted_dice(model, standardised, masks) > 0.95

    def fitted_dice(self, model: SegmentationModel, images: Tensor, masks: Tensor) -> float:
        """Train on the same images over and over; return the best mean per-image Dice meanwhile."""
        optimizer, best = torch.optim.AdamW(model.parameters(), self.overfit_rate), 0.0
        criterion = BCEDiceLoss()
        for step in range(self.overfit_steps):
            outputs = self.training_outputs(model.train(), images)
            loss = sum(criterion(output, masks) for output in (outputs.logits, *outputs.auxiliary))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 20 == 19:
                with torch.no_grad():
                    logits = model.train(not self.running_statistics)(images)
                best = max(best, per_image_overlap(logits, masks)[0].mean().item())
            if best > 0.95:
                break
        return best

    def training_outputs(self, model: SegmentationModel, images: Tensor) -> Outputs:
        """Make the outputs that the loss sees; override where a network is trained on more than images."""
        return model.outputs(images)
