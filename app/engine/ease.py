"""A short queue is known as one for a moment, so that most requests are admitted in a few steps."""

from __future__ import annotations

from dataclasses import dataclass

EASE_S = 0.02  # how long a short queue counts as one before it is looked at anew


@dataclass(slots=True)
class Ease:
    """What is known of a short queue of one priority: all of it can be done by `end`, in any order, and the first of it
    is due at `due`. It is looked at anew `until` some time in seconds of the engine's clock."""

    priority: int
    end: float
    due: float
    until: float
