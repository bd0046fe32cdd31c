"""Forward passes that fail, run out of memory, or never return."""

from __future__ import annotations

import asyncio

from tests.chaos.client import Question
from tests.chaos.material import POISON, name_of
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage, during


class PoisonedTexts(Scenario):
    """Whoever shares a batch with a text that fails is answered as if it were alone."""

    fault = "texts that make the forward pass fail, among others"
    is_smoke = True
    seconds = 3.0

    async def play(self, stage: Stage) -> None:
        model = name_of(stage.material.folders["classify"])
        sound = await stage.learn(stage.material.short(32))
        poisoned = [Question.of("/classify", {"inputs": f"a {POISON} " + "dull " * number}) for number in range(3)]
        several = Question.of("/classify", {"inputs": ["a", f"b {POISON}", "c"]})
        with stage.broken(model, "poison", stage.material.poison("classify")):
            async with stage.load(sound, 12):
                for _ in during(stage.seconds):
                    for each in await stage.ask_all([*poisoned, several]):
                        status = each.reply and each.reply.status
                        stage.tally.claim(status == 500, f"a failing text was answered with {status}")
        await stage.ask_all(sound)
        others = stage.tally.refused - stage.tally.codes.get("inference_failed", 0)
        stage.tally.claim(not others, f"{others} requests beside the failing ones were refused")


class OutOfMemory(Scenario):
    fault = "batches of more than two windows run out of memory"
    is_smoke = True
    seconds = 2.0

    async def play(self, stage: Stage) -> None:
        model = name_of(stage.material.folders["classify"])
        questions = await stage.learn(stage.material.short(48))
        with stage.broken(model, "memory", "2"):
            await stage.closed_loop(questions, 24, stage.seconds)
        stage.tally.claim_none_refused()


class HungRunner(Scenario):
    """Every runner hangs in a forward pass, for longer than the limit: one process is red, an engine is replaced."""

    fault = "forward passes that hang"
    seconds = 6.0
    settings = variables(stall_timeout_s=6, request_timeout_s=5)

    async def play(self, stage: Stage) -> None:
        model = name_of(stage.material.folders["classify"])
        questions = await stage.learn(stage.material.short(16, deadline_s=3))
        gate = stage.gates / model
        gate.touch()
        engines = stage.processes("engine")
        asked = asyncio.create_task(stage.ask_all(questions))
        if stage.is_several:
            replaced_s = await stage.until(lambda: stage.processes("engine") not in (engines, []), 20)
            stage.tally.claim(replaced_s is not None, "the engine is not replaced within 20 s")
        else:
            red_s = await stage.until_status("/health/live", 503, 20)
            stage.tally.claim(red_s is not None and red_s < 15, f"liveness was red after {red_s} s")
        for each in await asked:
            stage.tally.claim(each.seconds < 4, f"a request with 3 s waited for {each.seconds:.1f} s")
        gate.unlink()
        recovered_s = await stage.until_status("/health/live", 200, 30)
        stage.tally.claim(recovered_s is not None, "liveness stays red when the passes have ended")
        await stage.until_status("/health/ready", 200, 30)
        after = await stage.ask_all(stage.material.short(0) or questions)
        stage.tally.claim(
            all(each.reply is not None and each.reply.status == 200 for each in after), "not answered afterwards"
        )
