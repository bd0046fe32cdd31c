"""Messages that hypothesis makes up, cut into pieces anywhere, as a socket does."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.processes.messages import Cancel, Outputs, Refresh, Refused, Submit, ToEngine, ToWorker, join_outputs
from app.processes.messages import split_outputs as split
from app.processes.stream import Stream
from app.window import Window
from tests.fuzz.harnesses.wire import Transport

NUMBERS = st.integers(0, 2**40)
SECONDS = st.floats(0, 1e6)
WINDOWS = st.lists(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=20).map(
        lambda ids: Window(np.array(ids, np.int64), np.zeros(1, np.int64))
    ),
    max_size=4,
)
SUBMITS = st.builds(Submit.of, NUMBERS, st.text(max_size=20), WINDOWS, SECONDS, st.integers(-10, 10))
TO_ENGINE = SUBMITS | st.builds(Cancel, NUMBERS) | st.builds(Refresh, NUMBERS)
SHAPES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=4)
TO_WORKER = st.builds(Refused, NUMBERS, st.text(max_size=9), st.text(), st.none() | SECONDS) | st.builds(
    Outputs, NUMBERS, SHAPES, SECONDS, SECONDS, st.binary(max_size=50)
)


def connected(kind: object) -> tuple[Stream, Transport, list]:
    received: list = []
    stream = Stream(msgspec.msgpack.Decoder(kind), received.append, lambda: None)
    transport = Transport()
    stream.connection_made(transport)
    return stream, transport, received


@pytest.mark.parametrize(("kind", "messages"), [(ToEngine, TO_ENGINE), (ToWorker, TO_WORKER)])
@given(data=st.data())
def test_messages_arrive_whole_and_in_order(kind, messages, data):
    sent = data.draw(st.lists(messages, min_size=1, max_size=6))

    async def go() -> None:
        sender, wire, _ = connected(kind)
        receiver, _, received = connected(kind)
        for message in sent:
            sender.send(message)
        await asyncio.sleep(0)
        stream, start = bytes(wire.written), 0
        while start < len(stream):
            size = data.draw(st.integers(1, 40))
            receiver.data_received(stream[start : start + size])
            start += size
        assert received == sent

    asyncio.run(go())


@given(shapes=SHAPES)
def test_outputs_are_taken_apart_as_they_were_joined(shapes):
    numbers = np.random.default_rng(0)
    outputs = [numbers.normal(size=shape).astype(np.float32) for shape in shapes]
    taken = split(*join_outputs(outputs))
    assert [each.shape for each in taken] == list(shapes)
    assert all((one == other).all() for one, other in zip(taken, outputs, strict=True))


@given(shapes=SHAPES, data=st.binary(max_size=100).map(lambda data: data[: len(data) // 4 * 4]))
def test_outputs_of_another_size_are_refused(shapes, data):
    if len(data) != 4 * sum(rows * width for rows, width in shapes):
        with pytest.raises(ValueError, match="another size"):
            split(shapes, data)
