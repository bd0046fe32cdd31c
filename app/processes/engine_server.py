"""The engine's side of the streams: workers' requests go to the engine, its answers and its table to the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec
import structlog

from app.engine.work import Lane, Ticket
from app.errors import InternalError, NotReadyError, ServeError
from app.processes.messages import (
    Answer,
    Beat,
    Cancel,
    Message,
    Part,
    Refresh,
    Refreshed,
    Row,
    ServedModel,
    Submit,
    Table,
    ToEngine,
    join_outputs,
    refusal,
)
from app.processes.stream import Stream
from app.serving.core import Core
from app.serving.model import Model
from app.serving.registry import Entry

BEAT_S = 0.5
PART_BYTES = 2**20  # of outputs in one frame: what a worker reads before it can read anything else
LATE_S = 10.0  # beyond a request's longest deadline: when nobody can ask for a replaced model any more

log = structlog.get_logger(__name__)


class Host:
    """Serves the workers on a unix socket."""

    def __init__(self, core: Core, request_timeout_s: float) -> None:
        self.core, self._request_timeout_s = core, request_timeout_s
        self.lanes: dict[str, Lane] = {}  # by `name:version`, those just replaced included
        self._loaded = False
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # of an engine that was killed
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self).stream, str(path))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.stream.close()

    async def load(self) -> None:
        """Load the models folder, and tell every worker what came of it."""
        await asyncio.to_thread(self.core.loader.load)
        self._loaded = True
        self.lanes |= self._served()
        asyncio.get_running_loop().call_later(self._request_timeout_s + LATE_S, self._forget_replaced)
        self._tell(self.table())

    async def beat(self) -> None:
        """Tell the workers, as long as this process lives, that it does and how its runners are."""
        while True:
            self._tell(Beat(self.core.problem()))
            await asyncio.sleep(BEAT_S)

    def table(self) -> Table:
        registry = self.core.registry
        rows = [row_of(entry) for entry in registry.entries] if self._loaded else None
        return Table(self.core.device, rows, registry.defaults)

    def join(self, connection: Connection) -> None:
        """Greet a worker that has connected."""
        self._connections.add(connection)
        connection.stream.send(self.table())

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def _tell(self, message: Message) -> None:
        for connection in self._connections:
            connection.stream.send(message)

    def _served(self) -> dict[str, Lane]:
        models = (entry.model for entry in self.core.registry.entries)
        return {model.id: lane_of(model) for model in models if model is not None}

    def _forget_replaced(self) -> None:
        self.lanes = self._served()


class WorkerStream(Stream[ToEngine]):
    """Reads no more requests from a worker that is slow to read its answers."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(msgspec.msgpack.Decoder(ToEngine), connection.receive, connection.lose)
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connection.host.join(self._connection)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.resume_reading()


class Connection:
    """One worker, and its requests that are not answered yet. When it goes, their places in the queue are freed."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.stream = WorkerStream(self)
        self._tickets: dict[int, Ticket] = {}

    def receive(self, message: ToEngine) -> None:
        if isinstance(message, Submit):
            self._begin(message)
        elif isinstance(message, Cancel):
            if ticket := self._tickets.pop(message.number, None):
                self.host.core.engine.abandon(ticket)
        elif isinstance(message, Refresh):
            self.host.core.refresh_gauges()
            self.stream.send(Refreshed(message.number))

    def lose(self) -> None:
        self.host.leave(self)
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            self.host.core.engine.abandon(ticket)

    def _begin(self, request: Submit) -> None:
        """Queue a request. No task and no coroutine: one engine answers thousands of them a second."""
        number = request.number
        try:
            lane = self.host.lanes.get(request.model)
            if lane is None:
                raise NotReadyError(f"{request.model} is not loaded any more; try again")
            windows = [piece.window() for piece in request.pieces]
            self._tickets[number] = self.host.core.engine.begin(
                lane,
                windows,
                deadline=request.deadline,
                priority=request.priority,
                on_finish=partial(self._end, number),
            )
        except Exception as error:
            self._refuse(number, error)

    def _end(self, number: int, ticket: Ticket) -> None:
        if self._tickets.pop(number, None) is None:
            return  # nobody waits for it any more
        try:
            if ticket.error is not None:
                raise ticket.error
            self._send(number, ticket)
        except Exception as error:
            self._refuse(number, error)

    def _refuse(self, number: int, error: Exception) -> None:
        if not isinstance(error, ServeError):  # a defect: its message may quote what was sent
            log.error("defect", cause=type(error).__name__)
            error = InternalError("the engine failed on this request; the cause is in its log")
        self.stream.send(refusal(number, error))

    def _send(self, number: int, ticket: Ticket) -> None:
        shapes, data = join_outputs(ticket.outputs)
        for message in answer_in_parts(number, shapes, ticket, data):
            self.stream.send(message)


def answer_in_parts(number: int, shapes: list[tuple[int, int]], ticket: Ticket, data: bytes) -> Iterable[Answer | Part]:
    """Cut an answer so that each frame has `PART_BYTES` of data at most."""
    yield Answer(number, shapes, ticket.queue_s, ticket.forward_s, data[:PART_BYTES])
    for start in range(PART_BYTES, len(data), PART_BYTES):
        yield Part(number, data[start : start + PART_BYTES])


def lane_of(model: Model) -> Lane:
    assert isinstance(model.lane, Lane)  # this process's own engine has no other
    return model.lane


def row_of(entry: Entry) -> Row:
    if (model := entry.model) is None:
        return Row(entry.name, None, entry.refused)
    bundle = model.bundle
    served = ServedModel(
        id=model.id,
        path=str(bundle.path.absolute()),
        manifest=bundle.manifest.model_dump_json().encode(),
        config=msgspec.json.encode(bundle.config),
        verified=bundle.verified,
        precision=model.precision,
        provider=model.provider,
        max_batch_tokens=model.lane.max_batch_tokens,
    )
    return Row(entry.name, served, entry.refused)
