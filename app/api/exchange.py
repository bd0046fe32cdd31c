"""One request and its answer on a connection: uvicorn's cycle, with a short way for what is there in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import Send
from uvicorn import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.api.joining import JoiningTransport

Headers = Sequence[tuple[bytes, bytes]]


class Exchange(RequestResponseCycle):
    """ASGI's `receive` and `send`, and beside them a body that has been received, and an answer that is complete."""

    default_lines = b""  # of the headers that every answer has
    on_left: Callable[[], object] | None = None  # called once the client has left

    def leave(self) -> None:
        """Take note that the client has left, or is not listened to any more."""
        self.disconnected = True
        self.message_event.set()
        if self.on_left is not None:
            self.on_left()

    def take_body(self) -> bytes | None:
        """Return the body in place of `receive`, if all of it has been received."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        self.flow.resume_reading()
        return body

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send a whole answer in place of `send`; return False where the client is too slow to take it at once.

        The headers are this service's own and have the length of the body; they are not looked at.
        """
        if self.disconnected:
            return True
        if self.response_started or self.flow.write_paused:
            return False
        lines = [STATUS_LINE[status], self.default_lines]
        for name, value in headers:
            lines += name, b": ", value, b"\r\n"
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        lines.append(body)
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        cast(JoiningTransport, self.transport).write_all(b"".join(lines))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def exchange_of(send: Send) -> Exchange | None:
    """Return the exchange that an application's `send` belongs to; None where another server, or a part in between,
    gave it."""
    owner = getattr(send, "__self__", None)
    return owner if isinstance(owner, Exchange) else None


class DefaultHead:
    """The lines of the server's own headers, which are another list whenever the date is another."""

    def __init__(self) -> None:
        self._headers: Headers = ()
        self._lines = b""

    def lines(self, headers: Headers) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, b"".join([b"%s: %s\r\n" % header for header in headers])
        return self._lines


class ExchangeProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which makes an `Exchange` of each request. What it overrides does the same in fewer steps."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        head: DefaultHead,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._head = head

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = cast(Exchange | None, self.cycle)
        super().connection_lost(exc)
        if exchange is not None and not exchange.response_complete:
            exchange.leave()

    def begin_exchange(self, version: str, *, is_last: bool) -> None:
        """Begin to answer the request whose head is complete, or let it wait for the answers before it."""
        self._complete_scope(version)
        before, headers = self.cycle, self.server_state.default_headers
        self.cycle = exchange = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and not is_last and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        exchange.default_lines = self._head.lines(headers)
        if before is None or before.response_complete:
            self._start_asgi_task(exchange, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def _complete_scope(self, version: str) -> None:
        scope, parsed = self.scope, httptools.parse_url(self.url)
        raw_path = parsed.path or b"/"  # of `http://host`, as proxies are asked
        path = raw_path.decode("ascii")
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        scope["query_string"] = parsed.query or b""

    def on_body(self, body: bytes) -> None:
        exchange = self.cycle
        if not exchange.response_complete:
            exchange.body += body
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            exchange.message_event.set()

    def on_message_complete(self) -> None:
        exchange = self.cycle
        if not exchange.response_complete:
            exchange.more_body = False
            exchange.message_event.set()
