"""What crosses between workers and engines: frames, messages and errors."""

import asyncio

import msgspec
import numpy as np
import pytest

from app.errors import (
    InternalError,
    ServeError,
)
from app.processes import stream
from app.processes.messages import (
    Cancel,
    Refused,
    Submit,
    ToEngine,
    ToWorker,
    join_outputs,
    rebuild,
    refusal,
    split_outputs,
)
from app.processes.stream import LENGTH, Stream
from app.window import Ranking, Window
from tests.app.builders import window
from tests.app.engines import play


def over_the_wire(message, kind):
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=kind)


# --- Messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("types", [None, [0, 0, 1, 1]])
def test_a_window_arrives_as_it_was(types):
    sent = Window(np.array([0, 50264, 7, 2]), np.array([0, 3]), None if types is None else np.array(types))
    message = over_the_wire(Submit.of(1, "toy:1", [sent], 12.5, -3), ToEngine)
    (received,) = message.unpack()
    for name in ("input_ids", "head_rows", "token_type_ids"):
        one, other = getattr(sent, name), getattr(received, name)
        assert one is other is None or (one.dtype == other.dtype and one.tolist() == other.tolist())
    assert received.ranking is None


@pytest.mark.parametrize("columns", [None, [3, 50264]])
def test_windows_arrive_with_what_is_kept_of_their_rows(columns):
    ranking = Ranking(5, 1.5, None if columns is None else np.array(columns))
    sent = [Window(np.array([0, 2]), np.array([1]), ranking=ranking)] * 3
    received = over_the_wire(Submit.of(1, "toy:1", sent, 12.5, -3), ToEngine).unpack()
    assert len(received) == 3
    for ranking in [each.ranking for each in received]:
        assert (ranking.best, ranking.temperature) == (5, 1.5)
        assert ranking.columns is columns is None or ranking.columns.tolist() == columns


def test_outputs_arrive_as_they_were():
    dice = np.random.default_rng(0)
    sent = [dice.normal(size=shape).astype(np.float32) for shape in [(1, 3), (4, 3), (0, 3), (2, 1000)]]
    sent.append(sent[-1].T)  # not contiguous
    received = split_outputs(*join_outputs(sent))
    for one, other in zip(sent, received, strict=True):
        assert one.shape == other.shape
        assert (one == other).all()


def test_outputs_of_another_size_are_an_error():
    with pytest.raises(ValueError, match="another size"):
        split_outputs([(1, 3)], b"\0" * 16)


@pytest.mark.parametrize("kind", ServeError.__subclasses__(), ids=lambda kind: kind.code)
def test_every_error_is_rebuilt(kind):
    for sent in (kind(), kind("a sentence"), kind("a sentence", 7.0)):
        received = rebuild(over_the_wire(refusal(3, sent), ToWorker))
        assert type(received) is kind
        assert (received.message, received.retry_after_s) == (sent.message, sent.retry_after_s)


def test_an_unknown_error_is_internal():
    assert type(rebuild(Refused(1, "of_the_future", "a sentence", None))) is InternalError


# --- Frames ---------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.writes, self.aborted = [], False

    def write(self, data):
        self.writes.append(bytes(data))

    def abort(self):
        self.aborted = True

    def set_write_buffer_limits(self, high=None, low=None):
        pass


def make_stream(received=None):
    received = [] if received is None else received
    made = Stream(msgspec.msgpack.Decoder(ToEngine), received.append, lambda: None)
    made.connection_made(Wire())
    return made


async def written(*messages):
    """Return the one write of messages that are sent in one turn of the loop."""
    sender = make_stream()
    for message in messages:
        sender.send(message)
    await asyncio.sleep(0)
    (data,) = sender._transport.writes
    return data


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_frames_are_found_however_they_are_cut(size):
    async def scenario():
        messages = [Cancel(n) for n in range(20)] + [Submit.of(9, "toy:1", [window(300)], 1.0, 0)]
        data, received = await written(*messages), []
        receiver = make_stream(received)
        for start in range(0, len(data), size):
            receiver.data_received(data[start : start + size])
        assert received == messages

    play(scenario())


@pytest.mark.parametrize("data", [LENGTH.pack(2**31), LENGTH.pack(3) + b"abc", LENGTH.pack(0)], ids=repr)
def test_what_is_no_frame_breaks_the_stream_off(data):
    async def scenario():
        receiver = make_stream()
        receiver.data_received(data)
        assert receiver._transport.aborted

    play(scenario())


def test_a_message_that_is_too_large_is_not_sent(monkeypatch):
    async def scenario():
        sender = make_stream()
        sender.send(Cancel(1))
        with pytest.raises(stream.FrameTooLargeError):
            sender.send(Submit.of(2, "toy:1", [window(1000)], 1.0, 0))
        sender.send(Cancel(3))
        await asyncio.sleep(0)
        received = []
        make_stream(received).data_received(sender._transport.writes[0])
        assert received == [Cancel(1), Cancel(3)]

    monkeypatch.setattr(stream, "MAX_FRAME_BYTES", 1000)
    play(scenario())
