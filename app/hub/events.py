"""What the process that fetches says: lines of JSON on standard output, which the command logs or prints."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERVAL_S = 10.0  # between two lines on how much has been fetched

Tell = Callable[..., None]


def tell(event: str, **fields: Any) -> None:
    """Say one thing. Any thread may."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class EventHandler(logging.Handler):
    """Has the warnings of a library said as events, so that they are lines of the service's log."""

    def emit(self, record: logging.LogRecord) -> None:
        tell("fetch_warning", text=" ".join(record.getMessage().split())[:500])


def redirect_warnings(name: str) -> None:
    """Have what a library logs said as events."""
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [EventHandler()], False


@contextmanager
def at_intervals(say: Callable[[], None], interval_s: float = INTERVAL_S) -> Iterator[None]:
    """Call something again and again for the length of a block."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(interval_s):
            say()

    thread = threading.Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
