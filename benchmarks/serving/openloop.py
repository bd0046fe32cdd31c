"""Load over HTTP whose arrivals are written beforehand, and closed loops beside it, from one light client.

In an open loop requests arrive when they are due, whether or not earlier ones have been answered, and latency counts
from then: a stall of the service delays every request that was due meanwhile, and all of them show it (no
"coordinated omission"). A closed loop asks again when it is answered: it finds the most that a service can do.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import uvloop

from benchmarks.machine import TICKS_PER_S, machine_cpu_s, process_cpu_s
from benchmarks.serving.client import Answered, Client, Question
from benchmarks.serving.servers import Running

Stream = Callable[[Client], Awaitable[list[Answered]]]


class Arrival(NamedTuple):
    due: float
    question: Question


def poisson(questions: Sequence[Question], per_s: float, seconds: float, seed: int) -> list[Arrival]:
    """Arrivals of a Poisson process: the gaps between them are independent and exponential."""
    gaps, cycle = random.Random(seed), itertools.cycle(questions)
    due = itertools.accumulate(iter(lambda: gaps.expovariate(per_s), None))
    return [Arrival(at, next(cycle)) for at in itertools.takewhile(lambda at: at < seconds, due)]


def every(questions: Sequence[Question], gap_s: float, seconds: float) -> list[Arrival]:
    """Arrivals at a fixed gap, the first after one gap."""
    return [
        Arrival(number * gap_s, question)
        for number, question in zip(range(1, int(seconds / gap_s)), itertools.cycle(questions), strict=False)
    ]


def open_loop(arrivals: Sequence[Arrival]) -> Stream:
    async def stream(client: Client) -> list[Answered]:
        tasks = []
        for due, question in arrivals:
            await asyncio.sleep(max(0.0, due - client.now()))
            tasks.append(asyncio.create_task(client.ask(question, due)))
        return await asyncio.gather(*tasks)

    return stream


def closed_loop(questions: Sequence[Question], connections: int, seconds: float) -> Stream:
    """Every connection asks the next question when it has its answer, until the time is over."""
    cycle = itertools.cycle(questions)

    async def one(client: Client) -> list[Answered]:
        answered = []
        while client.now() < seconds:
            answered.append(await client.ask(next(cycle)))
        return answered

    async def stream(client: Client) -> list[Answered]:
        each = await asyncio.gather(*(one(client) for _ in range(connections)))
        return list(itertools.chain.from_iterable(each))

    return stream


@dataclass(frozen=True, slots=True)
class Measured:
    """What each stream was answered, and CPU: ms a request of client and server, the others' share of the machine."""

    streams: list[list[Answered]]
    client_cpu_ms: float
    server_cpu_ms: float
    others: float


def drive(server: Running, *streams: Stream) -> Measured:
    """Run streams of load side by side, then check every answer. Raises `WrongAnswerError`."""
    with no_garbage_collection():
        before = time.process_time(), process_cpu_s(server.pid), machine_cpu_s()
        answered = uvloop.run(gather(server, streams))
        client_s = time.process_time() - before[0]
        server_s, machine = process_cpu_s(server.pid) - before[1], machine_cpu_s() - before[2]
    requests = sum(map(len, answered))
    if not requests:
        raise RuntimeError("no answer: measure for longer")
    for one in itertools.chain.from_iterable(answered):
        one.check()
    return Measured(
        streams=answered,
        client_cpu_ms=1000 * client_s / requests,
        server_cpu_ms=1000 * server_s / requests,
        others=max(0.0, machine.busy - client_s - server_s) / max(machine.all, 1 / TICKS_PER_S),
    )


async def gather(server: Running, streams: Sequence[Stream]) -> list[list[Answered]]:
    client = Client.of(server)
    try:
        return list(await asyncio.gather(*(stream(client) for stream in streams)))
    finally:
        client.close()


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """The client's pauses would be counted as the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def texts_per_s(answered: Sequence[Answered]) -> float:
    """Return texts answered per second, until the last answer."""
    return sum(one.question.texts for one in answered) / max(one.done for one in answered)


def percentile_ms(answered: Sequence[Answered], percent: float) -> float:
    return float(np.percentile([one.latency_ms for one in answered], percent))


def lateness_ms(answered: Sequence[Answered], percent: float) -> float:
    """How long after it was due the client sent a request; it is part of the latency."""
    return float(np.percentile([1000 * max(0.0, one.sent - one.due) for one in answered], percent))
