"""Cells that hold several labels, or several words, in the notations that programs write them in."""

from __future__ import annotations

import ast
import json
import re

LISTED = re.compile(r"\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))*\s*\]")  # of numpy: no commas
ITEM = re.compile(r"'([^']*)'|\"([^\"]*)\"")
LONGEST = 2**20  # characters of a cell that may be a list
CHOICES = "choices"  # the key of Label Studio's several labels


def unfolded(value: object) -> object:
    """Return the list that a cell is the text of, in JSON or Python, or the choices that it has; else the cell."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] + text[-1:] not in ("[]", "{}", "()") or len(text) > LONGEST:
            return value
        found = parsed(text)
        return value if found is None else unfolded(found)
    if isinstance(value, dict) and isinstance(value.get(CHOICES), list):
        return value[CHOICES]
    return value


def parsed(text: str) -> object:
    """Return the list, the tuple as a list, or the object with choices that a text is; None where it is none."""
    if LISTED.fullmatch(text):
        return [one or other for one, other in ITEM.findall(text)]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    if isinstance(found, dict):
        return found if isinstance(found.get(CHOICES), list) else None
    items = list(found) if isinstance(found, tuple | list) else None
    return items if items is not None and all(isinstance(each, str | int | float) for each in items) else None


def spans_in(value: object) -> object:
    """Return the list that a cell of a table is the JSON of, where it may hold marked spans; else the value."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[{", "[[", "[]")) or len(value) > LONGEST:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
