"""A graph on one or several GPUs, or a sentence that says why not. Nothing here falls back to the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import onnxruntime as ort

from app.bundle import Bundle, Precision
from app.runtime.cuda.binding import Binding
from app.runtime.cuda.bucket import Room
from app.runtime.cuda.cudart import CudaError, CudaMemory, CudaRuntime
from app.runtime.cuda.graphs import Replayer
from app.runtime.session import PROVIDERS, Device, SessionError, layout_of, session_options
from app.window import Floats, Window

LEAST_CAPABILITY = (7, 5)  # CUDA 13 dropped what is older than Turing (CUDA Toolkit 13.0 release notes)
OUT_OF_MEMORY = re.compile(r"out of memory|failed to allocate|smaller than requested|alloc_failed", re.IGNORECASE)

# What onnxruntime may leave on the CPU beside a CUDA graph: small integers, whose copies would cost more than they do.
# It places the nodes that only read the shapes of others so (onnxruntime's GetCpuPreferredNodes).
SHAPE_ARITHMETIC = frozenset(
    {"Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Mul", "Range", "Reshape"}
    | {"Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"}
)


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """`gpus` are CUDA's numbers; `memory_limit_mb` bounds the arena of each session on each GPU."""

    gpus: tuple[int, ...]
    runners: int
    memory_limit_mb: int | None = None


class CudaSession:
    """A loaded graph, once on each GPU. Runner r works on GPU number r modulo the number of GPUs, with buffers of
    its own, so that one batch is packed and copied while another is computed.

    What a captured room holds is replayed instead, by a second session that all runners of a GPU share.
    """

    device: Device = "cuda"

    def __init__(self, bundle: Bundle, precision: Precision, options: CudaOptions) -> None:
        """Open the graph of `precision`; one that was made for the CPU is rewritten in memory, int8 to fp16.

        Raises `SessionError` when a GPU, its driver or its memory does not suffice, or the graph does not load.
        """
        self.precision, self.options = precision, options
        self._runtime = open_runtime(options.gpus)
        self._replayers: list[Replayer] = []  # of each GPU, where there are any
        try:
            self._graph: str | bytes | None = self._read_graph(bundle)  # until replayers are opened or closed
            sessions = [open_on(self._graph, gpu, options.memory_limit_mb) for gpu in options.gpus]
            memories = [CudaMemory(self._runtime, options.gpus[r % len(sessions)]) for r in range(options.runners)]
            self._bindings = [Binding(sessions[r % len(sessions)], memory) for r, memory in enumerate(memories)]
            self.layout = layout_of(bundle, [graph_input.name for graph_input in sessions[0].get_inputs()])
        except SessionError:
            raise
        except Exception as error:  # onnxruntime raises its own types, one for each status code
            reason = str(error).replace(f"{bundle.path}{os.sep}", "")  # `GET /models` shows it: no path of this machine
            if is_out_of_memory(error):
                raise out_of_memory("the model") from error
            raise SessionError(f"onnxruntime cannot open {bundle.graph_file(precision).name}: {reason}") from error

    def run(self, windows: Sequence[Window], *, runner: int = 0, alone: bool = False) -> list[Floats]:
        """Compute the head outputs of every window: an array of shape (rows, width) each, in order.

        `alone`, which tells a CPU to use every core, changes nothing on a GPU.
        """
        if self._replayers:
            replayer = self._replayers[runner % len(self._replayers)]
            if (room := replayer.room_for(windows)) is not None:
                return self.layout.split(replayer.run(windows, room), windows)
        return self.run_uncaptured(windows, runner=runner)

    def run_uncaptured(self, windows: Sequence[Window], *, runner: int = 0) -> list[Floats]:
        """Do what `run` does, whatever was captured."""
        output = self._bindings[runner].run(self.layout.feed(windows))
        return self.layout.split(output, windows)

    @property
    def has_replayers(self) -> bool:
        return bool(self._replayers)

    def open_replayers(self) -> None:
        """Open the graph on each GPU once more, for batches that will be captured. Once only."""
        graph, self._graph = self._graph, None
        if graph is None:
            raise RuntimeError("the replayers were opened or closed before")
        self._replayers = [self._open_replayer(graph, gpu) for gpu in self.options.gpus]

    def close_replayers(self) -> None:
        """Have nothing replayed any more, and free what that took."""
        self._graph, self._replayers = None, []

    def capture(self, room: Room, windows: Sequence[Window]) -> None:
        """Have batches that `room` holds replayed from now on, on every GPU. Rooms come by size, the least first."""
        for replayer in self._replayers:
            replayer.capture(room, windows)

    def forget(self, room: Room) -> None:
        """Undo the capture of `room`."""
        for replayer in self._replayers:
            replayer.forget(room)

    def prove(self, windows: Sequence[Window]) -> bool:
        """Run one batch on every runner at once, and say whether memory sufficed for it."""
        with ThreadPoolExecutor(self.options.runners, thread_name_prefix="prove") as pool:
            running = [pool.submit(partial(self.run, windows, runner=r)) for r in range(self.options.runners)]
        failures = [failure for each in running if (failure := each.exception()) is not None]
        for failure in failures:
            if not is_out_of_memory(failure):
                raise failure
        return not failures

    def _open_replayer(self, graph: str | bytes, gpu: int) -> Replayer:
        memory = CudaMemory(self._runtime, gpu)
        session = open_on(graph, gpu, self.options.memory_limit_mb, stream=memory.stream)
        return Replayer(session, memory, self.layout)

    def _read_graph(self, bundle: Bundle) -> str | bytes:
        """Return the path of the graph, or the graph itself where it had to be rewritten."""
        file = bundle.graph_file(self.precision)
        if bundle.manifest.layout == "padded":
            return str(file)
        try:
            from app.graphs.gpu import read_for_gpu  # needs onnx, which only the extra `gpu` installs
        except ImportError as error:
            raise SessionError("our graphs need the package onnx to run on CUDA; install the extra 'gpu'") from error
        return read_for_gpu(file, self.precision)


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
    """Say what is wrong with the driver, of which CUDA says the same whether it is old or not there."""
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
    graph: str | bytes, gpu: int, memory_limit_mb: int | None, stream: int | None = None
) -> ort.InferenceSession:
    """Open a session on one GPU, which computes on `stream` or else on streams of its own.

    Raises `SessionError` when onnxruntime would compute anything elsewhere.
    """
    options = session_options(intra_op_threads=1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    provider = PROVIDERS["cuda"], provider_options(gpu, memory_limit_mb, stream)
    session = ort.InferenceSession(graph, options, providers=[provider], enable_fallback=False)
    session.disable_fallback()
    check_placement(session, PROVIDERS["cuda"])
    return session


def provider_options(gpu: int, memory_limit_mb: int | None, stream: int | None = None) -> dict[str, str]:
    """Return the options of the CUDA provider.

    Source: onnxruntime's documentation of the CUDA Execution Provider. The arena grows by what is asked for and not
    by doubling: several models share a GPU. TF32 is off: its 10 bits of mantissa are those of fp16, and an fp32
    graph is chosen for its exactness.
    """
    options = {"device_id": str(gpu), "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    if memory_limit_mb is not None:
        options["gpu_mem_limit"] = str(memory_limit_mb * 2**20)
    if stream is not None:
        options["user_compute_stream"] = str(stream)
    return options


def check_placement(session: ort.InferenceSession, provider: str) -> None:
    """Raise `SessionError` when `provider` is missing, or a node that is no shape arithmetic runs elsewhere."""
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
    """Whether a failure says that GPU memory is used up; onnxruntime and CUDA have no type for it."""
    return OUT_OF_MEMORY.search(str(error)) is not None


def out_of_memory(what: str) -> SessionError:
    return SessionError(
        f"GPU memory does not suffice for {what}; lower --max-batch-tokens or --runners, raise "
        "--gpu-memory-limit-mb, set --no-cuda-graphs, or serve fewer models"
    )
