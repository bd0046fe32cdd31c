"""Rows of tables: files of every format that is one, and datasets of the Hub."""

from __future__ import annotations

from collections.abc import Iterator

from training.config import DataConfig
from training.data.class_names import named
from training.data.errors import DataError, Refuse, stop
from training.data.formats import FORMATS, Row, Table, format_of
from training.data.sources import HubSplit, Source


def rows(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[Row]:
    """Yield the rows of a table; refuses those that cannot be parsed.

    Raises `DataError` when the source cannot be read at all, or is no table.
    """
    if isinstance(source, HubSplit):
        return hub_rows(source)
    kind = format_of(source, data)
    if not isinstance(kind, Table):
        tables = ", ".join(name for name, each in FORMATS.items() if isinstance(each, Table))
        raise DataError(f"{source}: a table is needed, {tables}, not {kind.name}; see data.format")
    return kind.rows(source, data, refuse)


def hub_rows(source: HubSplit) -> Iterator[Row]:
    from datasets import load_dataset

    try:
        table = load_dataset(source.dataset, source.subset, split=source.split)
    except Exception as error:  # the Hub's client, the file system and every reader have errors of their own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{source}: the dataset cannot be loaded: {reason[0].rstrip('.')}") from error
    for number, row in enumerate(table, start=1):
        yield Row(f"{source}:{number}", named(row, table.features))
