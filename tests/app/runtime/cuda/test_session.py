"""A session on GPUs that the CPU plays: runners on GPUs, refusals, and what the settings choose."""

import numpy as np
import onnxruntime as ort
import pytest

from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.session import SessionError, choose_precision, open_session
from app.settings import Settings
from tests.app.gpus import make_windows, with_graphs


def test_runners_take_turns_on_the_gpus_and_answer_alike(on_host, fp32_bundle):
    session = CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(3, 5), runners=4), SharedLock())
    assert on_host == [3, 5, 3, 5]
    windows = make_windows(3, 17, 60)
    expected = CpuSession(fp32_bundle, "fp32").run(windows)
    for runner in range(4):
        for mine, theirs in zip(session.run(windows, runner=runner, idle_machine=True), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_model_that_does_not_fit_is_refused_with_a_sentence(on_host, fp32_bundle, monkeypatch):
    def out_of_memory(*_, **__):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    monkeypatch.setattr(ort, "InferenceSession", out_of_memory)
    with pytest.raises(SessionError, match="GPU memory does not suffice for the model; lower"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1), SharedLock())


def test_a_graph_that_does_not_load_is_refused_without_a_path(on_host, fp32_bundle, monkeypatch):
    def unreadable(graph, *_, **__):
        raise RuntimeError(f"Load model from {graph} failed: bad")

    monkeypatch.setattr(ort, "InferenceSession", unreadable)
    with pytest.raises(SessionError, match=r"cannot open model.fp32.onnx: Load model from model.fp32.onnx failed: bad"):
        CudaSession(fp32_bundle, "fp32", CudaOptions(gpus=(0,), runners=1), SharedLock())


def test_the_settings_choose_the_session(on_host, fp32_bundle):
    settings = Settings(gpus=[1, 2], gpu_memory_limit_mb=512)
    assert open_session(fp32_bundle, "cpu", settings).provider == "CPUExecutionProvider"
    only_fp32 = with_graphs(fp32_bundle, "fp32")
    session = open_session(only_fp32, "cuda", settings)
    assert session.provider == "CUDAExecutionProvider"
    assert session.options == CudaOptions(gpus=(1, 2), runners=4, memory_limit_mb=512, cuda_graphs=True)


def test_fp16_before_rewritten_int8_before_fp32_and_no_rewriting_of_strangers(fp32_bundle):
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", "fp16"), "cuda") == "fp16"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32"), "cuda") == "int8"
    assert choose_precision(with_graphs(fp32_bundle, "int8", "fp32", layout="padded"), "cuda") == "fp32"
    with pytest.raises(SessionError, match=r"none of its graphs \(int8\) runs on cuda"):
        choose_precision(with_graphs(fp32_bundle, "int8", layout="padded"), "cuda")
