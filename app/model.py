"""A served model: one bundle, its task, its session and its lane in the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.bundle import Bundle, BundleError
from app.engine.cost import CostModel, Shape
from app.engine.engine import Engine
from app.engine.work import Lane
from app.errors import RequestTooLargeError
from app.metrics import Metrics, ModelSeries
from app.runtime.packing import Window
from app.runtime.session import Device, Session, SessionError, choose_precision
from app.settings import Settings
from app.tasks import TASKS
from app.tasks.base import Task, TaskRequest
from app.tasks.text import TextEncoder

INLINE_CHARACTERS = 8192  # more than this is tokenized on a thread: about 4 ms that other requests need not wait

# (windows, tokens in each) timed at warm-up: enough to tell fixed, per-token and attention cost apart.
WARM_UP_SHAPES = ((1, 8), (1, 32), (8, 16), (1, 128), (8, 32), (1, 256), (2, 128), (1, 512))

IDLE_TRIALS = 3
LEAST_GAIN = 0.9  # share of the time on fewer threads; what gains less is not worth every core


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
        session: Session,
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
        precision = choose_precision(bundle, device)
        session = Session(bundle, precision, device, settings.intra_op_threads, settings.idle_threads_here())
        encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length)
        task = TASKS[manifest.task](manifest, encoder, manifest.graphs[precision])
    except SessionError as error:
        raise BundleError(str(error)) from error
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"tokenizer.json cannot be used: {error}") from error
    check_width(bundle, session)
    check_probes(bundle, session, task)
    cost = measure_cost(session, manifest.max_length)
    measure_idle(session, manifest.max_length)
    lane = Lane(
        name=manifest.name,
        run=session.run,
        computed_tokens=session.layout.computed_tokens,
        cost=cost,
        max_batch_tokens=settings.max_batch_tokens or cost.token_budget(),
        series=metrics.of_model(task.route, manifest.name),
    )
    return Model(bundle, session, task, lane, engine, settings.max_inputs)


def check_width(bundle: Bundle, session: Session) -> None:
    """Run one window, whose output must have a column for each label."""
    try:
        (logits,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
    width, labels = logits.shape[-1], bundle.manifest.labels
    if labels and width != len(labels):
        raise BundleError(f"the graph answers {width} columns where there are {len(labels)} labels")


def check_probes(bundle: Bundle, session: Session, task: Task[Any, Any]) -> None:
    """Run the manifest's probes through the graph that will serve, and compare with the checkpoint's logits."""
    tolerance = bundle.manifest.graphs[session.precision].tolerance
    for number, probe in enumerate(bundle.manifest.probes):
        (logits,) = session.run([task.probe(probe.text)])  # (rows, width)
        if (drift := probe.drift(logits)) > tolerance:
            raise BundleError(
                f"probe {number} drifted by {drift:.4g} from the trained model, more than {tolerance:.4g}: "
                "this graph is not the model that was trained"
            )


def measure_cost(session: Session, max_length: int) -> CostModel:
    """Time a few shapes, the first run of each thrown away, and fit the cost of a batch to them."""
    samples = []
    for count, length in WARM_UP_SHAPES:
        windows = synthetic_windows(count, min(length, max_length))
        session.run(windows)
        started = time.perf_counter()
        session.run(windows)
        samples.append((Shape.of([len(w) for w in windows]), time.perf_counter() - started))
    return CostModel.fit(samples)


def measure_idle(session: Session, max_length: int) -> None:
    """Find from which length on a lone window runs faster on every core; where none does, give the memory back."""
    gains_from = None
    for length in sorted({min(length, max_length) for count, length in WARM_UP_SHAPES if count == 1}, reverse=True):
        windows = synthetic_windows(1, length)
        busy_s, idle_s = (fastest(session, windows, alone=alone) for alone in (False, True))
        if idle_s > LEAST_GAIN * busy_s:
            break
        gains_from = length
    if gains_from is None:
        session.idle = None
    else:
        session.idle_from_tokens = gains_from


def fastest(session: Session, windows: Sequence[Window], *, alone: bool) -> float:
    """Return the seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(IDLE_TRIALS):
        started = time.perf_counter()
        session.run(windows, alone=alone)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def synthetic_windows(count: int, length: int) -> Sequence[Window]:
    """Windows of `length` tokens that say nothing; token ids from 5 up are in every vocabulary we serve."""
    ids = 5 + np.arange(length, dtype=np.int64) % 32
    return [Window(ids, np.zeros(1, np.int64))] * count
