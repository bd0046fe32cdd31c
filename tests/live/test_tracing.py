"""Traces as a collector gets them, in both shapes: every stage of a request, batches, and nothing that was sent."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.otlp import collector
from tests.support.server import SHAPES, SeveralService, held, serve_as, until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = "1" * 32
SECRET = "zanzibar"


def parent(trace_id, *, is_sampled=True):
    return {"traceparent": f"00-{trace_id}-{CALLER}-0{int(is_sampled)}", "tracestate": "vendor=1"}


@pytest.fixture(params=SHAPES, scope="module")
def traced(request, tiny_models, tmp_path_factory):
    settings = {"runners": 1, "access_log": True, "api_keys": [SECRET], "access": {"metrics": "open"}}
    with collector() as collected, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        environment.setenv("OTEL_SERVICE_NAME", "a-service")
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("traced"), **settings) as service:
            service.client.headers["Authorization"] = f"Bearer {SECRET}"
            yield service, collected


def test_a_request_is_a_trace_of_its_stages_and_batches_link_to_their_requests(traced):
    service, collected = traced

    def ask(trace_id, path="/classify", **fields):
        headers = parent(trace_id, **fields) | {"User-Agent": SECRET, "X-Request-Id": SECRET}
        return service.client.post(path, json={"inputs": SECRET}, headers=headers)

    with ThreadPoolExecutor(3) as threads, held(service, "tiny-classify") as gate:
        first = threads.submit(ask, "2" * 32)  # occupies the only runner
        gate.wait_for_batch()
        behind = [threads.submit(ask, trace_id) for trace_id in (TRACE, OTHER)]
        until(lambda: service.metric("roberta_queue_requests") == 2)
        gate.opened.set()
    answers = {answer.headers["traceresponse"][3:35]: answer for answer in (each.result() for each in (first, *behind))}
    assert ask("3" * 32, is_sampled=False).headers["traceresponse"].endswith("-00")
    assert ask("4" * 32, "/models/zanzibar").status_code == 404
    until(lambda: len(collected.of(TRACE)) == 4 and len(collected.of(OTHER)) == 4 and collected.of("4" * 32))

    (request,) = collected.named("POST /classify", TRACE)
    assert (request.kind, request.parent_id, request.is_failed) == ("server", CALLER, False)
    assert answers[TRACE].headers["traceresponse"] == f"00-{TRACE}-{request.span_id}-01"
    facts = request.attributes
    assert facts == {
        "http.request.method": "POST",
        "http.route": "/classify",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/classify",
        "roberta.task": "classify",
        "roberta.model": "tiny-classify:1",
    }
    assert request.resource["service.name"] == "a-service"
    stages = {name: collected.named(name, TRACE)[0] for name in ("tokenize", "queue", "forward")}
    for stage in stages.values():
        assert (stage.parent_id, stage.kind) == (request.span_id, "internal")
        assert request.began <= stage.began <= stage.ended <= request.ended
    assert stages["tokenize"].ended <= stages["queue"].began
    assert stages["queue"].ended <= stages["forward"].began

    [(batch_trace, batch_id)] = stages["forward"].links
    (batch,) = until(lambda: collected.of(batch_trace))
    assert (batch.name, batch.span_id, batch.parent_id) == ("batch", batch_id, "")
    (other,) = collected.named("POST /classify", OTHER)
    assert set(batch.links) == {(TRACE, request.span_id), (OTHER, other.span_id)}
    assert batch.attributes["roberta.windows"] == 2
    assert batch.attributes["roberta.model"] == "tiny-classify"

    (unknown,) = collected.of("4" * 32)
    assert (unknown.name, unknown.is_failed) == ("POST /models/{name}", False)
    assert unknown.attributes["error.type"] == "model_not_found"
    assert collected.of("3" * 32) == []  # its caller does not want it to be kept
    assert not [body for body in collected.bodies if SECRET.encode() in body]


def test_a_latency_leads_to_its_trace(traced):
    service, _ = traced

    def exemplars_of(trace_id):
        text = service.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
        return [line for line in text.splitlines() if f'trace_id="{trace_id}"' in line]

    service.client.post("/classify", json={"inputs": SECRET}, headers=parent("7" * 32)).raise_for_status()
    exemplars = until(lambda: exemplars_of("7" * 32))  # several processes write theirs at an interval
    refused = service.client.post("/fill-mask", json={"inputs": SECRET}, headers=parent("8" * 32))
    assert refused.status_code == 422
    exemplars += until(lambda: exemplars_of("8" * 32))
    assert all(line.startswith("roberta_request_duration_seconds_bucket{") for line in exemplars)


def test_lines_of_the_log_name_the_trace(traced):
    service, _ = traced
    if not isinstance(service, SeveralService):
        pytest.skip("the log of this process is not the service's")
    asked, refused = "5" * 32, "6" * 32
    service.client.post("/classify", json={"inputs": SECRET}, headers=parent(asked)).raise_for_status()
    service.client.post("/classify", json={}, headers=parent(refused))
    until(lambda: asked in service.log() and refused in service.log())
    lines = [json.loads(line) for line in service.log().splitlines()]
    events = {line["trace_id"]: line["event"] for line in lines if "trace_id" in line}
    assert (events[asked], events[refused]) == ("request_answered", "request_failed")
