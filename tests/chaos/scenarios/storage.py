"""Bundles that are broken or hostile, disks that are full, writers that are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.chaos.bundles import WRONG, publish_as
from tests.chaos.scenario import Scenario
from tests.chaos.scenarios.reload import Reloading
from tests.chaos.stage import Stage
from tests.support.server import REPOSITORY, SHAPES

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from app.bundle import new_version
with new_version(Path(sys.argv[1]), sys.argv[2]) as (folder, version):
    (folder / "model.int8.onnx").write_bytes(bytes(10_000_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""
FULL_TMP = 'mkdir -p {folder}/tmp && mount -t tmpfs -o size=%s none {folder}/tmp && TMPDIR={folder}/tmp exec "$0" "$@"'


class WrongBundles(Reloading):
    """Each is refused by name, and nothing else is."""

    fault = f"{len(WRONG)} broken and hostile bundles beside those that are sound"

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        source = stage.material.folders["classify"]
        async with stage.watched(), stage.load(questions, 4):
            for name, spoil in WRONG.items():
                await asyncio.to_thread(publish_as, source, f"z-{name}", spoil)
            stage.signal(signal.SIGHUP)
            listed = await self.until_listed(stage, [f"z-{name}" for name in WRONG])
        for name in WRONG:
            about = listed.get(f"z-{name}", {})
            stage.tally.claim(about.get("state") == "failed", f"{name} is {about.get('state', 'not listed')}")
        stage.tally.claim_none_refused()

    async def until_listed(self, stage: Stage, names: list[str]) -> dict[str, dict[str, object]]:
        loop = asyncio.get_running_loop()
        end, listed = loop.time() + 60, dict[str, dict[str, object]]()
        while loop.time() < end and not listed.keys() >= set(names):
            exchange = await stage.client.get("/models")
            assert exchange.reply is not None
            listed = {model["name"]: model for model in exchange.reply.json()["models"]}
            await asyncio.sleep(0.1)
        return listed


class KilledWriter(Reloading):
    fault = "a writer of a bundle killed (SIGKILL) half-way"

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        async with stage.load(questions, 4):
            for name in ("newcomer", stage.material.folders["classify"].parent.name):
                line = [sys.executable, "-c", KILLED_WRITER, str(stage.models), name]
                await asyncio.to_thread(subprocess.run, line, cwd=REPOSITORY, check=False, capture_output=True)
                await self.reload(stage)
        about = await stage.client.get("/models")
        assert about.reply is not None
        names = [model["name"] for model in about.reply.json()["models"]]
        stage.tally.claim("newcomer" not in names, "half a bundle is listed")
        stage.tally.claim_none_refused()


class FullTemporaryFolder(Scenario):
    """Metrics and sockets of several processes lie there; it is full before the service has run for long."""

    fault = "the temporary folder full"
    seconds = 4.0
    shapes = SHAPES[1:]
    prefix = ("unshare", "-m", "sh", "-c", FULL_TMP % "12m")

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        inside = Path(f"/proc/{stage.service.process.pid}/root{stage.folder}/tmp")
        async with stage.watched(), stage.load(questions, 4):
            await asyncio.sleep(stage.seconds / 2)
            with suppress(OSError):
                (inside / "ballast").write_bytes(bytes(64_000_000))
            free = os.statvfs(inside)
            stage.tally.claim(free.f_bavail == 0, f"{free.f_bavail} blocks are free")
            await asyncio.sleep(stage.seconds / 2)
            stage.signal(signal.SIGKILL, *stage.processes("engine"))
            await stage.until_status("/health/ready", 200, 20)
        before = stage.tally.right
        await stage.ask_all(questions)
        stage.tally.claim(stage.tally.right - before == len(questions), "not all are answered afterwards")
