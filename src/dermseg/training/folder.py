"""The run folder: what may be in it when a run starts, and where a resumed run takes up."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from dermseg.data.splits import Split, save_split
from dermseg.errors import ConfigError
from dermseg.files import write_text
from dermseg.training.arguments import RUNTIME, TrainArguments
from dermseg.training.checkpoints import newest_checkpoint
from dermseg.training.configuration import read_yaml, save_configuration
from dermseg.training.history import History


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to this run, and how far the run has come."""

    path: Path
    checkpoint: Path | None
    """Where to continue; None at the beginning."""
    history: History
    notice: str = ""
    """What is damaged, and what follows."""


@contextmanager
def open_run(arguments: TrainArguments) -> Iterator[RunFolder]:
    """Hold the run folder for this process alone, and find where the run in it stands.

    A folder in which nothing was begun is removed again.

    Raises:
        ConfigError: The folder holds something and `resume` is off, the run in it was started with other
            arguments, another process is training there, or it cannot be written to.
        CheckpointError: The folder's checkpoints are damaged.
    """
    path = arguments.out or Path("runs") / f"{arguments.model}-{datetime.now():%Y%m%d-%H%M%S}"
    if path.exists() and not path.is_dir():
        raise ConfigError(f"out: {path} is a file; name a folder")
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(f"out: another process is training in {path}; name another folder") from error
    try:
        yield _standing(path, arguments)
    finally:
        # The lock of a run that has begun stays: were it removed, two processes could hold locks of one name.
        if not (path / "config.yaml").exists():
            with suppress(OSError):
                (path / ".lock").unlink(missing_ok=True)
                path.rmdir()
        lock.release()


def has_begun(run: RunFolder) -> bool:
    """Whether the folder has the configuration of a run."""
    return (run.path / "config.yaml").exists()


def begin_run(run: RunFolder, arguments: TrainArguments, split: Split) -> None:
    """Write config.yaml and split.json, unless the run has begun before."""
    if not has_begun(run):
        save_configuration(run.path / "config.yaml", arguments)
    if not (run.path / "split.json").exists():
        save_split(split, run.path / "split.json")


def _standing(path: Path, arguments: TrainArguments) -> RunFolder:
    configuration = path / "config.yaml"
    if not arguments.resume and any(entry.name != ".lock" for entry in path.iterdir()):
        remedy = f"continue it with --resume {path}, or " if configuration.exists() else ""
        raise ConfigError(f"out: the folder {path} is not empty; {remedy}name another folder")
    if not configuration.exists():
        return RunFolder(path, None, History())
    _check_same_experiment(configuration, arguments)
    for unfinished in (path / "checkpoints").glob(".*.ckpt"):
        unfinished.unlink()
    newest = newest_checkpoint(path / "checkpoints")
    checkpoint, history, notice = newest or (None, History(), "")
    # A kill may have come between the checkpoint and this file.
    try:
        write_text(path / "metrics.csv", history.csv())
    except OSError as error:
        raise ConfigError(
            f"{path / 'metrics.csv'} cannot be written ({error.strerror or error}); if it is a folder, move "
            f"it away, or else free space or change the permissions of {path}"
        ) from error
    return RunFolder(path, checkpoint, history, notice)


def _check_same_experiment(configuration: Path, arguments: TrainArguments) -> None:
    saved = read_yaml(configuration)
    for name, value in asdict(arguments).items():
        if name not in RUNTIME and name in saved and not _equal(saved[name], value):
            raise ConfigError(
                f"{name} is {value}, but the run in {configuration.parent} was started with {saved[name]}; "
                f"resume with the same value (free are {', '.join(sorted(RUNTIME - {'out', 'resume'}))}) "
                "or start a new run in another folder"
            )


def _equal(saved: object, given: object) -> bool:
    return saved == given or saved == _without_tuples(given)


def _without_tuples(value: object) -> object:
    """Return a value as YAML gives it back, which has no tuples."""
    if isinstance(value, dict):
        return {key: _without_tuples(item) for key, item in value.items()}
    return [_without_tuples(item) for item in value] if isinstance(value, (list, tuple)) else value
