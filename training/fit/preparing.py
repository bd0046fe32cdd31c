"""What a training starts from: the model, or a student of its teacher, the features and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.compression import TEACHER_LOGITS, SoftTargets, load_teacher, make_student
from training.config import DistillationConfig, Recipe, RecipeError
from training.data import Splits
from training.fit.bases import config_settings, load_base, load_tokenizer, longest_input
from training.fit.caching import cached, key_of
from training.fit.hardware import attention_implementation
from training.tasks import training_task
from training.tasks.base import Collator, Loss


@dataclass(frozen=True)
class Plan:
    """The parts of a training.

    `targets`: the columns of `rows` that only the loss reads. `metric`: the one that chooses the epoch.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    rows: Dataset
    collator: Collator
    loss: Loss
    targets: tuple[str, ...]
    metric: str


def prepare(recipe: Recipe, splits: Splits, cache: Path) -> Plan:
    """Load the base, or make the student, and turn the examples into features, kept in `cache`.

    Raises `RecipeError` for what cannot be loaded, for class weights that do not fit the labels, and for a teacher of a
    task without labels.
    """
    if recipe.distillation is not None:
        return distil(recipe, recipe.distillation, splits, cache)
    task = training_task(recipe.task)
    model, tokenizer = load_base(recipe, splits.labeling)
    length = longest_input(model, min(recipe.training.max_length, task.longest(model) or recipe.training.max_length))
    rows = features_of(recipe, splits, task.as_read(splits.train, model), tokenizer, length, cache)
    model.config.update(task.config_of(rows, length))
    loss = task.loss(recipe, splits.labeling, rows)
    return Plan(model, tokenizer, length, rows, task.collator(tokenizer), loss, task.targets, metric_of(recipe, splits))


def distil(recipe: Recipe, distillation: DistillationConfig, splits: Splits, cache: Path) -> Plan:
    task, labeling = training_task(recipe.task), splits.labeling
    if not task.serving.has_labels:
        raise RecipeError(f"a teacher answers with the scores of labels, which {recipe.task} has none of; use finetune")
    teacher = load_teacher(distillation.teacher, recipe.task, labeling.labels)
    tokenizer = load_tokenizer(distillation.teacher)
    length = longest_input(teacher, recipe.training.max_length)
    train = features_of(recipe, splits, splits.train, tokenizer, length, cache)
    validation = features_of(recipe, splits, splits.validation, tokenizer, length, cache)
    collator, loss = task.collator(tokenizer), task.loss(recipe, labeling, train)
    settings = config_settings(recipe, labeling, teacher.config)
    student = make_student(teacher, distillation, train, validation, collator, loss, settings)
    student.set_attn_implementation(attention_implementation())
    soft = SoftTargets(distillation.temperature, distillation.weight, labeling.problem_type)
    return Plan(
        student,
        tokenizer,
        length,
        soft.add(train, teacher, tokenizer),
        soft.collator(collator),
        soft.loss(loss),
        (*task.targets, TEACHER_LOGITS),
        metric_of(recipe, splits),
    )


def metric_of(recipe: Recipe, splits: Splits) -> str:
    """Return the validation metric that chooses the best epoch."""
    return recipe.training.metric or training_task(recipe.task).main_metric(splits.labeling)


def features_of(
    recipe: Recipe,
    splits: Splits,
    examples: Sequence[Any],
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    cache: Path,
) -> Dataset:
    task, labeling = training_task(recipe.task), splits.labeling
    make = task.window_features if recipe.data.windows else task.features
    key = key_of(examples, tokenizer, recipe.task, labeling, length, *(["windows"] if recipe.data.windows else []))
    return cached(cache, key, lambda: make(examples, labeling, tokenizer, length))
