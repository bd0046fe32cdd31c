"""The life of one prediction over HTTP: read, find the model, ask it, answer. The errors it meets are raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic_core import to_json

from app.api.body import parse, priority_of, read_body, timeout_s_of
from app.api.security import check_key
from app.errors import ClientGoneError, InvalidRequestError, NotReadyError
from app.metrics import Metrics
from app.model import Answer, Model
from app.registry import Registry
from app.settings import Settings
from app.tasks.base import TaskRequest

ResultT = TypeVar("ResultT")


class Predictor:
    """Answers the prediction routes; one per app."""

    def __init__(self, settings: Settings, registry: Registry, metrics: Metrics) -> None:
        self.settings, self.registry, self.metrics = settings, registry, metrics
        self.draining = False

    async def by_route(self, request: Request, route: str, request_type: type[TaskRequest]) -> Response:
        """Answer a task's own route; the body or the query may choose the model."""
        request.state.task = route
        body = await self._admit(request)
        parsed = parse(body, request_type)
        model = self.registry.find(route, parsed.model or request.query_params.get("model"))
        return await self._respond(request, model, parsed)

    async def by_name(self, request: Request, name: str) -> Response:
        """Answer `/models/{name}`, whatever its task."""
        body = await self._admit(request)
        model = self.registry.find(None, name)
        request.state.task = model.task.route
        parsed = parse(body, model.task.request_type)
        if parsed.model not in (None, name):
            raise InvalidRequestError(f"model: the path already names {name}")
        return await self._respond(request, model, parsed)

    async def _admit(self, request: Request) -> bytes:
        """Check everything that needs no model, and read the body."""
        request.state.started = time.monotonic()
        check_key(request, self.settings)
        if self.draining:
            raise NotReadyError("the service is shutting down")
        timeout_s = timeout_s_of(request, self.settings.request_timeout_s)
        request.state.deadline = request.state.started + timeout_s
        request.state.priority = priority_of(request)
        return await read_body(request, self.settings.max_body_bytes)

    async def _respond(self, request: Request, model: Model, parsed: TaskRequest) -> Response:
        state = request.state
        state.task, state.model = model.task.route, model.name
        work = model.answer(parsed, deadline=state.deadline, priority=state.priority)
        answer = await unless_disconnected(request, work)
        content = to_json(answer.body)
        total_s = time.monotonic() - state.started
        model.series.request_duration.observe(total_s)
        model.series.ok.inc()
        return Response(
            content,
            media_type="application/json",
            headers={
                "X-Request-Id": state.request_id,
                "X-Model": model.id,
                "Server-Timing": server_timing(answer, total_s),
            },
        )


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await `work`, but cancel it, which frees its places in the queue, when the client goes away.

    Raises `ClientGoneError` in that case.
    """
    waiting = asyncio.current_task()
    assert waiting is not None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        waiting.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if watcher.done() and not watcher.cancelled():
            raise ClientGoneError("the client closed the connection") from None
        raise
    finally:
        watcher.cancel()


def server_timing(answer: Answer, total_s: float) -> str:
    """Render the W3C Server-Timing header, in ms. `forward` adds up a request's batches, which may overlap."""
    parts = {
        "tokenize": answer.tokenize_s,
        "queue": answer.queue_s,
        "forward": answer.forward_s,
        "total": total_s,
    }
    return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in parts.items())
