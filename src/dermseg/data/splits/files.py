"""Splits as files, and those that come with the package."""

import json
from importlib import resources
from pathlib import Path

from dermseg.data.splits.split import SIDES, Split
from dermseg.errors import DataError
from dermseg.files import write_json

_FROZEN = resources.files("dermseg.data") / "frozen"


def save_split(split: Split, path: Path) -> None:
    """Write a split as JSON, with its checksum."""
    sides = {side: list(getattr(split, side)) for side in SIDES}
    write_json(path, {"name": split.name, "origin": dict(split.origin), "checksum": split.checksum, **sides})


def load_split(source: str | Path) -> Split:
    """Load a split that was frozen in the package, or one from a file.

    Args:
        source: A name from `frozen_splits()`, or the path of a JSON file that `save_split` wrote.

    Raises:
        DataError: There is no such split, the file is malformed, or its checksum does not fit its lists.
    """
    if str(source) in frozen_splits():
        text = (_FROZEN / f"{source}.json").read_text(encoding="utf-8")
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            # Names may hold what no file system takes, and files what is no text.
            raise DataError(
                f"No split {source}: it is none of {', '.join(frozen_splits())} and not a file ({error})."
            ) from error
    return _parse(text, source)


def frozen_splits() -> tuple[str, ...]:
    """List the names of the splits that come with the package."""
    return tuple(sorted(entry.name.removesuffix(".json") for entry in _FROZEN.iterdir()))


def _parse(text: str, source: str | Path) -> Split:
    try:
        content = json.loads(text)
        origin = dict(content.get("origin", {}))
        for key, texts in [*((side, content[side]) for side in SIDES), ("leaks", origin.get("leaks", []))]:
            if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
                raise TypeError(f"{key} must be a list of strings")
        split = Split(
            name=str(content["name"]), origin=origin, **{side: tuple(content[side]) for side in SIDES}
        )
        stated = content["checksum"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{source} is not a split file ({error!r}); it needs name, checksum, {', '.join(SIDES)}."
        ) from error
    except DataError as error:
        raise DataError(f"{source} is no split: {error}") from error
    if stated != split.checksum:
        raise DataError(
            f"{source} was changed after it was written: its checksum is {split.checksum}, "
            f"it states {stated}. Restore the file, or save the changed lists as a new split."
        )
    return split
