"""Middleware that every request meets first: it gets an id, and a prediction goes straight to its endpoint.

The way there that Starlette would take, through router and route and what guards them, costs half of what the endpoint
itself does. It stays open, for other methods on the same paths and for paths behind a proxy's prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.request import request_id_of
from app.errors import ServeError


class EntryMiddleware:
    """Puts the caller's `X-Request-Id`, or a new one, in the request's state before anything can fail.

    `endpoints` are those of `POST`, by path; `answer` makes a response of the errors that they raise.
    """

    def __init__(
        self, app: ASGIApp, endpoints: Mapping[str, ASGIApp], answer: Callable[[Request, ServeError], Response]
    ) -> None:
        self.app, self.endpoints, self.answer = app, endpoints, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope.setdefault("state", {})["request_id"] = request_id_of(dict(scope["headers"]))
        endpoint = self.endpoints.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            return await self.app(scope, receive, send)
        try:
            await endpoint(scope, receive, send)
        except ServeError as error:
            await self.answer(Request(scope), error)(scope, receive, send)
        return None
