"""The folder of a run: whose it is, what came of it, and that nothing in it is half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from app.bundle import replace_file, replace_folder
from training.config import RecipeError
from training.evaluation.page import plain
from training.fit.checkpoints import last_whole_checkpoint

STORED = "recipe.json"
STORED_DATA = "data.json"
MOST_NAMED = 4  # fields in which two recipes differ
ANOTHER = "name another folder with --run-dir, or delete this one"


def claim(run_dir: Path, recipe: BaseModel, include: Set[str], data: Mapping[str, str]) -> None:
    """Store the recipe and its data's fingerprints in the folder, or make sure that it holds the same training.

    `include` names the fields on which the weights depend; a base is the same by any path. `data`: the
    fingerprint of each split; the weights depend on all but `test`. Raises `RecipeError`.
    """
    if has_trained(run_dir):
        if (changed := changes(run_dir / STORED, recipe, include)) != ():
            raise RecipeError(f"{run_dir} holds a run of another recipe{in_words(changed)}; {ANOTHER}")
        if not is_same_data(run_dir / STORED_DATA, data):
            raise RecipeError(f"{run_dir} holds a run on other data; {ANOTHER}")
    run_dir.mkdir(parents=True, exist_ok=True)
    replace_file(run_dir / STORED, recipe.model_dump_json(indent=1) + "\n")
    replace_file(run_dir / STORED_DATA, json.dumps(data, indent=1) + "\n")


def is_same_data(stored: Path, data: Mapping[str, str]) -> bool:
    if not stored.exists():
        return True
    before = json.loads(stored.read_text(encoding="utf-8"))
    return all(before.get(split) == found for split, found in data.items() if split != "test")


def has_trained(run_dir: Path) -> bool:
    """Whether there is a checkpoint to go on from: until then, a run may be repeated with another recipe."""
    return (run_dir / "checkpoint").exists() or last_whole_checkpoint(run_dir / "trainer") is not None


def changes(stored: Path, recipe: BaseModel, include: Set[str]) -> tuple[str, ...] | None:
    """Return `field: before, now after` of each field in which a stored recipe differs; None where it is not read."""
    try:
        before = type(recipe).model_validate_json(stored.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    old, new = (dict(flat(what_trains(each, include))) for each in (before, recipe))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return tuple(f"{name} was {plain(old.get(name))}, is {plain(new.get(name))}" for name in names)


def in_words(changed: Sequence[str] | None) -> str:
    """Return the fields in brackets; nothing where they are not known."""
    if not changed:
        return ""
    more = f", and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
    return f" ({'; '.join(changed[:MOST_NAMED])}{more})"


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field by its dotted name."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def what_trains(recipe: BaseModel, include: Set[str]) -> dict[str, Any]:
    fields = recipe.model_dump(include=set(include))
    base = fields.get("base")
    return fields | ({"base": Path(base).resolve()} if base and Path(base).is_dir() else {})


def save_run(
    run_dir: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    history: Mapping[str, object],
    write_beside: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Write history.json, then the checkpoint, which appears under its name when it is whole.

    `write_beside` writes into the checkpoint's folder what transformers does not.
    """
    replace_file(run_dir / "history.json", json.dumps(history, indent=1) + "\n")
    with replace_folder(run_dir / "checkpoint") as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_beside(folder)
    shutil.rmtree(run_dir / "trainer", ignore_errors=True)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence remarks on new head weights, which fine-tuning is about, and bars for files read and written."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
