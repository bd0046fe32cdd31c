"""The engine processes as one worker sees them: which of them takes a request, what they serve, and how they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from app import __version__
from app.errors import NotReadyError
from app.metrics import Metrics
from app.processes.engine_client import EngineClient, Reply
from app.processes.messages import ModelTable
from app.processes.remote_models import RemoteModels
from app.serving.defaults import Defaults
from app.serving.registry import LOADING, Registry
from app.settings import Settings
from app.window import Window

RESTARTING = "the process that runs the models is being started; try again in a moment"
UNREADABLE = "this process cannot read the tokenizers of the models; try again in a moment"
REOPEN_S = 1.0  # between attempts to read them
TICK_S = 0.5
SILENCE_S = 5.0  # the least silence, ten heartbeats, after which an engine counts as stalled
REFRESH_S = 2.0  # how long a scrape waits for the engines to set their gauges
GREETING_S = 5.0  # how long a worker that starts waits for an engine to say what it serves; after that it answers 503

log = structlog.get_logger(__name__)


class EnginePool:
    """Sends each request to the engine with the fewest outstanding tokens, and fills the registry from their tables.

    It is the backend of a worker's `Service`; see `app.service.Backend`. `exposed` is what `/metrics` shows.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, sockets: Sequence[Path], exposed: CollectorRegistry
    ) -> None:
        self.metrics, self.exposed, self._settings = metrics, exposed, settings
        self.registry = Registry(settings.models.name)
        self._changed = asyncio.Event()
        self._greeted = asyncio.Event()  # some engine has said what it serves, or that it is still loading
        self._loaded = asyncio.Event()  # some engine has said what it serves
        self._clients = [EngineClient(path, self._on_change) for path in sockets]
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshes: list[Future[None]] = []
        self._models = RemoteModels(metrics, self.submit)
        self._started_at = time.monotonic()
        self._had_engine = False
        self.device: str = settings.device

    async def start(self) -> None:
        """Connect to the engines, and wait a while for the first of them to say what it serves."""
        loops = [self._adopt_tables(), self._expire(), *(client.keep() for client in self._clients)]
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        log.info("starting", version=__version__)
        with suppress(TimeoutError):  # until then the workers that are ready take the connections
            await asyncio.wait_for(self._greeted.wait(), GREETING_S)

    def hurry(self) -> None:
        """Wait for no engine any more: this worker is about to end."""
        self._greeted.set()
        self._loaded.set()

    async def load(self) -> None:
        """Return once an engine has said what it serves; engines load by themselves."""
        await self._loaded.wait()

    async def stop(self) -> None:
        self.hurry()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            client.close()

    async def submit(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by the engine with the fewest outstanding tokens. Raises as `Engine.submit` does."""
        loaded = [client for client in self._clients if client.models]
        clients = [client for client in loaded if model in client.models] or loaded
        if not clients:
            raise NotReadyError(RESTARTING)
        client = min(clients, key=lambda client: client.outstanding_tokens)
        return await client.submit(model, windows, deadline=deadline, priority=priority)

    # --- Health and gauges -------------------------------------------------------------------------------

    def problem(self) -> str | None:
        """Return `stalled` when some engine makes no progress, `engine lost` when there is none."""
        limit_s = max(self._settings.stall_timeout_s, SILENCE_S)
        connected = [client for client in self._clients if client.is_connected]
        for client in connected:
            if problem := client.problem(limit_s):
                return problem
        is_starting = not self._had_engine and time.monotonic() - self._started_at < limit_s
        return None if connected or is_starting else "engine lost"

    def refresh_gauges(self) -> None:
        """Ask the engines to set their gauges; `wait_for_gauges`, on another thread, returns when they have."""
        self._refreshes = [client.refresh() for client in self._clients]

    def wait_for_gauges(self) -> None:
        wait(self._refreshes, REFRESH_S)

    # --- Tables ------------------------------------------------------------------------------------------

    def _on_change(self) -> None:
        if any(client.table for client in self._clients):
            self._had_engine = True
        elif self._had_engine:
            self.registry.suspend(RESTARTING)
        self._changed.set()

    async def _adopt_tables(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            tables = [client.table for client in self._clients if client.table]
            if tables:
                await self._adopt(next((table for table in tables if table.rows is not None), tables[0]))
                self._greeted.set()

    async def _adopt(self, table: ModelTable) -> None:
        """Serve what an engine serves, from now on."""
        self.device = table.device
        if table.rows is None:
            self.registry.suspend(LOADING)
            return
        try:
            entries = await asyncio.to_thread(self._models.build, table.rows)
        except Exception as error:  # the engine has opened the same tokenizers: the disk or the memory has failed
            if self._is_newest(table):
                log.error("models_not_opened", cause=type(error).__name__, again_in_s=REOPEN_S)
                self.registry.suspend(UNREADABLE)
                asyncio.get_running_loop().call_later(REOPEN_S, self._changed.set)
            return
        if self._is_newest(table):
            self.registry.publish(entries, Defaults(table.defaults, table.blocked), tuple(table.problems))
            self._loaded.set()
            log.info("models_served", models=[entry.model.id for entry in entries if entry.model])

    def _is_newest(self, table: ModelTable) -> bool:
        """Whether the engine of a table is there, and has sent no newer one."""
        return any(client.table is table for client in self._clients)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for client in self._clients:
                client.expire(time.monotonic())
