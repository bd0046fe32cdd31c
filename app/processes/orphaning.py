"""What becomes of a process whose parent ends, however that ends."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from signal import Signals

PR_SET_PDEATHSIG = 1


def signal_when_orphaned(number: Signals) -> None:
    """Have the kernel send this process a signal when its parent ends.

    Source: prctl(2), PR_SET_PDEATHSIG. Other systems than Linux have no such thing.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
