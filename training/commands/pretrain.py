"""`roberta-train pretrain`: from unlabeled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse

from training.commands.arguments import run_folder
from training.commands.ending import Made, say_made
from training.commands.publishing import PUBLISHING, finished_before, publish_bundle
from training.commands.recipes import pretraining_recipe
from training.commands.reporting import report_run
from training.config import PretrainRecipe
from training.export.publication import Publication
from training.fit.distributed import is_main_process
from training.pretraining.run import pretrain
from training.progress import Phases

PHASES = ("read", "start", "tokenize", "train", *PUBLISHING, "report")


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
    if (finished := finished_before(publication, checkpoint, run_dir, options)) is not None:
        return Made(finished, run_dir)
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir)
    return Made(published.folder, run_dir, published.evaluations, report)
