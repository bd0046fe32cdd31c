"""Bodies and headers: whatever is wrong is refused with a sentence that names the place."""

import asyncio
import json
import time

import pytest
from pydantic import ValidationError

from app.api.request import parse, priority_of, read_body, request_id_of, timeout_s_of
from app.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InvalidRequestError,
    MalformedBodyError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from app.tasks.classify import ClassifyRequest
from app.tasks.fill_mask import FillMaskRequest
from app.tasks.ner import NerRequest


def as_headers(**fields):
    """Headers as ASGI gives them."""
    return {name.lower().replace("_", "-").encode(): value.encode("latin-1") for name, value in fields.items()}


def body_in(chunks):
    """A body that comes in chunks."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False

    async def receive():
        return messages.pop(0)

    return receive


# --- Bodies ---------------------------------------------------------------------------------------------

CLASSIFY = [
    ({}, "inputs: is missing"),
    ({"inputs": ""}, "inputs: the text is empty"),
    ({"inputs": " \n\t"}, "inputs: the text is empty"),
    ({"inputs": 5}, "inputs: must be a text or a list of texts"),
    ({"inputs": None}, "inputs: must be a text or a list of texts"),
    ({"inputs": []}, "inputs: List should have at least 1 item"),
    ({"inputs": ["a", ""]}, "inputs.1: the text is empty"),
    ({"inputs": ["a", 5]}, 'inputs.1: must be a text or {"text", "text_pair"}'),
    ({"inputs": {"text": "a"}}, "inputs.text_pair: is missing"),
    ({"inputs": {"text": "a", "text_pair": "b", "c": 1}}, "inputs.c: unknown field"),
    ({"inputs": [{"text": "a", "text_pair": 1}]}, "inputs.0.text_pair: Input should be a valid string"),
    ({"inputs": "a", "input": "b"}, "input: unknown field"),
    ({"inputs": "a", "parameters": {"topk": 1}}, "parameters.topk: unknown field"),
    ({"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k: Input should be greater than or equal to 1"),
    ({"inputs": "a", "parameters": {"top_k": "1"}}, "parameters.top_k: Input should be a valid integer"),
    ({"inputs": "a", "parameters": {"top_k": True}}, "parameters.top_k: Input should be a valid integer"),
    (
        {"inputs": "a", "parameters": {"function_to_apply": "relu"}},
        "parameters.function_to_apply: Input should be 'softmax', 'sigmoid' or 'none'",
    ),
    ({"inputs": "a", "truncate": "yes"}, "truncate: Input should be a valid boolean"),
    ({"inputs": "a", "model": 5}, "model: Input should be a valid string"),
    ([], "body: Input should be an object"),
    ("a", "body: Input should be an object"),
    (None, "body: Input should be an object"),
]
NER = [
    ({"inputs": {"text": "a", "text_pair": "b"}}, "inputs: must be a text or a list of texts"),
    ({"inputs": [["a"]]}, "inputs.0: Input should be a valid string"),
    ({"inputs": "a", "parameters": {"stride": -1}}, "parameters.stride: Input should be greater than or equal to 0"),
    (
        {"inputs": "a", "parameters": {"aggregation_strategy": "best"}},
        "parameters.aggregation_strategy: Input should be 'none', 'simple', 'first', 'average' or 'max'",
    ),
    ({"inputs": "a", "parameters": {"ignore_labels": "O"}}, "parameters.ignore_labels: Input should be a valid array"),
]
FILL_MASK = [
    ({"inputs": "a", "parameters": {"targets": []}}, "parameters.targets: List should have at least 1 item"),
    ({"inputs": "a", "parameters": {"targets": ["a", 1]}}, "parameters.targets.1: Input should be a valid string"),
    ({"inputs": "a", "parameters": {"top_k": 2000}}, "parameters.top_k: Input should be less than or equal to 1000"),
]
TABLES = ((ClassifyRequest, CLASSIFY), (NerRequest, NER), (FillMaskRequest, FILL_MASK))
BAD = [pytest.param(kind, *case, id=f"{kind.__name__} {case[1]}") for kind, table in TABLES for case in table]


@pytest.mark.parametrize(("kind", "body", "message"), BAD)
def test_a_bad_body_is_refused_with_the_fields_name(kind, body, message):
    with pytest.raises(InvalidRequestError) as refused:
        parse(json.dumps(body).encode(), kind)
    assert refused.value.message.startswith(message)
    assert "\n" not in refused.value.message


NOT_JSON = [
    b"",
    b"{",
    b"{'inputs': 'a'}",
    b'{"inputs": "\xff"}',
    b'{"inputs": "a"} x',
    b'{"inputs": "\\ud800"}',
    b"nil",
]


@pytest.mark.parametrize("body", NOT_JSON, ids=repr)
def test_what_is_not_json_in_utf8_is_malformed(body):
    with pytest.raises(MalformedBodyError, match="the body is not valid JSON in UTF-8: "):
        parse(body, ClassifyRequest)


def test_a_message_does_not_quote_the_text():
    with pytest.raises(InvalidRequestError) as refused:
        parse(b'{"inputs": ["a", {"text": "a secret"}]}', ClassifyRequest)
    assert "secret" not in refused.value.message


def test_a_long_field_name_is_cut():
    with pytest.raises(InvalidRequestError) as refused:
        parse(json.dumps({"inputs": "a", "x" * 10_000: 1}).encode(), ClassifyRequest)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["a\x00b", "é 😀", "\u200b", "x" * 100_000], ids=lambda text: ascii(text)[:20])
def test_strange_texts_are_texts(text):
    assert parse(json.dumps({"inputs": text}).encode(), ClassifyRequest).inputs == text


def test_nulls_are_defaults():
    body = b'{"inputs": "a", "model": null, "parameters": {"top_k": null, "function_to_apply": null}}'
    assert parse(body, ClassifyRequest) == ClassifyRequest(inputs="a")


@pytest.mark.parametrize("item", [1, "", " "])
def test_of_a_list_only_the_first_fault_is_looked_for(item):
    body = json.dumps({"inputs": ["a", *[item] * 1000]}).encode()
    for request_type in (ClassifyRequest, NerRequest, FillMaskRequest):
        with pytest.raises(ValidationError) as refused:
            request_type.model_validate_json(body)
        assert refused.value.error_count() == 1
        with pytest.raises(InvalidRequestError, match=r"^inputs\.1: "):
            parse(body, request_type)


# --- Reading --------------------------------------------------------------------------------------------


def read(headers, *chunks):
    return asyncio.run(read_body(headers, body_in(chunks), 10, time.monotonic() + 60))


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/problem+json", None],
)
def test_json_by_any_name_is_read(media_type):
    headers = as_headers(content_type=media_type) if media_type else {}
    assert read(headers, b"{}") == b"{}"


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "application/jsonp"])
def test_another_media_type_is_refused(media_type):
    with pytest.raises(UnsupportedMediaTypeError, match=f"not {media_type.partition(';')[0]}"):
        read(as_headers(content_type=media_type), b"{}")


@pytest.mark.parametrize(
    ("headers", "chunks"),
    [({"content_length": "11"}, [b""]), ({}, [b"12345678", b"901"]), ({"content_length": "2"}, [b"1" * 11])],
)
def test_a_body_over_the_limit_is_refused(headers, chunks):
    with pytest.raises(RequestTooLargeError, match="larger than 10 bytes"):
        read(as_headers(**headers), *chunks)


def test_a_body_at_the_limit_is_read_whole():
    assert read(as_headers(content_length="10"), b"12345", b"67890") == b"1234567890"


def test_a_client_that_leaves_before_the_end_of_its_body_is_gone():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    with pytest.raises(ClientGoneError):
        asyncio.run(read_body({}, receive, 10, time.monotonic() + 60))


def test_a_body_that_does_not_end_is_given_up_at_the_deadline():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        return messages.pop(0) if messages else await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError, match="before the body was received"):
        asyncio.run(read_body({}, receive, 10, time.monotonic() + 0.01))


# --- Headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "seconds"), [(None, 30.0), ("1", 0.001), ("1500", 1.5), ("99999999", 30.0)])
def test_a_timeout_is_in_milliseconds_and_at_most_the_services(given, seconds):
    assert timeout_s_of(as_headers(X_Request_Timeout_Ms=given) if given else {}, 30.0) == seconds


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "1e3", "soon", "", " ", "²", "9" * 5000])
def test_a_timeout_that_is_no_whole_number_is_refused_by_name(given):
    with pytest.raises(InvalidRequestError, match="X-Request-Timeout-Ms"):
        timeout_s_of(as_headers(X_Request_Timeout_Ms=given), 30.0)


@pytest.mark.parametrize(("given", "priority"), [(None, 0), ("0", 0), ("10", 10), ("-10", -10), ("+3", 3)])
def test_a_priority(given, priority):
    assert priority_of(as_headers(X_Priority=given) if given else {}) == priority


@pytest.mark.parametrize("given", ["11", "-11", "1.5", "high", "", "1 ", "²"])
def test_a_priority_out_of_range_is_refused_by_name(given):
    with pytest.raises(InvalidRequestError, match="X-Priority must be a whole number from -10 to 10"):
        priority_of(as_headers(X_Priority=given))


def test_a_request_id_is_the_callers():
    assert request_id_of(as_headers(X_Request_Id="abc-123")) == "abc-123"


@pytest.mark.parametrize("given", [None, "", "a b", "é", "x" * 129, "a\x7f"])
def test_a_request_id_that_cannot_be_echoed_is_made_anew(given):
    headers = as_headers(X_Request_Id=given) if given is not None else {}
    one, other = request_id_of(headers), request_id_of(headers)
    assert one != other
    assert len(one) == 32
