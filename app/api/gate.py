"""Refusals by the head of a request alone: under overload nearly all are refused, and each must cost next to nothing.

What is asked for is known from the head, but for the text: the path, the bytes of the body, the deadline, the priority.
A request that is like one on the same path that was refused a moment ago is refused before its body is looked at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from app.api.errors import body_of, headers_of, log_refusal
from app.api.request import Headers, priority_of, request_id_of, timeout_s_of
from app.api.traced import RESPONSE_HEADER
from app.errors import DeadlineUnmeetableError, QueueFullError, RateLimitedError, ServeError
from app.serving.room import Asked, Refusals

if TYPE_CHECKING:
    from app.api.call import Call
    from app.api.exchange import Headers as Lines
    from app.api.keys import Keyring
    from app.api.traced import TracedCalls
    from app.service import Service

TARGET = "roberta.target"  # in an ASGI scope: the path and query of the request, as they were sent
MOST_TARGETS = 64
MODELS = "/models/"  # before the name of the model that is asked
REMEMBERED = (QueueFullError, DeadlineUnmeetableError)
SAID = (*REMEMBERED, RateLimitedError)  # the last where the key of a request that is like those is over its limits


@dataclass(slots=True)
class Target:
    """A path, with what was refused on it a moment ago and the series that count it."""

    model: str
    path: str
    requests: dict[str, Counter]
    rejected: dict[str, Counter]
    duration: Histogram
    missed_deadline: Histogram
    refusals: Refusals = field(default_factory=Refusals)


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a refused request."""

    status: int
    headers: Lines
    body: bytes
    given_s: float  # how long its client would have waited for an answer


class Gate:
    """Remembers what was refused, and refuses what is like it. Belongs to one event loop."""

    def __init__(self, service: Service, keys: Keyring) -> None:
        self._service, self._keys = service, keys
        self._targets: dict[bytes, Target] = {}
        self.traced: TracedCalls | None = None  # where traces are made
        self.answers = 0  # sent so far

    def note(self, call: Call, error: ServeError) -> None:
        """Take note of a request that was refused, if all on its path ask the same model."""
        if not isinstance(error, REMEMBERED):
            return
        self._service.note_refusal()
        target, length = call.scope.get(TARGET), length_of(call.headers)
        if target is None or length is None or not call.model or not self._asks_one_model(call):
            return
        known = self._targets.get(target)
        if known is None or known.model != call.model:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            known = self._targets[target] = self._target_of(call)
        known.refusals.note(Asked(length, call.deadline, call.priority), time.monotonic(), error)

    def forget(self) -> None:
        """Take note that there is room again: something was answered."""
        self.answers += 1
        if self._targets:
            self._targets.clear()

    def check(self, target: bytes, fields: Lines, arrived: float) -> Refused | None:
        """Return the answer to a request that is refused by its head; None where more of it has to be looked at."""
        known = self._targets.get(target)
        if known is None or self._service.draining:
            return None
        headers = dict(fields)
        length = length_of(headers)
        if length is None or length > self._service.settings.max_body_bytes:
            return None
        try:
            self._check(known, headers, length, arrived)
        except SAID as error:
            return self._refuse(known, headers, error, arrived)
        except ServeError:
            return None  # whatever is wrong with it is said where it is read
        return None

    def _check(self, known: Target, headers: Headers, length: int, arrived: float) -> None:
        key = self._keys.check(headers, "predict")
        deadline = arrived + timeout_s_of(headers, self._service.settings.request_timeout_s)
        asked = Asked(length, deadline, min(priority_of(headers), key.highest_priority))
        try:
            known.refusals.check(asked, time.monotonic())
        except ServeError:
            key.enter()  # it counts, and may be over the key's limits
            key.leave()
            raise

    def _refuse(self, known: Target, headers: Headers, error: ServeError, arrived: float) -> Refused:
        known.requests[error.code].inc()
        known.rejected[error.code].inc()
        known.duration.observe(time.monotonic() - arrived)
        given_s = timeout_s_of(headers, self._service.settings.request_timeout_s)
        if error.status == 504:
            known.missed_deadline.observe(given_s)
        request_id = request_id_of(headers)
        body = body_of(error, request_id, known.path)
        lines = [(name.encode(), value.encode()) for name, value in headers_of(error, request_id).items()]
        lines += (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))
        if self.traced is None:
            log_refusal(error, request_id, known.model)
        else:
            with self.traced.refuse(known.path, headers, arrived, known.model, error) as told:
                log_refusal(error, request_id, known.model)
            lines.append((RESPONSE_HEADER, told))
        return Refused(error.status, lines, body, given_s)

    def _asks_one_model(self, call: Call) -> bool:
        """Whether the path says which model is asked: no body can choose another."""
        if call.choice == "none":
            return True
        models = self._service.registry.served().values()
        return sum(call.choice == "all" or call.task in model.pipelines for model in models) == 1

    def _target_of(self, call: Call) -> Target:
        metrics = self._service.metrics
        return Target(
            call.model,
            call.path,
            {kind.code: metrics.requests.labels(call.task, call.model, str(kind.status)) for kind in SAID},
            {kind.code: metrics.rejected.labels(kind.code) for kind in SAID},
            metrics.request_duration.labels(call.task, call.model),
            metrics.missed_deadline.labels(call.task, call.model),
        )


def length_of(headers: Headers) -> int | None:
    """Return the bytes of a body that is sent as it is; None where the head does not tell."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and b"content-encoding" not in headers else None
