"""A task that is answered by a lane: requests are encoded, their windows run, and the outputs decoded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from app.errors import DeadlineUnmeetableError, QueueFullError
from app.metrics import ModelSeries
from app.serving.memory import AnswerMemory
from app.serving.pool import Pool
from app.serving.room import LIKE, Asked, Room
from app.tasks.base import BaseTask, TaskRequest
from app.tracing import current
from app.window import Floats, Window

# Larger requests are tokenized, and larger answers made, on another thread, so that other requests need not wait. Work
# is measured in characters to tokenize: a millisecond or a few of it are done at once.
INLINE_CHARACTERS = 2048
INPUT_CHARACTERS = 32  # that take as long as what is done for each text beside its characters
BYTES_PER_CHARACTER = 64  # of an answer, with its outputs, that are made in the time of a character
QUICK_CHARACTERS = 1024  # are tokenized about as fast as the queue can be asked whether there is room for them


@dataclass(frozen=True, slots=True)
class Shared:
    """What all requests of one process share: threads, and the memory of answers."""

    pool: Pool
    memory: AnswerMemory


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and where its time went, in seconds."""

    content: bytes
    windows: int
    tokenize_s: float
    queue_s: float
    forward_s: float
    tokens: int


class Write(Protocol):
    """Makes the body of an answer of the outputs of a task's windows."""

    def __call__(
        self, task: BaseTask[Any, Any], request: TaskRequest, state: Any, outputs: Sequence[Floats]
    ) -> bytes: ...


def write_own(task: BaseTask[Any, Any], request: TaskRequest, state: Any, outputs: Sequence[Floats]) -> bytes:
    """Write an answer as its task has it."""
    return task.render(request, state, outputs)


class Finished(Protocol):
    """The finished windows of one request: outputs of shape (rows, width) for each, and seconds."""

    @property
    def outputs(self) -> Sequence[Floats]: ...

    @property
    def queue_s(self) -> float: ...

    @property
    def forward_s(self) -> float: ...

    @property
    def ended(self) -> float:
        """When the last batch of the request ended, in seconds of `time.monotonic()`; 0 where nothing ran."""
        ...


class Lane(Protocol):
    """What runs a model's windows: a lane of this process's engine, or one that sends them to other processes."""

    @property
    def max_batch_tokens(self) -> int: ...

    @property
    def series(self) -> ModelSeries: ...

    async def submit(self, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Finished:
        """Run `windows`. `deadline` is in seconds of `time.monotonic()`; a higher `priority` goes first."""
        ...

    def check_room(self, tokens: int, *, deadline: float, priority: int = 0) -> None:
        """Raise `RequestTooLargeError`, `QueueFullError` or `DeadlineUnmeetableError` where windows with so many tokens
        or more would be refused, as far as that is known here."""
        ...


class Pipeline:
    """Answers requests of its task's type by windows that `lane` runs; `series` counts them."""

    def __init__(self, task: BaseTask[Any, Any], lane: Lane, series: ModelSeries) -> None:
        self.task, self.lane, self.series = task, lane, series
        self._room = Room()

    async def answer(
        self, request: TaskRequest, shared: Shared, *, deadline: float, priority: int = 0, write: Write = write_own
    ) -> Answer:
        """Encode, run and decode one request. `deadline` is in seconds of `time.monotonic()`."""
        started = time.monotonic()
        priority += self.task.priority
        characters, asked = self._check_room(request, started, deadline, priority)
        on_pool = partial(shared.pool.run, deadline=deadline, priority=priority)
        per_input = INPUT_CHARACTERS * request.count_inputs()
        if (size := characters + per_input) > INLINE_CHARACTERS:
            with self._room.refusals.preparing(asked):
                encoded = await on_pool(self.task.encode, request, size=size)
        else:
            encoded = self.task.encode(request)
        tokenize_s = time.monotonic() - started
        shared.memory.hold(encoded.answer_bytes)
        try:
            tokens = sum(map(len, encoded.windows))
            if (trace := current.get()) is not None:
                trace.stage("tokenize", started, started + tokenize_s, windows=len(encoded.windows), tokens=tokens)
            ticket = await self._run(encoded.windows, tokens, characters, asked)
            if (size := size_of(encoded.answer_bytes, ticket.outputs) + per_input) > INLINE_CHARACTERS:
                content = await on_pool(write, self.task, request, encoded.state, ticket.outputs, size=size)
            else:
                content = write(self.task, request, encoded.state, ticket.outputs)
        finally:
            shared.memory.free(encoded.answer_bytes)
        if ticket.ended:
            now = time.monotonic()
            self._room.margin.learn(now - ticket.ended, now)
        return Answer(content, len(encoded.windows), tokenize_s, ticket.queue_s, ticket.forward_s, tokens)

    def _check_room(self, request: TaskRequest, now: float, deadline: float, priority: int) -> tuple[int, Asked]:
        """Refuse what would be refused after it was tokenized, too; in an overload, by what it probably takes.

        Return the characters of a request and what it asks for; its windows must have run some time before `deadline`.
        """
        room, characters = self._room, request.count_characters() * request.repeats()
        asked = Asked(room.density.tokens_per_character * characters, room.margin.before(deadline, now), priority)
        room.refusals.check(asked, now)
        if characters > QUICK_CHARACTERS:
            special = self.task.encoder.special  # of each window
            least = request.count_inputs() * (len(special.prefix) + len(special.suffix))
            if room.refusals.is_overloaded(now):
                least = max(least, int(LIKE * asked.tokens))
            self.lane.check_room(least, deadline=asked.deadline, priority=priority)
        return characters, asked

    async def _run(self, windows: Sequence[Window], tokens: int, characters: int, asked: Asked) -> Finished:
        self._room.density.learn(characters, tokens)
        refusals = self._room.refusals
        try:
            finished = await self.lane.submit(windows, deadline=asked.deadline, priority=asked.priority)
        except (QueueFullError, DeadlineUnmeetableError) as error:
            refusals.note(asked._replace(tokens=tokens), time.monotonic(), error)
            raise
        refusals.forget()
        return finished


def size_of(answer_bytes: int, outputs: Sequence[Floats]) -> int:
    """Return how long an answer of so many bytes takes to make from its outputs, in characters to tokenize."""
    return max(answer_bytes, sum([output.nbytes for output in outputs])) // BYTES_PER_CHARACTER
