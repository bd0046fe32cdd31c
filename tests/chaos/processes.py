"""What Linux says of processes. One that has just ended has nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from app.processes.metrics import children_of

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def family_of(pid: int) -> list[int]:
    """Return a process and its children."""
    return [pid, *children_of(pid)]


def line_of(pid: int) -> list[bytes]:
    """Return the words of its command."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def resident_mb(pid: int) -> float:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20
    return 0.0


def descriptors(pid: int) -> int:
    """Return how many descriptors are open."""
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
