"""A limit on lines that are alike, so that a flood of refused requests is not a flood of lines."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import structlog

LINES_PER_S = 10  # of one kind
MOST_KINDS = 1000  # in one second; what comes beyond counts as one kind
KINDS = ("code", "model", "version", "name")  # the first of these fields that an event has tells its kind
OTHERS = ("others", "")
ACCESS_LOGGER = "app.access"  # a line for each request is what was asked for
NOT_LIMITED = ("app.logs", ACCESS_LOGGER)  # the limit's own reports among them

Kind = tuple[str, str]


class LineLimit:
    """Lets `LINES_PER_S` lines of each kind through; of the rest `report(event, kind, lines)` tells the number."""

    def __init__(self, report: Callable[[str, str, int], None]) -> None:
        self._report = report
        self._seen: dict[Kind, int] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    @property
    def is_counting(self) -> bool:
        """Whether a second is under way, whose end may have something to report."""
        return bool(self._seen)

    def leaves_out(self, event: str, kind: str) -> bool:
        """Whether a line would be left out; then it counts as one that was, at hardly any cost."""
        count = self._seen.get((event, kind), 0)
        if count < LINES_PER_S or time.monotonic() >= self._until:
            return False
        self._seen[event, kind] = count + 1
        return True

    def admits(self, kind: Kind) -> bool:
        """Count a line, and return whether it is written."""
        if time.monotonic() >= self._until:
            self.end_second()
        if kind not in self._seen and len(self._seen) >= MOST_KINDS:
            kind = OTHERS
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        return count <= LINES_PER_S

    def end_second(self) -> None:
        """Report what was left out, and begin another second."""
        with self._lock:
            seen, self._seen, self._until = self._seen, {}, time.monotonic() + 1.0
        for (event, kind), count in seen.items():
            if count > LINES_PER_S:
                self._report(event, kind, count - LINES_PER_S)

    def of_event(self, logger: object, _: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Drop an event beyond the limit: a processor of structlog, the first."""
        if getattr(logger, "name", "") in NOT_LIMITED:
            return event
        kind = next((str(event[field]) for field in KINDS if field in event), "")
        if self.admits((str(event["event"]), kind)):
            return event
        raise structlog.DropEvent

    def of_record(self, record: logging.LogRecord) -> bool:
        """Whether a record of another library is written; structlog's have passed `of_event`."""
        return isinstance(record.msg, dict) or self.admits((record.name, str(record.msg)[:200]))
