"""The model that fine-tuning starts from: loaded in fp32, with a head for the labels."""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from training.config import Recipe, RecipeError
from training.data import Labeling
from training.encoders import family_of, family_of_config, loading
from training.encoders.loading import check_vocabulary, reason_of
from training.encoders.sources import find_source
from training.export.restore import base_folder
from training.fit.hardware import attention_implementation
from training.fit.heads import load_with_head
from training.tasks import training_task

log = logging.getLogger(__name__)


def load_base(recipe: Recipe, labeling: Labeling) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the recipe's base with a head for its labels; raises `RecipeError` when it cannot be.

    An architecture that could not be exported is refused before any time is spent on training it.
    """
    task = training_task(recipe.task)
    loading_settings: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": attention_implementation()}
    try:
        folder = base_folder(recipe.base)
        base = find_source(folder)
        config = AutoConfig.from_pretrained(base)
        settings = loading_settings | dropout_settings(recipe, config)
        model = load_with_head(base, config, task, labeling, settings)
        family_of(model)
        task.adapt(model, folder, recipe.task_settings)
        tokenizer = load_tokenizer(base)
        check_vocabulary(tokenizer, model)
    except RecipeError:
        raise
    except Exception as error:  # the Hub's client, safetensors and every config have errors of their own
        raise RecipeError(f"base {recipe.base} cannot be loaded for {recipe.task}: {reason_of(error)}") from error
    return model, tokenizer


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer, with a limit where it has none; raises `UnsupportedModelError`."""
    tokenizer = loading.load_tokenizer(source)
    tokenizer.model_max_length = min(tokenizer.model_max_length, 512)  # 1e30 where the base does not say
    return tokenizer


def longest_input(model: PreTrainedModel, wanted: int) -> int:
    """Return `wanted`, or the tokens that the model has positions for where those are fewer."""
    positions = family_of(model).positions(model.config)
    if positions < wanted:
        log.info("the base has %d positions: texts are cut there, not at training.max_length %d", positions, wanted)
    return min(wanted, positions)


def config_settings(recipe: Recipe, labeling: Labeling, config: PretrainedConfig) -> dict[str, Any]:
    """Return what the recipe sets in the config of its base: dropout, and what the task says of its outputs."""
    return dropout_settings(recipe, config) | training_task(recipe.task).base_settings(labeling)


def dropout_settings(recipe: Recipe, config: PretrainedConfig) -> dict[str, Any]:
    family = family_of_config(config)
    dropouts: dict[str, float | None] = dict.fromkeys(family.dropout_fields, recipe.training.dropout)
    dropouts[family.attention_dropout_field] = recipe.training.attention_dropout
    return {name: value for name, value in dropouts.items() if value is not None and hasattr(config, name)}
