"""A worker's link to an engine: answers, cancelling, deadlines, and an engine that goes."""

import asyncio
import time

import msgspec
import numpy as np
import pytest

from app.errors import (
    DeadlineExceededError,
    EngineLostError,
    QueueFullError,
    RequestTooLargeError,
)
from app.processes import engine_server, stream
from app.processes.engine_client import GRACE_S, Link
from app.processes.messages import (
    Answer,
    Cancel,
    Refused,
    Table,
    ToEngine,
    join_outputs,
)
from app.processes.stream import Stream
from tests.app.builders import window
from tests.app.engines import PATIENCE_S, play


class Engine:
    """The other end of a link: keeps what it is told."""

    def __init__(self):
        self.received, self.arrived, self.stream = [], asyncio.Event(), None

    async def listen(self, path):
        def connect():
            self.stream = Stream(msgspec.msgpack.Decoder(ToEngine), self.receive, lambda: None)
            return self.stream

        self.server = await asyncio.get_running_loop().create_unix_server(connect, str(path))

    def receive(self, message):
        self.received.append(message)
        self.arrived.set()

    async def next(self):
        await self.arrived.wait()
        self.arrived.clear()
        return self.received[-1]


def with_link(tmp_path, scenario):
    """Play a scenario with an engine and a link that has its table."""

    async def play_it():
        engine, changed = Engine(), asyncio.Event()
        await engine.listen(tmp_path / "engine.sock")
        link = Link(tmp_path / "engine.sock", changed.set)
        keeper = asyncio.create_task(link.keep())
        while engine.stream is None:
            await asyncio.sleep(0)
        engine.stream.send(Table("cpu", [], {}))
        await changed.wait()
        await scenario(engine, link)
        keeper.cancel()
        link.close()
        engine.stream.close()
        engine.server.close()
        await asyncio.gather(keeper, return_exceptions=True)

    play(play_it())


def ask(link, *windows, timeout_s=PATIENCE_S):
    work = link.submit("toy:1", windows or [window(5)], deadline=time.monotonic() + timeout_s, priority=0)
    return asyncio.create_task(work)


def test_an_answer_in_many_parts_is_put_together(tmp_path, monkeypatch):
    async def scenario(engine, link):
        task = ask(link)
        number = (await engine.next()).number
        outputs = [np.arange(100, dtype=np.float32).reshape(20, 5)]
        timing = type("Timing", (), {"queue_s": 0.25, "forward_s": 0.5})
        messages = list(
            engine_server.answer_in_parts(number, *join_outputs(outputs)[:1], timing, join_outputs(outputs)[1])
        )
        assert len(messages) == 7
        for message in messages:
            engine.stream.send(message)
        reply = await task
        assert (reply.outputs[0] == outputs[0]).all()
        assert (reply.queue_s, reply.forward_s) == (0.25, 0.5)
        assert link.outstanding_tokens == 0

    monkeypatch.setattr(engine_server, "PART_BYTES", 64)
    with_link(tmp_path, scenario)


def test_a_caller_that_is_cancelled_cancels_at_the_engine_and_a_late_answer_harms_nobody(tmp_path):
    async def scenario(engine, link):
        gone, stays = ask(link), ask(link, window(7))
        first = await engine.next()
        assert link.outstanding_tokens == 12
        gone.cancel()
        assert await engine.next() == Cancel(engine.received[0].number)
        assert link.outstanding_tokens == 7
        for number in (engine.received[0].number, first.number):
            engine.stream.send(Answer(number, [(1, 1)], 0.0, 0.0, b"\0" * 4))
        assert [part.shape for part in (await stays).outputs] == [(1, 1)]

    with_link(tmp_path, scenario)


def test_an_engine_that_goes_fails_what_it_had_and_the_link_comes_back(tmp_path):
    async def scenario(engine, link):
        tasks = [ask(link) for _ in range(3)]
        await engine.next()
        first = engine.stream
        first.close()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {EngineLostError}
        assert link.table is None
        while engine.stream is first:
            await asyncio.sleep(0)
        while not link.is_connected:
            await asyncio.sleep(0)
        engine.arrived.clear()
        task = ask(link)
        engine.stream.send(Refused((await engine.next()).number, "queue_full", "full", 3.0))
        with pytest.raises(QueueFullError) as caught:
            await task
        assert caught.value.retry_after_s == 3.0

    with_link(tmp_path, scenario)


def test_an_engine_that_says_nothing_at_the_deadline_is_not_waited_for(tmp_path):
    async def scenario(engine, link):
        task = ask(link, timeout_s=5.0)
        await engine.next()
        link.expire(time.monotonic() + 5.0)
        assert not task.done()
        link.expire(time.monotonic() + 5.0 + 2 * GRACE_S)
        with pytest.raises(DeadlineExceededError):
            await task
        assert isinstance(await engine.next(), Cancel)
        assert link.problem(PATIENCE_S) is None
        assert link.problem(0.0) == "stalled"

    with_link(tmp_path, scenario)


def test_an_engine_that_does_not_read_is_not_waited_for_either(tmp_path):
    async def scenario(engine, link):
        link._stream.pause_writing()
        with pytest.raises(DeadlineExceededError):
            await ask(link, timeout_s=0.01)
        waiting = ask(link)
        await asyncio.sleep(0)
        assert engine.received == []
        link._stream.resume_writing()
        engine.stream.send(Answer((await engine.next()).number, [(1, 1)], 0.0, 0.0, b"\0" * 4))
        assert [part.shape for part in (await waiting).outputs] == [(1, 1)]

    with_link(tmp_path, scenario)


def test_a_request_that_fits_in_no_frame_is_too_large(tmp_path, monkeypatch):
    async def scenario(_, link):
        with pytest.raises(RequestTooLargeError, match="1000 tokens"):
            await ask(link, window(1000))

    monkeypatch.setattr(stream, "MAX_FRAME_BYTES", 1000)
    with_link(tmp_path, scenario)
