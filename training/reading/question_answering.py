"""Questions about contexts, with the places of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from app.tasks.question_answering import QuestionAnswering, joined
from training.config import DataConfig, Recipe
from training.data import Convention, Item, Labeling, Part, Source, Splits
from training.data.parts import complete, train_source
from training.data.questions import QuestionExample, placed_questions, read_questions, stated
from training.reading.base import Reading


class QuestionAnsweringReading(Reading[QuestionExample]):
    """Reads examples of the task; see `training.tasks.question_answering`."""

    serving = QuestionAnswering
    always_windows = True

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        """Questions about one context go into one split."""
        read = partial(read_questions, data=recipe.data)
        train = read(train_source(recipe, data_dir))
        parts = complete(recipe, data_dir, train, read, text=lambda each: each.context, labels=lambda each: ())
        return Splits(parts.train, parts.validation, parts.test)

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[QuestionExample]:
        return read_questions(source, data, limit, seed)

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        for each in placed_questions(source, recipe.data, part.refused.append):
            question, context = each.example.question, each.example.context
            answers = stated(each.example.answers)
            yield Item(each.where, question, (), answers, context, shares_pair=True)

    def text_of(self, example: QuestionExample) -> str:
        return joined(example.question, example.context)
