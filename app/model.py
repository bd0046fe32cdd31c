"""A served model: one bundle, its task, its session and its lane in the engine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from app.bundle import Bundle, BundleError
from app.engine.engine import Engine
from app.engine.work import Lane
from app.errors import RequestTooLargeError
from app.metrics import Metrics, ModelSeries
from app.runtime.opening import AnySession, open_session
from app.runtime.session import Device, SessionError
from app.settings import Settings
from app.tasks import TASKS
from app.tasks.base import Task, TaskRequest
from app.tasks.text import TextEncoder
from app.warmup import choose_budget, measure_cost, synthetic_windows

INLINE_CHARACTERS = 8192  # more than this is tokenized on a thread: about 4 ms that other requests need not wait


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and where its time went, in seconds."""

    body: Any
    tokens: int
    tokenize_s: float
    queue_s: float
    forward_s: float


class Model:
    """Answers requests of its task's type."""

    def __init__(
        self,
        bundle: Bundle,
        session: AnySession,
        task: Task[Any, Any],
        lane: Lane,
        engine: Engine,
        max_inputs: int,
    ) -> None:
        self.bundle, self.session, self.task, self.lane = bundle, session, task, lane
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


def load_model(bundle: Bundle, device: Device, settings: Settings, engine: Engine, metrics: Metrics) -> Model:
    """Open, prove and warm up a bundle.

    Raises `BundleError` when its tokenizer or graph cannot be used, or when the graph does not answer its probes
    as the trained model did.
    """
    manifest = bundle.manifest
    try:
        session = open_session(bundle, device, settings)
        encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length)
        task = TASKS[manifest.task](manifest, encoder, manifest.graphs[session.precision])
    except SessionError as error:
        raise BundleError(str(error)) from error
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"tokenizer.json cannot be used: {error}") from error
    check_width(bundle, session)
    check_probes(bundle, session, task)
    cost = measure_cost(session, manifest.max_length)
    try:
        budget = choose_budget(session, cost, manifest.max_length, settings.max_batch_tokens)
    except SessionError as error:
        raise BundleError(str(error)) from error
    lane = Lane(
        name=manifest.name,
        run=session.run,
        computed_tokens=session.layout.computed_tokens,
        cost=cost,
        max_batch_tokens=budget,
        series=metrics.of_model(task.route, manifest.name),
    )
    return Model(bundle, session, task, lane, engine, settings.max_inputs)


def check_width(bundle: Bundle, session: AnySession) -> None:
    """Run one window, whose output must have a column for each label."""
    try:
        (logits,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
    width, labels = logits.shape[-1], bundle.manifest.labels
    if labels and width != len(labels):
        raise BundleError(f"the graph answers {width} columns where there are {len(labels)} labels")


def check_probes(bundle: Bundle, session: AnySession, task: Task[Any, Any]) -> None:
    """Run the manifest's probes through the graph that will serve, and compare with the checkpoint's logits."""
    tolerance = bundle.manifest.graphs[session.precision].tolerance
    for number, probe in enumerate(bundle.manifest.probes):
        (logits,) = session.run([task.probe(probe.text)])  # (rows, width)
        if (drift := probe.drift(logits)) > tolerance:
            raise BundleError(
                f"probe {number} drifted by {drift:.4g} from the trained model, more than {tolerance:.4g}: "
                "this graph is not the model that was trained"
            )
