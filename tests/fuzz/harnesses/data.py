"""The readers of labeled data. What cannot be read is a `DataError`, whether reading stops at it or goes on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

from tests.fuzz.harness import Harness
from training.config import DataConfig
from training.data import (
    DataError,
    documents,
    find_problem_type,
    labeled_texts,
    read_classification,
    read_documents,
    read_ner,
    tagged_words,
)
from training.data.set_aside import set_aside
from training.data.tables import rows

MOST = 50  # rows that are read on after one was refused


class DataFile(Harness):
    """A file of one format, read as rows, as labeled texts, as sentences and as documents."""

    declared = (DataError,)
    suffix: ClassVar[str]

    def read(self, data: bytes) -> None:
        path = self.folder / f"file{self.suffix}"
        path.write_bytes(data)
        config = DataConfig(label_separator="|" if len(data) % 2 else None)
        for read in (self.as_rows, self.as_texts, self.as_examples, self.as_sentences, self.as_documents):
            try:
                read(path, config)
            except DataError:
                continue

    def as_rows(self, path: Path, config: DataConfig) -> None:
        refused: list[DataError] = []
        for row in itertools.islice(rows(path, config, refused.append), MOST):
            assert row.where.startswith(str(path))
        assert all("\n" not in str(error) for error in refused)

    def as_texts(self, path: Path, config: DataConfig) -> None:
        found = list(itertools.islice(labeled_texts(path, config, lambda _: None), MOST))
        find_problem_type([each.label for each in found], config.label_separator)

    def as_examples(self, path: Path, config: DataConfig) -> None:
        examples = read_classification(path, config, MOST)
        stay, aside = set_aside(examples, 0.3, 0, lambda each: each.text, lambda each: each.labels)
        assert len(stay) + len(aside) == len(examples)

    def as_sentences(self, path: Path, config: DataConfig) -> None:
        list(itertools.islice(tagged_words(path, config, lambda _: None), MOST))
        for example in read_ner(path, None, data=config):
            for start, end, _ in example.spans:
                assert 0 <= start < end <= len(example.text)

    def as_documents(self, path: Path, config: DataConfig) -> None:
        list(itertools.islice(documents(path, config, lambda _: None), MOST))
        read_documents(path, MOST, config)


class Csv(DataFile):
    name, suffix = "data-csv", ".csv"


class Tsv(DataFile):
    name, suffix = "data-tsv", ".tsv"


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
