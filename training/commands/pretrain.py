"""`roberta-train pretrain`: from unlabeled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse
import logging

from training.commands.arguments import run_folder
from training.commands.next_steps import say_next
from training.commands.publishing import publish_bundle, published_before
from training.commands.recipes import pretraining_recipe
from training.commands.reporting import report_run
from training.export.publication import Publication
from training.fit.distributed import is_main_process
from training.pretraining.run import pretrain
from training.progress import Phases

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> str:
    """Pretrain what the recipe says, unless that was done, and publish it."""
    recipe = pretraining_recipe(options)
    run_dir = run_folder(options, recipe.name)
    phases = Phases(is_shown=is_main_process())
    checkpoint = pretrain(recipe, options.data, run_dir, phases)
    if not is_main_process():
        return ""
    publication = Publication(name=recipe.name, export=recipe.export, card=recipe.card, seed=recipe.seed)
    if not options.again and (twin := published_before(checkpoint, publication, options.models)) is not None:
        log.info("%s is finished, and published as %s; --again publishes it once more", run_dir, twin)
        return str(twin)
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir)
    log.info("report: %s", report)
    say_next(published.folder, run_dir)
    return str(published.folder)
