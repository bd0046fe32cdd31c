"""Recipes: what a run is, checked against frozen models before any work starts."""

from training.config.base import RecipeError
from training.config.data import DataConfig, DataFormat, TagScheme
from training.config.loading import known_keys, load_recipe, section_of
from training.config.recipe import (
    ArchitectureConfig,
    CorpusConfig,
    EvaluationRecipe,
    PretrainingConfig,
    PretrainRecipe,
    Recipe,
    TransplantConfig,
)
from training.config.sections import (
    CardConfig,
    DistillationConfig,
    EvaluationConfig,
    ExportConfig,
    TrainingConfig,
)

__all__ = [
    "ArchitectureConfig",
    "CardConfig",
    "CorpusConfig",
    "DataConfig",
    "DataFormat",
    "DistillationConfig",
    "EvaluationConfig",
    "EvaluationRecipe",
    "ExportConfig",
    "PretrainRecipe",
    "PretrainingConfig",
    "Recipe",
    "RecipeError",
    "TagScheme",
    "TrainingConfig",
    "TransplantConfig",
    "known_keys",
    "load_recipe",
    "section_of",
]
