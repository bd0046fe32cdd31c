"""A JSON body becomes a task's request. Whatever is wrong with it is refused here, with the field's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from app.errors import InvalidRequestError, MalformedBodyError, ServeError
from app.tasks.base import TaskRequest

RequestT = TypeVar("RequestT", bound=TaskRequest)


def parse(body: bytes, request_type: type[RequestT]) -> RequestT:
    """Validate a JSON body. Raises `MalformedBodyError` or `InvalidRequestError`, a sentence naming the place."""
    try:
        return request_type.model_validate_json(body)
    except ValidationError as error:
        raise explain(error.errors(include_url=False, include_input=False)) from None


def json_of(body: Mapping[str, Any]) -> bytes:
    """Render a body that is not JSON yet. Raises `MalformedBodyError` where JSON has no such value."""
    try:
        return to_json(body)
    except (PydanticSerializationError, UnicodeError):
        raise MalformedBodyError("the body has values that JSON cannot carry; give texts, numbers and lists") from None


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
