"""What can be shown of CUDA without a GPU: refusals, placement, runners on GPUs."""

from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.opening import check_placement, is_out_of_memory, open_runtime, provider_options
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.session import SessionError, choose_precision, open_session, session_options
from app.settings import Settings
from tests.app.gpus import make_windows, with_graphs
from tests.support.cudart import FakeCudart

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
def test_memory_used_up_is_recognized(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(RuntimeError("CUDA failure 700: an illegal memory access was encountered"))


# --- A CUDA session, its GPUs played by the CPU -------------------------------------------------------------


def test_runners_take_turns_on_the_gpus_and_answer_alike(on_host, fp32_bundle):
    session = CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(3, 5), runners=4), SharedLock())
    assert on_host == [3, 5, 3, 5]
    windows = make_windows(3, 17, 60)
    expected = CpuSession(fp32_bundle, "fp32").run(windows)
    for runner in range(4):
        for mine, theirs in zip(session.run(windows, runner=runner, idle_machine=True), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_model_that_does_not_fit_is_refused_with_a_sentence(on_host, fp32_bundle, monkeypatch):
    def out_of_memory(*_, **__):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    monkeypatch.setattr(ort, "InferenceSession", out_of_memory)
    with pytest.raises(SessionError, match="GPU memory does not suffice for the model; lower"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1), SharedLock())


def test_a_graph_that_does_not_load_is_refused_without_a_path(on_host, fp32_bundle, monkeypatch):
    def unreadable(graph, *_, **__):
        raise RuntimeError(f"Load model from {graph} failed: bad")

    monkeypatch.setattr(ort, "InferenceSession", unreadable)
    with pytest.raises(SessionError, match=r"cannot open model.fp32.onnx: Load model from model.fp32.onnx failed: bad"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1), SharedLock())


def test_the_settings_choose_the_session(on_host, fp32_bundle):
    settings = Settings(gpus=[1, 2], gpu_memory_limit_mb=512)
    assert open_session(fp32_bundle, "cpu", settings).provider == "CPUExecutionProvider"
    only_fp32 = with_graphs(fp32_bundle, "fp32")
    session = open_session(only_fp32, "cuda", settings)
    assert session.provider == "CUDAExecutionProvider"
    assert session.options == CudaOptions(gpus=(1, 2), runners=4, memory_limit_mb=512, cuda_graphs=True)


def test_fp16_before_rewritten_int8_before_fp32_and_no_rewriting_of_strangers(fp32_bundle):
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", "fp16"), "cuda") == "fp16"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32"), "cuda") == "int8"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", layout="padded"), "cuda") == "fp32"
    with pytest.raises(SessionError, match=r"none of its graphs \(int8\) runs on cuda"):
        choose_precision(with_graphs(fp32_bundle, "int8", layout="padded"), "cuda")


def test_provider_options():
    options = provider_options(3, None)
    assert options == {"device_id": "3", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    assert provider_options(3, None, 77) == {**options, "user_compute_stream": "77"}
    assert provider_options(3, 512) == {**options, "gpu_mem_limit": str(512 * 2**20)}
