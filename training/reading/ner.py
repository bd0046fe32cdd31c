"""Words with tags, or texts with marked spans."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from app.tasks.ner import Ner
from training.config import DataConfig, Recipe
from training.data import (
    Convention,
    DataError,
    Item,
    Labeling,
    NerExample,
    Part,
    Source,
    Splits,
    TaggedWords,
    label_remarks,
    read_tagged_words,
    render,
    render_all,
    sample,
    say,
    scheme_of,
    split_tag,
    tag_names,
    tagged_words,
    to_sentence,
    with_usual_tags,
)
from training.data.parts import complete, train_source
from training.data.spans import is_torn
from training.data.splits import refuse_unknown, refuse_unseen
from training.data.tags import types_of
from training.reading.base import Reading

log = logging.getLogger(__name__)


class NerReading(Reading[NerExample]):
    """Reads examples of the task; see `training.tasks.ner`."""

    serving = Ner

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        data = recipe.data
        source = train_source(recipe, data_dir)
        train = read_tagged_words(source, data)
        say(label_remarks(spelled(train)))
        scheme = scheme_of(train, data)
        if data.tag_scheme is None and any(each.text is None for each in train):
            log.info("Tags: %s, found from the training split. To choose another scheme, set data.tag_scheme.", scheme)
        read = partial(read_tagged_words, data=data)
        rows = complete(recipe, data_dir, train, read, lambda row: " ".join(row.words), entity_types)
        sentences = rows.map(lambda row: to_sentence(row, scheme))
        examples = render_all(sentences.train, None, recipe.seed)
        labels = tag_names(examples)
        if labels == ("O",):
            raise DataError(f"{source}: holds no entities, so there is nothing to learn; add tags such as B-PER")
        for part in (rows.validation, rows.test):
            refuse_unseen(((row.where[0], entity_types(row)) for row in part), entity_types(*rows.train), source)
        validation, test = render_all(sentences.validation, "natural"), render_all(sentences.test, "natural")
        return Splits(examples, validation, test, Labeling(labels))

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[NerExample]:
        everything = read_tagged_words(source, data)
        scheme = scheme_of(everything, data)
        found = sample(everything, limit, seed, entity_types)
        examples = render_all((to_sentence(each, scheme) for each in found), "natural")
        placed = ((row.where[0], entity_types(row)) for row in found)
        refuse_unknown(placed, types_of(labeling.labels))
        return examples

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        found = with_usual_tags(list(tagged_words(source, recipe.data, part.refused.append)))
        scheme = convention.scheme or scheme_of(found, recipe.data)
        convention.scheme = scheme
        part.spelled.update(spelled(found))
        part.least_labels = 1
        for each in found:
            try:
                sentence = to_sentence(each, scheme)
            except DataError as error:
                part.refused.append(error)
                continue
            example = render(sentence, "natural")
            kinds = tuple(kind for _, _, kind in example.spans)
            entities = tuple(f"{example.text[start:end].casefold()}/{kind}" for start, end, kind in example.spans)
            bare = each.text is None and scheme == "IOB2" and sentence.tags != each.tags
            torn = [span for span in example.spans if each.text is not None and is_torn(each.text, *span[:2])]
            doubts = tuple(f"{start}..{end} {example.text[start:end]!r} {kind!r}" for start, end, kind in torn)
            count = 0 if each.text is not None else len(each.words)
            yield Item(each.place, example.text, kinds, entities, bare=bare, doubts=doubts, word_count=count)

    def text_of(self, example: NerExample) -> str:
        return example.text


def entity_types(*sentences: TaggedWords) -> list[str]:
    return sorted({split_tag(tag)[1] for each in sentences for tag in each.tags if tag != "O"})


def spelled(found: Sequence[TaggedWords]) -> Counter[str]:
    return Counter(kind for each in found for tag in each.tags if (kind := split_tag(tag)[1]))
