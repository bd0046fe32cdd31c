"""Every row of the error list, over real HTTP: status, code, a sentence that names the place, nothing internal."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.support.answers import assert_error
from tests.support.server import SHAPES, SeveralService, ThreadService, held, replaced, serve, serve_as, until

TEXT = "a good film"
SECRET = "hunter2-in-an-exception"
PREDICTIONS = ["/classify", "/ner", "/fill-mask", "/", "/models/tiny-classify"]


def ask(service: ThreadService, path: str = "/classify", inputs: object = TEXT, headers=None, **fields: object):
    return service.client.post(path, json={"inputs": inputs, **fields}, headers=headers)


SMALL = {"runners": 1, "max_body_bytes": 8192, "max_inputs": 4, "max_queue_tokens": 512}


@pytest.fixture(scope="module", params=SHAPES)
def small(request, tiny_models, tmp_path_factory) -> Iterator[ThreadService | SeveralService]:
    """A service with one runner and little room."""
    with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("small"), **SMALL) as service:
        yield service


@pytest.fixture(scope="module")
def small_here(tiny_models) -> Iterator[ThreadService]:
    """The same in this process, to be reached into."""
    with serve(tiny_models, **SMALL) as service:
        yield service


@pytest.fixture(scope="module", params=SHAPES)
def locked(request, tiny_models, tmp_path_factory) -> Iterator[ThreadService | SeveralService]:
    """A service that asks for a key."""
    folder = tmp_path_factory.mktemp("locked")
    with serve_as(request.param, tiny_models, folder, api_keys=["first-key", "second-key"]) as service:
        yield service


# --- 400: not JSON ----------------------------------------------------------------------------------------

MALFORMED = {
    "empty": b"",
    "cut short": b'{"inputs": "a',
    "not JSON": b"inputs=a",
    "trailing comma": b'{"inputs": "a",}',
    "two documents": b'{"inputs": "a"} {}',
    "lone leading surrogate": rb'{"inputs": "\ud83d"}',
    "lone trailing surrogate": rb'{"inputs": "\ude00 a"}',
    "invalid UTF-8": b'{"inputs": "\xff\xfe"}',
    "surrogate in UTF-8": b'{"inputs": "\xed\xa0\x80"}',
    "UTF-16": '{"inputs": "a"}'.encode("utf-16"),
    "too deep": b'{"inputs": ' + b"[" * 50_000,
}


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_not_json_is_a_400(tiny, path, body):
    response = tiny.client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert_error(response, 400, "malformed_body", "not valid JSON")


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
    ("/classify", {"inputs": {"text": "a"}}, "inputs.text_pair: is missing"),
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
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"targets": "a"}}, "parameters.targets: "),
    (
        "/fill-mask",
        {"inputs": "<mask>", "parameters": {"targets": ["xyzzy"]}},
        "parameters.targets: 'xyzzy' is not one",
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


# --- 401: keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic first-key", "first-key", "Bearer first-key second-key"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", path) for path in PREDICTIONS] + [("GET", "/models")])
def test_a_request_without_a_configured_key_is_a_401(locked, method, path, given):
    headers = {} if given is None else {"Authorization": given}

    response = locked.client.request(method, path, headers=headers, content=b"not even JSON")

    assert_error(response, 401, "unauthorized", "Authorization: Bearer")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_that_is_not_ascii_is_a_401(locked):
    assert_error(ask(locked, headers={b"Authorization": "Bearer schlüssel".encode()}), 401, "unauthorized")


@pytest.mark.parametrize("given", ["Bearer first-key", "bearer second-key"])
def test_a_configured_key_opens(locked, given):
    assert ask(locked, headers={"Authorization": given}).status_code == 200
    assert locked.client.get("/models", headers={"Authorization": given}).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/ner/health", "/metrics", "/", "/openapi.json"])
def test_health_and_metrics_ask_for_no_key(locked, path):
    assert locked.client.get(path).status_code == 200


def test_a_token_is_ignored_where_no_key_is_configured(tiny):
    assert ask(tiny, headers={"Authorization": "Bearer hf_saved_on_this_machine"}).status_code == 200


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


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/v1/classify"), ("GET", "/ner/metrics")])
def test_an_unknown_path_is_a_404_in_the_same_shape(tiny, method, path):
    assert_error(tiny.client.request(method, path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/classify"), ("PUT", "/ner"), ("POST", "/models")])
def test_a_method_that_is_not_possible_is_a_405_in_the_same_shape(tiny, method, path):
    response = tiny.client.request(method, path)

    assert_error(response, 405, "method_not_allowed", method)
    assert response.headers["allow"] == ("GET" if path == "/models" else "POST")


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

    assert_error(response, 415, "unsupported_media_type", f"not {media_type}")


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", None]
)
def test_a_body_announced_as_json_or_not_at_all_is_read(tiny, media_type):
    headers = {} if media_type is None else {"Content-Type": media_type}

    assert tiny.client.post("/classify", content=b'{"inputs": "a"}', headers=headers).status_code == 200


# --- 429, 504: no room, no time ---------------------------------------------------------------------------


def test_a_full_queue_is_a_429_that_says_when_to_come_back(small, pool):
    refused = small.metric("roberta_rejected_total", reason="queue_full")
    half = "a film " * 120
    with held(small, "tiny-classify") as gate:
        running = pool.submit(ask, small)
        gate.wait_for_batch()
        queued = pool.submit(ask, small, inputs=half)
        until(lambda: small.metric("roberta_queue_requests") == 1)
        assert small.metric("roberta_queue_tokens") > 256

        response = ask(small, inputs=half)

        assert_error(response, 429, "queue_full", "try again later")
        assert int(response.headers["retry-after"]) >= 1
        assert small.metric("roberta_rejected_total", reason="queue_full") == refused + 1
    assert [running.result().status_code, queued.result().status_code] == [200, 200]
    assert ask(small, inputs=half).status_code == 200


def test_a_deadline_that_passes_is_a_504(small, pool):
    missed = small.metric("roberta_deadline_missed_total")
    with held(small, "tiny-classify") as gate:
        running = pool.submit(ask, small)
        gate.wait_for_batch()

        response = ask(small, headers={"X-Request-Timeout-Ms": "50"})

        assert_error(response, 504, "deadline_exceeded", "deadline")
        assert small.metric("roberta_queue_requests") == small.metric("roberta_queue_tokens") == 0
    assert running.result().status_code == 200
    assert small.metric("roberta_deadline_missed_total") == missed + 1


def test_a_deadline_that_cannot_be_met_is_a_504_before_any_work(small_here):
    cost = small_here.lane("tiny-classify").cost
    with replaced(cost, "per_token", 1.0):
        assert_error(ask(small_here, headers={"X-Request-Timeout-Ms": "500"}), 504, "deadline_unmeetable", "would take")


# --- 500: nothing internal leaks --------------------------------------------------------------------------


def fail(*_: object, **__: object) -> None:
    raise RuntimeError(f"{SECRET} at /usr/lib/internal.so")


def test_a_failing_forward_pass_is_a_500_that_leaks_nothing(tiny_here, caplog):
    failures = tiny_here.metric("roberta_forward_failures_total", model="tiny-classify")
    with replaced(tiny_here.lane("tiny-classify"), "run", fail), capture_logs() as logs:
        response = ask(tiny_here)

    assert_error(response, 500, "inference_failed")
    assert_leaks_nothing(response.text, str(logs), caplog.text)
    assert "RuntimeError" in str(logs)
    assert tiny_here.metric("roberta_forward_failures_total", model="tiny-classify") == failures + 1
    assert ask(tiny_here).status_code == 200


def assert_leaks_nothing(*outputs: str) -> None:
    for output in outputs:
        for word in (SECRET, "internal.so", TEXT):
            assert word not in output


def test_only_the_culprit_of_a_batch_fails(small_here, pool):
    lane = small_here.lane("tiny-classify")
    run, culprit = lane.run, "bad " * 9

    def fail_on_the_longest(windows, **where):
        if max(map(len, windows)) > 8:
            raise RuntimeError("this one")
        return run(windows, **where)

    with replaced(lane, "run", fail_on_the_longest), held(small_here, "tiny-classify") as gate:
        running = pool.submit(ask, small_here)
        gate.wait_for_batch()
        batch = [pool.submit(ask, small_here, inputs=text) for text in ("good", "warm", culprit, "cold", "dull")]
        until(lambda: small_here.metric("roberta_queue_requests") == 5)
        gate.opened.set()
        statuses = [future.result().status_code for future in (running, *batch)]

    assert statuses == [200, 200, 200, 500, 200, 200]


# --- 503: not yet, or no longer ---------------------------------------------------------------------------


def test_a_service_that_is_loading_is_a_503(tiny_models):
    go_on = threading.Event()

    def prepare(app):
        load = app.state.loader.load
        app.state.loader.load = lambda: go_on.wait(30) and load()

    with serve(tiny_models, wait=False, prepare=prepare) as service:
        try:
            response = ask(service)
            assert_error(response, 503, "not_ready", "still loading")
            assert int(response.headers["retry-after"]) >= 1
            assert service.client.get("/health/live").status_code == 200
            assert service.client.get("/health/ready").status_code == 503
            assert service.client.get("/classify/health").status_code == 503
            assert service.client.get("/models").json() == {"models": []}
        finally:
            go_on.set()
        until(service.is_ready)
        assert ask(service).status_code == 200


def test_a_service_that_is_draining_is_a_503_and_finishes_its_work(small_here, pool):
    with held(small_here, "tiny-classify") as gate:
        running = pool.submit(ask, small_here)
        gate.wait_for_batch()
        with replaced(small_here.app.state.predictor, "draining", True):
            assert_error(ask(small_here), 503, "not_ready", "shutting down")
            assert_error(ask(small_here, "/models/tiny-ner"), 503, "not_ready", "shutting down")
            assert small_here.client.get("/health/live").status_code == 200
            for path in ("/health", "/health/ready", "/ner/health"):
                response = small_here.client.get(path)
                assert response.status_code == 503
                assert "shutting down" in response.json()["reason"]
            gate.opened.set()
            assert running.result().status_code == 200


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
