"""The names of classes, where a table has their numbers and knows what these stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def named(row: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, object]:
    """Replace the numbers of classes by their names, where the features know these; -1 stands for none."""
    return {column: name(value, features[column]) for column, value in row.items()}


def name(value: Any, feature: Any) -> object:
    if isinstance(value, list):
        return [name(each, getattr(feature, "feature", None)) for each in value]
    names = getattr(feature, "names", None)
    if names is None or value is None:
        return value
    return None if value < 0 else names[value]
