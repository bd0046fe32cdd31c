"""Whether the terminal from which a command was started has closed.

A terminal that closes sends SIGHUP, and so does an operator who wants a reload. The kernel takes the terminal from
every process of its session before it sends the signal, so that /dev/tty cannot be opened any more; after a signal of
an operator it can. A process without a terminal at its start, as under an init system, never loses one.
Source: Linux, tty_signal_session_leader in drivers/tty/tty_jobctrl.c; tty(4).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TextIO


class Terminal:
    """The terminal of this process at its start, to be made before SIGHUP is handled.

    A process that was started to outlive its terminal (`nohup` has it ignore SIGHUP) does so.
    """

    def __init__(self) -> None:
        self._ends_with_it = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and has_terminal()

    def has_closed(self) -> bool:
        """Whether this process is to end because its terminal is gone."""
        return self._ends_with_it and not has_terminal()


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def is_watched(stream: TextIO | None = None) -> bool:
    """Whether a person reads what is written to a stream; standard error by default."""
    stream = stream or sys.stderr
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
