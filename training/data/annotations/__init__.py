"""Exports of annotation tools: a module for each, which recognizes its own rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.discovery import classes_in
from training.config import DataConfig
from training.data.annotations.base import Annotated, MalformedError, Mark, Tool
from training.data.errors import DataError, Refuse, stop
from training.data.formats import Row

log = logging.getLogger(__name__)

KINDS = sorted(classes_in(__name__, Tool), key=lambda kind: kind.is_general)  # type: ignore[type-abstract]
TOOLS: dict[str, Tool] = {kind.name: kind() for kind in KINDS}


def tool_of(row: Row) -> Tool | None:
    """Return the tool of whose exports a row is; None where it is of none."""
    return next((each for each in TOOLS.values() if each.recognizes(row.values)), None)


def say_skipped(source: object, skipped: Mapping[str, int]) -> None:
    """Log how many rows of each tool had no finished annotation."""
    for tool, count in skipped.items():
        log.info("%s: %d rows that were not annotated, or were refused, in %s are left out.", source, count, tool)


def annotated(row: Row, data: DataConfig, refuse: Refuse = stop) -> list[Annotated] | None:
    """Return the texts of a tool's row, none where it is malformed, which is refused; None for any other row."""
    tool = tool_of(row)
    if tool is None:
        return None
    try:
        return list(tool.read(row.values, data))
    except MalformedError as error:
        refuse(DataError(f"{row.where}: not as {tool.name} exports it: {error}"))
        return []


__all__ = ["TOOLS", "Annotated", "Mark", "Tool", "annotated", "say_skipped", "tool_of"]
