"""The files that metrics of several processes are counted in; a file system that is full ends no process.

prometheus_client maps sparse files. Writing to a page of one ends the process with SIGBUS where the file system has no
block left for it. So blocks are allocated before they are mapped, and a series that finds none is not shown.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from app.processes.exemplars import END, Exemplars, with_exemplars

FIRST_BYTES = 2**16
VALUE = struct.Struct("dd")  # a value and its timestamp
HEADER_BYTES = 8

log = structlog.get_logger(__name__)


class AllocatedDict(MmapedDict):
    """prometheus_client's dictionary in a file, whose blocks are there. Its last bytes take what finds no place."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            allocate(Path(filename))
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
        except OSError as error:
            complain(filename, error)
            self._map_memory(filename)
        self._capacity -= VALUE.size
        self._is_full = False

    def _map_memory(self, filename: str) -> None:
        """Count where nobody sees it."""
        self._f, self._fname, self._positions = None, filename, {}  # type: ignore[assignment]
        self._capacity, self._used = FIRST_BYTES, HEADER_BYTES
        self._m = mmap.mmap(-1, FIRST_BYTES)

    def _init_value(self, key: str) -> None:
        most = len(key.encode()) + VALUE.size + 4 + 8  # its length before it, and padding after it
        while not self._is_full and self._used + most > self._capacity:
            self._grow()
        if self._is_full:
            self._positions[key] = self._capacity
        else:
            super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self) -> None:
        size = 2 * (self._capacity + VALUE.size)
        try:
            if self._f is None:
                raise OSError("there is no file")
            os.posix_fallocate(self._f.fileno(), 0, size)
            self._m, self._capacity = mmap.mmap(self._f.fileno(), size), size - VALUE.size
        except OSError as error:
            complain(self._fname, error)
            self._is_full = True


def allocate(file: Path) -> None:
    """Make a file with blocks, unless it has some. Raises `OSError` and leaves none where there is no room."""
    with file.open("ab") as stream:
        if stream.tell() == 0:
            try:
                os.posix_fallocate(stream.fileno(), 0, FIRST_BYTES)
            except OSError:
                file.unlink()  # which `/metrics` could not read
                raise


def complain(filename: str, error: OSError) -> None:
    log.error("metrics_not_kept", file=Path(filename).name, cause=error.strerror or str(error))


def count_in_files(name: str, folder: Path) -> Exemplars:
    """Count everything that is made from now on in files of `folder`, as the process `name`.

    A process that replaces another of its name goes on counting in its files: a counter never goes back. Returns the
    exemplars of this process, which are to be written at an interval.
    """
    exemplars = Exemplars(folder / f"{name}{END}")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.MmapedDict = AllocatedDict  # type: ignore[attr-defined]
    counted = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
    values.ValueClass = with_exemplars(counted, exemplars)
    return exemplars
