"""`roberta-train prune`: from a trained teacher, less its least important parts, to a smaller, published bundle."""

from __future__ import annotations

import argparse

from training.commands.compressing import compress


def run(options: argparse.Namespace) -> str:
    return compress(options, keep="important")
