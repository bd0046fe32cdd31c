"""Commands on a terminal of their own, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress

from tests.support.server import REPOSITORY, environment

CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|.", re.DOTALL)
ROWS, COLUMNS = 40, 100


def screen_of(text: str) -> list[str]:
    """Return the lines that stand on a screen: the cursor goes back and up, and lines are erased."""
    screen, row, column = [""], 0, 0
    for part in CONTROL.findall(text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            screen += [""] * (row == len(screen))
        elif found := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(0, row - int(found[1] or 1))
        elif part == "\x1b[2K":
            screen[row] = ""
        elif part == "\x1b[K":
            screen[row] = screen[row][:column]
        elif not part.startswith("\x1b"):
            line = screen[row].ljust(column)
            screen[row], column = line[:column] + part + line[column + 1 :], column + 1
    return [line.rstrip() for line in screen]


class Screen:
    """The user's end of a terminal: collects what is shown until it is closed."""

    def __init__(self, master):
        self.master, self.shown, self.is_closed = master, b"", False
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        """Read what is shown. A read that waits would keep the terminal open, so that each waits for little."""
        with suppress(OSError):  # the other end is closed
            while not self.is_closed:
                if select.select([self.master], [], [], 0.05)[0]:
                    self.shown += os.read(self.master, 2**16)

    def text(self):
        return re.sub(r"\x1b\[[0-9;]*m", "", self.shown.decode(errors="replace"))

    def lines(self):
        """Return what stands on the screen."""
        return screen_of(self.shown.decode(errors="replace"))

    def press(self, key: bytes):
        os.write(self.master, key)

    def close(self):
        """Close the terminal, as a window that is closed does."""
        if not self.is_closed:
            self.is_closed = True
            self.thread.join()
            os.close(self.master)


@contextmanager
def on_terminal(*words, ignored=False):
    """Run python with some arguments as the leader of a session with a terminal of its own; yield process and screen.

    `ignored`: SIGHUP is, as under nohup.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    settings = environment() | {"TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, *words], **streams, cwd=REPOSITORY, env=settings, preexec_fn=take_terminal
    ) as process:
        os.close(slave)
        screen = Screen(master)
        try:
            yield process, screen
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            screen.close()
