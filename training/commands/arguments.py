"""The flags that verbs share, and what can be said of them before anything heavy is imported."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.bundle.naming import slug
from app.command_line.near import nearest_path
from app.command_line.parser import Parser
from app.tasks import MODEL_TASKS
from training.config import DataConfig, Recipe, RecipeError, load_recipe
from training.data.errors import DataError
from training.data.sources import source_of

# Options that are fields of the recipe: a run can be described without a file.
FIELDS = {
    "task": "task",
    "name": "name",
    "base": "base",
    "train": "data.train",
    "validation": "data.validation",
    "test": "data.test",
}
SPLITS = ("train", "validation", "test")
OF_THIS_MACHINE = ("/", "./", "../", "~")  # what begins so is a folder, and no Hub id


class VerbParser(Parser):
    """The flags of one verb. `look` raises an `ExpectedError` for what cannot be done."""

    def __init__(
        self, verb: str, description: str, look: Callable[[Namespace], object] = bool, epilog: str | None = None
    ) -> None:
        super().__init__(f"roberta-train {verb}", description, epilog)
        self._look = look

    def read(self, arguments: Sequence[str]) -> Any:
        options = super().read(arguments)
        self._look(options)
        return options


def add_recipe_arguments(parser: Parser) -> None:
    """Add RECIPE, the options that can stand in for it, --data and --set."""
    parser.add_argument(
        "recipe", metavar="RECIPE", type=Path, nargs="?", help="TOML file, such as training/recipes/sentiment.toml"
    )
    names = ", ".join(next(iter(task.aliases), task.name) for task in MODEL_TASKS.values())
    group = parser.add_argument_group("in place of a recipe, or over what it says")
    group.add_argument("--task", metavar="TASK", help=f"what the model is to do: {names}")
    group.add_argument("--train", metavar="FILE", help="labeled examples to train on")
    group.add_argument("--validation", metavar="FILE", help="labeled examples to choose by (a share of train)")
    group.add_argument("--test", metavar="FILE", help="labeled examples to score once, at the end (a share of train)")
    group.add_argument("--base", metavar="MODEL", help="checkpoint to start from, folder or Hub id (roberta-base)")
    group.add_argument("--name", metavar="NAME", help="name of the bundle")
    add_data_argument(group, "folder that the files lie in")
    add_set_argument(group)


def add_data_argument(parser: Any, about: str) -> None:
    parser.add_argument("--data", metavar="FOLDER", type=Path, default=Path(), help=about)


def add_set_argument(parser: Any, about: str = "set a recipe field, such as training.epochs=3; repeatable") -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=about)


def add_run_arguments(parser: Parser) -> None:
    """Add where a run keeps its checkpoints and where, and how, its bundle is published."""
    group = parser.add_argument_group("where it goes")
    described = "checkpoints and report; a cut-off run goes on (runs/NAME)"
    group.add_argument("--run-dir", metavar="FOLDER", type=Path, help=described)
    add_publish_arguments(group)
    described = "publish a finished run once more, as a further version, where nothing has changed"
    group.add_argument("--again", action="store_true", help=described)


def add_publish_arguments(parser: Any) -> None:
    parser.add_argument(
        "--models", metavar="FOLDER", type=Path, default=Path("models"), help="where to publish (models)"
    )
    parser.add_argument("--set-default", action="store_true", help="make the bundle the one that answers its route")


def run_folder(options: Namespace, name: str) -> Path:
    folder: Path | None = options.run_dir
    return folder or Path("runs") / name


def recipe_of(options: Namespace) -> Recipe:
    """Read the recipe, if there is one, and apply the options; raises `RecipeError`."""
    overrides = overrides_of(options) | {
        key: value for option, key in FIELDS.items() if (value := getattr(options, option)) is not None
    }
    if options.recipe is None:
        if missing := [f"--{option}" for option in ("task", "train") if getattr(options, option) is None]:
            raise RecipeError(f"give a recipe, or {' and '.join(missing)}")
        overrides = {"name": slug(Path(options.train).name.partition(".")[0]) or "model"} | overrides
    return load_recipe(Recipe, options.recipe, overrides)


def overrides_of(options: Namespace) -> dict[str, object]:
    """Return what --set sets, by dotted key."""
    for entry in options.set:
        if entry.find("=") < 1:
            raise RecipeError(f"--set {entry}: write KEY=VALUE, such as training.epochs=3")
    return dict(entry.split("=", 1) for entry in options.set)


# --- What can be said before the work -----------------------------------------------------------------


def check_run(options: Namespace) -> None:
    """Raise an `ExpectedError` where a training could not begin, or nothing of it be published."""
    recipe = recipe_of(options)
    check_files(recipe.data, options.data)
    check_base(recipe.base)
    check_models(options.models)


def check_finetune(options: Namespace) -> None:
    """Raise an `ExpectedError` as `check_run` does, and where --workers does not fit --ray."""
    if options.workers is not None and options.ray is None:
        raise RecipeError("--workers is for a Ray cluster: add --ray ADDRESS, or start this command with torchrun")
    if options.workers is not None and options.workers < 1:
        raise RecipeError(f"--workers {options.workers}: give 1 or more")
    check_run(options)


def check_files(data: DataConfig, folder: Path) -> None:
    """Raise `DataError` where a file of labeled examples is not there."""
    for split in SPLITS:
        source = source_of(data, folder, split)
        if isinstance(source, Path) and not source.exists():
            raise DataError(f"{source}: there is no such file{hint_for(source)}")


def check_base(base: str) -> None:
    """Raise `RecipeError` where the base is a folder that is not there."""
    if base.startswith(OF_THIS_MACHINE) and not Path(base).expanduser().exists():
        raise RecipeError(f"there is no folder {base}{hint_for(Path(base))}")


def hint_for(path: Path) -> str:
    near = nearest_path(path)
    return "; name one that there is" if near is None else f"; did you mean {near}?"


def check_models(models: Path) -> None:
    """Raise `RecipeError` when nothing could be published in `models`: before the training, not after it."""
    nearest = next(folder for folder in (models, *models.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RecipeError(f"--models {models}: {nearest} is no folder that can be written to; name another")
