"""What a piece of work costs others: how long it keeps the interpreter from other threads, and the memory it adds."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

STEP_S = 0.001


class Meter:
    """Measures the work within a block, in this process: `longest_hold_s` and `added_bytes`, at the peak.

    A hold is counted in processor time of this process, so that it says nothing of what else the machine does.
    """

    def __init__(self) -> None:
        self.longest_hold_s, self.added_bytes = 0.0, 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter")

    def __enter__(self) -> Self:
        self._thread.start()
        Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory begins anew
        self._before = memory_of("self", "VmRSS")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.added_bytes = memory_of("self", "VmHWM") - self._before
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.process_time()
        while not self._is_over.wait(STEP_S):
            now = time.process_time()
            self.longest_hold_s = max(self.longest_hold_s, now - last - STEP_S)
            last = now


def memory_of(process: int | str, line: str) -> int:
    """Return a line of a process's status in bytes, such as VmRSS, or VmHWM for its peak."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (kilobytes,) = [each.split()[1] for each in status.splitlines() if each.startswith(f"{line}:")]
    return int(kilobytes) * 1024
