"""All engines, as one worker sees them: which of them takes a request, what they serve, and how they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import structlog

from app.bundle import Bundle, Manifest, Precision
from app.errors import NotReadyError
from app.metrics import Metrics, ModelSeries
from app.processes.engine_client import Link, Reply
from app.processes.messages import Row, ServedModel, Table
from app.serving.model import Model
from app.serving.registry import LOADING, Entry, Registry
from app.settings import Settings
from app.tasks import TASKS
from app.tasks.text import TextEncoder
from app.window import Window

RESTARTING = "the process that runs the models is being started; try again in a moment"
TICK_S = 0.5
SILENCE_S = 5.0  # the least that an engine may say nothing: ten of its beats
REFRESH_S = 2.0  # how long a scrape waits for engines to measure their gauges

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteLane:
    """A model's lane in the engines, by its `name:version`."""

    pool: Fleet
    model: str
    max_batch_tokens: int
    series: ModelSeries

    async def submit(self, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by one of the engines; see `Fleet.submit`."""
        return await self.pool.submit(self.model, windows, deadline=deadline, priority=priority)


class Fleet:
    """Sends each request to the engine with the least to do, and keeps the registry as the engines say."""

    def __init__(self, settings: Settings, metrics: Metrics, registry: Registry, sockets: Sequence[Path]) -> None:
        self._settings, self._metrics, self._registry = settings, metrics, registry
        self._changed = asyncio.Event()
        self.told = asyncio.Event()  # some engine has said what it serves, or that it is still loading
        self._links = [Link(path, self._on_change) for path in sockets]
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshes: list[Future[None]] = []
        self._built: dict[str, tuple[ServedModel, Model]] = {}
        self._started_at = time.monotonic()
        self._had_engine = False
        self.device: str = settings.device

    def start(self) -> None:
        loops = [self._adopt_tables(), self._expire(), *(link.keep() for link in self._links)]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in self._links:
            link.close()

    async def submit(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by the engine with the fewest outstanding tokens. Raises as `Engine.submit` does."""
        loaded = [link for link in self._links if link.models]
        links = [link for link in loaded if model in link.models] or loaded
        if not links:
            raise NotReadyError(RESTARTING)
        link = min(links, key=lambda link: link.outstanding_tokens)
        return await link.submit(model, windows, deadline=deadline, priority=priority)

    # --- What `app.api.status` asks ----------------------------------------------------------------------

    def problem(self) -> str | None:
        """Return `stalled` when some engine makes no progress, `engine lost` when there is none."""
        limit_s = max(self._settings.stall_timeout_s, SILENCE_S)
        connected = [link for link in self._links if link.is_connected]
        for link in connected:
            if problem := link.problem(limit_s):
                return problem
        is_starting = not self._had_engine and time.monotonic() - self._started_at < limit_s
        return None if connected or is_starting else "engine lost"

    def refresh_gauges(self) -> None:
        """Ask the engines to measure; `wait_for_gauges` on another thread sees to it that they have."""
        self._refreshes = [link.refresh() for link in self._links]

    def wait_for_gauges(self) -> None:
        wait(self._refreshes, REFRESH_S)

    # --- Tables ------------------------------------------------------------------------------------------

    def _on_change(self) -> None:
        if any(link.table for link in self._links):
            self._had_engine = True
        elif self._had_engine:
            self._registry.suspend(RESTARTING)
        self._changed.set()

    async def _adopt_tables(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            tables = [link.table for link in self._links if link.table]
            if tables:
                await self._adopt(next((table for table in tables if table.rows is not None), tables[0]))
                self.told.set()

    async def _adopt(self, table: Table) -> None:
        """Serve what an engine serves, from now on."""
        self.device = table.device
        if table.rows is None:
            self._registry.suspend(LOADING)
            return
        entries = await asyncio.to_thread(self._build, table.rows)
        if any(link.table is table for link in self._links):  # its engine is still there, and has said no more
            self._registry.publish(entries, table.defaults)
            log.info("models_served", models=[entry.model.id for entry in entries if entry.model])

    def _build(self, rows: Sequence[Row]) -> list[Entry]:
        entries = [Entry(row.name, self._model_of(row), row.refused) for row in rows]
        for name in self._built.keys() - {entry.name for entry in entries}:
            del self._built[name]
        return entries

    def _model_of(self, row: Row) -> Model | None:
        """Return the model of a row, the same one as long as the engine says the same of it."""
        if (served := row.model) is None:
            return None
        built = self._built.get(row.name)
        if built is None or built[0] != served:
            try:
                built = self._built[row.name] = (served, self._open(served))
            except Exception as error:  # the engine has opened the same tokenizer: only a disk can cause this
                log.error("bundle_refused", model=row.name, cause=type(error).__name__)
                return None
        return built[1]

    def _open(self, served: ServedModel) -> Model:
        manifest = Manifest.model_validate_json(served.manifest)
        bundle = Bundle(Path(served.path), manifest, msgspec.json.decode(served.config), served.verified)
        precision = cast(Precision, served.precision)
        encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length)
        task = TASKS[manifest.task](manifest, encoder, manifest.graphs[precision])
        series = self._metrics.of_model(task.route, manifest.name)
        lane = RemoteLane(self, served.id, served.max_batch_tokens, series)
        return Model(bundle, precision, served.provider, task, lane, self._settings.max_inputs)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for link in self._links:
                link.expire(time.monotonic())
