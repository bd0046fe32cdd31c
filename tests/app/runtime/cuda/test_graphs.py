"""Captured passes on a device that is the host: a replay answers, batch after batch, what a run does."""

import threading

import numpy as np
import onnxruntime as ort
import pytest

from app.bundle import read_bundle
from app.runtime.cuda.binding import OutputBuffer
from app.runtime.cuda.bucket import Room
from app.runtime.cuda.graphs import Replayer
from app.runtime.session import Session
from app.window import Window
from tests.app.builders import write_bundle
from tests.support.memory import HostMemory

SMALL, LARGE = Room(8, 2, 8, 4), Room(64, 8, 32, 16)
BATCHES = [(1,), (3, 4), (8,), (30, 2), (5,) * 8, (32, 32), (2,)]


def make_windows(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [Window(generator.integers(5, 300, n), generator.integers(0, n, 1 + n % 2)) for n in lengths]


@pytest.fixture
def session(tmp_path, byte_level):
    path = write_bundle(tmp_path, byte_level)
    return Session(read_bundle(path, name="toy", version=1), "fp32")


@pytest.fixture
def memory():
    return HostMemory()


@pytest.fixture
def replayer(session, memory):
    replayer = Replayer(session.session, memory, session.layout)
    for room in (SMALL, LARGE):
        replayer.capture(room, make_windows((2,)))
    return replayer


def test_answers_are_those_of_a_run(session, replayer):
    for seed, lengths in enumerate([*BATCHES, *BATCHES[::-1]]):
        windows = make_windows(lengths, seed)
        answered = replayer.run(windows, replayer.room_for(windows))
        np.testing.assert_array_equal(answered, np.concatenate(session.run(windows)))


def test_the_least_room_is_taken(replayer):
    assert replayer.room_for(make_windows((3, 4))) == SMALL
    assert replayer.room_for(make_windows((3, 4, 1))) == LARGE
    assert replayer.room_for(make_windows((33,))) is None
    replayer.forget(SMALL)
    assert replayer.room_for(make_windows((3, 4))) == LARGE


def test_only_the_rows_that_were_asked_for_come_back(replayer, memory):
    windows = make_windows((3, 4))
    memory.copies.clear()
    output = replayer.run(windows, SMALL)
    assert output.shape == (3, 3)
    assert memory.copies[-1] == output.nbytes


def test_a_pass_that_cannot_be_captured_is_not_there_afterwards(session, replayer, memory, monkeypatch):
    def fails(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(memory, "capture", fails)
    with pytest.raises(RuntimeError, match="not permitted"):
        replayer.capture(Room(128, 8, 64, 16), make_windows((2,)))
    assert replayer.room_for(make_windows((40,))) is None
    windows = make_windows((8,))
    np.testing.assert_array_equal(replayer.run(windows, SMALL), np.concatenate(session.run(windows)))


def test_a_capture_that_another_session_broke_is_tried_again(session, memory, monkeypatch):
    captured, attempts = memory.capture, []

    def breaks_once(work):
        attempts.append(work)
        if len(attempts) == 1:
            raise RuntimeError("operation failed due to a previous error during capture")
        return captured(work)

    monkeypatch.setattr(memory, "capture", breaks_once)
    replayer, windows = Replayer(session.session, memory, session.layout), make_windows((3, 4))
    replayer.capture(SMALL, make_windows((2,)))
    np.testing.assert_array_equal(replayer.run(windows, SMALL), np.concatenate(session.run(windows)))


def test_runners_take_turns(session, replayer):
    batches = [make_windows(BATCHES[n % len(BATCHES)], n) for n in range(40)]
    expected = [np.concatenate(session.run(windows)) for windows in batches]
    wrong = []

    def work():
        for windows, right in zip(batches, expected, strict=True):
            if not np.array_equal(replayer.run(windows, replayer.room_for(windows)), right):
                wrong.append(windows)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_output_buffer_grows_for_what_is_fetched_not_for_what_is_held(session, memory):
    values = np.arange(300_000, dtype=np.float32).reshape(100_000, 3)
    buffer, held = OutputBuffer(memory), ort.OrtValue.ortvalue_from_numpy(values)
    before = buffer.capacity
    np.testing.assert_array_equal(buffer.fetch(held, 10), values[:10])
    assert buffer.capacity == before
    np.testing.assert_array_equal(buffer.fetch(held), values)
