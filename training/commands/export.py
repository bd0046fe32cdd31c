"""`roberta-train export`: from a checkpoint that was trained elsewhere to a verified, published bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.arguments import Verbs, add_publish_arguments, overrides_of
from training.commands.publishing import publish_bundle
from training.config import load_recipe
from training.data import read_documents
from training.export.publication import Publication
from training.progress import Phases
from training.trained import GENERIC_TEXTS, TrainedCheckpoint


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("export", help="from a fine-tuned checkpoint to a verified, published bundle")
    parser.add_argument("checkpoint", help="folder or Hub id of a fine-tuned encoder")
    parser.add_argument("--name", required=True, help="name of the bundle")
    parser.add_argument("--texts", type=Path, help="a text a line, .gz too: what int8 is calibrated on")
    parser.add_argument("--precision", action="append", choices=["fp32", "int8", "fp16"], help="repeatable (int8)")
    parser.add_argument("--max-length", type=int, default=512, help="tokens in a window (512)")
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
    """Publish a checkpoint; there is nothing to score it on."""
    fields = {
        "name": options.name,
        "export.precisions": tuple(options.precision or ["int8"]),
        "export.max_length": options.max_length,
    } | overrides_of(options)
    publication = load_recipe(Publication, None, fields)
    limit = publication.export.calibration_texts
    texts = read_documents(options.texts, limit) if options.texts else GENERIC_TEXTS
    checkpoint = TrainedCheckpoint(options.checkpoint, options.checkpoint, texts)
    return str(publish_bundle(publication, checkpoint, options, Phases()).folder)
