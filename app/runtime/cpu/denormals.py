"""Denormal floats, those below 2**-126, treated as zero.

x86 processors compute with them far more slowly, and onnxruntime's CPU kernels meet them where attention is masked: on
the way to a weight of zero. The weights come out as zero either way.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# glibc's fenv_t on x86-64: seven words of the x87 unit, then MXCSR. Sources: bits/fenv.h; Intel's Software Developer's
# Manual, volume 1, section 10.2.3, for bits 6 (denormals are zeros) and 15 (flush to zero).
Environment = ctypes.c_uint32 * 8
MXCSR, FLAGS = 7, 1 << 6 | 1 << 15


def find_libm() -> ctypes.PyDLL | None:
    """Return glibc's functions for the floating-point environment; None where `Environment` does not fit."""
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.PyDLL("libm.so.6")


LIBM = find_libm()


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Treat denormals as zero in this thread, within the block."""
    if LIBM is None:
        yield
        return
    before = Environment()
    LIBM.fegetenv(before)
    now = Environment.from_buffer_copy(before)
    now[MXCSR] |= FLAGS
    LIBM.fesetenv(now)
    try:
        yield
    finally:
        LIBM.fesetenv(before)
