"""Giving memory back to the system: glibc's allocator keeps what was freed, a whole model's worth after a reload."""

from __future__ import annotations

import ctypes
import threading
import weakref

MEMORY_THREAD = "release-memory"
SOON_S = 0.5  # after an object is finalized, what it held is freed

trimming = threading.Lock()


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
