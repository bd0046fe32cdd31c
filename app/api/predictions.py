"""The life of one prediction over HTTP: read, find the model, ask it, answer. The errors it meets are raised.

These endpoints speak ASGI themselves. FastAPI's own handling of a route, its request and response objects included,
would cost each prediction about as much again as everything in here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from app.api.request import Headers, parse, priority_of, read_body, timeout_s_of
from app.api.security import check_key
from app.errors import ClientGoneError, DrainingError, InvalidRequestError
from app.metrics import Metrics
from app.serving.model import Answer, Model
from app.serving.registry import Registry
from app.settings import Settings
from app.tasks.base import Task, TaskRequest

WATCH_AFTER_S = 0.05  # most requests are answered by then; a watch over each would cost a fifth of the front's time

ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class Call:
    """One request that was let in. `started` and `deadline` are in seconds of `time.monotonic()`."""

    scope: Scope
    receive: Receive
    send: Send
    started: float
    deadline: float
    priority: int
    body: bytes


class Predictor:
    """Answers the prediction routes; one per app."""

    def __init__(self, settings: Settings, registry: Registry, metrics: Metrics) -> None:
        self.settings, self.registry, self.metrics = settings, registry, metrics
        self.draining = False

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> Call:
        """Check everything that needs no model, and read the body."""
        started = scope["state"]["started"] = time.monotonic()
        headers: Headers = dict(scope["headers"])
        check_key(headers, self.settings)
        if self.draining:
            raise DrainingError
        deadline = started + timeout_s_of(headers, self.settings.request_timeout_s)
        priority = priority_of(headers)
        body = await read_body(headers, receive, self.settings.max_body_bytes, deadline)
        return Call(scope, receive, send, started, deadline, priority, body)

    async def respond(self, call: Call, model: Model, request: TaskRequest) -> None:
        """Ask `model` and send its answer."""
        state = call.scope["state"]
        state["task"], state["model"] = model.task.route, model.name
        work = model.answer(request, deadline=call.deadline, priority=call.priority)
        try:
            answer = await unless_disconnected(call.receive, work)
        except asyncio.CancelledError:  # by uvicorn, when draining took too long
            if self.draining:
                raise DrainingError from None
            raise
        total_s = time.monotonic() - call.started
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer.content)),
            (b"x-request-id", state["request_id"].encode()),
            (b"x-model", model.id.encode()),
            (b"server-timing", server_timing(answer, total_s)),
        ]
        await call.send({"type": "http.response.start", "status": 200, "headers": headers})
        await call.send({"type": "http.response.body", "body": answer.content})
        # After the answer has left: the client need not wait for it.
        model.series.observe_request(total_s, answer.tokenize_s, answer.queue_s, answer.windows)


@dataclass(frozen=True, slots=True)
class TaskEndpoint:
    """`POST` to a task's own route; the body or the query may choose the model."""

    predictor: Predictor
    task: type[Task[Any, Any]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["task"] = self.task.route
        call = await self.predictor.admit(scope, receive, send)
        request = parse(call.body, self.task.request_type)
        model = self.predictor.registry.find(self.task.route, request.model or model_in_query(scope))
        await self.predictor.respond(call, model, request)


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """`POST /models/{name}`: one model, `name` or `name:version`, by the body of its task."""

    predictor: Predictor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = await self.predictor.admit(scope, receive, send)
        name: str = scope["path_params"]["name"]
        model = self.predictor.registry.find(None, name)
        scope["state"]["task"] = model.task.route
        request = parse(call.body, model.task.request_type)
        if request.model not in (None, name):
            raise InvalidRequestError(f"model: the path already names {name}")
        await self.predictor.respond(call, model, request)


def model_in_query(scope: Scope) -> str | None:
    """Return `?model=`, where there is one."""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("model", [None])[-1] if query else None


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await `work`, but cancel it, which frees its places in the queue, when the client goes away.

    Raises `ClientGoneError` in that case. A client is watched from `WATCH_AFTER_S` on.
    """
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
            raise ClientGoneError("the client closed the connection") from None
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
