"""`roberta-train finetune`: from labeled text to a verified, calibrated, published bundle and a report."""

from __future__ import annotations

import argparse

from training.checking.summary import summarize
from training.commands.arguments import recipe_of, run_folder
from training.commands.ending import Made, say_made
from training.commands.publishing import PUBLISHING, finished_before, publish_bundle
from training.commands.reporting import report_run
from training.config import Recipe
from training.export.publication import Publication
from training.fit.distributed import is_main_process
from training.fit.finetune import finetune
from training.fit.on_ray import finetune_on_ray
from training.progress import Phases

PHASES = ("read", "tokenize", "train", *PUBLISHING, "report")


def run(options: argparse.Namespace) -> str:
    recipe = recipe_of(options)
    if options.ray is not None:
        finetune_on_ray(recipe, options.data, run_folder(options, recipe.name), options.ray, options.workers or 1)
    with Phases(PHASES, is_shown=is_main_process()) as phases:
        made = finetune_and_publish(recipe, options, phases)
    return say_made(made)


def finetune_and_publish(recipe: Recipe, options: argparse.Namespace, phases: Phases) -> Made | None:
    """Train what the recipe says, unless that was done, publish it and write its report.

    Returns what was made, or None in a process that only helped to train. A run that was finished and published
    before, and of which nothing has changed, is not published again unless --again says so.
    """
    run_dir = run_folder(options, recipe.name)
    checkpoint = finetune(recipe, options.data, run_dir, phases)
    if not is_main_process():
        return None
    publication = Publication(
        name=recipe.name,
        task_settings=recipe.task_settings,
        export=recipe.export,
        card=recipe.card,
        evaluation=recipe.evaluation,
        seed=recipe.seed,
    )
    if (finished := finished_before(publication, checkpoint, run_dir, options)) is not None:
        return Made(finished, run_dir)
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir, summarize(recipe, options.data))
    return Made(published.folder, run_dir, published.evaluations, report)
