"""A bundle's graph on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import onnxruntime as ort
import structlog

from app.bundle import Bundle, Precision
from app.engine.cost import CostModel
from app.runtime.cpu.denormals import denormals_as_zero
from app.runtime.cpu.idle_cores import IdleCores
from app.runtime.packing import Feed
from app.runtime.padding import run_by_length
from app.runtime.parts import run_in_parts
from app.runtime.session import (
    PROVIDERS,
    Device,
    Outputs,
    SessionError,
    layout_of,
    session_options,
    source_of,
    thread_options,
)
from app.runtime.warmup import measure_cost, shortened, synthetic_windows
from app.window import Floats, Window

# (windows, tokens in each) to time: enough to tell the fixed cost, that of tokens and that of attention apart.
TIMED_SHAPES = ((1, 8), (1, 32), (8, 16), (1, 128), (8, 32), (1, 256), (2, 128), (1, 512))

log = structlog.get_logger(__name__)


class CpuSession:
    """A session on the CPU; see `app.runtime.session.Session`. Every runner uses the same onnxruntime session."""

    device: Device = "cpu"
    provider = PROVIDERS["cpu"]

    def __init__(
        self, bundle: Bundle, precision: Precision, intra_op_threads: int = 1, *, idle_threads: int = 1
    ) -> None:
        """Open the graph of `precision`. Raises `SessionError` when it does not load.

        `idle_threads` is how many threads a batch may use while nothing else runs, once the session is prepared.
        """
        self.precision = precision
        self.cost, self.max_batch_tokens = CostModel(), 0
        self._bundle, self._threads, self._idle_threads = bundle, intra_op_threads, idle_threads
        self._idle_cores: IdleCores | None = None
        self.session = open_graph(bundle, precision, session_options(intra_op_threads))
        try:
            self.layout = layout_of(bundle, self.session.get_inputs())
        except ValueError as error:
            raise SessionError(f"{bundle.graph_file(precision).name} cannot be fed: {error}") from error
        outputs = Outputs(self.session)
        self.output_names, self.width = outputs.names, outputs.width

    def run(self, windows: Sequence[Window], *, runner: int = 0, idle_machine: bool = False) -> list[Floats]:
        run = partial(self._run_part, idle_machine)
        if self.layout.of_one_length:
            run = partial(run_by_length, run)
        return run_in_parts(run, windows, self.width, self.layout.rows_of)

    def _run_part(self, idle_machine: bool, windows: Sequence[Window]) -> list[Floats]:
        feed = self.layout.feed(windows)
        if idle_machine and self._idle_cores is not None:
            output = self._idle_cores.compute(feed, sum(map(len, windows)))
        else:
            output = self.compute(feed)
        return self.layout.split(output, windows)

    def compute(self, feed: Feed) -> Floats:
        """Return the graph's output for the arrays of one batch."""
        return compute(self.session, self.output_names, feed)

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        return self.layout.computed_tokens(windows, tokens, longest)

    def prepare(self, max_batch_tokens: int | None) -> None:
        """See `app.runtime.session.Session`. Batches are timed by the first call only."""
        if not self.max_batch_tokens:
            self.cost = measure_cost(self.run, shortened(TIMED_SHAPES, self._bundle.manifest.max_length))
            if self._idle_threads > self._threads:
                self._use_idle_cores()
        self.max_batch_tokens = max_batch_tokens or self.cost.token_budget()

    def _use_idle_cores(self) -> None:
        """Open the graph once more, on more threads. Where that fails, every batch runs on as many as before."""
        try:
            on_every = open_graph(self._bundle, self.precision, idle_options(self._idle_threads))
            feed = self.layout.feed(synthetic_windows(1, 8))
            compute(on_every, self.output_names, feed)  # so that no request waits for the first run
        except SessionError as error:  # memory, most likely
            log.warning("idle_threads_not_used", reason=str(error))
            return
        # Not `self.compute`: a cycle of references would keep the session alive, since the service freezes the garbage
        # collector's objects.
        on_few = partial(compute, self.session, self.output_names)
        self._idle_cores = IdleCores(on_few, partial(compute, on_every, self.output_names))


def compute(session: ort.InferenceSession, output_names: Sequence[str], feed: Feed) -> Floats:
    """Return a graph's output for the arrays of one batch."""
    with denormals_as_zero():
        return Outputs.joined(session.run(output_names, feed))


def open_graph(bundle: Bundle, precision: Precision, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open one graph of a bundle on the CPU. Raises `SessionError` when it does not load."""
    try:
        with denormals_as_zero():  # the first session of a process changes the thread's mode and does not restore it
            graph = source_of(bundle, precision, options)
            return ort.InferenceSession(graph, options, providers=[PROVIDERS["cpu"]])
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        reason = str(error).replace(f"{bundle.path}{os.sep}", "")  # `GET /models` shows it: no path of this machine
        raise SessionError(f"onnxruntime cannot open {bundle.graph_file(precision).name}: {reason}") from error


def idle_options(intra_op_threads: int) -> ort.SessionOptions:
    """Return options for a batch on an idle machine: threads spin within a run, or sharing small products would not
    pay."""
    options = thread_options(intra_op_threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of the run
    options.add_session_config_entry("session.dynamic_block_base", "4")
    return options
