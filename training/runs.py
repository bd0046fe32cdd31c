"""The folder of a run: whose it is, what came of it, and that nothing in it is half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from training.config import RecipeError


def claim(run_dir: Path, recipe: BaseModel, include: Set[str]) -> None:
    """Store the recipe in the folder, or make sure that the one stored there describes the same training.

    ``include`` names the fields on which the weights depend; a base is the same by any path.
    """
    stored = run_dir / "recipe.json"
    if stored.exists():
        before = type(recipe).model_validate_json(stored.read_text(encoding="utf-8"))
        if _what_trains(before, include) != _what_trains(recipe, include):
            raise RecipeError(f"{run_dir} holds a run of another recipe; name another folder or delete it.")
    run_dir.mkdir(parents=True, exist_ok=True)
    stored.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _what_trains(recipe: BaseModel, include: Set[str]) -> dict[str, Any]:
    fields = recipe.model_dump(include=set(include))
    base = fields.get("base")
    return fields | ({"base": Path(base).resolve()} if base and Path(base).is_dir() else {})


def save_run(
    run_dir: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, history: Mapping[str, object]
) -> None:
    """Write history.json, then the checkpoint, which appears under its name when it is whole."""
    (run_dir / "history.json").write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    unfinished = run_dir / "checkpoint.unfinished"
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(run_dir / "checkpoint")
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
