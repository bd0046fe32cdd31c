"""What a caller can do wrong, over real HTTP: status, code, and a sentence that names the place."""

from __future__ import annotations

import json

import pytest

from tests.support.answers import TEXT, ask, assert_error

PREDICTIONS = ["/classify", "/ner", "/fill-mask", "/", "/models/tiny-classify"]


# --- 400: not JSON ----------------------------------------------------------------------------------------

MALFORMED = {
    "cut short": b'{"inputs": "a',
    "not JSON": b"inputs=a",
    "trailing comma": b'{"inputs": "a",}',
    "two documents": b'{"inputs": "a"} {}',
    "lone leading surrogate": rb'{"inputs": "\ud83d"}',
    "lone trailing surrogate": rb'{"inputs": "\ude00 a"}',
    "invalid UTF-8": b'{"inputs": "\xff\xfe"}',
    "surrogate in UTF-8": b'{"inputs": "\xed\xa0\x80"}',
    "too deep": b'{"inputs": ' + b"[" * 5_000,
}


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_not_json_is_a_400(tiny, path, body):
    response = tiny.client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert_error(response, 400, "malformed_body", "not valid JSON")


NAMED = {"empty": (b"", "the body is empty"), "UTF-16": ('{"inputs": "a"}'.encode("utf-16"), "send JSON in UTF-8")}


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize(("body", "sentence"), NAMED.values(), ids=NAMED)
def test_a_body_that_is_easily_seen_not_to_be_json_is_named(tiny, path, body, sentence):
    response = tiny.client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert_error(response, 400, "malformed_body", sentence)


# --- 422: not what the route takes; the sentence names the field --------------------------------------------

INVALID = [
    ("/classify", [], "body"),
    ("/classify", "a good film", "body"),
    ("/classify", {}, "inputs: is missing"),
    ("/classify", {"inputs": None}, "inputs: must be a text or a list"),
    ("/classify", {"inputs": 7}, "inputs: must be a text or a list"),
    ("/classify", {"inputs": ""}, "inputs: the text is empty"),
    ("/classify", {"inputs": " \n\t"}, "inputs: the text is empty"),
    ("/classify", {"inputs": []}, "inputs: "),
    ("/classify", {"inputs": ["a", 7]}, "inputs.1: must be a text"),
    ("/classify", {"inputs": ["a", "b", ""]}, "inputs.2: the text is empty"),
    ("/classify", {"inputs": {"text_pair": "a"}}, "inputs.text: is missing"),
    ("/classify", {"inputs": {"text": "a", "text_pair": ""}}, "inputs.text_pair: the text is empty"),
    ("/classify", {"inputs": [{"text": "a", "text_pair": "b", "c": 1}]}, "inputs.0.c: unknown field"),
    ("/classify", {"inputs": "a", "input": "b"}, "input: unknown field"),
    ("/classify", {"inputs": "a", "model": 7}, "model: "),
    ("/classify", {"inputs": "a", "truncate": "yes"}, "truncate: "),
    ("/classify", {"inputs": "a", "parameters": []}, "parameters: "),
    ("/classify", {"inputs": "a", "parameters": {"topk": 1}}, "parameters.topk: unknown field"),
    ("/classify", {"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k: "),
    ("/classify", {"inputs": "a", "parameters": {"top_k": "1"}}, "parameters.top_k: "),
    ("/classify", {"inputs": "a", "parameters": {"top_k": True}}, "parameters.top_k: "),
    ("/classify", {"inputs": "a", "parameters": {"function_to_apply": "tanh"}}, "parameters.function_to_apply: "),
    ("/ner", {"inputs": {"text": "a", "text_pair": "b"}}, "inputs: "),
    ("/ner", {"inputs": []}, "inputs: "),
    ("/ner", {"inputs": ["a", ""]}, "inputs.1: the text is empty"),
    ("/ner", {"inputs": "a", "parameters": {"aggregation_strategy": "most"}}, "parameters.aggregation_strategy: "),
    ("/ner", {"inputs": "a", "parameters": {"ignore_labels": "O"}}, "parameters.ignore_labels: "),
    ("/ner", {"inputs": "a", "parameters": {"stride": -1}}, "parameters.stride: "),
    ("/ner", {"inputs": "a", "parameters": {"stride": 32}}, "parameters.stride must be at most 31"),
    ("/ner", {"inputs": "a", "parameters": {"top_k": 1}}, "parameters.top_k: unknown field"),
    ("/fill-mask", {"inputs": ""}, "inputs: the text is empty"),
    ("/fill-mask", {"inputs": "no gap"}, "inputs: text 0 has no <mask> to fill"),
    ("/fill-mask", {"inputs": ["a <mask>", "b"]}, "inputs: text 1 has no <mask> to fill"),
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"top_k": 0}}, "parameters.top_k: "),
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"targets": []}}, "parameters.targets: "),
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"targets": 5}}, "parameters.targets: "),
    (
        "/fill-mask",
        {"inputs": "<mask>", "parameters": {"targets": ["xyzzy"]}},
        "parameters.targets.0: is not one token",
    ),
    ("/models/tiny-ner", {"inputs": "a", "parameters": {"top_k": 1}}, "parameters.top_k: unknown field"),
    ("/models/tiny-ner", {"inputs": "a", "model": "tiny-classify"}, "model: the path already names tiny-ner"),
]


@pytest.mark.parametrize(("path", "body", "words"), INVALID, ids=lambda value: json.dumps(value)[:60])
def test_an_invalid_request_is_a_422_that_names_the_field(tiny, path, body, words):
    assert_error(tiny.client.post(path, json=body), 422, "invalid_request", words)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(("X-Request-Timeout-Ms", value) for value in ("0", "-5", "soon", "1.5", "9" * 5000)),
        *(("X-Priority", value) for value in ("11", "-11", "high", "1.5", "")),
    ],
    ids=lambda value: value[:20],
)
def test_an_invalid_header_is_a_422_that_names_it(tiny, header, value):
    assert_error(ask(tiny, headers={header: value}), 422, "invalid_request", header)


# --- 404, 405: nothing there ------------------------------------------------------------------------------

NOWHERE = [
    ("/classify", {"model": "nobody"}, "there is no model 'nobody'"),
    ("/classify?model=nobody", {}, "there is no model 'nobody'"),
    ("/models/nobody", {}, "there is no model 'nobody'"),
    ("/classify", {"model": "tiny-classify:2"}, "version '2' of 'tiny-classify' is not loaded"),
    ("/models/tiny-classify:2", {}, "version '2' of 'tiny-classify' is not loaded"),
    ("/classify", {"model": "tiny-ner"}, "'tiny-ner' answers /ner, not /classify"),
    ("/ner?model=tiny-classify", {}, "'tiny-classify' answers /classify, not /ner"),
]


@pytest.mark.parametrize(("path", "fields", "words"), NOWHERE)
def test_a_model_that_is_not_there_is_a_404(tiny, path, fields, words):
    assert_error(ask(tiny, path, **fields), 404, "model_not_found", words)


def test_a_model_that_is_not_there_has_no_description(tiny):
    assert_error(tiny.client.get("/models/nobody"), 404, "model_not_found", "'nobody'")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/nowhere/classify"), ("GET", "/ner/metrics")]
)
def test_an_unknown_path_is_a_404_in_the_same_shape(tiny, method, path):
    assert_error(tiny.client.request(method, path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/classify"), ("PUT", "/ner"), ("POST", "/models")])
def test_a_method_that_is_not_possible_is_a_405_in_the_same_shape(tiny, method, path):
    response = tiny.client.request(method, path)

    assert_error(response, 405, "method_not_allowed", method)
    assert response.headers["allow"] == ("GET, HEAD" if path == "/models" else "POST")


# --- 413, 415: too much, or not JSON ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [8193, 5_000_000])
@pytest.mark.parametrize("path", ["/classify", "/models/tiny-ner"])
def test_a_large_body_is_a_413_by_its_announced_length(small, path, size):
    body = b'{"inputs": "' + b"a" * (size - 14) + b'"}'

    assert_error(small.client.post(path, content=body), 413, "request_too_large", "larger than 8192 bytes")
    assert ask(small).status_code == 200


def test_a_large_body_is_a_413_when_it_comes_in_chunks(small):
    response = small.client.post("/classify", content=iter([b'{"inputs": "', *[b"a" * 1000] * 100, b'"}']))

    assert_error(response, 413, "request_too_large", "larger than 8192 bytes")
    assert ask(small).status_code == 200


@pytest.mark.parametrize(("path", "text"), [("/classify", "a"), ("/ner", "a"), ("/fill-mask", "a <mask>")])
def test_too_many_inputs_are_a_413(small, path, text):
    assert_error(ask(small, path, [text] * 5), 413, "request_too_large", "5 texts", "at most 4")
    assert ask(small, path, [text] * 4).status_code == 200


def test_more_tokens_than_the_queue_holds_are_a_413(small):
    assert_error(ask(small, inputs="a film " * 300), 413, "request_too_large", "tokens; at most 512")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"])
def test_a_body_announced_as_something_else_is_a_415(tiny, media_type):
    response = ask(tiny, headers={"Content-Type": media_type})

    assert_error(response, 415, "unsupported_media_type", "application/json")


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", None]
)
def test_a_body_announced_as_json_or_not_at_all_is_read(tiny, media_type):
    headers = {} if media_type is None else {"Content-Type": media_type}

    assert tiny.client.post("/classify", content=b'{"inputs": "a"}', headers=headers).status_code == 200


# --- Every error ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404, 415, 422])
def test_the_request_id_comes_back(tiny, status):
    path = "/nowhere" if status == 404 else "/classify"
    headers = {"X-Request-Id": "caller-17/b", "Content-Type": "text/plain" if status == 415 else "application/json"}
    response = ask(tiny, path, inputs="" if status == 422 else TEXT, headers=headers)

    assert response.status_code == status
    assert response.headers["x-request-id"] == "caller-17/b"
    assert status == 200 or response.json()["request_id"] == "caller-17/b"


@pytest.mark.parametrize("given", ["two words", "ümlaut", "a" * 129, ""])
def test_a_request_id_that_cannot_be_echoed_is_replaced(tiny, given):
    response = ask(tiny, headers={b"X-Request-Id": given.encode()})

    assert response.headers["x-request-id"] not in (given, "")


def test_refusals_are_counted_by_reason(tiny):
    def refused(reason):
        return tiny.metric("roberta_rejected_total", reason=reason)

    before = refused("invalid_request"), refused("malformed_body")
    ask(tiny, inputs="")
    tiny.client.post("/classify", content=b"{")

    assert (refused("invalid_request"), refused("malformed_body")) == (before[0] + 1, before[1] + 1)
    assert tiny.metric("roberta_requests_total", task="classify", code="422") >= 1
