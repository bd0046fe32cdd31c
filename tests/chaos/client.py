"""A light HTTP/1.1 client for load: requests made beforehand, keep-alive connections, nothing retried in silence."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
PATIENCE_S = 10.0  # after its deadline, a request without an answer is lost
NO_DEADLINE_S = 60.0  # patience with a request that names no deadline, beside that


@dataclass(frozen=True, slots=True)
class Question:
    """A prediction, ready to be sent; `deadline_s` is what its header says, None where it has none."""

    path: str
    body: bytes
    request: bytes
    deadline_s: float | None = None
    priority: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)  # its own, beside those that every request has

    @classmethod
    def of(
        cls,
        path: str,
        body: object,
        *,
        deadline_s: float | None = None,
        priority: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> Question:
        """Render a request; a `body` of bytes is sent as it is, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Host": "chaos", "Content-Type": "application/json", **(headers or {})}
        if deadline_s is not None:
            fields["X-Request-Timeout-Ms"] = str(round(deadline_s * 1000))
        if priority:
            fields["X-Priority"] = str(priority)
        fields["Content-Length"] = str(len(content))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content
        return cls(path, content, request, deadline_s, priority, headers or {})

    @property
    def patience_s(self) -> float:
        return PATIENCE_S + (NO_DEADLINE_S if self.deadline_s is None else self.deadline_s)


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^" + name.encode() + rb": *(.*?)\r?$", self.head)
        return found and found[1].decode("latin-1")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Exchange:
    """One request and what became of it. Times are those of the event loop's clock, in seconds.

    Without a reply, `cause` says why: the connection ended (`closed`), or nothing came (`silence`).
    """

    question: Question
    sent: float
    done: float
    reply: Reply | None = None
    cause: str = ""

    @property
    def seconds(self) -> float:
        return self.done - self.sent


class ClosedError(ConnectionError):
    """The other side closed the connection before it had answered."""


class Connection(asyncio.Protocol):
    """One keep-alive connection; replies come in the order of the requests."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self.transport: Any = None  # uvloop's is no asyncio.Transport
        self.is_open = True
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (reply := self._next_reply()) is not None:
            if self._waiting and not (future := self._waiting.popleft()).done():
                future.set_result(reply)

    def _next_reply(self) -> Reply | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._received[:end])
        length = CONTENT_LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) < whole:
            return None
        body = bytes(self._received[end + 4 : whole])
        del self._received[:whole]
        if b"\r\nconnection: close" in head.lower():
            self.is_open = False
        return Reply(int(head[9:12]), head, body)

    def eof_received(self) -> None:
        self.is_open = False

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        if not self.closed.done():
            self.closed.set_result(None)
        for future in self._waiting:
            if not future.done():
                future.set_exception(ClosedError("the service closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request. The reply raises `ClosedError` when the service closes before it has answered."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.is_open and not self.transport.is_closing():
            self._waiting.append(future)
            self.transport.write(request)
        else:
            future.set_exception(ClosedError("the service had closed the connection"))
        return future

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Client:
    """As many connections as there are requests at once; each is used again."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._idle: list[Connection] = []
        self._opened: set[Connection] = set()

    async def open(self) -> Connection:
        """Return a new connection, which the caller closes or leaves to `close`."""
        _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        self._opened.add(connection)
        return connection

    async def ask(self, question: Question, patience_s: float | None = None, *, anew: bool = False) -> Exchange:
        """Ask once, over an idle connection or, `anew`, over one of its own."""
        now = asyncio.get_running_loop().time
        exchange = Exchange(question, now(), 0.0)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(question.patience_s if patience_s is None else patience_s):
                connection = None if anew else self._take()
                connection = connection or await self.open()
                exchange.reply = await connection.ask(question.request)
        except TimeoutError:
            exchange.cause = "silence"
        except OSError as error:
            exchange.cause = "closed" if isinstance(error, ClosedError | ConnectionResetError) else type(error).__name__
        finally:
            exchange.done = now()
            if connection is not None:
                self._put_back(connection, exchange.reply is not None and not anew)
        return exchange

    async def get(self, path: str, patience_s: float = 60.0) -> Exchange:
        """Ask for a page, over a connection of its own."""
        question = Question(path, b"", f"GET {path} HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n".encode())
        return await self.ask(question, patience_s, anew=True)

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            self._opened.discard(connection)
        return None

    def _put_back(self, connection: Connection, is_whole: bool) -> None:
        if is_whole and connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()
            self._opened.discard(connection)

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._idle.clear()


async def raw(host: str, port: int) -> socket.socket:
    """Return a connected socket that is neither blocking nor read by anybody."""
    opened = socket.socket()
    opened.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opened, (host, port))
    return opened


def forget(future: asyncio.Future[object]) -> None:
    """Take note of what became of a request, so that nobody is told that it was not."""
    if not future.cancelled():
        future.exception()
