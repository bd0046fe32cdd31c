"""A served model: one bundle, its task, and its lane in the engine, which may be another process's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.bundle import Bundle, Precision
from app.errors import RequestTooLargeError
from app.metrics import ModelSeries
from app.runtime.packing import Floats, Window
from app.tasks.base import Task, TaskRequest

INLINE_CHARACTERS = 8192  # more than this is tokenized on a thread: about 4 ms that other requests need not wait


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and where its time went, in seconds."""

    body: Any
    tokens: int
    tokenize_s: float
    queue_s: float
    forward_s: float


class Finished(Protocol):
    """One request's windows as they were answered: (rows, width) for each, and where the time went."""

    @property
    def outputs(self) -> Sequence[Floats]: ...

    @property
    def tokens(self) -> int: ...

    @property
    def queue_s(self) -> float: ...

    @property
    def forward_s(self) -> float: ...


class Submitter(Protocol):
    """Takes windows and answers them: the engine of this process, or of others. `lane` is one of its own."""

    async def submit(self, lane: Any, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Finished: ...


class LaneOfModel(Protocol):
    """What a model says of its lane, wherever that is."""

    @property
    def max_batch_tokens(self) -> int: ...

    @property
    def series(self) -> ModelSeries: ...


class Model:
    """Answers requests of its task's type, from the graph of `precision` on onnxruntime's `provider`."""

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision,
        provider: str,
        task: Task[Any, Any],
        lane: LaneOfModel,
        engine: Submitter,
        max_inputs: int,
    ) -> None:
        self.bundle, self.precision, self.provider = bundle, precision, provider
        self.task, self.lane = task, lane
        self._engine, self._max_inputs = engine, max_inputs

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def id(self) -> str:
        """`name:version`, as answers carry it."""
        return f"{self.name}:{self.bundle.manifest.version}"

    @property
    def series(self) -> ModelSeries:
        return self.lane.series

    @property
    def info_labels(self) -> dict[str, str]:
        """The labels of `roberta_model_info`."""
        manifest = self.bundle.manifest
        return {
            "model": self.name,
            "version": str(manifest.version),
            "task": manifest.task,
            "precision": self.precision,
            "provider": self.provider,
            "layout": manifest.layout,
        }

    async def answer(self, request: TaskRequest, *, deadline: float, priority: int = 0) -> Answer:
        """Encode, run and decode one request. `deadline` is in seconds of `time.monotonic()`."""
        if (inputs := self.task.count_inputs(request)) > self._max_inputs:
            raise RequestTooLargeError(f"inputs has {inputs} texts; at most {self._max_inputs} are taken at once")
        started = time.monotonic()
        if self.task.count_characters(request) > INLINE_CHARACTERS:
            encoded = await asyncio.to_thread(self.task.encode, request)
        else:
            encoded = self.task.encode(request)
        tokenize_s = time.monotonic() - started
        ticket = await self._engine.submit(self.lane, encoded.windows, deadline=deadline, priority=priority)
        body = self.task.decode(request, encoded.state, ticket.outputs)
        answer = Answer(body, ticket.tokens, tokenize_s, ticket.queue_s, ticket.forward_s)
        self.series.observe_request(answer.tokenize_s, answer.queue_s, len(encoded.windows))
        return answer
