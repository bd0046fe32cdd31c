"""A thread writes the lines, so that a log that nobody reads stops nothing; what is too many is dropped and counted."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from queue import Empty, SimpleQueue
from typing import TextIO

from app.logs.limit import LineLimit

MOST_QUEUED = 4096  # lines that wait to be written
AT_ONCE = 256  # lines of one write


class LogWriter(logging.Handler):
    """Queues records, and formats and writes them on a thread. `report(lines)` tells of dropped ones, once it can."""

    def __init__(
        self, stream: TextIO, limit: LineLimit, report: Callable[[int], None], most_queued: int = MOST_QUEUED
    ) -> None:
        super().__init__()
        self._stream, self._limit, self._report, self._most = stream, limit, report, most_queued
        self._queue: SimpleQueue[logging.LogRecord | None] = SimpleQueue()  # None: the end
        self._dropped = self._reported = 0
        self._lock = threading.Lock()
        self._count: Callable[[float], None] | None = None
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._queue.qsize() < self._most:
            self._queue.put(record)
        else:
            self._drop(1)

    def count_dropped(self, count: Callable[[float], None]) -> None:
        """Have `count` called with the number of lines that are dropped, those of before included."""
        self._count = count
        if self._dropped:
            count(self._dropped)

    def end(self, limit_s: float) -> None:
        """Write what is queued, for at most `limit_s`: a log that nobody reads must not hold up the end."""
        self._limit.end_second()
        self._queue.put(None)
        self._thread.join(limit_s)

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines
        if self._count is not None:
            self._count(lines)

    def _write_all(self) -> None:
        is_ending = False
        while not is_ending:
            records = self._next_records()
            is_ending = None in records
            lines = [line for record in records if record is not None and (line := self._line(record))]
            try:
                self._write("".join(lines).encode("utf-8", "backslashreplace"))
            except (OSError, ValueError, AttributeError):  # the reader is gone, the disk is full, there is no stream
                self._drop(len(lines))
            else:
                self._report_dropped()

    def _next_records(self) -> list[logging.LogRecord | None]:
        """Wait for a record, and return all that are queued; none when a second ends in which lines were counted."""
        records: list[logging.LogRecord | None] = []
        with suppress(Empty):
            records.append(self._queue.get(timeout=1.0 if self._limit.is_counting else None))
            while len(records) < AT_ONCE:
                records.append(self._queue.get_nowait())
        if not records:
            self._limit.end_second()
        return records

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception as error:  # a defect of a call: its other lines are worth more than the end of this thread
            return f"a line of {record.name} could not be formatted: {type(error).__name__}\n"

    def _write(self, content: bytes) -> None:
        """Write to the descriptor: the lock of a buffer would be held at exit by a thread that waits for a reader."""
        try:
            descriptor = self._stream.fileno()
        except (AttributeError, UnsupportedOperation):
            self._stream.write(content.decode())
            return
        while content:
            content = content[os.write(descriptor, content) :]

    def _report_dropped(self) -> None:
        if (dropped := self._dropped) > self._reported:
            lines, self._reported = dropped - self._reported, dropped
            self._report(lines)
