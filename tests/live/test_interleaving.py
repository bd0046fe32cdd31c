"""Thousands of interleaved requests, some canceled, failing, late or wrong: each answer is its own text's.

What a request of several texts must give is put together from what each of them gives alone.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from tests.chaos.client import Question
from tests.chaos.material import MASK, POISON, name_of
from tests.chaos.scenario import variables
from tests.chaos.stage import Stage
from tests.chaos.staging import staged
from tests.chaos.tally import Tally, Truth
from tests.support.server import SHAPES, until

SEED = 16
REQUESTS, AT_ONCE = 3000, 48
TEXTS = 40  # different ones, for each task
LENGTHS = (1, 2, 5, 9, 20, 40, 120, 300)  # words: a window holds about 60
PATIENT = variables(max_queue_s=600)  # a machine that is busy with something else refuses nothing
INVALID = (b"{", b'{"inputs": ""}', b'{"inputs": [1]}', b'{"inputs": "a", "unknown": 1}', b'{"inputs": "\xff"}')


@dataclass
class Plan:
    """What is asked, and what must become of it: `right`, `failed`, `invalid`, or `hurried` (right or too late)."""

    question: Question
    fate: str
    leaves_after_s: float | None = None


class Planner:
    """Draws requests from a seed."""

    def __init__(self, stage: Stage, truth: Truth) -> None:
        self.dice, self.truth = random.Random(SEED), truth
        self.texts = {route: self.some_texts(stage, route) for route in stage.material.folders}
        self.alone: dict[tuple[str, str], Any] = {}

    def some_texts(self, stage: Stage, route: str) -> list[str]:
        words = [self.dice.choice(LENGTHS) for _ in range(TEXTS)]
        return [f"{number} {stage.material.text(route, count, count)}" for number, count in enumerate(words)]

    async def learn(self, stage: Stage) -> None:
        """Ask each text alone, one after the other."""
        for route, texts in self.texts.items():
            for text in texts:
                exchange = await stage.client.ask(Question.of(f"/{route}", {"inputs": text}))
                assert exchange.reply is not None
                assert exchange.reply.status == 200, exchange.reply.body
                self.alone[route, text] = exchange.reply.json()
        together = list(map(json.dumps, self.alone.values()))
        assert len(set(together)) > len(together) * 0.9, "texts that answer alike would not show a mix-up"

    def draw(self) -> Plan:
        route = self.dice.choice(list(self.texts))
        kind = self.dice.choices(("sound", "poisoned", "leaving", "hurried", "invalid"), (60, 12, 12, 10, 6))[0]
        if kind == "invalid":
            return Plan(Question.of(f"/{route}", self.dice.choice(INVALID)), "invalid")
        texts = self.dice.choices(self.texts[route], k=self.dice.choice((1, 1, 1, 2, 3, 7)))
        answer: Any = [self.alone[route, text] for text in texts]
        if route == "classify":
            answer = [one[0] for one in answer]  # a list of one text's labels
        if kind == "poisoned":
            texts[self.dice.randrange(len(texts))] += f" {POISON} {MASK if route == 'fill-mask' else ''}"
        is_one = len(texts) == 1 and self.dice.random() < 0.5
        inputs = texts[0] if is_one else texts
        priority = self.dice.randint(-10, 10)
        deadline_s = self.dice.choice((0.001, 0.005, 0.02, 0.1)) if kind == "hurried" else 60.0
        question = Question.of(f"/{route}", {"inputs": inputs}, deadline_s=deadline_s, priority=priority)
        whole = answer[0] if is_one and route != "classify" else answer
        self.truth.learn(question.path, question.body, json.dumps(whole).encode())
        if kind == "poisoned":
            return Plan(question, "failed")
        leaves = self.dice.random() * 0.03 if kind == "leaving" else None
        return Plan(question, "hurried" if kind == "hurried" else "right", leaves)


async def carry_out(stage: Stage, plan: Plan) -> str:
    """Ask, or ask and leave; return the fate."""
    if plan.leaves_after_s is None:
        return fate_of(stage, plan, await stage.client.ask(plan.question))
    connection = await stage.client.open()
    asked = connection.ask(plan.question.request)
    await asyncio.sleep(plan.leaves_after_s)
    connection.close()
    await asyncio.wait([asked])
    if asked.exception() is None and asked.result().status == 200:
        assert stage.tally.truth.agrees(plan.question.path, plan.question.body, asked.result().body)
    return "left"


def fate_of(stage: Stage, plan: Plan, exchange: Any) -> str:
    reply, question = exchange.reply, plan.question
    assert reply is not None, f"{question.path}: {exchange.cause}"
    if reply.status == 200:
        agrees = stage.tally.truth.agrees(question.path, question.body, reply.body)
        assert agrees, f"{question.body[:200]!r} was answered {reply.body[:200]!r}"
        return "right"
    code = reply.json()["error_type"]
    return {"inference_failed": "failed", "deadline_exceeded": "late", "deadline_unmeetable": "late"}.get(code, code)


async def interleave(stage: Stage) -> Counter[tuple[str, str]]:
    """Carry out every plan; return how often each fate that was planned became which."""
    planner = Planner(stage, stage.tally.truth)
    await planner.learn(stage)
    plans = [planner.draw() for _ in range(REQUESTS)]
    waiting, became = iter(plans), Counter[tuple[str, str]]()

    async def one() -> None:
        for plan in waiting:
            became[plan.fate, await carry_out(stage, plan)] += 1

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    await stage.close()
    return became


@pytest.mark.parametrize("shape", SHAPES)
def test_no_answer_is_mixed_up_and_none_is_missing(shape, tiny_models, tmp_path):
    with staged(shape, tiny_models, tmp_path, Tally(Truth()), 0.0, PATIENT) as stage:
        for route, bundle in stage.material.folders.items():
            (stage.gates / f"{name_of(bundle)}.poison").write_text(stage.material.poison(route))
        became = uvloop.run(interleave(stage))
        # Requests whose clients left may still be read and queued for a moment.
        for gauge in (
            "roberta_queue_requests",
            "roberta_queue_tokens",
        ):
            until(lambda: stage.service.metric(gauge) == 0)  # noqa: B023
        failures = stage.service.metric("roberta_forward_failures_total")

    assert sum(became.values()) == REQUESTS
    always = {("right", "right"), ("right", "left"), ("failed", "failed"), ("invalid", "invalid_request")}
    sometimes = {("hurried", "right"), ("hurried", "late"), ("invalid", "malformed_body")}
    gave_way = {(planned, "displaced") for planned in ("right", "failed", "hurried")}  # to a higher priority
    assert became.keys() - always <= sometimes | gave_way, became
    assert all(became[fate] > REQUESTS * 0.02 for fate in always), became
    assert failures >= became["failed", "failed"]
