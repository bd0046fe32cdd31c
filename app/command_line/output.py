"""Standard output of both commands, whatever its encoding has not, and whoever has stopped reading it."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READER_GONE = 128 + signal.SIGPIPE  # exit code, as shells have it


@contextmanager
def standard_output() -> Iterator[None]:
    """Have characters that the encoding has not be escaped, as on standard error, and end the command in silence where
    the reader has gone away."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it was closed before the command began
                sys.stdout.flush()
    except BrokenPipeError:
        if not is_reader_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which the interpreter flushes at its end
        raise SystemExit(READER_GONE) from None


def is_reader_gone() -> bool:
    """Whether nobody can read standard output any more. Source: poll(2), POLLERR of a pipe."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in watched.poll(0))


def as_json(value: Any, indent: int) -> str:
    """Return JSON for standard output, with JSON's own escapes where its encoding has not every character."""
    has_all = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not has_all)
