"""What was found about a file: its format, delimiter and encoding, and the tool that exported it."""

from __future__ import annotations

import itertools
from pathlib import Path

from training.config import DataConfig
from training.data.annotations import tool_of
from training.data.errors import DataError
from training.data.formats import Table, dialect_of, format_of
from training.data.sources import HubSplit, Source


def describe(source: Source, data: DataConfig) -> str:
    """Return in a line what was found about a source that neither its suffix nor the recipe says; or nothing.

    Raises `DataError` when it cannot be read, `RecipeError` when its format is unknown.
    """
    if isinstance(source, HubSplit):
        return ""
    return ", ".join(filter(None, (dialect_of(source, data), exporter(source, data))))


def exporter(source: Path, data: DataConfig) -> str:
    """Name the annotation tool of whose exports the first row is; nothing for an ordinary table."""
    found = format_of(source, data)
    if not isinstance(found, Table):
        return ""
    refused: list[DataError] = []
    for row in itertools.islice(found.rows(source, data, refused.append), 1):
        if (tool := tool_of(row)) is not None and not tool.is_general:
            return f"an export of {tool.name}"
    return ""
