"""A JSON body becomes a task's request. Whatever is wrong with it is refused here, with the field's name."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from app.errors import InvalidRequestError, MalformedBodyError, RequestTooLargeError, ServeError, quote
from app.serving.structure import count_fields, count_values
from app.tasks.base import TaskRequest
from app.tasks.parameters import fields_in

RequestT = TypeVar("RequestT", bound=TaskRequest)
ModelT = TypeVar("ModelT", bound=BaseModel)

INLINE_BYTES = 2**15  # a larger body is parsed on another thread, so that other requests need not wait
MOST_COMPARED = 40  # characters of an unknown field's name
PER_INPUT, BESIDE_INPUTS = 5, 4096  # values and fields of one input, a pair at most, and of all parameters together


class Bounds(NamedTuple):
    """How many texts a request may have, and characters in all that it asks to tokenize."""

    inputs: int
    characters: int

    @property
    def values(self) -> int:
        """Return how many values and fields a body may have."""
        return PER_INPUT * self.inputs + BESIDE_INPUTS

    def check(self, request: TaskRequest, body_bytes: int) -> None:
        """Raise `RequestTooLargeError` beyond either. A body has no more texts and characters than bytes."""
        if body_bytes > self.inputs and (inputs := request.count_inputs()) > self.inputs:
            raise RequestTooLargeError(f"inputs has {inputs} texts; at most {self.inputs} are taken at once")
        if body_bytes > self.characters and (characters := request.count_characters()) > self.characters:
            raise RequestTooLargeError(
                f"the request has {characters:,} characters; at most {self.characters:,} are taken at once"
            )


def parse(body: bytes, request_type: type[RequestT], bounds: Bounds) -> RequestT:
    """Validate a task's body. Raises what `read` does, and `RequestTooLargeError` for too many texts or characters."""
    request = read(body, request_type, bounds)
    bounds.check(request, len(body))
    return request


def read(body: bytes, kind: type[ModelT], bounds: Bounds) -> ModelT:
    """Validate a JSON body.

    Raises `MalformedBodyError`, `InvalidRequestError` or `RequestTooLargeError`, a sentence naming the place. What a
    body holds is bounded before it is validated: validation makes an object of every value and of every fault.
    """
    if len(body) > bounds.values and count_values(body, bounds.values) > bounds.values:
        raise RequestTooLargeError(
            f"the body has more than {bounds.values:,} values and fields; at most {bounds.inputs} texts are taken"
        )
    try:
        content = kind.model_validate_json(body)
    except ValidationError as error:
        if body.startswith(BOM_UTF8):
            return read(body.removeprefix(BOM_UTF8), kind, bounds)
        raise explain(error, body, kind) from None
    check_unique(body, content)
    return content


def check_unique(body: bytes, content: BaseModel) -> None:
    """Raise `InvalidRequestError` where a valid body names a field twice: readers differ in which of them they take."""
    least = len(content.model_fields_set)
    if (colons := body.count(b":")) == least:
        return
    fields = fields_in(content)
    if colons > fields and count_fields(body) > fields:
        raise InvalidRequestError("body: a field is there twice")


def json_of(body: Mapping[str, Any]) -> bytes:
    """Render a body that is not JSON yet. Raises `MalformedBodyError` where JSON has no such value."""
    try:
        return to_json(body)
    except (PydanticSerializationError, UnicodeError):
        raise MalformedBodyError("the body has values that JSON cannot carry; give texts, numbers and lists") from None


def explain(error: ValidationError, body: bytes, request_type: type[BaseModel]) -> ServeError:
    """Turn pydantic's errors over a body into one sentence that names the first of them.

    Where a field is missing and another is unknown, that one was probably meant: it is named.
    """
    errors = error.errors(include_url=False, include_input=False)
    unknown = (each for each in errors if each["type"] == "extra_forbidden")
    first = next(unknown, errors[0]) if errors[0]["type"] == "missing" else errors[0]
    if first["type"] == "json_invalid":
        return MalformedBodyError(not_json(body) or f"the body is not valid JSON in UTF-8: {first['ctx']['error']}")
    branches = [quote(str(part))[1:-1] for part in first["loc"] if not str(part).startswith("<")]
    reason = f"unknown field{hint(first, request_type)}" if first["type"] == "extra_forbidden" else reason_of(first)
    return InvalidRequestError(f"{'.'.join(branches) or 'body'}: {reason}")


def reason_of(error: ErrorDetails) -> str:
    return "is missing" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")


def not_json(body: bytes) -> str | None:
    """Return what a body is that is not JSON in UTF-8, where that is easily seen."""
    if not body or body.isspace():
        return 'the body is empty; send JSON, such as {"inputs": "a text"}'
    if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in body[:4]:
        return "the body is in UTF-16 or UTF-32; send JSON in UTF-8"
    return None


def fields_within(annotation: object) -> Iterator[str]:
    """Yield the fields of all objects that a value of this type may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from annotation.model_fields
    for part in get_args(annotation):
        yield from fields_within(part)


def hint(error: ErrorDetails, request_type: type[BaseModel]) -> str:
    """Say which field was probably meant, or where it belongs; nothing where none is like it."""
    *place, name = map(str, error["loc"])
    fields: dict[tuple[str, ...], set[str]] = {(): set(request_type.model_fields)}
    if (parameters := request_type.model_fields.get("parameters")) is not None:
        fields["parameters",] = set(getattr(parameters.annotation, "model_fields", ()))
    if (inputs := request_type.model_fields.get("inputs")) is not None:
        fields["inputs",] = set(fields_within(inputs.annotation))
    for other, known in fields.items():
        if name in known and list(other) != place[:1]:
            return f" here; it belongs {f'into {other[0]}' if other else 'beside inputs'}"
    likely = get_close_matches(name[:MOST_COMPARED], fields.get(tuple(place), ()), 1)
    return f"; {likely[0]} may be meant" if likely else ""
