"""TransUNet: a ResNet, a Vision Transformer on its coarsest map, and a convolutional decoder.

Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation",
arXiv 2102.04306. Written from the paper and from measurements of the released network.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.layers.checks import check_flag, check_rate, check_whole, check_wholes
from dermseg.layers.weight_standardised import GROUPS, StandardisedResNet
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.imagenet import copy_weights, timm_weights
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table, join_attention

PATCH = 16
DEPTHS = (3, 4, 9)
NORM_EPS = 1e-6
IMAGENET = "vit_base_r50_s16_224.orig_in21k"
RELEASED = ModelInfo(
    title="TransUNet",
    year=2021,
    family="Transformer",
    paper="https://arxiv.org/abs/2102.04306",
    code="Beckschen/TransUNet",
    licence="Apache-2.0",
    parameters=105_322_001,
)

NAMES: Table = (
    *(
        (rf"^resnet\.stages\.{stage}\.{unit}\.", f"hybrid_model.body.block{stage + 1}.unit{unit + 1}.")
        for stage, depth in enumerate(DEPTHS)
        for unit in range(depth)
    ),
    (r"^resnet\.stem\.0\.", "hybrid_model.root.conv."),
    (r"^resnet\.stem\.1\.", "hybrid_model.root.gn."),
    (r"\.shortcut\.conv\.", ".downsample."),
    (r"\.shortcut\.norm\.", ".gn_proj."),
    (r"(unit\d)\.norm(\d)\.", r"\1.gn\2."),
    (r"^embed\.", "patch_embeddings."),
    (r"^positions$", "position_embeddings"),
    (r"^(hybrid_model|patch_embeddings|position_embeddings)", r"transformer.embeddings.\1"),
    (r"^blocks\.(\d+)\.norm1\.", r"blocks.\1.attention_norm."),
    (r"^blocks\.(\d+)\.norm2\.", r"blocks.\1.ffn_norm."),
    (r"^blocks\.(\d+)\.mlp\.", r"blocks.\1.ffn."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"blocks.\1.attn.out."),
    (r"^blocks\.", "transformer.encoder.layer."),
    (r"^norm\.", "transformer.encoder.encoder_norm."),
    (r"^decoder\.", "decoder.blocks."),
    (r"^narrow\.", "decoder.conv_more."),
    (r"^head\.", "segmentation_head.0."),
)
"""From our parameter names to the released ones, whose queries, keys and values are joined."""

IMAGENET_NAMES: Table = (
    (r"^resnet\.stages\.(\d)\.(\d)\.", r"patch_embed.backbone.stages.\1.blocks.\2."),
    (r"\.shortcut\.", ".downsample."),
    (r"^resnet\.stem\.0\.", "patch_embed.backbone.stem.conv."),
    (r"^resnet\.stem\.1\.", "patch_embed.backbone.stem.norm."),
    (r"^embed\.", "patch_embed.proj."),
    (r"^positions$", "pos_embed"),
    (r"^head\.", "segmentation_head."),
)
"""From our parameter names to timm's; the decoder and the head have no counterpart."""


class UpBlock(nn.Module):
    """Bilinear x2, concatenation [upsampled, skip], two 3x3 convolutions with BatchNorm and ReLU.

    Args:
        given: Channels of the coarser map.
        skip: Channels of the skip; 0 where there is none.
        made: Channels of the result.
    """

    def __init__(self, given: int, skip: int, made: int) -> None:
        super().__init__()
        self.conv1 = _convolution(given + skip, made)
        self.conv2 = _convolution(made, made)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map (B, given, H, W), and a skip (B, skip, 2H, 2W), to (B, made, 2H, 2W)."""
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        y: Tensor = self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], dim=1)))
        return y


@register_model("trans_unet", RELEASED)
class TransUNet(SegmentationModel):
    """TransUNet as released, on R50-ViT-B/16: ResNet to 1/16, Vision Transformer, four upsampling steps.

    Each pixel of the ResNet's coarsest map is one token, with a learned position embedding. The decoder joins
    the ResNet's maps at 1/8, 1/4 and 1/2 of the image's size; at full size there is no skip.

    Departures: the ResNet's activations follow its convolutions, and its max pool has no padding, so that the
    map at 1/4 is a pixel smaller than a quarter of the image (63 x 63 for 256 pixels); as a skip it is filled
    up with zeros. The release accepts images of one size only. Here images of any size work: the position
    embedding is resized bilinearly between its corners, as the release resizes that of ImageNet weights, and
    at `size` it is used as it is.

    Args:
        size: Side of the square that images are resized to, a multiple of 16; it decides the number of
            position embeddings. The release was trained at 224, and measured here at 256.
        width: Channels of the ResNet's stem, a multiple of 32; its stages have 4, 8 and 16 times as many.
        depths: Bottlenecks per ResNet stage, fine to coarse.
        token_width: Channels of a token.
        layers: Transformer blocks.
        heads: Attention heads; must divide `token_width`.
        decoder_widths: Channels of the first convolution of the decoder, and of its four steps.
        dropout: Rate after the position embedding and inside the transformer's MLPs.
        pretrained: Download ImageNet-21k weights for ResNet and transformer, which fit the default sizes.

    Raises:
        ConfigError: If a value is impossible, or the ImageNet weights cannot be downloaded or do not fit.
    """

    release = Release(NAMES, convert=join_attention)
    stride = PATCH

    def __init__(
        self,
        size: int = 256,
        width: int = 64,
        depths: Sequence[int] = DEPTHS,
        token_width: int = 768,
        layers: int = 12,
        heads: int = 12,
        decoder_widths: Sequence[int] = (512, 256, 128, 64, 16),
        dropout: float = 0.1,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        _check_sizes(size, width, depths, token_width, layers, heads, decoder_widths, dropout)
        check_flag("pretrained", pretrained)
        self.preprocessing = Preprocessing(size)
        self.grid = size // PATCH
        self.resnet = StandardisedResNet(width, depths)
        quarter, eighth, sixteenth = self.resnet.widths
        self.embed = nn.Conv2d(sixteenth, token_width, 1)
        self.positions = nn.Parameter(torch.zeros(1, self.grid**2, token_width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(_block(token_width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(token_width, eps=NORM_EPS)
        self.narrow = _convolution(token_width, decoder_widths[0])
        steps = zip(pairwise(decoder_widths), (eighth, quarter, width, 0), strict=True)
        self.decoder = nn.ModuleList(UpBlock(given, skip, made) for (given, made), skip in steps)
        self.head = nn.Conv2d(decoder_widths[-1], 1, 3, padding=1)
        if pretrained:
            self._load_imagenet()

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 16, to logits (B, 1, H, W)."""
        skips, x = self.resnet(images)
        x = self.narrow(self._transform(self.embed(x)))
        for step, skip in zip(self.decoder, (*reversed(skips), None), strict=True):
            x = step(x, skip)
        logits: Tensor = self.head(x)
        return logits

    def _transform(self, x: Tensor) -> Tensor:
        """Let the pixels of a map (B, token_width, rows, columns) attend to each other."""
        rows, columns = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2) + _resized(self.positions, self.grid, rows, columns)
        transformed: Tensor = self.norm(self.blocks(self.dropout(tokens)))
        return transformed.transpose(1, 2).reshape(x.shape)

    def _load_imagenet(self) -> None:
        weights = timm_weights(IMAGENET)
        positions = weights["pos_embed"][:, 1:]  # without that of the class token
        trained_grid = round(positions.shape[1] ** 0.5)
        weights["pos_embed"] = _resized(positions, trained_grid, self.grid, self.grid)
        copy_weights(self, weights, IMAGENET_NAMES)
        half = (0.5, 0.5, 0.5)
        self.preprocessing = Preprocessing(
            self.preprocessing.size, mean=half, std=half
        )  # as they were trained


def _resized(positions: Tensor, grid: int, rows: int, columns: int) -> Tensor:
    """Resize position embeddings (1, grid x grid, width) to (1, rows x columns, width).

    With corners aligned, resizing to the same grid changes no bit, so that this needs no case of its own.
    """
    plane = positions.transpose(1, 2).reshape(1, -1, grid, grid)
    resized = F.interpolate(plane, size=(rows, columns), mode="bilinear", align_corners=True)
    return resized.flatten(2).transpose(1, 2)


def _convolution(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
    )


def _block(width: int, heads: int, dropout: float) -> nn.Module:
    """One block of a Vision Transformer, initialised as in the release."""
    from timm.models.vision_transformer import Block  # takes a second that listing models must not

    norm: Any = partial(nn.LayerNorm, eps=NORM_EPS)
    block: Any = Block(width, heads, qkv_bias=True, proj_drop=dropout, norm_layer=norm)
    block.attn.proj_drop = nn.Identity()  # the release drops inside the MLP only
    for linear in (block.mlp.fc1, block.mlp.fc2):
        nn.init.xavier_uniform_(linear.weight)
        nn.init.normal_(linear.bias, std=1e-6)
    made: nn.Module = block
    return made


def _check_sizes(
    size: int,
    width: int,
    depths: Sequence[int],
    token_width: int,
    layers: int,
    heads: int,
    decoder_widths: Sequence[int],
    dropout: float,
) -> None:
    check_whole("size", size, multiple=PATCH)
    check_whole("width", width, multiple=GROUPS)
    check_wholes("depths", depths, len(DEPTHS))
    check_whole("heads", heads)
    check_whole("token_width", token_width)
    if token_width % heads:
        raise ConfigError(f"token_width must be a multiple of heads, got {token_width} and {heads}")
    check_whole("layers", layers)
    check_wholes("decoder_widths", decoder_widths, 5)
    check_rate("dropout", dropout)
