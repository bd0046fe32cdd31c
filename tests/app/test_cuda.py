"""What can be shown of CUDA without a GPU: refusals, placement, runners on GPUs, memory; the copies are on the host."""

import ctypes
import gc
import threading
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app import loading
from app.bundle import read_bundle
from app.loading import capture_graphs, load_model
from app.metrics import Metrics
from app.runtime import cuda, gpu_graph
from app.runtime.binding import Binding
from app.runtime.cuda import CudaOptions, CudaSession, check_placement, is_out_of_memory, open_runtime
from app.runtime.cudart import CudaError, CudaMemory, CudaRuntime
from app.runtime.opening import open_session
from app.runtime.packing import Window
from app.runtime.replay import Replayer
from app.runtime.room import Room
from app.runtime.session import Session, SessionError, choose_precision, session_options
from app.settings import Settings
from tests.app.builders import write_bundle
from tests.support.cudart import FakeCudart
from tests.support.memory import HostMemory


def make_windows(*lengths):
    return [Window(np.full(n, 5 + n % 7, np.int64), np.zeros(1, np.int64)) for n in lengths]


@pytest.fixture
def cudart(monkeypatch):
    """Return a function that puts a CUDA library in place, `OSError` where it is None."""

    def install(library):
        def load(name):
            assert name == "libcudart.so.13"
            if library is None:
                raise OSError("not there")
            return library

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(ort, "cuda_version", "13.0")
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)

    return install


# --- The runtime library ------------------------------------------------------------------------------------


def test_copies_go_through_page_locked_memory_and_blocks_are_freed_with_their_arrays(cudart):
    library = FakeCudart()
    cudart(library)
    memory = CudaMemory(CudaRuntime("13.0"), gpu=1)
    assert library.selected == 1
    host, block = memory.allocate_host(64), memory.allocate_device(64)
    host[:5] = np.arange(5)
    memory.upload(host[:5], block.address + 8)
    assert library.blocks[block.address][8:13].tolist() == [255] * 5
    memory.synchronise()
    assert library.blocks[block.address][8:13].tolist() == [0, 1, 2, 3, 4]
    back = memory.allocate_host(5)
    memory.download(block.address + 8, back)
    memory.synchronise()
    assert back.tolist() == [0, 1, 2, 3, 4]
    part = host[:5].view()
    assert len(library.blocks) == 3
    del host, block
    gc.collect()
    assert len(library.blocks) == 2  # the device's is gone, the host's is still seen through `part`
    del part, back
    gc.collect()
    assert not library.blocks


def test_a_session_answers_through_cuda_s_copies_what_it_answers_without(cudart, tiny_models):
    library = FakeCudart()
    cudart(library)
    bundle = read_bundle(tiny_models / "tiny-ner" / "1", name="tiny-ner", version=1)
    session, memory = Session(bundle, "fp32"), CudaMemory(CudaRuntime("13.0"), gpu=0)
    memory.device_type = "cpu"
    windows = make_windows(3, 17, 60)
    output = Binding(session.session, memory).run(session.layout.feed(windows))
    np.testing.assert_array_equal(output, np.concatenate(session.run(windows)))


def test_a_failed_call_says_what_cuda_says(cudart):
    cudart(FakeCudart("memory"))
    with pytest.raises(CudaError, match="cudaHostAlloc: out of memory") as caught:
        CudaMemory(CudaRuntime("13.0"), gpu=0).allocate_host(10)
    assert is_out_of_memory(caught.value)


def test_a_capture_is_launched_on_its_stream_and_freed_with_what_launches_it(cudart):
    library = FakeCudart()
    cudart(library)
    memory, modes = CudaMemory(CudaRuntime("13.0"), gpu=1), []
    begin = memory.capture(lambda: modes.append(library.mode))
    assert modes == [2]  # relaxed
    assert library.mode is None
    assert not library.graphs
    library.selected = 0
    begin()
    begin()
    assert library.launched == [(501, memory.stream)] * 2
    assert library.selected == 1
    del begin
    gc.collect()
    assert not library.runnable


def test_a_capture_that_fails_ends_and_says_why(cudart):
    library = FakeCudart()
    cudart(library)
    memory = CudaMemory(CudaRuntime("13.0"), gpu=0)

    def waits():
        raise RuntimeError("no waiting here")

    for failure in (None, "capture"):  # what breaks a capture is told, not that it is broken
        library.failure = failure
        with pytest.raises(RuntimeError, match="no waiting here"):
            memory.capture(waits)
        assert library.mode is None
    with pytest.raises(CudaError, match="cudaStreamEndCapture: operation failed due to a previous error"):
        memory.capture(lambda: None)
    library.failure = "memory"
    with pytest.raises(CudaError, match="cudaGraphInstantiate: out of memory"):
        memory.capture(lambda: None)
    assert not library.graphs
    assert library.last_error == 0  # else onnxruntime's next kernel would seem to fail


# --- Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "gpus", "sentence"),
    [
        (None, [0], "libraries are not installed; install the extra 'gpu'"),
        (FakeCudart("driver", driver=0), [0], "no NVIDIA driver was found"),
        (FakeCudart("driver", driver=12040), [0], "driver is for CUDA 12.4 and onnxruntime needs 13.0; update"),
        (FakeCudart("driver"), [0], "CUDA cannot be used .*insufficient.*; check nvidia-smi"),
        (FakeCudart(devices=2), [0, 2], "there is no GPU 2: 2 are visible"),
        (FakeCudart(devices=0), [0], "there is no GPU 0: 0 are visible"),
        (FakeCudart(capability=(7, 0)), [0], "GPU 0 is older than CUDA 13.0 supports"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_missing_is_said_in_one_sentence(library, gpus, sentence, cudart):
    cudart(library)
    with pytest.raises(SessionError, match=sentence):
        open_runtime(gpus)


def test_turing_and_newer_are_taken(cudart):
    cudart(FakeCudart(capability=(7, 5)))
    open_runtime([0, 1])


def recorded(graph):
    options = session_options(1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def test_a_provider_that_did_not_load_is_no_silent_fallback(shipped_models):
    session = recorded(str(shipped_models / "sentiment/1/model.int8.onnx"))
    with pytest.raises(SessionError, match="could not load CUDAExecutionProvider and would run on CPUExecution"):
        check_placement(session, "CUDAExecutionProvider")


def test_every_node_s_place_is_known(shipped_models):
    session = recorded(str(shipped_models / "sentiment/1/model.int8.onnx"))
    check_placement(session, "CPUExecutionProvider")
    placed = [node.op_type for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()]
    assert "MatMulIntegerToFloat" in placed


def session_with(**nodes):
    """A session whose nodes are on the given providers."""
    parts = [
        SimpleNamespace(ep_name=provider, get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=k) for k in kinds])
        for provider, kinds in nodes.items()
    ]
    return SimpleNamespace(get_providers=lambda: ["GPU", "CPU"], get_provider_graph_assignment_info=lambda: parts)


def test_arithmetic_on_the_cpu_is_refused_and_that_of_shapes_is_not():
    check_placement(session_with(GPU=["Gemm", "Softmax"], CPU=["Shape", "Gather", "Concat"]), "GPU")
    with pytest.raises(SessionError, match="has no kernel for DynamicQuantizeLinear, MatMulInteger as this graph"):
        check_placement(session_with(GPU=["Gemm"], CPU=["Shape", "MatMulInteger", "DynamicQuantizeLinear"]), "GPU")


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failure 2: out of memory ; GPU=0",
        "Failed to allocate memory for requested buffer of size 268435456",
        "Available memory of 1024 is smaller than requested bytes of 4096",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_used_up_is_recognised(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(RuntimeError("CUDA failure 700: an illegal memory access was encountered"))


# --- A CUDA session, its GPUs played by the CPU -------------------------------------------------------------


@pytest.fixture
def on_host(monkeypatch):
    """Let a CUDA session run on the CPU; return the GPUs for which memory was asked, runner by runner."""
    asked = []

    def memory(runtime, gpu):
        asked.append(gpu)
        return HostMemory()

    monkeypatch.setattr(cuda, "open_runtime", lambda gpus: None)
    monkeypatch.setattr(cuda, "CudaMemory", memory)
    monkeypatch.setattr(cuda, "PROVIDERS", {"cuda": "CPUExecutionProvider"})
    monkeypatch.setattr(cuda, "provider_options", lambda gpu, limit, stream: {})
    monkeypatch.setattr(
        gpu_graph, "read_for_gpu", lambda path, precision: str(path)
    )  # packed attention is CUDA's alone
    return asked


def test_runners_take_turns_on_the_gpus_and_answer_alike(on_host, fp32_bundle):
    session = CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(3, 5), runners=4))
    assert on_host == [3, 5, 3, 5]
    windows = make_windows(3, 17, 60)
    expected = Session(fp32_bundle, "fp32").run(windows)
    for runner in range(4):
        for mine, theirs in zip(session.run(windows, runner=runner, alone=True), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.fixture
def toy(tmp_path, byte_level):
    """A bundle whose graph runs on the CPU in a room, too: no attention."""
    return read_bundle(write_bundle(tmp_path, byte_level), name="toy", version=1)


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


def test_where_nothing_can_be_captured_batches_are_run(on_host, toy, monkeypatch):
    def fails(*_):
        raise CudaError("cudaStreamEndCapture: operation failed due to a previous error during capture")

    monkeypatch.setattr(Replayer, "capture", fails)
    session = CudaSession(toy, "fp32", CudaOptions(gpus=(0,), runners=1))
    with capture_logs() as logs:
        assert not capture_graphs(toy, session, Settings())
    assert [(line["event"], line["model"]) for line in logs] == [("cuda_graphs_not_used", "toy")]
    assert "previous error during capture" in logs[0]["reason"]
    (answer,) = session.run(make_windows(3))
    np.testing.assert_array_equal(answer, Session(toy, "fp32").run(make_windows(3))[0])


def test_cuda_graphs_are_for_our_own_graphs_on_a_gpu(on_host, toy):
    padded = with_graphs(toy, "fp32", layout="padded")
    on_gpu = CudaSession(toy, "fp32", CudaOptions(gpus=(0,), runners=1))
    assert not capture_graphs(toy, Session(toy, "fp32"), Settings())
    assert not capture_graphs(padded, CudaSession(toy, "fp32", CudaOptions(gpus=(0,), runners=1)), Settings())
    assert capture_graphs(toy, on_gpu, Settings())
    assert on_gpu.has_replayers


def test_a_replay_that_answers_otherwise_than_a_run_is_not_used(on_host, toy, monkeypatch):
    run = Replayer.run
    monkeypatch.setattr(Replayer, "run", lambda *arguments: run(*arguments) + 1)
    monkeypatch.setattr("app.warmup.is_faster", lambda *_: True)
    session = CudaSession(toy, "fp32", CudaOptions(gpus=(0,), runners=1))
    with capture_logs() as logs:
        assert not capture_graphs(toy, session, Settings())
    assert "a replay of 16 tokens differs by 1 from a run" in logs[0]["reason"]
    assert not session.has_replayers


def test_a_model_is_loaded_with_its_captures_or_without(on_host, toy, monkeypatch):
    monkeypatch.setattr("app.warmup.is_faster", lambda *_: True)

    def load(**settings):
        return load_model(toy, "cuda", Settings(**settings), None, Metrics(CollectorRegistry()))[1]

    assert load().has_replayers
    assert not load(cuda_graphs=False).has_replayers


def test_nothing_is_loaded_while_a_model_is_captured(on_host, toy, monkeypatch):
    """Nor the other way round: it would wait for the device, which breaks a capture."""
    capture, captured, loaded = loading.capture_small_batches, threading.Event(), threading.Event()

    def capture_alone(*arguments, **settings):
        captured.set()
        capture(*arguments, **settings)

    monkeypatch.setattr(loading, "capture_small_batches", capture_alone)

    def load():
        load_model(toy, "cuda", Settings(), None, Metrics(CollectorRegistry()))
        loaded.set()

    def load_in_a_thread():
        thread = threading.Thread(target=load)
        thread.start()
        return thread

    with loading.capturing.alone():
        first = load_in_a_thread()
        assert not captured.wait(0.1)
    first.join(30)
    assert loaded.is_set()
    captured.clear()
    with loading.capturing.together():
        second = load_in_a_thread()
        assert not captured.wait(0.1)
    second.join(30)
    assert captured.is_set()


def counted(monkeypatch, kind):
    """Return a list of the objects of `kind` that are run from now on."""
    called, run = [], kind.run

    def count(self, *arguments):
        called.append(self)
        return run(self, *arguments)

    monkeypatch.setattr(kind, "run", count)
    return called


def test_memory_is_proved_on_every_runner_at_once(on_host, fp32_bundle, monkeypatch):
    session = CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=3))
    assert session.prove(make_windows(60))
    monkeypatch.setattr(session._bindings[2], "run", failing("CUDA failure 2: out of memory"))
    assert not session.prove(make_windows(60))
    monkeypatch.setattr(session._bindings[1], "run", failing("an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        session.prove(make_windows(60))


def failing(message):
    def run(feed):
        raise RuntimeError(message)

    return run


def test_a_model_that_does_not_fit_is_refused_with_a_sentence(on_host, fp32_bundle, monkeypatch):
    def out_of_memory(*_, **__):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    monkeypatch.setattr(ort, "InferenceSession", out_of_memory)
    with pytest.raises(SessionError, match="GPU memory does not suffice for the model; lower"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1))


def test_a_graph_that_does_not_load_is_refused_without_a_path(on_host, fp32_bundle, monkeypatch):
    def unreadable(graph, *_, **__):
        raise RuntimeError(f"Load model from {graph} failed: bad")

    monkeypatch.setattr(ort, "InferenceSession", unreadable)
    with pytest.raises(SessionError, match=r"cannot open model.fp32.onnx: Load model from model.fp32.onnx failed: bad"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1))


def test_the_settings_choose_the_session(on_host, fp32_bundle):
    settings = Settings(gpus=[1, 2], gpu_memory_limit_mb=512)
    assert isinstance(open_session(fp32_bundle, "cpu", settings), Session)
    only_fp32 = with_graphs(fp32_bundle, "fp32")
    session = open_session(only_fp32, "cuda", settings)
    assert isinstance(session, CudaSession)
    assert session.options == CudaOptions(gpus=(1, 2), runners=4, memory_limit_mb=512)


def with_graphs(bundle, *precisions, **changes):
    graphs = {p: bundle.manifest.graphs.get(p, bundle.manifest.graphs["fp32"]) for p in precisions}
    manifest = bundle.manifest.model_copy(update={"graphs": graphs, **changes})
    return SimpleNamespace(path=bundle.path, config=bundle.config, manifest=manifest, graph_file=bundle.graph_file)


def test_fp16_before_rewritten_int8_before_fp32_and_no_rewriting_of_strangers(fp32_bundle):
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", "fp16"), "cuda") == "fp16"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32"), "cuda") == "int8"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", layout="padded"), "cuda") == "fp32"
    with pytest.raises(SessionError, match=r"none of its graphs \(int8\) runs on cuda"):
        choose_precision(with_graphs(fp32_bundle, "int8", layout="padded"), "cuda")


def test_provider_options():
    options = cuda.provider_options(3, None)
    assert options == {"device_id": "3", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    assert cuda.provider_options(3, None, 77) == {**options, "user_compute_stream": "77"}
    assert cuda.provider_options(3, 512) == {**options, "gpu_mem_limit": str(512 * 2**20)}
