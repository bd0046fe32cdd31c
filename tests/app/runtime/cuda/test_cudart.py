"""NVIDIA's runtime library as it is called: memory, copies, captures, and what its failures become."""

import gc

import numpy as np
import pytest

from app.bundle import read_bundle
from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.binding import IoRunner
from app.runtime.cuda.cudart import CudaError, CudaMemory, CudaRuntime
from app.runtime.cuda.opening import is_out_of_memory
from tests.app.gpus import make_windows
from tests.support.cudart import FakeCudart


def test_copies_go_through_page_locked_memory_and_blocks_are_freed_with_their_arrays(cudart):
    library = FakeCudart()
    cudart(library)
    memory = CudaMemory(CudaRuntime("13.0"), gpu=1)
    assert library.selected == 1
    host, block = memory.allocate_host(64), memory.allocate_device(64)
    host[:5] = np.arange(5)
    memory.upload(host[:5], block.address + 8)
    assert library.blocks[block.address][8:13].tolist() == [255] * 5
    memory.synchronize()
    assert library.blocks[block.address][8:13].tolist() == [0, 1, 2, 3, 4]
    back = memory.allocate_host(5)
    memory.download(block.address + 8, back)
    memory.synchronize()
    assert back.tolist() == [0, 1, 2, 3, 4]
    part = host[:5].view()
    assert len(library.blocks) == 3
    del host, block
    gc.collect()
    assert len(library.blocks) == 2  # the device's is gone, the host's is still seen through `part`
    del part, back
    gc.collect()
    assert not library.blocks


def test_a_session_answers_through_cuda_s_copies_what_it_answers_without(cudart, tiny_models):
    library = FakeCudart()
    cudart(library)
    bundle = read_bundle(tiny_models / "tiny-ner" / "1", name="tiny-ner", version=1)
    session, memory = CpuSession(bundle, "fp32"), CudaMemory(CudaRuntime("13.0"), gpu=0)
    memory.device_type = "cpu"
    windows = make_windows(3, 17, 60)
    output = IoRunner(session.session, memory).compute(session.layout.feed(windows))
    np.testing.assert_array_equal(output, np.concatenate(session.run(windows)))


def test_a_failed_call_says_what_cuda_says(cudart):
    cudart(FakeCudart("memory"))
    with pytest.raises(CudaError, match="cudaHostAlloc: out of memory") as caught:
        CudaMemory(CudaRuntime("13.0"), gpu=0).allocate_host(10)
    assert is_out_of_memory(caught.value)


def test_a_capture_is_launched_on_its_stream_and_freed_with_what_launches_it(cudart):
    library = FakeCudart()
    cudart(library)
    memory, modes = CudaMemory(CudaRuntime("13.0"), gpu=1), []
    begin = memory.capture(lambda: modes.append(library.mode))
    assert modes == [2]  # relaxed
    assert library.mode is None
    assert not library.graphs
    library.selected = 0
    begin()
    begin()
    assert library.launched == [(501, memory.stream)] * 2
    assert library.selected == 1
    del begin
    gc.collect()
    assert not library.runnable


def test_a_capture_that_fails_ends_and_says_why(cudart):
    library = FakeCudart()
    cudart(library)
    memory = CudaMemory(CudaRuntime("13.0"), gpu=0)

    def waits():
        raise RuntimeError("no waiting here")

    for failure in (None, "capture"):  # what breaks a capture is told, not that it is broken
        library.failure = failure
        with pytest.raises(RuntimeError, match="no waiting here"):
            memory.capture(waits)
        assert library.mode is None
    with pytest.raises(CudaError, match="cudaStreamEndCapture: operation failed due to a previous error"):
        memory.capture(lambda: None)
    library.failure = "memory"
    with pytest.raises(CudaError, match="cudaGraphInstantiate: out of memory"):
        memory.capture(lambda: None)
    assert not library.graphs
    assert library.last_error == 0  # else onnxruntime's next kernel would seem to fail
