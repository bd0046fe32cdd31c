"""A running service for one scenario: its load, its probes, and what its processes use."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.client import Client, Exchange, Question
from tests.chaos.material import Material
from tests.chaos.processes import descriptors, family_of, line_of, resident_mb
from tests.chaos.tally import Tally
from tests.support.server import SHAPES, ProcessService

PROBE_EVERY_S, SAMPLE_EVERY_S = 0.1, 0.05
QUIET_S = 2.0
REFUSED_S = 0.05  # in which a client that was refused does not ask again
CLOSE_S = 0.05  # in which an event loop ends its connections


@dataclass
class Watch:
    """What was seen while a scenario was watched."""

    longest_ms: float = 0.0  # of a probe of /health/live
    longest_short_ms: float = 0.0  # of a short request of somebody else
    before_mb: float = 0.0
    peak_mb: float = 0.0
    probes: int = 0
    red: int = 0  # probes that were not answered with 200

    @property
    def growth_mb(self) -> float:
        return max(0.0, self.peak_mb - self.before_mb)

    def claim(self, tally: Tally, *, within_ms: float = 1000, growth_mb: float | None = None) -> None:
        """Claim that no probe was red or late and, where it is bounded, that memory has not grown by more."""
        tally.claim(not self.red, f"{self.red} of {self.probes} probes were red")
        tally.claim(self.longest_ms < within_ms, f"a probe took {self.longest_ms:.0f} ms")
        if growth_mb is not None:
            tally.claim(self.growth_mb < growth_mb, f"memory grew by {self.growth_mb:.0f} MB")


def during(seconds: float) -> Iterator[None]:
    """Yield again and again until so many seconds have passed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


class Stage:
    """What a scenario acts on: the service, a client of it, and the tally that its requests are counted in."""

    def __init__(
        self, service: ProcessService, shape: str, models: Path, folder: Path, tally: Tally, seconds: float
    ) -> None:
        self.service, self.shape, self.models, self.folder = service, shape, models, folder
        self.tally, self.seconds = tally, seconds
        self.pause_s = 0.0  # of a client of `load` between two requests
        self.material = Material(models)
        parts = urlsplit(service.url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.client = Client(self.host, self.port)
        self._others = Client(self.host, self.port)  # whose delay is measured

    @property
    def gates(self) -> Path:
        """The folder through which `tests/support/hooks` is told what to break."""
        return self.folder / "gates"

    @property
    def is_several(self) -> bool:
        return self.shape == SHAPES[1]

    async def close(self) -> None:
        """Close all connections; to be called on the event loop that made them."""
        self.client.close()
        self._others.close()
        await asyncio.sleep(CLOSE_S)

    # --- Requests --------------------------------------------------------------------------------------------

    async def learn(self, questions: list[Question]) -> list[Question]:
        """Ask every question alone; what it gives is the truth from now on. Return the questions."""
        for question in questions:
            if self.tally.truth.knows(question.path, question.body):
                continue
            alone = Question.of(question.path, question.body, headers=question.headers)
            exchange = await self.client.ask(alone)
            assert exchange.reply is not None, f"no answer to a request alone: {exchange.cause}"
            assert exchange.reply.status == 200, exchange.reply.body[:300]
            self.tally.truth.learn(question.path, question.body, exchange.reply.body)
        return questions

    async def ask(self, question: Question, **fields: Any) -> Exchange:
        """Ask once, and count what becomes of it."""
        exchange = await self.client.ask(question, **fields)
        self.tally.count(exchange)
        return exchange

    async def ask_all(self, questions: Sequence[Question], **fields: Any) -> list[Exchange]:
        """Ask all at once."""
        return list(await asyncio.gather(*(self.ask(question, **fields) for question in questions)))

    async def closed_loop(self, questions: Sequence[Question], connections: int, seconds: float) -> list[Exchange]:
        """Ask on as many connections, the next question after each answer, until the time is over."""
        asked, cycle = [], itertools.cycle(questions)
        end = time.monotonic() + seconds

        async def one() -> None:
            while time.monotonic() < end:
                asked.append(await self.ask(next(cycle)))

        await asyncio.gather(*(one() for _ in range(connections)))
        return asked

    async def open_loop(self, questions: Sequence[Question], per_s: float, seconds: float) -> list[Exchange]:
        """Ask when requests are due, at random moments, whatever has been answered; wait for all that was asked."""
        loop, dice, cycle = asyncio.get_running_loop(), self.material.dice, itertools.cycle(questions)
        tasks, due = [], loop.time()
        end = due + seconds
        while (due := due + dice.expovariate(per_s)) < end:
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            tasks.append(loop.create_task(self.ask(next(cycle))))
        return list(await asyncio.gather(*tasks))

    @asynccontextmanager
    async def load(self, questions: Sequence[Question], connections: int = 8) -> AsyncIterator[None]:
        """Keep a closed loop going for the length of a block; leave it once all that was asked is answered."""
        is_over, cycle = asyncio.Event(), itertools.cycle(questions)

        async def one() -> None:
            while not is_over.is_set():
                exchange = await self.ask(next(cycle))
                is_refused = exchange.reply is None or exchange.reply.status != 200
                await asyncio.sleep(self.pause_s + REFUSED_S * is_refused)

        tasks = [asyncio.create_task(one()) for _ in range(connections)]
        try:
            yield
        finally:
            is_over.set()
            await asyncio.gather(*tasks)

    async def capacity(self, questions: Sequence[Question], connections: int, seconds: float) -> float:
        """Return the requests a second that are answered when there are always enough of them."""
        started = time.monotonic()
        asked = await self.closed_loop(questions, connections, seconds)
        return sum(each.reply is not None and each.reply.status == 200 for each in asked) / (time.monotonic() - started)

    # --- Being watched ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def watched(self, short: Question | None = None) -> AsyncIterator[Watch]:
        """Probe /health/live, ask `short` as somebody else would, and sample memory, for the length of a block.

        The longest delay and the growth are shown in the table.
        """
        watch = Watch(before_mb=self.resident_mb())
        watch.peak_mb = watch.before_mb
        loops: list[Coroutine[Any, Any, None]] = [self._probe(watch), self._sample(watch)]
        if short is not None:
            loops.append(self._ask_short(watch, short))
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.tally.see_delay(watch.longest_ms)
            self.tally.see_growth(watch.growth_mb)

    async def _probe(self, watch: Watch) -> None:
        async def one() -> None:
            started = time.monotonic()
            try:
                probed = await self._others.get("/health/live")
                watch.red += probed.reply is None or probed.reply.status != 200
            finally:  # also where the watching ends before the answer
                watch.probes += 1
                watch.longest_ms = max(watch.longest_ms, (time.monotonic() - started) * 1000)

        async with asyncio.TaskGroup() as probes:
            while True:
                probes.create_task(one())
                await asyncio.sleep(PROBE_EVERY_S)

    async def _ask_short(self, watch: Watch, question: Question) -> None:
        while True:
            exchange = await self._others.ask(question, anew=True)
            self.tally.count(exchange)
            watch.longest_short_ms = max(watch.longest_short_ms, exchange.seconds * 1000)
            await asyncio.sleep(PROBE_EVERY_S)

    async def _sample(self, watch: Watch) -> None:
        while True:
            watch.peak_mb = max(watch.peak_mb, self.resident_mb())
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def quiet(self, short: Question) -> Watch:
        """Return what is seen while nothing happens, against which delays are compared."""
        watch = Watch(before_mb=self.resident_mb())
        tasks = [asyncio.create_task(each) for each in (self._probe(watch), self._ask_short(watch, short))]
        await asyncio.sleep(QUIET_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return watch

    # --- Processes -------------------------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """Return the ids of all its processes, the command's own first."""
        return family_of(self.service.process.pid)

    def processes(self, role: str) -> list[int]:
        """Return the ids of the workers or of the engines; in one process, the one."""
        if not self.is_several:
            return [self.service.process.pid]
        return [pid for pid in self.pids()[1:] if role.encode() in line_of(pid)]

    def resident_mb(self) -> float:
        """Return the resident memory of all its processes."""
        return sum(map(resident_mb, self.pids()))

    def descriptors(self) -> int:
        """Return the number of open descriptors of all its processes."""
        return sum(map(descriptors, self.pids()))

    def signal(self, number: int, *pids: int) -> None:
        """Send a signal to processes of the service, the command itself where none are named."""
        for pid in pids or (self.service.process.pid,):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def until(self, condition: Callable[[], object], within_s: float) -> float | None:
        """Return the seconds until a condition holds; None where it never does within `within_s`."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > within_s:
                return None
            await asyncio.sleep(0.02)
        return time.monotonic() - started

    async def until_status(self, path: str, status: int, within_s: float) -> float | None:
        """Return the seconds until a page is answered with a status; None where it never is within `within_s`."""
        started = time.monotonic()
        while (left := within_s - (time.monotonic() - started)) > 0:
            exchange = await self._others.get(path, left)
            if exchange.reply is not None and exchange.reply.status == status:
                return time.monotonic() - started
            await asyncio.sleep(0.05)
        return None

    async def until_metric(self, name: str, least: float, within_s: float) -> bool:
        """Whether a series, over all its labels, reaches a value in time."""
        loop, sample = asyncio.get_running_loop(), re.compile(rf"^{name}(?:\{{.*\}})? (.+)$", re.M)
        end = loop.time() + within_s
        while loop.time() < end:
            page = await self._others.get("/metrics")
            if page.reply and sum(map(float, sample.findall(page.reply.body.decode()))) >= least:
                return True
            await asyncio.sleep(0.05)
        return False

    async def ended(self, within_s: float) -> int | None:
        """Return the exit code of the command; None where it has not ended within `within_s`."""
        await self.until(lambda: self.service.process.poll() is not None, within_s)
        return self.service.process.poll()

    # --- What the hooks break --------------------------------------------------------------------------------

    @contextmanager
    def broken(self, model: str, kind: str, value: str) -> Iterator[None]:
        """Break the forward passes of a model for the length of a block; see tests/support/hooks."""
        file = self.gates / f"{model}.{kind}"
        file.write_text(value)
        try:
            yield
        finally:
            file.unlink()
