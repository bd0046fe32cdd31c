"""The options that verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.bundle.naming import slug
from app.tasks import MODEL_TASKS
from training.config import Recipe, RecipeError, load_recipe

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # what argparse calls its subcommands
else:
    Verbs = object

# Options that are fields of the recipe: a run can be described without a file.
FIELDS = {
    "task": "task",
    "name": "name",
    "base": "base",
    "train": "data.train",
    "validation": "data.validation",
    "test": "data.test",
}


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, the options that can stand in for it, --data and --set."""
    parser.add_argument("recipe", type=Path, nargs="?", help="TOML file, such as training/recipes/sentiment.toml")
    names = ", ".join(next(iter(task.aliases), task.name) for task in MODEL_TASKS.values())
    parser.add_argument("--task", help=f"{names}; overrides the recipe's, as do the next five")
    parser.add_argument("--train", metavar="FILE", help="labeled examples to train on")
    parser.add_argument("--validation", metavar="FILE", help="labeled examples to choose by (a share of train)")
    parser.add_argument("--test", metavar="FILE", help="labeled examples to score once, at the end (a share of train)")
    parser.add_argument("--base", help="checkpoint to start from, folder or Hub id (roberta-base)")
    parser.add_argument("--name", help="name of the bundle")
    parser.add_argument("--data", type=Path, default=Path(), help="folder that the files lie in")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set a recipe field; repeatable"
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where a run keeps its checkpoints and where, and how, its bundle is published."""
    parser.add_argument("--run-dir", type=Path, help="checkpoints and report; a cut-off run goes on (runs/NAME)")
    add_publish_arguments(parser)


def add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, default=Path("models"), help="where to publish (models)")
    parser.add_argument("--set-default", action="store_true", help="make the bundle the one that answers its route")


def run_folder(options: argparse.Namespace, name: str) -> Path:
    folder: Path | None = options.run_dir
    return folder or Path("runs") / name


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Read the recipe, if there is one, and apply the options; raises `RecipeError`."""
    overrides = overrides_of(options) | {
        key: value for option, key in FIELDS.items() if (value := getattr(options, option)) is not None
    }
    if options.recipe is None:
        if missing := [f"--{option}" for option in ("task", "train") if getattr(options, option) is None]:
            raise RecipeError(f"give a recipe, or {' and '.join(missing)}")
        overrides = {"name": slug(Path(options.train).name.partition(".")[0]) or "model"} | overrides
    return load_recipe(Recipe, options.recipe, overrides)


def overrides_of(options: argparse.Namespace) -> dict[str, object]:
    """Return what --set sets, by dotted key."""
    for entry in options.set:
        if entry.find("=") < 1:
            raise RecipeError(f"--set {entry}: write KEY=VALUE, such as training.epochs=3")
    return dict(entry.split("=", 1) for entry in options.set)
