"""Reading a request: bounded body, JSON, headers. Whatever is wrong is refused here, with the field's name."""

from __future__ import annotations

import re
import uuid
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import (
    InvalidRequestError,
    MalformedBodyError,
    RequestTooLargeError,
    ServeError,
    UnsupportedMediaTypeError,
)
from app.tasks.base import TaskRequest

REQUEST_ID = re.compile(r"[!-~]{1,128}")  # printable ASCII without spaces
JSON_TYPES = ("application/json", "text/json", "")
PRIORITIES = range(-10, 11)

RequestT = TypeVar("RequestT", bound=TaskRequest)


def request_id_of(request: Request) -> str:
    """Return the caller's `X-Request-Id`, or a new one where there is none that can be echoed."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def timeout_s_of(request: Request, default_s: float) -> float:
    """Return the seconds that the request may take: `X-Request-Timeout-Ms`, at most the service's own limit."""
    given = request.headers.get("x-request-timeout-ms")
    if given is None:
        return default_s
    if not re.fullmatch(r"[0-9]{1,12}", given) or int(given) == 0:
        raise InvalidRequestError("X-Request-Timeout-Ms must be a positive whole number of milliseconds")
    return min(int(given) / 1000, default_s)


def priority_of(request: Request) -> int:
    """Return `X-Priority`, -10 to 10; higher goes first."""
    given = request.headers.get("x-priority", "0")
    if not re.fullmatch(r"[+-]?\d{1,2}", given) or int(given) not in PRIORITIES:
        raise InvalidRequestError("X-Priority must be a whole number from -10 to 10")
    return int(given)


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, at most `limit` bytes of it.

    Raises `UnsupportedMediaTypeError` for anything announced as not JSON, `RequestTooLargeError` beyond the limit.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES and not media_type.endswith("+json"):
        raise UnsupportedMediaTypeError(f"the body must be application/json, not {media_type[:80]}")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


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
