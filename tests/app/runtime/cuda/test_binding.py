"""Input and output buffers of one runner, on a device that is the host: the same code that a GPU runs."""

import threading

import numpy as np
import pytest

from app.bundle import read_bundle
from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.binding import ALIGNMENT, LEAST_CAPACITY, IoRunner, capacity_for, place
from app.window import Window
from tests.support.memory import HostMemory

MIXES = [(1,), (3, 7), (64, 1, 1), (5,) * 32, (64,) * 30, (2, 64, 2, 33, 1)]
ROUTES = ("classify", "ner", "fill-mask")


def make_windows(lengths, all_rows, seed=0):
    generator = np.random.default_rng(seed)
    return [Window(generator.integers(5, 300, n), np.arange(n if all_rows else 1)) for n in lengths]


@pytest.fixture(scope="module")
def sessions(tiny_models):
    bundles = {r: read_bundle(tiny_models / f"tiny-{r}" / "1", name=f"tiny-{r}", version=1) for r in ROUTES}
    return {route: CpuSession(bundle, "fp32") for route, bundle in bundles.items()}


@pytest.fixture
def session(sessions):
    return sessions["ner"]


@pytest.fixture
def memory():
    return HostMemory()


@pytest.mark.parametrize("route", ROUTES)
def test_answers_are_exactly_those_of_session_run(route, sessions, memory):
    """Batch after batch through the same buffers, larger and smaller in turn."""
    session = sessions[route]
    io_runner = IoRunner(session.session, memory)
    for seed, lengths in enumerate([*MIXES, *MIXES[::-1]]):
        windows = make_windows(lengths, route != "classify", seed)
        answered = session.layout.split(io_runner.compute(session.layout.feed(windows)), windows)
        for mine, theirs in zip(answered, session.run(windows), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_buffers_grow_to_powers_of_two_and_are_used_again(sessions, memory):
    session = sessions["fill-mask"]
    io_runner = IoRunner(session.session, memory)
    small, large = make_windows((5,), True), make_windows((64,) * 60, True)
    for windows in (small, large, small, large):
        io_runner.compute(session.layout.feed(windows))
    input_size = place(session.layout.feed(large))[1]
    output_size = sum(len(w) for w in large) * session.run(small)[0].shape[1] * 4
    assert input_size > LEAST_CAPACITY < output_size
    assert io_runner.inputs.capacity == capacity_for(input_size)
    assert io_runner.outputs.capacity == capacity_for(output_size)
    first = [("device", LEAST_CAPACITY), ("host", LEAST_CAPACITY), ("host", LEAST_CAPACITY)]
    grown = [("device", capacity_for(input_size)), ("host", capacity_for(input_size))]
    assert memory.allocations == [*first, *grown, ("host", capacity_for(output_size))]


def test_one_copy_brings_all_inputs_and_one_the_output(session, memory):
    windows = make_windows((3, 7), True)
    feed = session.layout.feed(windows)
    output = IoRunner(session.session, memory).compute(feed)
    assert memory.copies == [place(feed)[1], output.nbytes]


def test_an_output_is_a_copy_that_later_batches_leave_alone(session, memory):
    io_runner = IoRunner(session.session, memory)
    outputs = [io_runner.compute(session.layout.feed(make_windows((9, 4), True, seed))) for seed in range(3)]
    kept = [output.copy() for output in outputs]
    io_runner.compute(session.layout.feed(make_windows((40,), True)))
    for output, before in zip(outputs, kept, strict=True):
        np.testing.assert_array_equal(output, before)
    assert not np.array_equal(outputs[0], outputs[1])


def test_inputs_lie_side_by_side_and_aligned():
    feed = {"a": np.zeros(3, np.int64), "b": np.zeros((2, 50), np.int32), "c": np.zeros(1, np.int64)}
    offsets, end = place(feed)
    assert offsets == {"a": 0, "b": ALIGNMENT, "c": 3 * ALIGNMENT}
    assert end == 3 * ALIGNMENT + 8


@pytest.mark.parametrize(("size", "capacity"), [(1, 1), (LEAST_CAPACITY, 1), (LEAST_CAPACITY + 1, 2), (10**6, 16)])
def test_capacity(size, capacity):
    assert capacity_for(size) == capacity * LEAST_CAPACITY


def test_a_failing_batch_leaves_the_buffers_usable(session, memory):
    io_runner = IoRunner(session.session, memory)
    windows = make_windows((3, 7), True)
    bad = session.layout.feed(windows) | {"input_ids": np.full(10, 10**6)}
    with pytest.raises(Exception, match="indices element out of data bounds"):
        io_runner.compute(bad)
    answered = session.layout.split(io_runner.compute(session.layout.feed(windows)), windows)
    np.testing.assert_array_equal(np.concatenate(answered), np.concatenate(session.run(windows)))


def test_two_runners_share_a_session_at_once(session):
    """Each has a binding and buffers of its own; even one that is called by two threads mixes nothing up."""
    shared, own = IoRunner(session.session, HostMemory()), IoRunner(session.session, HostMemory())
    batches = [make_windows((3 + seed, 7), True, seed) for seed in range(12)]
    expected = [np.concatenate(session.run(windows)) for windows in batches]
    wrong = []

    def work(io_runner):
        for windows, right in zip(batches, expected, strict=True):
            if not np.array_equal(io_runner.compute(session.layout.feed(windows)), right):
                wrong.append(windows)

    threads = [threading.Thread(target=work, args=(io_runner,)) for io_runner in (shared, shared, own)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
