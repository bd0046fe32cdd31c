"""A prediction that is asked for over HTTP, and what another protocol says of its path, its body and its answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

from app.api.arrival import ARRIVED
from app.api.exchange import Exchange, exchange_of
from app.api.keys import ANYBODY, Key
from app.api.request import Headers, request_id_of
from app.api.traced import RequestSpan
from app.errors import ServeError
from app.serving.pipeline import write_own
from app.tasks.base import Answered, BaseTask, TaskRequest
from app.window import Floats

Choice = Literal["none", "task", "all"]


@dataclass(slots=True, eq=False)
class Call:
    """One `POST` to a prediction path, from its arrival to its answer. Times are seconds of `time.monotonic()`.

    `task` (its route) and `model` (its name) are known one after the other; metrics of an error are labeled with
    what was known by then. `choice` says among which models the body chooses: none, those of the task, or all.
    """

    scope: Scope
    receive: Receive
    send: Send
    path: str
    headers: Headers
    request_id: str
    started: float
    exchange: Exchange | None = None  # of this service's own server
    deadline: float = 0.0
    priority: int = 0
    body: bytes = b""
    body_bytes: int = 0  # counted among the bodies in hand, until the call ends
    task: str = ""
    model: str = ""
    key: Key = ANYBODY
    choice: Choice = "task"
    is_answered: bool = False
    error: ServeError | None = None  # that it was answered with
    span: RequestSpan | None = None  # where traces are made

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send, path: str) -> Call:
        headers: Headers = dict(scope["headers"])
        arrived: float = scope[ARRIVED] if ARRIVED in scope else time.monotonic()
        return cls(scope, receive, send, path, headers, request_id_of(headers), arrived, exchange_of(send))


Endpoint = Callable[[Call], Awaitable[None]]


class Form(Protocol):
    """How an answer is sent. `headers` are those of its body, and asked for once it is written."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    def write(self, task: BaseTask[Any, Any], request: TaskRequest, state: Any, outputs: Sequence[Floats]) -> bytes:
        """Return the body; see `app.serving.pipeline.Write`."""
        ...


class Plain:
    """An answer as its task has it, as JSON."""

    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)
    write = staticmethod(write_own)


PLAIN = Plain()


class Described(NamedTuple):
    """What the OpenAPI document says of `POST` to one path; `parameters` are those of the path and of its query.

    `answer_media_types` are those that an answer may have beside JSON, `answer_headers` those that it may have then.
    """

    path: str
    operation_id: str
    description: str | None
    request_type: Any
    answer_type: Any
    parameters: tuple[Mapping[str, Any], ...] = ()
    example: Any = None
    tag: str = "predictions"
    answer_media_types: tuple[str, ...] = ()
    answer_headers: Mapping[str, Any] = {}
    answered: Answered | None = None
    title: str | None = None  # where the operation's id is none for a person


class Door(Protocol):
    """Paths of another protocol than the service's own, on which predictions are asked for too."""

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """What answers `POST` to certain paths, which may be others' as well."""
        ...

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what answers `POST` to any other path; None where that is not one of the protocol's."""
        ...

    def described(self) -> Iterable[Described]:
        """Yield what the OpenAPI document says of each path."""
        ...
