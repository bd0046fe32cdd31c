"""The head of a base: kept where it was trained for the same labels, its rows in the data's order, or begun anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from app.bundle import BundleError
from app.tasks import task_of
from training.data import Labeling
from training.encoders.output import order_logits, reset_output
from training.tasks.base import TrainingTask

log = logging.getLogger(__name__)

SHOWN = 6  # labels that a line names


def load_with_head(
    base: str, config: PretrainedConfig, task: TrainingTask[Any, Any], labeling: Labeling, settings: dict[str, Any]
) -> PreTrainedModel:
    """Load a base for a task and its labels. `settings` are those of the config, and how to load.

    Says in one line that a head begins anew, or that its rows are put into another order.
    """
    labels = labeling.labels
    named = task.base_settings(labeling)
    if not labels:
        return load(base, task, settings | named)
    trained_for, names = task_of_base(config), names_in(config)
    if trained_for == task.name and is_same_head(config, names, labeling):
        model = load(base, task, {**settings, "problem_type": labeling.problem_type})
        order = [0] if len(labels) == 1 else [names.index(label) for label in labels]
        if order != list(range(len(labels))):
            log.info("the base has the same labels in another order: the rows of its head follow the data's")
        order_logits(model, order, labels)
        return model
    model = load(base, task, settings | named)
    if trained_for is not None:
        reset_output(model)
        reason = "" if trained_for == task.name else f" for {trained_for}"
        log.info(
            "the base was trained%s on %s, the data has %s: the output layer begins anew",
            reason,
            shown(names),
            shown(labels),
        )
    return model


def load(base: str, task: TrainingTask[Any, Any], settings: dict[str, Any]) -> PreTrainedModel:
    model: PreTrainedModel = task.auto_model.from_pretrained(
        base, ignore_mismatched_sizes=True, use_safetensors=True, **settings
    )
    return model


def task_of_base(config: PretrainedConfig) -> str | None:
    """Return the task whose labels a base has a head for; None for a language model, and for no head."""
    try:
        task = task_of({"architectures": config.architectures})
    except BundleError:
        return None
    return task.name if task.has_labels else None


def names_in(config: PretrainedConfig) -> list[str]:
    return [str(config.id2label[index]) for index in range(config.num_labels)]


def is_same_head(config: PretrainedConfig, names: Sequence[str], labeling: Labeling) -> bool:
    """Whether a head answers the same question: the same names, or one number, and the same kind of classification."""
    kind = config.problem_type or ("regression" if len(names) == 1 else "single_label_classification")
    if labeling.problem_type is not None and kind != labeling.problem_type:
        return False
    is_number = labeling.problem_type == "regression" and len(names) == 1
    return is_number or sorted(names) == sorted(labeling.labels)


def shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
