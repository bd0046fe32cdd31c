"""What a person reads while rows are predicted: one line that is renewed on a terminal, now and then one in a log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TextIO

from app.command_line.look import Line, duration

TERMINAL_S, LOG_S = 0.2, 10.0  # between two lines
RECENT_S = 60.0  # over which the rate is measured


class Mark(NamedTuple):
    at: float
    rows: int
    share: float


class Progress:
    """Shows rows per second, and the time that is left where the length of the input is known."""

    def __init__(
        self,
        stream: TextIO,
        rows: int = 0,
        bad: int = 0,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_among_rows: bool = False,
    ) -> None:
        """`rows` and `bad` were written by an earlier command.

        `is_among_rows`: the rows are written to a terminal, where a line that is renewed would stand between them.
        """
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._is_shown = not (self._is_terminal and is_among_rows)
        self._line = Line(stream, "predict", clock)
        self._pause_s = TERMINAL_S if self._is_terminal else LOG_S
        self.rows, self.bad = rows, bad
        self._started = self._shown_at = clock()
        self._before = rows
        self._marks: deque[Mark] = deque()

    def add(self, rows: int, bad: int, share: float | None) -> None:
        """Count rows that were written; `share` is that of the input which was read."""
        self.rows, self.bad = self.rows + rows, self.bad + bad
        now = self._clock()
        if not self._marks:
            self._marks.append(Mark(self._started, self._before, 0.0 if self._before == 0 else share or 0.0))
        self._marks.append(Mark(now, self.rows, share or 0.0))
        while len(self._marks) > 2 and now - self._marks[1].at > RECENT_S:
            self._marks.popleft()
        if self._is_shown and now - self._shown_at >= self._pause_s:
            self._shown_at = now
            self._show(self.line(share), share)

    def line(self, share: float | None) -> str:
        first, last = self._marks[0], self._marks[-1]
        seconds = max(last.at - first.at, 1e-6)
        parts = [f"{self.rows:,} rows", f"{(last.rows - first.rows) / seconds:,.0f} rows/s"]
        if share is not None:
            parts.insert(1, f"{share:.0%}")
            if share > first.share:
                parts.append(f"{duration((1 - share) * seconds / (share - first.share))} left")
        if self.bad:
            parts.append(f"{self.bad:,} with an error")
        return ", ".join(parts)

    def end(self, sentence: str) -> None:
        """Show the last line."""
        rate = (self.rows - self._before) / max(self._clock() - self._started, 1e-6)
        whole = f"{sentence}; {rate:,.0f} rows/s"
        if self._is_terminal:
            self._line.end(whole)
        else:
            self._stream.write(whole + "\n")

    def _show(self, line: str, share: float | None) -> None:
        if self._is_terminal:
            self._line.show(line, share)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def clear(self) -> None:
        """Leave an empty line to whoever writes next."""
        if self._is_terminal:
            self._line.clear()


@contextmanager
def cleared(progress: Progress) -> Iterator[None]:
    """Leave an empty line to what is said of an error."""
    try:
        yield
    except BaseException:
        progress.clear()
        raise
