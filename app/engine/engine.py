"""The engine: an asyncio interface to the scheduler, and the runners that take batches from it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from app.engine.admission import Limits
from app.engine.backlog import Backlog
from app.engine.dividing import divide, joined
from app.engine.mailbox import Mailbox
from app.engine.runner import Runner
from app.engine.scheduler import Scheduler
from app.engine.traced import trace_batch, trace_wait
from app.engine.work import Batch, Lane, Ticket
from app.errors import DeadlineExceededError, DrainingError, InferenceFailedError, ServeError
from app.metrics import Metrics
from app.tracing import Trace, current, trace_field
from app.window import Floats, Window

IDLE_AFTER_S = 0.05  # a batch may use every core once no other has run or waited for this long
SWITCH_S = 1e-4  # thread switch interval: the longest that a runner waits for the GIL (Python's default: 5 ms)
MOST_AT_EASE = 512  # tokens that cost next to nothing for admission
FAILED = "the model failed on this input; the log has the kind of error"

log = structlog.get_logger(__name__)


class Engine:
    """Owns the queue of every model. One lock guards the scheduler and the tickets; batches run outside it."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._scheduler = Scheduler(limits)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # for runners that wait in `take`
        self._waiting = 0  # runners that wait in `take`
        self._stopping = False
        self._shared_at = float("-inf")  # when a batch last began while others ran or waited
        self._mailbox: Mailbox | None = None  # of the event loop that submits
        self._resuming = 0  # calls of `submit` whose tickets are finished, and that go on in this or the next turn
        self._timers: dict[Ticket, asyncio.TimerHandle] = {}  # that event loop's, one for each deadline
        self._is_traced = False  # whether any request had a trace
        self.runners = [Runner(number, self) for number in range(limits.runners)]

    def start(self) -> None:
        """Start the runners, and shorten the thread switch interval of this process."""
        sys.setswitchinterval(SWITCH_S)
        for runner in self.runners:
            runner.start()

    def stop(self, limit_s: float | None = None) -> None:
        """Refuse queued requests and wait for the running batches, for `limit_s` at most."""
        deadline = None if limit_s is None else time.monotonic() + limit_s
        with self._lock:
            self._stopping = True
            refused = self._scheduler.drain()
            for ticket in refused:
                ticket.finish(DrainingError())
            self._changed.notify_all()
        for runner in self.runners:
            runner.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def is_stalled(self, limit_s: float) -> bool:
        return any(runner.is_stalled(limit_s) for runner in self.runners)

    async def submit(self, lane: Lane, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Ticket:
        """Run `windows` and return the finished ticket, whose outputs are (rows, width) per window.

        `deadline` is in seconds of `time.monotonic()`; a higher `priority` goes first. Raises what admission
        raises, `DeadlineExceededError` and `InferenceFailedError`. When the caller is cancelled, its windows leave
        the queue.
        """
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_finish(_: Ticket) -> None:
            if not finished.done():  # the caller may have been cancelled
                finished.set_result(None)
                self._resuming += 1

        trace = current.get()
        ticket = self.begin(lane, windows, deadline=deadline, priority=priority, on_finish=on_finish, trace=trace)
        try:
            await finished
        finally:
            if finished.done() and not finished.cancelled():
                self._resuming -= 1
            if not ticket.finished:
                self.abandon(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket

    def begin(
        self,
        lane: Lane,
        windows: Sequence[Window],
        *,
        deadline: float,
        priority: int = 0,
        on_finish: Callable[[Ticket], None],
        trace: Trace | None = None,
    ) -> Ticket:
        """Queue `windows`, and call `on_finish` on this event loop once the ticket has its outputs or its error.

        This is `submit` without a coroutine; `trace` is that of a request that is sampled. Raises what admission
        raises.
        """
        loop = asyncio.get_running_loop()
        if self._mailbox is None or self._mailbox.loop is not loop:
            self._mailbox = Mailbox(loop)
        finish = partial(self._finish_on_loop, self._mailbox, on_finish)
        windows, passes = divide(lane, windows, self._scheduler.limits.max_queue_tokens)
        ticket = Ticket(lane, windows, time.monotonic(), deadline, priority, finish, trace, passes)
        self._is_traced = self._is_traced or trace is not None
        self._admit(ticket)
        # A runner may have finished the ticket by now, but this event loop hears of it later than this call.
        self._timers[ticket] = loop.call_later(max(0.0, deadline - ticket.arrival), self._expire, ticket)
        return ticket

    @property
    def is_answering(self) -> bool:
        """Whether answers wait for their turn of the event loop."""
        return self._resuming > 0 or (self._mailbox is not None and self._mailbox.is_full)

    def check_room(self, lane: Lane, tokens: int, *, deadline: float, priority: int = 0) -> None:
        """Raise what `begin` would raise now for windows with so many tokens or more.

        It takes microseconds, so that a request can be refused before its text is tokenized.
        """
        scheduler, now = self._scheduler, time.monotonic()
        if tokens > MOST_AT_EASE or (len(scheduler) and not scheduler.is_at_ease(now, deadline, priority)):
            with self._lock:
                scheduler.check_room(lane, tokens, now, deadline=deadline, priority=priority)

    def backlog(self) -> Backlog | None:
        """Return what other processes are told of the queue; None while it is so short that nothing is refused."""
        with self._lock:
            return self._scheduler.backlog(time.monotonic())

    def abandon(self, ticket: Ticket) -> None:
        """Take a ticket whose caller went away out of the queue."""
        self._withdraw(ticket, None)

    @property
    def queued_tokens(self) -> int:
        """Return how many tokens wait for a runner."""
        return self._scheduler.queued_tokens

    def report_queue(self) -> None:
        """Set the gauges of the queue."""
        self._metrics.queue_tokens.set(self.queued_tokens)
        self._metrics.queue_requests.set(self._scheduler.queued_requests)

    def _finish_on_loop(self, mailbox: Mailbox, on_finish: Callable[[Ticket], None], ticket: Ticket) -> None:
        """Have a ticket that some thread has just finished reported on the event loop that submitted it."""
        mailbox.leave(partial(self._finish, ticket, on_finish))

    def _finish(self, ticket: Ticket, on_finish: Callable[[Ticket], None]) -> None:
        self._timers.pop(ticket).cancel()
        if isinstance(ticket.error, DeadlineExceededError):
            self._metrics.deadline_missed.inc()
        if ticket.passes is not None and ticket.error is None:
            ticket.outputs = joined(ticket.outputs, ticket.passes)
        on_finish(ticket)
        if ticket.trace is not None:
            trace_wait(ticket, time.monotonic())

    def _admit(self, ticket: Ticket) -> None:
        with self._lock:
            if self._stopping:
                raise DrainingError
            self._scheduler.admit(ticket)
            if self._waiting:
                self._changed.notify(len(ticket.windows))

    def _expire(self, ticket: Ticket) -> None:
        self._withdraw(ticket, DeadlineExceededError())

    def _withdraw(self, ticket: Ticket, error: ServeError | None) -> None:
        """Finish a ticket whose deadline passed, or, without an error, one whose caller went away."""
        with self._lock:
            if ticket.finished:
                return
            self._scheduler.withdraw(ticket)
            if error is None:
                self._metrics.cancelled.inc()
            else:
                self._scheduler.missed()
            ticket.finish(error)

    # --- What the runners call, each on its own thread; see `app.engine.runner.Work` --------------------

    def take(self) -> Batch | None:
        asked = time.monotonic()
        with self._lock:
            while not self._stopping:
                now = time.monotonic()
                batch = self._scheduler.next_batch(now)
                if batch is not None:
                    return self._begin_batch(batch, asked, now)
                self._waiting += 1
                self._changed.wait(self._scheduler.ready_in_s(now))
                self._waiting -= 1
                asked = time.monotonic()
            return None

    def _begin_batch(self, batch: Batch, asked: float, now: float) -> Batch:
        for item in batch.items:
            item.ticket.started = item.ticket.started or now
        if self._scheduler.running_batches > 1 or len(self._scheduler):
            self._shared_at = now
        return replace(batch, asked=asked, idle_machine=now - self._shared_at > IDLE_AFTER_S)

    def complete(self, batch: Batch, outputs: Sequence[Floats], seconds: float, *, is_last: bool) -> None:
        lane, shape = batch.lane, batch.shape
        with self._lock:  # answer first, then count
            now = time.monotonic()
            if is_last:
                self._scheduler.ended(batch)
            for item, output in zip(batch.items, outputs, strict=True):
                ticket = item.ticket
                if ticket.ended != now:  # its first window in this batch
                    ticket.forward_s += seconds
                    ticket.ended = now
                if not ticket.finished and ticket.fill(item.index, output):
                    self._scheduler.finished(ticket, now)
        lane.series.observe_batch(len(batch.items), shape.tokens, batch.computed_tokens, seconds)
        if batch.asked and not batch.idle_machine:  # a pass on every core does not show what batches cost under load
            lane.cost.refine(shape, time.monotonic() - batch.asked)
        if self._is_traced:
            trace_batch(batch, now - seconds, now)

    def lose(self, batch: Batch | None, cause: BaseException) -> None:
        with self._lock:  # answer first: what is left of memory may not do for more
            if batch is not None:
                self._scheduler.ended(batch)
                for item in batch.items:
                    self._scheduler.withdraw(item.ticket)
                    item.ticket.finish(InferenceFailedError(FAILED))
        if self._stopping:
            return
        self._metrics.runner_restarts.inc()
        log.error("runner_restarted", cause=type(cause).__name__, windows=len(batch.items) if batch else 0)

    def fail(self, batch: Batch, cause: Exception, *, is_last: bool) -> None:
        (item,), lane = batch.items, batch.lane
        lane.series.forward_failures.inc()
        about = trace_field(item.ticket.trace)
        log.error("forward_failed", model=lane.name, tokens=item.length, cause=type(cause).__name__, **about)
        with self._lock:
            if is_last:
                self._scheduler.ended(batch)
            self._scheduler.withdraw(item.ticket)
            item.ticket.finish(InferenceFailedError(FAILED))
        if self._is_traced:
            now = time.monotonic()
            trace_batch(batch, item.ticket.started or now, now, InferenceFailedError.code)
