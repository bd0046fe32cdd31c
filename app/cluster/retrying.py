"""Asking again, inside Ray's proxy, where a replica was lost before it answered: inference changes nothing.

A node of the cluster that is started with

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=app.cluster.retrying:middlewares

has a proxy that does so. It loads neither models nor routes. An operator's orders change something: they are sent once.

Of most errors, the death of a replica among them, Ray's proxy sends nothing at all: it returns, and uvicorn makes a 500
of that. Source: `send_http_response_on_exception` of Ray 2.60, which answers 408, 429 and 503.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.request import WHOLE_NUMBER
from app.cluster.refusing import ANSWERED_BY, CHANGES_SOMETHING, lost, refusal_of, send_error
from app.errors import DeadlineExceededError, ServeError

TRIES = 4
FIRST_PAUSE_S = 0.1  # before it is asked again, doubled each time: the proxy learns of a loss in about that time
GRACE_S = 0.5  # after a deadline, for the replica to say so itself
MOST_BYTES = 2**20  # of a body that is kept to be sent again
OF_RAY = "/-/"  # paths that Ray's proxy itself answers
TIMEOUT = b"x-request-timeout-ms"

Headers = Iterable[tuple[bytes, bytes]]

log = logging.getLogger("ray.serve")  # that of the proxy


def middlewares() -> list[Middleware]:
    """Return what Ray's proxy puts around itself."""
    return [Middleware(Retrying)]


class Retrying:
    """Sends a request again where nobody of the service has answered it, and says in the end that it was lost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OF_RAY):
            await self._app(scope, receive, send)
            return
        deadline = deadline_of(scope["headers"], time.monotonic())
        body = Body(receive)
        await body.read()
        if body.is_left:
            return
        error = await self._ask(scope, body, send, deadline)
        if error is not None and not body.is_left:
            await send_error(scope, send, error)

    async def _ask(self, scope: Scope, body: Body, send: Send, deadline: float | None) -> ServeError | None:
        """Ask until a replica answers; return what is to be said where none does."""
        tries = TRIES if body.is_whole and not scope["path"].startswith(CHANGES_SOMETHING) else 1
        for number in range(tries):
            if number:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (number - 1))
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return DeadlineExceededError()
            attempt = Attempt(send)
            await attempt.make(self._app, with_time_left(scope, deadline, now), body.replay(), deadline)
            if attempt.is_begun or body.is_left:
                return None
            if attempt.error is not None:
                return attempt.error
        return lost(scope["path"], tries)


class Attempt:
    """One answer: passed on where a replica has made it, withheld where Ray's proxy says that there is none.

    Its head is passed on with the first part of its body: a replica may be lost in between. `error` is what there is no
    use in asking again for.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Message | None = None
        self._is_withheld = False
        self.is_begun = False
        self.error: ServeError | None = None

    async def make(self, app: ASGIApp, scope: Scope, receive: Receive, deadline: float | None) -> None:
        """Have `app` answer, until some time after the deadline unless the answer has begun."""
        limit = None if deadline is None else asyncio.get_running_loop().time() + deadline - time.monotonic() + GRACE_S
        try:
            async with asyncio.timeout_at(limit) as self._limit:
                await app(scope, receive, self.send)
        except TimeoutError:
            pass  # the proxy may also have taken the end for that of the client, and have returned
        except Exception:
            if self.is_begun:
                raise
            log.exception("A request was not answered.")
        if self._limit.expired():
            self.error = DeadlineExceededError()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head, is_ours = message, ANSWERED_BY in lowered(message.get("headers", ()))
            self.error = None if is_ours else refusal_of(message)
            self._is_withheld = not is_ours and (self.error is not None or message["status"] >= 500)
        elif not self._is_withheld:
            if self._head is not None:
                head, self._head, self.is_begun = self._head, None, True
                if not self._limit.expired():
                    self._limit.reschedule(None)
                await self._send(head)
            await self._send(message)


class Body:
    """What a client sends. `is_whole`: all of it is kept; a large body is not. `is_left`: the client has gone away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self.is_whole = self.is_left = False

    async def read(self) -> None:
        """Receive the body, or as much as may be kept."""
        size = 0
        while size <= MOST_BYTES and not self.is_whole:
            message = await self._receive_next()
            self._messages.append(message)
            size += len(message.get("body", b""))
            self.is_whole = not message.get("more_body")

    def replay(self) -> Callable[[], Awaitable[Message]]:
        """Return what yields the messages that were received, and then what else is."""
        left = iter(self._messages)

        async def receive_again() -> Message:
            message = next(left, None)
            return await self._receive_next() if message is None else message

        return receive_again

    async def _receive_next(self) -> Message:
        message = await self._receive()
        self.is_left = self.is_left or message["type"] == "http.disconnect"
        return message


def deadline_of(headers: Headers, now: float) -> float | None:
    """Return until when a client waits, where it says so in a way that the service understands."""
    given = next((value for name, value in headers if name == TIMEOUT), b"")
    return now + int(given) / 1000 if WHOLE_NUMBER.fullmatch(given) and int(given) else None


def with_time_left(scope: Scope, deadline: float | None, now: float) -> Scope:
    """Return a request to be sent, with the time that is left for it."""
    headers = list(scope["headers"])
    if deadline is not None:
        left = str(max(1, round(1000 * (deadline - now)))).encode()
        headers = [(name, left if name == TIMEOUT else value) for name, value in headers]
    return dict(scope, headers=headers)


def lowered(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers]
