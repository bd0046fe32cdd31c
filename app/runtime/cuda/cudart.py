"""NVIDIA's CUDA runtime through ctypes: page-locked memory, device memory, and copies between the two.

onnxruntime-gpu loads the same library, so nothing more is installed, and onnxruntime's Python interface can
allocate no page-locked memory for its CUDA provider. Source of signatures and constants: CUDA Runtime API
reference, sections Device Management, Error Handling, Memory Management, Stream Management, Graph Management and
Version Management.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from app.window import Bytes

# Values of CUDA's enumerations.
HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2  # cudaMemcpyKind
NON_BLOCKING_STREAM = 1  # cudaStreamNonBlocking: does not wait for the default stream
RELAXED = 2  # cudaStreamCaptureModeRelaxed: other threads may allocate meanwhile
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # cudaDevAttrComputeCapabilityMajor and -Minor


class CudaError(Exception):
    """A call of the CUDA runtime failed; the message is the runtime's own."""


class CudaRuntime:
    """The calls that are needed here; each raises `CudaError` where the runtime does not return success."""

    def __init__(self, cuda_version: str) -> None:
        """Open the library that onnxruntime was built for. Raises `OSError` where it is not installed."""
        self._library: Any = ctypes.CDLL(f"libcudart.so.{cuda_version.partition('.')[0]}")
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def call(self, function: str, *arguments: Any) -> None:
        if status := getattr(self._library, function)(*arguments):
            self._library.cudaGetLastError()  # clear it: onnxruntime would take it for an error of its next kernel
            raise CudaError(f"{function}: {self._library.cudaGetErrorString(status).decode()}")

    def device_count(self) -> int:
        """Return how many GPUs this process sees. Raises `CudaError` without a driver, or with one too old."""
        count = ctypes.c_int()
        self.call("cudaGetDeviceCount", ctypes.byref(count))
        return count.value

    def driver_version(self) -> str:
        """Return the greatest CUDA version that the driver knows, such as 13.0; 0.0 where there is no driver."""
        version = ctypes.c_int()
        self.call("cudaDriverGetVersion", ctypes.byref(version))
        return f"{version.value // 1000}.{version.value % 1000 // 10}"

    def capability(self, gpu: int) -> tuple[int, int]:
        """Return a GPU's compute capability, such as (8, 0)."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("cudaDeviceGetAttribute", ctypes.byref(major), CAPABILITY_MAJOR, gpu)
        self.call("cudaDeviceGetAttribute", ctypes.byref(minor), CAPABILITY_MINOR, gpu)
        return major.value, minor.value

    def release(self, function: str, address: int) -> None:
        """Call a function that frees `address`. Its status is ignored: at exit the driver may be gone before."""
        getattr(self._library, function)(ctypes.c_void_p(address))


class Block:
    """Memory that is freed with the last array over it."""

    def __init__(self, runtime: CudaRuntime, address: int, size: int, free: str) -> None:
        self.address = address
        # numpy's array interface, version 3: an array over this memory keeps this object alive
        self.__array_interface__ = {"version": 3, "shape": (size,), "typestr": "|u1", "data": (address, False)}
        weakref.finalize(self, runtime.release, free, address).atexit = False


class CudaMemory:
    """Memory on one GPU and page-locked memory on the host, with a stream for the copies between them."""

    device_type = "cuda"

    def __init__(self, runtime: CudaRuntime, gpu: int) -> None:
        self._runtime, self.device_id = runtime, gpu
        self._select()
        stream = ctypes.c_void_p()
        runtime.call("cudaStreamCreateWithFlags", ctypes.byref(stream), NON_BLOCKING_STREAM)
        self._stream = stream
        weakref.finalize(self, runtime.release, "cudaStreamDestroy", stream.value or 0).atexit = False

    def allocate_host(self, size: int) -> Bytes:
        """Return page-locked host memory: copies of other memory block the host."""
        address = ctypes.c_void_p()
        self._select()
        self._runtime.call("cudaHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), 0)
        return np.asarray(Block(self._runtime, address.value or 0, size, "cudaFreeHost"))

    def allocate_device(self, size: int) -> Block:
        address = ctypes.c_void_p()
        self._select()
        self._runtime.call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size))
        return Block(self._runtime, address.value or 0, size, "cudaFree")

    def upload(self, host: Bytes, address: int) -> None:
        """Begin to copy `host` to the device; `synchronize` waits for it."""
        self._copy(address, host.ctypes.data, host.nbytes, HOST_TO_DEVICE)

    def download(self, address: int, host: Bytes) -> None:
        """Begin to fill `host` from the device; `synchronize` waits for it."""
        self._copy(host.ctypes.data, address, host.nbytes, DEVICE_TO_HOST)

    def synchronize(self) -> None:
        """Wait until every copy begun here has ended."""
        self._select()
        self._runtime.call("cudaStreamSynchronize", self._stream)

    @property
    def stream(self) -> int:
        """The address of the stream, for a library that computes on it."""
        return self._stream.value or 0

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the kernels that `work` puts on the stream; return a function that launches them as one CUDA graph.

        None of them runs now. Raises `CudaError` where `work` does what cannot be captured, such as waiting, or
        where another thread synchronizes the device meanwhile, as opening a session does.
        """
        graph, runnable = ctypes.c_void_p(), ctypes.c_void_p()
        self._capture(work, graph)
        try:
            self._runtime.call("cudaGraphInstantiate", ctypes.byref(runnable), graph, ctypes.c_ulonglong(0))
        finally:
            self._runtime.call("cudaGraphDestroy", graph)

        def replay() -> None:
            self._select()
            self._runtime.call("cudaGraphLaunch", runnable, self._stream)

        weakref.finalize(replay, self._runtime.release, "cudaGraphExecDestroy", runnable.value or 0).atexit = False
        return replay

    def _capture(self, work: Callable[[], None], graph: ctypes.c_void_p) -> None:
        """Make `graph` of what `work` puts on the stream. An error of `work` is raised, rather than the one that CUDA
        reports because of it."""
        self._select()
        self._runtime.call("cudaStreamBeginCapture", self._stream, RELAXED)
        try:
            work()
        except BaseException:
            with suppress(CudaError):
                self._runtime.call("cudaStreamEndCapture", self._stream, ctypes.byref(graph))
                self._runtime.call("cudaGraphDestroy", graph)
            raise
        self._runtime.call("cudaStreamEndCapture", self._stream, ctypes.byref(graph))

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        self._select()
        arguments = ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size), kind, self._stream
        self._runtime.call("cudaMemcpyAsync", *arguments)

    def _select(self) -> None:
        """Select the GPU for this thread: each has a current device, and warm-up uses another thread than serving."""
        self._runtime.call("cudaSetDevice", self.device_id)
