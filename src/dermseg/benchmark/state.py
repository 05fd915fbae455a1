"""How far a cell is: state.json, and a lock that its process holds as long as it lives."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from filelock import FileLock, Timeout

from dermseg.files import read_json, write_json

PATIENCE = 1.0
"""Seconds to wait for a lock: longer than `is_held` holds one, shorter than any cell takes."""


@dataclass(frozen=True)
class State:
    """What state.json holds."""

    state: Literal["running", "done", "failed"]
    """A cell whose process was killed, or whose time was over, says running too; no lock is held then."""
    error: str | None = None
    """Why the last attempt failed."""
    started: str | None = None
    """Start of the latest sitting, in universal time."""
    finished: str | None = None
    seconds: float | None = None
    """Time spent in training, over all sittings, and in testing."""
    epochs_before: int = 0
    """Epochs that were done when the latest sitting began."""
    peak_memory_bytes: int | None = None
    """Largest so far; see `dermseg.benchmark.measure`."""
    pid: int = 0
    host: str = ""


_TYPES: dict[str, Any] = get_type_hints(State)
_LONGEST = 1e9
"""Seconds beyond which a time is taken for damage: three decades."""


def read_state(folder: Path) -> State | None:
    """Read the state of a cell; None where it has none yet, or a damaged one, so that it begins anew."""
    values = read_json(folder / "state.json") or {}
    known = {name: values[name] for name in _TYPES if name in values}
    if "state" not in known or not all(_fits(*entry) for entry in known.items()):
        return None
    return State(**known)


def write_state(folder: Path, state: State) -> None:
    """Write the state of a cell."""
    write_json(folder / "state.json", asdict(state))


def now() -> str:
    """Return the time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a cell for this process alone; gives False where another one holds it.

    The lock ends with its process, however that ends, so that a killed process leaves no cell behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process works on the cell now."""
    if not (folder / ".lock").exists():
        return False
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def is_done(folder: Path) -> bool:
    """Whether a cell has its results."""
    state = read_state(folder)
    return state is not None and state.state == "done" and (folder / "per_image.csv").is_file()


def epochs_done(curve: Path) -> int:
    """Count the finished epochs in a run's metrics.csv, which has a heading."""
    try:
        return max(0, curve.read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


def _fits(name: str, value: object) -> bool:
    kind = _TYPES[name]
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind == float | None:
        return value is None or (isinstance(value, int | float) and 0 <= value < _LONGEST)
    return isinstance(value, kind)
