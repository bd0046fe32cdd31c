"""Texts that are similar, with or without scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.tasks.embed import Embed
from training.config import DataConfig, Recipe, RecipeError
from training.data import Convention, Item, Labeling, Part, Source, Splits, sample, say
from training.data.parts import complete, train_source
from training.data.similarity import (
    SimilarityExample,
    are_scored,
    in_halves,
    read_similarity,
    similarity_examples,
    similarity_remarks,
)
from training.reading.base import Reading


class EmbedReading(Reading[SimilarityExample]):
    """Reads examples of the task; see `training.tasks.embed`."""

    serving = Embed

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        def read(source: Source) -> list[SimilarityExample]:
            return read_similarity(source, recipe.data)

        train = read(train_source(recipe, data_dir))
        say(similarity_remarks([("", each) for each in train]))
        parts = complete(recipe, data_dir, train, read, text=lambda each: each.text, labels=lambda each: ())
        validation, test = in_halves(parts.validation), in_halves(parts.test)
        if test and are_scored(validation) != are_scored(test):
            raise RecipeError("data.validation and data.test must both have scores, or both be pairs without")
        return Splits(parts.train, validation, test, self.labeling_for(validation, Labeling()))

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[SimilarityExample]:
        return in_halves(sample(read_similarity(source, data), limit, seed, lambda each: ()))

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        found = list(similarity_examples(source, recipe.data, part.refused.append))
        part.are_numbers = are_scored([example for _, example in found])
        part.remarks = similarity_remarks(found)
        for where, each in found:
            answer = () if each.score is None else (f"{each.score:g}",)
            yield Item(where, each.text, (), answer, target=each.score, others=each.texts[1:])

    def text_of(self, example: SimilarityExample) -> str:
        return example.text

    def labeling_for(self, examples: Sequence[SimilarityExample], labeling: Labeling) -> Labeling:
        """There are no labels, and examples with scores are a regression, whatever the model was trained on."""
        return Labeling((), "regression" if are_scored(examples) else None)
