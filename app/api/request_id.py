"""Middleware: every request gets an id before anything can fail."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.body import request_id_of


class RequestIdMiddleware:
    """Puts the caller's `X-Request-Id`, or a new one, in the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["request_id"] = request_id_of(dict(scope["headers"]))
        await self.app(scope, receive, send)
