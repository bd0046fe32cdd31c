"""The span of a prediction that is asked for over HTTP: from its arrival to its answer, refused ones included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from structlog.contextvars import bound_contextvars

from app.api.request import Headers
from app.errors import ServeError
from app.tracing import Fact, Trace, current

if TYPE_CHECKING:
    from app.api.call import Call

TRACE_HEADERS = (b"traceparent", b"tracestate")  # Source: W3C Trace Context
RESPONSE_HEADER = b"traceresponse"
OK, INTERNAL = 200, 500


class RequestSpan(Protocol):
    """The span of a request; see `app.tracing.spans.RequestSpan`."""

    @property
    def trace_id(self) -> str: ...

    @property
    def trace(self) -> Trace | None: ...

    @property
    def response(self) -> str: ...

    @property
    def exemplar(self) -> dict[str, str] | None: ...

    def note(self, **facts: Fact) -> None: ...

    def end(self, status: int, error: str = "") -> None: ...


class Tracing(Protocol):
    """Begins spans; see `app.tracing.spans.Tracing`."""

    def begin(
        self, name: str, carrier: Mapping[str, str], arrived: float, facts: Mapping[str, Fact]
    ) -> RequestSpan: ...

    def close(self) -> None: ...


class TracedCalls:
    """Makes the spans of calls.

    `templates` are the paths of predictions that have parts in braces; `scheme` is that of the service itself, for
    requests of which no more than the head is looked at.
    """

    def __init__(self, tracing: Tracing, templates: Iterable[str], scheme: str) -> None:
        self._tracing, self._scheme = tracing, scheme
        self._templates = [(template, pattern_of(template)) for template in templates if "{" in template]

    @contextmanager
    def follow(self, call: Call) -> Iterator[None]:
        """Have all that happens to a call be part of its trace, and its lines of the log name it."""
        call.span = span = self._begin(call.path, call.headers, call.started, str(call.scope["scheme"]))
        token = current.set(span.trace)
        try:
            with bound_contextvars(trace_id=span.trace_id):
                yield
        except BaseException as error:
            end(call, span, type(error).__name__)
            raise
        else:
            end(call, span)
        finally:
            current.reset(token)

    @contextmanager
    def refuse(self, path: str, headers: Headers, arrived: float, model: str, error: ServeError) -> Iterator[bytes]:
        """Make the span of a request that is refused by its head, which its lines of the log name; yield what its
        client is told of it."""
        span = self._begin(path, headers, arrived, self._scheme)
        with bound_contextvars(trace_id=span.trace_id):
            yield span.response.encode()
        span.note(model=model)
        span.end(error.status, error.code)

    def _begin(self, path: str, headers: Headers, arrived: float, scheme: str) -> RequestSpan:
        carrier = {name.decode(): headers[name].decode("latin-1") for name in TRACE_HEADERS if name in headers}
        route = self.route_of(path)
        facts = {"http.request.method": "POST", "http.route": route, "url.scheme": scheme}
        if route == path:
            facts["url.path"] = path
        return self._tracing.begin(f"POST {route}", carrier, arrived, facts)

    def route_of(self, path: str) -> str:
        """Return a path with the names of its parts in place of what a client wrote there, which may be anything."""
        return next((template for template, pattern in self._templates if pattern.fullmatch(path)), path)


def end(call: Call, span: RequestSpan, failed: str = "") -> None:
    """End the span of a call with what has become of it; `failed` names what ended it unforeseen."""
    if call.task:
        span.note(task=call.task)
    if call.error is not None:
        span.end(call.error.status, call.error.code)
    else:
        span.end(INTERNAL if failed else OK, failed)


def pattern_of(template: str) -> re.Pattern[str]:
    """Return what fits all paths of a template such as `/models/{name}`."""
    return re.compile("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", template))))
