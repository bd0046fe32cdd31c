"""The predictions: a call is read, its model found and asked, and the answer sent. The errors it meets are raised.

The endpoints speak ASGI themselves: FastAPI's handling of a route, its request and response objects included, would
take a large part of a prediction's time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.types import Receive, Scope

from app.api.answered import is_asked, log_answered
from app.api.call import PLAIN, Call, Door, Endpoint, Form
from app.api.codings import INLINE_BYTES, coding_of, decode
from app.api.exchange import Exchange
from app.api.gate import MODELS, Gate
from app.api.keys import Keyring
from app.api.request import BodyMemory, priority_of, read_body, timeout_s_of
from app.api.traced import RESPONSE_HEADER
from app.api.turns import Turns
from app.errors import (
    ClientGoneError,
    DeadlineExceededError,
    DrainingError,
    InvalidRequestError,
    RequestTooLargeError,
)
from app.service import BYTES_PER_CHARACTER, Service
from app.serving.model import Model
from app.serving.pipeline import Answer
from app.tasks import TASKS
from app.tasks.base import TaskRequest
from app.tasks.discovery import AnyTask

LEFT = "the client closed the connection"
WATCH_AFTER_S = 0.05  # most requests are answered by then, and watching every connection is expensive

ResultT = TypeVar("ResultT")
RequestT = TypeVar("RequestT", bound=TaskRequest)


class Predictions:
    """The endpoints of `POST`: the route of each task, `/` for the default one, and `/models/{name}`."""

    def __init__(self, service: Service, keys: Keyring, gate: Gate) -> None:
        self.service, self._keys, self._gate = service, keys, gate
        self._bodies = BodyMemory(service.settings.max_body_memory_mb * 2**20)
        self._turns = Turns()
        self._endpoints: dict[str, Endpoint] = {
            f"/{task.route}": partial(self._answer_for_task, task) for task in TASKS.values()
        }
        self._endpoints["/"] = self._endpoints[f"/{service.settings.default_route}"]
        self.doors: list[Door] = []

    def add(self, door: Door) -> None:
        """Have the paths of another protocol answered too."""
        self.doors.append(door)
        self._endpoints |= door.endpoints

    def templates(self) -> Iterator[str]:
        """Yield the paths of predictions that have parts in braces."""
        yield f"{MODELS}{{name}}"
        yield from (each.path for door in self.doors for each in door.described())

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what answers `POST` to a path; None where that is not a prediction."""
        if (endpoint := self._endpoints.get(path)) is not None:
            return endpoint
        folder, slash, name = path.rpartition("/")
        if name and folder + slash == MODELS:
            return self._answer_by_name
        return next((endpoint for door in self.doors if (endpoint := door.endpoint(path))), None)

    async def _answer_for_task(self, task: AnyTask, call: Call) -> None:
        """Answer a task's own route; the body or the query may choose the model."""
        call.task = task.route
        await self.admit(call)
        request = await self.parse(call, task.request_type)
        model = self.service.registry.find(task.route, request.model or model_in_query(call.scope))
        await self.respond(call, model, task.route, request)

    async def _answer_by_name(self, call: Call) -> None:
        """Answer `/models/{name}`: one model, `name` or `name:version`, by the body of its task."""
        call.choice = "none"
        await self.admit(call)
        name = call.path.removeprefix(MODELS)
        model = self.service.registry.find(None, name)
        call.task = model.task.route
        request = await self.parse(call, model.task.request_type)
        if request.model not in (None, name):
            raise InvalidRequestError(f"model: the path already names {name}")
        await self.respond(call, model, call.task, request)

    async def parse(self, call: Call, request_type: type[RequestT]) -> RequestT:
        """Return the request that a body holds, as its client means it; the body is let go."""
        request = await self.service.parse(call.body, request_type, deadline=call.deadline)
        call.body = b""
        return request.for_client(call.headers.get(b"user-agent", b"").decode("latin-1"))

    async def admit(self, call: Call, media_types: Collection[str] = ()) -> None:
        """Check everything that needs no model, and read the body. `end` must follow.

        `media_types` are those that a body may be announced as beside JSON.
        """
        settings = self.service.settings
        if (turn := self._turns.take()) is not None:
            await turn
        if self.service.is_refusing():
            await self.service.let_answers_go()
        key = self._keys.check(call.headers, "predict")
        key.enter()
        call.key = key
        if self.service.draining:
            raise DrainingError
        call.deadline = call.started + timeout_s_of(call.headers, settings.request_timeout_s)
        call.priority = min(priority_of(call.headers), key.highest_priority)
        if time.monotonic() >= call.deadline:  # while it waited for the event loop
            raise DeadlineExceededError("the deadline passed before the request could be read")
        limit = settings.max_body_bytes
        coding = coding_of(call.headers) if b"content-encoding" in call.headers else ""
        received = None if call.exchange is None else call.exchange.take_body()
        call.body = await read_body(
            call.headers, call.receive, limit, call.deadline, self._bodies, received, media_types
        )
        call.body_bytes = len(call.body)
        if coding:
            await self._decode(call, coding, limit)

    async def _decode(self, call: Call, coding: str, limit: int) -> None:
        """Replace a body by what it decodes to; a large one is decoded while other requests go on."""
        decoded = None
        if call.body_bytes <= INLINE_BYTES:
            with suppress(RequestTooLargeError):  # what was sent says little of what it decodes to
                decoded = decode(call.body, coding, min(limit, INLINE_BYTES))
        if decoded is None:
            self._bodies.take(limit, call.body_bytes)
            call.body_bytes += limit
            pool, size = self.service.shared.pool, limit // BYTES_PER_CHARACTER
            decoded = await pool.run(decode, call.body, coding, limit, size=size, deadline=call.deadline)
        self._bodies.free(call.body_bytes - len(decoded))
        call.body, call.body_bytes = decoded, len(decoded)

    def end(self, call: Call) -> None:
        """Give back what a call held."""
        self._bodies.free(call.body_bytes)
        call.key.leave()

    async def respond(self, call: Call, model: Model, route: str, request: TaskRequest, form: Form = PLAIN) -> None:
        """Ask `model` for what `route` answers, and send its answer."""
        call.task, call.model, span = route, model.name, call.span
        if span is not None:
            span.note(model=model.id)
        pipeline = model.pipelines[route]
        work = pipeline.answer(
            request, self.service.shared, deadline=call.deadline, priority=call.priority, write=form.write
        )
        try:
            if call.exchange is None:
                answer = await unless_disconnected(call.receive, work)
            else:
                answer = await unless_left(call.exchange, work)
        except asyncio.CancelledError:  # by uvicorn, when draining took too long
            if self.service.draining:
                raise DrainingError from None
            raise
        now = time.monotonic()
        if now > call.deadline:
            self.service.metrics.deadline_missed.inc()
            raise DeadlineExceededError
        total_s = now - call.started
        headers = [
            *form.headers,
            (b"content-length", b"%d" % len(answer.content)),
            (b"x-request-id", call.request_id.encode()),
            (b"x-model", model.id.encode()),
            (b"server-timing", server_timing(answer, total_s)),
        ]
        if span is not None:
            headers.append((RESPONSE_HEADER, span.response.encode()))
        call.is_answered = True
        self._gate.forget()
        if call.exchange is None or not call.exchange.answer(200, headers, answer.content):
            await call.send({"type": "http.response.start", "status": 200, "headers": headers})
            await call.send({"type": "http.response.body", "body": answer.content})
        # After the answer has left: the client need not wait for it.
        exemplar = None if span is None else span.exemplar
        pipeline.series.observe_request(total_s, answer.tokenize_s, answer.queue_s, answer.windows, exemplar)
        if self.service.settings.access_log or is_asked():
            log_answered(call, model.id, answer, total_s)


def model_in_query(scope: Scope) -> str | None:
    """Return `?model=`, where there is one."""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("model", [None])[-1] if query else None


async def unless_left(exchange: Exchange, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await `work`, but cancel it when the client leaves, so that its windows leave the queue.

    Raises `ClientGoneError` in that case.
    """
    waiting = asyncio.current_task()
    assert waiting is not None
    if exchange.disconnected:
        work.close()
        raise ClientGoneError(LEFT)
    exchange.on_left = waiting.cancel
    try:
        return await work
    except asyncio.CancelledError:
        if exchange.disconnected:
            raise ClientGoneError(LEFT) from None
        raise
    finally:
        exchange.on_left = None


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do what `unless_left` does on another server. A client is watched from `WATCH_AFTER_S` on."""
    waiting, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert waiting is not None
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        waiting.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timer = loop.call_later(WATCH_AFTER_S, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watcher is not None and watcher.done() and not watcher.cancelled():
            raise ClientGoneError(LEFT) from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()


def server_timing(answer: Answer, total_s: float) -> bytes:
    """Render the W3C Server-Timing header, in ms. `forward` adds up a request's batches, which may overlap."""
    return b"tokenize;dur=%.2f, queue;dur=%.2f, forward;dur=%.2f, total;dur=%.2f" % (
        answer.tokenize_s * 1000,
        answer.queue_s * 1000,
        answer.forward_s * 1000,
        total_s * 1000,
    )
