"""Frames over a stream: four bytes of length and a message in msgpack; many frames leave in one write."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import msgspec
import structlog

from app.processes.messages import Message

MAX_FRAME_BYTES = 32 * 2**20
UNSENT_BYTES = 4 * 2**20  # the other side is behind by more than this: it is not writable
LENGTH = struct.Struct("<I")

MessageT = TypeVar("MessageT")
encode_into = msgspec.msgpack.Encoder().encode_into

log = structlog.get_logger(__name__)


class FrameTooLargeError(Exception):
    """A message is larger than a frame may be; nothing was sent."""


class Stream(asyncio.Protocol, Generic[MessageT]):
    """One end of a connection. All that is sent within one turn of the event loop goes out in one write."""

    def __init__(
        self,
        decoder: msgspec.msgpack.Decoder[MessageT],
        on_message: Callable[[MessageT], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._decode, self._on_message, self._on_lost = decoder.decode, on_message, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received, self._unsent = bytearray(), bytearray()
        self.is_writable = True  # False while the other side reads too slowly

    def send(self, message: Message) -> None:
        """Send at the end of this turn of the loop. Raises `FrameTooLargeError`."""
        unsent = self._unsent
        start = len(unsent)
        unsent += b"\0" * LENGTH.size
        encode_into(message, unsent, start + LENGTH.size)
        size = len(unsent) - start - LENGTH.size
        if size > MAX_FRAME_BYTES:
            del unsent[start:]
            raise FrameTooLargeError(f"{size} bytes")
        LENGTH.pack_into(unsent, start, size)
        if start == 0:
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._unsent and self._transport is not None:
            self._transport.write(self._unsent)
        self._unsent = bytearray()

    # --- What the event loop calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) - start >= LENGTH.size:
            (size,) = LENGTH.unpack_from(received, start)
            end = start + LENGTH.size + size
            if size > MAX_FRAME_BYTES:
                self._break_off("a frame is larger than it may be")
                return
            if end > len(received):
                break
            try:
                message = self._decode(bytes(received[start + LENGTH.size : end]))
            except msgspec.MsgspecError as error:
                self._break_off(f"a frame is not understood: {error}")
                return
            start = end
            self._on_message(message)
        del received[:start]

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._on_lost()

    def _break_off(self, reason: str) -> None:
        log.error("stream_broken", reason=reason)
        if self._transport is not None:
            self._transport.abort()
