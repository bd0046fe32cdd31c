"""Recipes: what a run is, checked against frozen models before any work starts."""

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
    DataConfig,
    DataFormat,
    DistillationConfig,
    EvaluationConfig,
    ExportConfig,
    RecipeError,
    TagScheme,
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
