"""The HTTP application inside a replica: behind another server, it answers as behind its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.around import with_surroundings
from app.api.security_headers import security_headers
from app.cluster.refusing import ANSWERED_BY
from app.settings import Settings

REQUEST_ID = b"x-request-id"


class Front:
    """Adds the headers that `app.api.server` would add, and leaves the lifespan to the replica.

    Ray repeats `X-Request-Id` itself; it stands once in an answer. Where Ray cannot bring a body from its proxy, there
    is no answer either: Ray is told of its own error, so that the proxy sends the request again.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app: ASGIApp = with_surroundings(app, settings)
        self._headers = [(name.lower().encode(), value.encode()) for name, value in security_headers(is_secure=False)]
        self._headers.append(ANSWERED_BY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await agree(receive, send)

        failures: list[Exception] = []  # of Ray

        async def receive_of_ray() -> Message:
            try:
                return await receive()
            except Exception as error:
                failures.append(error)
                raise

        async def send_with_headers(message: Message) -> None:
            if failures:
                raise failures[0]
            if message["type"] == "http.response.start":
                message["headers"] = [*without_request_id(message.get("headers", ())), *self._headers]
            await send(message)

        return await self._app(scope, receive_of_ray, send_with_headers)


def without_request_id(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() != REQUEST_ID]


async def agree(receive: Receive, send: Send) -> None:
    """Say that everything has started, and at the end that everything has ended."""
    while True:
        event = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{event}.complete"})
        if event == "shutdown":
            return
