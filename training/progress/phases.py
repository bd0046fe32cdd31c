"""The phases of a command: which there are, which runs, and what each took."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self, TextIO

from training.progress.board import Board
from training.progress.steps import RUNNING, Row, State

log = logging.getLogger(__name__)


class Phases:
    """The phases of a command: `with Phases(["verify", "score"]) as phases`, and in it `with phases("verify")`.

    On a terminal each has a row from the start: dim until it begins, with a bar, a rate and the time that is left
    where its steps are counted (`track`, `count`), and `✓ verify  3.2 s` when it is over. A phase that is passed over
    is `skipped`; one that raises, `failed`. Lines are logged and printed above. Elsewhere each phase logs
    `verify took 3.2 s` at its end. A phase that was not announced has a row all the same, also without the outer
    `with`. Phases may be nested, and run in several threads at once.
    """

    def __init__(self, announced: Sequence[str] = (), stream: TextIO | None = None, *, is_shown: bool = True) -> None:
        """`stream`: where phases are shown if it is a terminal; standard error by default.

        `is_shown`: False where another process shows the same phases.
        """
        self.announced, self.stream, self.is_shown = announced, stream, is_shown
        self.seconds: dict[str, float] = {}  # by phase; those of one name add up
        self.rows: list[Row] = []
        self._lock, self._open = threading.Lock(), 0
        self._board: Board | None = None

    def __enter__(self) -> Self:
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._end(is_whole=kind is None)

    def _begin(self) -> None:
        self.rows[:] = map(Row, self.announced)
        stream = self.stream or sys.stderr
        if self.is_shown and stream.isatty():
            self._board = Board(self.rows, stream)
            self._board.start()

    def _end(self, *, is_whole: bool) -> None:
        if is_whole:
            skip(self.rows)
        if self._board is not None:
            self._board.stop()
            self._board = None

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        with self, self._run(self._row_of(name)):
            yield

    def _row_of(self, name: str) -> Row:
        """Return the row of a phase that begins: one that waits or is over, or a further one."""
        with self._lock:
            for at, row in enumerate(self.rows):
                if row.name == name and row.state != "running":
                    skip(self.rows[:at])
                    break
            else:
                self.rows.append(row := Row(name))
            row.began, row.state = time.perf_counter(), "running"
            return row

    @contextmanager
    def _run(self, row: Row) -> Iterator[None]:
        before = RUNNING.set(row)
        state: State = "done"
        try:
            yield
        except BaseException:
            state = "failed"
            raise
        finally:
            RUNNING.reset(before)
            took = time.perf_counter() - row.began
            with self._lock:
                row.seconds, row.state = row.seconds + took, state
                self.seconds[row.name] = self.seconds.get(row.name, 0.0) + took
            if self.is_shown and self._board is None:
                say(row.name, took, has_failed=state == "failed")


def skip(rows: Sequence[Row]) -> None:
    """Say of the rows that wait that their phases will not run."""
    for row in rows:
        if row.state == "waiting":
            row.state = "skipped"


def say(name: str, took: float, *, has_failed: bool) -> None:
    if has_failed:
        log.error("%s failed after %.1f s", name, took)
    else:
        log.info("%s took %.1f s", name, took)
