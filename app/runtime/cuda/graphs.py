"""Small batches on a GPU as CUDA graphs.

Each kernel of a pass costs the host more time than the GPU where batches are small. A CUDA graph holds all kernels of a
pass, and one call launches it. It computes arrays of the shapes that it was captured with, so it has a bucket: batches
are padded to the bucket's shapes.

The captures are made by CUDA's own calls. With onnxruntime's `enable_cuda_graph` a capture belongs to one thread, and
other threads cannot allocate memory during a capture (its cuda_graph.cc).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.runtime.cuda.binding import DeviceMemory, InputBuffer, OutputBuffer, bind
from app.runtime.packing import Feed, PackedLayout, place_tokens
from app.window import Floats, Window

UNCAPTURED_RUNS = 2  # before a capture: what the first runs do, such as allocating memory, cannot be captured


@dataclass(frozen=True, slots=True)
class Bucket:
    """The shape of a captured pass: T tokens, B windows, S tokens of the longest window, N head rows.

    Smaller batches are padded to it. A padding token belongs to no window and attends to nothing, a padding window is
    empty, and a padding head row is that of the first token. What is computed for padding is not read.
    """

    tokens: int
    windows: int
    longest: int
    rows: int

    def holds(self, windows: Sequence[Window]) -> bool:
        """Whether a batch of these windows fits."""
        if len(windows) > self.windows:  # first, and the only look at a large batch
            return False
        lengths = [len(window) for window in windows]
        return (
            max(lengths) <= self.longest
            and sum(lengths) <= self.tokens
            and sum(len(window.head_rows) for window in windows) <= self.rows
        )


def pad_to(bucket: Bucket, feed: Feed) -> Feed:
    """Return the arrays of a packed batch in the shapes of a bucket that holds it."""
    return {name: padded(name, array, bucket, feed) for name, array in feed.items()}


def padded(name: str, array: NDArray[np.generic], bucket: Bucket, feed: Feed) -> NDArray[np.generic]:
    """Return one input of a packed graph in the shape that `bucket` gives it."""
    if name == "token_offset":
        lengths = np.zeros(bucket.windows, np.int64)
        ends = feed["cumulative_lengths"].astype(np.int64)
        lengths[: len(ends) - 1] = np.diff(ends)
        return place_tokens(lengths, bucket.longest)
    if name == "cumulative_lengths":
        return extended(array, bucket.windows + 1, int(array[-1]))
    if name == "window_lengths":
        return extended(array, bucket.windows, 1)  # a mean over no tokens would divide by zero
    if name == "head_rows":
        return extended(array, bucket.rows, 0)
    return extended(array, bucket.tokens, -1 if name == "token_windows" else 0)


def extended(array: NDArray[np.generic], size: int, value: int) -> NDArray[np.generic]:
    """Return `array`, (n,), followed by `value` until it has `size` elements."""
    whole = np.full(size, value, array.dtype)
    whole[: len(array)] = array
    return whole


class CapturingMemory(DeviceMemory, Protocol):
    """Memory whose stream can be captured."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]: ...


class CudaGraph(NamedTuple):
    """A captured pass: the buffer that it reads, the call that launches it, and the tensor that it writes."""

    inputs: InputBuffer
    launch: Callable[[], None]
    output: ort.OrtValue


class CudaGraphs:
    """The captured passes of a packed graph on one GPU, by bucket.

    They share the memory of their onnxruntime session and run on its stream, one after the other; nothing else may.
    """

    def __init__(self, session: ort.InferenceSession, memory: CapturingMemory, layout: PackedLayout) -> None:
        """Take a session that computes on the stream of `memory`."""
        self._session, self._memory, self._layout = session, memory, layout
        self._output = session.get_outputs()[0].name
        self._outputs = OutputBuffer(memory)
        self._graphs: dict[Bucket, CudaGraph] = {}  # the smallest bucket first
        self._in_use = threading.Lock()

    def capture(self, bucket: Bucket, windows: Sequence[Window]) -> None:
        """Capture a pass in the shapes of `bucket`, which is larger than those before; it must hold `windows`."""
        inputs, feed = InputBuffer(self._memory), pad_to(bucket, self._layout.feed(windows))
        binding = self._session.io_binding()
        with self._in_use:
            bind(binding, feed, inputs.load(feed), [self._output], self._memory)
            self._memory.synchronize()  # `feed` may be freed as soon as the copy of it has ended
            for _ in range(UNCAPTURED_RUNS):
                self._session.run_with_iobinding(binding)
            launch = self._capture(lambda: self._session.run_with_iobinding(binding, unsynchronized()))
            self._graphs[bucket] = CudaGraph(inputs, launch, binding.get_outputs()[0])

    def _capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Try twice: another session that is closed meanwhile breaks a capture, and no lock can make it wait."""
        try:
            return self._memory.capture(work)
        except Exception:
            return self._memory.capture(work)

    def forget(self, bucket: Bucket) -> None:
        """Drop the captured pass of a bucket."""
        del self._graphs[bucket]

    def bucket_for(self, windows: Sequence[Window]) -> Bucket | None:
        """Return the smallest bucket that holds a batch, or None."""
        return next((bucket for bucket in self._graphs if bucket.holds(windows)), None)

    def replay(self, windows: Sequence[Window], bucket: Bucket) -> Floats:
        """Return the graph's output for a batch that `bucket` holds: (rows, width)."""
        feed = pad_to(bucket, self._layout.feed(windows))
        rows = self._layout.count_rows(windows)
        graph = self._graphs[bucket]
        with self._in_use:
            graph.inputs.load(feed)
            graph.launch()
            return self._outputs.fetch(graph.output, rows)


def unsynchronized() -> ort.RunOptions:
    """Return options for a run that does not wait for the GPU at its end: waiting could not be captured."""
    options = ort.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    return options
