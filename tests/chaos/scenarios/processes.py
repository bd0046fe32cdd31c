"""Processes that are frozen or killed, and files that change before one is started again."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from pathlib import Path

from app.processes.outage import HEAL_S
from tests.chaos.bundles import copied
from tests.chaos.processes import is_running
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage, during
from tests.support.server import SHAPES

STALL_S = 6.0
KILLED = ("closed", "ConnectionRefusedError")


class FrozenEngine(Scenario):
    fault = "the engine process frozen (SIGSTOP)"
    shapes = SHAPES[1:]
    seconds = 2.0
    settings = variables(stall_timeout_s=STALL_S)

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(32, deadline_s=25))
        claim, (engine,) = stage.tally.claim, stage.processes("engine")
        async with stage.watched() as watch, stage.load(questions, 8):
            await asyncio.sleep(stage.seconds / 2)
            stage.signal(signal.SIGSTOP, engine)
            red_s = await stage.until_status("/health/ready", 503, STALL_S)
            claim(red_s is not None, f"ready stays green for {STALL_S:.0f} s")
            replaced_s = await stage.until(lambda: stage.processes("engine") not in ([engine], []), 3 * STALL_S)
            claim(replaced_s is not None, f"not replaced within {3 * STALL_S:.0f} s")
            if replaced_s is None:
                stage.signal(signal.SIGCONT, engine)
            claim(await stage.until_status("/health/ready", 200, 30) is not None, "not ready again within 30 s")
            await asyncio.sleep(stage.seconds / 2)
        claim(stage.tally.refused <= 8, f"{stage.tally.refused} requests were refused that had 25 s to wait")
        claim(not watch.red, f"liveness was red {watch.red} times of {watch.probes}")


class Unhealed(Scenario):
    fault = "the engine process killed, and the supervisor frozen, so that nobody replaces it"
    shapes = SHAPES[1:]
    settings = variables(stall_timeout_s=STALL_S, request_timeout_s=90)

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(8, deadline_s=90))
        claim, (engine,) = stage.tally.claim, stage.processes("engine")
        stage.signal(signal.SIGSTOP)
        stage.signal(signal.SIGKILL, engine)
        asked = asyncio.create_task(stage.ask_all(questions))
        claim(
            await stage.until_status("/health/ready", 503, STALL_S) is not None, "ready stays green without an engine"
        )
        red_s = await stage.until_status("/health/live", 503, 3 * HEAL_S)
        claim(red_s is not None and red_s > HEAL_S / 2, f"liveness was red after {red_s} s")
        stage.signal(signal.SIGCONT)
        claim(await stage.until_status("/health/live", 200, 60) is not None, "liveness stays red with a new engine")
        await asked
        claim(not stage.tally.refused, f"{stage.tally.refused} requests were refused that had 90 s to wait")


class FrozenWorker(Scenario):
    fault = "a worker frozen (SIGSTOP)"
    shapes = SHAPES[1:]
    seconds = 2.0
    settings = variables(stall_timeout_s=STALL_S)

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(32, deadline_s=10))
        worker = stage.processes("worker")[0]
        with stage.tally.excusing(*KILLED):
            async with stage.load(questions, 8):
                await asyncio.sleep(stage.seconds / 2)
                stage.signal(signal.SIGSTOP, worker)
                replaced_s = await stage.until(lambda: worker not in stage.processes("worker"), 3 * STALL_S)
                if replaced_s is None:
                    stage.signal(signal.SIGCONT, worker)
                stage.tally.claim(replaced_s is not None, f"not replaced within {3 * STALL_S:.0f} s")
                await asyncio.sleep(stage.seconds / 2)


class KilledEngine(Scenario):
    fault = "the engine process killed (SIGKILL), again and again"
    shapes = SHAPES[1:]
    seconds = 8.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(32, deadline_s=25))
        async with stage.watched() as watch, stage.load(questions, 8):
            for _ in during(stage.seconds):
                await asyncio.sleep(1)
                stage.signal(signal.SIGKILL, *stage.processes("engine"))
                stage.tally.claim(await stage.until_status("/health/ready", 200, 60) is not None, "not ready again")
        watch.claim(stage.tally)


class KilledWorkers(Scenario):
    fault = "workers killed (SIGKILL), one after the other"
    shapes = SHAPES[1:]
    seconds = 8.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(32, deadline_s=25))
        with stage.tally.excusing(*KILLED):
            async with stage.load(questions, 8):
                for _ in during(stage.seconds):
                    workers = stage.processes("worker")
                    stage.signal(signal.SIGKILL, stage.material.dice.choice(workers))
                    back_s = await stage.until(lambda known=workers: stage.processes("worker") != known, 20)
                    stage.tally.claim(back_s is not None, "a killed worker is not replaced")
                    await asyncio.sleep(2)
        await stage.until_status("/health/ready", 200, 30)
        await stage.ask_all(questions)


class KilledSupervisor(Scenario):
    fault = "the supervisor, or the one process, killed (SIGKILL)"
    seconds = 1.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(32))
        family = stage.pids()
        with stage.tally.excusing(*KILLED):
            async with stage.load(questions, 8):
                await asyncio.sleep(stage.seconds)
                stage.signal(signal.SIGKILL)
                left_s = await stage.until(lambda: not any(is_running(pid) for pid in family), 10)
        stage.tally.claim(left_s is not None, "a process outlives it by 10 s")


class TokenizerAltered(Scenario):
    """The hash of the file is known: what was proved is served, or nothing."""

    fault = "tokenizer.json of the served version altered, then workers killed"
    shapes = SHAPES[1:]
    seconds = 3.0

    def prepare(self, models: Path, folder: Path) -> Path:
        return copied(models, folder / "models")

    def spoil(self, bundle: Path) -> None:
        alter_tokenizer(bundle)

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(32, deadline_s=25))
        bundle = stage.material.folders["classify"]
        with stage.tally.excusing(*KILLED):
            async with stage.load(questions, 8):
                await asyncio.sleep(0.5)
                self.spoil(bundle)
                workers = stage.processes("worker")
                stage.signal(signal.SIGKILL, *workers)
                await stage.until(lambda: len(set(stage.processes("worker")) - set(workers)) == len(workers), 20)
                await stage.until_status("/health/ready", 200, 30)
                await asyncio.sleep(stage.seconds)
        before = stage.tally.right
        await stage.ask_all(questions)
        right = stage.tally.right - before
        stage.tally.claim(right == len(questions), f"{right} of {len(questions)} are answered afterwards")


class FolderGone(TokenizerAltered):
    fault = "the folder of the served version gone, then workers killed"

    def spoil(self, bundle: Path) -> None:
        shutil.move(bundle, stage_folder(bundle) / "gone")


def stage_folder(bundle: Path) -> Path:
    return bundle.parents[2]


def alter_tokenizer(bundle: Path) -> None:
    """Exchange the ids of frequent words, in a file that takes the place of the old one."""
    file = bundle / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    words = tokenizer["model"]["vocab"]
    ordered = sorted(words, key=words.__getitem__)[10:]
    for one, other in zip(ordered[::2], ordered[1::2], strict=False):
        words[one], words[other] = words[other], words[one]
    unfinished = file.with_name(".tokenizer")
    unfinished.write_text(json.dumps(tokenizer))
    unfinished.replace(file)
