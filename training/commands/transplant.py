"""`roberta-train transplant`: one encoder's transformer with another's vocabulary, to be pretrained further."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.bundle import replace_folder
from training.commands.arguments import Verbs
from training.config import RecipeError
from training.pretraining.transplant import transplant


def add_parser(verbs: Verbs) -> None:
    parser = verbs.add_parser("transplant", help="a RoBERTa of one encoder's layers and another's vocabulary")
    parser.add_argument("--body", required=True, help="folder or Hub id of the encoder whose transformer is taken")
    parser.add_argument("--tokenizer", required=True, help="folder or Hub id whose byte-level BPE is taken")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the checkpoint to")
    parser.set_defaults(verb=run)


def run(options: argparse.Namespace) -> str:
    """Write the checkpoint; the folder appears when it is whole."""
    if options.out.exists():
        raise RecipeError(f"{options.out} exists; name a folder that does not, or delete it")
    model, tokenizer = transplant(options.body, options.tokenizer)
    with replace_folder(options.out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return f"{options.out}"
