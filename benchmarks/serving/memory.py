"""What the service holds in memory: at rest, for each request in flight, and with its queue full.

python -m benchmarks.serving.memory --checkpoint runs/sentiment/checkpoint --data DIR
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from app.settings import Settings
from benchmarks.machine import wait_until_idle
from benchmarks.serving.client import Answered, Client, Question
from benchmarks.serving.expected import WrongAnswerError
from benchmarks.serving.material import SATURATING, Material, Plan, Section, Target, log, median_of, run_measurement
from benchmarks.serving.openloop import Stream, closed_loop, drive
from benchmarks.serving.servers import Running, running
from benchmarks.tables import table

CONNECTIONS = 512
LONG_TOKENS, LONG_TEXTS = 512, 8
OVERFILL = 1.5  # tokens sent at once, over what the queue takes
FLOODS = 3
SAMPLE_S = 0.02
REFUSED = (429, 504)  # the queue is full; the answer would come too late

METHOD = (
    f"The server's resident memory (VmRSS): after start; after a closed loop of {SATURATING} connections; the greatest "
    f"while {CONNECTIONS} connections ask at once; and the greatest while {OVERFILL:g} times the tokens that its queue "
    f"takes are sent at once, in texts of {LONG_TOKENS} tokens, {FLOODS} times over. What does not fit is refused."
)


def resident_mb(server: Running) -> float:
    """Source: proc(5), /proc/PID/status: VmRSS, in kB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) / 1024


@dataclass
class Watch:
    """The greatest memory of a server, sampled while it is under load."""

    server: Running
    greatest_mb: float = 0.0

    def during(self, stream: Stream) -> Stream:
        async def watched(client: Client) -> list[Answered]:
            sampling = asyncio.create_task(self.sample())
            try:
                return await stream(client)
            finally:
                sampling.cancel()

        return watched

    async def sample(self) -> None:
        while True:
            self.greatest_mb = max(self.greatest_mb, resident_mb(self.server))
            await asyncio.sleep(SAMPLE_S)


@dataclass
class Found:
    """MB by state of the server, and requests refused by a full queue; one figure for each round."""

    held: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: list[int] = field(default_factory=list)

    @property
    def per_request_kb(self) -> list[float]:
        pairs = zip(self.held[at(CONNECTIONS)], self.held[after(SATURATING)], strict=True)
        return [1024 * (many - few) / CONNECTIONS for many, few in pairs]


def at(connections: int) -> str:
    return f"with {connections} requests in flight"


def after(connections: int) -> str:
    return f"after {connections} connections"


def full(number: int) -> str:
    return f"queue full, time {number + 1}"


def measure(material: Material, plan: Plan) -> Section:
    found = Found()
    short = material.questions(material.short.texts)
    long = material.questions(material.texts_of(LONG_TOKENS, LONG_TEXTS))
    requests = int(OVERFILL * Settings.model_fields["max_queue_tokens"].default / LONG_TOKENS)
    for _ in plan.each_round():
        with running(material.server(), material.log_file) as server:
            found.held["after start"].append(resident_mb(server))
            drive(server, closed_loop(short, SATURATING, plan.seconds))
            found.held[after(SATURATING)].append(resident_mb(server))
            watch = Watch(server)
            drive(server, watch.during(closed_loop(short, CONNECTIONS, plan.seconds)))
            found.held[at(CONNECTIONS)].append(watch.greatest_mb)
            for number in range(FLOODS):
                greatest_mb, refused = flood(server, (long * requests)[:requests], plan.seconds)
                found.held[full(number)].append(greatest_mb)
                found.refused.append(refused)
        log.info("    %.0f MB after start, %.0f MB with the queue full", found.held["after start"][-1], greatest_mb)
    return Section("Memory under load", METHOD, [render(found, requests)], [target(found)])


def flood(server: Running, questions: Sequence[Question], seconds: float) -> tuple[float, int]:
    """Send all at once, wait a while, and leave: return the greatest memory in MB, and how many were refused."""
    watch, statuses = Watch(server), list[int]()

    async def stream(client: Client) -> list[Answered]:
        tasks = [asyncio.create_task(client.ask(question)) for question in questions]
        done, waiting = await asyncio.wait(tasks, timeout=seconds)
        for task in waiting:
            task.cancel()
        statuses.extend(task.result().reply.status for task in done)
        return []

    async def run() -> None:
        client = Client.of(server)
        try:
            await watch.during(stream)(client)
        finally:
            client.close()

    uvloop.run(run())
    wait_until_idle(server.pid)
    if wrong := set(statuses) - {200, *REFUSED}:
        raise WrongAnswerError(f"statuses {wrong} from a full queue")
    return watch.greatest_mb, sum(status in REFUSED for status in statuses)


def target(found: Found) -> Target:
    first, last = found.held[full(0)], found.held[full(FLOODS - 1)]
    growth = [b - a for a, b in zip(first, last, strict=True)]
    return Target(
        f"memory that filling the queue {FLOODS} times adds to filling it once",
        "none: bounded",
        f"{median_of(growth)} MB",
    )


def render(found: Found, requests: int) -> str:
    rows = [[state, median_of(held, 0)] for state, held in found.held.items()]
    return (
        f"{table(['', 'MB'], rows)}\n\nA request in flight takes {median_of(found.per_request_kb, 0)} kB. Of "
        f"{requests} requests sent at once to fill the queue, {statistics.median(found.refused):.0f} were refused."
    )


if __name__ == "__main__":
    run_measurement(__doc__, measure)
