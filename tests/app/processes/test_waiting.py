"""Requests that wait for an engine: in order, within a bound, until their deadline."""

import asyncio
import time

import pytest

from app.errors import DeadlineExceededError, DrainingError
from app.processes.waiting import WaitingRequests
from tests.app.engines import PATIENCE_S, play


def wait(waiting, name, order, tokens=10, priority=0, timeout_s=PATIENCE_S):
    async def go():
        await waiting.wait(tokens, deadline=time.monotonic() + timeout_s, priority=priority)
        order.append(name)

    return asyncio.create_task(go())


def test_the_highest_priority_goes_first_and_then_the_oldest():
    async def scenario():
        waiting, order = WaitingRequests(1000), []
        tasks = [wait(waiting, name, order, priority=p) for name, p in [("a", 0), ("b", 5), ("c", 0), ("d", 5)]]
        await asyncio.sleep(0)
        assert (len(waiting), waiting.tokens) == (4, 40)
        waiting.release()
        await asyncio.gather(*tasks)
        assert order == ["b", "d", "a", "c"]
        assert (len(waiting), waiting.tokens) == (0, 0)

    play(scenario())


def test_one_that_leaves_or_whose_deadline_passes_is_forgotten():
    async def scenario():
        waiting, order = WaitingRequests(1000), []
        leaves, stays = wait(waiting, "a", order), wait(waiting, "b", order)
        late = wait(waiting, "c", order, timeout_s=0.01)
        await asyncio.sleep(0)
        leaves.cancel()
        with pytest.raises(DeadlineExceededError):
            await late
        assert (len(waiting), waiting.tokens) == (1, 10)
        waiting.release()
        await stays
        assert order == ["b"]

    play(scenario())


def test_there_is_room_for_so_many_tokens_and_for_one_request_always():
    async def scenario():
        waiting = WaitingRequests(25)
        assert waiting.has_room(1000)
        tasks = [wait(waiting, "a", []), wait(waiting, "b", [])]
        await asyncio.sleep(0)
        assert waiting.has_room(5)
        assert not waiting.has_room(6)
        waiting.refuse(DrainingError())
        assert {type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)} == {DrainingError}
        assert (len(waiting), waiting.tokens) == (0, 0)

    play(scenario())
