"""Bodies that hypothesis makes up: what is read is what was written, and the rest is refused by one of our errors."""

from __future__ import annotations

import json
from contextlib import suppress
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.errors import InvalidRequestError, MalformedBodyError, RequestTooLargeError
from app.serving import structure
from app.serving.parsing import Bounds, parse
from app.serving.structure import count_fields, count_values
from app.tasks import TASKS

BOUNDS = Bounds(inputs=8, characters=1000)
REQUEST_TYPES = [task.request_type for task in TASKS.values()]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    [
        "inputs",
        "parameters",
        "model",
        "truncate",
        "options",
        "text",
        "text_pair",
        "question",
        "context",
        "top_k",
        "stride",
    ]
)
NEARLY = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-1, 2) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: not text.isspace()
)


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
@given(body=ANYTHING | NEARLY)
def test_any_json_is_a_request_or_refused(request_type, body):
    refused_or_read(json.dumps(body).encode(), request_type)


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
@given(body=st.binary(max_size=200))
@example(body=b'{"inputs":"\xed\xa0\x80"}')
@example(body=b"\xef\xbb\xbf{}")
def test_any_bytes_are_a_request_or_refused(request_type, body):
    refused_or_read(body, request_type)


def refused_or_read(body: bytes, request_type: type) -> None:
    try:
        request = parse(body, request_type, BOUNDS)
    except (MalformedBodyError, InvalidRequestError, RequestTooLargeError) as refused:
        sentence = refused.message
    else:
        assert 0 < request.count_inputs() <= BOUNDS.inputs
        assert request.count_characters() <= BOUNDS.characters
        return
    assert sentence.isprintable()
    assert 0 < len(sentence) < 400


def takes_texts(task) -> bool:
    """Whether an input is a text, or may be one."""
    with suppress(ValidationError):
        return bool(task.request_type.model_validate(task.example | {"inputs": "a [MASK]"}))
    return False


@pytest.mark.parametrize("task", list(filter(takes_texts, TASKS.values())), ids=lambda task: task.route)
@given(inputs=TEXT | st.lists(TEXT, min_size=1, max_size=8), model=st.none() | TEXT, truncate=st.booleans())
def test_what_is_read_is_what_was_written(task, inputs, model, truncate):
    body = task.example | {"inputs": inputs, "model": model, "truncate": truncate}
    for escaped in (True, False):
        request = parse(json.dumps(body, ensure_ascii=escaped).encode(), task.request_type, BOUNDS)
        assert (request.inputs, request.model, request.truncate) == (inputs, model, truncate)


# --- Counting without parsing ---------------------------------------------------------------------------------


SLICES = st.sampled_from([1, 2, 3, 7, structure.SLICE])  # bytes of a body that are looked at at once


@given(value=ANYTHING, most=st.integers(1, 40), indent=st.sampled_from([None, 1]), escaped=st.booleans(), bytes_=SLICES)
@example(value={"a": '\\"[,'}, most=1, indent=None, escaped=True, bytes_=1)
@example(value=["\\", "\\\\", '"', '\\\\"'], most=2, indent=None, escaped=True, bytes_=2)
def test_values_are_counted_as_a_parser_would(value, most, indent, escaped, bytes_):
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    marks = marks_in(value)
    with patch.object(structure, "SLICE", bytes_):
        assert (count_values(text.encode("utf-8", "surrogatepass"), most) > most) == (marks > most)


@given(value=ANYTHING, escaped=st.booleans(), bytes_=SLICES)
def test_fields_are_counted_as_a_parser_would(value, escaped, bytes_):
    text = json.dumps(value, ensure_ascii=escaped)
    with patch.object(structure, "SLICE", bytes_):
        assert count_fields(text.encode("utf-8", "surrogatepass")) == fields_in(value)


def marks_in(value: object) -> int:
    """Return how many lists, objects, colons and commas a value has as JSON."""
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(marks_in, value))
    if isinstance(value, dict):
        return 1 + len(value) + max(0, len(value) - 1) + sum(map(marks_in, value.values()))
    return 0


def fields_in(value: object) -> int:
    if isinstance(value, list):
        return sum(map(fields_in, value))
    return len(value) + sum(map(fields_in, value.values())) if isinstance(value, dict) else 0
