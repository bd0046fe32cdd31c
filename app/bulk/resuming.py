"""An output that is written beside its place, and gone on with after whatever ended the command that wrote it.

`out.csv.partial/` holds the rows so far, and a state: how many bytes of them are whole, where reading goes on, and
what was asked. What stands behind those bytes, half a row for one, is cut off. The output appears when it is whole.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.bulk.errors import BulkError
from app.bulk.rows import START, Position
from app.bundle import replace_file
from app.bundle.writing import hold

SUFFIX, ROWS, STATE = ".partial", "rows", "state.json"
COMMIT_S = 1.0  # between two states: each is flushed to disk


class State(BaseModel):
    """What was written up to the end of a chunk. `asked` has a digest of all that the output depends on, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: dict[str, str]
    position: Position = START
    size: int = 0  # bytes of rows
    rows: int = 0
    bad: int = 0
    is_whole: bool = False


class Sink(Protocol):
    """Where rendered rows go."""

    def append(self, content: bytes, position: Position, rows: int, bad: int) -> None:
        """Write a chunk, which ends at `position` and has so many rows, so many of them bad."""
        ...


class Stream:
    """Standard output, or another stream: nothing can be gone on with."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def append(self, content: bytes, position: Position, rows: int, bad: int) -> None:
        self._stream.write(content)
        self._stream.flush()


class Partial:
    """An unfinished output, held against other commands while it is open; to be used in a `with` block.

    `state` is what is written. Raises `BulkError` where the folder cannot be written or another command writes it, and
    where it was begun with something else than `asked`.
    """

    def __init__(self, output: Path, asked: Mapping[str, str]) -> None:
        self.output, self.folder = output, output.with_name(output.name + SUFFIX)
        self.rows = self.folder / ROWS
        self.state = State(asked=dict(asked))
        self._committed_at = -math.inf
        self._stream: BinaryIO | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = hold(self.folder)
            if self._lock is None:
                raise BulkError(f"{self.output} is being written by another command; wait for it")
            self._go_on()
        except OSError as error:
            self.close()
            raise unwritable(self.folder, error) from error
        except BulkError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._stream is not None:
            with suppress(OSError):  # of a full disk, which has been said; the state counts what is whole
                self._stream.close()
        if self._lock is not None:
            os.close(self._lock)
        self._stream = self._lock = None

    def append(self, content: bytes, position: Position, rows: int, bad: int) -> None:
        assert self._stream is not None
        before = self.state
        try:
            self._stream.write(content)
            self.state = before.model_copy(
                update={
                    "position": position,
                    "size": before.size + len(content),
                    "rows": before.rows + rows,
                    "bad": before.bad + bad,
                }
            )
            if rows and time.monotonic() - self._committed_at > COMMIT_S:
                self.commit()
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def commit(self, *, is_whole: bool = False) -> None:
        """Write down that what is written can be gone on with."""
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.state = self.state.model_copy(update={"is_whole": is_whole})
        replace_file(self.folder / STATE, self.state.model_dump_json())
        self._committed_at = time.monotonic()

    def finish(self, complete: Callable[[Path], Path]) -> None:
        """Put the output in its place: the rows, or what `complete` makes of them."""
        try:
            if not self.state.is_whole:
                self.commit(is_whole=True)
            if self.rows.exists():
                self._place(complete(self.rows))
            shutil.rmtree(self.folder)
        except OSError as error:
            raise unwritable(self.output, error) from error

    def _place(self, whole: Path) -> None:
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        whole.replace(self.output)
        if whole != self.rows:
            self.rows.unlink()

    def _go_on(self) -> None:
        """Open the rows behind those that are whole."""
        try:
            found = State.model_validate_json((self.folder / STATE).read_bytes())
        except FileNotFoundError:
            self.rows.unlink(missing_ok=True)
        except ValidationError as error:
            raise BulkError(f"{self.folder} is not understood; remove it, or add --restart") from error
        else:
            self._check(found)
            self.state = found
        if not self.state.is_whole or self.rows.exists():
            self._stream = self.rows.open("ab")
            self._stream.truncate(self.state.size)

    def _check(self, found: State) -> None:
        asked = self.state.asked
        changed = [name for name in asked if found.asked.get(name) != asked[name]]
        if changed or found.asked.keys() != asked.keys():
            what = " and ".join(changed) or "settings"
            raise BulkError(f"{self.folder} was begun with another {what}; remove it, or add --restart, to begin anew")
        size = self.rows.stat().st_size if self.rows.exists() else 0
        if size < found.size and not (found.is_whole and not self.rows.exists()):
            raise BulkError(f"{self.folder} has lost rows; remove it, or add --restart, to begin anew")


def restart(output: Path) -> None:
    """Remove what an earlier command has left of an output. Raises `BulkError` where another one is writing it."""
    folder = output.with_name(output.name + SUFFIX)
    if not folder.exists():
        return
    lock = hold(folder)
    if lock is None:
        raise BulkError(f"{output} is being written by another command; wait for it")
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def unwritable(path: Path, error: OSError) -> BulkError:
    return BulkError(f"{path} cannot be written: {error.strerror or error}; what is written so far is kept")
