"""`roberta-train finetune`: from labeled text to a verified, calibrated, published bundle and a report."""

from __future__ import annotations

import argparse
import logging

from training.commands.arguments import recipe_of, run_folder
from training.commands.publishing import publish_bundle
from training.commands.reporting import report_run
from training.config import Recipe
from training.export.publication import Publication
from training.export.publish import Published
from training.fit.distributed import is_main_process
from training.fit.finetune import finetune
from training.progress import Phases

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> str:
    published = finetune_and_publish(recipe_of(options), options, Phases(is_shown=is_main_process()))
    return "" if published is None else str(published.folder)


def finetune_and_publish(recipe: Recipe, options: argparse.Namespace, phases: Phases) -> Published | None:
    """Train what the recipe says, unless that was done, publish it and write its report.

    Returns what was published, or None in a process that only helped to train.
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
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir)
    log.info("report: %s", report)
    return published
