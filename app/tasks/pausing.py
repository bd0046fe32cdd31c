"""Where long work can be interrupted: between two chunks of it, whoever runs it may let other work go first.

A task knows nothing of threads: it calls `pause` every few milliseconds of its work, and what that does is up to the
thread that it runs on. Whatever `pause` raises ends the work.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


def go_on() -> None:
    """Do not pause."""


between_chunks: ContextVar[Callable[[], None]] = ContextVar("between_chunks", default=go_on)


def pause() -> None:
    """Let other work go first, where there is any that should."""
    between_chunks.get()()
