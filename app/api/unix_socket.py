"""A Unix socket to listen on: a file, which is there as long as somebody listens, and which a crash leaves behind."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path


def bind_unix(path: Path, mode: str) -> socket.socket:
    """Return a bound socket that does not listen yet, its file with the permissions `mode`, in octal digits.

    A file that nobody listens on any more is replaced. Raises `OSError` where somebody does, or where the file is none
    of a socket.
    """
    remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(int(mode, 8))
    except BaseException:
        bound.close()
        raise
    return bound


def remove_stale(path: Path) -> None:
    """Remove the file of a socket that nobody listens on."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(str(path))
    if code != errno.ECONNREFUSED:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    path.unlink()


def is_unix(bound: socket.socket) -> bool:
    return bound.family == socket.AF_UNIX


def remove(bound: socket.socket) -> None:
    """Remove the file of a socket, if it is one of a file, so that a client finds at once that nobody listens."""
    if is_unix(bound):
        with suppress(OSError):
            Path(bound.getsockname()).unlink()
