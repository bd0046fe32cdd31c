"""The verbs about the models folder: their flags, and sizes for a person."""

from __future__ import annotations

from pathlib import Path

from app.command_line.parser import Parser
from app.commands.parsing import settings_without_flags

LIST = """List the models of the models folder: each version with its task, precisions, size, where it comes
from, and the routes whose default it is. Nothing is opened or hashed: GET /models of a service says what it serves."""
PULL = """Fetch a model of the Hugging Face Hub, export it where that is needed and possible, and put it into the
models folder as the next version of its name. A folder is taken as well: a bundle, or what save_pretrained or Optimum
wrote. A service that runs serves it after SIGHUP."""
REMOVE = """Remove a model, or one version of it, from the models folder. Nothing else is touched: of a link the
link is removed, not what it leads to. A service that runs goes on with it until SIGHUP."""


def make_parser(verb: str, description: str) -> Parser:
    """Return a parser with --models, which is otherwise what the service's settings say."""
    parser = Parser(f"roberta-serve {verb}", description)
    parser.add_argument("--models", metavar="FOLDER", type=Path, help="the models folder (ROBERTA_MODELS, or models)")
    return parser


def list_parser() -> Parser:
    parser = make_parser("list", LIST)
    parser.add_argument("--json", action="store_true", help="a JSON list, with sizes in bytes")
    return parser


def pull_parser() -> Parser:
    parser = make_parser("pull", PULL)
    parser.add_argument("model", metavar="MODEL", help="[NAME=]ORG/NAME[@REVISION], or [NAME=]FOLDER")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="what it is to run on (auto)")
    return parser


def remove_parser() -> Parser:
    parser = make_parser("remove", REMOVE)
    parser.add_argument("model", metavar="MODEL", help="NAME, or NAME:VERSION")
    return parser


def models_of(given: Path | None) -> Path:
    return settings_without_flags().models if given is None else given


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
