"""How far a long verb is, as both commands show it on a terminal: signs, a bar, times, and a line that is renewed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

FRAMES_PER_S = 10
NAME, TIME, BAR = 9, 8, 14  # columns
ERASE = "\r\033[K"
DONE, LEFT, PLAIN = "\033[36m", "\033[2m", "\033[0m"  # colors of the two parts of a bar, and none


class Signs(NamedTuple):
    """What stands before a row; `spinner` while it runs, `bar` what a bar is drawn with."""

    done: str
    failed: str
    waiting: str
    skipped: str
    spinner: str
    bar: str


SIGNS = Signs("✓", "✗", "·", "-", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━")
PLAIN_SIGNS = Signs("+", "x", ".", "-", "|/-\\", "=")  # for a terminal whose encoding has no others


def signs_of(stream: TextIO) -> Signs:
    """Return the signs that a stream's encoding has."""
    try:
        "".join(SIGNS).encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return PLAIN_SIGNS
    return SIGNS


def duration(seconds: float) -> str:
    """Return seconds in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Line:
    """The last line of a terminal: what runs, for how long, how much of it is done where that is known, and details."""

    def __init__(self, stream: TextIO, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._name, self._clock = stream, name, clock
        self._signs, self._started = signs_of(stream), clock()

    def show(self, details: str, share: float | None = None) -> None:
        """Renew the line; `share`: 0 to 1."""
        frame = int(self._clock() * FRAMES_PER_S) % len(self._signs.spinner)
        head = self._head(self._signs.spinner[frame])
        room = shutil.get_terminal_size().columns - 1 - len(head)
        if share is None:
            self._write(f"{ERASE}{head}{shortened(details, room)}")
            return
        done = round(BAR * min(1.0, share))
        bar = f"{DONE}{self._signs.bar * done}{LEFT}{self._signs.bar * (BAR - done)}{PLAIN}"
        self._write(f"{ERASE}{head}{bar} {shortened(details, room - BAR - 1)}")

    def end(self, sentence: str) -> None:
        """Leave the line as that of something that is done, with what came of it."""
        self._write(f"{ERASE}{self._head(self._signs.done)}{sentence}\n")

    def clear(self) -> None:
        """Leave an empty line to whoever writes next."""
        self._write(ERASE)

    def _head(self, sign: str) -> str:
        return f"{sign} {self._name:{NAME}}{self._clock() - self._started:{TIME - 2}.1f} s "

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"
