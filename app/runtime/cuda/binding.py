"""One runner's way through a session: inputs and outputs in buffers that are made once and used again."""

from __future__ import annotations

import math
import threading
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from app.runtime.packing import Feed
from app.window import Bytes, Floats

LEAST_CAPACITY = 1 << 16  # bytes of a buffer; about 1,500 tokens of a packed batch
ALIGNMENT = 256  # bytes; what cudaMalloc itself guarantees (CUDA C++ Programming Guide, Device Memory Accesses)

OUTPUT_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class DeviceBlock(Protocol):
    """Memory of the device, freed with this object."""

    address: int


class DeviceMemory(Protocol):
    """Memory of a device, and of the host for copies to and from it. `app.runtime.cuda.cudart` has CUDA's."""

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
        """Have room for `size` bytes. Capacity is a power of two, so that it grows a few times and no more."""
        capacity = capacity_for(size)
        device = self._memory.allocate_device(capacity)  # first: where it fails, both stay as they are
        self._host, self._device = self._memory.allocate_host(capacity), device

    def load(self, feed: Feed) -> dict[str, int]:
        """Copy the arrays in and begin their way to the device; return where there each will be."""
        offsets, end = place(feed)
        if end > self.capacity:
            self.reserve(end)
        for name, array in feed.items():
            slot = self._host[offsets[name] : offsets[name] + array.nbytes]
            np.copyto(slot.view(array.dtype).reshape(array.shape), array)
        self._memory.upload(self._host[:end], self._device.address)
        return {name: self._device.address + offset for name, offset in offsets.items()}


class OutputBuffer:
    """A host buffer through which every output comes back."""

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self._host = memory.allocate_host(LEAST_CAPACITY)

    @property
    def capacity(self) -> int:
        return self._host.nbytes

    def fetch(self, value: ort.OrtValue, rows: int | None = None) -> Floats:
        """Return what a tensor on the device holds, or its first `rows`, as float32 in memory of its own."""
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


class Binding:
    """One runner on one session. Several may run at once: onnxruntime's Run is thread-safe, and each has its own
    buffers, binding and copy stream, and gets a stream of its own from onnxruntime for every run."""

    def __init__(self, session: ort.InferenceSession, memory: DeviceMemory) -> None:
        self._session, self._memory = session, memory
        self._binding = session.io_binding()
        self._output = session.get_outputs()[0].name
        self.inputs, self.outputs = InputBuffer(memory), OutputBuffer(memory)
        self._in_use = threading.Lock()  # a runner is one thread, but warm-up may be another

    def run(self, feed: Feed) -> Floats:
        """Return the graph's output for one batch."""
        with self._in_use:
            bind(self._binding, feed, self.inputs.load(feed), self._output, self._memory)
            self._memory.synchronize()
            try:
                self._session.run_with_iobinding(self._binding)
                return self.outputs.fetch(self._binding.get_outputs()[0])
            finally:
                self._binding.clear_binding_outputs()  # a vocabulary's logits are not kept while nothing runs


def bind(binding: ort.IOBinding, feed: Feed, addresses: dict[str, int], output: str, memory: DeviceMemory) -> None:
    """Let a run read arrays of the shapes of `feed` at `addresses`, and leave `output` where onnxruntime has room.

    To be called for every batch: the shape of its output is its own.
    """
    device = memory.device_type, memory.device_id
    for name, array in feed.items():
        binding.bind_input(name, *device, array.dtype.type, array.shape, addresses[name])
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
