"""An operator's orders over HTTP under load: load, roll back, make a default, unload, and what cannot be done."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.bundles import copied, publish, publish_as, truncate_graph
from tests.chaos.client import Client, Question, Reply
from tests.chaos.material import name_of
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage
from tests.support.server import SHAPES

OPERATOR, USER = ({"Authorization": f"Bearer {key}"} for key in ("the-key-of-an-operator", "the-key-of-a-user"))
KEYS = {"operator": (OPERATOR, '["admin"]'), "user": (USER, '["predict"]')}
WITHIN_S = 60.0
AGREED = 8  # answers in a row of the same model, whichever process gives them
SETTLED = 3  # rounds after which memory may not grow any more
MOST_GROWTH_MB = 60.0
ADMIN_AT = re.compile(r'"at": ?"([\d.]+):(\d+)"')


class Ordering(Scenario):
    """What scenarios of orders share: a copy of the models, keys, and the ways to order and to see who answers."""

    seconds = 30.0
    fault = ""
    by_admin_port = False
    settings = variables(api_keys_file="{folder}/keys.toml", access={"models": "open", "metrics": "open"}, admin_port=0)

    def prepare(self, models: Path, folder: Path) -> Path:
        entries = [
            f'[{name}]\nsha256 = "{hashlib.sha256(key["Authorization"][7:].encode()).hexdigest()}"\nscopes = {scopes}\n'
            for name, (key, scopes) in KEYS.items()
        ]
        (folder / "keys.toml").write_text("".join(entries))
        return copied(models, folder / "models")

    async def order(self, stage: Stage, path: str, **fields: Any) -> Reply | None:
        """Order something, at the port of the service or at the admin port."""
        client, asked = stage.client, Question.of(f"/admin/{path}", fields, headers=OPERATOR)
        if self.by_admin_port:
            found = ADMIN_AT.search(stage.service.log())
            assert found, "the log does not name the admin port"
            client = Client(found[1], int(found[2]))
        return (await client.ask(asked, WITHIN_S, anew=True)).reply

    async def obeyed(self, stage: Stage, path: str, status: int = 200, **fields: Any) -> None:
        reply = await self.order(stage, path, **fields)
        said = reply and (reply.status, reply.body[:200])
        stage.tally.claim(said is not None and said[0] == status, f"{path} {fields} was answered with {said}")

    async def until_answered_by(self, stage: Stage, question: Question, model: str) -> None:
        """Ask until every process answers by this model."""
        loop, agreed, seen = asyncio.get_running_loop(), 0, None
        end = loop.time() + WITHIN_S
        while agreed < AGREED and loop.time() < end:
            exchange = await stage.ask(question, anew=True)
            seen = exchange.reply and exchange.reply.header("x-model")
            agreed = agreed + 1 if seen == model else 0
        stage.tally.claim(agreed == AGREED, f"{seen} answers and not {model}")


class Orders(Ordering):
    """Every version answers alike, so that an answer of the wrong text is found, whichever model gives it."""

    def __init__(self, by_admin_port: bool) -> None:
        self.by_admin_port = by_admin_port
        self.fault = f"publish, replace, roll back, remove by orders to the {'admin port' if by_admin_port else 'port'}"

    @property
    def name(self) -> str:
        return f"{super().name}-{'admin' if self.by_admin_port else 'port'}"

    @classmethod
    def variants(cls) -> Sequence[Scenario]:
        return [cls(False), cls(True)]

    async def play(self, stage: Stage) -> None:
        questions, source = (
            await stage.learn(stage.material.mixed(32, deadline_s=30, headers=USER)),
            stage.material.folders["classify"],
        )
        asked = next(question for question in questions if question.path == "/classify")
        loop, sizes = asyncio.get_running_loop(), list[float]()
        async with stage.watched() as watch, stage.load(questions, 6):
            end = loop.time() + stage.seconds
            while loop.time() < end or not sizes:
                await self.play_round(stage, source, asked)
                sizes.append(stage.resident_mb())
        claim = stage.tally.claim
        grown = sizes[-1] - max(sizes[:SETTLED])  # 0 or less where there were not so many
        claim(grown < MOST_GROWTH_MB, f"memory grew by {grown:.0f} MB: {[round(size) for size in sizes]}")
        stage.tally.claim_none_refused()
        claim(not watch.red, f"{watch.red} of {watch.probes} probes were red")

    async def play_round(self, stage: Stage, source: Path, question: Question) -> None:
        """Publish and load a version, go back, let another model answer the route, and remove all that was added."""
        name, first = name_of(source), int(source.name)
        added = [
            publish(source, first + 1),
            publish(source, first + 2, truncate_graph),
            publish_as(source, "zzz").parent,
        ]
        await self.obeyed(stage, f"models/{name}/load", version=first + 1)
        await self.until_answered_by(stage, question, f"{name}:{first + 1}")
        await self.obeyed(stage, f"models/{name}/load", 409, version=first + 2)
        await self.obeyed(stage, f"models/{name}/load", version=first)
        await self.until_answered_by(stage, question, f"{name}:{first}")
        await self.obeyed(stage, "models/zzz/load")
        await self.obeyed(stage, "models/zzz/default", route="classify")
        await self.until_answered_by(stage, question, "zzz:1")
        await self.obeyed(stage, f"models/{name}/unload")
        await asyncio.gather(*(self.obeyed(stage, f"models/{name}/load", version=first) for _ in range(4)))
        await self.obeyed(stage, f"models/{name}/default", route="classify")
        await self.until_answered_by(stage, question, f"{name}:{first}")
        await self.obeyed(stage, "models/zzz/unload")
        for each in added:
            shutil.rmtree(each)
        await self.obeyed(stage, "reload")
        await self.obeyed(stage, "models/nobody/load", 404)


class OrdersOutlive(Ordering):
    """What was ordered holds until the service is started again, whatever happens to the process that obeyed."""

    fault = "orders, and the engine process killed (SIGKILL) after each"
    shapes = SHAPES[1:]
    by_admin_port = True

    def prepare(self, models: Path, folder: Path) -> Path:
        served = super().prepare(models, folder)
        source = sorted(served.glob("*/*/manifest.json"))
        for manifest in source:
            if json.loads(manifest.read_text())["task"] == "text-classification":
                publish_as(manifest.parent, "zzz")
        return served

    async def play(self, stage: Stage) -> None:
        questions, source = (
            await stage.learn(stage.material.short(24, deadline_s=30, headers=USER)),
            stage.material.folders["classify"],
        )
        name, first = name_of(source), int(source.name)
        publish(source, first + 1)
        orders = (
            (f"models/{name}/load", {"version": first + 1}, f"{name}:{first + 1}"),
            (f"models/{name}/load", {"version": first}, f"{name}:{first}"),
            ("models/zzz/default", {"route": "classify"}, "zzz:1"),
            (f"models/{name}/unload", {}, "zzz:1"),
        )
        async with stage.watched() as watch, stage.load(questions, 4):
            for path, fields, model in orders:
                await self.obeyed(stage, path, **fields)
                stage.signal(signal.SIGKILL, *stage.processes("engine"))
                await self.until_answered_by(stage, questions[0], model)
            stage.tally.claim(await self.is_unloaded(stage, name), f"{name} is served again")
        others = stage.tally.refused - stage.tally.codes.get("not_ready", 0)  # until workers know what the next one has
        stage.tally.claim(not others, f"{others} requests were refused for another reason than not_ready")
        stage.tally.claim(not watch.red, f"{watch.red} of {watch.probes} probes were red")

    async def is_unloaded(self, stage: Stage, name: str) -> bool:
        """Whether every process says so in time."""
        loop, agreed = asyncio.get_running_loop(), 0
        end = loop.time() + WITHIN_S
        while agreed < AGREED and loop.time() < end:
            about = await stage.client.get(f"/models/{name}")
            is_so = about.reply is not None and about.reply.json().get("state") == "unloaded"
            agreed = agreed + 1 if is_so else 0
            await asyncio.sleep(0.02)
        return agreed == AGREED
