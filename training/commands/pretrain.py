"""`roberta-train pretrain`: from unlabeled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.commands.arguments import Verbs, add_run_arguments, overrides_of, run_folder
from training.commands.publishing import check_models, publish_bundle
from training.commands.reporting import report_run
from training.config import PretrainRecipe, load_recipe
from training.export.publication import Publication
from training.fit.distributed import is_main_process
from training.pretraining.run import pretrain
from training.progress import Phases

log = logging.getLogger(__name__)


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "pretrain", help="a masked language model from text: continued, warm-started or from nothing"
    )
    parser.add_argument("recipe", type=Path, help="TOML file, such as training/recipes/base.toml")
    parser.add_argument("--data", type=Path, default=Path(), help="folder that the recipe's files lie in")
    parser.add_argument("--base", help="checkpoint to go on from, folder or Hub id; overrides the recipe's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set a recipe field; repeatable"
    )
    add_run_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    """Pretrain what the recipe says, unless that was done, and publish it."""
    overrides = overrides_of(options) | ({"base": options.base} if options.base else {})
    recipe = load_recipe(PretrainRecipe, options.recipe, overrides)
    check_models(options.models)
    run_dir = run_folder(options, recipe.name)
    phases = Phases(is_shown=is_main_process())
    checkpoint = pretrain(recipe, options.data, run_dir, phases)
    if not is_main_process():
        return ""
    publication = Publication(name=recipe.name, export=recipe.export, card=recipe.card, seed=recipe.seed)
    published = publish_bundle(publication, checkpoint, options, phases)
    with phases("report"):
        report = report_run(checkpoint, published, run_dir)
    log.info("report: %s", report)
    return str(published.folder)
