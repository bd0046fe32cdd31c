"""Plain documents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from app.tasks.fill_mask import FillMask
from training.config import DataConfig, Recipe
from training.data import Convention, Item, Labeling, Part, Source, Splits, documents, read_documents, sample
from training.data.parts import complete, train_source
from training.reading.base import Reading


class FillMaskReading(Reading[str]):
    """Reads examples of the task; see `training.tasks.fill_mask`."""

    serving = FillMask

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        read = partial(read_documents, data=recipe.data)
        found = complete(
            recipe, data_dir, read(train_source(recipe, data_dir)), read, text=str, labels=lambda document: ()
        )
        return Splits(found.train, found.validation, found.test)

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[str]:
        return sample(read_documents(source, data=data), limit, seed, lambda document: ())

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        yield from (Item(where, text, ()) for where, text in documents(source, recipe.data, part.refused.append))

    def text_of(self, example: str) -> str:
        return example
