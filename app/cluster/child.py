"""`roberta-serve` as the child of a replica, which it does not outlive: `python -m app.cluster.child PARENT`.

Its settings are in the environment.
"""

from __future__ import annotations

import os
import signal
import sys

from app.commands.parsing import settings_without_flags
from app.commands.serve import run
from app.processes.orphaning import signal_when_orphaned


def end_with(parent: int) -> None:
    """Have this process end in an orderly way when its parent ends, or at once where that has ended before."""
    signal_when_orphaned(signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    run(settings_without_flags())
