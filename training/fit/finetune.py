"""Fine-tunes a checkpoint on labeled text: from a recipe to a folder with the best epoch's weights."""

from __future__ import annotations

import json
import logging
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from training.config import ProblemType, Recipe, RecipeError
from training.data import ClassificationExample, NerExample, Splits, read_splits
from training.data.fingerprint import fingerprint
from training.evaluation import main_metric
from training.fit.checkpoints import disk_space
from training.fit.distributed import from_main, is_main_process, join_processes, wait_for_everyone
from training.fit.hardware import tune_allocator
from training.fit.preparing import prepare
from training.fit.problems import PROBLEMS
from training.fit.runs import claim, quiet_libraries, save_run
from training.fit.trainer import TrainingLog, train

log = logging.getLogger(__name__)

Examples = list[ClassificationExample] | list[NerExample] | list[str]

# The part of a recipe on which the weights depend.
WHAT_TRAINS = frozenset({"task", "problem_type", "base", "seed", "data", "training", "distillation"})


@dataclass(frozen=True)
class FinetuneResult:
    """A trained checkpoint and the data that exporting it needs.

    `checkpoint`: a folder with model.safetensors (fp32), config.json and the tokenizer.
    `labels`: names of the logits in order. `problem_type`: None for NER.
    `train_texts`: raw training texts, for calibration. `validation` and `test`: examples of the task
    (documents for fill-mask), empty for a split without a file; NER's are rendered with natural spacing.
    `seconds`: wall time of the call that made the checkpoint. `history`: a dict per logged step and evaluation.
    `data_sha256`: what is in each split. `chosen`: what the recipe left open, as it was decided.
    """

    checkpoint: Path
    labels: tuple[str, ...]
    problem_type: ProblemType | None
    train_texts: list[str]
    validation: Examples
    test: Examples
    seconds: float
    history: list[dict[str, float]]
    data_sha256: dict[str, str]
    chosen: dict[str, Any]


def finetune(recipe: Recipe, data_dir: Path, run_dir: Path) -> FinetuneResult:
    """Train what `recipe` says on files under `data_dir`; write the best epoch to `run_dir`/checkpoint.

    A run that was cut off goes on from its last checkpoint when called again with the same recipe and folder; one
    that was finished is not repeated. Under `torchrun` every process calls this, and the main one writes. Raises
    `DataError` for unusable data, `RecipeError` for a recipe that cannot be run or that differs from the one
    whose run `run_dir` holds, or whose data does, and `TrainingError` when the disk is full.
    """
    if recipe.task == "fill-mask":
        raise RecipeError(
            "finetune trains classifiers and NER models; train on masked text with `roberta-train pretrain`, or "
            "publish a model as it is with `roberta-train export`"
        )
    join_processes()
    splits = read_splits(recipe, data_dir)
    data = {name: fingerprint(getattr(splits, name)) for name in ("train", "validation", "test")}
    checkpoint = run_dir / "checkpoint"
    with disk_space(run_dir):
        if is_main_process():
            claim(run_dir, recipe, WHAT_TRAINS, data)
        if not from_main(checkpoint.exists()):
            with quiet_libraries():
                make(recipe, splits, run_dir)
        wait_for_everyone()
    made = json.loads((run_dir / "history.json").read_text(encoding="utf-8"))
    chosen = {"problem_type": splits.problem_type, "learning_rate": made.get("learning_rate")}
    return FinetuneResult(
        checkpoint=checkpoint,
        labels=splits.labels,
        problem_type=splits.problem_type,
        train_texts=[example if isinstance(example, str) else example.text for example in splits.train],
        validation=splits.validation,
        test=splits.test,
        seconds=made["seconds"],
        history=made["log"],
        data_sha256=data,
        chosen=chosen,
    )


def make(recipe: Recipe, splits: Splits, run_dir: Path) -> None:
    """Train and save; the main process writes."""
    started = time.perf_counter()
    tune_allocator()
    set_seed(recipe.seed)
    model, tokenizer, trained = train_plan(recipe, splits, run_dir)
    history: dict[str, Any] = {
        "learning_rate": trained.learning_rate,
        "seconds": round(time.perf_counter() - started, 1),
        "examples_per_second": trained.examples_per_second,
        "peak_memory_mb": peak_memory_mb(),
        "log": trained.entries,
    }
    if is_main_process():
        save_run(run_dir, model, tokenizer, history)


def train_plan(
    recipe: Recipe, splits: Splits, run_dir: Path
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, TrainingLog]:
    problem, training, labels, kind = PROBLEMS[recipe.task], recipe.training, splits.labels, splits.problem_type
    plan = prepare(recipe, splits, run_dir.parent / ".cache" / "features")
    trained = train(
        plan.model,
        rows=plan.rows,
        collator=plan.collator,
        loss=plan.loss,
        score=lambda: problem.score(plan.model, plan.tokenizer, splits.validation, labels, plan.max_length, kind),
        metric=training.metric or main_metric(recipe.task, kind),
        training=training,
        seed=recipe.seed,
        folder=run_dir / "trainer",
        soft_targets=plan.soft_targets,
    )
    return plan.model, plan.tokenizer, trained


def peak_memory_mb() -> float:
    """Return the most memory that this process has had resident, in MB of 2**20 bytes."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux
    return round(kilobytes / 1024, 1)
