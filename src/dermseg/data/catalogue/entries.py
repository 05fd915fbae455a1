"""Entries of the catalogue, read from one YAML file per data set when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any, Literal

from dermseg.errors import ConfigError

NAMES = ("isic2016", "isic2017", "isic2018", "ham10000", "ph2", "folder")
"""Data sets of the catalogue, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that a data set's makers offer for download."""

    name: str
    """Official name, under which it is stored."""
    urls: tuple[str, ...]
    """Official addresses; a later one is asked where an earlier one no longer has the file."""
    images: int
    """Images (or masks) in the folder that it unpacks to; 0 for a file that is no archive."""
    size: int | None
    """Bytes, or None where no exact size is public."""
    checksum: str | None
    """Algorithm and hexadecimal digest, such as `sha256:80f9...`, or None where none is public."""

    @property
    def folder(self) -> str | None:
        """Name of the folder that it unpacks to; None for a file that is no archive."""
        return self.name.removesuffix(".zip") if self.name.endswith(".zip") else None


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many images of one list another holds too, by identifier."""

    images: str
    """Data set and part that is counted, such as `isic2017 test`."""
    of: int
    """Images in that list."""
    also_in: str
    """Data set and part that holds `shared` of them."""
    shared: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one data set."""

    name: str
    title: str
    layout: str
    """Layout by which `dermseg.data.readers` reads it once it is there."""
    access: Literal["open", "registration", "own"]
    """Whether anybody may fetch it, its makers want a registration first, or it is the user's own."""
    page: str
    """Page of its makers; empty for the user's own data."""
    images: Mapping[str, int]
    """Images of each official part; every image has one mask."""
    masks: str
    licence: str
    licence_note: str
    citation: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    about_bytes: int | None
    """Size of all files together where that of each is not known exactly."""
    checksums_from: str
    """Who vouches for the checksums."""
    by_hand: tuple[str, ...]
    """Steps to get it where it cannot be downloaded; `{out}` stands for the folder it goes to."""
    notes: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    """What could not be confirmed from public material."""

    @property
    def pairs(self) -> int:
        """Images of all parts together; 0 where nobody can know."""
        return sum(self.images.values())

    @property
    def size(self) -> int | None:
        """Bytes to download, exact if the size of every file is known; None where nobody can know."""
        sizes = [file.size for file in self.files]
        exact = [size for size in sizes if size is not None]
        return sum(exact) if exact and len(exact) == len(sizes) else self.about_bytes

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        """Overlaps with other data sets that involve this one."""
        return tuple(
            overlap
            for overlap in overlaps()
            if self.name in (overlap.images.split()[0], overlap.also_in.split()[0])
        )


@cache
def load_entry(name: str) -> Entry:
    """Read one entry.

    Args:
        name: One of `NAMES`.

    Raises:
        ConfigError: There is no such data set.
    """
    if name not in NAMES:
        close = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"no data set {name!r} in the catalogue; {hint}There are: {', '.join(NAMES)}.")
    optional: dict[str, Any] = {"licence_note": "", "about_bytes": None, "checksums_from": "", "files": []}
    facts = {"name": name, **optional, **_yaml(name)}
    mirrors = facts.pop("mirrors", [])
    facts["files"] = tuple(_file(file, mirrors) for file in facts["files"])
    for several in ("citation", "by_hand", "notes", "unconfirmed"):
        facts[several] = tuple(facts.get(several, ()))
    return Entry(**facts)


def entries() -> tuple[Entry, ...]:
    """Read all entries, in the order of `NAMES`."""
    return tuple(load_entry(name) for name in NAMES)


@cache
def overlaps() -> tuple[Overlap, ...]:
    """Read the overlaps between the lists of the catalogue."""
    return tuple(Overlap(**overlap) for overlap in _yaml("overlaps"))


def _file(facts: Mapping[str, Any], mirrors: list[str]) -> RemoteFile:
    address = facts.get("address", facts["name"])
    return RemoteFile(
        name=facts["name"],
        urls=tuple(f"{mirror}{address}" for mirror in mirrors),
        images=facts.get("images", 0),
        size=facts.get("bytes"),
        checksum=facts.get("checksum"),
    )


def _yaml(name: str) -> Any:  # noqa: ANN401 (a list or a mapping, by file)
    # Not before: most commands need no catalogue.
    import yaml

    text = (resources.files(__package__) / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
