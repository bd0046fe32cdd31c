"""How the supervisor knows that its processes are alive: each writes a byte to a pipe of its own, at an interval.

The byte comes from the event loop. A process that is stopped, or whose loop or interpreter is stuck, writes none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

BEAT_S = 0.5  # from one byte to the next
# What a byte says. A worker that is `LOADING` does not listen yet; of an engine that is `STALLED` a runner hangs.
ALIVE, LOADING, STALLED = b"a", b"l", b"s"

STARTING_S = 120.0  # until the first byte: imports and GPUs take time
FROZEN_S = 10.0  # a tokenizer that is opened holds the GIL for seconds
STOPPED_S = 3.0  # for a process that the kernel says is stopped
LEAST_S = 2.0  # whatever `stall_timeout_s` says
LONGEST_TICK_S = 2 * BEAT_S  # what a late tick counts for: the machine was suspended, and not one process


class Pulse:
    """What one process says of itself, and for how long it has been silent."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._limits_s = {
            None: STARTING_S,
            LOADING: max(stall_timeout_s, FROZEN_S),
            ALIVE: max(LEAST_S, min(stall_timeout_s, FROZEN_S)),
        }
        self._state: bytes | None = None  # until the first byte
        self._read_end, self.write_end = os.pipe()
        self.silence_s = 0.0

    @property
    def is_at_work(self) -> bool:
        """Whether the process has said last that it does its work, and is not stopped since."""
        return self._state == ALIVE and self.silence_s < STOPPED_S

    @property
    def is_heard(self) -> bool:
        """Whether the process has said anything yet."""
        return self._state is not None

    def listen(self) -> None:
        """Hear the process, which has its end of the pipe by now."""
        os.close(self.write_end)
        self.write_end = -1
        os.set_blocking(self._read_end, False)
        asyncio.get_running_loop().add_reader(self._read_end, self._hear)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        for end in (self._read_end, self.write_end):
            if end >= 0:
                os.close(end)

    def pass_time(self, elapsed_s: float) -> None:
        self.silence_s += min(elapsed_s, LONGEST_TICK_S)

    def trouble(self, pid: int) -> str | None:
        """Return why the process must be replaced; None while it need not be."""
        if self._state == STALLED:
            return "stalled"
        if self.silence_s > STOPPED_S and is_stopped(pid):
            return "stopped"
        return "silent" if self.silence_s > self._limits_s[self._state] else None

    def _hear(self) -> None:
        if written := os.read(self._read_end, 2**16):
            self._state, self.silence_s = written[-1:], 0.0
        else:
            asyncio.get_running_loop().remove_reader(self._read_end)


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal. Source: proc(5), /proc/PID/stat: the state is `T`."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


async def beat(write_end: int, state: Callable[[], bytes]) -> None:
    """Say again and again that this process is alive, and how it is."""
    os.set_blocking(write_end, False)
    while True:
        with suppress(BlockingIOError, BrokenPipeError):  # the supervisor does not read, or is gone
            os.write(write_end, state())
        await asyncio.sleep(BEAT_S)
