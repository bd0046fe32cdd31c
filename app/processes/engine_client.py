"""A worker's side of the stream to one engine: it sends requests, takes answers, and connects again when it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from itertools import count
from pathlib import Path

import msgspec
import structlog

from app.errors import DeadlineExceededError, EngineLostError, RequestTooLargeError, ServeError
from app.processes.messages import (
    Cancel,
    Heartbeat,
    Holding,
    ModelTable,
    MoreOutputs,
    Ordered,
    OrderMessage,
    Outputs,
    QueueState,
    Refresh,
    Refreshed,
    Refused,
    Submit,
    ToWorker,
    rebuild,
)
from app.processes.pending import Pending, Reply, UnansweredError
from app.processes.stream import FrameTooLargeError, Stream
from app.processes.told_queue import ToldQueue
from app.serving.orders import Order
from app.tracing import current
from app.window import Window

RETRY_S = 0.1  # between attempts to connect to an engine that is not there
GRACE_S = 2.0  # an engine answers by the deadline; this long after it, the worker gives up
SILENT_S = 3.0  # after six heartbeats that were not heard, an engine counts as frozen
SILENT_WHILE_LOADING_S = 30.0  # opening a tokenizer holds the GIL for seconds

log = structlog.get_logger(__name__)


class EngineStream(Stream[ToWorker]):
    """Tells when the engine can be written to again."""

    def __init__(self, client: EngineClient) -> None:
        super().__init__(msgspec.msgpack.Decoder(ToWorker), client.receive, client.lose)
        self._on_able = client.on_able

    def resume_writing(self) -> None:
        super().resume_writing()
        self._on_able()


class EngineClient:
    """The connection to one engine. `table` says what it serves; None while there is no connection.

    `on_change` is called when the table changes, `on_able` when the engine may be able to take requests again.
    """

    def __init__(self, path: Path, on_change: Callable[[], None], on_able: Callable[[], None]) -> None:
        self._path, self._on_change, self.on_able = path, on_change, on_able
        self._stream: EngineStream | None = None
        self._pending: dict[int, Pending] = {}
        self._refreshes: dict[int, Future[None]] = {}
        self._orders: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count()
        self._lost = asyncio.Event()
        self._problem: str | None = None
        self._is_loading = False
        self._is_closing = False
        self.table: ModelTable | None = None
        self.models: frozenset[str] = frozenset()  # the keys of all that the engine serves
        self.told: frozenset[str] = frozenset()  # those of `models`, and those replaced that `tell_held` named
        self.outstanding_tokens = 0
        self.resuming = 0  # calls of `submit` that are answered, and have not gone on yet
        self.queue = ToldQueue()
        self.silence_s = 0.0  # how long nothing has been heard, as `pass_time` is told

    async def keep(self) -> None:
        """Stay connected: connect, and connect again whenever the engine is gone."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            stream = EngineStream(self)
            try:
                await loop.create_unix_connection(lambda: stream, str(self._path))  # noqa: B023
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            self._stream, self.silence_s, self._problem, self._is_loading = stream, 0.0, None, True
            await self._lost.wait()

    def close(self) -> None:
        """Close the connection; to be called when nothing is pending and `keep` is cancelled."""
        self._is_closing = True
        if self._stream is not None:
            self._stream.close()

    @property
    def is_connected(self) -> bool:
        return self._stream is not None

    @property
    def is_silent(self) -> bool:
        """Whether the engine is connected, and frozen: its socket stays open and nothing comes from it."""
        limit_s = SILENT_WHILE_LOADING_S if self._is_loading else SILENT_S
        return self._stream is not None and self.silence_s > limit_s

    @property
    def is_able(self) -> bool:
        """Whether requests may be sent now."""
        stream = self._stream
        return stream is not None and stream.is_writable and self.has_loaded and not self.is_silent

    @property
    def has_loaded(self) -> bool:
        return self.table is not None and self.table.rows is not None

    @property
    def problem(self) -> str | None:
        """Why the engine makes no progress: what it last reported, or that it says nothing."""
        return "engine silent" if self.is_silent else self._problem

    async def submit(
        self, model: str, windows: Sequence[Window], tokens: int, *, deadline: float, priority: int
    ) -> Reply:
        """Have the model of a key run windows, `tokens` in all. To be called when the client `is_able`.

        Raises what the engine raises, and `UnansweredError`.
        """
        stream, number = self._stream, next(self._numbers)
        assert stream is not None
        try:
            stream.send(Submit.of(number, model, windows, deadline, priority, current.get()))
        except FrameTooLargeError:
            raise RequestTooLargeError(f"the request has {tokens} tokens, more than are taken at once") from None
        pending = Pending(asyncio.get_running_loop().create_future(), model, deadline)
        self._pending[number] = pending
        self.outstanding_tokens += tokens
        try:
            return await pending.answered
        except asyncio.CancelledError:
            self._cancel(number)
            raise
        finally:
            self._pending.pop(number, None)
            self.outstanding_tokens -= tokens
            self.resuming -= pending.is_resuming

    def refresh(self) -> Future[None]:
        """Ask the engine to set its gauges; done when it has, or is gone."""
        done: Future[None] = Future()
        if self._stream is None:
            done.set_result(None)
        else:
            number = next(self._numbers)
            self._refreshes[number] = done
            self._stream.send(Refresh(number))
        return done

    async def obey(self, order: Order) -> bytes:
        """Have the engine do what an operator orders, and return its answer, JSON. Raises what the engine raises."""
        if self._stream is None:
            raise EngineLostError("no process that runs the models is there; try again in a moment")
        number = next(self._numbers)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._orders[number] = answered
        self._stream.send(OrderMessage(number, order.action, order.name, order.version, order.route))
        return await asyncio.shield(answered)  # whoever ordered it may leave; it is obeyed all the same

    def tell_held(self, keys: Set[str]) -> None:
        """Tell the engine which models this worker may ask it for, besides those of its table."""
        if self._stream is not None and self.table is not None:
            self.told = self.models | (self.told & keys)
            self._stream.send(Holding(self.table.number, sorted(self.told)))

    def _end_order(self, message: Ordered) -> None:
        answered = self._orders.pop(message.number)
        if message.error is None:
            answered.set_result(message.content)
        else:
            answered.set_exception(rebuild(message.error))

    def pass_time(self, now: float, elapsed_s: float) -> None:
        """Count the silence, and fail requests that the engine does not answer in time.

        An engine answers by the deadline; one that is frozen is not waited for beyond it.
        """
        self.silence_s += elapsed_s
        overdue = now - (0.0 if self.is_silent else GRACE_S)
        for number, pending in list(self._pending.items()):
            if pending.deadline < overdue:
                self._give_up(number, pending, DeadlineExceededError())

    def give_back(self, takes: Callable[[str], bool]) -> None:
        """Have requests that are pending here sent elsewhere, as far as somebody else takes their model."""
        for number, pending in list(self._pending.items()):
            if takes(pending.model):
                self._give_up(number, pending, UnansweredError())

    def _give_up(self, number: int, pending: Pending, error: ServeError | UnansweredError) -> None:
        if not pending.answered.done():
            pending.fail(error)
            self._cancel(number)

    def _cancel(self, number: int) -> None:
        if self._stream is not None and number in self._pending:
            self._stream.send(Cancel(number))

    def receive(self, message: ToWorker) -> None:
        self.silence_s = 0.0
        if isinstance(message, Outputs):
            self._begin(message)
        elif isinstance(message, MoreOutputs):
            self._go_on(message)
        elif isinstance(message, Refused):
            if pending := self._pending.get(message.number):
                pending.fail(rebuild(message))
        elif isinstance(message, Heartbeat):
            self._problem, self._is_loading = message.problem, message.is_loading
        elif isinstance(message, Refreshed):
            if done := self._refreshes.pop(message.number, None):
                done.set_result(None)
        elif isinstance(message, Ordered):
            self._end_order(message)
        elif isinstance(message, QueueState):
            self.queue.state = message
        else:
            self.table = message
            self.models = frozenset(row.model.key for row in message.rows or () if row.model)
            self.told |= self.models
            self._on_change()
            self.on_able()

    def _begin(self, outputs: Outputs) -> None:
        if (pending := self._pending.get(outputs.number)) and not self._take(pending, outputs, outputs.data):
            pending.outputs, pending.data = outputs, bytearray(outputs.data)

    def _go_on(self, more: MoreOutputs) -> None:
        pending = self._pending.get(more.number)
        if pending and pending.outputs is not None and pending.data is not None:
            pending.data += more.data
            self._take(pending, pending.outputs, pending.data)

    def _take(self, pending: Pending, outputs: Outputs, data: bytes | bytearray) -> bool:
        if is_whole := pending.take(outputs, data):
            self.resuming += not pending.is_resuming
            pending.is_resuming = True
        return is_whole

    def lose(self) -> None:
        self._stream, self.table, self.models, self.told = None, None, frozenset(), frozenset()
        self.queue.forget()
        for pending in self._pending.values():
            pending.fail(UnansweredError())
        for done in self._refreshes.values():
            done.set_result(None)
        self._refreshes.clear()
        for answered in self._orders.values():
            answered.set_exception(EngineLostError("the process that runs the models ended; try again in a moment"))
        self._orders.clear()
        self._lost.set()
        if not self._is_closing:
            log.warning("engine_lost", engine=self._path.stem, requests=len(self._pending))
        self._on_change()
