"""All kinds of clients at once, for long: memory and descriptors stay flat."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import closing, suppress

from tests.chaos.client import Question, forget, raw
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage

SAMPLES = 10
WARM_SHARE = 0.4  # of the time, after which memory must not grow any more
MOST_GROWTH_MB = 60.0
MOST_DESCRIPTORS = 20
SHORTEST_S = 4.0  # in the test suite


class Soak(Scenario):
    fault = "a soak of valid, invalid, huge, left and unread requests"
    seconds = 45.0
    is_smoke = True

    async def play(self, stage: Stage) -> None:
        valid = [*stage.material.mixed(60, deadline_s=20), *stage.material.of_windows(3, 4, deadline_s=20)]
        await stage.learn(valid)
        descriptors, claim = stage.descriptors(), stage.tally.claim
        crowd = [self.invalid(stage), self.huge(stage), self.leaving(stage, valid), self.unread(stage)]
        async with stage.watched() as watch, stage.load(valid, 6):
            others = [asyncio.create_task(each) for each in crowd]
            samples = await self.sample(stage)
            for each in others:
                claim(not each.done(), f"{each.get_coro()} ended early")
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        sizes = [round(size) for size, _ in samples]
        stage.tally.measured = f"{sizes} MB, {[count for _, count in samples]} descriptors"
        grown = min(sizes[-4:]) - max(sizes[:3])
        claim(grown < MOST_GROWTH_MB, f"memory grew by {grown:.0f} MB")
        closed_s = await stage.until(lambda: stage.descriptors() <= descriptors + MOST_DESCRIPTORS, 10)
        claim(closed_s is not None, f"descriptors went from {descriptors} to {stage.descriptors()}")
        if stage.seconds < self.seconds:  # beside other tests, whose delays are not the service's
            claim(not watch.red, f"{watch.red} of {watch.probes} probes were red")
        else:
            watch.claim(stage.tally)

    async def sample(self, stage: Stage) -> list[tuple[float, int]]:
        """Return the resident memory, in MB, and the descriptors of all processes: once warm, and then at intervals."""
        seconds = max(stage.seconds, SHORTEST_S)
        await asyncio.sleep(seconds * WARM_SHARE)
        found = [(stage.resident_mb(), stage.descriptors())]
        for _ in range(SAMPLES):
            await asyncio.sleep(seconds * (1 - WARM_SHARE) / SAMPLES)
            found.append((stage.resident_mb(), stage.descriptors()))
        return found

    async def invalid(self, stage: Stage) -> None:
        bodies = [b"{", b"\xff", b"[]", b'{"inputs": 5}', b'{"inputs": ""}', b'{"inputs": "a", "x": 1}']
        questions = [Question.of(path, body) for path in ("/classify", "/ner", "/nowhere") for body in bodies]
        for question in itertools.cycle(questions):
            await stage.ask(question)
            await asyncio.sleep(0.02 + stage.pause_s)

    async def huge(self, stage: Stage) -> None:
        texts = ["a " * 1_000_000, "x" * 3_000_000, "🙂 " * 300_000]
        bodies = [json.dumps({"inputs": text}).encode() for text in texts]
        for path, body in itertools.cycle(itertools.product(("/classify", "/ner"), bodies)):
            exchange = await stage.client.ask(Question.of(path, body, deadline_s=2))
            if exchange.reply is not None and exchange.reply.status == 200:
                stage.tally.truth.learn(path, body, exchange.reply.body)
            stage.tally.count(exchange)
            await asyncio.sleep(0.5 + stage.pause_s)

    async def leaving(self, stage: Stage, questions: list[Question]) -> None:
        dice = stage.material.dice
        while True:
            connection = await stage.client.open()
            connection.ask(dice.choice(questions).request).add_done_callback(forget)
            await asyncio.sleep(dice.random() * 0.05)
            connection.close()
            stage.tally.leave(1)
            await asyncio.sleep(stage.pause_s)

    async def unread(self, stage: Stage) -> None:
        large = Question.of("/fill-mask", {"inputs": "[MASK] " + "a " * 200, "parameters": {"top_k": 500}})
        while True:
            with closing(await raw(stage.host, stage.port)) as sock:
                with suppress(OSError):
                    await asyncio.get_running_loop().sock_sendall(sock, large.request * 2)
                stage.tally.leave(2)
                await asyncio.sleep(2)
