"""Opening a graph on a GPU, shown without one: refusals, and where its nodes are placed."""

from types import SimpleNamespace

import onnxruntime as ort
import pytest

from app.runtime.cuda.opening import check_placement, is_out_of_memory, open_runtime, provider_options
from app.runtime.session import SessionError, session_options
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


def test_provider_options():
    options = provider_options(3, None)
    assert options == {"device_id": "3", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    assert provider_options(3, None, 77) == {**options, "user_compute_stream": "77"}
    assert provider_options(3, 512) == {**options, "gpu_mem_limit": str(512 * 2**20)}
