"""How much of its limits a key uses, counted by all processes together."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

CELL_BYTES = 8


class Usage:
    """The requests of one key: when the next may come, and how many each process has in hand.

    `cells` are doubles that several processes may share: cell 0 is the time at which the key's allowance is whole
    again, in seconds of `time.monotonic()`, which is the machine's; cell `1 + n` is the number of requests in hand in
    process `n`, which alone writes it. There is no lock, which a stopped process could hold: two processes that count
    in the same microsecond may let one request too many pass.
    """

    def __init__(self, cells: memoryview[float], number: int = 0) -> None:
        self._cells, self._own = cells, 1 + number
        cells[self._own] = 0.0  # a process that replaces another of its number has nothing in hand yet

    def wait_s(self, rate: float, now: float) -> float:
        """Take one request out of an allowance of `rate` a second; return 0, or the seconds until one is left.

        A second's worth may come at once. Source: the generic cell rate algorithm, ITU-T I.371.
        """
        burst_s = max(1.0, 1.0 / rate)
        whole_at = min(max(self._cells[0], now), now + burst_s)
        wait = whole_at + 1.0 / rate - burst_s - now
        if wait > 1e-9:
            return wait
        self._cells[0] = whole_at + 1.0 / rate
        return 0.0

    def in_hand(self) -> int:
        """Return the requests in hand in all processes."""
        return int(sum(self._cells[1:]))

    def begin(self) -> None:
        self._cells[self._own] += 1

    def end(self) -> None:
        self._cells[self._own] -= 1


def usage_here() -> Usage:
    """Return the usage of a key where there is one process."""
    return Usage(memoryview(bytearray(2 * CELL_BYTES)).cast("d"))


def shared_usage(folder: Path, name: str, number: int, processes: int) -> Usage:
    """Return the usage of the key `name` that `processes` share through a file in `folder`; this one is `number`."""
    size = (1 + processes) * CELL_BYTES
    descriptor = os.open(
        folder / f"key-{hashlib.sha256(name.encode()).hexdigest()[:32]}", os.O_RDWR | os.O_CREAT, 0o600
    )
    try:
        os.posix_fallocate(descriptor, 0, size)  # in a sparse file, a full file system would end the process
        return Usage(memoryview(mmap.mmap(descriptor, size)).cast("d"), number)
    finally:
        os.close(descriptor)
