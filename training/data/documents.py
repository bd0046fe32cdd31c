"""Unlabeled text: one document a line, or one a row of a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from training.config import DataConfig
from training.data.classification import text_of
from training.data.encodings import encoding_of
from training.data.errors import DataError, Refuse, stop
from training.data.files import lines
from training.data.sources import Source
from training.data.tables import rows


def read_documents(source: Source, limit: int | None = None, data: DataConfig | None = None) -> list[str]:
    """Read at most `limit` documents, one a line; blank lines are skipped.

    With `data`, a source whose format is a table gives the text column of each row instead. Raises
    `DataError` when the source cannot be read or is empty.
    """
    found = [text for _, text in itertools.islice(documents(source, data), limit)]
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a document on each line")
    return found


def documents(source: Source, data: DataConfig | None = None, refuse: Refuse = stop) -> Iterator[tuple[str, str]]:
    """Yield FILE:LINE and text of each document."""
    if isinstance(source, Path) and (data is None or data.format_by_suffix(source) == "text"):
        found = lines(source, refuse, encoding_of(source, data or DataConfig()))
        stripped = ((f"{source}:{number}", line.strip()) for number, line in enumerate(found, start=1))
        yield from ((where, text) for where, text in stripped if text)
        return
    data = data or DataConfig()
    for row in rows(source, data, refuse):
        if (text := text_of(row, data.text_column, "text_column", refuse)) is not None:
            yield row.where, text
