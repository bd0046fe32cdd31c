"""Which batches of a GPU are replayed and which are run, and how that comes about; the GPUs are played by the host."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.bundle import read_bundle
from app.engine.cost import CostModel
from app.runtime.cuda.binding import Binding
from app.runtime.cuda.bucket import Room
from app.runtime.cuda.cudart import CudaError
from app.runtime.cuda.graphs import Replayer
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.session import Session
from app.serving import loading
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.gpus import make_windows
from tests.app.registries import load


@pytest.fixture
def models(tmp_path, byte_level):
    """A models folder with one bundle, whose graph runs on the CPU in a room, too: no attention."""
    write_bundle(tmp_path, byte_level)
    return tmp_path


@pytest.fixture
def toy(models):
    return read_bundle(models / "toy" / "1", name="toy", version=1)


@pytest.fixture
def always_faster(monkeypatch):
    monkeypatch.setattr("app.serving.warmup.is_faster", lambda *_: True)


def load_session(models, **settings):
    """Load a models folder as on a GPU, and return the session of its one model."""
    (entry,) = load(models, device="cuda", **settings).entries
    return entry.model.lane.run.__self__


def test_what_a_captured_room_holds_is_replayed_and_the_rest_is_run(on_host, toy, monkeypatch):
    session = CudaSession(toy, "fp32", CudaOptions(gpus=(3, 5), runners=4))
    replayed, ran = counted(monkeypatch, Replayer), counted(monkeypatch, Binding)
    session.open_replayers()
    assert on_host[4:] == [3, 5]
    small, large = make_windows(3, 4), make_windows(9)
    session.run(small)
    room = Room(tokens=8, windows=2, longest=8, rows=2)
    session.capture(room, make_windows(1))
    session.run(small)
    session.run(large)
    session.run_uncaptured(small)
    assert (len(replayed), len(ran)) == (1, 3)
    for runner in range(4):
        for mine, theirs in zip(session.run(small, runner=runner), Session(toy, "fp32").run(small), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert [replayed.count(replayer) for replayer in session._replayers] == [3, 2]
    session.forget(room)
    session.run(small)
    session.close_replayers()
    session.run(small)
    assert (len(replayed), len(ran)) == (5, 5)
    with pytest.raises(RuntimeError, match="opened or closed before"):
        session.open_replayers()


# --- Loading ------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_with_its_captures_or_without(on_host, models, always_faster):
    assert load_session(models).has_replayers
    assert not load_session(models, cuda_graphs=False).has_replayers


def test_only_our_own_graphs_are_captured(on_host, tmp_path, byte_level, always_faster):
    write_hub_folder(tmp_path / "stranger", byte_level)
    assert not load_session(tmp_path).has_replayers


def test_the_lane_costs_what_its_replays_cost(on_host, models, always_faster, monkeypatch):
    costs = [CostModel(fixed=1.0, per_token=1e-3), CostModel(fixed=0.5, per_token=1e-3)]
    monkeypatch.setattr(loading, "measure_cost", lambda *_: costs.pop(0))
    (entry,) = load(models, device="cuda").entries
    lane = entry.model.lane
    assert (lane.cost.fixed, lane.max_batch_tokens) == (0.5, 2000)


def test_where_nothing_can_be_captured_batches_are_run(on_host, models, toy, monkeypatch):
    def fails(*_):
        raise CudaError("cudaStreamEndCapture: operation failed due to a previous error during capture")

    monkeypatch.setattr(Replayer, "capture", fails)
    with capture_logs() as logs:
        session = load_session(models)
    assert not session.has_replayers
    (warning,) = [line for line in logs if line["event"] == "cuda_graphs_not_used"]
    assert warning["model"] == "toy"
    assert "previous error during capture" in warning["reason"]
    (answer,) = session.run(make_windows(3))
    np.testing.assert_array_equal(answer, Session(toy, "fp32").run(make_windows(3))[0])


def test_a_replay_that_answers_otherwise_than_a_run_is_not_used(on_host, models, always_faster, monkeypatch):
    run = Replayer.run
    monkeypatch.setattr(Replayer, "run", lambda *arguments: run(*arguments) + 1)
    with capture_logs() as logs:
        assert not load_session(models).has_replayers
    (warning,) = [line for line in logs if line["event"] == "cuda_graphs_not_used"]
    assert warning["reason"].endswith("a replay of 16 tokens differs by 1 from a run")


def test_nothing_is_loaded_while_a_model_is_captured_nor_the_other_way_round(on_host, models, monkeypatch):
    """It would wait for the device, which breaks a capture."""
    captured, capture = threading.Event(), loading.capture_small_batches
    monkeypatch.setattr(loading, "capture_small_batches", lambda *a, **k: captured.set() or capture(*a, **k))
    opened, open_one = threading.Event(), loading.open_session
    monkeypatch.setattr(loading, "open_session", lambda *a: opened.set() or open_one(*a))
    with ThreadPoolExecutor(1) as pool:
        with loading.capturing.alone():
            loaded = pool.submit(load_session, models)
            assert not opened.wait(0.1)
        loaded.result(30)
        opened.clear()
        captured.clear()
        with loading.capturing.together():
            loaded = pool.submit(load_session, models)
            assert opened.wait(30)
            assert not captured.wait(0.1)
        assert loaded.result(30)
        assert captured.is_set()


def counted(monkeypatch, kind):
    """Return a list of the objects of `kind` that are run from now on."""
    called, run = [], kind.run

    def count(self, *arguments):
        called.append(self)
        return run(self, *arguments)

    monkeypatch.setattr(kind, "run", count)
    return called
