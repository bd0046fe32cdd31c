"""The open connections of one server: how many there may be, and which of them have taken too long."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import structlog

from app.api.arrival import TurnClock
from app.api.exchange import DefaultHead
from app.api.gate import Gate
from app.api.pace import Pace
from app.api.request import request_id_of
from app.api.security_headers import HEADERS
from app.errors import ServeError
from app.metrics import Metrics
from app.settings import Settings

if TYPE_CHECKING:
    from app.api.connection import Connection

SPARE_DESCRIPTORS = 128  # of a process's limit, for models, streams to engines, and refusals
LEAST_CONNECTIONS = 16
EVICTABLE_S = 1.0  # a connection without a request for this long may be closed for a new one
LINGER_S = 1.0  # for a client to read the answer to a request whose rest it is still sending
MOST_DISCARDED = 2**23  # bytes of such a rest
MOST_UNSENT = 2**28  # bytes of answers that clients have not read yet, of all connections
SWEEP_S = 1.0
LOG_EVERY_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may take; times are in seconds."""

    connections: int
    head_bytes: int
    head_s: float
    keep_alive_s: float
    send_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            most_connections(settings.max_connections),
            settings.max_head_bytes,
            settings.head_timeout_s,
            settings.keep_alive_s,
            settings.send_timeout_s,
        )

    @property
    def sweep_s(self) -> float:
        return min(SWEEP_S, self.head_s / 2, self.keep_alive_s / 2, self.send_s / 2)


def most_connections(wanted: int) -> int:
    """Return `wanted`, or fewer where the limit of open files does not leave so many."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(descriptors - SPARE_DESCRIPTORS, LEAST_CONNECTIONS))


class Connections:
    """Keeps the connections of one server within their limits. It sweeps over them instead of a timer for each."""

    def __init__(
        self, limits: Limits, metrics: Metrics, loop: asyncio.AbstractEventLoop, gate: Gate | None = None
    ) -> None:
        self.limits, self.loop, self.clock = limits, loop, TurnClock(loop)
        self.open: set[Connection] = set()
        self.waiting: dict[Connection, None] = {}  # those without a request in flight, the longest waiting first
        self.opening = 0  # accepted, and not connected to a protocol yet
        self.is_closing = False  # every answer is its connection's last
        self.head, self.gate = DefaultHead(), gate
        self.pace = Pace(loop, lambda: gate.answers if gate is not None else 0)
        self._metrics = metrics
        self._swept_at, self._logged_at = 0.0, float("-inf")
        self._noted: Counter[str] = Counter()  # since the last line of the log

    def has_room(self) -> bool:
        """Whether one more connection may be opened. The longest waiting one is closed to make room."""
        if len(self.open) + self.opening < self.limits.connections:
            return True
        now = time.monotonic()
        for connection in self.waiting:
            if now - connection.waiting_since < EVICTABLE_S:
                return False
            if not connection.has_bytes_waiting():
                self.note_dropped("evicted")
                connection.drop()
                return True
        return False

    def refused(self, error: ServeError) -> bytes:
        """Count a refusal of what never became a request; return its answer."""
        self._metrics.rejected.labels(error.code).inc()
        self._noted[error.code] += 1
        return refusal(error)

    def note_dropped(self, reason: str) -> None:
        """Count a connection that is closed by the server before its client does."""
        self._metrics.connections_dropped.labels(reason).inc()
        self._noted[reason] += 1

    def sweep(self, now: float) -> None:
        """Close what is overdue, if it is time to look."""
        if now - self._swept_at < self.limits.sweep_s:
            return
        self._swept_at = now
        for connection in list(self.waiting):
            connection.close_if_overdue(now)
        unsent = sum([connection.unsent(now) for connection in list(self.open)])
        if unsent > MOST_UNSENT:
            self._drop_slowest(unsent - MOST_UNSENT)
        self._log(now)

    def _drop_slowest(self, excess: int) -> None:
        """Drop those whose answers have waited longest, until `excess` bytes are free."""
        for connection in sorted(self.open, key=lambda connection: connection.unsent_since or float("inf")):
            if excess <= 0:
                return
            excess -= connection.transport.get_write_buffer_size()
            self.note_dropped("send_timeout")
            connection.drop()

    def _log(self, now: float) -> None:
        """Say what was refused and dropped, in one line for all of it."""
        if self._noted and now - self._logged_at >= LOG_EVERY_S:
            log.warning("connections_refused_or_dropped", open=len(self.open), **self._noted)
            self._noted.clear()
            self._logged_at = now

    def close_after_answers(self) -> None:
        """From now on, let every answer be its connection's last."""
        self.is_closing = True
        self.pace.send_all()
        for connection in self.open:
            connection.close_after_answer()

    def close_waiting(self) -> None:
        """Close the connections without a request, those of which bytes are on their way excepted."""
        for connection in list(self.waiting):
            if connection.is_idle and not connection.has_bytes_waiting():
                connection.transport.close()

    def abort_all(self) -> None:
        for connection in list(self.open):
            connection.drop()


def refusal(error: ServeError) -> bytes:
    """Return the whole answer, head and body, to what never became a request. The connection ends with it."""
    request_id = request_id_of({})
    body = json.dumps({"error": error.message, "error_type": error.code, "request_id": request_id}).encode()
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "connection: close",
        *(f"{name}: {value}" for name, value in HEADERS),
    ]
    if error.retry_after_s is not None:
        lines.append(f"retry-after: {max(1, round(error.retry_after_s))}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body
