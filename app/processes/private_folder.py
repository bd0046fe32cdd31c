"""The private folder of the processes: their sockets, the files that metrics are counted in, proved tokenizers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from app.processes.child import CONFIGURATION_EXIT, engine_socket

LONGEST_SOCKET_PATH = 107  # bytes. Source: unix(7), sun_path
MANY = 999  # as long a number as an engine may have


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make the folder where temporary files belong, and remove it in the end.

    Where that is not possible, print a sentence and end the command with `CONFIGURATION_EXIT`.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="roberta-serve-", ignore_cleanup_errors=True)
    except OSError as error:
        refuse(f"needs a writable temporary folder: {error.strerror}; mount one at /tmp, or name one with TMPDIR")
    with made as name:
        folder = Path(name)
        if len(bytes(engine_socket(folder, MANY))) > LONGEST_SOCKET_PATH:
            refuse(f"needs a temporary folder with a shorter path than {folder.parent}; name one with TMPDIR")
        yield folder


def refuse(what: str) -> NoReturn:
    sys.stderr.write(f"roberta-serve: http_workers {what}\n")
    raise SystemExit(CONFIGURATION_EXIT)
