"""HTTP/1.1 on one connection: uvicorn's protocol, with bounds on heads, on time, and on answers that nobody reads."""

from __future__ import annotations

import asyncio
import socket
import time
from enum import Enum, auto
from typing import Any, cast

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from app.api.arrival import ARRIVED
from app.api.connections import LINGER_S, MOST_DISCARDED, Connections
from app.api.exchange import Exchange
from app.api.joining import JoiningTransport
from app.api.refusing import RefusingProtocol
from app.errors import BadRequestError, HeadTimeoutError, HeadTooLargeError, ServeError

VERSIONS = ("1.1", "1.0")
MOST_HEADERS = 100
MOST_PIPELINED = 128  # requests that wait for the answer to the one before; each takes more memory than its bytes
CHUNK_OVERHEAD = 8  # bytes around each byte of a body in chunks; chunks of one byte have five


class Stage(Enum):
    """What the client is sending."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class Connection(RefusingProtocol):
    """One connection of `connections`, which bounds it. `arrived`: since when it may have waited to be accepted."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        connections: Connections,
        arrived: float,
    ) -> None:
        super().__init__(config, server_state, app_state, connections.loop, connections.head)
        self._of, self._limits = connections, connections.limits
        self.gate, self.pace = connections.gate, connections.pace
        self._accepted_at, self._arrived = time.monotonic(), arrived
        self._stage = Stage.NOTHING
        self._read_at = 0.0  # since when the bytes that are being read may have been there
        self._head_bytes = 0  # of the lines that are whole, trailers included
        self._open_bytes = 0  # of reads that did not end the head, or that had nothing of a body in them
        self._body_bytes = 0
        self._discarded = 0
        self._refusal: bytes | None = None  # to be sent after the answers to the requests before it
        self._head_since = 0.0
        self.waiting_since = self._accepted_at
        self.unsent_since = 0.0
        self._unsent_from = 0  # how much had been written then

    # --- From the transport ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joining = JoiningTransport(cast(asyncio.Transport, transport), self.loop, self._is_unread)
        super().connection_made(cast(asyncio.Transport, self._joining))
        self._of.open.add(self)
        self._of.waiting[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._of.open.discard(self)
        self._of.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self._joining.is_half_closed:
            self._discard(data)
            return
        self._read_at = self._of.clock.date()
        stage, body_bytes, head_since = self._stage, self._body_bytes, self._head_since
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ServeError) else BadRequestError())
        else:
            if self._stage is stage and self._head_since == head_since:  # no other request began in between
                self._open_bytes += len(data) - (self._body_bytes - body_bytes)
                self._check_open_bytes()

    def _check_open_bytes(self) -> None:
        """Bound what the parser cannot tell yet: an endless line, and what is around the pieces of a body."""
        if self._stage is Stage.HEAD:
            if self._open_bytes > self._limits.head_bytes:
                self._refuse(HeadTooLargeError())
        elif self._open_bytes > self._limits.head_bytes + CHUNK_OVERHEAD * self._body_bytes:
            self._refuse(BadRequestError("the chunks of the body carry too much besides the body"))

    def _discard(self, data: bytes) -> None:
        if self._is_in_flight():
            self.flow.pause_reading()  # until its answer has left
            return
        self._discarded += len(data)
        if self._discarded > MOST_DISCARDED:
            self.drop()

    # --- From the parser ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise BadRequestError("too many requests were sent before the first was answered")
        super().on_message_begin()
        self.send_refusal()  # of the request before this one
        self._stage = Stage.HEAD
        self._head_bytes = self._open_bytes = self._body_bytes = 0
        self._head_since = time.monotonic()
        arrived = self._read_at
        if self.cycle is None and self._accepted_at >= self._of.clock.before_previous > 0.0:
            arrived = min(arrived, self._arrived)  # it may have been there before the connection was accepted
        self.scope[ARRIVED] = arrived  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.head_bytes:
            raise HeadTooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes = size = self._head_bytes + len(name) + len(value) + 4
        if size > self._limits.head_bytes:
            raise HeadTooLargeError
        if self._stage is Stage.HEAD:  # a trailer counts, and is forgotten: it is not a header
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if version not in VERSIONS:  # 0.9, which has no headers
            raise BadRequestError
        if len(self.headers) > MOST_HEADERS:
            raise HeadTooLargeError
        self._check_host()
        if self.parser.should_upgrade():
            return  # see `_ignore_upgrade`
        self._stage = Stage.BODY
        self._open_bytes = 0
        self._of.waiting.pop(self, None)
        if self._of.is_closing or not self.refuses(version):
            self.begin_exchange(version, is_last=self._of.is_closing)

    def _check_host(self) -> None:
        """Refuse a request that does not say whom it is for, or says it twice. Source: RFC 9112, section 3.2."""
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise BadRequestError("an HTTP/1.1 request needs one Host header")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if not self.is_skipping:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._stage is Stage.BODY:
            self._stage = Stage.NOTHING
            if self.is_skipping:
                self.is_skipping = False
            else:
                super().on_message_complete()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that asks for another protocol as if it did not. Source: RFC 9110, section 7.8.

        The parser takes such a head for a whole request, and what follows it for that protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(BadRequestError("CONNECT is not possible here"))
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join([*lines, b"\r\n"]) + rest)

    # --- The answers -------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Begin the next request of the pipeline, or wait for one. (uvicorn's own starts a timer here.)"""
        self._joining.flush()
        self.server_state.total_requests += 1
        if self._joining.is_closing():
            self.wait()  # for the client to read it, where it is still sending
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._end_with(self._refusal)
        else:
            self.wait()

    def wait(self) -> None:
        """Wait for the client: nothing of its is being answered."""
        self.waiting_since = time.monotonic()
        self._of.waiting[self] = None

    def _refuse(self, error: ServeError) -> None:
        """Answer what is not a request, after the answers to those that were, and end the connection."""
        self.send_refusal()
        answer = self._of.refused(error)
        is_body, in_flight = self._stage is Stage.BODY, self._is_in_flight()
        self._stage = Stage.BODY  # what the client still sends is not read
        if is_body and in_flight:
            cycle, in_flight = self._abandon_last()
            answer = b"" if cycle.response_started else answer
        elif is_body:  # it has been answered before its end
            answer = b""
        if in_flight:
            self._refusal = answer
        else:
            self._end_with(answer)

    def _abandon_last(self) -> tuple[Exchange, bool]:
        """Let the last request see its client go. Return it, and whether there are others in flight."""
        is_queued = bool(self.pipeline)
        cycle = cast(Exchange, self.pipeline.popleft()[0] if is_queued else self.cycle)
        cycle.leave()
        return cycle, is_queued

    def _is_in_flight(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _end_with(self, answer: bytes) -> None:
        self.wait()
        self._joining.write(answer)
        self._joining.close()

    def _is_unread(self) -> bool:
        """Whether the client has not sent the whole of its last request."""
        return self._stage is not Stage.NOTHING

    def close_after_answer(self) -> None:
        for cycle in [self.cycle, *(cycle for cycle, _ in self.pipeline)]:
            if cycle is not None:
                cycle.keep_alive = False

    # --- Time --------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether the client is sending nothing and waits for nothing."""
        return self in self._of.waiting and self._stage is Stage.NOTHING

    def close_if_overdue(self, now: float) -> None:
        """Close a connection without a request in flight whose time is over."""
        waited_s, limits = now - self.waiting_since, self._limits
        if self._joining.is_half_closed:
            if waited_s > LINGER_S:
                self._joining.close()
        elif self._stage is Stage.HEAD:
            if min(waited_s, now - self._head_since) > limits.head_s:
                self._refuse(HeadTimeoutError())
        elif self._stage is Stage.NOTHING and (self.cycle is not None or self.was_refused):
            if waited_s > limits.keep_alive_s:
                self._joining.close()
        elif waited_s > limits.head_s:  # silent since it was opened, or since its body was answered before its end
            self._of.note_dropped("silent")
            self._joining.close()

    def unsent(self, now: float) -> int:
        """Return the bytes that the client has not read; drop it where some have waited too long."""
        size: int = self.transport.get_write_buffer_size()
        if not size or self._joining.written - size >= self._unsent_from:  # all that was there then is read
            self.unsent_since, self._unsent_from = (now, self._joining.written) if size else (0.0, 0)
        elif now - self.unsent_since > self._limits.send_s:
            self._of.note_dropped("send_timeout")
            self.drop()
        return size

    def has_bytes_waiting(self) -> bool:
        """Whether the kernel has bytes of this connection that were not read yet."""
        peeked = socket.socket(fileno=self.transport.get_extra_info("socket").fileno())
        try:
            return bool(peeked.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False
        finally:
            peeked.detach()

    def drop(self) -> None:
        """Close at once; it no longer counts."""
        self._of.open.discard(self)
        self._of.waiting.pop(self, None)
        self._joining.abort()
