"""Several networks that answer as one."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import model_arguments


class Ensemble(SegmentationModel):
    """The mean logits of networks of one form, each with its own weights.

    Networks that were trained from other seeds, or on other images, err in other places, so that their mean
    is better than most of them. It is a network like any other: one weight file, one exported file.

    Its threshold is the mean of its members'; an estimate of Dice, which was fitted to a member alone, is
    left out.

    Args:
        networks: At least two, made by `create_model`, of one name, with the same arguments and
            preprocessing. They become part of the ensemble; of an ensemble among them, its members do.

    Raises:
        ConfigError: They are fewer than two, or differ in form or preprocessing.
    """

    def __init__(self, networks: Sequence[SegmentationModel]) -> None:
        super().__init__()
        members = [member for network in networks for member in members_of(network)]
        if len(members) < 2:
            raise ConfigError(f"an ensemble has at least two members, got {len(members)}")
        first, *others = members
        for other in others:
            if _form(other) != _form(first):
                raise ConfigError(
                    f"the members of an ensemble must be of one form, but one is {_described(first)} "
                    f"and another {_described(other)}"
                )
            if other.preprocessing != first.preprocessing:
                raise ConfigError(
                    "the members of an ensemble must want the same preprocessing, but one has "
                    f"{first.preprocessing} and another {other.preprocessing}"
                )
        self._members = nn.ModuleList(members)
        self.name, self.arguments = first.name, dict(first.arguments)
        self.preprocessing, self.stride, self.passes = first.preprocessing, first.stride, first.passes
        self.threshold = sum(member.threshold for member in members) / len(members)
        self.mirrors = all(member.mirrors for member in members)
        self.batch_independent = first.batch_independent
        self.compiles = first.compiles
        self.exports_to_onnx, self.exports_any_size = first.exports_to_onnx, first.exports_any_size

    @property
    def members(self) -> list[SegmentationModel]:
        """The networks."""
        return cast("list[SegmentationModel]", list(self._members))

    def forward(self, images: Tensor) -> Tensor:
        """Segment standardised images; every member brings them to its stride in its own way.

        Args:
            images: Float tensor (B, 3, H, W), standardised as `preprocessing` says.

        Returns:
            The mean of the members' logits (B, 1, H, W).

        Raises:
            ConfigError: As of a member.
        """
        return torch.stack([member(images) for member in self.members]).mean(dim=0)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of `stride`, to the mean logits (B, 1, H, W)."""
        return self.forward(images)


def members_of(model: SegmentationModel) -> list[SegmentationModel]:
    """Return the networks of an ensemble, or the one network."""
    return model.members if isinstance(model, Ensemble) else [model]


def _form(model: SegmentationModel) -> tuple[str, dict[str, object]]:
    arguments = model_arguments(model.name) | model.arguments
    # Where the weights began is no part of the form.
    arguments.pop("pretrained", None)
    return model.name, {key: list(v) if isinstance(v, tuple) else v for key, v in arguments.items()}


def _described(model: SegmentationModel) -> str:
    return f"{model.name} ({', '.join(f'{key} {value}' for key, value in model.arguments.items())})"
