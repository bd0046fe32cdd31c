"""Names that a mistyped one may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

MOST_COMPARED = 80  # characters of a name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like `name`; None where none is like it."""
    found = difflib.get_close_matches(name[:MOST_COMPARED], list(known), 1)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of a sentence, `; did you mean port?`; where nothing is near, `otherwise` after a semicolon."""
    near = nearest(name, known)
    if near is not None:
        return f"; did you mean {near}?"
    return f"; {otherwise}" if otherwise else ""


def nearest_path(path: Path) -> Path | None:
    """Return what is there and is called almost so, for a path that is not; None where nothing is."""
    there, missing = existing_part(path)
    if not missing:
        return None
    try:
        beside = [each.name for each in there.iterdir()]
    except OSError:
        return None
    near = nearest(missing[0], beside)
    return None if near is None else Path(there / near, *missing[1:])


def existing_part(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the longest beginning of a path that exists, and the parts after it."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    return there, path.parts[len(there.parts) :]
