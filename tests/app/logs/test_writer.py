"""A log that nobody reads holds up nothing; what is lost is counted and told."""

import io
import logging
import os
import threading

import pytest

from app.logs.limit import LineLimit
from app.logs.writer import LogWriter
from tests.support.server import until


@pytest.fixture
def pipe():
    """The two ends of a pipe as files."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


def make_writer(stream, report=lambda lines: None, **given):
    return LogWriter(stream, LineLimit(lambda *_: None), report, **given)


def write(writer, *lines):
    for line in lines:
        writer.handle(logging.makeLogRecord({"msg": line}))


def test_lines_are_written_in_their_order_and_the_last_before_the_end(pipe):
    reader, stream = pipe
    writer = make_writer(stream)
    write(writer, *map(str, range(1000)))
    writer.end(10)
    assert reader.read(10_000).decode().split() == [str(number) for number in range(1000)]


def test_nobody_waits_for_a_reader_and_what_is_dropped_is_counted_and_told(pipe):
    reader, stream = pipe
    told, counted = [], []
    writer = make_writer(stream, report=told.append, most_queued=100)
    large = "x" * 4000
    write(writer, *[large] * 1000)  # more than a pipe holds
    writer.count_dropped(counted.append)
    write(writer, *[large] * 50)
    until(lambda: sum(counted) > 800)

    os.set_blocking(reader.fileno(), False)
    received = bytearray()

    def received_more() -> bytearray:
        received.extend(reader.read(65536) or b"")
        return received

    until(lambda: received_more() and told)
    write(writer, "last")
    until(lambda: received_more().endswith(b"last\n"))
    writer.end(10)

    lines = received.decode().splitlines()
    assert sum(counted) + len(lines) == 1051
    assert sum(told) == sum(counted)
    assert set(lines) == {large, "last"}


def test_the_end_does_not_wait_for_a_reader(pipe):
    writer = make_writer(pipe[1])
    write(writer, *["x" * 4000] * 100)
    writer.end(0.01)
    assert any(thread.name == "logs" for thread in threading.enumerate())
    pipe[0].read(10**6)


def test_a_reader_that_is_gone_ends_nothing(pipe):
    reader, stream = pipe
    counted = []
    writer = make_writer(stream)
    writer.count_dropped(counted.append)
    os.close(os.dup(reader.fileno()))
    reader.close()
    write(writer, "nobody")
    until(lambda: counted)
    write(writer, "reads", "this")
    writer.end(10)
    assert sum(counted) == 3


def test_a_stream_without_a_descriptor_is_written_to():
    stream = io.StringIO()
    writer = make_writer(stream)
    write(writer, "lone \ud800 surrogate")
    writer.end(10)
    assert stream.getvalue() == "lone \\ud800 surrogate\n"


def test_a_line_that_cannot_be_formatted_ends_nothing():
    stream = io.StringIO()
    writer = make_writer(stream)
    writer.handle(logging.makeLogRecord({"name": "some", "msg": "%d", "args": ("x",)}))
    write(writer, "next")
    writer.end(10)
    assert stream.getvalue() == "a line of some could not be formatted: TypeError\nnext\n"


def test_the_end_of_a_second_is_told_although_no_line_follows():
    told = threading.Event()
    limit = LineLimit(lambda *given: told.set())
    writer = LogWriter(io.StringIO(), limit, lambda lines: None)
    writer.addFilter(limit.of_record)
    write(writer, *["alike"] * 11)
    assert told.wait(30)
    writer.end(10)
