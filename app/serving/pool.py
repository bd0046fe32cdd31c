"""Threads for parsing, tokenizing and decoding what is large, so that the event loop and small requests need not wait.

As many jobs run at once as there are cores. A job that pauses between two chunks of its work lets another go first that
should: one of higher priority, or one that is shorter and came not much later. What nobody waits for any more ends at
its next pause.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, TypeVar, cast

from app.engine.engine import SWITCH_S
from app.errors import DeadlineExceededError, DrainingError, QueueFullError, RequestTooLargeError
from app.tasks.pausing import between_chunks

RETRY_S = 1.0
SIZE_S = 5e-6  # a job that is larger by one counts as having come so much later
MOST_OPEN = 64  # jobs that have begun, each on a thread of its own; all but those that run are paused
IDLE_S = 10.0  # after which a thread without a job ends

ResultT = TypeVar("ResultT")
Key = tuple[float, float, int]


class AbandonedError(Exception):
    """Nobody waits for this job any more."""


class Job:
    """One call of a function; a job with a lower key goes first.

    Neither a job nor the frames that run it keep an error that it has ended with: the error's traceback refers to those
    frames, and what such a circle holds, a body of some MB, would wait for the collector.
    """

    def __init__(self, call: Callable[[], Any], size: int, deadline: float, priority: int, number: int) -> None:
        self.call, self.size, self.deadline = call, size, deadline
        self.key: Key = (-priority, time.monotonic() + size * SIZE_S, number)
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] | None = self.loop.create_future()  # None once it is
        self.turn = threading.Semaphore(0)  # released when the paused job may go on
        self.has_begun = self.is_abandoned = False

    def __lt__(self, other: Job) -> bool:
        return self.key < other.key

    def check(self) -> None:
        """Raise `AbandonedError` where nobody waits for the result."""
        if self.is_abandoned or time.monotonic() > self.deadline:
            raise AbandonedError

    def run(self) -> None:
        """Call the function, and tell the event loop."""
        try:
            self.check()
            self._tell(self.call(), None)
        except AbandonedError:
            self._tell(None, DeadlineExceededError())
        except Exception as error:
            self._tell(None, error)

    def _tell(self, result: Any, failure: Exception | None) -> None:
        with suppress(RuntimeError):  # the event loop may be closed by now, where nobody waits
            self.loop.call_soon_threadsafe(self._resolve, result, failure)

    def _resolve(self, result: Any, failure: Exception | None) -> None:
        done, self.done = self.done, None
        if done is None or done.done():
            return
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(failure)


class Pool:
    """Runs jobs, `slots` at a time. All of them, those that wait included, have `most_size` in all at most."""

    def __init__(self, slots: int, most_size: int) -> None:
        self._slots, self._most_size = slots, most_size
        self._changed = threading.Condition()  # for threads that wait for a job; its lock guards all that follows
        self._numbers = count()
        self._waiting: list[Job] = []  # a heap of jobs that have not begun, and of those that are paused
        self._beginning: deque[Job] = deque()  # jobs with a slot for which there is no thread yet
        self._running = self._open = 0  # jobs with a slot; jobs that have begun
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._is_closed = False
        self.size = 0  # of all jobs

    async def run(
        self, function: Callable[..., ResultT], *arguments: Any, size: int, deadline: float, priority: int = 0
    ) -> ResultT:
        """Call a function on a thread. `size` is about the number of characters that it goes through.

        Raises what it raises, `RequestTooLargeError` where it would be refused however little waits, `QueueFullError`
        where too much waits already, and `DeadlineExceededError` when it has
        not returned by `deadline`, in seconds of `time.monotonic()`. When the caller is cancelled, the work ends.
        """
        job = Job(partial(function, *arguments), size, deadline, priority, next(self._numbers))
        done = job.done
        assert done is not None
        self._submit(job)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return cast(ResultT, await done)
        except TimeoutError:
            raise DeadlineExceededError from None
        finally:
            if not done.done() or done.cancelled():
                self._abandon(job)
            del done  # see `Job`

    def close(self, limit_s: float = 2.0) -> None:
        """End every job at its next pause, and the threads; wait `limit_s` for them at most."""
        with self._changed:
            self._is_closed = True
            for job in list(self._waiting):
                self._drop(job)
            self._changed.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + limit_s
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _submit(self, job: Job) -> None:
        with self._changed:
            if self._is_closed:
                raise DrainingError
            if job.size > self._most_size:
                raise RequestTooLargeError(
                    f"the request takes as much work as {job.size:,} characters, each text counted as often as it is "
                    f"asked about; at most {self._most_size:,} are taken at once"
                )
            if self.size + job.size > self._most_size:
                raise QueueFullError("too many long texts are being read; try again later", RETRY_S)
            self.size += job.size
            heappush(self._waiting, job)
            self._dispatch()

    def _abandon(self, job: Job) -> None:
        with self._changed:
            job.is_abandoned = True
            if job in self._waiting:
                self._drop(job)

    def _drop(self, job: Job) -> None:
        """Forget a waiting job that has not begun; have one that is paused go on at once, to end."""
        job.is_abandoned = True
        if job.has_begun:
            job.key = (float("-inf"), 0.0, 0)
        else:
            self._waiting.remove(job)
            self.size -= job.size
        heapify(self._waiting)
        self._dispatch()

    # --- With the lock held -------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give free slots to the jobs that go first."""
        while self._running < self._slots and self._waiting:
            job = self._take_first()
            self._running += 1
            if job.has_begun:
                job.turn.release()
            else:
                job.has_begun = True
                self._open += 1
                self._begin(job)

    def _take_first(self) -> Job:
        """Take the job that goes first; with all threads in use, of those that are paused."""
        if self._open < MOST_OPEN or self._waiting[0].has_begun:
            return heappop(self._waiting)
        job = min(job for job in self._waiting if job.has_begun)
        self._waiting.remove(job)
        heapify(self._waiting)
        return job

    def _begin(self, job: Job) -> None:
        self._beginning.append(job)
        if len(self._beginning) <= self._idle:
            self._changed.notify()
            return
        sys.setswitchinterval(SWITCH_S)  # the longest that the event loop waits for a job to leave it the GIL
        thread = threading.Thread(target=self._work, name="pool", daemon=True)
        self._threads.add(thread)
        thread.start()

    # --- On the threads -----------------------------------------------------------------------------------

    def _work(self) -> None:
        with self._changed:
            self._idle += 1
        while (job := self._next()) is not None:
            between_chunks.set(partial(self._pause, job))
            job.run()
            with self._changed:
                self._running -= 1
                self._open -= 1
                self.size -= job.size
                self._idle += 1  # first, so that this thread may take the next one
                self._dispatch()
            del job  # its result, while this thread is idle

    def _next(self) -> Job | None:
        """Wait for a job to begin; None when this thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._beginning or self._is_closed, IDLE_S)
            self._idle -= 1
            if self._beginning:
                return self._beginning.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def _pause(self, job: Job) -> None:
        """Let another job go first, if one should. Raises `AbandonedError`."""
        with self._changed:
            job.is_abandoned |= self._is_closed
            job.check()
            if not self._waiting or not self._waiting[0] < job:
                return
            if not self._waiting[0].has_begun and self._open >= MOST_OPEN:
                return
            heappush(self._waiting, job)
            self._running -= 1
            self._dispatch()
        job.turn.acquire()
        job.check()
