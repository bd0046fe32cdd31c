"""What the allocator of the C library keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = """
import ctypes
from app.runtime.memory import LARGE_BYTES, return_large_blocks

class Usage(ctypes.Structure):  # struct mallinfo2 of malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()] + [
        (name, ctypes.c_size_t) for name in "usmblks fsmblks uordblks fordblks keepcost".split()
    ]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Usage
return_large_blocks()
before = mallinfo2().hblkhd  # bytes that the system takes back as soon as they are freed
block = bytes(8 * LARGE_BYTES)
del block
block = bytes(4 * LARGE_BYTES)
print(mallinfo2().hblkhd - before >= len(block))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallinfo2 is glibc's")
def test_a_large_block_that_was_freed_does_not_have_later_ones_kept():
    assert subprocess.check_output([sys.executable, "-c", BLOCK], text=True).strip() == "True"
    assert (
        subprocess.check_output([sys.executable, "-c", BLOCK.replace("\nreturn_", "\n# return_")], text=True).strip()
        == "False"
    )
