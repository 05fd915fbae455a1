"""The run folder: what may be in it when a run starts, and where a resumed run takes up."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

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


def open_run(arguments: TrainArguments) -> RunFolder:
    """Create the run folder, or find where the run in it stands.

    Raises:
        ConfigError: The folder holds something and `resume` is off, or the run in it was started with other
            arguments.
        CheckpointError: The folder's checkpoints are damaged.
    """
    path = arguments.out or Path("runs") / f"{arguments.model}-{datetime.now():%Y%m%d-%H%M%S}"
    if path.exists() and not path.is_dir():
        raise ConfigError(f"out: {path} is a file; name a folder")
    configuration = path / "config.yaml"
    if path.exists() and any(path.iterdir()) and not arguments.resume:
        remedy = f"continue it with --resume {path}, or " if configuration.exists() else ""
        raise ConfigError(f"out: the folder {path} is not empty; {remedy}name another folder")
    if not configuration.exists():
        save_configuration(configuration, arguments)
        return RunFolder(path, None, History())
    _check_same_experiment(configuration, arguments)
    checkpoint, history = newest_checkpoint(path / "checkpoints") or (None, History())
    # A kill may have come between the checkpoint and this file.
    write_text(path / "metrics.csv", history.csv())
    return RunFolder(path, checkpoint, history)


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
    # YAML has no tuples.
    return saved == given or repr(saved) == repr(given).replace("(", "[").replace(")", "]")
