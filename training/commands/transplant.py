"""`roberta-train transplant`: one encoder's transformer with another's vocabulary, to be pretrained further."""

from __future__ import annotations

import argparse

from app.bundle import replace_folder
from training.pretraining.transplant import transplant
from training.progress import Phases


def run(options: argparse.Namespace) -> str:
    """Write the checkpoint; the folder appears when it is whole."""
    with Phases(("transplant", "write")) as phases:
        with phases("transplant"):
            model, tokenizer = transplant(options.body, options.tokenizer)
        with phases("write"), replace_folder(options.out) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return f"{options.out}"
