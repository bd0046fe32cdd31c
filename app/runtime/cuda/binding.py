"""onnxruntime's IO binding with buffers that are allocated once and used for every batch."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from app.runtime.packing import Feed
from app.runtime.session import Outputs
from app.window import Bytes, Floats

LEAST_CAPACITY = 1 << 16  # bytes of a buffer; about 1,500 tokens of a packed batch
ALIGNMENT = 256  # bytes; what cudaMalloc itself guarantees (CUDA C++ Programming Guide, Device Memory Accesses)

OUTPUT_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class DeviceBlock(Protocol):
    """Memory of the device, freed with this object."""

    address: int


class DeviceMemory(Protocol):
    """Memory of a device, and of the host for copies to and from it; `app.runtime.cuda.cudart` has CUDA's."""

    @property
    def device_type(self) -> str:
        """The name of the device in onnxruntime, such as cuda."""
        ...

    @property
    def device_id(self) -> int: ...

    def allocate_host(self, size: int) -> Bytes: ...

    def allocate_device(self, size: int) -> DeviceBlock: ...

    def upload(self, host: Bytes, address: int) -> None:
        """Begin to copy `host` to the device."""
        ...

    def download(self, address: int, host: Bytes) -> None:
        """Begin to fill `host` from the device."""
        ...

    def synchronize(self) -> None:
        """Wait until every copy that was begun has ended."""
        ...


class InputBuffer:
    """The inputs of one batch side by side in one host buffer, and as many bytes on the device: one copy moves all."""

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self.reserve(LEAST_CAPACITY)

    @property
    def capacity(self) -> int:
        return self._host.nbytes

    def reserve(self, size: int) -> None:
        """Make the capacity at least `size` bytes. It is a power of two, so that it grows a few times only."""
        capacity = capacity_for(size)
        device = self._memory.allocate_device(capacity)  # first: if it fails, both buffers stay as they are
        self._host, self._device = self._memory.allocate_host(capacity), device

    def load(self, feed: Feed) -> dict[str, int]:
        """Copy the arrays in and begin to copy them to the device; return the address that each will have there."""
        offsets, end = place(feed)
        if end > self.capacity:
            self.reserve(end)
        for name, array in feed.items():
            slot = self._host[offsets[name] : offsets[name] + array.nbytes]
            np.copyto(slot.view(array.dtype).reshape(array.shape), array)
        self._memory.upload(self._host[:end], self._device.address)
        return {name: self._device.address + offset for name, offset in offsets.items()}


class OutputBuffer:
    """A host buffer that every output is copied to."""

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self._host = memory.allocate_host(LEAST_CAPACITY)

    @property
    def capacity(self) -> int:
        return self._host.nbytes

    def fetch(self, value: ort.OrtValue, rows: int | None = None) -> Floats:
        """Return a tensor of the device, or its first `rows`, as a new float32 array."""
        held, *width = value.shape()
        shape = held if rows is None else rows, *width
        kind = np.dtype(OUTPUT_TYPES[value.data_type()])
        size = math.prod(shape) * kind.itemsize
        if size > self.capacity:
            self._host = self._memory.allocate_host(capacity_for(size))
        host = self._host[:size]
        self._memory.download(value.data_ptr(), host)
        self._memory.synchronize()
        return host.view(kind).reshape(shape).astype(np.float32)


class IoRunner:
    """Computes the batches of one runner on a session that several share.

    Several may compute at once: onnxruntime's Run is thread-safe, each has its own buffers, binding and copy stream,
    and onnxruntime gives every run a stream of its own.
    """

    def __init__(self, session: ort.InferenceSession, memory: DeviceMemory) -> None:
        self._session, self._memory = session, memory
        self._binding = session.io_binding()
        self._outputs = Outputs(session).names
        self.inputs, self.outputs = InputBuffer(memory), OutputBuffer(memory)
        self._in_use = threading.Lock()  # a runner is one thread; warm-up is another

    def compute(self, feed: Feed) -> Floats:
        """Return the graph's output for one batch."""
        with self._in_use:
            bind(self._binding, feed, self.inputs.load(feed), self._outputs, self._memory)
            self._memory.synchronize()
            try:
                self._session.run_with_iobinding(self._binding)
                return Outputs.joined([self.outputs.fetch(each) for each in self._binding.get_outputs()])
            finally:
                self._binding.clear_binding_outputs()  # free it now: fill-mask logits are large


def bind(
    binding: ort.IOBinding, feed: Feed, addresses: dict[str, int], outputs: Sequence[str], memory: DeviceMemory
) -> None:
    """Bind arrays of the shapes of `feed` at `addresses`; onnxruntime allocates the `outputs`.

    To be called for every batch, because each has an output of its own shape.
    """
    device = memory.device_type, memory.device_id
    for name, array in feed.items():
        binding.bind_input(name, *device, array.dtype.type, array.shape, addresses[name])
    for output in outputs:
        binding.bind_output(output, *device)


def place(feed: Feed) -> tuple[dict[str, int], int]:
    """Return the offset of each array in one buffer, and the end of the last."""
    offsets, end = {}, 0
    for name, array in feed.items():
        offsets[name] = -(-end // ALIGNMENT) * ALIGNMENT
        end = offsets[name] + array.nbytes
    return offsets, end


def capacity_for(size: int) -> int:
    """Return the least power of two that holds `size` bytes, `LEAST_CAPACITY` or more."""
    return max(LEAST_CAPACITY, 1 << (size - 1).bit_length())
