"""A light HTTP/1.1 client: requests made beforehand, keep-alive connections, the times of every answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.serving.expected import WrongAnswerError
from benchmarks.serving.servers import Running

CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
TIMING = re.compile(rb"(\w+);dur=([\d.]+)")

Check = Callable[[Any], None]  # of a parsed answer; raises WrongAnswerError


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to send, the number of texts in it, and what its answer must be."""

    request: bytes
    check: Check
    texts: int = 1

    @classmethod
    def of(cls, path: str, inputs: str | Sequence[str], check: Check, priority: int = 0) -> Question:
        body = json.dumps({"inputs": inputs}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        head += f"X-Priority: {priority}\r\nContent-Length: {len(body)}\r\n\r\n"
        return cls(head.encode() + body, check, 1 if isinstance(inputs, str) else len(inputs))


class Reply(NamedTuple):
    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def timing_ms(self, part: str) -> float:
        """Return a part of Server-Timing: tokenize, queue, forward or total."""
        line = next(line for line in self.head.split(b"\r\n") if line.lower().startswith(b"server-timing:"))
        return float(dict(TIMING.findall(line))[part.encode()])


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered request; times are seconds since the load began."""

    question: Question
    due: float
    sent: float
    done: float
    reply: Reply

    @property
    def latency_ms(self) -> float:
        """From when it was due; a timer may also go off a little early, which is no gain."""
        return 1000 * (self.done - min(self.due, self.sent))

    def check(self) -> None:
        """Raise `WrongAnswerError` unless the answer is the right one."""
        if self.reply.status != 200:
            raise WrongAnswerError(f"status {self.reply.status}: {self.reply.body[:200]!r}")
        self.question.check(json.loads(self.reply.body))


class Connection(asyncio.Protocol):
    """One keep-alive connection, which has one request in flight at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.waiting: asyncio.Future[Reply] | None = None
        self.answered = 0
        self.transport: Any = None  # uvloop's is no asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.received[:end])
        length = CONTENT_LENGTH.search(head)
        assert length is not None, head
        whole = end + 4 + int(length[1])
        if len(self.received) >= whole and self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            self.answered += 1
            body = bytes(self.received[end + 4 : whole])
            self.received.clear()
            waiting.set_result(Reply(head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionResetError("the server closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Raises `ConnectionResetError` when the server closes before it answers."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting


class Client:
    """As many connections as there are requests at once; each is used again."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.idle: list[Connection] = []
        self.opened: list[Connection] = []
        self.started = time.perf_counter()

    @classmethod
    def of(cls, server: Running) -> Client:
        parts = urlsplit(server.url)
        return cls(str(parts.hostname), int(parts.port or 80))

    def now(self) -> float:
        return time.perf_counter() - self.started

    async def ask(self, question: Question, due: float | None = None) -> Answered:
        """Ask on an idle connection; one that the server closed while it idled is replaced."""
        sent = self.now()
        while True:
            connection = self.idle.pop() if self.idle else await self.open()
            if connection.transport.is_closing():
                continue
            try:
                reply = await connection.ask(question.request)
            except ConnectionResetError:
                if connection.answered == 0:
                    raise
                continue
            self.idle.append(connection)
            return Answered(question, sent if due is None else due, sent, self.now(), reply)

    async def open(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        self.opened.append(connection)
        return connection

    def close(self) -> None:
        for connection in self.opened:
            connection.transport.close()
