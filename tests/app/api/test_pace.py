"""Refusals leave at once while they are few; who asks again at once waits beyond that, but not for long."""

import asyncio
import time

from app.api import pace as module
from app.api.pace import BURST, Pace


def sent_after(first, again, wait_s=0.0, monkeypatch=None):
    """Return how many of `first` refusals of newcomers and of `again` of others have left at once, and in the end."""

    async def play():
        pace, sent = Pace(asyncio.get_running_loop()), []
        for _ in range(first):
            pace.send(lambda: sent.append(1), again=False)
        for _ in range(again):
            pace.send(lambda: sent.append(1), again=True)
        at_once = len(sent)
        end = time.monotonic() + wait_s
        while len(sent) < first + again and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return at_once, len(sent)

    return asyncio.run(play())


def test_few_refusals_leave_at_once():
    assert sent_after(0, int(BURST) // 2) == (BURST // 2, BURST // 2)


def test_who_asks_for_the_first_time_never_waits():
    assert sent_after(1000, 0) == (1000, 1000)


def test_beyond_the_pace_those_that_ask_again_wait_and_are_answered(monkeypatch):
    monkeypatch.setattr(module, "REFUSALS_PER_S", 0.0)
    monkeypatch.setattr(module, "LONGEST_S", 0.05)
    at_once, in_the_end = sent_after(0, 500, wait_s=20.0)
    assert at_once == BURST
    assert in_the_end == 500


def test_what_waits_is_sent_when_the_service_stops():
    async def play():
        pace, sent = Pace(asyncio.get_running_loop()), []
        for _ in range(500):
            pace.send(lambda: sent.append(1), again=True)
        pace.send_all()
        assert len(sent) == 500

    asyncio.run(play())
