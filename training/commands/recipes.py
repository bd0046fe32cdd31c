"""The recipe that the flags of each verb describe."""

from __future__ import annotations

from argparse import Namespace
from typing import Literal

from app.tasks import task_named
from training.commands.arguments import overrides_of, recipe_of
from training.config import EvaluationRecipe, PretrainRecipe, Recipe, RecipeError, load_recipe
from training.export.publication import ExportRecipe

# Options that are fields of the recipe's section `distillation`.
OPTIONS = ("teacher", "layers", "feed_forward", "temperature", "weight")


def compression_recipe(options: Namespace, keep: Literal["spaced", "important"]) -> Recipe:
    """Read the recipe, with the options in its section distillation; its base is the teacher.

    Raises `RecipeError` when there is no teacher, or nothing that it could teach.
    """
    given = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    settings = [*options.set, *(f"distillation.{name}={value}" for name, value in given.items())]
    recipe = recipe_of(Namespace(**vars(options) | {"set": settings}))
    if not task_named(recipe.task).has_labels:
        raise RecipeError(f"a student needs labels to learn from, which {recipe.task} has none of; choose another task")
    if recipe.distillation is None:
        raise RecipeError("give the teacher with --teacher, or as distillation.teacher in the recipe")
    distillation = recipe.distillation.model_copy(update={"keep": keep})
    return recipe.model_copy(update={"distillation": distillation, "base": distillation.teacher})


def pretraining_recipe(options: Namespace) -> PretrainRecipe:
    overrides = overrides_of(options) | ({"base": options.base} if options.base else {})
    return load_recipe(PretrainRecipe, options.recipe, overrides)


def evaluation_recipe(options: Namespace) -> EvaluationRecipe:
    fields = overrides_of(options) | ({} if options.test is None else {"data.test": options.test})
    return load_recipe(EvaluationRecipe, None, fields)


def export_recipe(options: Namespace) -> ExportRecipe:
    """Read the recipe, if there is one, and apply the options."""
    given = {
        "name": options.name,
        "export.precisions": options.precision and tuple(options.precision),
        "export.max_length": options.max_length,
        "data.validation": options.validation,
        "data.test": options.test,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    if options.recipe is None and "name" not in fields:
        raise RecipeError("give the bundle a name with --name")
    return load_recipe(ExportRecipe, options.recipe, fields | overrides_of(options))
