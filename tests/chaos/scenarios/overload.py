"""More requests than the service can answer: the useful answers stay, the rest is refused early."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import Sequence

from tests.chaos.client import Exchange, Question
from tests.chaos.material import name_of
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage
from tests.chaos.tally import LATE_S

LEAST_GOODPUT = 0.9  # of capacity, or of what is sent where that is less, in time; the aim on a quiet machine is 0.95
REFUSED_WITHIN_S = 0.05  # nineteen of twenty refusals
SETTLING_S = 4.0
KINDS = 8  # different requests
SLOWED_MS = "30"  # by which every window of a forward pass is slowed
CONNECTIONS = {1: 32, 6: 12, 20: 8}  # that find the capacity, by windows
# Windows of a request, load in capacities, deadline in seconds.
GRID = (
    *((1, load, 0.5) for load in (0.9, 1.5, 3.0, 10.0)),
    *((6, load, 3.0) for load in (0.9, 1.5, 3.0, 10.0)),
    *((20, load, 10.0) for load in (1.5, 3.0)),
    (1, 3.0, 0.3),
    (1, 1.5, 30.0),
    (6, 3.0, 30.0),
)


class Overload(Scenario):
    """Every window is slowed, so that the capacity is that of the runners, whatever else the machine does."""

    seconds = 8.0

    def __init__(self, windows: int, load: float, deadline_s: float) -> None:
        self.windows, self.load, self.deadline_s = windows, load, deadline_s
        self.fault = f"{load:g} times capacity, {windows} window{'s' * (windows > 1)}, {deadline_s:g} s"

    @property
    def name(self) -> str:
        return f"{super().name}-{self.windows}-{self.load:g}-{self.deadline_s:g}"

    @classmethod
    def variants(cls) -> Sequence[Scenario]:
        return [cls(*each) for each in GRID]

    async def play(self, stage: Stage) -> None:
        questions = stage.material.of_texts(self.windows, KINDS)
        await stage.learn(questions)
        with stage.broken(name_of(stage.material.folders["classify"]), "slow", SLOWED_MS):
            await self.flood(stage, questions)

    async def flood(self, stage: Stage, questions: Sequence[Question]) -> None:
        await stage.closed_loop(questions, CONNECTIONS[self.windows], SETTLING_S)  # what a batch costs is learned
        hurried = [Question.of(q.path, q.body, deadline_s=self.deadline_s) for q in questions]
        before = await stage.capacity(questions, CONNECTIONS[self.windows], stage.seconds / 2)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with stage.watched() as watch:
            asked = await stage.open_loop(hurried, self.load * before, stage.seconds)
        after = await stage.capacity(questions, CONNECTIONS[self.windows], stage.seconds / 2)
        counted = answered_in_time(asked)
        took_s = max([stage.seconds, *(each.done - begun for each in counted)])  # the queue is emptied after the load
        goodput = len(counted) / min(len(asked), took_s * statistics.mean((before, after)))
        stage.tally.measured = f"goodput {goodput:.2f}"
        claim = stage.tally.claim
        claim(goodput >= LEAST_GOODPUT, f"goodput {goodput:.2f} of {before:.1f}/s before and {after:.1f}/s after")
        claim(after >= 0.75 * before, f"capacity went from {before:.1f}/s to {after:.1f}/s")
        claim(watch.longest_ms < 1000, f"a probe took {watch.longest_ms:.0f} ms")
        self.claim_early(stage, asked)

    def claim_early(self, stage: Stage, asked: Sequence[Exchange]) -> None:
        """Refused is refused at once, and admitted is answered in time."""
        refused = [each for each in asked if each.reply is not None and each.reply.status in (429, 504, 503)]
        late = sum(each.seconds > self.deadline_s * 0.9 for each in refused)
        allowed = max(3.0, 0.05 * (len(asked) - len(refused)))
        stage.tally.claim(late <= allowed, f"{late} of {len(asked)} requests were refused only when it was too late")
        early = sorted(each.seconds for each in refused if each.seconds <= self.deadline_s * 0.9)
        slow = early[int(len(early) * 0.95)] if early else 0.0
        stage.tally.claim(slow < REFUSED_WITHIN_S, f"one of twenty refusals took over {slow * 1000:.0f} ms")


def answered_in_time(asked: Sequence[Exchange]) -> list[Exchange]:
    """Return those that were answered by their deadline."""
    return [
        each
        for each in asked
        if each.reply is not None
        and each.reply.status == 200
        and each.seconds <= (each.question.deadline_s or 1e9) + LATE_S
    ]


class Priorities(Scenario):
    fault = "3 times capacity of priority 0, a tenth of it of priority 10"
    seconds = 8.0

    async def play(self, stage: Stage) -> None:
        questions = stage.material.of_texts(1, KINDS)
        await stage.learn(questions)
        with stage.broken(name_of(stage.material.folders["classify"]), "slow", SLOWED_MS):
            await self.flood(stage, questions)

    async def flood(self, stage: Stage, questions: Sequence[Question]) -> None:
        await stage.closed_loop(questions, 32, SETTLING_S)
        capacity = await stage.capacity(questions, 32, stage.seconds / 2)
        many = [Question.of(q.path, q.body, deadline_s=5) for q in questions]
        urgent = [Question.of(q.path, q.body, deadline_s=1, priority=10) for q in questions]
        flood = asyncio.create_task(stage.open_loop(many, 3 * capacity, stage.seconds))
        await asyncio.sleep(stage.seconds / 4)
        first = await stage.open_loop(urgent, capacity / 10, stage.seconds / 2)
        await flood
        answered = sum(each.reply is not None and each.reply.status == 200 and each.seconds < 1.05 for each in first)
        share = answered / max(1, len(first))
        stage.tally.measured = f"{share:.2f} of these in time"
        stage.tally.claim(share >= 0.95, f"{answered} of {len(first)} urgent requests were answered in time")


class ManyConnections(Scenario):
    """Nobody names a deadline, and everybody waits."""

    fault = "400 connections of six windows, every setting at its default"
    seconds = 20.0

    async def play(self, stage: Stage) -> None:
        questions = stage.material.of_windows(6, KINDS)
        await stage.learn(questions)
        before = await stage.capacity(questions, 12, stage.seconds / 4)
        right, begun = stage.tally.right, asyncio.get_running_loop().time()
        async with stage.watched() as watch, stage.load(questions, 400):
            await asyncio.sleep(stage.seconds)
        took_s, right = asyncio.get_running_loop().time() - begun, stage.tally.right - right
        after = await stage.capacity(questions, 12, stage.seconds / 4)
        goodput = right / took_s / statistics.mean((before, after))
        stage.tally.measured = f"goodput {goodput:.2f}"
        stage.tally.claim(
            goodput > LEAST_GOODPUT, f"goodput {goodput:.2f} of {before:.1f}/s before and {after:.1f}/s after"
        )
        stage.tally.claim(watch.longest_ms < 1000, f"a probe took {watch.longest_ms:.0f} ms")
        stage.tally.claim(not watch.red, f"{watch.red} of {watch.probes} probes were red")


class ManyShort(Scenario):
    fault = "3,000 connections of short texts, every setting at its default"
    seconds = 10.0

    async def play(self, stage: Stage) -> None:
        questions = stage.material.short(64)
        await stage.learn(questions)
        capacity = await stage.capacity(questions, 64, stage.seconds / 3)
        async with stage.watched() as watch, stage.load(questions, 3000):
            await asyncio.sleep(stage.seconds)
        after = await stage.capacity(questions, 64, stage.seconds / 3)
        stage.tally.claim(watch.longest_ms < 1000, f"a probe took {watch.longest_ms:.0f} ms")
        stage.tally.claim(after > 0.75 * capacity, f"capacity went from {capacity:.0f}/s to {after:.0f}/s")


class LateAnswers(Scenario):
    """As many short requests as to fill every socket: what is answered is answered in time."""

    fault = "1.5 times capacity of short texts with 1 s"
    seconds = 8.0

    async def play(self, stage: Stage) -> None:
        questions = stage.material.short(64)
        await stage.learn(questions)
        capacity = await stage.capacity(questions, 64, stage.seconds / 3)
        hurried = itertools.cycle([Question.of(q.path, q.body, deadline_s=1) for q in questions])
        async with stage.watched():
            await stage.open_loop([next(hurried) for _ in range(640)], 1.5 * capacity, stage.seconds)
        late, right = stage.tally.late, stage.tally.right
        stage.tally.claim(late <= 0.01 * right, f"{late} of {right} answers came after their deadline")
