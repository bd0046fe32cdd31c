"""Reading a request over HTTP: its headers and its body, which is bounded in size and in time."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Collection, Mapping

from starlette.types import Receive, Scope

from app.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InvalidRequestError,
    QueueFullError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)

Headers = Mapping[bytes, bytes]  # as ASGI gives them: lower-case names, values in latin-1

REQUEST_ID = re.compile(rb"[!-~]{1,128}")  # printable ASCII without spaces
WHOLE_NUMBER, SIGNED_NUMBER = re.compile(rb"[0-9]{1,12}"), re.compile(rb"[+-]?[0-9]{1,2}")
SMALL_BYTES = 2**16  # of a body
JSON_TYPES = ("application/json", "text/json", "")
PRIORITIES = range(-10, 11)


def path_of(scope: Scope) -> str:
    """Return the path of a request without the prefix, `root_path`, under which another application mounts this one."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path[len(prefix) :] if prefix and f"{path}/".startswith(f"{prefix}/") else path


def tidy(path: str, prefix: str = "") -> str:
    """Return a path without doubled slashes, a slash at its end, and `prefix`, which a proxy may have left on."""
    path = f"/{'/'.join(part for part in path.split('/') if part)}"
    if prefix and f"{path}/".startswith(f"{prefix}/"):
        path = path[len(prefix) :] or "/"
    return path


def request_id_of(headers: Headers) -> str:
    """Return the caller's `X-Request-Id`, or a new one where there is none that can be echoed."""
    given = headers.get(b"x-request-id", b"")
    return given.decode("ascii") if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def timeout_s_of(headers: Headers, default_s: float) -> float:
    """Return the seconds that the request may take: `X-Request-Timeout-Ms`, at most the service's own limit."""
    given = headers.get(b"x-request-timeout-ms")
    if given is None:
        return default_s
    if not WHOLE_NUMBER.fullmatch(given) or int(given) == 0:
        raise InvalidRequestError("X-Request-Timeout-Ms must be a positive whole number of milliseconds")
    return min(int(given) / 1000, default_s)


def priority_of(headers: Headers) -> int:
    """Return `X-Priority`, -10 to 10; higher goes first."""
    given = headers.get(b"x-priority", b"0")
    if not SIGNED_NUMBER.fullmatch(given) or int(given) not in PRIORITIES:
        raise InvalidRequestError("X-Priority must be a whole number from -10 to 10")
    return int(given)


class BodyMemory:
    """The bytes of all bodies in hand, at most `most`, except that one body may always be in hand alone.

    An eighth of them is for small bodies, so that those that are large, or never end, do not shut them out.
    """

    def __init__(self, most: int) -> None:
        self._most, self._most_with_large = most, most - most // 8
        self.used = 0

    def take(self, size: int, held: int) -> None:
        """Count `size` bytes more of a body of which `held` are counted. Raises `QueueFullError` and counts none."""
        most = self._most if held + size <= SMALL_BYTES else self._most_with_large
        if self.used + size > most and self.used > held:
            raise QueueFullError("too many large bodies are in hand; try again later", retry_after_s=1.0)
        self.used += size

    def free(self, size: int) -> None:
        self.used -= size


async def read_body(
    headers: Headers,
    receive: Receive,
    limit: int,
    deadline: float,
    memory: BodyMemory,
    received: bytes | None = None,
    media_types: Collection[str] = (),
) -> bytes:
    """Read the body, at most `limit` bytes of it, until `deadline` in seconds of `time.monotonic()`.

    `received` is the body where all of it is there already. The caller frees its bytes from `memory` in the end. Raises
    `UnsupportedMediaTypeError` for anything announced as neither JSON nor one of `media_types`,
    `RequestTooLargeError` beyond the limit, `ClientGoneError` when the client leaves before its end,
    `DeadlineExceededError` when it takes too long over it, and `QueueFullError` when `memory` is full.
    """
    check_media_type(headers, media_types)
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    if received is not None:
        if len(received) > limit:
            raise too_large(limit)
        memory.take(len(received), 0)
        return received
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await receive_all(receive, limit, memory)
    except TimeoutError:
        raise DeadlineExceededError("the deadline passed before the body was received") from None


def check_media_type(headers: Headers, others: Collection[str]) -> None:
    """Raise `UnsupportedMediaTypeError` for a body that is announced as neither JSON nor one of `others`."""
    media_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES and not media_type.endswith("+json") and media_type not in others:
        raise UnsupportedMediaTypeError("the body must be JSON: send `Content-Type: application/json`")


async def receive_all(receive: Receive, limit: int, memory: BodyMemory) -> bytes:
    """Return the pieces of a body as one: a large one grows in place, which leaves no gaps between others' memory."""
    held, more = 0, True
    first, rest = b"", bytearray()
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the client closed the connection")
            piece: bytes = message.get("body", b"")
            if held + len(piece) > limit:
                raise too_large(limit)
            memory.take(len(piece), held)
            if not held:
                first = piece
            else:
                rest += piece if rest else first + piece
            held += len(piece)
            more = message.get("more_body", False)
    except BaseException:
        memory.free(held)
        raise
    return bytes(rest) if rest else first


def too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"the body is larger than {limit} bytes")
