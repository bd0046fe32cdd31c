"""`roberta-train convert`: from pickled weights, which nothing here loads, to safetensors."""

from __future__ import annotations

import argparse

from training.encoders.converting import convert
from training.progress import Phases


def run(options: argparse.Namespace) -> str:
    with Phases()("convert"):
        return str(convert(options.checkpoint, options.out or options.checkpoint))
