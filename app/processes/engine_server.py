"""The engine's side of the streams: requests of workers go to the engine, its outputs and its table of models back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import msgspec
import structlog

from app.engine.work import Lane, Ticket
from app.errors import InternalError, NotReadyError, ServeError
from app.processes.messages import (
    Cancel,
    Heartbeat,
    Holding,
    Message,
    ModelRow,
    ModelTable,
    MoreOutputs,
    Ordered,
    OrderMessage,
    Outputs,
    Refresh,
    Refreshed,
    ServedModel,
    Submit,
    ToEngine,
    join_outputs,
    refusal,
)
from app.processes.pulse import ALIVE, LOADING, STALLED
from app.processes.served_lanes import ServedLanes
from app.processes.stream import Stream
from app.processes.told_queue import QueueTeller
from app.serving.local_engine import LocalEngine
from app.serving.orders import Action, Order
from app.serving.registry import Entry
from app.tracing import Carrier, Trace, trace_field

HEARTBEAT_S = 0.5
FRAME_BYTES = 2**20  # of outputs: a worker reads a whole frame before it can read anything else

ResultT = TypeVar("ResultT")

log = structlog.get_logger(__name__)


class Tracing(Protocol):
    """Follows the traces that workers have begun; see `app.tracing.spans.Tracing`."""

    def follow(self, carrier: Carrier) -> Trace: ...


class EngineServer:
    """Serves the workers on a unix socket, from the engine of this process."""

    def __init__(self, local: LocalEngine, request_timeout_s: float, tracing: Tracing | None = None) -> None:
        self.local, self.tracing, self.lanes = local, tracing, ServedLanes(request_timeout_s)
        self._loads = 0  # under way
        self._rows: list[ModelRow] | None = None  # None until the first load has ended
        self._connections: set[Connection] = set()
        self.queue = QueueTeller(lambda: local.engine.backlog(), self.lanes.by_key, self._tell)
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # of an engine that was killed
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self).stream, str(path))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.lanes.close()
        for connection in list(self._connections):
            connection.stream.close()

    async def load(self) -> None:
        """Load the models folder, and tell every worker what is served."""
        await self._while_loading(self.local.load())

    async def obey(self, order: OrderMessage) -> Ordered:
        """Do what an operator orders, tell every worker what is served then, and return the answer to the order."""
        try:
            asked = Order(cast(Action, order.action), order.name, order.version, order.route)
            content = await self._while_loading(self.local.obey(asked))
            return Ordered(order.number, msgspec.json.encode(content), None)
        except ServeError as error:
            return Ordered(order.number, b"", refusal(order.number, error))
        except Exception as error:
            log.error("order_failed", action=order.action, model=order.name, cause=type(error).__name__)
            failed = InternalError("the engine failed on this order; the cause is in its log")
            return Ordered(order.number, b"", refusal(order.number, failed))

    async def _while_loading(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Await something that changes the table, and tell every worker what is served then."""
        self._loads += 1
        self._tell(self.heartbeat())
        try:
            result = await work
        finally:
            self._loads -= 1
        self._show()
        return result

    def _show(self) -> None:
        served: dict[str, Lane] = {}
        self._rows = [row_of(entry, served) for entry in self.local.registry.entries]
        self.lanes.replace(served)
        self._tell(self.table())

    async def beat(self) -> None:
        """Tell the workers again and again that this process is alive, and whether its runners make progress."""
        while True:
            self._tell(self.heartbeat())
            self.queue.tell()
            await asyncio.sleep(HEARTBEAT_S)

    def pulse(self) -> bytes:
        """Return what the supervisor is told at an interval."""
        if self.local.problem() is not None:
            return STALLED
        return LOADING if self._loads else ALIVE

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.local.problem(), self._loads > 0)

    def table(self) -> ModelTable:
        table = self.local.registry.table
        defaults = table.defaults
        return ModelTable(
            number=self.lanes.table,
            device=self.local.device,
            rows=self._rows,
            defaults=dict(defaults.models),
            blocked=dict(defaults.blocked),
            problems=list(table.problems),
        )

    def join(self, connection: Connection) -> None:
        """Greet a worker that has connected."""
        self._connections.add(connection)
        self.lanes.join(connection)
        connection.stream.send(self.heartbeat())
        connection.stream.send(self.table())

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.lanes.leave(connection)

    def _tell(self, message: Message) -> None:
        for connection in self._connections:
            connection.stream.send(message)


class WorkerStream(Stream[ToEngine]):
    """Reads no requests from a worker while that is slow to read its answers."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(msgspec.msgpack.Decoder(ToEngine), connection.receive, connection.lose)
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connection.server.join(self._connection)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.resume_reading()


class Connection:
    """One worker, and its requests that are not answered yet. When it goes, they leave the queue."""

    def __init__(self, server: EngineServer) -> None:
        self.server, self._local = server, server.local
        self.stream = WorkerStream(self)
        self._tickets: dict[int, Ticket] = {}
        self._orders: set[asyncio.Task[None]] = set()

    def receive(self, message: ToEngine) -> None:
        if isinstance(message, Submit):
            self._begin(message)
        elif isinstance(message, Cancel):
            if ticket := self._tickets.pop(message.number, None):
                self._local.engine.abandon(ticket)
        elif isinstance(message, Refresh):
            self._local.refresh_gauges()
            self.stream.send(Refreshed(message.number))
        elif isinstance(message, Holding):
            self.server.lanes.hold(self, message.table, message.keys)
        elif isinstance(message, OrderMessage):
            task = asyncio.create_task(self._obey(message))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    async def _obey(self, order: OrderMessage) -> None:
        self.stream.send(await self.server.obey(order))

    def lose(self) -> None:
        self.server.leave(self)
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            self._local.engine.abandon(ticket)

    def _begin(self, request: Submit) -> None:
        """Queue a request, without a task or a coroutine: an engine takes thousands of requests a second."""
        number, trace = request.number, self._trace_of(request)
        try:
            lane = self.server.lanes.get(request.model)
            if lane is None:
                raise NotReadyError(f"{request.model.partition('#')[0]} is not loaded any more; try again")
            self._tickets[number] = self._local.engine.begin(
                lane,
                request.unpack(),
                deadline=request.deadline,
                priority=request.priority,
                on_finish=partial(self._end, number),
                trace=trace,
            )
        except Exception as error:
            self._refuse(number, error, trace)
            self.server.queue.tell()

    def _trace_of(self, request: Submit) -> Trace | None:
        tracing, carrier = self.server.tracing, request.carrier
        return None if tracing is None or carrier is None else tracing.follow(carrier)

    def _end(self, number: int, ticket: Ticket) -> None:
        if self._tickets.pop(number, None) is None:
            return  # it was cancelled, or its worker is gone
        if ticket.error is not None:
            self._refuse(number, ticket.error, ticket.trace)
        else:
            try:
                self._send(number, ticket)
            except Exception as error:
                self._refuse(number, error, ticket.trace)
        self.server.queue.tell()

    def _refuse(self, number: int, error: Exception, trace: Trace | None) -> None:
        if not isinstance(error, ServeError):  # a defect: its message may quote what was sent
            log.error("defect", cause=type(error).__name__, **trace_field(trace))
            error = InternalError("the engine failed on this request; the cause is in its log")
        self.stream.send(refusal(number, error))

    def _send(self, number: int, ticket: Ticket) -> None:
        for message in outputs_in_frames(number, ticket):
            self.stream.send(message)


def outputs_in_frames(number: int, ticket: Ticket) -> Iterable[Outputs | MoreOutputs]:
    """Cut a ticket's outputs so that each frame has `FRAME_BYTES` of data at most."""
    shapes, data = join_outputs(ticket.outputs)
    yield Outputs(number, shapes, ticket.queue_s, ticket.forward_s, data[:FRAME_BYTES], ticket.ended)
    for start in range(FRAME_BYTES, len(data), FRAME_BYTES):
        yield MoreOutputs(number, data[start : start + FRAME_BYTES])


def row_of(entry: Entry, lanes: dict[str, Lane]) -> ModelRow:
    """Return what workers are told of an entry, and add the lane of its model to `lanes`, by its key."""
    if (model := entry.model) is None:
        return ModelRow(entry.name, None, entry.refused, entry.note, entry.is_unloaded)
    bundle = model.bundle
    tokenizer = bundle.tokenizer_file.absolute()
    manifest, config = bundle.manifest.model_dump_json().encode(), msgspec.json.encode(bundle.config)
    content = hashlib.sha256(b"\0".join((manifest, config, model.precision.encode(), tokenizer.name.encode())))
    served = ServedModel(
        key=f"{model.id}#{content.hexdigest()[:16]}",
        path=str(bundle.path.absolute()),
        tokenizer=str(tokenizer),
        manifest=manifest,
        config=config,
        verified=bundle.verified,
        precision=model.precision,
        provider=model.provider,
        max_batch_tokens=model.lane.max_batch_tokens,
        fingerprint=bundle.fingerprint,
    )
    lanes[served.key] = cast(Lane, model.lane)  # this process has loaded it, so it runs on its own engine
    return ModelRow(entry.name, served, entry.refused, entry.note, False)
