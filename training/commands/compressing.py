"""What distil and prune share: a recipe with a teacher in it, the pipeline of finetune, and a table of variants."""

from __future__ import annotations

import argparse
from typing import Literal

from rich.console import Console

from training.commands.ending import say_made
from training.commands.finetune import PHASES, finetune_and_publish
from training.commands.recipes import compression_recipe
from training.compression.variants import compare, costs_table, write_costs
from training.fit.distributed import is_main_process
from training.progress import Phases
from training.tasks import training_task


def compress(options: argparse.Namespace, keep: Literal["spaced", "important"]) -> str:
    """Make, train and publish the student; show what each variant costs, and write it to the run's variants.json."""
    recipe = compression_recipe(options, keep)
    with Phases((*PHASES, "compare"), is_shown=is_main_process()) as phases:
        made = finetune_and_publish(recipe, options, phases)
        if made is None or recipe.distillation is None:
            return ""
        with phases("compare"):
            splits = training_task(recipe.task).read_splits(recipe, options.data)
            costs = compare(recipe.distillation.teacher, made.run_dir / "checkpoint", made.folder, splits)
    write_costs(costs, made.run_dir / "variants.json")
    Console().print(costs_table(costs))
    return say_made(made)
