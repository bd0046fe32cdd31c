"""How a session on GPUs prepares itself: memory is proved and small batches are captured. The CPU plays the GPUs."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.bundle import read_bundle
from app.engine.cost import CostModel
from app.runtime.cpu.session import CpuSession
from app.runtime.cuda import session as cuda
from app.runtime.cuda.binding import IoRunner
from app.runtime.cuda.cudart import CudaError
from app.runtime.cuda.graphs import Bucket, CudaGraphs
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.session import SessionError
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.gpus import make_windows
from tests.app.registries import load, reason

COST = CostModel(fixed=5e-3, per_token=1e-6)  # a budget of 20,000 tokens


@pytest.fixture
def models(tmp_path, byte_level):
    """A models folder with one bundle. Its graph has no attention, so that a CPU runs it in a bucket, too."""
    write_bundle(tmp_path, byte_level)
    return tmp_path


@pytest.fixture
def toy(models):
    return read_bundle(models / "toy" / "1", name="toy", version=1)


@pytest.fixture
def always_faster(monkeypatch):
    monkeypatch.setattr("app.runtime.cuda.warmup.is_faster", lambda *_: True)


def open_toy(toy, lock=None, **options):
    known = {"gpus": (0,), "runners": 2, "cuda_graphs": True}
    return CudaSession(toy, "fp32", CudaOptions(**known | options), lock or SharedLock())


def load_session(models, **settings):
    """Load a models folder as on a GPU, and return the session of its one model."""
    (entry,) = load(models, device="cuda", **settings).entries
    return entry.model.lane.run.__self__


# --- Memory -------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(toy, on_host, monkeypatch):
    """Return a function that opens a session on GPUs on which so many tokens fit, or twice as many by themselves:
    without CUDA graphs."""

    def open_limited(tokens, **options):
        def fits(session, windows):
            return sum(map(len, windows)) <= tokens * (1 if session.has_cuda_graphs else 2)

        monkeypatch.setattr(CudaSession, "fits", fits)
        return open_toy(toy, **options)

    monkeypatch.setattr(cuda, "measure_cost", lambda *_: COST)
    return open_limited


@pytest.mark.parametrize(("tokens", "budget"), [(10_000, 20_000), (3000, 5000)])
def test_a_budget_that_was_found_is_halved_until_it_fits(tokens, budget, limited):
    session = limited(tokens, cuda_graphs=False)
    session.prepare(None)
    assert session.max_batch_tokens == budget


@pytest.mark.parametrize(("tokens", "replays"), [(20_000, True), (10_000, False)])
def test_cuda_graphs_are_dropped_before_a_budget_is_halved(tokens, replays, limited, always_faster):
    session = limited(tokens)
    session.prepare(None)
    assert session.max_batch_tokens == 20_000
    assert session.has_cuda_graphs is replays


def test_a_budget_that_was_set_or_cannot_be_less_is_an_error(limited):
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 8192 tokens at once"):
        limited(3000).prepare(8192)
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 192 tokens at once"):
        limited(50).prepare(None)


def test_memory_is_proved_on_every_runner_at_once(on_host, fp32_bundle, monkeypatch):
    session = CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=3), SharedLock())
    session.prepare(256)
    assert session.fits(make_windows(60))
    monkeypatch.setattr(session._runners[2], "compute", failing("CUDA failure 2: out of memory"))
    assert not session.fits(make_windows(60))
    monkeypatch.setattr(session._runners[1], "compute", failing("an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        session.fits(make_windows(60))


def test_memory_that_does_not_suffice_for_the_first_batches_is_said_in_a_sentence(on_host, models, monkeypatch):
    monkeypatch.setattr(IoRunner, "compute", failing("CUDA failure 2: out of memory"))
    assert reason(load(models, device="cuda")).startswith("GPU memory does not suffice for the model's first batches")


def failing(message):
    def compute(*_):
        raise RuntimeError(message)

    return compute


# --- CUDA graphs --------------------------------------------------------------------------------------------


def test_what_a_captured_bucket_holds_is_replayed_and_the_rest_is_run(on_host, toy, monkeypatch):
    session = open_toy(toy, gpus=(3, 5), runners=4)
    replayed, ran = counted(monkeypatch, CudaGraphs, "replay"), counted(monkeypatch, IoRunner, "compute")
    session.open_cuda_graphs()
    assert on_host[4:] == [3, 5]
    small, large = make_windows(3, 4), make_windows(9)
    session.run(small)
    bucket = Bucket(tokens=8, windows=2, longest=8, rows=2)
    session.capture(bucket, make_windows(1))
    session.run(small)
    session.run(large)
    session.run_uncaptured(small)
    assert (len(replayed), len(ran)) == (1, 3)
    for runner in range(4):
        for mine, theirs in zip(session.run(small, runner=runner), CpuSession(toy, "fp32").run(small), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert [replayed.count(graphs) for graphs in session._cuda_graphs] == [3, 2]
    session.forget(bucket)
    session.run(small)
    session.drop_cuda_graphs()
    session.run(small)
    assert (len(replayed), len(ran)) == (5, 5)
    with pytest.raises(RuntimeError, match="opened for captures before"):
        session.open_cuda_graphs()


def test_a_model_is_loaded_with_its_captures_or_without(on_host, models, always_faster):
    assert load_session(models).has_cuda_graphs
    assert not load_session(models, cuda_graphs=False).has_cuda_graphs


def test_only_packed_graphs_are_captured(on_host, tmp_path, byte_level, always_faster):
    write_hub_folder(tmp_path / "stranger", byte_level)
    assert not load_session(tmp_path).has_cuda_graphs


def test_a_graph_that_reads_the_grid_is_not_captured(on_host, fp32_bundle):
    """The grid has another shape for every batch."""
    session = open_toy(fp32_bundle)
    with capture_logs() as logs:
        session.prepare(256)
    assert not session.has_cuda_graphs
    assert not logs


def test_the_cost_is_that_of_replays(on_host, toy, always_faster, monkeypatch):
    costs = [CostModel(fixed=1.0, per_token=1e-3), CostModel(fixed=0.5, per_token=1e-3)]
    monkeypatch.setattr(cuda, "measure_cost", lambda *_: costs.pop(0))
    session = open_toy(toy)
    session.prepare(None)
    assert (session.cost.fixed, session.max_batch_tokens) == (0.5, 2000)


def test_where_nothing_can_be_captured_batches_are_run(on_host, models, toy, monkeypatch):
    def fails(*_):
        raise CudaError("cudaStreamEndCapture: operation failed due to a previous error during capture")

    monkeypatch.setattr(CudaGraphs, "capture", fails)
    with capture_logs() as logs:
        session = load_session(models)
    assert not session.has_cuda_graphs
    (warning,) = [line for line in logs if line["event"] == "cuda_graphs_not_used"]
    assert warning["model"] == "toy"
    assert "previous error during capture" in warning["reason"]
    (answer,) = session.run(make_windows(3))
    np.testing.assert_array_equal(answer, CpuSession(toy, "fp32").run(make_windows(3))[0])


def test_a_replay_that_answers_otherwise_than_a_run_is_not_used(on_host, models, always_faster, monkeypatch):
    replay = CudaGraphs.replay
    monkeypatch.setattr(CudaGraphs, "replay", lambda *arguments: replay(*arguments) + 1)
    with capture_logs() as logs:
        assert not load_session(models).has_cuda_graphs
    (warning,) = [line for line in logs if line["event"] == "cuda_graphs_not_used"]
    assert warning["reason"].endswith("a replay of 16 tokens differs by 1 from a run")


def test_a_session_that_is_dropped_is_freed_without_the_garbage_collector(on_host, toy, always_faster):
    session = open_toy(toy)
    session.prepare(None)
    session.run(make_windows(3))
    dropped = [weakref.ref(each) for each in (session, session._runners[0])]
    gc.disable()
    try:
        del session
        assert [reference() for reference in dropped] == [None] * 2
    finally:
        gc.enable()


# --- The capture lock ---------------------------------------------------------------------------------------


@pytest.fixture
def events(monkeypatch):
    """Return events: a GPU was looked for, a batch was run, a capture was begun."""
    opened, ran, captured = threading.Event(), threading.Event(), threading.Event()
    compute, capture = IoRunner.compute, cuda.capture_small_batches
    monkeypatch.setattr(cuda, "open_runtime", lambda gpus: opened.set())
    monkeypatch.setattr(IoRunner, "compute", lambda *a: ran.set() or compute(*a))
    monkeypatch.setattr(cuda, "capture_small_batches", lambda *a, **k: captured.set() or capture(*a, **k))
    return opened, ran, captured


def test_nothing_is_loaded_during_a_capture_and_nothing_captured_during_loading(on_host, toy, events):
    """Loading synchronizes the device, which breaks a capture."""
    (opened, ran, captured), lock = events, SharedLock()
    with ThreadPoolExecutor(1) as pool:
        with lock.exclusive():
            opening = pool.submit(open_toy, toy, lock)
            assert not opened.wait(0.1)
        session = opening.result(30)
        with lock.exclusive():
            running = pool.submit(session.run, make_windows(3))
            assert not ran.wait(0.1)
        running.result(30)
        ran.clear()
        with lock.shared():
            preparing = pool.submit(session.prepare, None)
            assert ran.wait(30)
            assert not captured.wait(0.1)
        preparing.result(30)
        assert captured.is_set()
        ran.clear()
        with lock.exclusive():  # from now on it is served, whatever else is captured
            pool.submit(session.run_uncaptured, make_windows(3)).result(30)
            pool.submit(session.run, make_windows(2000)).result(30)


def test_models_that_are_loaded_side_by_side_share_the_lock(on_host, tmp_path, byte_level, monkeypatch):
    locks, open_one = [], cuda.CudaSession
    monkeypatch.setattr(cuda, "CudaSession", lambda *a: locks.append(a[-1]) or open_one(*a))
    for name in ("a", "b"):
        write_bundle(tmp_path, byte_level, name=name)
    load(tmp_path, device="cuda")
    assert len(locks) == 2
    assert locks[0] is locks[1]


def counted(monkeypatch, kind, method):
    """Return a list of the objects of `kind` whose `method` is called from now on."""
    called, original = [], getattr(kind, method)

    def count(self, *arguments):
        called.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(kind, method, count)
    return called
