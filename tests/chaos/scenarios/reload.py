"""New versions, broken ones, and a models folder that changes, while requests are answered."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from tests.chaos.bundles import copied, edit, flip_a_bit, publish, publish_as, truncate_graph
from tests.chaos.material import bundles_by_route, name_of
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage

VERSIONS = 12
SETTLED = 4  # versions after which memory may not grow any more
MOST_GROWTH_MB = 60.0


class Reloading(Scenario):
    """What scenarios of a changing models folder share: a copy of it, and the signal that has it read again."""

    seconds = 2.0
    fault = ""

    def prepare(self, models: Path, folder: Path) -> Path:
        return copied(models, folder / "models")

    async def reload(self, stage: Stage) -> None:
        stage.signal(signal.SIGHUP)
        await asyncio.sleep(stage.seconds / 2)

    async def until_version(self, stage: Stage, version: int, within_s: float = 30) -> bool:
        """Ask for the version of the classifier until it is this one, whichever process answers."""
        name = name_of(stage.material.folders["classify"])
        loop, agreed = asyncio.get_running_loop(), 0
        end = loop.time() + within_s
        while loop.time() < end and agreed < 8:
            exchange = await stage.client.get(f"/models/{name}")
            is_it = exchange.reply is not None and exchange.reply.json().get("version") == version
            agreed = agreed + 1 if is_it else 0
            await asyncio.sleep(0.02)
        return agreed >= 8


class NewVersions(Reloading):
    fault = f"{VERSIONS} new versions, then back to the first"

    async def play(self, stage: Stage) -> None:
        questions, source = (
            await stage.learn(stage.material.mixed(32, deadline_s=20)),
            stage.material.folders["classify"],
        )
        first, sizes = int(source.name), []
        async with stage.watched(), stage.load(questions, 4):
            for version in range(first + 1, first + 1 + VERSIONS):
                publish(source, version)
                stage.signal(signal.SIGHUP)
                served = await self.until_version(stage, version)
                stage.tally.claim(served, f"version {version - first} is not served within 30 s")
                await asyncio.sleep(0.5)
                sizes.append(stage.resident_mb())
            for version in range(first + 1, first + 1 + VERSIONS):
                (source.parent / str(version)).rename(source.parent / f".gone-{version}")
            stage.signal(signal.SIGHUP)
            stage.tally.claim(await self.until_version(stage, first), "the first version does not come back")
        grown = sizes[-1] - sizes[SETTLED - 1]
        stage.tally.claim(grown < MOST_GROWTH_MB, f"memory grew by {grown:.0f} MB over {VERSIONS - SETTLED} versions")
        stage.tally.claim_none_refused()


class BrokenVersions(Reloading):
    fault = "10 broken new versions"

    async def play(self, stage: Stage) -> None:
        questions, source = (
            await stage.learn(stage.material.mixed(32, deadline_s=20)),
            stage.material.folders["classify"],
        )
        first, name = int(source.name), name_of(source)
        async with stage.watched(), stage.load(questions, 4):
            for version in range(first + 1, first + 11):
                publish(source, version, truncate_graph if version % 2 else flip_a_bit)
                stage.signal(signal.SIGHUP)
                counted = await stage.until_metric("roberta_model_load_failures_total", version - first, 30)
                stage.tally.claim(counted, f"broken version {version - first} is not counted")
            about = await stage.client.get(f"/models/{name}")
            stage.tally.claim(about.reply is not None and "refused" in about.reply.json(), "/models does not say why")
        stage.tally.claim_none_refused()


class BrokenAndRemoved(Reloading):
    fault = "a broken new version, and the served one removed in one go"

    async def play(self, stage: Stage) -> None:
        questions, source = (
            await stage.learn(stage.material.short(16, deadline_s=20)),
            stage.material.folders["classify"],
        )
        async with stage.watched(), stage.load(questions, 4):
            publish(source, int(source.name) + 1, truncate_graph)
            source.rename(source.parent / ".gone")
            await self.reload(stage)
            await asyncio.sleep(stage.seconds)
        stage.tally.claim_none_refused()


class FolderAway(Reloading):
    fault = "the models folder away, a file, or empty, and back"

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24, deadline_s=20))
        models, away = stage.models, stage.models.with_name("away")
        async with stage.load(questions, 4):
            for make in (lambda: None, lambda: models.write_text("not a folder"), models.mkdir):
                before = len(stage.service.log())
                models.rename(away)
                make()
                await self.reload(stage)
                ready = await stage.client.get("/health/ready")
                stage.tally.claim(ready.reply is not None and ready.reply.status == 200, "not ready while it is away")
                stage.tally.claim(speaks_of(stage.service.log()[before:]), "no line in the log says that it is away")
                models.rmdir() if models.is_dir() else models.unlink(missing_ok=True)
                away.rename(models)
                await self.reload(stage)
        stage.tally.claim_none_refused()


def speaks_of(log: str) -> bool:
    """Whether a warning or an error was logged."""
    return any(json.loads(line)["level"] in ("warning", "error") for line in log.splitlines())


class BrokenDefaults(Reloading):
    """Another classifier, the first by name, must never take the place of the default one."""

    fault = "defaults.json cut, not UTF-8, of an unknown route, of a model that is not there"

    def prepare(self, models: Path, folder: Path) -> Path:
        served = super().prepare(models, folder)
        classifier = bundles_by_route(served)["classify"]
        publish_as(classifier, "aaa", reverse_labels)
        (served / "defaults.json").write_text(json.dumps({"classify": name_of(classifier)}))
        return served

    async def play(self, stage: Stage) -> None:
        stage.material.folders["classify"] = next(
            each for each in sorted(stage.models.glob("*/*")) if name_of(each) == self.default(stage)
        )
        questions = await stage.learn(stage.material.short(24, deadline_s=20))
        file, sound = stage.models / "defaults.json", (stage.models / "defaults.json").read_bytes()
        wrong: list[bytes] = [
            sound[:-4],
            b"\xff\xfe" + sound,
            b'{"clasify": "aaa"}',
            b'{"classify": "nobody"}',
            b'{"classify": "%s"}' % name_of(stage.material.folders["ner"]).encode(),
            b"[]",
        ]
        async with stage.load(questions, 4):
            for content in wrong:
                file.write_bytes(content)
                await self.reload(stage)
            file.write_bytes(sound)
            await self.reload(stage)
        stage.tally.claim_none_refused()

    def default(self, stage: Stage) -> str:
        return str(json.loads((stage.models / "defaults.json").read_text())["classify"])


def reverse_labels(bundle: Path) -> None:
    edit(bundle, labels=json.loads((bundle / "manifest.json").read_text())["labels"][::-1])


class ReloadStorm(Reloading):
    fault = "ten reloads at once, again and again"
    is_smoke = True

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(24))
        async with stage.watched(), stage.load(questions, 4):
            for _ in range(5):
                for _ in range(10):
                    stage.signal(signal.SIGHUP)
                await asyncio.sleep(stage.seconds / 5)
        stage.tally.claim_none_refused()
