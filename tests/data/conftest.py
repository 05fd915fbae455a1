"""A data set of the catalogue in small, offered by a server on this machine."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import FileServer, archive_of, quick
from rich.console import Console

from dermseg.data.catalogue.entries import Entry, load_entry
from dermseg.data.download import download

PARTS = {"Training": 3, "Validation": 1, "Test": 2}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def entry(server: FileServer) -> Entry:
    """ISIC 2018 with six pairs."""
    files = []
    for part, count in PARTS.items():
        names = [f"ISIC_{part}{number}" for number in range(count)]
        for folder, ending in (
            (f"ISIC2018_Task1-2_{part}_Input", ".jpg"),
            (f"ISIC2018_Task1_{part}_GroundTruth", "_segmentation.png"),
        ):
            content = archive_of(folder, [f"{name}{ending}" for name in names])
            files.append(server.offer(f"{folder}.zip", content, images=count))
    return replace(load_entry("isic2018"), images=PARTS, files=tuple(files))


@pytest.fixture
def fetched(entry: Entry, tmp_path: Path) -> Callable[..., str]:
    """Download `entry`, or another one, into `data` and return what was said."""

    def run(chosen: Entry = entry, attempts: int = 2) -> str:
        said = io.StringIO()
        download(chosen, tmp_path / "data", Console(file=said), quick(attempts))
        return said.getvalue()

    return run
