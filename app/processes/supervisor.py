"""The supervisor: keeps the ports, starts engines, workers and the admin process, and starts again what dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import mark_process_dead

from app import __version__
from app.api.listener import bind_or_end, share_port
from app.metrics import count_restarts
from app.processes.child import CONFIGURATION_EXIT, DRAIN, LEAVE, RELOAD, Assignment
from app.processes.pulse import BEAT_S, Pulse
from app.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0  # before a process that died is started again; doubled each time
PROVEN_S = 30.0  # after a process that lived this long, the pause is the first one again
FORCED_EXIT = 130  # of the command, after a second SIGINT: 128 + 2, as shells have it
MARGIN_S = 3.0  # a process that needs this much longer to end than it is given is killed

log = structlog.get_logger(__name__)


@dataclass
class ProcessSlot:
    """A process that should run, and the one that runs in its place, if any."""

    role: Literal["engine", "worker", "admin"]
    number: int
    port: int  # to listen on; an engine has none
    process: asyncio.subprocess.Process | None = None
    pulse: Pulse | None = None
    deaths: int = 0  # in a row

    @property
    def name(self) -> str:
        """No underscore: prometheus_client splits the names of metrics' files at it."""
        return f"{self.role}-{self.number}"

    def order(self, order: str) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.write(f"{order}\n".encode())

    def watch(self, elapsed_s: float) -> None:
        """Kill the process when it is frozen or stalled. `elapsed_s` is the time since the last look."""
        if self.process is None or self.pulse is None or self.process.returncode is not None:
            return
        self.pulse.pass_time(elapsed_s)
        if trouble := self.pulse.trouble(self.process.pid):
            silence_s = round(self.pulse.silence_s, 1)
            log.error("process_frozen", name=self.name, pid=self.process.pid, state=trouble, silence_s=silence_s)
            self.process.kill()

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


class Supervisor:
    """Starts the processes and replaces those that die, until SIGTERM or SIGINT; SIGHUP reloads the bundles."""

    def __init__(self, settings: Settings, port: int, admin_port: int | None, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._engines = [ProcessSlot("engine", number, 0) for number in range(settings.engines)]
        self._workers = [ProcessSlot("worker", number, port) for number in range(settings.http_workers)]
        self._admins = [] if admin_port is None else [ProcessSlot("admin", 0, admin_port)]
        self._restarts = count_restarts(CollectorRegistry())
        self._ending, self._hurrying = asyncio.Event(), asyncio.Event()
        self._misconfigured = self._is_forced = False

    async def run(self) -> int:
        """Return the exit code: 0 after a drain, 1 when the settings cannot be served, 130 after a second SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        log.info("starting", version=__version__, engines=len(self._engines), workers=len(self._workers))
        slots = self._slots
        keepers = [asyncio.create_task(self._keep(slot)) for slot in slots]
        watch = asyncio.create_task(self._watch(slots))
        await self._ending.wait()
        await self._leave()
        watch.cancel()
        await self._end(self._workers, self._settings.drain_timeout_s + MARGIN_S)
        await self._end(self._engines, MARGIN_S)
        await self._end(self._admins, MARGIN_S)
        await asyncio.gather(*keepers)
        log.info("stopped")
        if self._is_forced:
            return FORCED_EXIT
        return 1 if self._misconfigured else 0

    @property
    def _slots(self) -> list[ProcessSlot]:
        return [*self._engines, *self._workers, *self._admins]

    def _on_signal(self, number: int) -> None:
        """Begin to stop. A second signal ends the delay before; a second SIGINT kills all processes."""
        if self._ending.is_set() and number == signal.SIGINT:
            log.warning("forced_exit")
            self._is_forced = True
            for slot in self._slots:
                slot.kill()
        if self._ending.is_set():
            self._hurrying.set()
        self._ending.set()

    async def _leave(self) -> None:
        """Be not ready any more, and answer requests for `shutdown_delay_s`."""
        if self._misconfigured:
            return
        for slot in (*self._workers, *self._admins):
            slot.order(LEAVE)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurrying.wait(), self._settings.shutdown_delay_s)

    async def _keep(self, slot: ProcessSlot) -> None:
        """Start a process, and another whenever it ends, until everything ends."""
        while not self._ending.is_set():
            started = time.monotonic()
            code = await self._run(slot)
            mark_process_dead(slot.name, str(self._folder))  # type: ignore[no-untyped-call]
            if self._ending.is_set():
                return
            if code == CONFIGURATION_EXIT:
                self._misconfigured = True
                self._ending.set()
                return
            self._restarts.labels(slot.role).inc()
            lived_s = time.monotonic() - started
            slot.deaths = 1 if lived_s > PROVEN_S else slot.deaths + 1
            pause_s = min(FIRST_PAUSE_S * 2 ** (slot.deaths - 1), LONGEST_PAUSE_S)
            lived = {"lived_s": round(lived_s, 1), "deaths_in_a_row": slot.deaths}
            log.error("process_died", name=slot.name, code=code, **lived, again_in_s=pause_s)
            with_timeout = asyncio.wait_for(self._ending.wait(), pause_s)
            await asyncio.gather(with_timeout, return_exceptions=True)

    async def _watch(self, slots: Sequence[ProcessSlot]) -> None:
        """Kill processes that are frozen or stalled; others take their place as of any that dies."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            for slot in slots:
                slot.watch(now - last)
            last = now

    async def _run(self, slot: ProcessSlot) -> int | None:
        """Start a process and return its exit code once it has ended; None when it could not be started."""
        try:
            with Pulse(self._settings.stall_timeout_s) as pulse:
                slot.process = await self._start(slot, pulse)
                pulse.listen()
                slot.pulse = pulse
                if self._ending.is_set():  # the order to drain was given before this process could read it
                    slot.order(DRAIN)
                return await slot.process.wait()
        except OSError as error:
            log.error("process_not_started", name=slot.name, cause=str(error))
            return None
        finally:
            slot.pulse = None

    async def _start(self, slot: ProcessSlot, pulse: Pulse) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.processes",
            slot.role,
            str(slot.number),
            stdin=asyncio.subprocess.PIPE,  # the pipe closes when the supervisor is gone, however it ended
            pass_fds=[pulse.write_end],
        )
        number, folder = slot.number, self._folder
        assignment = Assignment.of(self._settings, slot.name, number, folder, slot.port, pulse.write_end)
        assert process.stdin is not None
        process.stdin.write(assignment.line())
        return process

    def _reload(self) -> None:
        for slot in self._engines:
            slot.order(RELOAD)

    async def _end(self, slots: Sequence[ProcessSlot], limit_s: float) -> None:
        """Have processes drain, and kill those that have not ended after `limit_s`."""
        for slot in slots:
            slot.order(DRAIN)
        processes = [slot.process for slot in slots if slot.process is not None]
        waiting = [asyncio.create_task(process.wait()) for process in processes]
        if waiting:
            await asyncio.wait(waiting, timeout=limit_s)
        for slot in slots:
            if slot.process is not None and slot.process.returncode is None:
                log.warning("process_killed", pid=slot.process.pid)
                slot.kill()


def supervise(settings: Settings) -> int:
    """Serve in several processes until SIGTERM or SIGINT, and return the exit code."""
    with ExitStack() as stack:
        kept = stack.enter_context(keep_port(settings.host, settings.port))
        admin_port = None
        if settings.admin_port is not None:
            kept_admin = stack.enter_context(keep_port(settings.admin_host or settings.host, settings.admin_port))
            admin_port = kept_admin.getsockname()[1]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="roberta-serve-"))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        values.ValueClass = values.MultiProcessValue(lambda: "supervisor")  # type: ignore[no-untyped-call]

        async def run() -> int:
            return await Supervisor(settings, kept.getsockname()[1], admin_port, Path(folder)).run()

        return asyncio.run(run())


def keep_port(host: str, port: int) -> socket.socket:
    """Return a socket that holds the port and does not listen: each worker listens on a socket of its own.

    On one shared socket, the first worker to wake would accept every waiting connection. This one is bound before it
    allows sharing, so that a port on which anything listens is an error, another instance of this service included.
    """
    kept = bind_or_end(host, port)
    share_port(kept)
    return kept
