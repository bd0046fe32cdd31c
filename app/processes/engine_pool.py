"""The engine processes as one worker sees them: which of them takes a request, what they serve, and how they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from app import __version__
from app.bundle import Bundle, Manifest, Precision
from app.errors import NotReadyError
from app.metrics import Metrics, ModelSeries
from app.processes.engine_client import EngineClient, Reply
from app.processes.messages import ModelRow, ModelTable, ServedModel
from app.serving.model import Model
from app.serving.registry import LOADING, Entry, Registry
from app.settings import Settings
from app.tasks import open_task
from app.window import Window

RESTARTING = "the process that runs the models is being started; try again in a moment"
TICK_S = 0.5
SILENCE_S = 5.0  # the least silence, ten heartbeats, after which an engine counts as stalled
REFRESH_S = 2.0  # how long a scrape waits for the engines to set their gauges
GREETING_S = 5.0  # how long a worker that starts waits for an engine to say what it serves; after that it answers 503

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteLane:
    """A model's lane in the engines, by its `name:version`."""

    pool: EnginePool
    model: str
    max_batch_tokens: int
    series: ModelSeries

    async def submit(self, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by one of the engines; see `EnginePool.submit`."""
        return await self.pool.submit(self.model, windows, deadline=deadline, priority=priority)


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
        self._built: dict[str, tuple[ServedModel, Model]] = {}
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
        entries = await asyncio.to_thread(self._build, table.rows)
        if any(client.table is table for client in self._clients):  # the engine is there, and has sent no newer one
            self.registry.publish(entries, table.defaults)
            self._loaded.set()
            log.info("models_served", models=[entry.model.id for entry in entries if entry.model])

    def _build(self, rows: Sequence[ModelRow]) -> list[Entry]:
        entries = [Entry(row.name, self._model_of(row), row.refused) for row in rows]
        for name in self._built.keys() - {entry.name for entry in entries}:
            del self._built[name]
        return entries

    def _model_of(self, row: ModelRow) -> Model | None:
        """Return the model of a row, the same one as long as the engine says the same of it."""
        if (served := row.model) is None:
            return None
        built = self._built.get(row.name)
        if built is None or built[0] != served:
            try:
                built = self._built[row.name] = (served, self._open(served))
            except Exception as error:  # the engine has opened the same tokenizer: the disk has failed since
                log.error("bundle_refused", model=row.name, cause=type(error).__name__)
                return None
        return built[1]

    def _open(self, served: ServedModel) -> Model:
        manifest = Manifest.model_validate_json(served.manifest)
        bundle = Bundle(Path(served.path), manifest, msgspec.json.decode(served.config), served.verified)
        precision = cast(Precision, served.precision)
        task = open_task(bundle, precision)
        series = self.metrics.of_model(task.route, manifest.name)
        lane = RemoteLane(self, served.id, served.max_batch_tokens, series)
        return Model(bundle, precision, served.provider, task, lane, self._settings.max_inputs)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for client in self._clients:
                client.expire(time.monotonic())
