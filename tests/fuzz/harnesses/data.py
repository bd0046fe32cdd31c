"""The readers of labeled data. What cannot be read is a `DataError`, whether reading stops at it or goes on."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tests.fuzz.harness import Harness
from training.config import DataConfig, RecipeError
from training.data import (
    DataError,
    documents,
    find_problem_type,
    label_remarks,
    labeled_texts,
    raw_labels,
    read_classification,
    read_documents,
    read_ner,
    tagged_words,
)
from training.data.dialects import describe
from training.data.set_aside import set_aside
from training.data.tables import rows

# Of these the length of an input chooses, so that each is tried by every fuzzer.
CONFIGS = (
    DataConfig(),
    DataConfig(label_separator="|", drop_unlabeled=True),
    DataConfig(label_columns=("label",), label_names=("a", "b")),
    DataConfig(drop_unlabeled=True, sentence_column="s", tokens_column="w", tags_column="t"),
    DataConfig(text_column="a", label_column="b", label_names=("a", "b", "c"), text_pair_column="c"),
)
MOST = 50  # rows that are read on after one was refused


class DataFile(Harness):
    """A file of one format, read as rows, as labeled texts, as sentences and as documents."""

    declared = (DataError, RecipeError)
    suffix: ClassVar[str]

    def read(self, data: bytes) -> None:
        path = self.folder / f"file{self.suffix}"
        path.write_bytes(data)
        readers = (self.as_found, self.as_rows, self.as_texts, self.as_examples, self.as_sentences, self.as_documents)
        for config, read in itertools.product((CONFIGS[0], CONFIGS[len(data) % len(CONFIGS)]), readers):
            with suppress(*self.declared):
                read(path, config)

    def as_found(self, path: Path, config: DataConfig) -> None:
        assert "\n" not in describe(path, config)

    def as_rows(self, path: Path, config: DataConfig) -> None:
        refused: list[DataError] = []
        for row in itertools.islice(rows(path, config, refused.append), MOST):
            assert row.where.startswith(str(path))
        assert all("\n" not in str(error) for error in refused)

    def as_texts(self, path: Path, config: DataConfig) -> None:
        found = list(itertools.islice(labeled_texts(path, config, lambda _: None), MOST))
        find_problem_type([each.label for each in found], config.label_separator)
        label_remarks(Counter(label for each in found for label in raw_labels(each.label, config.label_separator)))

    def as_examples(self, path: Path, config: DataConfig) -> None:
        examples = read_classification(path, config, MOST)
        stay, aside = set_aside(examples, 0.3, 0, lambda each: each.text, lambda each: each.labels)
        assert len(stay) + len(aside) == len(examples)

    def as_sentences(self, path: Path, config: DataConfig) -> None:
        list(itertools.islice(tagged_words(path, config, lambda _: None), MOST))
        for example in read_ner(path, None, data=config):
            for start, end, _ in example.spans:
                assert 0 <= start < end <= len(example.text)
            assert len(example.word_offsets) == len(example.tags)

    def as_documents(self, path: Path, config: DataConfig) -> None:
        list(itertools.islice(documents(path, config, lambda _: None), MOST))
        read_documents(path, MOST, config)


class Csv(DataFile):
    name, suffix = "data-csv", ".csv"


class Tsv(DataFile):
    name, suffix = "data-tsv", ".tsv"


class Json(DataFile):
    name, suffix = "data-json", ".json"


class Words(DataFile):
    """A file whose suffix says nothing, so that its content must."""

    name, suffix = "data-unknown", ".unknown"


class JsonLines(DataFile):
    name, suffix = "data-jsonl", ".jsonl"


class Parquet(DataFile):
    name, suffix = "data-parquet", ".parquet"
    longest = 2**14


class Conll(DataFile):
    name, suffix = "data-conll", ".conll"


class Text(DataFile):
    name, suffix = "data-text", ".txt"


class Gzip(DataFile):
    name, suffix = "data-gzip", ".jsonl.gz"
