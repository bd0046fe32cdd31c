"""Opening a graph on a GPU, or a sentence that says why that fails. Nothing here falls back to the CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from app.runtime.cuda.cudart import CudaError, CudaRuntime
from app.runtime.session import EXTERNAL_DATA, PROVIDERS, SessionError, session_options

LEAST_CAPABILITY = (7, 5)  # CUDA 13 supports Turing and newer (CUDA Toolkit 13.0 release notes)
OUT_OF_MEMORY = re.compile(r"out of memory|failed to allocate|smaller than requested|alloc_failed", re.IGNORECASE)

# What onnxruntime may leave on the CPU beside a CUDA graph: arithmetic on shapes, small integers whose copies would
# cost more than computing them does (onnxruntime's GetCpuPreferredNodes).
SHAPE_ARITHMETIC = frozenset(
    {"Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Mul", "Range", "Reshape"}
    | {"Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"}
)


def open_runtime(gpus: Sequence[int]) -> CudaRuntime:
    """Load the CUDA libraries and look for the GPUs. Raises `SessionError` that says what is missing."""
    ort.preload_dlls()
    try:
        runtime = CudaRuntime(ort.cuda_version)
    except OSError as error:
        raise SessionError("the CUDA libraries are not installed; install the extra 'gpu'") from error
    try:
        count = runtime.device_count()
        weak = [gpu for gpu in gpus if gpu < count and runtime.capability(gpu) < LEAST_CAPABILITY]
    except CudaError as error:
        raise SessionError(driver_problem(runtime, error)) from error
    if missing := [gpu for gpu in gpus if gpu >= count]:
        raise SessionError(f"there is no GPU {missing[0]}: {count} are visible; set --gpus or CUDA_VISIBLE_DEVICES")
    if weak:
        raise SessionError(f"GPU {weak[0]} is older than CUDA {ort.cuda_version} supports; start with --device cpu")
    return runtime


def driver_problem(runtime: CudaRuntime, error: CudaError) -> str:
    """Return what is wrong with the driver: CUDA has one error for a driver that is too old and for none at all."""
    known = runtime.driver_version()
    if known == "0.0":
        return "no NVIDIA driver was found; install one, give the container --gpus all, or start with --device cpu"
    if tuple(map(int, known.split("."))) < tuple(map(int, ort.cuda_version.split("."))):
        return (
            f"the NVIDIA driver is for CUDA {known} and onnxruntime needs {ort.cuda_version}; update the driver, "
            "or start with --device cpu"
        )
    return f"CUDA cannot be used ({error}); check nvidia-smi, or start with --device cpu"


def open_on(
    graph: str | bytes,
    gpu: int,
    memory_limit_mb: int | None,
    stream: int | None = None,
    folder: Path | None = None,
) -> ort.InferenceSession:
    """Open an onnxruntime session on one GPU, which computes on `stream`, or on streams of its own.

    `folder` is where a graph that is given as bytes has its external data.
    Raises `SessionError` when onnxruntime would compute anything elsewhere.
    """
    options = session_options(intra_op_threads=1)
    if folder is not None and isinstance(graph, bytes):
        options.add_session_config_entry(EXTERNAL_DATA, str(folder))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    provider = PROVIDERS["cuda"], provider_options(gpu, memory_limit_mb, stream)
    session = ort.InferenceSession(graph, options, providers=[provider], enable_fallback=False)
    session.disable_fallback()
    check_placement(session, PROVIDERS["cuda"])
    return session


def provider_options(gpu: int, memory_limit_mb: int | None, stream: int | None = None) -> dict[str, str]:
    """Return the options of the CUDA provider.

    The arena grows by what is asked for instead of doubling, because several models share a GPU. TF32 is off: its
    mantissa has the 10 bits of fp16, and an fp32 graph is chosen for its precision. Source: onnxruntime's documentation
    of the CUDA Execution Provider.
    """
    options = {"device_id": str(gpu), "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    if memory_limit_mb is not None:
        options["gpu_mem_limit"] = str(memory_limit_mb * 2**20)
    if stream is not None:
        options["user_compute_stream"] = str(stream)
    return options


def check_placement(session: ort.InferenceSession, provider: str) -> None:
    """Raise `SessionError` when `provider` is missing, or a node other than shape arithmetic runs elsewhere."""
    if provider not in session.get_providers():
        raise SessionError(
            f"onnxruntime could not load {provider} and would run on {session.get_providers()[0]}; "
            "install the extra 'gpu' and check the driver, or start with --device cpu"
        )
    elsewhere = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider
        for node in part.get_nodes()
    }
    if wrong := elsewhere - SHAPE_ARITHMETIC:
        raise SessionError(
            f"{provider} has no kernel for {', '.join(sorted(wrong))} as this graph has it, and the CPU would run it; "
            "export the bundle with fp16 or fp32"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that GPU memory is used up; neither onnxruntime nor CUDA has a type for that."""
    return OUT_OF_MEMORY.search(str(error)) is not None


def out_of_memory(what: str) -> SessionError:
    """Return the error for `what` GPU memory does not suffice for."""
    return SessionError(
        f"GPU memory does not suffice for {what}; lower --max-batch-tokens or --runners, raise "
        "--gpu-memory-limit-mb, set --no-cuda-graphs, or serve fewer models"
    )
