"""`roberta-train pretrain`: from unlabeled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.commands.arguments import Verbs, add_run_arguments, overrides_of, run_folder
from training.commands.publishing import check_models, publish_bundle
from training.commands.reporting import report_run
from training.config import PretrainRecipe, Recipe, load_recipe
from training.export.publish import Material
from training.fit.distributed import is_main_process
from training.pretraining.run import pretrain

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
    result = pretrain(recipe, options.data, run_dir)
    if not is_main_process():
        return ""
    material = Material(
        checkpoint=str(result.checkpoint),
        texts=result.train_texts,
        validation=result.validation,
        training=recipe.model_dump(mode="json", exclude={"card", "export"}),
        training_seconds=result.seconds,
        data_sha256=result.data_sha256,
    )
    as_published = Recipe(
        name=recipe.name, task="fill-mask", base=start_of(recipe), export=recipe.export, card=recipe.card
    )
    bundle = publish_bundle(as_published, material, options)
    log.info("report: %s", report_run(as_published, material, bundle, run_dir))
    return str(bundle)


def start_of(recipe: PretrainRecipe) -> str:
    """Say what the training began with."""
    if recipe.transplant:
        return f"{recipe.transplant.body} with the vocabulary of {recipe.transplant.tokenizer}"
    return recipe.base or "nothing"
