"""`roberta-train pretrain`: from unlabelled text to a base, published as a fill-mask bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.arguments import Verbs, add_run_arguments, overrides_of, run_folder
from training.commands.publishing import publish_bundle
from training.config import PretrainRecipe, Recipe, load_recipe
from training.data.fingerprint import fingerprint
from training.distributed import is_main_process
from training.export.publish import Material
from training.pretraining.run import pretrain


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
    result = pretrain(recipe, options.data, run_folder(options, recipe.name))
    if not is_main_process():
        return ""
    material = Material(
        checkpoint=str(result.checkpoint),
        texts=result.train_texts,
        validation=result.validation,
        training_seconds=result.seconds,
        data_sha256={"train": fingerprint(result.train_texts), "validation": fingerprint(result.validation)},
    )
    as_published = Recipe(
        name=recipe.name, task="fill-mask", base=str(result.checkpoint), export=recipe.export, card=recipe.card
    )
    return str(publish_bundle(as_published, material, options))
