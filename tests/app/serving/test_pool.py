"""The pool: what goes first, what is refused, and that work for nobody ends."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from app.errors import DeadlineExceededError, DrainingError, QueueFullError, RequestTooLargeError
from app.serving import pool as module
from app.serving.pool import Pool
from app.tasks.pausing import pause
from tests.support.server import until

LIMIT_S = 30.0


class Work:
    """Steps of work that are let go on one by one, and in which order they were done."""

    def __init__(self):
        self.steps, self.allowed = [], threading.Semaphore(0)

    def __call__(self, name, steps=1):
        for number in range(steps):
            assert self.allowed.acquire(timeout=LIMIT_S)
            self.steps.append(f"{name}{number}")
            pause()
        return name

    def allow(self, steps=1):
        before = len(self.steps)
        self.allowed.release(steps)
        until(lambda: len(self.steps) == before + steps)


def play(scenario, slots=1, most_size=10_000_000):
    async def go():
        pool = Pool(slots, most_size)
        work = Work()

        def submit(name, steps=1, size=0, priority=0, limit_s=LIMIT_S):
            call = pool.run(work, name, steps, size=size, deadline=time.monotonic() + limit_s, priority=priority)
            return asyncio.create_task(call)

        try:
            return await scenario(pool, work, submit)
        finally:
            work.allowed.release(1000)
            await asyncio.to_thread(pool.close)
            assert not pool._threads
            assert pool.size == pool._running == pool._open == 0

    return asyncio.run(go())


async def begun(pool, jobs):
    """Let jobs be submitted, and wait until so many have a slot."""
    await asyncio.sleep(0)
    await asyncio.to_thread(until, lambda: pool._running == jobs and not pool._beginning)


def test_a_call_returns_what_the_function_does_and_raises_what_it_raises():
    async def scenario(pool, work, submit):
        work.allowed.release(1)
        assert await submit("a") == "a"
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0, size=1, deadline=time.monotonic() + LIMIT_S)

    play(scenario)


@pytest.mark.parametrize(
    ("other", "order"),
    [
        ({"size": 0}, ["a0", "b0", "a1", "a2"]),  # it is shorter by much more than it came later
        ({"size": 1_000_000}, ["a0", "a1", "a2", "b0"]),
        ({"size": 1_000_000, "priority": 1}, ["a0", "b0", "a1", "a2"]),
        ({"size": 0, "priority": -1}, ["a0", "a1", "a2", "b0"]),
    ],
)
def test_a_long_job_lets_those_go_first_that_should(other, order):
    async def scenario(pool, work, submit):
        long = submit("a", 3, size=1_000_000)
        await begun(pool, 1)
        short = submit("b", **other)
        await asyncio.sleep(0)
        work.allowed.release(4)
        await asyncio.gather(long, short)
        assert work.steps == order

    play(scenario)


def test_as_many_jobs_run_at_once_as_there_are_slots():
    async def scenario(pool, work, submit):
        jobs = [submit(str(n)) for n in range(10)]
        await begun(pool, 3)
        assert len(pool._waiting) == 7
        work.allowed.release(10)
        assert await asyncio.gather(*jobs) == [str(n) for n in range(10)]
        assert len(pool._threads) <= 4

    play(scenario, slots=3)


@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_work_for_nobody_ends_at_its_next_pause(end):
    async def scenario(pool, work, submit):
        job = submit("a", 1000, size=5, limit_s=LIMIT_S if end == "cancel" else 0.2)
        await begun(pool, 1)
        if end == "cancel":
            job.cancel()
        with pytest.raises((asyncio.CancelledError, DeadlineExceededError)):
            await job
        assert pool.size == 5
        work.allowed.release(1)
        await asyncio.to_thread(until, lambda: pool.size == 0)
        assert work.steps == ["a0"]

    play(scenario)


def test_work_that_has_not_begun_when_nobody_waits_for_it_never_does():
    async def scenario(pool, work, submit):
        running = submit("a", size=5)
        await begun(pool, 1)
        waiting = submit("b", size=5)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.size == 5
        work.allowed.release(1)
        assert await running == "a"
        assert work.steps == ["a0"]

    play(scenario)


def test_paused_work_for_nobody_ends_before_others():
    async def scenario(pool, work, submit):
        long = submit("a", 3, size=1_000_000)
        await begun(pool, 1)
        short = submit("b", 2)
        await asyncio.sleep(0)
        work.allow()  # a's first step; then b goes
        await asyncio.to_thread(until, lambda: any(job.has_begun for job in pool._waiting))
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        work.allowed.release(2)
        assert await short == "b"
        assert work.steps == ["a0", "b0", "b1"]

    play(scenario)


def test_what_is_refused_however_little_waits_is_not_to_be_tried_again():
    async def scenario(pool, work, submit):
        with pytest.raises(RequestTooLargeError, match="as much work as 101 characters"):
            await submit("a", size=101)

    play(scenario, most_size=100)


def test_more_than_may_wait_is_refused_at_once():
    async def scenario(pool, work, submit):
        first = submit("a", size=60)
        await begun(pool, 1)
        with pytest.raises(QueueFullError, match="try again later") as refused:
            await submit("b", size=41)
        assert refused.value.retry_after_s == 1.0
        second = submit("c", size=40)
        work.allowed.release(2)
        assert await asyncio.gather(first, second) == ["a", "c"]
        assert (await asyncio.gather(submit("d", 0, size=100))) == ["d"]

    play(scenario, most_size=100)


def test_threads_are_bounded_however_often_jobs_are_paused(monkeypatch):
    monkeypatch.setattr(module, "MOST_OPEN", 3)

    async def scenario(pool, work, submit):
        jobs = []
        for number in range(6):  # each is shorter than those before
            jobs.append(submit(str(number), 9, size=100_000 * (6 - number)))
            await begun(pool, 1)
            await asyncio.to_thread(work.allow)  # the one that runs pauses for it, if there may be a thread for it
        await asyncio.to_thread(until, lambda: len(pool._threads) == 3)
        work.allowed.release(100)
        await asyncio.gather(*jobs)
        assert len(pool._threads) == 3

    play(scenario)


def test_a_closed_pool_takes_nothing_and_ends_what_is_paused_or_waits():
    async def scenario(pool, work, submit):
        job = submit("a", 1000)
        await begun(pool, 1)
        waiting = submit("b")
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(pool.close))
        await asyncio.to_thread(until, lambda: pool._is_closed)
        with pytest.raises(DrainingError):
            await submit("c")
        work.allowed.release(1)
        await closing
        with pytest.raises(DeadlineExceededError):
            await job
        waiting.cancel()

    play(scenario)


class Body:
    """What a job reads."""


def test_a_failure_leaves_nothing_for_the_collector():
    """The error's traceback refers to the frames that have the body; nothing of the pool may refer to the error."""
    body = Body()
    kept = weakref.ref(body)

    def fail(body):
        raise ZeroDivisionError

    async def scenario(pool, work, submit):
        nonlocal body
        with pytest.raises(ZeroDivisionError):
            await pool.run(fail, body, size=1, deadline=time.monotonic() + LIMIT_S)
        await pool.run(lambda: None, size=1, deadline=time.monotonic() + LIMIT_S)
        body = None
        await asyncio.to_thread(until, lambda: kept() is None)

    gc.disable()
    try:
        play(scenario)
    finally:
        gc.enable()
