"""What a download of ImageNet weights raises, as one kind of error that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from dermseg.errors import ConfigError


@contextmanager
def downloading(name: str) -> Iterator[None]:
    """Turn whatever a download of a timm model's weights raises into a ConfigError.

    Args:
        name: Of the timm model.

    Raises:
        ConfigError: If the weights cannot be had.
    """
    try:
        yield
    except Exception as error:  # timm documents no list of errors
        raise ConfigError(
            f"pretrained: the ImageNet weights of timm's {name} cannot be had ({error}); "
            "check the connection, or give pretrained=False"
        ) from error
