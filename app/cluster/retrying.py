"""Asking again, inside Ray's proxy, where a replica was lost before it answered: inference changes nothing.

A node of the cluster that is started with

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=app.cluster.retrying:middlewares

has a proxy that does so. It loads neither models nor routes. An operator's orders change something: they are sent once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.openai_form import error_of, is_openai
from app.errors import EngineLostError

ANSWERED_BY = (b"x-answered-by", b"roberta-serve")  # of every answer of a replica, its errors included
TRIES = 4
FIRST_PAUSE_S = 0.1  # before it is asked again, doubled each time: the proxy learns of a loss in about that time
MOST_BYTES = 2**20  # of a body that is kept to be sent again
SENT_ONCE = ("/-/", "/admin/")  # paths of Ray itself, and of an operator's orders
LOST = "no replica answered, the request was sent {tries} times; send it again, inference changes nothing"


def middlewares() -> list[Middleware]:
    """Return what Ray's proxy puts around itself."""
    return [Middleware(Retrying)]


class Attempt:
    """One answer: passed on where a replica has made it, withheld where Ray's proxy says that there is none."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_withheld = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_withheld = message["status"] >= 500 and ANSWERED_BY not in lowered(message)
        if not self.is_withheld:
            await self._send(message)


class Retrying:
    """Sends a request again where nobody of the service has answered it, and says in the end that it was lost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(SENT_ONCE):
            return await self._app(scope, receive, send)
        messages, is_whole = await read(receive)
        for tries in range(TRIES if is_whole else 1):
            if tries:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (tries - 1))
            attempt = Attempt(send)
            await self._app(dict(scope, headers=list(scope["headers"])), replay(messages, receive), attempt.send)
            if not attempt.is_withheld:
                return None
        return await send_lost(scope, send, TRIES if is_whole else 1)


async def read(receive: Receive) -> tuple[list[Message], bool]:
    """Return the messages of a body, and whether these are all: a large one is not kept."""
    messages: list[Message] = []
    size = 0
    while size <= MOST_BYTES:
        message = await receive()
        messages.append(message)
        if not message.get("more_body"):
            return messages, True
        size += len(message.get("body", b""))
    return messages, False


def replay(messages: list[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return what yields the messages, and then what else is received."""
    left = iter(messages)

    async def receive_again() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return receive_again


async def send_lost(scope: Scope, send: Send, tries: int) -> None:
    """Answer as the service does where its engine was lost."""
    request_id = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    lost = EngineLostError(LOST.format(tries=tries))
    told = error_of(lost) if is_openai(scope["path"]) else lost.message
    body = {"error": told, "error_type": lost.code, "request_id": request_id}
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": lost.status, "headers": [*headers, (b"retry-after", b"1")]})
    await send({"type": "http.response.body", "body": content})


def lowered(message: Message) -> Any:
    return [(name.lower(), value) for name, value in message.get("headers", ())]
