"""Inputs become answers: they are tokenized ahead, computed in batches of like lengths, and answered in order.

with open_predictor(bundle, settings, {"top_k": 1}) as predictor:
    for prediction in predictor.predict(["A warm, funny film.", "Dull."]):
        print(prediction.cells or prediction.error)
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from app.bulk.asking import Asking
from app.bulk.batching import batches_of
from app.bulk.inputs import CHARACTERS_PER_INPUT, Prediction, Unreadable, first_size, sentence_of, size_of
from app.errors import RequestTooLargeError
from app.runtime.session import Session
from app.tasks.base import Encoded, Task, TaskRequest
from app.window import Floats, Window

CHUNKS_AHEAD = 2  # that are tokenized, or wait for a runner, while one is being answered
BATCHES_IN_CHUNK = 64  # about: so many that the last batch of a chunk, which is not full, costs little
CHARACTERS_PER_TOKEN = 4  # about, of a text
INPUTS_TOGETHER, CHARACTERS_TOGETHER = 256, 2**16  # of inputs that are tokenized by one request
SWITCH_S = 1e-4  # thread switch interval: the longest that a runner waits for the GIL (Python's default: 5 ms)
PANIC = "PanicException"  # of Rust, which no module exports
FAILED = "the model failed on this input"


class Chunk(Protocol):
    """Inputs that are tokenized and sorted together, each as a request's `inputs` has it, or an `Unreadable`."""

    @property
    def inputs(self) -> Sequence[Any]: ...


ChunkT = TypeVar("ChunkT", bound=Chunk)


@dataclass(frozen=True, slots=True)
class Plain:
    """A chunk that is nothing but its inputs."""

    inputs: Sequence[Any]


@dataclass(slots=True)
class Group:
    """The inputs, by their numbers in the chunk, that are one request, its windows, and their outputs once they ran."""

    numbers: Sequence[int]
    request: TaskRequest
    encoded: Encoded[Any]
    outputs: list[Floats | None] = field(init=False)

    def __post_init__(self) -> None:
        self.outputs = [None] * len(self.encoded.windows)


@dataclass(slots=True)
class Work:
    """A chunk under way: its groups, what is wrong with the inputs that are in none, and the batches that run."""

    groups: list[Group] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    batches: list[Future[None]] = field(default_factory=list)


class Predictor:
    """Answers inputs by one model, on `runners` threads beside one that tokenizes.

    Answers depend on nothing but the inputs and how they are cut into chunks: batches are the same in every run.
    `most_characters` bounds an input; with `is_strict`, one that takes more than one window is an error. To be used in
    a `with` block.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        session: Session,
        asking: Asking,
        runners: int,
        *,
        most_characters: int,
        is_strict: bool = False,
    ) -> None:
        self.task, self.session, self.asking = task, session, asking
        self._most_characters, self._is_strict = most_characters, is_strict
        self._free: SimpleQueue[int] = SimpleQueue()
        for number in range(runners):
            self._free.put(number)
        self._runners = ThreadPoolExecutor(runners, "runner")
        self._encoder = ThreadPoolExecutor(1, "encoder")

    def __enter__(self) -> Self:
        sys.setswitchinterval(SWITCH_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin nothing more; return when the batches that run have ended."""
        self._encoder.shutdown(cancel_futures=True)
        self._runners.shutdown(cancel_futures=True)

    @property
    def limits(self) -> tuple[int, bool]:
        """Return what inputs are refused by: the most characters, and whether one window is the most."""
        return self._most_characters, self._is_strict

    @property
    def characters_in_chunk(self) -> int:
        """Return how large a chunk should be, in the measure of `size_of`."""
        return BATCHES_IN_CHUNK * self.session.max_batch_tokens * CHARACTERS_PER_TOKEN

    def predict(self, inputs: Iterable[Any]) -> Iterator[Prediction]:
        """Yield the prediction of each input, in order; a few chunks of them are in memory at a time."""
        for _, predictions in self.run(map(Plain, self.cut(inputs))):
            yield from predictions

    def cut(self, inputs: Iterable[Any]) -> Iterator[list[Any]]:
        """Cut inputs into chunks."""
        chunk: list[Any] = []
        size, most = 0, first_size(self.characters_in_chunk)
        for each in inputs:
            chunk.append(each)
            size += size_of(each)
            if size >= most:
                yield chunk
                chunk, size, most = [], 0, self.characters_in_chunk
        if chunk:
            yield chunk

    def run(self, chunks: Iterable[ChunkT]) -> Iterator[tuple[ChunkT, list[Prediction]]]:
        """Yield each chunk with the predictions of its inputs, in order."""
        ahead: deque[tuple[ChunkT, Future[Work]]] = deque()
        for chunk in chunks:
            ahead.append((chunk, self._encoder.submit(self._begin, chunk.inputs)))
            if len(ahead) > CHUNKS_AHEAD:
                yield self._finish(*ahead.popleft())
        while ahead:
            yield self._finish(*ahead.popleft())

    # --- On the thread that tokenizes -------------------------------------------------------------------

    def _begin(self, inputs: Sequence[Any]) -> Work:
        """Tokenize a chunk, and queue its batches."""
        work = Work()
        for together in self._groups(inputs, work.errors):
            self._encode(together, inputs, work)
        places = [(group, at) for group in work.groups for at in range(len(group.outputs))]
        lengths = [len(group.encoded.windows[at]) for group, at in places]
        for batch in batches_of(lengths, self.session.max_batch_tokens, self.session.computed_tokens):
            work.batches.append(self._runners.submit(self._run_batch, [places[number] for number in batch]))
        return work

    def _groups(self, inputs: Sequence[Any], errors: dict[int, str]) -> Iterator[list[int]]:
        """Yield the numbers of inputs that are tokenized together; what is known to be wrong with others is noted."""
        group: list[int] = []
        size = 0
        for number, each in enumerate(inputs):
            characters = size_of(each)
            if isinstance(each, Unreadable):
                errors[number] = each.error
                continue
            if characters > self._most_characters + CHARACTERS_PER_INPUT:
                most = f"at most {self._most_characters:,} are taken"
                errors[number] = f"the text has {characters - CHARACTERS_PER_INPUT:,} characters; {most}"
                continue
            if group and (len(group) == self._most_together or size + characters > CHARACTERS_TOGETHER):
                yield group
                group, size = [], 0
            group.append(number)
            size += characters
        if group:
            yield group

    @property
    def _most_together(self) -> int:
        return 1 if self._is_strict else INPUTS_TOGETHER  # only of one input is it known how many windows it takes

    def _encode(self, numbers: Sequence[int], inputs: Sequence[Any], work: Work) -> None:
        """Tokenize inputs as one request; where that is refused, in halves, until only the culprits are left."""
        parts = [numbers]
        while parts:
            part = parts.pop()
            try:
                work.groups.append(self._group(part, [inputs[number] for number in part]))
            except BaseException as error:  # tokenizers raises bare Exception, and Rust's panic, which is none
                if not isinstance(error, Exception) and type(error).__name__ != PANIC:
                    raise
                if len(part) == 1:
                    work.errors[part[0]] = sentence_of(error)
                else:
                    middle = len(part) // 2
                    parts += part[middle:], part[:middle]

    def _group(self, numbers: Sequence[int], inputs: Sequence[Any]) -> Group:
        request = self.asking.requests(inputs)
        encoded = self.task.encode(request)
        if self._is_strict and len(encoded.windows) > 1:
            raise RequestTooLargeError(
                f"the text takes {len(encoded.windows)} windows of {self.task.manifest.max_length} tokens"
            )
        return Group(numbers, request, encoded)

    # --- On the threads of runners ----------------------------------------------------------------------

    def _run_batch(self, places: Sequence[tuple[Group, int]]) -> None:
        """Compute a batch; a part that fails is halved, and the outputs of single windows that fail stay None."""
        runner = self._free.get()
        try:
            parts = [places]
            while parts:
                part = parts.pop()
                try:
                    outputs = self._compute([group.encoded.windows[at] for group, at in part], runner)
                except Exception:
                    if len(part) > 1:
                        middle = len(part) // 2
                        parts += part[middle:], part[:middle]
                    continue
                for (group, at), output in zip(part, outputs, strict=True):
                    group.outputs[at] = output
        finally:
            self._free.put(runner)

    def _compute(self, windows: Sequence[Window], runner: int) -> Sequence[Floats]:
        outputs = self.session.run(windows, runner=runner)
        if len(outputs) != len(windows) or not np.isfinite(np.concatenate([o.ravel() for o in outputs])).all():
            raise FloatingPointError("the outputs are not finite numbers, as many as there are windows")
        return outputs

    # --- On the thread that asks ------------------------------------------------------------------------

    def _finish(self, chunk: ChunkT, begun: Future[Work]) -> tuple[ChunkT, list[Prediction]]:
        """Wait for a chunk's batches, and read its answers."""
        work = begun.result()
        for batch in work.batches:
            batch.result()
        predictions = [Prediction(None, work.errors.get(number)) for number in range(len(chunk.inputs))]
        for group in work.groups:
            for number, prediction in zip(group.numbers, self._answers(group, chunk.inputs), strict=True):
                predictions[number] = prediction
        return chunk, predictions

    def _answers(self, group: Group, inputs: Sequence[Any]) -> Iterator[Prediction]:
        outputs = [output for output in group.outputs if output is not None]
        if len(outputs) == len(group.outputs):
            for answer in self.task.decode(group.request, group.encoded.state, outputs):
                yield Prediction(self.task.cells(answer), None)
        else:
            for number in group.numbers:
                yield self._answer_alone(number, inputs)

    def _answer_alone(self, number: int, inputs: Sequence[Any]) -> Prediction:
        """Answer an input whose group has one for which the forward pass failed."""
        group = self._group([number], [inputs[number]])
        self._runners.submit(self._run_batch, [(group, at) for at in range(len(group.outputs))]).result()
        if any(output is None for output in group.outputs):
            return Prediction(None, FAILED)
        (prediction,) = self._answers(group, inputs)
        return prediction
