"""`roberta-train prune`: from a trained teacher, less its least important parts, to a smaller, published bundle."""

from __future__ import annotations

import argparse

from training.commands.arguments import Verbs
from training.commands.compressing import add_compression_arguments, compress


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "prune", help="from a teacher to a student without its least important layers and neurons, trained to recover"
    )
    add_compression_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    return compress(options, keep="important")
