"""One ONNX Runtime session over one graph of a bundle: windows in, one array of logits per window out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import onnxruntime as ort

from app.bundle import Bundle, Precision
from app.runtime.cpu.denormals import denormals_as_zero
from app.runtime.cpu.idle_cores import Alone
from app.runtime.packing import Feed, Layout, PackedLayout, PaddedLayout
from app.window import Floats, Window

Device = Literal["cpu", "cuda"]

PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# What each device runs best, first: fp16 needs CUDA's kernels, int8 the CPU's; CUDA runs int8 rewritten to fp16.
PREFERENCES: dict[Device, tuple[Precision, ...]] = {
    "cpu": ("int8", "fp32"),
    "cuda": ("fp16", "int8", "fp32"),
}


class SessionError(Exception):
    """A graph cannot be opened on the device that was asked for. The message says why."""


def available_devices() -> list[Device]:
    """List the devices that the installed onnxruntime can use, the fastest first."""
    return [d for d in ("cuda", "cpu") if PROVIDERS[d] in ort.get_available_providers()]


def choose_precision(bundle: Bundle, device: Device) -> Precision:
    """Return the precision of the bundle that `device` runs best. Raises `SessionError` if there is none."""
    for precision in PREFERENCES[device]:
        foreign = device == "cuda" and precision == "int8" and bundle.manifest.layout == "padded"  # no rewriting those
        if precision in bundle.manifest.graphs and not foreign:
            return precision
    raise SessionError(f"none of its graphs ({', '.join(bundle.manifest.graphs)}) runs on {device}")


class Session:
    """A graph on the CPU. `run` is safe to call from several threads at once."""

    device: Device = "cpu"

    def __init__(
        self, bundle: Bundle, precision: Precision, intra_op_threads: int = 1, *, has_machine: bool = False
    ) -> None:
        """Open the graph of `precision`; `has_machine` says that nothing else will run beside it.

        Raises `SessionError` when it does not load.
        """
        self.precision, self.intra_op_threads = precision, intra_op_threads
        self._bundle = bundle
        self._alone: Alone | None = None  # for batches that have the machine to themselves
        options = idle_options(intra_op_threads) if has_machine else session_options(intra_op_threads)
        self.session = open_graph(bundle, precision, options)
        try:
            self.layout = layout_of(bundle, [graph_input.name for graph_input in self.session.get_inputs()])
        except ValueError as error:
            raise SessionError(f"{bundle.graph_file(precision).name} cannot be fed: {error}") from error
        self.output_names = [self.session.get_outputs()[0].name]

    def run(self, windows: Sequence[Window], *, runner: int = 0, alone: bool = False) -> list[Floats]:
        """Compute the head outputs of every window: an array of shape (rows, width) each, in order.

        `alone` says that nothing else runs, so that idle cores may be used; which runner calls changes nothing here.
        """
        if alone and self._alone is not None:
            return self._alone.run(windows)
        return self.layout.split(self.compute(self.layout.feed(windows)), windows)

    def compute(self, feed: Feed) -> Floats:
        """Return what the graph answers to one batch's arrays."""
        with denormals_as_zero():
            output: Floats = self.session.run(self.output_names, feed)[0]
        return output

    def use_idle_cores(self, threads: int) -> None:
        """Open the graph once more, on so many threads, for batches that are alone, where that proves faster.

        Raises `SessionError` when it cannot be opened again.
        """
        idle = Session(self._bundle, self.precision, threads, has_machine=True)
        self._alone = Alone(self.run, idle.run)


def open_graph(bundle: Bundle, precision: Precision, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open one graph of a bundle on the CPU. Raises `SessionError` when it does not load."""
    try:
        with denormals_as_zero():  # the first session of a process sets this for its thread as well, and leaves it so
            return ort.InferenceSession(str(bundle.graph_file(precision)), options, providers=[PROVIDERS["cpu"]])
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        reason = str(error).replace(f"{bundle.path}{os.sep}", "")  # `GET /models` shows it: no path of this machine
        raise SessionError(f"onnxruntime cannot open {bundle.graph_file(precision).name}: {reason}") from error


def layout_of(bundle: Bundle, input_names: Sequence[str]) -> Layout:
    if bundle.manifest.layout == "packed":
        return PackedLayout(input_names, bundle.manifest.position_offset, bundle.manifest.local_attention)
    return PaddedLayout(input_names, pad_id=int(bundle.config.get("pad_token_id") or 0))


def session_options(intra_op_threads: int) -> ort.SessionOptions:
    """Threads are ours to place: a runner's own thread does the work, and none of them spins while idle."""
    options = thread_options(intra_op_threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def idle_options(intra_op_threads: int) -> ort.SessionOptions:
    """For a batch on an idle machine: threads spin within a run, so that sharing a small matrix product pays."""
    options = thread_options(intra_op_threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of the run
    options.add_session_config_entry("session.dynamic_block_base", "4")
    return options


def thread_options(intra_op_threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # a plan of memory, kept for each shape: hardly a batch has that of another
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    if intra_op_threads > 1:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")  # for its own threads; see `compute`
    options.log_severity_level = 3  # errors; a graph's warnings are of no use to an operator
    return options
