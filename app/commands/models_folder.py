"""What the verbs about the models folder share: its flag, and sizes for a person."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from app.commands.parsing import parse
from app.settings import Settings


def make_parser(verb: str, description: str) -> ArgumentParser:
    """Return a parser with --models, which is otherwise what the service's settings say."""
    parser = ArgumentParser(f"roberta-serve {verb}", description=description, allow_abbrev=False)
    parser.add_argument("--models", type=Path, help="the models folder (ROBERTA_MODELS, or models)")
    return parser


def models_of(given: Path | None) -> Path:
    return parse(Settings, []).models if given is None else given


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files, links to files counted as what they lead to."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def in_words(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
