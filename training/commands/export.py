"""`roberta-train export`: from a checkpoint that was trained elsewhere to a verified, published bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.commands.arguments import Verbs, add_publish_arguments, overrides_of
from training.commands.publishing import publish_bundle
from training.config import RecipeError, load_recipe
from training.data import read_documents, source_of
from training.evaluable import checkpoint_evaluable
from training.export.publication import ExportRecipe
from training.progress import Phases
from training.trained import GENERIC_TEXTS, TrainedCheckpoint


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("export", help="from a fine-tuned checkpoint to a verified, published bundle")
    parser.add_argument("checkpoint", help="folder or Hub id of a fine-tuned encoder")
    parser.add_argument("recipe", type=Path, nargs="?", help="TOML file, such as training/recipes/embedding.toml")
    parser.add_argument("--name", help="name of the bundle")
    parser.add_argument("--texts", type=Path, help="a text a line, .gz too: what int8 is calibrated on")
    parser.add_argument("--precision", action="append", choices=["fp32", "int8", "fp16"], help="repeatable (int8)")
    parser.add_argument("--max-length", type=int, help="tokens in a window (512)")
    parser.add_argument("--validation", metavar="FILE", help="labeled examples that bound what int8 may lose")
    parser.add_argument("--test", metavar="FILE", help="labeled examples to score")
    parser.add_argument("--data", type=Path, default=Path(), help="folder that the files lie in")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as task_settings.pooling=first; repeatable",
    )
    add_publish_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    """Publish a checkpoint, scored where there is something to score it on."""
    recipe = recipe_of(options)
    limit = recipe.export.calibration_texts
    texts = read_documents(options.texts, limit) if options.texts else GENERIC_TEXTS
    origin = recipe.origin or options.checkpoint
    checkpoint = TrainedCheckpoint(options.checkpoint, origin, texts, **scored_on(recipe, options))
    return str(publish_bundle(recipe, checkpoint, options, Phases()).folder)


def recipe_of(options: argparse.Namespace) -> ExportRecipe:
    """Read the recipe, if there is one, and apply the options."""
    given = {
        "name": options.name,
        "export.precisions": options.precision and tuple(options.precision),
        "export.max_length": options.max_length,
        "data.validation": options.validation,
        "data.test": options.test,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    if options.recipe is None and "name" not in fields:
        raise RecipeError("give the bundle a name with --name")
    return load_recipe(ExportRecipe, options.recipe, fields | overrides_of(options))


def scored_on(recipe: ExportRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """Return the examples of the splits that the recipe names; the checkpoint's own labels are theirs."""
    sources = {split: source_of(recipe.data, options.data, split) for split in ("validation", "test")}
    named = {split: source for split, source in sources.items() if source is not None}
    if not named:
        return {}
    model = checkpoint_evaluable(options.checkpoint)
    return {
        split: model.task.read_examples(source, recipe.data, model.labeling, None, recipe.seed)
        for split, source in named.items()
    }
