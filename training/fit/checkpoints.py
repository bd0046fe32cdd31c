"""Checkpoints to resume from: only whole ones count, and a full disk is one sentence."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from training.errors import ExpectedError, is_disk_full
from training.fit.distributed import from_main

WHOLE = "whole"  # an empty file that is written into a checkpoint last

NAME = re.compile(r"checkpoint-(\d+)")


class TrainingError(ExpectedError, RuntimeError):
    """A training that could not go on for a reason outside it; the message is one sentence that says what to do."""


class SaveByTheClock(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Asks for a checkpoint when the last one is `minutes` old, inside an epoch too.

    At the end of an epoch there is one anyway, after the evaluation that belongs into it.
    """

    def __init__(self, minutes: float) -> None:
        self.seconds = minutes * 60
        self.saved = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        ends_epoch = state.epoch == int(state.epoch)
        is_due = from_main(time.monotonic() - self.saved >= self.seconds)
        if is_due and not ends_epoch and not control.should_training_stop:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self.saved = time.monotonic()


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the latest step that was written to its end."""
    steps = [step for step, path in checkpoints(folder).items() if (path / WHOLE).exists()]
    return folder / f"checkpoint-{max(steps)}" if steps else None


def remove_unfinished(folder: Path) -> None:
    """Delete checkpoints that a dying process left half-written."""
    for path in checkpoints(folder).values():
        if not (path / WHOLE).exists():
            shutil.rmtree(path)


def finish_checkpoint(path: Path, keep: Container[int]) -> None:
    """Mark a checkpoint as whole and only then delete the others, except those of the steps in `keep`."""
    (path / WHOLE).touch()
    for step, other in checkpoints(path.parent).items():
        if other != path and step not in keep:
            shutil.rmtree(other, ignore_errors=True)


def state_of(checkpoint: Path) -> TrainerState:
    """Return the Trainer's state as it was when the checkpoint was written."""
    return TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))


def is_finished(state: TrainerState) -> bool:
    """Whether training had been decided to stop when the checkpoint was written: early, or at its last step."""
    control: dict[str, Any] = state.stateful_callbacks.get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


@contextmanager
def disk_space(folder: Path) -> Iterator[None]:
    """Raise `TrainingError` when writing to `folder` fails for want of space."""
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise TrainingError(
            f"{folder}: the disk is full; free some space and run the same command again, which goes on from the "
            "last checkpoint"
        ) from error


def checkpoints(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    named = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match.group(1)): path for match, path in named if match}
