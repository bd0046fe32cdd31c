"""The service without HTTP: what the HTTP application, a batch job or a replica of another server embeds.

async with Service(Settings(models=Path("models"))) as service:
    answer = await service.answer("classify", {"inputs": "A warm, funny film."})
    print(answer.content)  # b'[[{"label":"positive","score":0.99},...]]'
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from app.errors import DrainingError, RouteNotFoundError, quote
from app.metrics import Metrics
from app.serving.memory import AnswerMemory
from app.serving.orders import Order
from app.serving.parsing import INLINE_BYTES, Bounds, json_of, parse
from app.serving.pipeline import Answer, Pipeline, Shared
from app.serving.pool import Pool
from app.serving.registry import Registry
from app.settings import Settings, available_cores
from app.tasks import TASKS
from app.tasks.base import TaskRequest

RequestT = TypeVar("RequestT", bound=TaskRequest)
ReadT = TypeVar("ReadT")

POOLED_REQUESTS = 8  # requests of the greatest length that may be tokenized or wait for that
BYTES_PER_CHARACTER = 16  # of a body that is parsed in the time that it takes to tokenize a character

REQUEST_TYPES: dict[str, type[TaskRequest]] = {task.route: task.request_type for task in TASKS.values()}

LEAST_SILENCE_S = 5.0  # of the event loop, after which it counts as stalled

CALM_S = 1.0  # without a refusal, after which the overload counts as over
MOST_TURNS = 3  # of the event loop that a new request leaves to answers

log = structlog.get_logger(__name__)


class Backend(Protocol):
    """What runs the models: the engine of this process, or the engine processes that it is connected to."""

    @property
    def registry(self) -> Registry:
        """The models that it runs."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What this process counts."""
        ...

    @property
    def exposed(self) -> CollectorRegistry:
        """What `/metrics` shows: `metrics`, or what several processes have counted together."""
        ...

    @property
    def device(self) -> str: ...

    async def start(self) -> None:
        """Begin to run what is submitted."""
        ...

    async def load(self) -> None:
        """Return once every bundle is loaded or refused. Called again: load new versions."""
        ...

    async def obey(self, order: Order) -> dict[str, Any]:
        """Do what an operator orders, and return what is served then; see `app.serving.loading.Loader.obey`."""
        ...

    async def stop(self) -> None:
        """Refuse what is queued, and end a load that is under way."""
        ...

    @property
    def is_answering(self) -> bool:
        """Whether answers wait for their turn of the event loop."""
        ...

    def problem(self) -> str | None:
        """Return in a word why the models make no progress; None when they do."""
        ...

    def refresh_gauges(self) -> None:
        """Set the gauges that are measured at scrape time."""
        ...


class Service:
    """Answers requests from the models of a folder; belongs to one event loop, and is started once.

    Without a `backend` the models run in this process, whatever `settings.http_workers` says. What
    `settings.model` names is fetched by the command alone, see `app.hub.named`: `table` says where
    the models are that were named; see `app.serving.places`. Raises `SessionError` when CUDA is asked for and the
    installed onnxruntime has none.
    """

    def __init__(self, settings: Settings, backend: Backend | None = None, table: Path | None = None) -> None:
        self.settings = settings
        self.backend = local_backend(settings, table) if backend is None else backend
        self.registry, self.metrics = self.backend.registry, self.backend.metrics
        self.stopping = False  # no more requests are asked for; those that come are answered
        self.draining = False  # new requests are refused, those in flight are answered
        self._refused_at = float("-inf")  # when a request was last refused for want of room or time
        self._beat_at = 0.0  # when the event loop last said that it moves; 0: it does not
        self._bounds = Bounds(settings.max_inputs, settings.max_characters)
        memory = AnswerMemory(settings.max_answer_memory_mb * 2**20)
        self.shared = Shared(Pool(available_cores(), POOLED_REQUESTS * settings.max_characters), memory)
        self._is_started = False
        self._loads: set[asyncio.Task[None]] = set()

    async def start(self, wait: bool = True) -> None:
        """Start the runners and load the models.

        With `wait`, return once every bundle is loaded or refused, and raise `NotReadyError` where none is served;
        the service is stopped then. Without, models load in the background.
        """
        self._is_started = True
        try:
            await self.backend.start()
            loading = self.load()
            if wait:
                await asyncio.shield(loading)  # a load cannot be cancelled, only be told to stop
                self.registry.check_ready()
        except BaseException:
            await self.stop()
            raise

    async def obey(self, order: Order) -> dict[str, Any]:
        """Do what an operator orders, and return what is served then. Raises a `ServeError`."""
        if self.draining:
            raise DrainingError
        return await self.backend.obey(order)

    def load(self) -> asyncio.Task[None]:
        """Load the models folder in the background, or its new versions; what is served goes on answering."""
        loading = asyncio.create_task(self.backend.load())
        self._loads.add(loading)
        loading.add_done_callback(self._loads.discard)
        return loading

    @property
    def is_loading(self) -> bool:
        """Whether a load is under way, the first or a later one."""
        return bool(self._loads)

    async def answer(
        self,
        route: str,
        body: bytes | Mapping[str, Any],
        *,
        model: str | None = None,
        timeout_s: float | None = None,
        priority: int = 0,
    ) -> Answer:
        """Answer one request of a task, `route` without its slash, as `POST /{route}` does.

        `body` is JSON, or a mapping of the same fields. `model` is a `name` or `name:version`, for a body that names
        none. The default of `timeout_s` is `settings.request_timeout_s`; a higher `priority` goes first. Raises a
        `ServeError`. When the caller is cancelled, its windows leave the queue.
        """
        deadline = time.monotonic() + (self.settings.request_timeout_s if timeout_s is None else timeout_s)
        if self.draining:
            raise DrainingError
        if route not in REQUEST_TYPES:
            raise RouteNotFoundError(f"there is no task {quote(route)}; choose one of {', '.join(REQUEST_TYPES)}")
        content = body if isinstance(body, bytes) else json_of(body)
        request = await self.parse(content, REQUEST_TYPES[route], deadline=deadline)
        chosen = self.registry.find(route, request.model or model)
        return await self.ask(chosen.pipelines[route], request, deadline=deadline, priority=priority)

    def note_refusal(self) -> None:
        """Take note of a request that was refused for want of room or time."""
        self._refused_at = time.monotonic()

    def is_refusing(self) -> bool:
        """Whether requests were refused a moment ago."""
        return time.monotonic() - self._refused_at < CALM_S

    async def let_answers_go(self) -> None:
        """Return when no answers wait for their turn of the event loop, which new requests would prolong.

        Under overload a turn is as long as it takes to refuse every client, and answers would come late.
        """
        turns = MOST_TURNS
        while self.backend.is_answering and turns:
            turns -= 1
            await asyncio.sleep(0)

    async def ask(self, pipeline: Pipeline, request: TaskRequest, *, deadline: float, priority: int = 0) -> Answer:
        """Answer a validated request by a task of one of the models."""
        return await pipeline.answer(request, self.shared, deadline=deadline, priority=priority)

    async def parse(self, body: bytes, request_type: type[RequestT], *, deadline: float) -> RequestT:
        """Validate a JSON body; see `app.serving.parsing.parse`. A large one is parsed while other requests go on."""
        if len(body) <= INLINE_BYTES:
            return parse(body, request_type, self._bounds)
        return await self.read(partial(parse, request_type=request_type), body, deadline=deadline)

    async def read(self, read: Callable[..., ReadT], body: bytes, *, deadline: float) -> ReadT:
        """Return what `read(body, bounds=...)` makes of a body within the bounds of the settings, as `parse` does."""
        if len(body) <= INLINE_BYTES:
            return read(body, bounds=self._bounds)
        size = len(body) // BYTES_PER_CHARACTER
        return await self.shared.pool.run(partial(read, body, bounds=self._bounds), size=size, deadline=deadline)

    def beat(self) -> None:
        """Say that the event loop moves; from now on, silence of `stall_timeout_s` is a problem."""
        self._beat_at = time.monotonic()

    def problem(self) -> str | None:
        """Return in a word why the models or the event loop make no progress; None when they do. For any thread."""
        if self._beat_at and time.monotonic() - self._beat_at > max(self.settings.stall_timeout_s, LEAST_SILENCE_S):
            return "event loop stalled"
        return self.backend.problem()

    async def stop(self) -> None:
        """Refuse what is queued, let running batches end, and leave no thread behind. Once stopped, it stays so."""
        self.draining = True
        if self._is_started:
            self._is_started = False
            await self.backend.stop()
            await asyncio.to_thread(self.shared.pool.close)
            if self._loads:
                await asyncio.wait(self._loads)
            log.info("stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def local_backend(settings: Settings, table: Path | None) -> Backend:
    """Return an engine of this process, whose metrics are its own."""
    from app.serving.local_engine import LocalEngine  # onnxruntime comes with it, which a worker does not need

    return LocalEngine(settings, Metrics(CollectorRegistry()), table=table)
