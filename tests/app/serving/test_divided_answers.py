"""A text of many masks is answered the same, whether its rows are computed in one pass or in one each."""

import asyncio
import json

import pytest

from app.service import Service
from app.settings import Settings

BODY = {"inputs": ["a <mask> film", "<mask> good <mask> and <mask> film <mask>"], "parameters": {"top_k": 3}}


def test_a_divided_text_has_the_answer_of_one_that_is_not(tiny_models):
    async def play():
        async with Service(Settings(models=tiny_models, runners=2, idle_threads=1)) as service:
            lane = service.registry.find("fill-mask", None).lane
            ran, run = [], lane.run
            lane.run = lambda windows, **where: ran.extend(windows) or run(windows, **where)
            answers = []
            for seconds in (0.0, 1.0):
                ran.clear()
                lane.cost.per_head_row = seconds
                answers.append(json.loads((await service.answer("fill-mask", BODY)).content))
                rows = sorted(len(window.head_rows) for window in ran)
                assert rows == ([1, 4] if not seconds else [1] * 5)
            return answers

    whole, divided = asyncio.run(play())
    assert [len(text) for text in whole] == [3, 4]
    for one, other in zip(flat(whole), flat(divided), strict=True):
        assert (one["token"], one["sequence"]) == (other["token"], other["sequence"])
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)


def flat(answer):
    """Return the candidates of an answer, whatever lists they are in."""
    return [answer] if isinstance(answer, dict) else [each for part in answer for each in flat(part)]
