"""The data of each task, a module each, without what trains models: `READINGS` is the only list of them."""

from __future__ import annotations

from typing import Any

from app.discovery import classes_in
from training.reading.base import Reading

READINGS: dict[str, Reading[Any]] = {
    (reading := kind()).name: reading
    for kind in classes_in(__name__, Reading)  # type: ignore[type-abstract]
}

__all__ = ["READINGS", "Reading"]
