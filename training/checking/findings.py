"""What a check of data reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
EXAMPLES = 3  # places shown for each finding


@dataclass(frozen=True)
class Finding:
    """One thing that is, or may be, wrong with the data.

    `check`: its name. `splits`: where it was found. `count`: how many rows, texts or labels it concerns.
    `summary`: what was found, in a few words. `examples`: the first few places, or figures. `remedy`: how to
    mend it. An error keeps training from starting; a warning makes a worse model, or a score that flatters it.
    """

    severity: Severity
    check: str
    splits: str
    count: int
    summary: str
    examples: tuple[str, ...] = ()
    remedy: str = ""


def first(examples: Sequence[str]) -> tuple[str, ...]:
    """Return the first few of the places where something was found."""
    return tuple(examples[:EXAMPLES])


def shortened(text: str, width: int = 70) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
