"""Everything that decides a training run. Free of torch, so that `dermseg train --help` answers at once."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dermseg.data.geometry import LARGEST_SIDE, Geometry, check_geometry
from dermseg.data.layouts import Layout
from dermseg.errors import ConfigError
from dermseg.training.history import Keep

RUNTIME = frozenset(
    {"data", "layout", "masks", "groups", "cache", "out", "resume"}
    | {"workers", "threads", "device", "time_budget"}
)
"""Fields that do not change the curve: they are free when a run is resumed. Of the data that is the place."""

MOST_PROCESSES = 1024
"""Threads or workers beyond which a number is taken for a mistake: the machine would go under."""


@dataclass
class TrainArguments:
    """Arguments of `dermseg train`; the defaults are the paper's (section 4.2).

    What the paper leaves open is chosen here and said at the field.

    Raises:
        ConfigError: A value is outside its range; the message names the field.
    """

    model: str = "xlstm_vmunet"
    """Name of the network; `dermseg models` lists them."""

    model_arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the network that differ from its defaults, e.g. --model_arguments.fusion rows"""

    weights: str | None = None
    """Start from these weights instead of new ones: a .safetensors file, or weights that ship, `default` or
    `tiny`. The network is the file's, which `model` must name; of an ensemble, its first member."""

    frozen_norms: bool = False
    """Normalise by the running statistics that the weights bring, and leave them as they are (BatchNorm), as
    is common where batches are small and training goes on from a network that has learned."""

    recipe: Literal["common", "own"] = "common"
    """With 'own', `dermseg train` starts from the options that the network's authors trained with, not from
    one protocol for all. In Python, `dermseg.training.configuration.read_recipe` returns them."""

    data: str = "synthetic"
    """Folder of a data set, or 'synthetic' for drawn images that need no download."""

    layout: Layout = "auto"
    """How the data folder is laid out."""

    masks: Path | None = None
    """Folder of the masks, where it is not inside the data folder; that one then holds the images alone."""

    synthetic_images: int = 200
    """Number of images drawn when data is 'synthetic'."""

    split: str | None = None
    """A split file, the name of a frozen split, or that of a protocol, of several folds with the number of
    one (paper-5-fold:1). By default the official parts of the data set, where there are several, else the
    seed holds out images."""

    groups: str | None = None
    """A CSV file with the lesion_id or patient_id of each image_id, which stay on one side. Tables beside the
    data are found without it."""

    allow_leak: bool = False
    """Train on a split with near-duplicates or images of one lesion on two sides; its results say so."""

    validation: float = 0.1
    """Share of the images that choose the best epoch, where no split is given."""

    test: float = 0.2
    """Share of the images that training never touches, where no split is given."""

    size: int = 256
    """Side of the square training images, in pixels."""

    geometry: Geometry = "squash"
    """How an image comes into the square: squash scales its sides apart, fit keeps its aspect and mirrors it
    to fill the rest, crop takes the square in its middle. Prediction does the same."""

    preprocessing: list[str] = field(default_factory=list)
    """What is done to an image in the square, in this order: shades_of_grey, hair_removal, e.g.
    --preprocessing '[hair_removal]'. Prediction does the same."""

    batch_size: int = 8
    """Images in a step. A last, smaller batch is left out of the epoch."""

    epochs: int = 150
    """Passes over the training images."""

    loss: Literal["bce_dice", "structure"] = "bce_dice"
    """Loss on logits; 'structure' is PraNet's. `dermseg.losses` has them."""

    loss_arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the loss that differ from its defaults, e.g. --loss_arguments.bce_weight 0.5"""

    deep_supervision: Literal["none", "mean", "sum", "halving"] = "none"
    """How the losses of all heads of the network are joined; with 'none', the prediction alone is trained,
    with 'halving' a head counts half as much as the next finer one, and the coarsest not at all."""

    mask_feedback: bool = False
    """Show the network a mask that it predicted for the image in an earlier epoch (fa_net)."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adam and sgd add the weight decay to the gradient; adamw applies it apart from the gradient."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of adamw and adam: of the running mean of the gradient, and of that of its square."""

    momentum: float = 0.9
    """sgd: share of the gradients before that each step carries on."""

    learning_rate: float = 1e-3
    """Highest learning rate."""

    schedule: Literal["cosine", "constant", "linear", "poly", "step", "plateau"] = "cosine"
    """How the learning rate falls, epoch by epoch, from the highest to the lowest."""

    schedule_epochs: int | None = None
    """cosine: epochs from the highest rate to the lowest, after which it rises again; linear: the last
    epochs, over which it falls (both by default: the whole run). step: epochs between drops. plateau: epochs
    without a lower validation loss that are endured before a drop."""

    schedule_factor: float = 0.1
    """step and plateau: what a drop multiplies the learning rate by."""

    schedule_power: float = 0.9
    """poly: power of the share of epochs that is left."""

    minimum_learning_rate: float = 1e-5
    """Lowest learning rate (the released code's value; the paper gives none)."""

    warmup_epochs: int = 0
    """Epochs over which the learning rate first rises linearly; at least one epoch comes after them."""

    weight_decay: float = 1e-2
    """Decay of matrices and convolution kernels. Biases, norms and the scan's A_log and D are spared; the
    released code decays them too."""

    decay_all: bool = False
    """Decay biases, norms, A_log and D as well, as optimizers do by default."""

    gradient_clip: float | None = None
    """Largest norm of the gradient; none by default, as in the paper."""

    gradient_clip_by: Literal["norm", "value"] = "norm"
    """With 'value', gradient_clip is the largest size of every single element instead."""

    scales: tuple[float, ...] = (1.0,)
    """Every batch is trained on once at each of these multiples of its size, rounded to 32 pixels."""

    weight_average: float | None = None
    """Validate and keep an exponential moving average (EMA) of the weights, with this decay a step, e.g.
    0.998. By default the weights themselves are kept."""

    keep: Keep = "best"
    """Epoch whose weights are kept: that of the highest validation Dice, or the last, at the lowest learning
    rate. Where the validation images are few, choosing by them is partly chance."""

    patience: int | None = None
    """Early stopping: end when none of this many epochs was a new best one; by default all are trained."""

    augment: bool = True
    """Move, recolour and soil the training images, anew for every image and epoch; `dermseg data preview`
    shows how."""

    augmentation: dict[str, Any] = field(default_factory=dict)
    """What differs from the default of these changes: another preset (--augmentation.preset strong or none),
    and fields of `dermseg.data.augment.Augmentation`, e.g. --augmentation.hue 0"""

    seed: int = 0
    """Same seed, same machine: same curve. It also holds out the images where no split is given."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a CUDA GPU when there is one, else the CPU."""

    precision: Literal["32", "bf16-mixed"] = "32"
    """Number format of the forward pass."""

    threads: int | None = None
    """CPU threads; by default all cores."""

    workers: int = 0
    """Processes that read images. The prepared cache is memory-mapped, so none are needed as a rule."""

    time_budget: float | None = None
    """Stop after this many minutes, at the end of an epoch; the run can be resumed."""

    cache: Path | None = None
    """Folder that holds prepared caches and drawn images; by default in the user's cache folder."""

    out: Path | None = None
    """Run folder for everything this run writes; by default runs/MODEL-TIME."""

    resume: bool = False
    """Continue the run in `out` from its last epoch, or start it where it has none yet."""

    def __post_init__(self) -> None:
        # YAML has no tuples.
        self.betas, self.scales = (self.betas[0], self.betas[1]), tuple(self.scales)
        self._positive("synthetic_images", "size", "batch_size", "epochs", "learning_rate")
        self._positive("gradient_clip", "patience", "threads", "time_budget", "schedule_epochs")
        self._positive("schedule_factor", "schedule_power")
        self._not_negative(
            "minimum_learning_rate", "warmup_epochs", "weight_decay", "workers", "seed", "test"
        )
        self._at_most(MOST_PROCESSES, "threads", "workers")
        self._at_most(2**63 - 1, "seed")
        self._check_optimization()
        check_geometry(self.geometry)
        if not 0 < self.validation < 1:
            raise ConfigError(
                f"validation is {self.validation}; it is a share between 0 and 1, since the best epoch is "
                "chosen on images that are neither trained on nor tested"
            )
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"validation {self.validation} and test {self.test} leave no image for training; lower them"
            )
        if self.minimum_learning_rate > self.learning_rate:
            raise ConfigError(
                f"minimum_learning_rate {self.minimum_learning_rate} is above the learning_rate, "
                f"{self.learning_rate}"
            )
        if self.resume and self.out is None:
            raise ConfigError("resume needs the run folder: --resume RUN, or --out RUN --resume")

    def _check_optimization(self) -> None:
        if self.weight_average is not None and not 0 < self.weight_average < 1:
            raise ConfigError(f"weight_average is {self.weight_average}; it must be above 0 and below 1")
        for name, values in (("betas", self.betas), ("momentum", (self.momentum,))):
            if not all(0 <= value < 1 for value in values):
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not self.scales or not all(scale > 0 and math.isfinite(scale) for scale in self.scales):
            raise ConfigError(f"scales is {self.scales}; it must be one or more numbers above 0")
        if self.size * max(self.scales) > LARGEST_SIDE:
            raise ConfigError(
                f"size {self.size} at the largest of scales {self.scales} is beyond {LARGEST_SIDE} pixels"
            )
        if self.schedule in ("step", "plateau") and self.schedule_epochs is None:
            raise ConfigError(f"schedule {self.schedule} needs schedule_epochs")

    def _at_most(self, most: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value > most:
                raise ConfigError(f"{name} is {value}; it must be at most {most}")

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name} is {value}; it must be above 0")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"{name} is {value}; it must not be negative")
