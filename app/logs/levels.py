"""Which lines are written, by the logger that they come from: set at start, changed while the service runs.

Loggers are named after modules, and a package's level holds for all in it. Logging belongs to a process as a whole, and
so do its levels. Several processes share those that are ordered while they run through a file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from app.logs.limit import ACCESS_LOGGER

ROOT = "root"  # all loggers that have no level of their own
PACKAGE = "app"

Levels = Mapping[str, str]  # logging's names in lower case, by logger


class UnknownLoggerError(ValueError):
    """There is no such logger; the message says which may be meant."""

    def __init__(self, name: str, likely: str | None) -> None:
        super().__init__("there is no such module" + (f"; {likely} may be meant" if likely else ""))
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

        Raises `UnknownLoggerError` naming the one that does not exist.
        """
        for name in levels:
            check_logger(name)
        self._take(self._at_start, dict(levels))
        if self._file is not None:
            whole = self._file.with_suffix(".new")
            whole.write_text(json.dumps(levels))
            whole.replace(self._file)

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


def check_logger(name: str) -> None:
    """Raise `UnknownLoggerError` unless there is a logger, or a package of loggers, of that name."""
    known = {ROOT, ACCESS_LOGGER, *modules(), *logging.root.manager.loggerDict}
    if name not in known:
        raise UnknownLoggerError(name, next(iter(get_close_matches(name, known, 1)), None))


def modules() -> set[str]:
    """Return the modules and packages of the service, none of which is imported for it."""
    folder = Path(__file__).parents[1]
    files = (file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py"))
    return {".".join((PACKAGE, *file.parts)).removesuffix(".__init__") for file in files}


log_levels = LogLevels()
