"""How far a long verb is, as both commands show it on a terminal: signs, a bar, times, and a line that is renewed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

FRAMES_PER_S = 10
NAME, TIME, BAR = 9, 8, 14  # columns
ERASE = "\r\033[K"
DONE, LEFT, PLAIN = "\033[36m", "\033[2m", "\033[0m"  # colors of the two parts of a bar, and none


class Signs(NamedTuple):
    """What stands before a row; `spinner` while it runs, `bar` what a bar is drawn with, `cut` what ends a cut text."""

    done: str
    failed: str
    waiting: str
    skipped: str
    spinner: str
    bar: str
    cut: str


SIGNS = Signs("✓", "✗", "·", "-", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "…")
PLAIN_SIGNS = Signs("+", "x", ".", "-", "|/-\\", "=", "...")  # for a terminal whose encoding has no others


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
        """Renew the line; `share`: 0 to 1. Without room for a bar there is none."""
        frame = int(self._clock() * FRAMES_PER_S) % len(self._signs.spinner)
        room = columns_of(self._stream) - 1  # the cursor stands behind the line
        head = self._shortened(self._head(self._signs.spinner[frame]), room)
        room -= len(head)
        bar = ""
        if share is not None and room > BAR:
            bar, room = f"{self._bar(share)} ", room - BAR - 1
        self._write(f"{ERASE}{head}{bar}{self._shortened(details, room)}")

    def end(self, sentence: str) -> None:
        """Leave the line as that of something that is done, with what came of it."""
        self._write(f"{ERASE}{self._head(self._signs.done)}{sentence}\n")

    def clear(self) -> None:
        """Leave an empty line to whoever writes next."""
        self._write(ERASE)

    def _head(self, sign: str) -> str:
        return f"{sign} {self._name:{NAME}}{self._clock() - self._started:{TIME - 2}.1f} s "

    def _bar(self, share: float) -> str:
        done = round(BAR * min(1.0, share))
        return f"{DONE}{self._signs.bar * done}{LEFT}{self._signs.bar * (BAR - done)}{PLAIN}"

    def _shortened(self, text: str, room: int) -> str:
        """Return a text that is cut where it has more characters than there is room for."""
        cut = self._signs.cut[:room]
        return text if len(text) <= room else text[: room - len(cut)] + cut

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def columns_of(stream: TextIO) -> int:
    """Return how wide the terminal of a stream is, also where standard output is none."""
    width = 80
    with suppress(OSError, ValueError):  # it is no terminal
        width = os.get_terminal_size(stream.fileno()).columns or width
    return shutil.get_terminal_size((width, 24)).columns
