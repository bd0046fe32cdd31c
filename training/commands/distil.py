"""`roberta-train distil`: from a trained teacher and labeled text to a smaller, published bundle."""

from __future__ import annotations

import argparse

from training.commands.arguments import Verbs
from training.commands.compressing import add_compression_arguments, compress


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "distil", help="from a teacher to a student with fewer layers, evenly spaced, that learns its answers"
    )
    add_compression_arguments(parser)
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    return compress(options, keep="spaced")
