"""The command `roberta-serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsConfigDict

from app.logs import configure_logs
from app.main import create_app
from app.runtime.session import SessionError
from app.settings import Settings


class Command(Settings):
    """Serve fine-tuned RoBERTa models over HTTP with dynamic batching. Every flag is also an environment
    variable: --max-queue-tokens is ROBERTA_MAX_QUEUE_TOKENS."""

    model_config = SettingsConfigDict(
        cli_prog_name="roberta-serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM refuses new work, finishes what is in flight and stops; SIGHUP reloads bundles."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here asks who the client is
                timeout_graceful_shutdown=int(settings.drain_timeout_s),
            )
        )
        self._predictor, self._registry = app.state.predictor, app.state.registry

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; SIGHUP loads new versions of the bundles while the old ones go on answering."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, self._registry.load))
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._predictor.draining = True
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again in the end: a clean stop exits with 0


def main() -> None:
    """Parse flags and environment, and serve until SIGTERM or SIGINT."""
    try:
        settings = CliApp.run(Command)
        configure_logs(settings)
        app = create_app(settings)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            sys.stderr.write(f"roberta-serve: {'.'.join(map(str, problem['loc']))}: {problem['msg']}\n")
        raise SystemExit(2) from None
    except SessionError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
    Server(app, settings).run()


if __name__ == "__main__":
    main()
