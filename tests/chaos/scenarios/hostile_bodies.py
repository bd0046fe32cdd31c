"""Bodies that are small or within every limit, and cost much: errors, masks, characters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from tests.chaos.client import Question, forget
from tests.chaos.scenario import Scenario, variables
from tests.chaos.stage import Stage, during

MOST_DELAY_MS = 50.0  # that a request within the limits adds to another client's short one
MOST_GROWTH_MB = 50.0  # that it adds to the resident memory
SHARE = 3.0  # a short request may also take this many times its longest on an idle service: both cores are in use
MIB = 2**20
LIMIT = 4 * MIB - 1024  # of a body, with a little left for the rest of it
MOST_CHARACTERS = 990_000  # as many as may be asked for, nearly


async def attack(stage: Stage, hostile: Sequence[Question], *, growth_mb: float = MOST_GROWTH_MB) -> None:
    """Send hostile requests at once, again and again, beside short ones of somebody else, who must hardly notice."""
    [short] = await stage.learn(stage.material.short(1))
    quiet = await stage.quiet(short)
    allowed_ms = MOST_DELAY_MS + SHARE * max(quiet.longest_short_ms, quiet.longest_ms)
    end = asyncio.get_running_loop().time() + stage.seconds
    async with stage.watched(short) as watch:
        while True:
            await stage.ask_all(hostile, anew=True)
            if asyncio.get_running_loop().time() > end:
                break
        await asyncio.sleep(0.5)
    claim = stage.tally.claim
    claim(watch.longest_ms < allowed_ms, f"a probe took {watch.longest_ms:.0f} ms, allowed {allowed_ms:.0f}")
    claim(
        watch.longest_short_ms < allowed_ms,
        f"a short request took {watch.longest_short_ms:.0f} ms, allowed {allowed_ms:.0f}",
    )
    claim(watch.growth_mb < growth_mb, f"memory grew by {watch.growth_mb:.0f} MB, allowed {growth_mb:.0f}")
    claim(not watch.red, f"{watch.red} of {watch.probes} probes were red")


class ManyErrors(Scenario):
    fault = "bodies of 4 MB with a million errors"

    async def play(self, stage: Stage) -> None:
        ones = b",".join([b"1"] * (LIMIT // 2))
        keys = b",".join(b'"%x":1' % number for number in range(290_000))
        readers = len(stage.processes("worker"))
        await attack(
            stage,
            [
                Question.of("/ner", b'{"inputs":"a","parameters":{"ignore_labels":[' + ones + b"]}}"),
                Question.of("/ner", b'{"inputs":"a",' + keys + b"}"),
                Question.of("/ner", b'{"inputs":"a","parameters":{' + keys + b"}}"),
                Question.of("/classify", b'{"inputs":[' + b",".join([b'"a"'] * (LIMIT // 4)) + b"]}"),
                Question.of("/classify", b'{"inputs":[' + ones + b"]}"),
                Question.of("/fill-mask", b'{"inputs":"[MASK]","parameters":{"targets":[' + ones + b"]}}"),
                Question.of("/classify", b'{"inputs":[' + b'{"text":"a"},' * (LIMIT // 14) + b'"a"]}'),
            ],
            growth_mb=MOST_GROWTH_MB * readers,
        )


class ManyMasks(Scenario):
    fault = "40 fill-mask requests of 2.1 KB with 300 masks each"
    settings = variables(request_timeout_s=20)

    async def play(self, stage: Stage) -> None:
        hostile = [Question.of("/fill-mask", {"inputs": "<mask> " * 300}, deadline_s=15) for _ in range(40)]
        await self.learn_alone(stage, hostile[0])
        await attack(stage, hostile, growth_mb=600)

    async def learn_alone(self, stage: Stage, question: Question) -> None:
        """Learn what one gives; it is the largest answer there is, so that a second comes out of warmed memory."""
        await stage.learn([question])


class HugeTexts(Scenario):
    fault = "16 texts of 990,000 characters with 1.5 s to answer"

    async def play(self, stage: Stage) -> None:
        body = json.dumps({"inputs": "a " * (MOST_CHARACTERS // 2)}).encode()
        [others] = stage.material.of_windows(3, 1)  # long enough to be tokenized beside other requests
        await stage.learn([others])
        alone = (await stage.ask(others)).seconds
        waiting = asyncio.create_task(self.ask_meanwhile(stage, others, 5 * alone + 1))
        await attack(stage, [Question.of("/classify", body, deadline_s=1.5) for _ in range(16)], growth_mb=300)
        await waiting

    async def ask_meanwhile(self, stage: Stage, others: Question, within_s: float) -> None:
        """Somebody else's long text waits for no text that nobody waits for any more."""
        for _ in range(4):
            await asyncio.sleep(stage.seconds / 4)
            took_s = (await stage.ask(others)).seconds
            stage.tally.claim(took_s < within_s, f"another's long text took {took_s:.1f} s, allowed {within_s:.1f}")


class LongTexts(Scenario):
    fault = "one text of 250,000 to 4,000,000 characters for each task"

    async def play(self, stage: Stage) -> None:
        texts = ["a " * 125_000, *(piece * (MOST_CHARACTERS // len(piece)) for piece in ("a ", "\u3000", "x", "🙂"))]
        texts.append("a " * (LIMIT // 2))
        for text in texts:
            questions = [
                Question.of(path, json.dumps({"inputs": text + tail}, ensure_ascii=False).encode(), deadline_s=2)
                for path, tail in (("/ner", " a"), ("/fill-mask", " <mask>"), ("/classify", " a"))
            ]
            for question in questions:
                await attack_once(stage, question)


async def attack_once(stage: Stage, question: Question) -> None:
    """As `attack`, with one request, whose answer, if there is one, nobody knows."""
    [short] = await stage.learn(stage.material.short(1))
    quiet = await stage.quiet(short)
    allowed_ms = MOST_DELAY_MS + SHARE * max(quiet.longest_short_ms, quiet.longest_ms)
    async with stage.watched(short) as watch:
        exchange = await stage.client.ask(question)
        if exchange.reply is not None and exchange.reply.status == 200:
            stage.tally.truth.learn(question.path, question.body, exchange.reply.body)
        stage.tally.count(exchange)
        await asyncio.sleep(0.3)
    size = len(question.body) // 1000
    for what, longest_ms in (("probe", watch.longest_ms), ("short request", watch.longest_short_ms)):
        stage.tally.claim(
            longest_ms < allowed_ms,
            f"{question.path} of {size} KB: a {what} took {longest_ms:.0f} ms, allowed {allowed_ms:.0f}",
        )
    stage.tally.claim(
        watch.growth_mb < MOST_GROWTH_MB, f"{question.path} of {size} KB: memory grew by {watch.growth_mb:.0f} MB"
    )


class OddJson(Scenario):
    """Bodies of every kind of wrongness; each is refused by name, and none is an error of the service."""

    fault = "malformed, nested, huge and ambiguous JSON"
    is_smoke = True
    seconds = 2.0

    async def play(self, stage: Stage) -> None:
        bodies = [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"a"',
            b"NaN",
            b'{"inputs": NaN}',
            b'{"inputs": "\xff"}',
            b'{"inputs": "\xed\xa0\x80"}',
            b'{"inputs": "\\ud800"}',
            b'{"inputs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
            b'{"inputs": ' + b'{"text":' * 100_000 + b'"a"' + b"}" * 100_000 + b"}",
            b'{"inputs": ' + b"9" * 100_000 + b"}",
            b'{"inputs": "a", "parameters": {"top_k": 1e400}}',
            b'{"inputs": "a", "parameters": {"top_k": ' + b"9" * 5000 + b"}}",
            b'{"inputs": "a", "parameters": {"threshold": Infinity}}',
            b'{"inputs": "a", "parameters": null, "parameters": {"top_k": 0}}',
            b'{"inputs": "a", "model": "../../etc/passwd\\u0000"}',
            b'{"inputs": "a", "model": "' + b"x" * 100_000 + b'"}',
            b'{"inputs": [["a", 1]]}',
            b'{"inputs": ["a", {"text": "a", "text_pair": 5}]}',
            b'{"inputs": "   \\u2003"}',
            b'{"inputs": []}',
            b"\xef\xbb\xbf" + b"{}",
            "{}".encode("utf-16"),
        ]
        questions = [Question.of(path, body) for path in ("/classify", "/ner", "/fill-mask") for body in bodies]
        for _ in during(stage.seconds):
            asked = await stage.ask_all(questions)
            unrefused = [each for each in asked if each.reply is not None and each.reply.status == 200]
            for each in unrefused:
                stage.tally.claim(False, f"answered: {each.question.body[:60]!r}")


class HalfBodies(Scenario):
    """Bodies wait for their last byte, and with them what was sent of each."""

    fault = "200 bodies of 4 MB without their last byte"
    settings = variables(request_timeout_s=25)
    seconds = 15.0

    async def play(self, stage: Stage) -> None:
        [short] = await stage.learn(stage.material.short(1))
        body = json.dumps({"inputs": "a " * (LIMIT // 2)}).encode()
        half = Question.of("/classify", body).request[:-1]
        async with stage.watched(short) as watch:
            connections = [await stage.client.open() for _ in range(200)]
            for connection in connections:
                connection.ask(half).add_done_callback(forget)
                await asyncio.sleep(0.005)
            await asyncio.sleep(stage.seconds)
            for connection in connections:
                connection.close()
            stage.tally.leave(len(connections))
        watch.claim(stage.tally, growth_mb=500)
