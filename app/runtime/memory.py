"""Giving memory back to the system, where glibc's allocator keeps what was freed: large bodies, and whole models."""

from __future__ import annotations

import ctypes
import threading
import weakref

MEMORY_THREAD = "release-memory"
SOON_S = 0.5  # after an object is finalized, what it held is freed
LARGE_BYTES, KEPT_BYTES = 2**20, 2**24
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h

trimming = threading.Lock()


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
