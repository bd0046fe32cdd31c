"""A log that nobody reads, and one that is flooded."""

from __future__ import annotations

import asyncio
import sys

from tests.chaos.client import Question
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage, during

# Standard error is a pipe; what stands at its end copies until there is a file `blocked`, and then only waits.
READER = """
import sys, time
from pathlib import Path
blocked = Path(sys.argv[1]) / "blocked"
while not blocked.exists() and (line := sys.stdin.buffer.readline()):
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()
while blocked.exists():
    time.sleep(0.05)
"""
PIPED = f'exec "$0" "$@" 2> >(exec {sys.executable} -c \'{READER}\' {{folder}})'
SECRET = "Bearer-hunter2-wrong-key"


class BlockedLog(Scenario):
    fault = "standard error that nobody reads any more"
    seconds = 8.0
    prefix = ("bash", "-c", PIPED)

    async def play(self, stage: Stage) -> None:
        sound, refused = stage.material.short(16, deadline_s=5), Question.of("/classify", {"inputs": ""})
        await stage.learn(sound)
        blocked = stage.folder / "blocked"
        blocked.touch()
        await asyncio.sleep(0.2)
        async with stage.watched() as watch:
            for _ in during(stage.seconds / 2):
                await stage.ask_all([refused] * 100, patience_s=5)
                if stage.tally.lost:
                    break
            await stage.ask_all(sound, patience_s=5)
            await asyncio.sleep(1)
        blocked.unlink()
        watch.claim(stage.tally)


class FloodedLog(Scenario):
    """Whoever has no key must not be able to fill the disk."""

    fault = "requests with a wrong key, as many as possible"
    seconds = 4.0
    settings = variables(api_keys=["the-right-key"])

    async def play(self, stage: Stage) -> None:
        wrong = Question.of("/classify", {"inputs": "a"}, headers={"Authorization": f"Bearer {SECRET}"})
        before = len(stage.service.log().splitlines())
        await stage.closed_loop([wrong], 16, stage.seconds)
        lines = len(stage.service.log().splitlines()) - before
        sent = stage.tally.sent
        stage.tally.claim(lines < 100 + 50 * stage.seconds, f"{sent:,} refusals made {lines:,} lines")
        stage.tally.claim(SECRET not in stage.service.log(), "the key is in the log")
