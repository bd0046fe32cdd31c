"""The engine processes as one worker sees them: which of them takes a request, what they serve, and how they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from app import __version__
from app.errors import DrainingError, EngineLostError, NotReadyError, QueueFullError, ServeError
from app.metrics import Metrics
from app.processes.engine_client import EngineClient
from app.processes.held_models import HeldModels
from app.processes.messages import ModelTable
from app.processes.outage import Outage
from app.processes.pending import Reply, UnansweredError
from app.processes.pool_state import ToldState
from app.processes.remote_models import Engines, RemoteModels
from app.processes.waiting import WaitingRequests
from app.serving.defaults import Defaults
from app.serving.orders import Order
from app.serving.registry import LOADING, Registry
from app.settings import Settings
from app.window import Window

RESTARTING = "the process that runs the models is being started; try again in a moment"
UNREADABLE = "this process cannot read the tokenizers of the models; try again in a moment"
REOPEN_S = 1.0  # between attempts to read them
UNWELL = "the process that runs the models makes no progress; it is being replaced, try again in a moment"
TICK_S = 0.25
LONGEST_TICK_S = 1.0  # what a tick that comes late counts for: this process was suspended, not the engines
LOST_TWICE = "the process that runs the models ended twice while it had this request; try again in a moment"
FULL = "too many requests wait for the models; try again later"
REFRESH_S = 2.0  # how long a scrape waits for the engines to set their gauges
GREETING_S = 5.0  # how long a worker that starts waits for an engine to say what it serves; after that it answers 503

ModelsOf = Callable[[Metrics, int, Engines], RemoteModels]

log = structlog.get_logger(__name__)


class EnginePool:
    """Sends each request to the engine with the fewest outstanding tokens, and fills the registry from their tables.

    It is the backend of a worker's `Service`; see `app.service.Backend`. `exposed` is what `/metrics` shows.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        sockets: Sequence[Path],
        exposed: CollectorRegistry,
        models: ModelsOf = RemoteModels,
    ) -> None:
        self.metrics, self.exposed, self._settings = metrics, exposed, settings
        self.registry = Registry(settings.models.name)
        self._changed = asyncio.Event()
        self._greeted = asyncio.Event()  # some engine has said what it serves, or that it is still loading
        self._loaded = asyncio.Event()  # some engine has said what it serves
        self._clients = [EngineClient(path, self._on_change, self._on_able) for path in sockets]
        self._waiting = WaitingRequests(settings.max_queue_tokens * len(sockets) // max(1, settings.http_workers))
        self._is_ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshes: list[Future[None]] = []
        self.held, self.told_state = HeldModels(self._clients), ToldState()
        self._models = models(metrics, settings.max_queue_tokens, self)
        self._adopted: ModelTable | None = None
        self._outage = Outage(settings.stall_timeout_s)
        self._had_engine = self._is_unreadable = False
        self.device: str = settings.device

    async def start(self) -> None:
        """Connect to the engines, and wait a while for the first of them to say what it serves."""
        self.held.start()
        loops = [self._adopt_tables(), self._tick(), *(client.keep() for client in self._clients)]
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        log.info("starting", version=__version__)
        with suppress(TimeoutError):  # until then the workers that are ready take the connections
            await asyncio.wait_for(self._greeted.wait(), GREETING_S)

    def hurry(self) -> None:
        """Wait for no engine any more: this worker is about to end."""
        self._is_ending = True
        self._greeted.set()
        self._loaded.set()
        self._refuse_stranded()

    async def load(self) -> None:
        """Return once an engine has said what it serves; engines load by themselves."""
        await self._loaded.wait()

    async def obey(self, order: Order) -> dict[str, Any]:
        """Have every engine do what an operator orders, and return what the first of them serves then."""
        answers = await asyncio.gather(*(client.obey(order) for client in self._clients), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        content: dict[str, Any] = msgspec.json.decode(cast(bytes, answers[0]))
        return content

    async def stop(self) -> None:
        self.hurry()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            client.close()

    async def submit(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by the engine with the fewest outstanding tokens. Raises as `Engine.submit` does.

        While no engine can take them they wait, and they are sent again, once, when an engine is lost or frozen that
        had them: a request that takes an engine with it must not do so for ever. Raises `EngineLostError` then.
        """
        tokens, is_new, was_lost = sum(map(len, windows)), True, False
        if self._waiting:
            self._on_able()
        while True:
            client = self._choose(model)
            if client is None:
                await self._wait(tokens, deadline=deadline, priority=priority, is_new=is_new)
                is_new = False
                continue
            if is_new:
                client.queue.check(model, windows, deadline=deadline, priority=priority)
            try:
                return await client.submit(model, windows, tokens, deadline=deadline, priority=priority)
            except UnansweredError:
                if was_lost:
                    raise EngineLostError(LOST_TWICE) from None
                is_new, was_lost = False, True
                self.metrics.resent.inc()

    def _able(self, model: str) -> EngineClient | None:
        """Return the engine to ask, None where none is able. One that has replaced the model keeps it for a while."""
        able = [client for client in self._clients if client.is_able]
        able = [client for client in able if model in client.models] or [each for each in able if model in each.told]
        if len(able) > 1:
            return min(able, key=lambda client: client.outstanding_tokens)
        return able[0] if able else None

    def _choose(self, model: str) -> EngineClient | None:
        """Return the engine to ask, None where none is able. Raises `NotReadyError` when none will have the model."""
        if (able := self._able(model)) is not None:
            return able
        is_behind = self._adopted is not None and not self._is_newest(self._adopted)
        if not is_behind and all(client.has_loaded and model not in client.told for client in self._clients):
            raise NotReadyError(f"{model.partition('#')[0]} is not loaded any more; try again")
        return None

    async def _wait(self, tokens: int, *, deadline: float, priority: int, is_new: bool) -> None:
        """Wait until some engine may be able. Only a request that is new is refused for want of room."""
        if self._is_ending and not self._is_connected:
            raise DrainingError
        if is_new and not self._waiting.has_room(tokens):
            raise self._no_room()
        await self._waiting.wait(tokens, deadline=deadline, priority=priority)

    def check_room(self, model: str, tokens: int, *, deadline: float, priority: int) -> None:
        """Raise what `submit` would raise now for windows with so many tokens or more, as far as that is known here.

        While no engine is able, requests wait, and `QueueFullError` or `NotReadyError` says that they are too many.
        """
        if (able := self._able(model)) is not None:
            able.queue.check_tokens(model, tokens, deadline=deadline, priority=priority)
        elif not self._waiting.has_room(tokens) and not any(client.is_able for client in self._clients):
            raise self._no_room()

    def _no_room(self) -> ServeError:
        return QueueFullError(FULL, retry_after_s=1.0) if self._is_connected else NotReadyError(FULL)

    def _refuse_stranded(self) -> None:
        """Once everything ends, no engine is started any more."""
        if self._is_ending and not self._is_connected:
            self._waiting.refuse(DrainingError())

    @property
    def _is_connected(self) -> bool:
        return any(client.is_connected for client in self._clients)

    # --- Health and gauges -------------------------------------------------------------------------------

    def problem(self) -> str | None:
        """Return `stalled`, `engine silent` or `engine lost` when no engine is replaced in time; see `Outage`.

        What the supervisor says of processes that end again and again comes first.
        """
        return self.told_state.problem() or self._outage.problem(self._clients)

    @property
    def is_answering(self) -> bool:
        """Whether answers wait for their turn of the event loop."""
        return any(client.resuming for client in self._clients)

    def engines_up(self) -> list[bool]:
        """Return of each engine whether it is there, is heard, and makes progress."""
        return [client.is_connected and client.problem is None for client in self._clients]

    def refresh_gauges(self) -> None:
        """Ask the engines to set their gauges; `wait_for_gauges`, on another thread, returns when they have."""
        self._refreshes = [client.refresh() for client in self._clients]

    def wait_for_gauges(self) -> None:
        wait(self._refreshes, REFRESH_S)

    # --- Tables ------------------------------------------------------------------------------------------

    def _on_change(self) -> None:
        self._had_engine = self._had_engine or any(client.table for client in self._clients)
        self._show_readiness()
        self._refuse_stranded()
        self.held.tell()
        self._changed.set()

    def _on_able(self) -> None:
        if any(client.is_able for client in self._clients):
            self._waiting.release()

    def _show_readiness(self) -> None:
        """Be ready while some engine serves and makes progress. Predictions are taken meanwhile, and wait."""
        if (reason := self.told_state.why_not_ready() or self._why_not_ready()) is not None:
            self.registry.suspend(reason)
        elif self._loaded.is_set():
            self.registry.resume()

    def _why_not_ready(self) -> str | None:
        if self._is_unreadable:
            return UNREADABLE
        loaded = [client for client in self._clients if client.has_loaded]
        if loaded:
            return UNWELL if all(client.problem for client in loaded) else None
        return RESTARTING if self._had_engine and not self._is_connected else LOADING

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
            return
        try:
            entries = await asyncio.to_thread(self._models.build, table.rows)
        except Exception as error:  # the engine has opened the same tokenizers: the disk or the memory has failed
            if self._is_newest(table):
                log.error("models_not_opened", cause=type(error).__name__, again_in_s=REOPEN_S)
                self._is_unreadable = True
                self._show_readiness()
                asyncio.get_running_loop().call_later(REOPEN_S, self._changed.set)
            return
        if self._is_newest(table):
            self.registry.publish(entries, Defaults(table.defaults, table.blocked), tuple(table.problems))
            self._adopted, self._is_unreadable = table, False
            self._loaded.set()
            self._on_able()
            self._show_readiness()
            log.info("models_served", models=[entry.model.id for entry in entries if entry.model])

    def _is_newest(self, table: ModelTable) -> bool:
        """Whether the engine of a table is there, and has sent no newer one."""
        return any(client.table is table for client in self._clients)

    async def _tick(self) -> None:
        """Watch the time: silent engines, and requests that are not answered by their deadline."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            elapsed_s, last = min(now - last, LONGEST_TICK_S), now
            for client in self._clients:
                client.pass_time(now, elapsed_s)
            self._outage.pass_time(self._clients, elapsed_s)
            self._show_readiness()
            for client in self._clients:
                if client.is_silent:
                    client.give_back(self._is_taken_elsewhere)
            self._on_able()

    def _is_taken_elsewhere(self, model: str) -> bool:
        return any(client.is_able and model in client.models for client in self._clients)
