"""`roberta-train convert`: from pickled weights, which nothing here loads, to safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands.arguments import Verbs
from training.encoders.converting import convert


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("convert", help="from pickled weights (pytorch_model.bin) to safetensors")
    parser.add_argument("checkpoint", type=Path, help="folder with pytorch_model.bin")
    parser.add_argument("--out", type=Path, help="where to write (the folder itself)")
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    return str(convert(options.checkpoint, options.out or options.checkpoint))
