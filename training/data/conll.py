"""Sentences of CoNLL files: a word with its tag on each line, an empty line after each sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from training.config import DataConfig
from training.data.columns import Layout, columns_of, find_layout, is_header
from training.data.errors import DataError, Refuse
from training.data.examples import TaggedWords
from training.data.formats import FORMATS
from training.data.tags import split_tag


def of_lines(path: Path, data: DataConfig, refuse: Refuse) -> Iterator[TaggedWords]:
    found = list(FORMATS["conll"].lines(path, data, refuse))
    layout = layout_of(path, found, data)
    sentence: list[tuple[str, str, str]] = []  # word, tag, where
    for number, line in enumerate([*found, ""], start=1):
        columns = layout.split(line)
        if not sentence and (is_comment(line, columns) or is_header(columns)):
            continue
        if not any(columns) or columns[0] == "-DOCSTART-":
            if sentence:
                words, tags, places = zip(*sentence, strict=True)
                yield TaggedWords(words, tags, places)
            sentence = []
        elif not layout.is_no_word(columns):
            if pair := layout.read(columns):
                sentence.append((*pair, f"{path}:{number}"))
            else:
                refuse(DataError(f"{path}:{number}: expected a token and a tag, found {line.strip()!r}"))


def layout_of(path: Path, found: Sequence[str], data: DataConfig) -> Layout:
    """Return where words and tags are; raises `DataError` where no column is one of tags."""
    cut = [(line, columns_of(line)) for line in found]
    cut = [
        (line, each) for line, each in cut if len(each) > 1 and each[0] != "-DOCSTART-" and not is_comment(line, each)
    ]
    rows = [columns for _, columns in cut if not is_header(columns)]
    layout = find_layout(rows)
    if layout is None and rows and (data.tag_scheme is None or len(rows[0]) != 2):
        line = " ".join(rows[0])
        remedy = "write the tag of each word, such as O or B-PER, in the last column"
        raise DataError(f"{path}: no column holds tags: found lines such as {line[:60]!r}; {remedy}")
    widths = Counter(len(columns) for line, columns in cut if "\t" not in line)
    spaced = widths.most_common(1)[0][0] if widths else 0
    return replace(layout or Layout(2, -2, -1), spaced_width=spaced)


def is_comment(line: str, columns: Sequence[str]) -> bool:
    """Whether a line before a sentence is about it, as `# text = ...`, and not a word such as #Berlin with its tag."""
    begins = line.startswith("# ") or (line.startswith("#") and len(columns) == 1)
    return begins and "\t" not in line and columns[1:] != ["O"] and split_tag(columns[-1])[0] == ""
