"""The Trainer of transformers with the project's own metrics, batches, optimizer groups and checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_model
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from training.config import RecipeError, TrainingConfig
from training.evaluation.metrics import greater_is_better
from training.fit.checkpoints import (
    SaveByTheClock,
    TrainingError,
    disk_space,
    finish_checkpoint,
    is_finished,
    last_whole_checkpoint,
    remove_unfinished,
    state_of,
)
from training.fit.distributed import from_main, is_main_process, wait_for_everyone
from training.fit.optimizer import LEARNING_RATES, default_learning_rate, parameter_groups, step_arguments
from training.fit.preparing import Plan
from training.fit.progress import ShownSteps
from training.fit.sampling import LengthGroupedSampler, NumberedRows, SeededCollator
from training.fit.trackers import trackers
from training.tasks.base import Loss

log = logging.getLogger(__name__)

Score = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class TrainingLog:
    """The Trainer's log, a dict per logged step and per evaluation, and the speed between evaluations.

    `examples_per_second` counts what all processes of the training did in this call; 0 for nothing.
    `learning_rate` is the peak.
    """

    entries: list[dict[str, float]]
    examples_per_second: float
    learning_rate: float


class ScoredTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """A Trainer whose loss and evaluation are functions of this project: training and report share one metric.

    The columns in `targets` are for `loss`, and not for the model.

    `train_dataset` may have a column `length`, by which its rows are grouped. Checkpoints count when they are
    whole; the last one is kept, and the best where the best is to be loaded at the end.
    """

    def __init__(
        self,
        *,
        loss: Loss,
        score: Score,
        train_dataset: Dataset,
        targets: Sequence[str] = ("labels",),
        layer_decay: float = 1.0,
        **kwargs: Any,
    ) -> None:
        kwargs["args"].save_total_limit = None  # `finish_checkpoint` deletes, once the new one is whole
        super().__init__(train_dataset=train_dataset, eval_dataset=[], compute_loss_func=loss, **kwargs)
        self.loss, self.targets = loss, frozenset(targets)
        self.score, self.layer_decay = score, layer_decay
        self.scoring_seconds = 0.0
        lengths = train_dataset["length"] if "length" in train_dataset.column_names else [0] * len(train_dataset)
        self.sampler = LengthGroupedSampler(list(lengths), self.examples_per_step, self.args.seed)
        for shown_by_default in (PrinterCallback, ProgressCallback):
            self.remove_callback(shown_by_default)
        self.add_callback(FollowEpochs(self.sampler))
        self.add_callback(ShownSteps())

    @property
    def examples_per_step(self) -> int:
        """Texts of one optimizer step, all devices and accumulated passes together."""
        args = self.args
        passes: int = args.gradient_accumulation_steps * args.world_size
        return int(args.train_batch_size) * passes

    def get_train_dataloader(self) -> Any:
        """Return the batches of this process."""
        hidden = [name for name in ("length",) if name in self.train_dataset.column_names]
        loader = DataLoader(
            NumberedRows(self.train_dataset.remove_columns(hidden)),
            batch_size=self.args.train_batch_size,
            sampler=self.sampler,
            collate_fn=SeededCollator(self.data_collator, self.sampler),
            pin_memory=torch.cuda.is_available(),
        )
        return self.accelerator.prepare(loader)

    def compute_loss(self, model: nn.Module, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        """Ask the model without the targets, and the loss with the whole batch.

        `labels` is left to the Trainer, which takes it out of the inputs itself.
        """
        batch = dict(inputs)

        def loss(outputs: Any, _: object, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
            return self.loss(outputs, batch, num_items_in_batch)

        self.compute_loss_func = loss
        asked = {name: value for name, value in inputs.items() if name == "labels" or name not in self.targets}
        return super().compute_loss(model, asked, *args, **kwargs)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer with a learning rate for each layer."""
        made: torch.optim.Optimizer | None = self.optimizer
        if made is None:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            decays = {"weight_decay": self.args.weight_decay, "layer_decay": self.layer_decay}
            made = kind(parameter_groups(model or self.model, self.args.learning_rate, **decays), **settings)
        self.optimizer: torch.optim.Optimizer = made
        return made

    def evaluate(self, *args: object, **kwargs: object) -> dict[str, float]:
        """Score the model as it is now; keys are prefixed with `eval_`, as early stopping expects.

        The main process scores; the others take its answer, so that all of them decide alike.
        """
        started = time.perf_counter()
        scores = from_main(self.score() if is_main_process() else None)
        self.scoring_seconds += time.perf_counter() - started
        metrics = {f"eval_{name}": value for name, value in scores.items()}
        self.log(dict(metrics))
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Write a checkpoint that counts only when it is whole; raise `TrainingError` when the disk is full."""
        folder = Path(self.args.output_dir)
        try:
            with disk_space(folder):
                super()._save_checkpoint(model, trial)
                wait_for_everyone()
                if self.args.should_save:
                    keep = {self.state.best_global_step} if self.args.load_best_model_at_end else set()
                    finish_checkpoint(folder / f"checkpoint-{self.state.global_step}", keep)
        except TrainingError:
            remove_unfinished(folder)
            raise


class FollowEpochs(TrainerCallback):  # type: ignore[misc]
    """Tells the sampler which epoch it is, in a resumed run too."""

    def __init__(self, sampler: LengthGroupedSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: object, **kwargs: object) -> None:
        self.sampler.set_epoch(int(state.epoch))


def train(plan: Plan, score: Score, training: TrainingConfig, seed: int, folder: Path) -> TrainingLog:
    """Train the plan's model in place and leave it with the weights of its best epoch by the plan's metric.

    `folder` takes the checkpoints; when it already holds some, training goes on from the last whole one. Raises
    `RecipeError` when `score` has no such metric or a tracker is missing, and `TrainingError` when the disk is full.
    """
    if training.learning_rate is None:
        training = training.model_copy(update={"learning_rate": default_learning_rate(plan.model)})
        log.info("learning rate %g, by the size of the model", training.learning_rate)
    patience = training.early_stopping_patience
    callbacks = [SaveByTheClock(training.checkpoint_minutes), *trackers(training.report_to, folder.parent)]
    trainer = ScoredTrainer(
        model=plan.model,
        args=training_arguments(training, seed, plan.metric, folder),
        train_dataset=plan.rows,
        data_collator=plan.collator,
        loss=plan.loss,
        targets=plan.targets,
        score=score,
        layer_decay=training.layer_decay,
        callbacks=[*callbacks, EarlyStoppingCallback(patience)] if patience else callbacks,
    )
    if training.metric is not None:
        check_metric(plan.metric, from_main(score() if is_main_process() else None))
    started = time.perf_counter()
    entries = fit(trainer, folder)
    seconds = time.perf_counter() - started - trainer.scoring_seconds
    steps = trainer.state.global_step - getattr(trainer, "_initial_global_step", trainer.state.global_step)
    return TrainingLog(entries, round(steps * trainer.examples_per_step / seconds, 1), trainer.args.learning_rate)


def fit(trainer: ScoredTrainer, folder: Path) -> list[dict[str, float]]:
    """Train, from the last whole checkpoint in `folder` where there is one; return the Trainer's log.

    A training that had been decided to stop when it was cut off is not continued: its weights are loaded.
    """
    if is_main_process():
        remove_unfinished(folder)
    wait_for_everyone()
    last = last_whole_checkpoint(folder)
    state = state_of(last) if last else None
    if last and state and is_finished(state):
        best = state.best_global_step if trainer.args.load_best_model_at_end else None
        load_model(trainer.model, folder / f"checkpoint-{best or state.global_step}" / "model.safetensors")
        trainer.state = state
    else:
        if last:
            log.info("resuming from %s", last)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    entries: list[dict[str, float]] = trainer.state.log_history
    return entries


def check_metric(metric: str, scores: dict[str, float]) -> None:
    """Raise `RecipeError` when the named metric is not among the scores."""
    if metric not in scores:
        raise RecipeError(f"training.metric: no metric {metric!r}; there are {', '.join(sorted(scores))}")


def training_arguments(training: TrainingConfig, seed: int, metric: str, folder: Path) -> TrainingArguments:
    """Translate a recipe's section into the Trainer's arguments."""
    return TrainingArguments(
        output_dir=str(folder.resolve()),
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate or LEARNING_RATES[0][1],
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{metric}",
        greater_is_better=greater_is_better(metric),
        restore_callback_states_from_checkpoint=True,  # patience survives a resume
        logging_steps=0.02,  # a share of all steps
        seed=seed,
        **step_arguments(training),
    )
