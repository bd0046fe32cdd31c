"""What a training starts from: the model, or a student of its teacher, the features and the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.compression import SoftTargets, load_teacher, make_student
from training.config import DistillationConfig, Recipe
from training.data import Splits
from training.fit.bases import config_settings, load_base, load_tokenizer, longest_input
from training.fit.caching import cached, key_of
from training.fit.hardware import attention_implementation
from training.fit.losses import class_weights, exact_loss
from training.fit.problems import PROBLEMS

Loss = Callable[..., Tensor]  # (outputs, labels, num_items_in_batch)


@dataclass(frozen=True)
class Plan:
    """The parts of a training. `soft_targets`: what `rows` carry a teacher's logits for; None without a teacher."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    rows: Dataset
    collator: Callable[[list[Any]], Any]
    loss: Loss
    soft_targets: SoftTargets | None = None


def prepare(recipe: Recipe, splits: Splits, cache: Path) -> Plan:
    """Load the base, or make the student, and turn the examples into features, kept in `cache`.

    Raises `RecipeError` for what cannot be loaded and for class weights that do not fit the labels.
    """
    if recipe.distillation is not None:
        return distil(recipe, recipe.distillation, splits, cache)
    model, tokenizer = load_base(recipe, splits)
    length = longest_input(model, recipe.training.max_length)
    rows = features_of(recipe, splits, splits.train, tokenizer, length, cache)
    return Plan(
        model, tokenizer, length, rows, PROBLEMS[recipe.task].collator(tokenizer), loss_of(recipe, splits, rows)
    )


def distil(recipe: Recipe, distillation: DistillationConfig, splits: Splits, cache: Path) -> Plan:
    teacher = load_teacher(distillation.teacher, recipe.task, splits.labels)
    tokenizer = load_tokenizer(distillation.teacher)
    length = longest_input(teacher, recipe.training.max_length)
    train = features_of(recipe, splits, splits.train, tokenizer, length, cache)
    validation = features_of(recipe, splits, splits.validation, tokenizer, length, cache)
    collator, loss = PROBLEMS[recipe.task].collator(tokenizer), loss_of(recipe, splits, train)
    settings = config_settings(recipe, splits, teacher.config)
    student = make_student(teacher, distillation, train, validation, collator, loss, settings)
    student.set_attn_implementation(attention_implementation())
    targets = SoftTargets(distillation.temperature, distillation.weight, splits.problem_type)
    rows = targets.add(train, teacher, tokenizer)
    return Plan(student, tokenizer, length, rows, targets.collator(collator), loss, targets)


def loss_of(recipe: Recipe, splits: Splits, rows: Dataset) -> Loss:
    """Return the exact loss with the recipe's smoothing and class weights, by the labels of the training rows."""
    weights = class_weights(recipe.training, splits.labels, rows["labels"], splits.problem_type)
    return partial(exact_loss, label_smoothing=recipe.training.label_smoothing, weights=weights)


def features_of(
    recipe: Recipe, splits: Splits, examples: Any, tokenizer: PreTrainedTokenizerBase, length: int, cache: Path
) -> Dataset:
    make, labels, kind = PROBLEMS[recipe.task].features, splits.labels, splits.problem_type
    key = key_of(examples, tokenizer, recipe.task, kind, labels, length)
    return cached(cache, key, lambda: make(examples, labels, tokenizer, length, kind))
