"""What distil and prune share: a recipe with a teacher in it, the pipeline of finetune, and a table of variants."""

from __future__ import annotations

import argparse
from typing import Literal

from rich.console import Console

from training.commands.arguments import add_recipe_arguments, add_run_arguments, recipe_of, run_folder
from training.commands.finetune import finetune_and_publish
from training.compression.variants import compare, costs_table, write_costs
from training.config import Recipe, RecipeError
from training.fit.distributed import is_main_process
from training.progress import Phases
from training.tasks import training_task

# Options that are fields of the recipe's section `distillation`.
OPTIONS = ("teacher", "layers", "feed_forward", "temperature", "weight")


def add_compression_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of finetune, and those of the student."""
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    student = parser.add_argument_group("student", "these override the recipe's section distillation")
    student.add_argument("--teacher", help="checkpoint that was trained for the same labels, folder or Hub id")
    student.add_argument("--layers", metavar="N", help="layers that the student keeps (all)")
    student.add_argument("--feed-forward", metavar="N", help="width of its feed-forward blocks (the teacher's)")
    student.add_argument("--temperature", metavar="T", help="divides the logits before they are compared (2)")
    student.add_argument("--weight", metavar="W", help="share of the teacher's answers in the loss, 0 to 1 (0.5)")


def compress(options: argparse.Namespace, keep: Literal["spaced", "important"]) -> str:
    """Make, train and publish the student; show what each variant costs, and write it to the run's variants.json."""
    recipe = compression_recipe(options, keep)
    phases = Phases(is_shown=is_main_process())
    published = finetune_and_publish(recipe, options, phases)
    if published is None or recipe.distillation is None:
        return ""
    run_dir, splits = run_folder(options, recipe.name), training_task(recipe.task).read_splits(recipe, options.data)
    teacher, student = recipe.distillation.teacher, run_dir / "checkpoint"
    with phases("compare"):
        costs = compare(teacher, student, published.folder, splits)
    write_costs(costs, run_dir / "variants.json")
    Console().print(costs_table(costs))
    return str(published.folder)


def compression_recipe(options: argparse.Namespace, keep: Literal["spaced", "important"]) -> Recipe:
    """Read the recipe, with the options in its section distillation; its base is the teacher.

    Raises `RecipeError` when there is no teacher, or nothing that it could teach.
    """
    given = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    settings = [*options.set, *(f"distillation.{name}={value}" for name, value in given.items())]
    recipe = recipe_of(argparse.Namespace(**vars(options) | {"set": settings}))
    task = training_task(recipe.task)
    if not task.has_examples or not task.serving.has_labels:
        raise RecipeError(f"a student needs labels to learn from, which {recipe.task} has none of; choose another task")
    if recipe.distillation is None:
        raise RecipeError("give the teacher with --teacher, or as distillation.teacher in the recipe")
    distillation = recipe.distillation.model_copy(update={"keep": keep})
    return recipe.model_copy(update={"distillation": distillation, "base": distillation.teacher})
