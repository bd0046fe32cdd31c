"""`roberta-serve serve`, and `roberta-serve` without a verb: serve models over HTTP until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import structlog

from app.api.admin import AdminThread
from app.api.application import Application
from app.api.key_file import KeyFileError, read_key_file
from app.api.listener import bind_admin_or_end, bind_main_or_end
from app.api.server import Server
from app.api.start_card import show_when_loaded
from app.api.tls import TlsError, tls_context
from app.command_line.terminal import Terminal
from app.commands.models_check import ModelsError, check_models
from app.hub.named import Named, prepare_named
from app.logs import close_logs, configure_logs, count_dropped_lines
from app.logs.levels import UnknownLoggerError, check_loggers
from app.processes.supervisor import FORCED_EXIT, supervise
from app.runtime.memory import return_large_blocks
from app.serving.watching import state_of, watch
from app.settings import Settings
from app.tracing.opening import warn_without_tracing

log = structlog.get_logger(__name__)


class ReloadingServer(Server):
    """The server where one process does everything; on SIGHUP it loads new versions of the bundles, and of the models
    that were named."""

    def __init__(
        self, app: Application, terminal: Terminal, admin: AdminThread | None = None, named: Named | None = None
    ) -> None:
        super().__init__(app, admin)
        self._named, self._terminal = named, terminal
        self._reloads: set[asyncio.Task[None]] = set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        service = self.app.service
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)
        watching = None
        if interval_s := service.settings.reload_interval_s:
            watching = asyncio.create_task(watch(partial(state_of, service.settings.models), interval_s, service.load))
        try:
            await super().serve(sockets)
        finally:
            if watching is not None:
                watching.cancel()

    def _on_hangup(self) -> None:
        """End with the terminal, or else reload; see `app.command_line.terminal`."""
        if self._terminal.has_closed():
            log.info("terminal_closed")
            self.handle_exit(signal.SIGTERM, None)
            return
        reload = asyncio.create_task(self._fetch_and_load())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)

    async def _fetch_and_load(self) -> None:
        if self._named is not None:
            await asyncio.to_thread(self._named.refresh)
        await self.app.service.load()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._named is not None:
            self._named.stop()
        await super().shutdown(sockets)

    def announce(self, bound: socket.socket) -> None:
        super().announce(bound)
        card = asyncio.create_task(show_when_loaded(self.app.service, self.url_of(bound)))
        self._reloads.add(card)
        card.add_done_callback(self._reloads.discard)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On a second SIGINT, end at once: runners that are inside onnxruntime would abort an orderly exit."""
        if self.should_exit and sig == signal.SIGINT:
            log.warning("forced_exit")
            close_logs()
            os._exit(FORCED_EXIT)
        super().handle_exit(sig, frame)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, or until the terminal closes from which it was started."""
    terminal = Terminal()
    check_log_levels(settings)
    check_folder_and_defaults(settings)
    check_key_file(settings)
    check_tls_files(settings)
    if settings.http_workers:
        serve_in_several_processes(settings, terminal)
    else:
        serve_in_one_process(settings, terminal)


def check_log_levels(settings: Settings) -> None:
    try:
        check_loggers(settings.log_levels)
    except UnknownLoggerError as error:
        raise SystemExit(f"roberta-serve: log_levels: {error.name}: {error}") from None


def check_folder_and_defaults(settings: Settings) -> None:
    try:
        check_models(settings)
    except ModelsError as error:
        raise SystemExit(f"roberta-serve: {error}") from None


def check_tls_files(settings: Settings) -> None:
    try:
        tls_context(settings)
    except TlsError as error:
        raise SystemExit(f"roberta-serve: {error}") from None


def check_key_file(settings: Settings) -> None:
    """End the command where the file of keys cannot be used: a service must not start open, nor closed to all."""
    try:
        if settings.api_keys_file is not None:
            read_key_file(settings.api_keys_file)
    except KeyFileError as error:
        hint = "; write it with `roberta-serve new-key NAME >> FILE`, and give it with --api-keys-file"
        problem = f"api_keys_file {settings.api_keys_file} {error}{hint}"
        raise SystemExit(f"roberta-serve: {problem}") from None


def serve_in_one_process(settings: Settings, terminal: Terminal) -> None:
    from app.main import create_app
    from app.runtime.session import SessionError  # onnxruntime comes with it, which a supervisor does not need

    configure_logs(settings)
    warn_without_tracing()
    return_large_blocks()
    bound = bind_main_or_end(settings)
    with TemporaryDirectory(prefix="roberta-serve-", ignore_cleanup_errors=True) as folder:
        named = prepare_named(settings, Path(folder) / "named.json")
        try:
            app = create_app(settings, None if named is None else named.file)
        except SessionError as error:
            raise SystemExit(f"roberta-serve: {error}") from None
        count_dropped_lines(app.service.metrics.log_lines_dropped.inc)
        admin = None
        if settings.admin_port is not None:
            admin = AdminThread(app.service, bind_admin_or_end(settings, settings.admin_port))
        ReloadingServer(app, terminal, admin, named).run(sockets=[bound])


def serve_in_several_processes(settings: Settings, terminal: Terminal) -> None:
    configure_logs(settings, "supervisor")
    warn_without_tracing()
    raise SystemExit(supervise(settings, terminal))
