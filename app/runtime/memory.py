"""Giving memory back to the system, where glibc's allocator keeps what was freed: large bodies, and whole models."""

from __future__ import annotations

import ctypes
import threading
import weakref
from pathlib import Path

MEMORY_THREAD = "release-memory"
SOON_S = 0.5  # after an object is finalized, what it held is freed
LARGE_BYTES, KEPT_BYTES = 2**20, 2**24
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")

trimming = threading.Lock()


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """Return how much memory may still be taken: what the system has, or less where a container has less.

    None where the system does not say. Sources: MemAvailable of proc(5); memory.max, memory.current and memory.stat of
    cgroup v2, whose files that are cached and not in use can be given up.
    """
    try:
        (kilobytes,) = [
            line.split()[1] for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:")
        ]
    except (OSError, ValueError):
        return None
    free = int(kilobytes) * 1024
    try:
        most, used = (int((cgroup / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return min(free, max(0, most - used + int(stat["inactive_file"])))
    except (OSError, ValueError, KeyError):  # no limit, or no cgroup
        return free


def return_large_blocks() -> None:
    """Have the system take back every block of `LARGE_BYTES` as soon as it is freed, in this process, from now on.

    By default the first such block that is freed makes glibc take later ones from its heaps, where smaller blocks
    settle between them: bodies of some MB then add hundreds of MB. Source: mallopt(3), M_MMAP_THRESHOLD. `KEPT_BYTES`
    may stay free at the end of a heap; setting the one bound ends the adjustment of both.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release_memory() -> None:
    """Return freed memory to the system, where the C library can. Source: malloc_trim(3)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        with trimming:
            trim(0)


def release_with(target: object) -> None:
    """Return memory to the system soon after `target` is gone."""
    weakref.finalize(target, release_soon).atexit = False


def release_soon() -> None:
    timer = threading.Timer(SOON_S, release_memory)
    timer.daemon, timer.name = True, MEMORY_THREAD
    timer.start()
