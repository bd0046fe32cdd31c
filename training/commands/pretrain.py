"""`roberta-train pretrain`: from unlabeled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse
import logging

from training.commands.arguments import run_folder
from training.commands.ending import Made, say_made
from training.commands.publishing import PUBLISHING, publish_bundle, published_before
from training.commands.recipes import pretraining_recipe
from training.commands.reporting import report_run
from training.config import PretrainRecipe
from training.export.publication import Publication
from training.fit.distributed import is_main_process
from training.pretraining.run import pretrain
from training.progress import Phases

PHASES = ("read", "start", "tokenize", "train", *PUBLISHING, "report")

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> str:
    """Pretrain what the recipe says, unless that was done, and publish it."""
    recipe = pretraining_recipe(options)
    with Phases(PHASES, is_shown=is_main_process()) as phases:
        made = pretrain_and_publish(recipe, options, phases)
    return say_made(made)


def pretrain_and_publish(recipe: PretrainRecipe, options: argparse.Namespace, phases: Phases) -> Made | None:
    """Return what was made; None in a process that only helped to train."""
    run_dir = run_folder(options, recipe.name)
    checkpoint = pretrain(recipe, options.data, run_dir, phases)
    if not is_main_process():
        return None
    publication = Publication(name=recipe.name, export=recipe.export, card=recipe.card, seed=recipe.seed)
    if not options.again and (twin := published_before(checkpoint, publication, options.models)) is not None:
        log.info("%s is finished, and published as %s; --again publishes it once more", run_dir, twin)
        return Made(twin, run_dir)
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir)
    return Made(published.folder, run_dir, published.evaluations, report)
