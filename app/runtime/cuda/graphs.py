"""Small batches on a GPU as CUDA graphs: each kernel of a pass costs the host more than the GPU, so that all of them
are captured once, in arrays that have room for many batches, and replayed by one call.

By CUDA's own calls: with onnxruntime's `enable_cuda_graph` a capture belongs to one thread, and other threads cannot
allocate while it is made (its cuda_graph.cc).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import onnxruntime as ort

from app.runtime.cuda.binding import DeviceMemory, InputBuffer, OutputBuffer, bind
from app.runtime.cuda.bucket import Room
from app.runtime.packing import Layout
from app.window import Floats, Window

UNCAPTURED_RUNS = 2  # before a capture: what is made at the first runs, memory above all, cannot be captured


class CapturingMemory(DeviceMemory, Protocol):
    """Memory whose stream can be captured."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]: ...


class Captured(NamedTuple):
    """A pass: where it reads, what begins it, and where it leaves its output."""

    inputs: InputBuffer
    begin: Callable[[], None]
    output: ort.OrtValue


class Replayer:
    """One GPU's captured passes of a packed graph.

    They share the memory of their session, and run on its stream one after the other; nothing else may.
    """

    def __init__(self, session: ort.InferenceSession, memory: CapturingMemory, layout: Layout) -> None:
        """Take a session that computes on the stream of `memory`."""
        self._session, self._memory, self._layout = session, memory, layout
        self._output = session.get_outputs()[0].name
        self._outputs = OutputBuffer(memory)
        self._captured: dict[Room, Captured] = {}
        self._in_use = threading.Lock()

    def capture(self, room: Room, windows: Sequence[Window]) -> None:
        """Capture a pass in the arrays of `room`, which are larger than those before; `windows` are any it holds."""
        inputs, feed = InputBuffer(self._memory), room.furnish(self._layout.feed(windows))
        binding = self._session.io_binding()
        with self._in_use:
            bind(binding, feed, inputs.load(feed), self._output, self._memory)
            self._memory.synchronize()  # nothing is on its way to these arrays any more, should they be freed
            for _ in range(UNCAPTURED_RUNS):
                self._session.run_with_iobinding(binding)
            begin = self._capture(lambda: self._session.run_with_iobinding(binding, unsynchronized()))
            self._captured[room] = Captured(inputs, begin, binding.get_outputs()[0])

    def _capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Try twice: another session that ends meanwhile breaks a capture, and no lock can make it wait."""
        try:
            return self._memory.capture(work)
        except Exception:
            return self._memory.capture(work)

    def forget(self, room: Room) -> None:
        """Let go of the pass of a room that is not worth it."""
        del self._captured[room]

    def room_for(self, windows: Sequence[Window]) -> Room | None:
        """Return the least room that holds a batch, or None."""
        return next((room for room in self._captured if room.holds(windows)), None)

    def run(self, windows: Sequence[Window], room: Room) -> Floats:
        """Return the graph's output for one batch: (rows, width)."""
        feed = room.furnish(self._layout.feed(windows))
        rows = sum(len(window.head_rows) for window in windows)
        captured = self._captured[room]
        with self._in_use:
            captured.inputs.load(feed)
            captured.begin()
            return self._outputs.fetch(captured.output, rows)


def unsynchronized() -> ort.RunOptions:
    """Return options for a run that does not wait for the GPU at its end, which could not be captured."""
    options = ort.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    return options
