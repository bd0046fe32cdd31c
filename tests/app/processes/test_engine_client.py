"""A worker's connection to an engine: answers, cancelling, deadlines, and an engine that goes."""

import asyncio
import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from app.errors import (
    DeadlineExceededError,
    QueueFullError,
    RequestTooLargeError,
)
from app.processes import engine_server, stream
from app.processes.engine_client import GRACE_S, SILENT_S, SILENT_WHILE_LOADING_S, EngineClient
from app.processes.messages import (
    Cancel,
    Heartbeat,
    ModelTable,
    Outputs,
    Refused,
    ToEngine,
)
from app.processes.pending import UnansweredError
from app.processes.stream import Stream
from tests.app.builders import window
from tests.app.engines import PATIENCE_S, play


class Engine:
    """The other end of the connection: keeps what it is told."""

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


def with_client(tmp_path, scenario):
    """Play a scenario with an engine and a client that has its table."""

    async def play_it():
        engine, changed = Engine(), asyncio.Event()
        await engine.listen(tmp_path / "engine.sock")
        client = EngineClient(tmp_path / "engine.sock", changed.set, lambda: None)
        keeper = asyncio.create_task(client.keep())
        while engine.stream is None:
            await asyncio.sleep(0)
        engine.stream.send(ModelTable(1, "cpu", [], {}, {}, []))
        await changed.wait()
        await scenario(engine, client)
        keeper.cancel()
        client.close()
        engine.stream.close()
        engine.server.close()
        await asyncio.gather(keeper, return_exceptions=True)

    play(play_it())


def ask(client, *windows, timeout_s=PATIENCE_S):
    windows = windows or [window(5)]
    tokens = sum(map(len, windows))
    work = client.submit("toy:1", windows, tokens, deadline=time.monotonic() + timeout_s, priority=0)
    return asyncio.create_task(work)


def test_outputs_in_many_frames_are_put_together(tmp_path, monkeypatch):
    async def scenario(engine, client):
        task = ask(client)
        number = (await engine.next()).number
        outputs = [np.arange(100, dtype=np.float32).reshape(20, 5)]
        ticket = SimpleNamespace(outputs=outputs, queue_s=0.25, forward_s=0.5, ended=0.0)
        messages = list(engine_server.outputs_in_frames(number, ticket))
        assert len(messages) == 7
        for message in messages:
            engine.stream.send(message)
        reply = await task
        assert (reply.outputs[0] == outputs[0]).all()
        assert (reply.queue_s, reply.forward_s) == (0.25, 0.5)
        assert client.outstanding_tokens == 0

    monkeypatch.setattr(engine_server, "FRAME_BYTES", 64)
    with_client(tmp_path, scenario)


def test_a_caller_that_is_cancelled_cancels_at_the_engine_and_a_late_answer_harms_nobody(tmp_path):
    async def scenario(engine, client):
        gone, stays = ask(client), ask(client, window(7))
        first = await engine.next()
        assert client.outstanding_tokens == 12
        gone.cancel()
        assert await engine.next() == Cancel(engine.received[0].number)
        assert client.outstanding_tokens == 7
        for number in (engine.received[0].number, first.number):
            engine.stream.send(Outputs(number, [(1, 1)], 0.0, 0.0, b"\0" * 4))
        assert [part.shape for part in (await stays).outputs] == [(1, 1)]

    with_client(tmp_path, scenario)


def test_an_engine_that_goes_fails_what_it_had_and_the_client_connects_again(tmp_path):
    async def scenario(engine, client):
        tasks = [ask(client) for _ in range(3)]
        await engine.next()
        first = engine.stream
        first.close()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} == {UnansweredError}
        assert client.table is None
        while engine.stream is first:
            await asyncio.sleep(0)
        while not client.is_connected:
            await asyncio.sleep(0)
        engine.arrived.clear()
        task = ask(client)
        engine.stream.send(Refused((await engine.next()).number, "queue_full", "full", 3.0))
        with pytest.raises(QueueFullError) as caught:
            await task
        assert caught.value.retry_after_s == 3.0

    with_client(tmp_path, scenario)


def test_an_engine_that_is_late_is_not_waited_for_much_longer_than_the_deadline(tmp_path):
    async def scenario(engine, client):
        task = ask(client, timeout_s=5.0)
        await engine.next()
        client.pass_time(time.monotonic() + 5.0, 0.1)
        assert not task.done()
        client.pass_time(time.monotonic() + 5.0 + 2 * GRACE_S, 0.1)
        with pytest.raises(DeadlineExceededError):
            await task
        assert isinstance(await engine.next(), Cancel)
        assert client.problem is None

    with_client(tmp_path, scenario)


def test_an_engine_that_is_silent_is_not_asked_and_not_waited_for_beyond_the_deadline(tmp_path):
    async def scenario(engine, client):
        engine.stream.send(Heartbeat(None, False))
        until_heard = ask(client)
        engine.stream.send(Outputs((await engine.next()).number, [(1, 1)], 0.0, 0.0, b"\0" * 4))
        await until_heard
        assert (client.is_able, client.problem) == (True, None)
        waits, ends = ask(client), ask(client, timeout_s=1.0)
        await engine.next()
        client.pass_time(time.monotonic() + 1.0, SILENT_S + 0.1)
        assert (client.is_able, client.problem) == (False, "engine silent")
        with pytest.raises(DeadlineExceededError):
            await ends
        assert not waits.done()
        client.give_back(lambda model: model == "toy:2")
        assert not waits.done()
        client.give_back(lambda model: model == "toy:1")
        with pytest.raises(UnansweredError):
            await waits

    with_client(tmp_path, scenario)


def test_an_engine_that_loads_may_be_silent_for_longer(tmp_path):
    async def scenario(engine, client):
        engine.stream.send(Heartbeat(None, True))
        heard = ask(client)
        engine.stream.send(Outputs((await engine.next()).number, [(1, 1)], 0.0, 0.0, b"\0" * 4))
        await heard
        client.pass_time(time.monotonic(), SILENT_S + 0.1)
        assert client.is_able
        client.pass_time(time.monotonic(), SILENT_WHILE_LOADING_S)
        assert not client.is_able

    with_client(tmp_path, scenario)


def test_an_engine_that_does_not_read_is_not_able(tmp_path):
    async def scenario(_, client):
        able = []
        client._stream._on_able = lambda: able.append(client.is_able)
        assert client.is_able
        client._stream.pause_writing()
        assert not client.is_able
        client._stream.resume_writing()
        assert able == [True]

    with_client(tmp_path, scenario)


def test_a_request_that_fits_in_no_frame_is_too_large(tmp_path, monkeypatch):
    async def scenario(_, client):
        with pytest.raises(RequestTooLargeError, match="1000 tokens"):
            await ask(client, window(1000))

    monkeypatch.setattr(stream, "MAX_FRAME_BYTES", 1000)
    with_client(tmp_path, scenario)
