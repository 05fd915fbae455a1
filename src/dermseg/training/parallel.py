"""One run trained by several processes, each on a part of every batch: started by `torchrun`.

`torchrun --nproc_per_node 4 -m dermseg train ...` starts four processes with the same words. The first keeps
the run folder; the others compute beside it. A batch is divided among them and the gradients are averaged,
so that the run takes the same steps as one process with the same batch size; its draws (augmentation, drop
path) are others, and statistics of batch norm are those of the whole batch on GPUs only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from dermseg.devices import resolve_device
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.folder import RunFolder


@dataclass(frozen=True)
class World:
    """The processes of a run, and which of them this is."""

    rank: int = 0
    """Of this process; 0 keeps the run folder."""
    size: int = 1
    on_this_machine: int = 1

    @property
    def machines(self) -> int:
        """Machines that the processes are on, as many on each."""
        return self.size // self.on_this_machine

    def send(self, run: RunFolder) -> None:
        """Tell the other processes where the run stands."""
        if self.size > 1:
            distributed.broadcast_object_list([run])

    def receive(self) -> RunFolder:
        """Wait until the first process tells."""
        message: list[Any] = [None]
        distributed.broadcast_object_list(message)
        run: RunFolder = message[0]
        return run


ALONE = World()


@contextmanager
def joined(arguments: TrainArguments) -> Iterator[World]:
    """Join the processes that torchrun has started; a process that it did not start is alone.

    Args:
        arguments: Of the run.

    Raises:
        ConfigError: The batch cannot be divided, or the training cannot.
    """
    world = _world()
    if world.size == 1:
        yield world
        return
    if arguments.batch_size % world.size:
        raise ConfigError(
            f"batch_size is {arguments.batch_size}, which {world.size} processes cannot divide; make it a "
            f"multiple of {world.size}"
        )
    if arguments.mask_feedback:
        raise ConfigError("mask_feedback keeps masks in one process; train without torchrun")
    on_gpu = resolve_device(arguments.device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield world
    finally:
        distributed.destroy_process_group()


def _world() -> World:
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    return World(*(int(os.environ[name]) for name in names))
