"""dermseg: the border of a skin lesion in a dermoscopic image."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermseg.data.images import read_image
    from dermseg.inference.predictor import Predictor
    from dermseg.inference.segmentation import Segmentation
    from dermseg.models.registry import create_model, list_models
    from dermseg.models.released import load_released, read_released
    from dermseg.models.weights import load_model, save_model

__version__ = "0.1.0"

__all__ = [
    "Predictor",
    "Segmentation",
    "create_model",
    "list_models",
    "load_model",
    "load_released",
    "read_image",
    "read_released",
    "save_model",
]

# Imported on first use: `import dermseg` and `dermseg --help` do not wait for torch.
_HOMES = {
    "Predictor": "dermseg.inference.predictor",
    "Segmentation": "dermseg.inference.segmentation",
    "create_model": "dermseg.models.registry",
    "list_models": "dermseg.models.registry",
    "load_model": "dermseg.models.weights",
    "load_released": "dermseg.models.released",
    "read_image": "dermseg.data.images",
    "read_released": "dermseg.models.released",
    "save_model": "dermseg.models.weights",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dermseg' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
