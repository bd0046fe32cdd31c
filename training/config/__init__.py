"""Recipes: what a run is, checked against frozen models before any work starts."""

from training.config.loading import known_keys, load_recipe, section_of
from training.config.recipe import (
    ArchitectureConfig,
    CorpusConfig,
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
    Precision,
    ProblemType,
    RecipeError,
    TagScheme,
    Task,
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
    "ExportConfig",
    "Precision",
    "PretrainRecipe",
    "PretrainingConfig",
    "ProblemType",
    "Recipe",
    "RecipeError",
    "TagScheme",
    "Task",
    "TrainingConfig",
    "TransplantConfig",
    "known_keys",
    "load_recipe",
    "section_of",
]
