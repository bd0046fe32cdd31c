"""Fine-tunes a checkpoint on labeled text: from a recipe to a folder with the best epoch's weights."""

from __future__ import annotations

import json
import resource
import time
from functools import partial
from pathlib import Path
from typing import Any

from transformers import set_seed

from training.config import Recipe, RecipeError
from training.data import Splits
from training.data.fingerprint import fingerprint
from training.evaluation.bootstrap import score_once
from training.fit.checkpoints import disk_space
from training.fit.distributed import from_main, is_main_process, join_processes, wait_for_everyone
from training.fit.hardware import tune_allocator
from training.fit.preparing import Plan, prepare
from training.fit.runs import claim, quiet_libraries, save_run
from training.fit.trainer import train
from training.progress import Phases
from training.tasks import training_task
from training.trained import TrainedCheckpoint

# The part of a recipe on which the weights depend.
WHAT_TRAINS = frozenset({"task", "problem_type", "base", "seed", "task_settings", "data", "training", "distillation"})


def finetune(recipe: Recipe, data_dir: Path, run_dir: Path, phases: Phases | None = None) -> TrainedCheckpoint:
    """Train what `recipe` says on files under `data_dir`; write the best epoch to `run_dir`/checkpoint.

    A run that was cut off goes on from its last checkpoint when called again with the same recipe and folder; one
    that was finished is not repeated. Under `torchrun` every process calls this, and the main one writes. Raises
    `DataError` for unusable data, `RecipeError` for a recipe that cannot be run or that differs from the one
    whose run `run_dir` holds, or whose data does, and `TrainingError` when the disk is full.
    """
    task = training_task(recipe.task)
    if not task.has_examples:
        raise RecipeError(
            f"finetune trains on labeled examples, which {recipe.task} has none of; train on masked text with "
            "`roberta-train pretrain`, or publish a model as it is with `roberta-train export`"
        )
    join_processes()
    phases = phases or Phases()
    with phases("read"):
        splits = task.read_splits(recipe, data_dir)
        data = {name: fingerprint(getattr(splits, name)) for name in ("train", "validation", "test")}
    checkpoint = run_dir / "checkpoint"
    with disk_space(run_dir):
        if is_main_process():
            claim(run_dir, recipe, WHAT_TRAINS, data)
        if not from_main(checkpoint.exists()):
            with quiet_libraries():
                make(recipe, splits, run_dir, phases)
        wait_for_everyone()
    made = json.loads((run_dir / "history.json").read_text(encoding="utf-8"))
    chosen = {"problem_type": splits.labeling.problem_type, "learning_rate": made.get("learning_rate")}
    return TrainedCheckpoint(
        source=str(checkpoint),
        base=recipe.base,
        texts=[task.text_of(example) for example in splits.train],
        validation=splits.validation,
        test=splits.test,
        training=recipe.model_dump(mode="json", exclude={"card", "export", "evaluation"}) | {"chosen": chosen},
        training_seconds=made["seconds"],
        data_sha256=data,
    )


def make(recipe: Recipe, splits: Splits, run_dir: Path, phases: Phases) -> None:
    """Train and save; the main process writes."""
    started = time.perf_counter()
    tune_allocator()
    set_seed(recipe.seed)
    with phases("tokenize"):
        plan = prepare(recipe, splits, run_dir.parent / ".cache" / "features")
    with phases("train"):
        trained = train(plan, lambda: validate(plan, recipe, splits), recipe.training, recipe.seed, run_dir / "trainer")
    history: dict[str, Any] = {
        "learning_rate": trained.learning_rate,
        "seconds": round(time.perf_counter() - started, 1),
        "examples_per_second": trained.examples_per_second,
        "peak_memory_mb": peak_memory_mb(),
        "log": trained.entries,
    }
    if is_main_process():
        beside = partial(training_task(recipe.task).save_beside, plan.model)
        save_run(run_dir, plan.model, plan.tokenizer, history, beside)


def validate(plan: Plan, recipe: Recipe, splits: Splits) -> dict[str, float]:
    """Return the validation metrics of the model as it is now, with thresholds fitted on validation as for a bundle."""
    task, examples, labeling = training_task(recipe.task), splits.validation, splits.labeling
    predict = task.predict_windows if recipe.data.windows else task.predict_checkpoint
    predictions = predict(plan.model, plan.tokenizer, examples, plan.max_length)
    scoring = task.fit_scoring(examples, predictions, labeling)
    return score_once(task.scorer(examples, predictions, labeling, scoring), task.count(examples, predictions))


def peak_memory_mb() -> float:
    """Return the most memory that this process has had resident, in MB of 2**20 bytes."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux
    return round(kilobytes / 1024, 1)
