"""`roberta-train export`: from a checkpoint that was trained elsewhere to a verified, published bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.arguments import Verbs, add_publish_arguments
from training.commands.publishing import publish_bundle
from training.config import Recipe, load_recipe
from training.data import read_documents
from training.export.material import GENERIC_TEXTS
from training.export.publish import Material


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("export", help="from a fine-tuned checkpoint to a verified, published bundle")
    parser.add_argument("checkpoint", help="folder or Hub id of a fine-tuned encoder")
    parser.add_argument("--name", required=True, help="name of the bundle")
    parser.add_argument("--texts", type=Path, help="a text a line, .gz too: what int8 is calibrated on")
    parser.add_argument("--precision", action="append", choices=["fp32", "int8", "fp16"], help="repeatable (int8)")
    parser.add_argument("--max-length", type=int, default=512, help="tokens in a window (512)")
    add_publish_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    """Publish a checkpoint; there is nothing to score it on."""
    fields = {
        "name": options.name,
        "task": "text-classification",  # publishing takes the task from the checkpoint itself
        "base": options.checkpoint,
        "export.precisions": tuple(options.precision or ["int8"]),
        "export.max_length": options.max_length,
    }
    recipe = load_recipe(Recipe, None, fields)
    texts = read_documents(options.texts, recipe.export.calibration_texts) if options.texts else GENERIC_TEXTS
    return str(publish_bundle(recipe, Material(options.checkpoint, texts), options))
