"""Which lines are written, by the logger that they come from: set at start, changed while the service runs.

Loggers are named after modules, and a package's level holds for all in it. Logging belongs to a process as a whole, and
so do its levels. Several processes share those that are ordered while they run through a file.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from app.command_line.near import did_you_mean
from app.logs.limit import ACCESS_LOGGER

ROOT = "root"  # all loggers that have no level of their own
PACKAGE = "app"

Levels = Mapping[str, str]  # logging's names in lower case, by logger


class UnknownLoggerError(ValueError):
    """There is no such logger; the message says which may be meant."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"there is no such module{did_you_mean(name, known)}")
        self.name = name


class LogLevels:
    """The levels of this process: those of the start, over which those that were ordered go."""

    def __init__(self) -> None:
        self._at_start: dict[str, str] = {}
        self._ordered: dict[str, str] = {}
        self._file: Path | None = None
        self._seen_ns = 0  # when the file was last changed, as it was last read

    def start(self, levels: Levels) -> None:
        """Begin anew with these levels."""
        self._take(dict(levels), {})

    def share(self, file: Path) -> None:
        """Share what is ordered with the processes that share the same file; `follow` is to be called at intervals."""
        self._file, self._seen_ns = file, 0
        self.follow()

    def follow(self) -> None:
        """Do what another process was ordered."""
        with suppress(OSError, ValueError):
            if self._file is not None and (changed_ns := self._file.stat().st_mtime_ns) != self._seen_ns:
                self._take(self._at_start, dict(json.loads(self._file.read_text())))
                self._seen_ns = changed_ns

    def order(self, levels: Levels) -> None:
        """Set these levels over those of the start, in place of all that were ordered before.

        Raises `UnknownLoggerError` naming the one that does not exist; `OSError` where the other processes cannot be
        told, and then changes nothing here either.
        """
        check_loggers(levels)
        if self._file is not None:
            whole = self._file.with_name(f"{self._file.name}.{os.getpid()}")  # each process may be ordered at once
            whole.write_text(json.dumps(levels))
            whole.replace(self._file)
        self._take(self._at_start, dict(levels))

    def shown(self) -> dict[str, str]:
        """Return the level of each logger that has one."""
        return self._at_start | self._ordered

    def _take(self, at_start: dict[str, str], ordered: dict[str, str]) -> None:
        before = self.shown()
        self._at_start, self._ordered = at_start, ordered
        levels = self.shown()
        for name in before.keys() - levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in levels.items():
            logging.getLogger(None if name == ROOT else name).setLevel(level.upper())


def check_loggers(names: Iterable[str]) -> None:
    """Raise `UnknownLoggerError` for the first name of which there is no logger, and no package of loggers."""
    known = {ROOT, ACCESS_LOGGER, *modules(), *logging.root.manager.loggerDict}
    for name in names:
        if name not in known and not is_of_library(name):
            raise UnknownLoggerError(name, known)


def is_of_library(name: str) -> bool:
    """Whether a logger is named after an installed library, which may be imported later."""
    package = name.partition(".")[0]
    with suppress(ValueError):  # the package is one that says nothing of where it is from
        return package.isidentifier() and package != PACKAGE and find_spec(package) is not None
    return False


def modules() -> set[str]:
    """Return the modules and packages of the service, none of which is imported for it."""
    folder = Path(__file__).parents[1]
    files = (file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py"))
    return {".".join((PACKAGE, *file.parts)).removesuffix(".__init__") for file in files}


log_levels = LogLevels()
