"""One training on several processes, started by `torchrun` or `accelerate launch`: who writes, who waits."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TypeVar, cast

import torch
from accelerate import PartialState
from torch import distributed

T = TypeVar("T")

# While the main process scores or reads, the others wait; torch's own limit is half an hour.
PATIENCE = timedelta(hours=6)


def is_main_process() -> bool:
    """Whether this process is the one that writes results; it is where there is only one."""
    return int(os.environ.get("RANK", "0")) == 0


def join_processes() -> None:
    """Meet the other processes of this training, if there are any; the functions below need it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def wait_for_everyone() -> None:
    """Return when all processes have called this."""
    if distributed.is_initialized():
        PartialState().wait_for_everyone()


def from_main(value: T | None) -> T:
    """Return the main process's `value` in all of them."""
    if not distributed.is_initialized():
        return cast(T, value)
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return cast(T, box[0])
