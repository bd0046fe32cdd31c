"""The formats of data files: a module for each, which recognizes its own by content."""

from __future__ import annotations

from pathlib import Path

from app.discovery import classes_in
from training.config import DataConfig
from training.data.errors import DataError
from training.data.formats.base import Format, Head, Row, Table

KINDS = classes_in(__name__, Format)  # type: ignore[type-abstract]
# A format that is a special case of another one, a subclass of it, looks at a file first.
SPECIAL = [kind for kind in KINDS if any(issubclass(kind, other) and kind is not other for other in KINDS)]
FORMATS: dict[str, Format] = {kind.name: kind() for kind in [*SPECIAL, *KINDS]}
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, and .xls


def format_of(path: Path, data: DataConfig) -> Format:
    """Return the format that is set, or that a file shows by its content, or else by its suffix.

    Raises `RecipeError` where neither says anything, `DataError` when the file cannot be opened or is a workbook.
    """
    if data.format is not None:
        return FORMATS[data.format]
    head = Head(path, data, data.format_by_suffix(path))
    if head.raw.startswith(WORKBOOKS):
        raise DataError(f"{path}: cannot be read: it is a workbook or an archive; save the sheet as CSV")
    found = next((each for each in FORMATS.values() if each.recognizes(head)), None)
    return found or FORMATS[data.format_of(path)]


def dialect_of(path: Path, data: DataConfig) -> str:
    """Return in a line what was found about a file that its suffix, or the recipe, does not say; or nothing."""
    found = format_of(path, data)
    facts = [] if found.name == data.format_by_suffix(path) else [f"format {found.name}"]
    return ", ".join([*facts, *found.dialect(path, data)])


__all__ = ["FORMATS", "Format", "Row", "Table", "dialect_of", "format_of"]
