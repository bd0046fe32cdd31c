"""What every process under the supervisor does first: read its assignment, and follow orders until the pipe ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
import structlog

from app.logs import close_logs, configure_logs
from app.logs.levels import log_levels
from app.processes.metric_files import count_in_files
from app.processes.orphaning import signal_when_orphaned
from app.processes.pulse import ALIVE, beat
from app.runtime.memory import return_large_blocks
from app.settings import Settings

CONFIGURATION_EXIT = 78  # EX_CONFIG of sysexits.h: starting again would not help
ORPHANED_EXIT = 1

LEAVE, DRAIN, RELOAD = "leave", "drain", "reload"  # the supervisor's orders, a line each

log = structlog.get_logger(__name__)


class Assignment(msgspec.Struct, frozen=True):
    """The first line that a process reads. Workers listen on `port`, which the supervisor keeps for them, or on the
    socket `listening`, a file descriptor, which they share.

    `pulse` is the file descriptor to write to at an interval; see `app.processes.pulse`.
    """

    name: str
    number: int
    folder: str
    port: int
    pulse: int
    settings: dict[str, Any]
    listening: int | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        name: str,
        number: int,
        folder: Path,
        port: int,
        pulse: int,
        listening: int | None = None,
    ) -> Assignment:
        fields = settings.model_dump(mode="json")
        fields["api_keys"] = [key.get_secret_value() for key in settings.api_keys]
        if settings.ssl_keyfile_password is not None:
            fields["ssl_keyfile_password"] = settings.ssl_keyfile_password.get_secret_value()
        return cls(name, number, str(folder), port, pulse, fields, listening)

    def line(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"


def engine_socket(folder: Path, number: int) -> Path:
    return folder / f"engine-{number}.sock"


def kept_tokenizers(folder: Path, number: int) -> Path:
    """Return where engine `number` keeps the tokenizers that it has proved."""
    return folder / f"engine-{number}.tokenizers"


def named_table(folder: Path) -> Path:
    """Return where the supervisor says where the models are that were named at the start."""
    return folder / "named.json"


def shared_levels(folder: Path) -> Path:
    """Return where the levels of the log are that were ordered while the service runs."""
    return folder / "log-levels.json"


class ChildProcess:
    """This process: its assignment, its settings, and the pipe through which the supervisor gives orders.

    Signals are the supervisor's to handle: a terminal or an init system sends them to the whole group, and must not
    stop an engine that workers still wait for.
    """

    def __init__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal_when_orphaned(signal.SIGCONT)  # a stopped one is continued, so that it ends as well
        return_large_blocks()
        self._pipe = FileIO(0, closefd=False)  # unbuffered: a buffer's lock would be held at exit by the thread below
        self.assignment = msgspec.json.decode(self._pipe.readline(), type=Assignment)
        self.settings = Settings(**self.assignment.settings)
        self.folder = Path(self.assignment.folder)
        configure_logs(self.settings, self.assignment.name)
        log_levels.share(shared_levels(self.folder))
        self._exemplars = count_in_files(self.assignment.name, self.folder)

    def start_pulse(self, state: Callable[[], bytes] = lambda: ALIVE) -> None:
        """Tell the supervisor from now on that the running loop is alive, and how this process is.

        The levels of the log are looked at, and exemplars written, as often.
        """

        def look() -> bytes:
            log_levels.follow()
            self._exemplars.write()
            return state()

        self._pulse = asyncio.create_task(beat(self.assignment.pulse, look))

    def follow(self, orders: Mapping[str, Callable[[], None]]) -> None:
        """Run the supervisor's orders on the running loop from now on, and end at once when it is gone."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            while line := self._pipe.readline():
                if order := orders.get(line.decode().strip()):
                    loop.call_soon_threadsafe(order)
            log.error("supervisor_gone")
            shutil.rmtree(self.folder, ignore_errors=True)
            close_logs()
            os._exit(ORPHANED_EXIT)

        threading.Thread(target=read, name="orders", daemon=True).start()
