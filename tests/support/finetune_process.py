"""A fine-tuning in a process of its own: RECIPE_JSON DATA RUN_DIR [step N | save N | mark N], which is when to die.

``step``: in the Nth training step; ``save``: while the Nth checkpoint is being written; ``mark``: when it is whole.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import training.fit.trainer
from training.config import Recipe
from training.fit.checkpoints import WHOLE
from training.fit.finetune import finetune


def dies(function: Any, at: int) -> Any:
    """Return ``function``, which kills its process as ``kill -9`` does when it is called for the ``at``th time."""
    calls = count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


def arrange_death(where: str, at: int) -> None:
    trainer = training.fit.trainer.ScoredTrainer
    if where == "step":
        trainer.training_step = dies(trainer.training_step, at)
    elif where == "save":  # the weights are written, the optimizer's state is not
        trainer._save_optimizer_and_scheduler = dies(trainer._save_optimizer_and_scheduler, at)
    elif where == "mark":  # all is written, the checkpoint before it is not yet deleted
        finish = training.fit.trainer.finish_checkpoint
        kill = dies(lambda: None, at)

        def mark_and_die(path: Path, keep: Any) -> None:
            (path / WHOLE).touch()
            kill()
            finish(path, keep)

        training.fit.trainer.finish_checkpoint = mark_and_die


if __name__ == "__main__":
    recipe_json, data, run_dir, *death = sys.argv[1:]
    if death:
        arrange_death(death[0], int(death[1]))
    finetune(Recipe.model_validate_json(Path(recipe_json).read_text()), Path(data), Path(run_dir))
