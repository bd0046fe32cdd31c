"""What the engine works on: lanes (a model's forward pass), tickets (a request), queued windows, and batches."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from app.engine.cost import CostModel, Shape
from app.engine.running import Running
from app.errors import ServeError
from app.metrics import ModelSeries
from app.tracing import Trace
from app.window import Floats, Window

LONGEST = 512  # tokens of a window, for the cost of attention in a full batch
UNANSWERED: Floats = np.empty((0, 0), np.float32)


class Forward(Protocol):
    """A forward pass: (rows, width) per window, in order.

    `runner` is the number of the runner that calls. `idle_machine` says that nothing else runs or waits, nor did just
    before, so that this pass may use the whole machine.
    """

    def __call__(self, windows: Sequence[Window], *, runner: int, idle_machine: bool) -> Sequence[Floats]: ...


class Submitter(Protocol):
    """What a lane's windows are submitted to: the engine."""

    def submit(
        self, lane: Lane, windows: Sequence[Window], *, deadline: float, priority: int = 0
    ) -> Coroutine[Any, Any, Ticket]: ...

    def check_room(self, lane: Lane, tokens: int, *, deadline: float, priority: int = 0) -> None: ...


@dataclass(eq=False)
class Lane:
    """A forward pass that the engine makes batches for. Windows of different lanes never share a batch.

    `computed_tokens` returns how many tokens a batch computes, given its number of windows, their tokens in all and
    the longest of them. A batch computes at most `max_batch_tokens`, its head rows counted as the tokens that take as
    long, except that a single window always runs.
    """

    engine: Submitter
    name: str
    run: Forward
    computed_tokens: Callable[[int, int, int], int]
    cost: CostModel
    max_batch_tokens: int
    series: ModelSeries

    def submit(self, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Coroutine[Any, Any, Ticket]:
        """Run `windows`; see `app.engine.engine.Engine.submit`."""
        return self.engine.submit(self, windows, deadline=deadline, priority=priority)

    def check_room(self, tokens: int, *, deadline: float, priority: int = 0) -> None:
        """Raise what the admission of a request with so many tokens or more would raise now."""
        self.engine.check_room(self, tokens, deadline=deadline, priority=priority)

    def __post_init__(self) -> None:
        tokens = self.max_batch_tokens
        cells = tokens * min(tokens, LONGEST)
        self.full_batch_s = self.cost.fixed + self.cost.per_token * tokens + self.cost.per_cell * cells  # uncorrected

    def cost_of(self, length: int, head_rows: int = 0) -> float:
        """Return the uncorrected seconds that a window adds to full batches, its part of their fixed cost included.

        `head_rows` is how many rows it has beyond the first.
        """
        return self.cost.amortized(length, self.max_batch_tokens, head_rows)

    def window_s(self, length: int, head_rows: int = 0) -> float:
        """Return the seconds of a batch of one window."""
        return self.cost.predict(Shape(length, length**2, head_rows))

    def tokens_of(self, head_rows: int) -> int:
        """Return what further head rows take of `max_batch_tokens`: the tokens that take as long."""
        return self.cost.tokens_of(head_rows) if head_rows else 0


@dataclass(eq=False)
class Ticket:
    """One request's windows, answered all together or not at all. Times are seconds of the engine's clock.

    `on_finish` is called once, on the thread that finishes the ticket. `trace` is that of a request that is sampled.
    `passes` says how many of the windows stand for one of the request's; see `app.engine.dividing`.
    """

    lane: Lane
    windows: Sequence[Window]
    arrival: float
    deadline: float
    priority: int = 0
    on_finish: Callable[[Ticket], None] = lambda ticket: None
    trace: Trace | None = None
    passes: Sequence[int] | None = None
    lengths: list[int] = field(init=False)
    head_rows: list[int] = field(init=False)  # of each window, beyond the first
    costs: list[float] = field(init=False)  # of each window, in uncorrected seconds
    cost: float = field(init=False)  # of all of them
    tokens: int = field(init=False)
    outputs: list[Floats] = field(init=False)
    error: ServeError | None = field(init=False, default=None)
    finished: bool = field(init=False, default=False)
    waiting: int = field(init=False)
    started: float | None = field(init=False, default=None)
    ended: float = field(init=False, default=0.0)
    forward_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.lengths = lengths = [len(window) for window in self.windows]
        self.head_rows = head_rows = [max(0, len(window.head_rows) - 1) for window in self.windows]
        cost_of = self.lane.cost_of
        self.costs = costs = [cost_of(length, rows) for length, rows in zip(lengths, head_rows, strict=True)]
        self.cost = sum(costs)
        self.tokens = sum(lengths)
        self.outputs = [UNANSWERED] * len(self.windows)
        self.waiting = len(self.windows)

    @property
    def queue_s(self) -> float:
        """How long the request waited before its first window was started."""
        return 0.0 if self.started is None else self.started - self.arrival

    def fill(self, index: int, output: Floats) -> bool:
        """Take one window's output, and return whether the ticket is finished; the last window finishes it."""
        if not self.finished:
            self.outputs[index] = output
            self.waiting -= 1
            if self.waiting == 0:
                self.finish(None)
        return self.finished

    def finish(self, error: ServeError | None) -> None:
        """Finish the ticket, with an error or without; later calls change nothing."""
        if not self.finished:
            self.finished, self.error = True, error
            self.on_finish(self)


@dataclass(slots=True, eq=False)  # never changed, but frozen it would be slower to construct
class QueuedWindow:
    """A window of a ticket, for the queue and for a batch. `cost` is in uncorrected seconds; see `Lane.cost_of`.

    `work` is the same in the units of `app.engine.demand`. `number` counts windows in order of arrival, those of one
    request by length, the longest first.
    """

    number: int
    ticket: Ticket
    index: int
    length: int
    cost: float
    work: int
    head_rows: int  # beyond the first

    @property
    def window(self) -> Window:
        return self.ticket.windows[self.index]


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one lane that run together.

    `running` stands for the whole batch, however it is halved. `asked` is when the runner asked for it, in seconds of
    the engine's clock: 0 for a half. `idle_machine`: nothing else runs or waits, nor did just before.
    """

    lane: Lane
    items: Sequence[QueuedWindow]
    running: Running | None = None
    asked: float = 0.0
    idle_machine: bool = False

    @property
    def windows(self) -> list[Window]:
        return [item.window for item in self.items]

    @property
    def shape(self) -> Shape:
        return Shape.of([item.length for item in self.items], sum([item.head_rows for item in self.items]))

    @property
    def computed_tokens(self) -> int:
        lengths = [item.length for item in self.items]
        return self.lane.computed_tokens(len(lengths), sum(lengths), max(lengths))

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.items) // 2
        first, second = self.items[:middle], self.items[middle:]
        return Batch(self.lane, first, self.running), Batch(self.lane, second, self.running)
