"""Bytes from a network or a socket: heads of HTTP through the real protocol class, frames, files of API keys."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
from uvicorn.server import ServerState

from app.api.key_file import KeyFileError, read_key_file
from app.api.server import server_config
from app.processes.messages import ToEngine, ToWorker
from app.processes.stream import Stream
from app.settings import Settings
from tests.fuzz.harness import Harness

STATUSES = {b"HTTP/1.1 %d " % status for status in (100, 200, 400, 408, 413, 414, 431, 501, 503)}


class Transport(asyncio.Transport):
    """Remembers what is written; nothing leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def is_reading(self) -> bool:
        return not self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body, and answer how long it is."""
    length, more = 0, scope["type"] == "http"
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    body = b"%d" % length
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Head(Harness):
    """What a client sends, in pieces of the length that the first byte says. It is answered, refused or waited for."""

    name = "http-head"
    declared = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        logging.getLogger("uvicorn.error").disabled = True
        self.loop = asyncio.new_event_loop()
        application: Any = echo
        self.config = server_config(Settings(), application)
        self.config.load()

    def close(self) -> None:
        self.loop.close()

    def read(self, data: bytes) -> None:
        failures: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: failures.append(context))
        transport = self.loop.run_until_complete(self.feed(data))
        assert not failures, failures
        assert not transport.written or any(transport.written.startswith(status) for status in STATUSES)

    async def feed(self, data: bytes) -> Transport:
        kind: Any = self.config.http_protocol_class
        protocol, transport = kind(self.config, ServerState(), {}, self.loop), Transport()
        protocol.connection_made(transport)
        size = data[0] + 1 if data else 1
        for start in range(1, len(data), size):
            if transport.closed:
                break
            protocol.data_received(data[start : start + size])
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        return transport


class Frames(Harness):
    """What a worker sends to an engine, or, after a first byte that is odd, an engine to a worker."""

    name = "frames"
    declared = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.loop.close()

    def read(self, data: bytes) -> None:
        self.loop.run_until_complete(self.feed(data))

    async def feed(self, data: bytes) -> None:
        kind = ToWorker if data[:1] and data[0] % 2 else ToEngine
        messages: list[Any] = []
        stream: Stream[Any] = Stream(msgspec.msgpack.Decoder(kind), messages.append, lambda: None)
        transport = Transport()
        stream.connection_made(transport)
        for start in range(1, len(data), 7):
            if transport.closed:
                break
            stream.data_received(data[start : start + 7])
        assert all(isinstance(message, kind) for message in messages)


class KeyFile(Harness):
    name = "key-file"
    declared = (KeyFileError,)

    def read(self, data: bytes) -> None:
        path = self.folder / "keys.toml"
        path.write_bytes(data)
        assert read_key_file(path)
