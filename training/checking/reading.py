"""Reads splits to their ends, whatever is wrong with single rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.config import Recipe
from training.data import Convention, DataError, Part, Source, source_of
from training.data.dialects import describe
from training.data.parts import train_source
from training.reading import READINGS, Reading


def reading_of(task: str) -> Reading[Any]:
    """Return what reads a task's data. Torch is imported for a task that is one module, what reads and what trains."""
    if task not in READINGS:
        from training.tasks import training_task

        return training_task(task)
    return READINGS[task]


def read_parts(recipe: Recipe, data_dir: Path) -> list[Part]:
    """Read the splits that the recipe names; raises `RecipeError` when it names no training split."""
    convention = Convention(recipe)
    sources = {"train": train_source(recipe, data_dir)}
    for split in ("validation", "test"):
        if (source := source_of(recipe.data, data_dir, split)) is not None:
            sources[split] = source
    return [read(split, source, convention, recipe) for split, source in sources.items()]


def read(split: str, source: Source, convention: Convention, recipe: Recipe) -> Part:
    part = Part(split)
    try:
        part.found = describe(source, recipe.data)
        part.items.extend(reading_of(recipe.task).check_items(source, recipe, convention, part))
        if not part.items and not part.refused:
            part.refused.append(DataError(f"{source}: holds no examples"))
    except DataError as error:  # the file as a whole
        part.refused.append(error)
    return part
