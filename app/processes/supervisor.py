"""The supervisor: keeps the port, starts engines and workers, and starts again what dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client.multiprocess import mark_process_dead

from app import __version__
from app.api.server import bind, share_port
from app.processes.child import CONFIGURATION_EXIT, DRAIN, RELOAD, Assignment
from app.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0  # before a process that died is started again; doubled each time
PROVEN_S = 30.0  # a process that lived this long starts again after the first pause
MARGIN_S = 3.0  # beyond a limit that processes keep themselves, before they are killed

log = structlog.get_logger(__name__)


@dataclass
class Place:
    """A process that there should be, and the one that is there."""

    role: Literal["engine", "worker"]
    number: int
    process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        """Without a low line, which in names of metrics' files separates their parts."""
        return f"{self.role}-{self.number}"

    def order(self, order: str) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.write(f"{order}\n".encode())


class Supervisor:
    """Starts the processes and keeps them there until SIGTERM or SIGINT; SIGHUP reloads the engines' bundles."""

    def __init__(self, settings: Settings, port: int, folder: Path) -> None:
        self._settings, self._port, self._folder = settings, port, folder
        self._engines = [Place("engine", number) for number in range(settings.engines)]
        self._workers = [Place("worker", number) for number in range(settings.http_workers)]
        self._ending = asyncio.Event()
        self._misconfigured = False

    async def run(self) -> int:
        """Return the exit code: 0 after a drain, 1 when the settings cannot be served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        log.info("starting", version=__version__, engines=len(self._engines), workers=len(self._workers))
        places = [*self._engines, *self._workers]
        keepers = [asyncio.create_task(self._keep(place)) for place in places]
        await self._ending.wait()
        await self._end(self._workers, self._settings.drain_timeout_s + MARGIN_S)
        await self._end(self._engines, MARGIN_S)
        await asyncio.gather(*keepers)
        log.info("stopped")
        return 1 if self._misconfigured else 0

    async def _keep(self, place: Place) -> None:
        """Start a process, and another whenever it ends, until everything ends."""
        pause_s = FIRST_PAUSE_S
        while not self._ending.is_set():
            started = time.monotonic()
            code = await self._run(place)
            mark_process_dead(place.name, str(self._folder))  # type: ignore[no-untyped-call]
            if self._ending.is_set():
                return
            if code == CONFIGURATION_EXIT:
                self._misconfigured = True
                self._ending.set()
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > PROVEN_S else pause_s
            log.error("process_died", name=place.name, code=code, again_in_s=pause_s)
            with_timeout = asyncio.wait_for(self._ending.wait(), pause_s)
            await asyncio.gather(with_timeout, return_exceptions=True)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run(self, place: Place) -> int | None:
        """Start a process and return its exit code once it has ended; None when it could not be started."""
        try:
            place.process = await self._start(place)
        except OSError as error:
            log.error("process_not_started", name=place.name, cause=str(error))
            return None
        if self._ending.is_set():  # since before it was there to be told
            place.order(DRAIN)
        return await place.process.wait()

    async def _start(self, place: Place) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.processes",
            place.role,
            str(place.number),
            stdin=asyncio.subprocess.PIPE,  # its end tells the process that the supervisor is gone
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(self._folder)},
        )
        assignment = Assignment.of(self._settings, place.name, place.number, self._folder, self._port)
        assert process.stdin is not None
        process.stdin.write(assignment.line())
        return process

    def _reload(self) -> None:
        for place in self._engines:
            place.order(RELOAD)

    async def _end(self, places: Sequence[Place], limit_s: float) -> None:
        """Have processes drain, and kill those that have not ended after `limit_s`."""
        for place in places:
            place.order(DRAIN)
        processes = [place.process for place in places if place.process is not None]
        waiting = [asyncio.create_task(process.wait()) for process in processes]
        if waiting:
            await asyncio.wait(waiting, timeout=limit_s)
        for process in processes:
            if process.returncode is None:
                log.warning("process_killed", pid=process.pid)
                process.kill()


def supervise(settings: Settings) -> int:
    """Serve in several processes until SIGTERM or SIGINT, and return the exit code."""
    with keep_port(settings) as kept, tempfile.TemporaryDirectory(prefix="roberta-serve-") as folder:

        async def run() -> int:
            return await Supervisor(settings, kept.getsockname()[1], Path(folder)).run()

        return asyncio.run(run())


def keep_port(settings: Settings) -> socket.socket:
    """Return a socket that holds the port, and does not listen: workers do, each on a socket of its own.

    Of one socket that all share, whoever wakes first takes every connection that is waiting. It is bound before it
    allows sharing, so a port on which something listens is an error, even another instance of this service.
    """
    try:
        kept = bind(settings.host, settings.port)
    except OSError as error:
        raise SystemExit(f"roberta-serve: cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    share_port(kept)
    return kept
