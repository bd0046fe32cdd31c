"""The commands `roberta-serve`, `roberta-serve tune`, `new-key` and `hash-key`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from types import FrameType
from typing import TypeVar

import structlog
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsConfigDict, SettingsError

from app.api.key_commands import COMMANDS
from app.api.key_file import KeyFileError, read_key_file
from app.api.listener import bind_or_end
from app.api.server import Server
from app.api.tls import TlsError, tls_context
from app.logs import close_logs, configure_logs, count_dropped_lines
from app.processes.supervisor import FORCED_EXIT, supervise
from app.serving.watching import watch
from app.settings import CLI, Settings

log = structlog.get_logger(__name__)


class Command(Settings):
    """Serve fine-tuned RoBERTa models over HTTP with dynamic batching. Every flag is also an environment
    variable: --max-queue-tokens is ROBERTA_MAX_QUEUE_TOKENS. `roberta-serve tune MODEL` finds the best settings;
    `roberta-serve new-key NAME` makes an API key."""

    model_config = SettingsConfigDict(**CLI, cli_prog_name="roberta-serve")


class ReloadingServer(Server):
    """The server where one process does everything; on SIGHUP it loads new versions of the bundles."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        service = self.app.service
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.load)
        watching = None
        if interval_s := service.settings.reload_interval_s:
            watching = asyncio.create_task(watch(service.settings.models, interval_s, service.load))
        try:
            await super().serve(sockets)
        finally:
            if watching is not None:
                watching.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On a second SIGINT, end at once: runners that are inside onnxruntime would abort an orderly exit."""
        if self.should_exit and sig == signal.SIGINT:
            log.warning("forced_exit")
            close_logs()
            os._exit(FORCED_EXIT)
        super().handle_exit(sig, frame)


SettingsT = TypeVar("SettingsT", bound=Settings)


def main() -> None:
    """Parse flags and environment, and serve until SIGTERM or SIGINT, or run another command."""
    commands = {"tune": tune, **COMMANDS}
    if (command := commands.get("".join(sys.argv[1:2]))) is not None:
        command(sys.argv[2:])
        return
    settings = parse(Command, sys.argv[1:])
    check_key_file(settings)
    check_tls_files(settings)
    if settings.http_workers:
        serve_in_several_processes(settings)
    else:
        serve_in_one_process(settings)


def parse(kind: type[SettingsT], arguments: list[str]) -> SettingsT:
    """Read flags and environment. For each that is wrong, print a sentence, and end the command."""
    try:
        return CliApp.run(kind, arguments)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = [".".join(map(str, problem["loc"]))] if problem["loc"] else []
            complain(": ".join([*place, problem["msg"].removeprefix("Value error, ")]))
    except SettingsError as error:
        complain(f'{error}; lists and tables are written as JSON, such as ["a", "b"]')
    raise SystemExit(2)


def complain(sentence: str) -> None:
    sys.stderr.write(f"roberta-serve: {sentence}\n")


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
        raise SystemExit(f"roberta-serve: api_keys_file {error}") from None


def tune(arguments: list[str]) -> None:
    from app.bundle import BundleError
    from app.runtime.session import SessionError
    from app.serving.local_engine import choose_device
    from app.tune import OutputError, Tune

    settings = parse(Tune, arguments)
    try:
        settings.run_on(choose_device(settings))
    except (BundleError, SessionError, OutputError) as error:
        raise SystemExit(f"roberta-serve: {error}") from None


def serve_in_one_process(settings: Settings) -> None:
    from app.api.admin import AdminThread
    from app.main import create_app
    from app.runtime.session import SessionError  # onnxruntime comes with it, which a supervisor does not need

    configure_logs(settings)
    bound = bind_or_end(settings.host, settings.port)
    try:
        app = create_app(settings)
    except SessionError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
    count_dropped_lines(app.service.metrics.log_lines_dropped.inc)
    admin = None
    if settings.admin_port is not None:
        admin = AdminThread(app.service, bind_or_end(settings.admin_host or settings.host, settings.admin_port))
    ReloadingServer(app, admin).run(sockets=[bound])


def serve_in_several_processes(settings: Settings) -> None:
    configure_logs(settings, "supervisor")
    raise SystemExit(supervise(settings))


if __name__ == "__main__":
    main()
