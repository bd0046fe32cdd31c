"""What a task reads: rows of files become its examples. Nothing here needs torch, so that data are checked at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from app.tasks.base import Task
from training.config import DataConfig, Recipe
from training.data import Convention, Item, Labeling, Part, Source, Splits

ExampleT = TypeVar("ExampleT")


class Reading(ABC, Generic[ExampleT]):
    """The data of one task. `ExampleT` is what a row becomes; `serving`, the class that serves the same task."""

    serving: ClassVar[type[Task[Any, Any]]]
    always_windows: ClassVar[bool] = False  # whether long texts are trained on by windows, whatever `data.windows` says

    @property
    def name(self) -> str:
        """The name of the pipeline, as Hugging Face has it."""
        return self.serving.name

    @abstractmethod
    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        """Read the recipe's splits, and set aside a share of train for those that it does not name.

        Raises `DataError` when data cannot be used or has a label that train lacks, `RecipeError` when train is not
        named.
        """

    @abstractmethod
    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[ExampleT]:
        """Read the examples to score a trained model on, or a seeded sample of `limit` of them.

        Raises `DataError` when the source cannot be used, is empty, or has a label that the model does not know.
        """

    @abstractmethod
    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        """Yield every text that can be read, for `check`; append the errors of the others to `part.refused`."""

    @abstractmethod
    def text_of(self, example: ExampleT) -> str:
        """Return the raw text of an example, for calibration and probes."""
