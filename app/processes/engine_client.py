"""A worker's side of the stream to one engine: it sends requests, takes answers, and connects again when it must."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import structlog

from app.errors import DeadlineExceededError, EngineLostError, RequestTooLargeError, ServeError
from app.processes.messages import (
    LOGITS,
    Cancel,
    Heartbeat,
    ModelTable,
    MoreOutputs,
    Outputs,
    Refresh,
    Refreshed,
    Refused,
    Submit,
    ToWorker,
    WireWindow,
    rebuild,
    split_outputs,
)
from app.processes.stream import FrameTooLargeError, Stream
from app.window import Floats, Window

RETRY_S = 0.1  # between attempts to connect to an engine that is not there
GRACE_S = 2.0  # an engine answers by the deadline; this long after it, the worker gives up

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine answered; see `app.serving.model.Finished`."""

    outputs: Sequence[Floats]
    queue_s: float
    forward_s: float


@dataclass(slots=True)
class Pending:
    """A request that an engine has not answered yet, and what has arrived of outputs in several frames."""

    answered: asyncio.Future[Reply]
    deadline: float
    outputs: Outputs | None = None
    data: bytearray | None = None

    def fail(self, error: ServeError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)

    def take(self, outputs: Outputs, data: bytes | bytearray) -> bool:
        """Resolve with the outputs, if `data` is all of them."""
        if len(data) < sum(rows * width for rows, width in outputs.shapes) * LOGITS.itemsize:
            return False
        if not self.answered.done():
            arrays = split_outputs(outputs.shapes, data)
            self.answered.set_result(Reply(arrays, outputs.queue_s, outputs.forward_s))
        return True


class EngineClient:
    """The connection to one engine. `table` says what it serves; None while there is no connection."""

    def __init__(self, path: Path, on_change: Callable[[], None]) -> None:
        self._path, self._on_change = path, on_change
        self._stream: Stream[ToWorker] | None = None
        self._pending: dict[int, Pending] = {}
        self._refreshes: dict[int, Future[None]] = {}
        self._numbers = count()
        self._lost = asyncio.Event()
        self._heard_at = 0.0
        self._problem: str | None = None
        self._is_closing = False
        self.table: ModelTable | None = None
        self.models: frozenset[str] = frozenset()  # the keys of all that the engine serves
        self.outstanding_tokens = 0

    async def keep(self) -> None:
        """Stay connected: connect, and connect again whenever the engine is gone."""
        loop = asyncio.get_running_loop()
        decoder = msgspec.msgpack.Decoder(ToWorker)
        while True:
            self._lost.clear()
            stream = Stream(decoder, self._receive, self._lose)
            try:
                await loop.create_unix_connection(lambda: stream, str(self._path))  # noqa: B023
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            self._stream, self._heard_at, self._problem = stream, time.monotonic(), None
            await self._lost.wait()

    def close(self) -> None:
        """Close the connection; to be called when nothing is pending and `keep` is cancelled."""
        self._is_closing = True
        if self._stream is not None:
            self._stream.close()

    @property
    def is_connected(self) -> bool:
        return self._stream is not None

    def problem(self, silence_s: float) -> str | None:
        """Return why the engine makes no progress: what it last reported, or `stalled` after `silence_s` of silence."""
        if time.monotonic() - self._heard_at > silence_s:
            return "stalled"
        return self._problem

    async def submit(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int) -> Reply:
        """Have the model of a key run windows. Raises what the engine raises, and `EngineLostError`."""
        stream = self._stream
        if stream is None:
            raise lost()
        if not stream.writable.is_set():
            await self._wait_until_writable(stream, deadline)
        number, tokens = next(self._numbers), sum(map(len, windows))
        try:
            stream.send(Submit(number, model, deadline, priority, [WireWindow.of(window) for window in windows]))
        except FrameTooLargeError:
            raise RequestTooLargeError(f"the request has {tokens} tokens, more than are taken at once") from None
        pending = Pending(asyncio.get_running_loop().create_future(), deadline)
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

    async def _wait_until_writable(self, stream: Stream[ToWorker], deadline: float) -> None:
        """Wait until the engine has read what was sent. Raises `DeadlineExceededError` and `EngineLostError`."""
        try:
            await asyncio.wait_for(stream.writable.wait(), deadline - time.monotonic())
        except TimeoutError:
            raise DeadlineExceededError from None
        if stream is not self._stream:
            raise lost()

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

    def expire(self, now: float) -> None:
        """Fail requests that the engine has not answered `GRACE_S` after their deadline."""
        for number, pending in list(self._pending.items()):
            if pending.deadline + GRACE_S < now and not pending.answered.done():
                pending.fail(DeadlineExceededError())
                self._cancel(number)

    def _cancel(self, number: int) -> None:
        if self._stream is not None and number in self._pending:
            self._stream.send(Cancel(number))

    def _receive(self, message: ToWorker) -> None:
        self._heard_at = time.monotonic()
        if isinstance(message, Outputs):
            self._begin(message)
        elif isinstance(message, MoreOutputs):
            self._go_on(message)
        elif isinstance(message, Refused):
            if pending := self._pending.get(message.number):
                pending.fail(rebuild(message))
        elif isinstance(message, Heartbeat):
            self._problem = message.problem
        elif isinstance(message, Refreshed):
            if done := self._refreshes.pop(message.number, None):
                done.set_result(None)
        else:
            self.table = message
            self.models = frozenset(row.model.key for row in message.rows or () if row.model)
            self._on_change()

    def _begin(self, outputs: Outputs) -> None:
        if (pending := self._pending.get(outputs.number)) and not pending.take(outputs, outputs.data):
            pending.outputs, pending.data = outputs, bytearray(outputs.data)

    def _go_on(self, more: MoreOutputs) -> None:
        pending = self._pending.get(more.number)
        if pending and pending.outputs is not None and pending.data is not None:
            pending.data += more.data
            pending.take(pending.outputs, pending.data)

    def _lose(self) -> None:
        self._stream, self.table, self.models = None, None, frozenset()
        for pending in self._pending.values():
            pending.fail(lost())
        for done in self._refreshes.values():
            done.set_result(None)
        self._refreshes.clear()
        self._lost.set()
        if not self._is_closing:
            log.warning("engine_lost", engine=self._path.stem, requests=len(self._pending))
        self._on_change()


def lost() -> EngineLostError:
    return EngineLostError("the process that runs the models ended; it is being started again, try again in a moment")
