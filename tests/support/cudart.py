"""CUDA's runtime library as `app.runtime.cuda.cudart` calls it, on the host: a copy ends once its stream is awaited."""

from __future__ import annotations

import ctypes

import numpy as np

POINTER = (ctypes.c_void_p, type(ctypes.byref(ctypes.c_int())))


class ErrorString:
    restype = None  # ctypes would return an int

    def __call__(self, status):
        assert self.restype is ctypes.c_char_p
        return {
            2: b"out of memory",
            901: b"operation failed due to a previous error during capture",
            35: b"CUDA driver version is insufficient for CUDA runtime version",
        }[status]


class FakeCudart:
    """Two GPUs. A pointer or a size that is passed as a bare integer would be cut to 32 bits: it is refused here."""

    def __init__(self, failure=None, devices=2, driver=13000, capability=(8, 0)):
        self.failure, self.devices, self.driver, self.capability = failure, devices, driver, capability
        self.blocks, self.begun, self.selected = {}, [], None
        self.mode, self.graphs, self.runnable, self.launched = None, set(), set(), []
        self.last_error = 0
        self.cudaGetErrorString = ErrorString()

    def failed(self, status):
        """A failure is remembered until somebody asks for it."""
        self.last_error = status
        return status

    def cudaGetLastError(self):  # noqa: N802
        status, self.last_error = self.last_error, 0
        return status

    def cudaSetDevice(self, gpu):  # noqa: N802
        self.selected = gpu
        return 0

    def cudaGetDeviceCount(self, count):  # noqa: N802
        count._obj.value = self.devices
        return 35 if self.failure == "driver" else 0

    def cudaDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.driver
        return 0

    def cudaDeviceGetAttribute(self, value, attribute, gpu):  # noqa: N802
        value._obj.value = self.capability[attribute - 75]
        return 0

    def cudaStreamCreateWithFlags(self, stream, flags):  # noqa: N802
        stream._obj.value = 77
        return 0

    def cudaStreamDestroy(self, stream):  # noqa: N802
        return 0

    def cudaHostAlloc(self, address, size, flags):  # noqa: N802
        return self.allocate(address, size)

    def cudaMalloc(self, address, size):  # noqa: N802
        return self.allocate(address, size)

    def allocate(self, address, size):
        assert isinstance(size, ctypes.c_size_t)
        if self.failure == "memory":
            return self.failed(2)
        block = np.full(size.value, 255, np.uint8)
        address._obj.value = block.ctypes.data
        self.blocks[block.ctypes.data] = block
        return 0

    def cudaFree(self, address):  # noqa: N802
        del self.blocks[address.value]
        return 0

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaMemcpyAsync(self, target, source, size, kind, stream):  # noqa: N802
        assert all(isinstance(pointer, POINTER) for pointer in (target, source, stream))
        assert isinstance(size, ctypes.c_size_t)
        assert kind in (1, 2)
        self.begun.append((target.value, source.value, size.value))
        return 0

    def cudaStreamSynchronize(self, stream):  # noqa: N802
        for target, source, size in self.begun:
            ctypes.memmove(target, source, size)
        self.begun.clear()
        return 0

    def cudaStreamBeginCapture(self, stream, mode):  # noqa: N802
        assert self.mode is None
        self.mode = mode
        return 0

    def cudaStreamEndCapture(self, stream, graph):  # noqa: N802
        self.mode = None
        if self.failure == "capture":
            return self.failed(901)
        graph._obj.value = 500
        self.graphs.add(500)
        return 0

    def cudaGraphInstantiate(self, runnable, graph, flags):  # noqa: N802
        assert isinstance(flags, ctypes.c_ulonglong)
        if self.failure == "memory":
            return self.failed(2)
        runnable._obj.value = graph.value + len(self.runnable) + 1
        self.runnable.add(runnable._obj.value)
        return 0

    def cudaGraphDestroy(self, graph):  # noqa: N802
        self.graphs.remove(graph.value)
        return 0

    def cudaGraphLaunch(self, runnable, stream):  # noqa: N802
        assert runnable.value in self.runnable
        self.launched.append((runnable.value, stream.value))
        return 0

    def cudaGraphExecDestroy(self, runnable):  # noqa: N802
        self.runnable.remove(runnable.value)
        return 0
