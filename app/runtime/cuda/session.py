"""A bundle's graph on one or several GPUs.

Captures and everything else that loading does exclude each other, by the capture lock: opening a session, its first
batches and its largest ones may synchronize the device, which breaks another session's capture and fails itself (CUDA
Programming Guide on stream capture). So loading shares the lock and a capture holds it exclusively.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import structlog

from app.bundle import Bundle, Precision
from app.engine.cost import LEAST_BUDGET, CostModel
from app.runtime.cuda.binding import IoRunner
from app.runtime.cuda.cudart import CudaMemory
from app.runtime.cuda.graphs import Bucket, CudaGraphs
from app.runtime.cuda.opening import is_out_of_memory, open_on, open_runtime, out_of_memory
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.cuda.warmup import TIMED_SHAPES, capture_small_batches, largest_batches
from app.runtime.packing import PackedLayout
from app.runtime.padding import run_by_length
from app.runtime.parts import run_in_parts
from app.runtime.session import PROVIDERS, Device, Outputs, SessionError, layout_of
from app.runtime.warmup import measure_cost, shortened
from app.window import Floats, Window

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """`gpus` are CUDA's numbers; `memory_limit_mb` bounds the arena of each onnxruntime session on each GPU."""

    gpus: tuple[int, ...]
    runners: int
    memory_limit_mb: int | None = None
    cuda_graphs: bool = False  # whether small batches may be captured and replayed


class CudaSession:
    """A session on GPUs; see `app.runtime.session.Session`. Each GPU has an onnxruntime session of its own.

    Runner r works on GPU number r modulo the number of GPUs, with buffers of its own, so that one batch is packed and
    copied while another is computed. Small batches are replayed as CUDA graphs by a second onnxruntime session, which
    all runners of a GPU share.
    """

    device: Device = "cuda"
    provider = PROVIDERS["cuda"]

    def __init__(self, bundle: Bundle, precision: Precision, options: CudaOptions, capture_lock: SharedLock) -> None:
        """Open the graph of `precision`; one that was made for the CPU is rewritten in memory, int8 to fp16.

        `capture_lock` is shared with all sessions that are loaded at the same time. Raises `SessionError` when a GPU,
        its driver or its memory does not suffice, or the graph does not load.
        """
        self.precision, self.options = precision, options
        self.cost, self.max_batch_tokens = CostModel(), 0
        self._manifest, self._capture_lock = bundle.manifest, capture_lock
        self._shares_lock = True  # whether `run` has to share the capture lock
        self._cuda_graphs: list[CudaGraphs] = []  # one for each GPU, or none
        with self._loading("the model"):
            self._runtime = open_runtime(options.gpus)
            try:
                self._open(bundle)
            except SessionError:
                raise
            except Exception as error:  # onnxruntime raises its own types, one for each status code
                if is_out_of_memory(error):
                    raise
                # `GET /models` shows the reason: no path of this machine
                reason = str(error).replace(f"{bundle.path}{os.sep}", "")
                name = bundle.graph_file(precision).name
                raise SessionError(f"onnxruntime cannot open {name}: {reason}") from error

    def _open(self, bundle: Bundle) -> None:
        gpus, runners = self.options.gpus, self.options.runners
        graph = read_graph(bundle, self.precision)
        folder = bundle.graph_file(self.precision).parent
        sessions = [open_on(graph, gpu, self.options.memory_limit_mb, folder=folder) for gpu in gpus]
        memories = [CudaMemory(self._runtime, gpus[r % len(gpus)]) for r in range(runners)]
        self._runners = [IoRunner(sessions[r % len(gpus)], memory) for r, memory in enumerate(memories)]
        self.width = Outputs(sessions[0]).width
        self.layout = layout_of(bundle, sessions[0].get_inputs())
        # Attention's grid has another shape for every batch: only a graph without it can be captured.
        can_capture = isinstance(self.layout, PackedLayout) and not self.layout.has_grid
        # What the second session of each GPU will be opened from, until it is.
        self._graph = graph if self.options.cuda_graphs and can_capture else None

    def run(self, windows: Sequence[Window], *, runner: int = 0, idle_machine: bool = False) -> list[Floats]:
        with self._loading("the model's first batches") if self._shares_lock else nullcontext():
            run = partial(self._run_part, runner)
            if self.layout.of_one_length:
                run = partial(run_by_length, run)
            return run_in_parts(run, windows, self.width, self.layout.rows_of)

    def _run_part(self, runner: int, windows: Sequence[Window]) -> list[Floats]:
        if self._cuda_graphs:
            graphs = self._cuda_graphs[runner % len(self._cuda_graphs)]
            if (bucket := graphs.bucket_for(windows)) is not None:
                return self.layout.split(graphs.replay(windows, bucket), windows)
        return self.run_uncaptured(windows, runner=runner)

    def run_uncaptured(self, windows: Sequence[Window], *, runner: int = 0) -> list[Floats]:
        """Answer as `run` does, without any CUDA graph and as a whole."""
        output = self._runners[runner].compute(self.layout.feed(windows))
        return self.layout.split(output, windows)

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        return self.layout.computed_tokens(windows, tokens, longest)

    @contextmanager
    def _loading(self, what: str) -> Iterator[None]:
        """Keep captures out within the block; an error for lack of memory names `what` was being loaded."""
        with self._capture_lock.shared():
            try:
                yield
            except Exception as error:
                if is_out_of_memory(error) and not isinstance(error, SessionError):
                    raise out_of_memory(what) from error
                raise

    # --- Preparing --------------------------------------------------------------------------------------

    def prepare(self, max_batch_tokens: int | None) -> None:
        """See `app.runtime.session.Session`. CUDA graphs are captured by the first call only.

        The largest batches are run on every runner at once, to see that memory suffices.
        """
        self._shares_lock = False  # from here on this method holds the lock
        with self._loading("the model's first batches"):
            self._measure(max_batch_tokens)
        if self._graph is not None:
            self._use_cuda_graphs(max_batch_tokens)

    def _measure(self, max_batch_tokens: int | None) -> None:
        max_length = self._manifest.max_length
        self.cost = measure_cost(self.run, shortened(TIMED_SHAPES, max_length))
        self.max_batch_tokens = self._prove_memory(max_batch_tokens or self.cost.token_budget(), max_batch_tokens)

    def _use_cuda_graphs(self, max_batch_tokens: int | None) -> None:
        """Capture small batches, and measure again: they now cost less. Where that fails, nothing is replayed."""
        cost, budget = self.cost, self.max_batch_tokens
        tolerance = self._manifest.graphs[self.precision].tolerance
        try:
            with self._capture_lock.shared():
                self.open_cuda_graphs()
            with self._capture_lock.exclusive():
                capture_small_batches(self, self._manifest.max_length, tolerance=tolerance)
            with self._capture_lock.shared():
                self._measure(max_batch_tokens)
        except Exception as error:  # memory, most likely; or an operator that cannot be captured
            self.drop_cuda_graphs()
            self.cost, self.max_batch_tokens = cost, budget
            reason = f"{type(error).__name__}: {error}"
            log.warning("cuda_graphs_not_used", model=self._manifest.name, reason=reason)

    def _prove_memory(self, budget: int, max_batch_tokens: int | None) -> int:
        """Return the largest size of a batch, in tokens, for which memory suffices: `budget` or less.

        Where memory does not suffice, CUDA graphs are dropped first. Then a budget that was found is halved until it
        fits; for one that was set, or cannot be less, `SessionError` is raised.
        """
        while not all(self.fits(windows) for windows in largest_batches(budget, self._manifest.max_length)):
            if self._cuda_graphs:
                self.drop_cuda_graphs()
            elif max_batch_tokens or budget <= LEAST_BUDGET:
                raise out_of_memory(f"{self.options.runners} batches of {budget} tokens at once")
            else:
                budget = max(LEAST_BUDGET, budget // 2)
        return budget

    def fits(self, windows: Sequence[Window]) -> bool:
        """Run one batch on every runner at once, and return whether memory sufficed."""
        with ThreadPoolExecutor(self.options.runners, thread_name_prefix="prove") as pool:
            running = [pool.submit(partial(self.run, windows, runner=r)) for r in range(self.options.runners)]
        failures = [failure for each in running if (failure := each.exception()) is not None]
        for failure in failures:
            if not is_out_of_memory(failure):
                raise failure
        return not failures

    # --- CUDA graphs ------------------------------------------------------------------------------------

    @property
    def has_cuda_graphs(self) -> bool:
        return bool(self._cuda_graphs)

    def open_cuda_graphs(self) -> None:
        """Open the graph on each GPU once more, for batches to be captured. Once only."""
        graph, self._graph = self._graph, None
        if graph is None:
            raise RuntimeError("the graph was opened for captures before, or may not be")
        self._cuda_graphs = [self._open_captured(graph, gpu) for gpu in self.options.gpus]

    def drop_cuda_graphs(self) -> None:
        """Replay nothing from now on, and free the onnxruntime sessions that replayed."""
        self._graph, self._cuda_graphs = None, []

    def capture(self, bucket: Bucket, windows: Sequence[Window]) -> None:
        """Replay the batches that `bucket` holds, on every GPU. Buckets have to come by size, the smallest first."""
        for graphs in self._cuda_graphs:
            graphs.capture(bucket, windows)

    def forget(self, bucket: Bucket) -> None:
        """Undo the capture of `bucket`."""
        for graphs in self._cuda_graphs:
            graphs.forget(bucket)

    def _open_captured(self, graph: str | bytes, gpu: int) -> CudaGraphs:
        assert isinstance(self.layout, PackedLayout)
        memory = CudaMemory(self._runtime, gpu)
        session = open_on(graph, gpu, self.options.memory_limit_mb, stream=memory.stream)
        return CudaGraphs(session, memory, self.layout)


def read_graph(bundle: Bundle, precision: Precision) -> str | bytes:
    """Return the path of a bundle's graph, or the graph itself where it has to be rewritten for a GPU."""
    file = bundle.graph_file(precision)
    if bundle.manifest.layout == "padded":
        addition = bundle.additions.get(precision)
        return str(file) if addition is None else file.read_bytes() + addition
    try:
        from app.graphs.gpu import read_for_gpu  # needs onnx, which only the extra `gpu` installs
        from app.graphs.rewriting import RewriteError
    except ImportError as error:
        raise SessionError("our graphs need the package onnx to run on CUDA; install the extra 'gpu'") from error
    try:
        return read_for_gpu(file, precision)
    except RewriteError as error:
        raise SessionError(str(error)) from error
