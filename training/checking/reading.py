"""Reads splits to their ends, whatever is wrong with single rows."""

from __future__ import annotations

from pathlib import Path

from training.config import Recipe
from training.data import Convention, DataError, Part, Source, source_of
from training.tasks import training_task

SPLITS = ("train", "validation", "test")


def read_parts(recipe: Recipe, data_dir: Path) -> list[Part]:
    """Read the splits that the recipe names; raises `RecipeError` when it names no training split."""
    parts = []
    convention = Convention(recipe)
    for split in SPLITS:
        source = source_of(recipe.data, data_dir, split)
        if source is not None:
            parts.append(read(split, source, convention, recipe))
    return parts


def read(split: str, source: Source, convention: Convention, recipe: Recipe) -> Part:
    part = Part(split)
    try:
        part.items.extend(training_task(recipe.task).check_items(source, recipe, convention, part))
        if not part.items and not part.refused:
            part.refused.append(DataError(f"{source}: holds no examples"))
    except DataError as error:  # the file as a whole
        part.refused.append(error)
    return part
