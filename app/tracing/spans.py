"""Spans by OpenTelemetry's SDK: of a request, of its stages, and of batches, with links between them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.tracing import Carrier, Fact

SERVICE = "roberta-serve"  # where the environment does not name the service
SCOPE = "roberta_serve"  # of the instrumentation
PREFIX = "roberta."  # of attributes that no convention names
LAST_SPANS_S = 2.0  # for the spans that are still to be sent when the process ends

W3C = TraceContextTextMapPropagator()  # baggage is not read


class Tracing:
    """Makes spans and hands them to `processor`. Which traces are sampled, `OTEL_TRACES_SAMPLER` says."""

    def __init__(self, processor: SpanProcessor, process: str | None = None) -> None:
        resource = resource_of(process)
        self._provider = TracerProvider(None, resource, shutdown_on_exit=False)
        # The span of a batch belongs to no request's trace, and is made where one of its requests is sampled.
        always = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        for provider in (self._provider, always):
            provider.add_span_processor(processor)
        self.spans = self._provider.get_tracer(SCOPE, __version__)
        self.batches = always.get_tracer(SCOPE, __version__)

    def begin(self, name: str, carrier: Mapping[str, str], arrived: float, facts: Mapping[str, Fact]) -> RequestSpan:
        """Begin the span of a request whose client says by `carrier` which trace it belongs to, or of a new trace."""
        before = W3C.extract(carrier) if carrier else Context()
        span = self.spans.start_span(name, before, SpanKind.SERVER, dict(facts), start_time=wall_ns(arrived))
        return RequestSpan(self, span)

    def follow(self, carrier: Carrier) -> SpanTrace:
        """Return the trace of a request that another process has begun."""
        return SpanTrace(self, W3C.extract(carrier))

    def close(self, limit_s: float = LAST_SPANS_S) -> None:
        """Send what is left, for so long at most."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(limit_s)


class SpanTrace:
    """A trace that is sampled; see `app.tracing.Trace`."""

    def __init__(self, tracing: Tracing, context: Context) -> None:
        self._tracing, self._context = tracing, context

    @property
    def trace_id(self) -> str:
        return f"{self.span_context.trace_id:032x}"

    @property
    def carrier(self) -> Carrier:
        carrier: Carrier = {}
        W3C.inject(carrier, self._context)
        return carrier

    def stage(self, name: str, began: float, ended: float, *, error: str = "", **facts: Fact) -> None:
        self._add(name, wall_ns(began), wall_ns(ended), (), error, named(facts))

    def batch(self, others: Sequence[Self], began: float, ended: float, *, error: str = "", **facts: Fact) -> None:
        first, last, about = wall_ns(began), wall_ns(ended), named(facts)
        links = [Link(each.span_context) for each in (self, *others)]
        batch = self._tracing.batches.start_span("batch", Context(), attributes=about, links=links, start_time=first)
        for each in (self, *others):
            each._add("forward", first, last, [Link(batch.get_span_context())], error, about)
        fail(batch, error)
        batch.end(last)

    @property
    def span_context(self) -> SpanContext:
        """The context of the span that all others of this trace stand below."""
        return get_current_span(self._context).get_span_context()

    def _add(
        self, name: str, began: int, ended: int, links: Sequence[Link], error: str, about: Mapping[str, Fact]
    ) -> None:
        span = self._tracing.spans.start_span(name, self._context, attributes=about, links=links, start_time=began)
        fail(span, error)
        span.end(ended)


class RequestSpan:
    """The span of a request, from its arrival to its answer."""

    def __init__(self, tracing: Tracing, span: Span) -> None:
        self._span, context = span, span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self._span_id, self._flags = f"{context.span_id:016x}", context.trace_flags
        self.trace = SpanTrace(tracing, set_span_in_context(span, Context())) if context.trace_flags.sampled else None

    @property
    def response(self) -> str:
        """What the client is told of the span. Source: W3C Trace Context, the header `traceresponse`."""
        return f"00-{self.trace_id}-{self._span_id}-{self._flags:02x}"

    @property
    def exemplar(self) -> dict[str, str] | None:
        """The labels by which a measured value leads to this trace; None where nobody keeps it."""
        return None if self.trace is None else {"trace_id": self.trace_id, "span_id": self._span_id}

    def note(self, **facts: Fact) -> None:
        """Say more of the request."""
        self._span.set_attributes(named(facts))

    def end(self, status: int, error: str = "") -> None:
        """End the span with the status of the answer and, unless it is 200, the code of the error.

        Only faults of the server make a span of a server one that failed. Source: OpenTelemetry's conventions for HTTP.
        """
        self._span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if error and status < 500:
            self._span.set_attribute(ERROR_TYPE, error)
        else:
            fail(self._span, error)
        self._span.end()


def exporting(process: str | None) -> Tracing:
    """Return what sends spans to where the environment says, over OTLP."""
    return Tracing(BatchSpanProcessor(OTLPSpanExporter()), process)


def resource_of(process: str | None) -> Resource:
    """Return what is true of all spans of this process; the environment may name the service, and say more."""
    about = {SERVICE_VERSION: __version__} | ({} if process is None else {f"{PREFIX}process": process})
    is_named = os.environ.get("OTEL_SERVICE_NAME") or f"{SERVICE_NAME}=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create(about if is_named else {SERVICE_NAME: SERVICE, **about})


def named(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {PREFIX + name: fact for name, fact in facts.items()}


def fail(span: Span, error: str) -> None:
    """Mark a span as failed, where there is the code of an error."""
    if error:
        span.set_attribute(ERROR_TYPE, error)
        span.set_status(Status(StatusCode.ERROR))


def wall_ns(moment: float) -> int:
    """Return when a moment of `time.monotonic()` was, in ns since 1970."""
    return time.time_ns() - int((time.monotonic() - moment) * 1e9)
