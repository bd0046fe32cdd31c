"""The span of a prediction over HTTP, by an application in this process."""

import json

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

from app.api.traced import TracedCalls
from app.errors import QueueFullError
from app.tracing.spans import Tracing
from tests.app.backends import ToyBackend
from tests.app.calls import ask


@pytest.fixture
def kept():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(kept):
    return Tracing(SimpleSpanProcessor(kept))


def test_an_answer_says_which_span_it_has(tracing, kept):
    _, headers, _, _ = ask(path="/models/toy", tracing=tracing)
    (span,) = kept.get_finished_spans()
    assert headers["traceresponse"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")
    assert span.name == "POST /models/{name}"
    assert span.attributes["roberta.model"] == "toy:1"
    assert "url.path" not in span.attributes


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"body": b"{"}, 400, "malformed_body"),
        ({"path": "/models/a text"}, 404, "model_not_found"),
        ({"backend": ToyBackend(QueueFullError("full", retry_after_s=1.0))}, 429, "queue_full"),
        ({"backend": ToyBackend(ZeroDivisionError("a message that quotes the text"))}, 500, "internal_error"),
    ],
    ids=str,
)
def test_an_error_is_named_by_its_code_alone(fields, status, code, tracing, kept):
    _, headers, content, _ = ask(tracing=tracing, **fields)
    (span,) = kept.get_finished_spans()
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (status, code)
    assert f"{span.context.trace_id:032x}" in headers["traceresponse"]
    assert json.loads(content)["error_type"] == code
    assert not [text for text in ("a text", "the text") if text in span.to_json()]


def test_pages_have_no_span_and_no_span_no_header(tracing, kept):
    ask("GET", "/health/ready", tracing=tracing)
    assert kept.get_finished_spans() == ()
    assert "traceresponse" not in ask()[1]


def test_a_refusal_by_the_head_is_a_trace_too(tracing, kept):
    traced = TracedCalls(tracing, ["/models/{name}", "/v2/models/{name}/versions/{version}/infer"], "https")
    with traced.refuse("/v2/models/a text/versions/1/infer", {}, 0.0, "toy", QueueFullError("full")) as told:
        said = get_contextvars()
    (span,) = kept.get_finished_spans()
    assert said == {"trace_id": f"{span.context.trace_id:032x}"}
    assert span.attributes["url.scheme"] == "https"
    assert span.name == "POST /v2/models/{name}/versions/{version}/infer"
    assert span.attributes["error.type"] == "queue_full"
    assert f"{span.context.span_id:016x}".encode() in told
