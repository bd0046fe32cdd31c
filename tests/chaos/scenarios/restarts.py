"""Processes that end right after each start: seen where an orchestrator looks, and over once the cause is mended."""

from __future__ import annotations

import asyncio
import json
import signal
import time

from app.processes.restarts import LONGEST_PAUSE_S, LOOP_S, PROVEN_S
from tests.chaos.client import Client
from tests.chaos.scenarios.orders import ADMIN_AT, USER, Ordering
from tests.chaos.scenarios.processes import KILLED
from tests.chaos.stage import Stage
from tests.support.server import SHAPES

START_S = 40.0  # of a worker, on a machine that is busy


class WorkersInALoop(Ordering):
    """A worker that finds no keys that it can read ends at once."""

    fault = "workers that end right after each start, until the cause is mended"
    shapes = SHAPES[1:]

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(16, deadline_s=25, headers=USER))
        claim, keys = stage.tally.claim, stage.folder / "keys.toml"
        sound = keys.read_bytes()
        with stage.tally.excusing(*KILLED):
            await stage.ask_all(questions)
            self.put(stage, b"no TOML")
            stage.signal(signal.SIGKILL, *stage.processes("worker"))
            red_s = await self.until_answered(stage, "/health/ready", 503, START_S)
            claim(red_s is not None, "ready stays green at the admin port without a worker")
            red_s = await self.until_answered(stage, "/health/live", 503, LOOP_S + 3 * START_S)
            claim(red_s is not None and red_s > LOOP_S / 2, f"liveness was red after {red_s} s")
            claim(self.says_why(stage), "no line in the log says that workers end again and again, and why")
            self.put(stage, sound)
            back_s = await self.until_answered(stage, "/health/live", 200, LONGEST_PAUSE_S + PROVEN_S + START_S)
            claim(back_s is not None, "liveness stays red with workers that hold")
            back_s = await self.until_answered(stage, "/health/ready", 200, LONGEST_PAUSE_S + START_S)
            claim(back_s is not None, "ready stays red with workers that hold")
        before = stage.tally.right
        await stage.ask_all(questions, anew=True)
        right = stage.tally.right - before
        claim(right == len(questions), f"{right} of {len(questions)} are answered afterwards")

    def put(self, stage: Stage, content: bytes) -> None:
        unfinished = stage.folder / "keys.unfinished"
        unfinished.write_bytes(content)
        unfinished.replace(stage.folder / "keys.toml")

    async def until_answered(self, stage: Stage, path: str, status: int, within_s: float) -> float | None:
        """Return the seconds until the admin port answers with a status; None where it never does in time."""
        found = ADMIN_AT.search(stage.service.log())
        assert found, "the log does not name the admin port"
        client, began = Client(found[1], int(found[2])), time.monotonic()
        try:
            while (left_s := within_s - (time.monotonic() - began)) > 0:
                exchange = await client.get(path, left_s)
                if exchange.reply is not None and exchange.reply.status == status:
                    return time.monotonic() - began
                await asyncio.sleep(0.05)
            return None
        finally:
            client.close()

    def says_why(self, stage: Stage) -> bool:
        lines = [json.loads(line) for line in stage.service.log().splitlines() if line.startswith("{")]
        seen = {(line["event"], line.get("reason") or line.get("problem")) for line in lines}
        return {("process_died", "exit code 1"), ("restart_loop", "workers end again and again")} <= seen
