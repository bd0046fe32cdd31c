"""CUDA graphs on a device that is the host: batches padded to buckets, and replays that answer as runs do."""

import threading

import numpy as np
import onnxruntime as ort
import pytest

from app.bundle import read_bundle
from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.binding import OutputBuffer
from app.runtime.cuda.graphs import Bucket, CudaGraphs, pad_to
from app.runtime.packing import PackedLayout
from app.window import Window
from tests.app.builders import write_bundle
from tests.support.memory import HostMemory

SMALL, LARGE = Bucket(8, 2, 8, 4), Bucket(64, 8, 32, 16)
BATCHES = [(1,), (3, 4), (8,), (30, 2), (5,) * 8, (32, 32), (2,)]


def make_windows(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [Window(generator.integers(5, 300, n), generator.integers(0, n, 1 + n % 2)) for n in lengths]


# --- Buckets --------------------------------------------------------------------------------------------------

NAMES = (
    *("input_ids", "position_ids", "token_type_ids", "head_rows", "token_windows", "window_lengths"),
    *("token_offset", "cumulative_lengths"),
)
LAYOUT = PackedLayout(NAMES, position_offset=2)
BUCKET = Bucket(tokens=16, windows=4, longest=8, rows=6)


def windows_of(*lengths, rows=1):
    return [Window(np.full(n, 7, np.int64), np.arange(rows)) for n in lengths]


def test_padded_arrays_have_the_bucket_s_shapes_and_begin_with_the_batch():
    batch = [
        Window(np.array([10, 11]), np.array([1])),
        Window(np.array([20, 21, 22]), np.array([2, 0]), np.array([0, 1, 1])),
    ]
    feed = pad_to(BUCKET, LAYOUT.feed(batch))
    expected = {
        "input_ids": [10, 11, 20, 21, 22, *[0] * 11],
        "position_ids": [2, 3, 2, 3, 4, *[0] * 11],
        "token_type_ids": [0, 0, 0, 1, 1, *[0] * 11],
        "head_rows": [1, 4, 2, 0, 0, 0],
        "token_windows": [0, 0, 1, 1, 1, *[-1] * 11],
        "window_lengths": [2, 3, 1, 1],
        "token_offset": [[0, 1, 8, 9, 10, 2, 3, 4], [5, 6, 7, *range(11, 16)], [*range(16, 24)], [*range(24, 32)]],
        "cumulative_lengths": [0, 2, 5, 5, 5],
    }
    assert list(feed) == list(NAMES)
    for name, array in feed.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("lengths", [(1,), (8, 8), (1, 2, 3, 4), (5, 1, 8)], ids=str)
def test_every_batch_that_it_holds_has_arrays_of_one_shape_and_type(lengths):
    whole = pad_to(BUCKET, LAYOUT.feed(windows_of(4, 4, 4, 4)))
    feed = pad_to(BUCKET, LAYOUT.feed(windows_of(*lengths)))
    assert {name: (a.shape, a.dtype) for name, a in feed.items()} == {n: (a.shape, a.dtype) for n, a in whole.items()}
    assert sorted(feed["token_offset"].ravel()) == list(range(4 * 8))


def test_a_batch_that_fills_it_is_left_as_it_is():
    exact = LAYOUT.feed(windows_of(8, 3, 3, 2, rows=1))
    feed = pad_to(Bucket(tokens=16, windows=4, longest=8, rows=4), exact)
    for name, array in exact.items():
        np.testing.assert_array_equal(feed[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("batch", "fits"),
    [
        (windows_of(8, 8), True),
        (windows_of(8, 8, 1), False),
        (windows_of(1, 1, 1, 1), True),
        (windows_of(1, 1, 1, 1, 1), False),
        (windows_of(9), False),
        (windows_of(3, 3, rows=3), True),
        (windows_of(3, 4, rows=3) + windows_of(1), False),
    ],
    ids=["all tokens", "a token more", "all windows", "a window more", "too long", "all rows", "a row more"],
)
def test_it_holds_what_every_one_of_its_sizes_allows(batch, fits):
    assert BUCKET.holds(batch) is fits


# --- Captures and replays -------------------------------------------------------------------------------------


@pytest.fixture
def session(tmp_path, byte_level):
    path = write_bundle(tmp_path, byte_level)
    return CpuSession(read_bundle(path, name="toy", version=1), "fp32")


@pytest.fixture
def memory():
    return HostMemory()


@pytest.fixture
def graphs(session, memory):
    graphs = CudaGraphs(session.session, memory, session.layout)
    for bucket in (SMALL, LARGE):
        graphs.capture(bucket, make_windows((2,)))
    return graphs


def test_answers_are_those_of_a_run(session, graphs):
    for seed, lengths in enumerate([*BATCHES, *BATCHES[::-1]]):
        windows = make_windows(lengths, seed)
        answered = graphs.replay(windows, graphs.bucket_for(windows))
        np.testing.assert_array_equal(answered, np.concatenate(session.run(windows)))


def test_the_smallest_bucket_is_taken(graphs):
    assert graphs.bucket_for(make_windows((3, 4))) == SMALL
    assert graphs.bucket_for(make_windows((3, 4, 1))) == LARGE
    assert graphs.bucket_for(make_windows((33,))) is None
    graphs.forget(SMALL)
    assert graphs.bucket_for(make_windows((3, 4))) == LARGE


def test_only_the_rows_that_were_asked_for_come_back(graphs, memory):
    windows = make_windows((3, 4))
    memory.copies.clear()
    output = graphs.replay(windows, SMALL)
    assert output.shape == (3, 3)
    assert memory.copies[-1] == output.nbytes


def test_a_pass_that_cannot_be_captured_is_not_there_afterwards(session, graphs, memory, monkeypatch):
    def fails(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(memory, "capture", fails)
    with pytest.raises(RuntimeError, match="not permitted"):
        graphs.capture(Bucket(128, 8, 64, 16), make_windows((2,)))
    assert graphs.bucket_for(make_windows((40,))) is None
    windows = make_windows((8,))
    np.testing.assert_array_equal(graphs.replay(windows, SMALL), np.concatenate(session.run(windows)))


def test_a_capture_that_another_session_broke_is_tried_again(session, memory, monkeypatch):
    captured, attempts = memory.capture, []

    def breaks_once(work):
        attempts.append(work)
        if len(attempts) == 1:
            raise RuntimeError("operation failed due to a previous error during capture")
        return captured(work)

    monkeypatch.setattr(memory, "capture", breaks_once)
    graphs, windows = CudaGraphs(session.session, memory, session.layout), make_windows((3, 4))
    graphs.capture(SMALL, make_windows((2,)))
    np.testing.assert_array_equal(graphs.replay(windows, SMALL), np.concatenate(session.run(windows)))


def test_runners_take_turns(session, graphs):
    batches = [make_windows(BATCHES[n % len(BATCHES)], n) for n in range(40)]
    expected = [np.concatenate(session.run(windows)) for windows in batches]
    wrong = []

    def work():
        for windows, right in zip(batches, expected, strict=True):
            if not np.array_equal(graphs.replay(windows, graphs.bucket_for(windows)), right):
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


def test_a_graph_without_head_rows_has_a_row_for_each_window(session, memory):
    """The layout says how many rows of the bucket's output are the batch's."""
    layout = PackedLayout(["input_ids"], 0)
    windows = make_windows((3, 4))
    assert layout.count_rows(windows) == 2
    assert session.layout.count_rows(windows) == sum(len(window.head_rows) for window in windows)
