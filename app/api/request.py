"""Reading a request: bounded body, JSON, headers. Whatever is wrong is refused here, with the field's name."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.types import Receive

from app.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InvalidRequestError,
    MalformedBodyError,
    RequestTooLargeError,
    ServeError,
    UnsupportedMediaTypeError,
)
from app.tasks.base import TaskRequest

Headers = Mapping[bytes, bytes]  # as ASGI gives them: lower-case names, values in latin-1

REQUEST_ID = re.compile(rb"[!-~]{1,128}")  # printable ASCII without spaces
WHOLE_NUMBER, SIGNED_NUMBER = re.compile(rb"[0-9]{1,12}"), re.compile(rb"[+-]?[0-9]{1,2}")
JSON_TYPES = ("application/json", "text/json", "")
PRIORITIES = range(-10, 11)

RequestT = TypeVar("RequestT", bound=TaskRequest)


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


async def read_body(headers: Headers, receive: Receive, limit: int, deadline: float) -> bytes:
    """Read the body, at most `limit` bytes of it, until `deadline` in seconds of `time.monotonic()`.

    Raises `UnsupportedMediaTypeError` for anything announced as not JSON, `RequestTooLargeError` beyond the limit,
    `ClientGoneError` when the client leaves before its end, `DeadlineExceededError` when it takes too long over it.
    """
    media_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES and not media_type.endswith("+json"):
        raise UnsupportedMediaTypeError(f"the body must be application/json, not {media_type[:80]}")
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await receive_all(receive, limit)
    except TimeoutError:
        raise DeadlineExceededError("the deadline passed before the body was received") from None


async def receive_all(receive: Receive, limit: int) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client closed the connection")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise too_large(limit)
    return body


def too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"the body is larger than {limit} bytes")


def parse(body: bytes, request_type: type[RequestT]) -> RequestT:
    """Validate a JSON body. Raises `MalformedBodyError` or `InvalidRequestError`, a sentence naming the place."""
    try:
        return request_type.model_validate_json(body)
    except ValidationError as error:
        raise explain(error.errors(include_url=False, include_input=False)) from None


def explain(errors: list[ErrorDetails]) -> ServeError:
    """Turn pydantic's errors into one sentence that names the first of them."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return MalformedBodyError(f"the body is not valid JSON in UTF-8: {first['ctx']['error']}")
    branches = [str(part)[:80] for part in first["loc"] if not str(part).startswith("<")]
    return InvalidRequestError(f"{'.'.join(branches) or 'body'}: {reason_of(first)}")


def reason_of(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] == "missing":
        return "is missing"
    return error["msg"].removeprefix("Value error, ")
