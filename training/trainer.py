"""The Trainer of transformers, with a loss that is exact under accumulation and the project's own metrics."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)
from transformers.modeling_outputs import ModelOutput
from transformers.trainer_utils import get_last_checkpoint

from training.config import TrainingConfig
from training.features import IGNORED

log = logging.getLogger(__name__)

Score = Callable[[], dict[str, float]]


class ScoredTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """A Trainer whose evaluation is a function of this project: training and report share one metric."""

    def __init__(self, *, score: Score, **kwargs: object) -> None:
        super().__init__(eval_dataset=[], **kwargs)  # `score` knows what it is scored on
        self.score = score

    def evaluate(self, *args: object, **kwargs: object) -> dict[str, float]:
        """Score the model as it is now; keys are prefixed with ``eval_``, as early stopping expects."""
        metrics = {f"eval_{name}": value for name, value in self.score().items()}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(
    model: PreTrainedModel,
    rows: Dataset,
    collator: DataCollatorWithPadding,
    score: Score,
    metric: str,
    training: TrainingConfig,
    seed: int,
    folder: Path,
) -> list[dict[str, float]]:
    """Train ``model`` in place and leave it with the weights of its best epoch by ``metric``.

    ``folder`` takes a checkpoint per epoch; when it already holds some, training goes on from the last.
    Returns the Trainer's log: a dict per logged step and per evaluation.
    """
    patience = training.early_stopping_patience
    trainer = ScoredTrainer(
        model=model,
        args=training_arguments(training, seed, metric, folder),
        train_dataset=rows,
        data_collator=collator,
        compute_loss_func=partial(exact_loss, label_smoothing=training.label_smoothing),
        score=score,
        callbacks=[EarlyStoppingCallback(patience)] if patience else [],
    )
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if last:
        log.info("resuming from %s", last)
    trainer.train(resume_from_checkpoint=last)
    history: list[dict[str, float]] = trainer.state.log_history
    return history


def exact_loss(
    outputs: ModelOutput,
    labels: Tensor,
    num_items_in_batch: Tensor | int | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the summed loss over ``num_items_in_batch``, the labels of all accumulated batches and devices.

    ``labels``: class ids (B,) or (B, S) with ``IGNORED`` in them, or floats (B, C) for multi-label data.
    RoBERTa's own heads return the mean of each small batch, which the Trainer of transformers 5 then sums
    instead of averaging.
    """
    logits: Tensor = outputs.logits  # (B, C) or (B, S, C)
    if labels.is_floating_point():
        targets = labels * (1 - label_smoothing) + label_smoothing / 2
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    else:
        loss = F.cross_entropy(
            logits.flatten(0, -2),
            labels.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
    return loss / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


def training_arguments(training: TrainingConfig, seed: int, metric: str, folder: Path) -> TrainingArguments:
    """Translate a recipe's section into the Trainer's arguments."""
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        warmup_steps=training.warmup_ratio,  # below 1: a share of all steps
        weight_decay=training.weight_decay,
        adam_beta1=training.adam_beta1,
        adam_beta2=training.adam_beta2,
        adam_epsilon=training.adam_epsilon,
        max_grad_norm=training.max_grad_norm,
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,  # the best is kept beside the last
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{metric}",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,  # patience survives a resume
        logging_steps=0.02,  # a share of all steps
        disable_tqdm=False,  # by default off when the library's verbosity is turned down
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=seed,
    )
