"""Traces of requests, for OpenTelemetry: what the parts that a request passes through need to know of them.

Nothing here imports OpenTelemetry; `app.tracing.opening` does, where the environment asks for traces. All times are
seconds of `time.monotonic()`. A span has names, numbers and codes: never a text, a key or the value of a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol, Self

Carrier = dict[str, str]  # W3C's `traceparent` and `tracestate`, by these names
Fact = str | int | float


class Trace(Protocol):
    """The trace of one request, which is sampled: what happens to the request becomes its spans."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        ...

    @property
    def carrier(self) -> Carrier:
        """What another process needs to add spans to the same trace."""
        ...

    def stage(self, name: str, began: float, ended: float, *, error: str = "", **facts: Fact) -> None:
        """Add a span of a stage that has ended; `error` is the code of what ended it."""
        ...

    def batch(self, others: Sequence[Self], began: float, ended: float, *, error: str = "", **facts: Fact) -> None:
        """Add the span of a batch that ran windows of this request and of `others`, and to each of their traces one of
        its forward pass; either links to the other."""
        ...


current: ContextVar[Trace | None] = ContextVar("trace", default=None)  # of the request that this task answers


def trace_field(trace: Trace | None) -> dict[str, str]:
    """Return the field of a line of the log that names the trace of the request that the line is about."""
    return {} if trace is None else {"trace_id": trace.trace_id}
