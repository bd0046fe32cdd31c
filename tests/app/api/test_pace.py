"""Refusals leave at once while they are few for what is answered; who asks again at once waits beyond that."""

import asyncio
import time

import pytest

from app.api import pace as module
from app.api.pace import BURST, FOR_AN_ANSWER, LEAST_PER_S, MANY, SHARE_OF_MANY, Pace


def send(pace, sent, count, *, again=True, given_s=30.0):
    for _ in range(count):
        pace.send(lambda: sent.append(given_s), again=again, given_s=given_s)


def sent_after(first, again, wait_s=0.0):
    """Return how many of `first` refusals of newcomers and of `again` of others have left at once, and in the end."""

    async def play():
        pace, sent = Pace(asyncio.get_running_loop()), []
        send(pace, sent, first, again=False)
        send(pace, sent, again)
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
    monkeypatch.setattr(module, "LEAST_PER_S", 0.0)
    monkeypatch.setattr(module, "LONGEST_S", 0.05)
    at_once, in_the_end = sent_after(0, 500, wait_s=20.0)
    assert at_once == BURST
    assert in_the_end == 500


def test_each_answer_lets_some_refusals_leave(monkeypatch):
    monkeypatch.setattr(module, "LEAST_PER_S", 0.0)
    monkeypatch.setattr(module, "MOST_PER_S", 1e9)
    monkeypatch.setattr(module, "LONGEST_S", 600.0)

    async def play():
        answers, sent = [], []
        pace = Pace(asyncio.get_running_loop(), lambda: len(answers))
        send(pace, sent, int(BURST) + MANY - 1)
        await asyncio.sleep(0.05)
        assert len(sent) == BURST
        answers.extend(range(5))
        end = time.monotonic() + 20.0
        while len(sent) < BURST + 5 * FOR_AN_ANSWER and time.monotonic() < end:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(sent) == BURST + 5 * FOR_AN_ANSWER

    asyncio.run(play())


def test_an_answer_counts_also_where_refusals_follow_it_at_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    async def play():
        answers, sent = [], []
        pace = Pace(asyncio.get_running_loop(), lambda: len(answers))
        for step in range(4000):  # in 4 s, 50 answers a second, and ten refusals for each
            now[0] += 0.001
            if step % 20 == 0:
                answers.append(step)
            if step % 2 == 0:
                send(pace, sent, 1)
        assert len(sent) == 2000

    asyncio.run(play())


@pytest.mark.parametrize("answers_a_second", [0, 1, 5, 25, 50])
def test_the_least_is_not_on_top_of_what_answers_let_leave(monkeypatch, answers_a_second):
    """Nor is it lost where answers are few."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    async def play():
        answers, sent = [], []
        pace = Pace(asyncio.get_running_loop(), lambda: len(answers))
        for step in range(20_000):  # in 20 s
            now[0] += 0.001
            if answers_a_second and step % (1000 // answers_a_second) == 0:
                answers.append(step)
            if step % 2 == 0 and not pace._waiting:
                send(pace, sent, 1)
            pace._tick()
        allowed = 20 * max(module.LEAST_PER_S, answers_a_second * FOR_AN_ANSWER)
        assert allowed - 15 <= len(sent) <= allowed + BURST + 25

    asyncio.run(play())


@pytest.mark.parametrize("answers_a_second", [0, 10, 50])
def test_where_many_wait_fewer_leave(monkeypatch, answers_a_second):
    """400 clients that each ask again as soon as they are refused: a quarter of what leaves where few wait."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "LONGEST_S", 600.0)

    async def play():
        answers, sent = [], []
        pace = Pace(asyncio.get_running_loop(), lambda: len(answers))

        def ask():
            pace.send(refused, again=True, given_s=1200.0)

        def refused():
            sent.append(now[0])
            clients.append(ask)

        clients = [ask] * 400
        for step in range(20_000):  # in 20 s
            now[0] += 0.001
            if answers_a_second and step % (1000 // answers_a_second) == 0:
                answers.append(step)
            asking, clients[:] = clients[:], []
            for each in asking:
                each()
            pace._tick()
        leaving = sum(when > 10 for when in sent) / 10
        assert leaving == pytest.approx(SHARE_OF_MANY * max(LEAST_PER_S, FOR_AN_ANSWER * answers_a_second), rel=0.1)

    asyncio.run(play())


def test_who_gave_less_time_is_answered_first_and_within_it(monkeypatch):
    monkeypatch.setattr(module, "LEAST_PER_S", 0.0)
    monkeypatch.setattr(module, "LONGEST_S", 600.0)

    async def play():
        pace, sent = Pace(asyncio.get_running_loop()), []
        send(pace, sent, int(BURST) + 3)
        send(pace, sent, 2, given_s=0.1)
        end = time.monotonic() + 20.0
        while len(sent) < BURST + 2 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert sent[int(BURST) :] == [0.1, 0.1]

    asyncio.run(play())


def test_what_waits_is_sent_when_the_service_stops():
    async def play():
        pace, sent = Pace(asyncio.get_running_loop()), []
        send(pace, sent, 500)
        pace.send_all()
        assert len(sent) == 500

    asyncio.run(play())
