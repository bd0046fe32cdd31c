"""The end of a service under load, wanted or hurried."""

from __future__ import annotations

import asyncio
import itertools
import signal
from contextlib import ExitStack

from tests.chaos.client import Client, Question
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage
from tests.support.nginx import free_port, is_installed, nginx
from tests.support.server import SHAPES, ProcessService, command

DELAY_S, DRAIN_S = 2.0, 10.0


class Terminated(Scenario):
    """As behind a load balancer: it asks /health/ready, and sends nothing more once that is red."""

    fault = "SIGTERM under load, of clients that heed /health/ready"
    seconds = 2.0
    settings = variables(shutdown_delay_s=DELAY_S, drain_timeout_s=DRAIN_S)

    async def play(self, stage: Stage) -> None:
        questions = [*stage.material.mixed(24, deadline_s=20), *stage.material.of_windows(3, 3, deadline_s=20)]
        await stage.learn(questions)
        is_red, cycle = asyncio.Event(), itertools.cycle(questions)

        async def one() -> None:
            while not is_red.is_set():
                await stage.ask(next(cycle))

        async def heed() -> None:
            while True:
                probed = await stage.client.get("/health/ready", 5)
                if probed.reply is None or probed.reply.status != 200:
                    is_red.set()
                    return
                await asyncio.sleep(0.2)

        tasks = [asyncio.create_task(each) for each in (heed(), *(one() for _ in range(12)))]
        await asyncio.sleep(stage.seconds)
        began = asyncio.get_running_loop().time()
        stage.signal(signal.SIGTERM)
        await asyncio.gather(*tasks)
        code = await stage.ended(DELAY_S + DRAIN_S + 10)
        took_s = asyncio.get_running_loop().time() - began
        stage.tally.claim(code == 0, f"it ended with {code} after {took_s:.1f} s")
        stage.tally.claim_none_refused()


class TerminatedAtOnce(Scenario):
    """As on a machine that is switched off: clients go on, and what is refused is refused clearly."""

    fault = "SIGTERM under load, of clients that go on"
    seconds = 2.0
    settings = variables(drain_timeout_s=DRAIN_S)

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        with stage.tally.excusing("ConnectionRefusedError"):
            async with stage.load(questions, 12):
                await asyncio.sleep(stage.seconds)
                stage.signal(signal.SIGTERM)
                code = await stage.ended(DRAIN_S + 10)
        stage.tally.claim(code == 0, f"it ended with {code}")


class Interrupted(Scenario):
    fault = "SIGINT twice, in the middle of long requests"
    seconds = 1.0
    settings = variables(shutdown_delay_s=0)

    async def play(self, stage: Stage) -> None:
        questions = [Question.of(q.path, q.body, deadline_s=25) for q in stage.material.of_windows(6, 4)]
        await stage.learn(questions)
        with stage.tally.excusing("ConnectionRefusedError", "closed"):
            async with stage.load(questions, 16):
                await asyncio.sleep(stage.seconds)
                stage.signal(signal.SIGINT)
                await asyncio.sleep(0.3)
                stage.signal(signal.SIGINT)
                code = await stage.ended(20)
        stage.tally.claim(code is not None and code >= 0, f"it ended with {code}")


class RollingRestart(Scenario):
    """The one service of the stage only tells what is right; two others stand behind a proxy, and are replaced."""

    fault = "two instances behind nginx, replaced one after the other under load"
    shapes = SHAPES[:1] if is_installed() else ()
    seconds = 4.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        ports, stack = [free_port(), free_port()], ExitStack()

        def start(number: int, *flags: str) -> ProcessService:
            log = stage.folder / f"instance-{number}-{len(flags)}"
            line = ("--port", str(ports[number]), "--admin-port", "0", *flags)
            return stack.enter_context(command(stage.models, log, *line))

        with stack:
            stage.client = Client("127.0.0.1", stack.enter_context(nginx(stage.folder / "nginx", ports)))
            first, second = await asyncio.to_thread(start, 0), await asyncio.to_thread(start, 1)
            async with stage.load(questions, 8):
                for number, instance in enumerate((first, second)):
                    await asyncio.sleep(stage.seconds / 3)
                    instance.process.send_signal(signal.SIGTERM)
                    code = await asyncio.to_thread(instance.process.wait, 60)
                    stage.tally.claim(code == 0, f"an instance ended with {code}")
                    await asyncio.to_thread(start, number, "--http-workers", "2")
                await asyncio.sleep(stage.seconds / 3)
        stage.tally.claim_none_refused()
