"""`roberta-train finetune`: from labeled text to a verified, calibrated, published bundle and a report."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.commands.arguments import Verbs, add_recipe_arguments, add_run_arguments, recipe_of, run_folder
from training.commands.publishing import check_models, publish_bundle
from training.commands.reporting import report_run
from training.config import Recipe
from training.export.publish import Material
from training.fit.distributed import is_main_process
from training.fit.finetune import finetune

log = logging.getLogger(__name__)


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("finetune", help="from labeled text to a verified, published bundle")
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    return str(finetune_and_publish(recipe_of(options), options) or "")


def finetune_and_publish(recipe: Recipe, options: argparse.Namespace) -> Path | None:
    """Train what the recipe says, unless that was done, publish it and write its report.

    Returns the bundle's folder, or None in a process that only helped to train.
    """
    check_models(options.models)
    run_dir = run_folder(options, recipe.name)
    result = finetune(recipe, options.data, run_dir)
    if not is_main_process():
        return None
    material = Material(
        checkpoint=str(result.checkpoint),
        texts=result.train_texts,
        validation=result.validation,
        test=result.test,
        training=recipe.model_dump(mode="json", exclude={"card", "export", "evaluation"}) | {"chosen": result.chosen},
        training_seconds=result.seconds,
        data_sha256=result.data_sha256,
    )
    bundle = publish_bundle(recipe, material, options)
    log.info("report: %s", report_run(recipe, material, bundle, run_dir))
    return bundle
