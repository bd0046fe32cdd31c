"""Spans as the SDK makes them, kept in memory."""

import time

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.tracing.spans import Tracing

TRACE, CALLER = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
CARRIER = {"traceparent": f"00-{TRACE:032x}-{CALLER:016x}-01", "tracestate": "vendor=1"}


def make(monkeypatch=None, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    kept = InMemorySpanExporter()
    return Tracing(SimpleSpanProcessor(kept)), kept


def spans_of(kept):
    return {span.name: span for span in kept.get_finished_spans()}


def test_a_request_goes_on_with_its_callers_trace_and_state():
    tracing, kept = make()
    tracing.begin("POST /classify", CARRIER, time.monotonic(), {}).end(200)
    span = spans_of(kept)["POST /classify"]
    assert (span.context.trace_id, span.parent.span_id) == (TRACE, CALLER)
    assert span.context.trace_state == {"vendor": "1"}


@pytest.mark.parametrize("traceparent", ["", "00-0-0-01", f"00-{0:032x}-{CALLER:016x}-01", "ff" + "0" * 100])
def test_a_context_that_is_not_valid_begins_a_trace(traceparent):
    tracing, kept = make()
    tracing.begin("POST /classify", {"traceparent": traceparent}, time.monotonic(), {}).end(200)
    assert spans_of(kept)["POST /classify"].parent is None


@pytest.mark.parametrize(("status", "failed"), [(200, False), (429, False), (503, True)])
def test_only_faults_of_the_service_are_failures(status, failed):
    tracing, kept = make()
    tracing.begin("POST /classify", {}, time.monotonic(), {}).end(status, "" if status == 200 else "a_code")
    span = spans_of(kept)["POST /classify"]
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type", "") == ("" if status == 200 else "a_code")
    assert (span.status.status_code is StatusCode.ERROR) is failed


def test_a_moment_of_the_monotonic_clock_becomes_the_time_of_day():
    tracing, kept = make()
    began = time.monotonic() - 2
    before = time.time_ns()
    request = tracing.begin("POST /classify", {}, began, {})
    request.trace.stage("queue", began, began + 1, tokens=7)
    request.end(200)
    queue = spans_of(kept)["queue"]
    assert abs(before - queue.start_time - 2e9) < 1e9
    assert abs(queue.end_time - queue.start_time - 1e9) < 1e8
    assert queue.attributes == {"roberta.tokens": 7}


def test_a_trace_of_which_another_process_knows_the_context_has_its_spans():
    tracing, kept = make()
    request = tracing.begin("POST /classify", {}, time.monotonic(), {})
    follower = tracing.follow(request.trace.carrier)
    assert follower.trace_id == request.trace_id
    follower.stage("queue", 0.0, 1.0, error="deadline_exceeded")
    queue = spans_of(kept)["queue"]
    assert f"{queue.context.trace_id:032x}" == request.trace_id
    assert queue.parent.span_id == request.trace.span_context.span_id
    assert queue.status.status_code is StatusCode.ERROR


def test_a_batch_and_the_forward_passes_of_its_requests_link_to_each_other():
    tracing, kept = make()
    first, second = (tracing.begin("POST /ner", {}, time.monotonic(), {}) for _ in range(2))
    first.trace.batch([second.trace], 0.0, 1.0, windows=3)
    batch, *forwards = sorted(kept.get_finished_spans(), key=lambda span: span.name)
    assert [link.context.trace_id for link in batch.links] == [int(each.trace_id, 16) for each in (first, second)]
    assert [span.links[0].context.span_id for span in forwards] == [batch.context.span_id] * 2
    assert [span.parent.span_id for span in forwards] == [link.context.span_id for link in batch.links]


@pytest.mark.parametrize(("sampler", "sampled"), [("always_off", 0), ("parentbased_always_on", 1)])
def test_the_environment_chooses_what_is_sampled(sampler, sampled, monkeypatch):
    tracing, kept = make(monkeypatch, OTEL_TRACES_SAMPLER=sampler)
    request = tracing.begin("POST /classify", {}, time.monotonic(), {})
    assert int(request.response[-2:], 16) & 1 == sampled
    assert (request.trace is None) is (request.exemplar is None) is (not sampled)
    request.end(200)
    assert len(kept.get_finished_spans()) == sampled


@pytest.mark.parametrize(
    ("variables", "name"),
    [({}, "roberta-serve"), ({"OTEL_SERVICE_NAME": "a"}, "a"), ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "b")],
)
def test_the_environment_may_name_the_service(variables, name, monkeypatch):
    tracing, kept = make(monkeypatch, **variables)
    tracing.begin("POST /classify", {}, time.monotonic(), {}).end(200)
    assert spans_of(kept)["POST /classify"].resource.attributes["service.name"] == name


def test_an_end_does_not_wait_for_a_collector_that_hangs():
    class Hanging(InMemorySpanExporter):
        def shutdown(self):
            time.sleep(5)

    tracing = Tracing(SimpleSpanProcessor(Hanging()))
    began = time.monotonic()
    tracing.close(0.01)
    assert time.monotonic() - began < 4
