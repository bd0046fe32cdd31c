"""Bodies that are meant to be expensive are bounded, and refused at their first fault."""

import json
from copy import deepcopy

import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError, MalformedBodyError, RequestTooLargeError, ServeError
from app.serving import parsing
from app.serving.parsing import Bounds
from app.tasks import TASKS
from app.tasks.classify import ClassifyRequest
from app.tasks.ner import NerRequest
from app.tasks.parameters import Strict
from tests.support.meter import Meter

BOUNDS = Bounds(inputs=1024, characters=1_000_000)


def parse(body, request_type, bounds=BOUNDS):
    return parsing.parse(body, request_type, bounds)


def test_a_field_that_is_there_twice_is_refused():
    for body in (
        b'{"inputs": "a", "inputs": "b"}',
        b'{"inputs": "a", "parameters": {"top_k": 1, "top_k": 2}}',
        b'{"inputs": [{"text": "a", "text_pair": "b", "text": ":"}]}',
    ):
        with pytest.raises(InvalidRequestError, match="a field is there twice"):
            parse(body, ClassifyRequest)


@pytest.mark.parametrize("text", [":", '":"', '\\":', "\\\\", "\\u003a:", "{:[,"])
def test_what_stands_in_a_text_is_no_field(text):
    body = json.dumps({"inputs": [text, {"text": text, "text_pair": text}], "parameters": {"top_k": 1}}).encode()
    assert parse(body, ClassifyRequest).inputs[0] == text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 400, "1" * 5000])
def test_a_number_that_is_none_or_out_of_range_is_refused(number):
    with pytest.raises((InvalidRequestError, MalformedBodyError)):
        parse(f'{{"inputs": "a", "parameters": {{"threshold": {number}}}}}'.encode(), ClassifyRequest)


def test_deep_nesting_is_malformed():
    with pytest.raises(MalformedBodyError, match="recursion limit"):
        parse(b'{"inputs": ' + b"[" * 9000, ClassifyRequest)


def test_texts_and_characters_are_counted_together():
    with pytest.raises(RequestTooLargeError, match="inputs has 3 texts; at most 2 are taken at once"):
        parse(b'{"inputs": ["a", "b", "c"]}', ClassifyRequest, Bounds(2, 100))
    with pytest.raises(RequestTooLargeError, match="the request has 12 characters; at most 10 are taken at once"):
        parse(b'{"inputs": ["a:a", {"text": "aaa,a", "text_pair": "\xc3\xa9 a:"}]}', ClassifyRequest, Bounds(2, 10))


def lists_in(kind, path=()):
    """Yield the places of the lists in a request type's JSON schema, with the schema of each."""
    schema = kind.model_json_schema()

    def walk(part, path):
        part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        if part.get("type") == "array":
            yield path, part
        for name, each in part.get("properties", {}).items():
            yield from walk(each, (*path, name))
        for each in [*part.get("anyOf", ()), *part.get("oneOf", ())]:
            yield from walk(each, path)

    return list(walk(schema, path))


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.route)
def test_every_list_of_a_request_is_bounded_and_stops_at_its_first_fault(task):
    request = task.request_type
    places = lists_in(request)
    texts = next(name for name in ("inputs", "input") if name in request.model_fields)
    assert (texts,) in [path for path, _ in places]
    for path, schema in places:
        assert path[0] == texts or schema["maxItems"] <= 1000, path  # inputs are bounded by their number
        body = deepcopy(task.example)
        place = body
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = [[1]] * min(1000, schema.get("maxItems", 1000))
        with pytest.raises(ValidationError) as refused:
            request.model_validate_json(json.dumps(body))
        assert refused.value.error_count() == 1, path


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.route)
def test_every_object_of_a_request_is_strict(task):
    def models(kind):
        for field in kind.model_fields.values():
            for part in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if isinstance(part, type) and hasattr(part, "model_fields"):
                    yield part
                    yield from models(part)

    assert all(issubclass(kind, Strict) for kind in [task.request_type, *models(task.request_type)])


HOSTILE = {
    "wrong labels": (b'{"inputs":"a","parameters":{"ignore_labels":[' + b"1," * 2_000_000 + b"1]}}", 413),
    "unknown fields": (b'{"inputs":"a"' + b"".join(b',"%d":1' % i for i in range(300_000)) + b"}", 413),
    "many texts": (b'{"inputs":[' + b'"a",' * 1_000_000 + b'"a"]}', 413),
    "empty texts": (b'{"inputs":[' + b'"",' * 1_000_000 + b'""]}', 413),
    "many lists": (b'{"inputs":[' + b"[]," * 1_000_000 + b"[]]}", 413),
    "nested": (b'{"inputs":' + b"[" * 4_000_000, 413),
    "escapes": (b'{"inputs":"' + b"\\\\" * 2_000_000 + b'"}', 413),
    "quotes": (b'{"inputs":"' + b'\\"' * 2_000_000 + b'"}', 413),
    "commas": (b'{"inputs":"' + b"," * 4_000_000 + b'"}', 413),
    "digits": (b'{"inputs":' + b"1" * 4_000_000 + b"}", 400),
    "an exponent": (b'{"inputs":1e' + b"1" * 4_000_000 + b"}", 422),
    "spaces": (b" " * 4_000_000 + b'{"inputs":5}', 422),
    "not UTF-8": (b'{"inputs":"' + b"a" * 4_000_000 + b'\xff"}', 400),
    "wrong fields in bounds": (b'{"inputs":"a"' + b"".join(b',"%d":1' % i for i in range(4000)) + b"}", 422),
    "wrong texts in bounds": (b'{"inputs":[' + b"1," * 9000 + b"1]}", 422),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_body_holds_the_interpreter_or_much_memory(kind):
    body, status = HOSTILE[kind]
    with Meter() as meter, pytest.raises(ServeError) as refused:
        parse(body, NerRequest)
    assert refused.value.status == status
    assert meter.longest_hold_s < 0.5
    assert meter.added_bytes < 50e6
