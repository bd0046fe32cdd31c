"""`roberta-serve` as the child of a replica, which it does not outlive: `python -m app.cluster.child PARENT`.

Its settings are in the environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from app.commands.parsing import settings_without_flags
from app.commands.serve import run

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends, however it ends. Source: prctl(2)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has ended before
        raise SystemExit(0)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    run(settings_without_flags())
