"""The supervisor: keeps the ports, starts engines, workers and the admin process, and starts again what dies."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import mark_process_dead

from app import __version__
from app.api.listener import bind_admin_or_end, bind_main_or_end, share_port
from app.api.unix_socket import is_unix, remove
from app.command_line.terminal import Terminal
from app.hub.named import Named, prepare_named
from app.logs.levels import log_levels
from app.metrics import count_restarts
from app.processes.child import CONFIGURATION_EXIT, DRAIN, LEAVE, RELOAD, Assignment, named_table, shared_levels
from app.processes.metric_files import count_in_files
from app.processes.pool_state import PROBLEMS, PoolState, state_of
from app.processes.private_folder import private_folder
from app.processes.process_slot import ProcessSlot
from app.processes.pulse import BEAT_S, Pulse
from app.processes.restarts import reason_of
from app.settings import Settings

FORCED_EXIT = 130  # of the command, after a second SIGINT: 128 + 2, as shells have it
PREDECESSOR_S = 2.0  # the processes of a supervisor that was killed have left the port by then
MARGIN_S = 3.0  # a process that needs this much longer to end than it is given is killed

log = structlog.get_logger(__name__)


class Supervisor:
    """Starts the processes and replaces those that die, until SIGTERM or SIGINT; SIGHUP reloads the bundles."""

    def __init__(
        self,
        settings: Settings,
        port: int,
        admin_port: int | None,
        folder: Path,
        named: Named | None = None,
        shared: socket.socket | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        """`shared` is the Unix socket that the workers listen on; without one each has a socket for `port`."""
        self._settings, self._folder, self._named, self._shared = settings, folder, named, shared
        self._terminal = terminal or Terminal()
        self._engines = [ProcessSlot("engine", number, 0) for number in range(settings.engines)]
        self._workers = [ProcessSlot("worker", number, port) for number in range(settings.http_workers)]
        self._admins = [] if admin_port is None else [ProcessSlot("admin", 0, admin_port)]
        self._restarts = self._count_restarts()
        self._restoring: asyncio.Task[None] | None = None
        self._fetches: set[asyncio.Task[None]] = set()
        self._ending, self._hurrying, self._draining = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._misconfigured = self._is_forced = False
        self._state = PoolState.HELD  # as workers and the admin process were told
        log_levels.share(shared_levels(folder))

    async def run(self) -> int:
        """Return the exit code: 0 after a drain, 1 when the settings cannot be served, 130 after a second SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        log.info("starting", version=__version__, engines=len(self._engines), workers=len(self._workers))
        slots = self._slots
        keepers = [asyncio.create_task(self._keep(slot)) for slot in slots]
        watch = asyncio.create_task(self._watch(slots))
        await self._ending.wait()
        if self._named is not None:
            self._named.stop()
        await self._leave()
        self._draining.set()
        if self._shared is not None:  # the workers' own descriptors are the last
            remove(self._shared)
            self._shared.close()
        for task in (watch, self._restoring):
            if task is not None:
                task.cancel()
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
            self._draining.set()
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
        """Start a process, and another whenever it ends, until everything drains."""
        while not self._draining.is_set():
            started = time.monotonic()
            code = await self._run(slot)
            mark_process_dead(slot.name, str(self._folder))  # type: ignore[no-untyped-call]
            if self._draining.is_set():
                return
            if code == CONFIGURATION_EXIT:
                self._misconfigured = True
                self._draining.set()
                self._ending.set()
                return
            self._restarts.labels(slot.role).inc()
            now = time.monotonic()
            pause_s = slot.note_death(now)
            lived = {"lived_s": round(now - started, 1), "deaths_in_a_row": slot.restarts.deaths}
            reason = reason_of(code)
            log.error("process_died", name=slot.name, code=code, reason=reason, **lived, again_in_s=pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), pause_s)

    def _count_restarts(self) -> Counter:
        count_in_files("supervisor", self._folder)
        return count_restarts(CollectorRegistry())

    async def _restore_folder(self, slots: Sequence[ProcessSlot]) -> None:
        """Make the private folder again, which somebody removed, and let every process begin anew in it.

        The sockets went with it, and what was counted: processes that start would find no engine.
        """
        log.error("private_folder_removed", folder=str(self._folder))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._restarts = self._count_restarts()
        if self._named is not None:
            self._named.write()
        for slot in slots:
            before = slot.process
            if slot.role == "engine":  # its requests wait in the workers
                slot.kill()
            else:
                await self._end([slot], self._settings.drain_timeout_s + MARGIN_S)
            while slot.process is before or slot.pulse is None or not slot.pulse.is_heard:
                await asyncio.sleep(BEAT_S)

    async def _watch(self, slots: Sequence[ProcessSlot]) -> None:
        """Kill processes that are frozen or stalled; others take their place as of any that dies."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            for slot in slots:
                slot.watch(now - last)
                slot.note_life(now)
            last = now
            self._tell(state_of(self._engines, self._workers, now))
            log_levels.follow()
            if not self._folder.is_dir() and (self._restoring is None or self._restoring.done()):
                self._restoring = asyncio.create_task(self._restore_folder(slots))

    def _tell(self, state: PoolState) -> None:
        """Have workers and the admin process answer for the health of all."""
        if state == self._state:
            return
        if state in PROBLEMS:
            log.error(
                "restart_loop",
                problem=PROBLEMS[state],
                deaths={slot.name: slot.restarts.deaths for slot in self._slots},
            )
        self._state = state
        for slot in (*self._workers, *self._admins):
            self._tell_process(slot)

    def _tell_process(self, slot: ProcessSlot) -> None:
        is_itself_one = slot.role == "worker" and self._state == PoolState.NO_WORKER
        slot.order(PoolState.HELD if is_itself_one else self._state)

    async def _run(self, slot: ProcessSlot) -> int | None:
        """Start a process and return its exit code once it has ended; None when it could not be started."""
        try:
            with Pulse(self._settings.stall_timeout_s) as pulse:
                slot.process = await self._start(slot, pulse)
                pulse.listen()
                slot.pulse = pulse
                if slot.role != "engine":
                    self._tell_process(slot)
                if self._ending.is_set():  # the order was given before this process could read it
                    slot.order(DRAIN if self._draining.is_set() else LEAVE)
                return await slot.process.wait()
        except OSError as error:
            log.error("process_not_started", name=slot.name, cause=str(error))
            return None
        finally:
            slot.pulse = None

    async def _start(self, slot: ProcessSlot, pulse: Pulse) -> asyncio.subprocess.Process:
        listening = None if self._shared is None or slot.role != "worker" else self._shared.fileno()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.processes",
            slot.role,
            str(slot.number),
            stdin=asyncio.subprocess.PIPE,  # the pipe closes when the supervisor is gone, however it ended
            pass_fds=[pulse.write_end, *([] if listening is None else [listening])],
        )
        number, folder = slot.number, self._folder
        assignment = Assignment.of(self._settings, slot.name, number, folder, slot.port, pulse.write_end, listening)
        assert process.stdin is not None
        process.stdin.write(assignment.line())
        return process

    def _on_hangup(self) -> None:
        """End with the terminal, or else reload; see `app.command_line.terminal`."""
        if self._terminal.has_closed():
            log.info("terminal_closed")
            self._on_signal(signal.SIGTERM)
            return
        fetch = asyncio.create_task(self._fetch_and_reload())
        self._fetches.add(fetch)
        fetch.add_done_callback(self._fetches.discard)

    async def _fetch_and_reload(self) -> None:
        if self._named is not None:
            await asyncio.to_thread(self._named.refresh)
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


def supervise(settings: Settings, terminal: Terminal | None = None) -> int:
    """Serve in several processes until SIGTERM or SIGINT, and return the exit code."""
    with ExitStack() as stack:
        kept = stack.enter_context(keep(bind_main_or_end(settings, PREDECESSOR_S)))
        shared = kept if is_unix(kept) else None
        port = 0 if shared else kept.getsockname()[1]
        admin_port = None
        if settings.admin_port is not None:
            bound = bind_admin_or_end(settings, settings.admin_port, PREDECESSOR_S)
            admin_port = stack.enter_context(keep(bound)).getsockname()[1]
        folder = stack.enter_context(private_folder())
        named = prepare_named(settings, named_table(folder))

        async def run() -> int:
            return await Supervisor(settings, port, admin_port, folder, named, shared, terminal).run()

        return asyncio.run(run())


def keep(bound: socket.socket) -> socket.socket:
    """Return a socket that holds its port and does not listen: each worker listens on a socket of its own.

    On one shared socket, the first worker to wake would accept every waiting connection. This one is bound before it
    allows sharing, so that a port on which anything listens is an error, another instance of this service included.
    A Unix socket cannot be had twice: all workers listen on it.
    """
    if not is_unix(bound):
        share_port(bound)
    return bound
