"""The rows of a command's phases on a terminal, drawn anew while they run; what is printed meanwhile stands above."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, TextIO

from rich.console import Console, OverflowMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from app.command_line.look import BAR, FRAMES_PER_S, NAME, SIGNS, TIME, duration, signs_of
from training.progress.steps import Row, State, Steps

STYLES: dict[State, str] = {"done": "green", "failed": "red", "running": "cyan", "waiting": "dim", "skipped": "dim"}


class Board:
    """Shows rows from `start` until `stop`, which leaves them as they are then."""

    def __init__(self, rows: Sequence[Row], stream: TextIO) -> None:
        self.rows = rows
        self.signs = signs_of(stream)
        self.console = Console(file=stream, force_terminal=True, highlight=False)
        self.live = Live(
            get_renderable=self.table,
            console=self.console,
            refresh_per_second=FRAMES_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.streams = Streams(self.console, stream)

    def start(self) -> None:
        self.live.start()
        self.streams.redirect()

    def stop(self) -> None:
        self.streams.restore()
        self.live.stop()

    def table(self) -> Table:
        """Return the rows as they are now."""
        overflow: OverflowMethod = "ellipsis" if self.signs is SIGNS else "crop"
        column = partial(Column, no_wrap=True, overflow=overflow)
        table = Table.grid(
            column(),
            column(min_width=NAME),
            column(justify="right", min_width=TIME - 1),
            column(),
            column(),
            padding=(0, 1, 0, 0),
        )
        now = time.perf_counter()
        for row in list(self.rows):
            table.add_row(*self.cells(row, now))
        return table

    def cells(self, row: Row, now: float) -> tuple[Any, ...]:
        sign = Text(self.sign(row.state, now), style=STYLES[row.state])
        name = Text(row.name, style="dim" if row.state in ("waiting", "skipped") else "")
        if row.state in ("waiting", "skipped"):
            return sign, name, "", "", Text("skipped" if row.state == "skipped" else "", style="dim")
        took = Text(f"{row.elapsed(now):.1f} s")
        counted = row.steps[-1:]  # once: another thread ends them
        if row.state != "running" or not counted:
            return sign, name, took, "", "failed" if row.state == "failed" else ""
        (steps,) = counted
        return sign, name, took, ProgressBar(max(steps.total, 1), steps.done, BAR), Text(details(steps, now))

    def sign(self, state: State, now: float) -> str:
        if state == "running":
            return self.signs.spinner[int(now * FRAMES_PER_S) % len(self.signs.spinner)]
        return str(getattr(self.signs, state))


def details(steps: Steps, now: float) -> str:
    """Return what stands behind a bar: `120/340 steps, 41/s, 5 s left, loss 0.31`."""
    said = [f"{steps.done:,}/{steps.total:,} {steps.what}"]
    if rate := steps.rate(now):
        said += [
            f"{rate:.3g}/s" if rate < 100 else f"{rate:,.0f}/s",
            f"{duration((steps.total - steps.done) / rate)} left",
        ]
    return ", ".join([*said, steps.note] if steps.note else said)


# --- What is printed meanwhile ------------------------------------------------------------------------


class Above:
    """A stream whose lines are printed above the rows. Of a bar that another library draws, only its end is shown."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self.rich_proxied_file = stream  # by which rich's consoles find what to write to
        self._console, self._begun = console, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)

    def write(self, text: str) -> int:
        if "\r" in self._begun and not text.startswith(("\r", "\n")):
            self._begun = ""  # a bar, over which something else is written
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line.rpartition("\r")[2]), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Do nothing: a line appears when it is whole."""

    def end(self) -> None:
        """Print the beginning of a line; that of a bar is left out."""
        if self._begun and "\r" not in self._begun:
            self.write("\n")


class Streams:
    """The streams of this process that are on the terminal of the rows, and the log's handlers of these."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console, self._stream = console, stream
        self._redirected: dict[str, Above] = {}
        self._handlers: list[tuple[Any, TextIO]] = []

    def redirect(self) -> None:
        for name in ("stdout", "stderr"):
            stream: TextIO = getattr(sys, name)
            if stream is self._stream or (stream is not None and stream.isatty()):
                self._redirected[name] = Above(self._console, stream)
                setattr(sys, name, self._redirected[name])
        for handler in logging.getLogger().handlers:
            for above in self._redirected.values():
                if isinstance(handler, logging.StreamHandler) and handler.stream is above.rich_proxied_file:
                    self._handlers.append((handler, handler.stream))
                    handler.setStream(above)

    def restore(self) -> None:
        for handler, stream in self._handlers:
            handler.setStream(stream)
        for name, above in self._redirected.items():
            above.end()
            if getattr(sys, name) is above:
                setattr(sys, name, above.rich_proxied_file)
        self._handlers, self._redirected = [], {}
