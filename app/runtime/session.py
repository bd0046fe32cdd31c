"""A session runs a bundle's graph on a device and prepares itself for that; each kind of device has a package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, Protocol

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import numpy as np
import onnxruntime as ort

from app.bundle import Bundle, Precision
from app.bundle.graph_file import check_graph
from app.bundle.manifest import ADDED_OUTPUT
from app.engine.cost import CostModel
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.memory import available_bytes
from app.runtime.packing import Layout, PackedLayout
from app.runtime.padding import Input, PaddedLayout
from app.runtime.parts import width_of
from app.settings import Settings
from app.window import Floats, Window

Device = Literal["cpu", "cuda"]

PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# The precisions that each device can run, the fastest first. CUDA has kernels for fp16 and the CPU for int8; an int8
# graph is rewritten to fp16 for CUDA.
PREFERENCES: dict[Device, tuple[Precision, ...]] = {
    "cpu": ("int8", "fp32"),
    "cuda": ("fp16", "int8", "fp32"),
}
# Graphs of others that a device can run too, where there is none of those.
LAST_RESORTS: dict[Device, tuple[Precision, ...]] = {"cpu": ("int4", "fp16"), "cuda": ("int4",)}

# The option that says where a graph that is given as bytes has its external data.
EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"


class SessionError(Exception):
    """A graph cannot be opened, or not run, on the device that was asked for. The message says why."""


class Session(Protocol):
    """A bundle's graph, opened on a device. `cost` and `max_batch_tokens` are known once it is prepared."""

    device: Device
    precision: Precision
    provider: str  # onnxruntime's name of what computes
    cost: CostModel
    max_batch_tokens: int

    def run(self, windows: Sequence[Window], *, runner: int = 0, idle_machine: bool = False) -> list[Floats]:
        """Compute a batch: an array of shape (rows, width) for each window, in order.

        Several threads may call this at once, each with a `runner` number of its own. `idle_machine` says that nothing
        else runs, so that the batch may use every core.
        """
        ...

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        """Return how many tokens, padding included, are computed for so many windows with `tokens` in all."""
        ...

    def prepare(self, max_batch_tokens: int | None) -> None:
        """Time batches, find how many tokens a batch may have, and prepare whatever makes batches faster.

        `max_batch_tokens` sets the size instead. To be called before the first batch is served; called again, it sets
        another size. What `run` answers does not depend on it. Raises `SessionError` when memory does not suffice.
        """
        ...


def available_devices() -> list[Device]:
    """List the devices that the installed onnxruntime can use, the fastest first."""
    return [d for d in ("cuda", "cpu") if PROVIDERS[d] in ort.get_available_providers()]


def choose_precision(bundle: Bundle, device: Device, wanted: Precision | None = None) -> Precision:
    """Return the precision to run: the one that is `wanted` where there is one, else the fastest on `device`.

    Graphs whose answers depend on the batch come after the others. Raises `SessionError` if there is none.
    """
    graphs, is_padded = bundle.manifest.graphs, bundle.manifest.layout == "padded"
    order = PREFERENCES[device] + (LAST_RESORTS[device] if is_padded else ())
    if device == "cuda" and is_padded:  # only our own graphs, which are packed, can be rewritten from int8 to fp16
        order = tuple(precision for precision in order if precision != "int8")
    there = [precision for precision in order if precision in graphs]
    if wanted in there:
        return wanted
    for precision in sorted(there, key=lambda precision: graphs[precision].depends_on_batch):
        return precision
    raise SessionError(f"none of its graphs ({', '.join(graphs)}) runs on {device}")


def open_session(bundle: Bundle, device: Device, settings: Settings, capture_lock: SharedLock | None = None) -> Session:
    """Open the precision of the bundle that `device` runs fastest.

    Sessions of one process that may be opened or prepared at the same time share a `capture_lock`, for the sake of
    CUDA graphs (see `app.runtime.cuda.session`). Raises `SessionError` where no graph can be opened.
    """
    precision = choose_precision(bundle, device, settings.precision)
    check_memory(bundle, precision)
    if device == "cpu":
        from app.runtime.cpu.session import CpuSession  # here, because each device's module needs this one

        return CpuSession(bundle, precision, settings.intra_op_threads, idle_threads=settings.idle_threads_here())
    from app.runtime.cuda.session import CudaOptions, CudaSession

    options = CudaOptions(
        gpus=tuple(settings.gpus),
        runners=settings.runners_on(device),
        memory_limit_mb=settings.gpu_memory_limit_mb,
        cuda_graphs=settings.cuda_graphs,
    )
    return CudaSession(bundle, precision, options, capture_lock or SharedLock())


def check_memory(bundle: Bundle, precision: Precision) -> None:
    """Raise `SessionError` where the weights of a graph are more than the memory that is left.

    The system would end the process, and with it every model. What a graph takes beside its weights is not known.
    """
    file = bundle.manifest.graphs[precision].file
    needed, free = sum(check_graph(bundle.path, file, None).weights.values()), available_bytes()
    if free is not None and needed > free:
        raise SessionError(
            f"{file} has {needed / 2**20:,.0f} MiB of weights, more than the {free / 2**20:,.0f} MiB of memory that "
            "are left; serve fewer models, or a smaller one"
        )


def layout_of(bundle: Bundle, inputs: Sequence[ort.NodeArg]) -> Layout:
    """Return how batches become the inputs of a bundle's graph. Raises `ValueError` for an input that is not known."""
    manifest = bundle.manifest
    if manifest.layout == "packed":
        return PackedLayout([each.name for each in inputs], manifest.position_offset, manifest.local_attention)
    padding = bundle.config.get("pad_token_id")
    offset = manifest.position_offset
    known = {each.name: Input(each.type, tuple(each.shape)) for each in inputs}
    if known.keys() <= PackedLayout.KNOWN and not known.keys() <= PaddedLayout.KNOWN:
        raise ValueError("it is the packed graph of a bundle whose manifest.json is missing; copy the whole folder")
    return PaddedLayout(known, max(0, offset - 1) if padding is None else int(padding), offset)


class Outputs:
    """The outputs of a graph that are read: the one that was added to it; its `logits`; or all that end so, one column
    each; or the first."""

    def __init__(self, session: ort.InferenceSession) -> None:
        outputs = session.get_outputs()
        several = [output for output in outputs if output.name.endswith("_logits")]
        named = {output.name: [output] for output in outputs}
        chosen = named.get(ADDED_OUTPUT) or named.get("logits") or several or outputs[:1]
        self.names = [output.name for output in chosen]
        self.width = width_of(chosen[0].shape) if len(chosen) == 1 else len(chosen)

    @staticmethod
    def joined(arrays: Sequence[Floats]) -> Floats:
        """Return what was computed as one array; several are (B, S) each and become (B, S, width)."""
        return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=-1)


def source_of(bundle: Bundle, precision: Precision, options: ort.SessionOptions) -> str | bytes:
    """Return what a graph is opened from: its path, or its bytes with those of the nodes that are added to it."""
    file, addition = bundle.graph_file(precision), bundle.additions.get(precision)
    if addition is None:
        return str(file)
    options.add_session_config_entry(EXTERNAL_DATA, str(file.parent))
    return file.read_bytes() + addition


def session_options(intra_op_threads: int) -> ort.SessionOptions:
    """Return options for a session whose batches run beside others: no thread spins while it waits."""
    options = thread_options(intra_op_threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def thread_options(intra_op_threads: int) -> ort.SessionOptions:
    """Return options for batches that run on the calling thread and on `intra_op_threads` - 1 others."""
    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # onnxruntime would cache a memory plan per shape; packed shapes rarely repeat
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    if intra_op_threads > 1:  # for onnxruntime's own threads; the calling thread has `denormals_as_zero`
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = 3  # errors; a graph's warnings are of no use to an operator
    return options
