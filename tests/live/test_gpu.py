"""On a real GPU. Where there is none these skip; `tests/app/runtime/cuda` shows what can be shown without."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from app.bundle import read_bundle
from app.metrics import Metrics
from app.runtime.cpu.session import CpuSession
from app.runtime.cuda.graphs import Bucket
from app.runtime.cuda.opening import open_runtime
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.session import SessionError, available_devices
from app.serving.local_engine import LocalEngine
from app.settings import Settings
from app.window import Window
from tests.support.server import SHAPES, serve_as

ASKED = {
    "/classify": "A warm, funny and beautifully acted film.",
    "/ner": "Angela Merkel met Tim Cook at Apple's office in Berlin.",
    "/fill-mask": "Paris is the <mask> of France.",
}
MIXES = ((1, 3, 60), (5,) * 32, (16, 30, 2, 60), tuple(range(1, 61)), (60,) * 40)


def has_gpu() -> bool:
    if "cuda" not in available_devices():
        return False
    try:
        open_runtime([0])
    except SessionError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_gpu(), reason="there is no GPU that onnxruntime can use")


def make_windows(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [Window(generator.integers(5, 250, n), np.zeros(1, np.int64)) for n in lengths]


def open_gpu(bundle, precision, runners):
    return CudaSession(bundle, precision, CudaOptions(gpus=(0,), runners=runners, cuda_graphs=True), SharedLock())


@pytest.fixture(scope="module")
def sentiment(shipped_models):
    return read_bundle(shipped_models / "sentiment" / "1", name="sentiment", version=1)


@pytest.fixture(scope="module")
def fp32_bundle(tiny_models):
    return read_bundle(tiny_models / "tiny-ner" / "1", name="tiny-ner", version=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shipped_bundles_answer_as_on_a_cpu(shape, shipped_models, tmp_path):
    def ask(device):
        with serve_as(shape, shipped_models, tmp_path / device, device=device) as service:
            served = service.client.get("/models").json()["models"]
            assert {model["state"] for model in served} == {"ready"}, served
            answers = {}
            for route, text in ASKED.items():
                response = service.client.post(route, json={"inputs": text})
                assert response.status_code == 200, response.text
                answers[route] = response.json()
            return {model["provider"] for model in served}, answers, service.client.get("/metrics").text

    provider, on_cpu, _ = ask("cpu")
    assert provider == {"CPUExecutionProvider"}
    provider, on_gpu, metrics = ask("cuda")
    assert provider == {"CUDAExecutionProvider"}
    assert 'roberta_gpu_memory_used_bytes{gpu="0"}' in metrics
    assert [e["label"] for e in on_gpu["/classify"][0]] == [e["label"] for e in on_cpu["/classify"][0]]
    assert [(e["word"], e["entity_group"]) for e in on_gpu["/ner"]] == [
        (e["word"], e["entity_group"]) for e in on_cpu["/ner"]
    ]
    assert on_gpu["/fill-mask"][0]["token_str"] == on_cpu["/fill-mask"][0]["token_str"]
    for route in ASKED:
        best_here, best_there = (np.ravel(answers[route])[0]["score"] for answers in (on_gpu, on_cpu))
        assert best_here == pytest.approx(best_there, abs=0.05)


@pytest.mark.parametrize("lengths", MIXES, ids=str)
def test_fp32_on_a_gpu_is_fp32_on_a_cpu(lengths, fp32_bundle):
    session = open_gpu(fp32_bundle, "fp32", runners=1)
    windows = make_windows(lengths)
    for ours, theirs in zip(session.run(windows), CpuSession(fp32_bundle, "fp32").run(windows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_text_is_answered_alike_alone_and_in_any_batch(sentiment):
    session = open_gpu(sentiment, "int8", runners=1)
    windows = make_windows(range(1, 61))
    together = session.run(windows)
    for window, answer in zip(windows, together, strict=True):
        np.testing.assert_allclose(session.run([window])[0], answer, atol=0.02)  # fp16: kernels differ by shape


def test_runners_that_run_at_once_do_not_mix_their_batches(sentiment):
    session = open_gpu(sentiment, "int8", runners=2)
    batches = [make_windows(MIXES[n % len(MIXES)], seed=n) for n in range(40)]
    expected = [np.concatenate(session.run(batch)) for batch in batches]

    def run(runner):
        return [np.concatenate(session.run(batch, runner=runner)) for batch in batches[runner::2]]

    with ThreadPoolExecutor(2) as pool:
        for runner, answers in enumerate(pool.map(run, range(2))):
            for ours, theirs in zip(answers, expected[runner::2], strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.fixture(scope="module")
def replaying(sentiment):
    session = open_gpu(sentiment, "int8", runners=2)
    session.open_cuda_graphs()
    for tokens in (32, 128, 512):
        windows = tokens // 16
        session.capture(Bucket(tokens, windows, tokens, rows=windows), make_windows((1,)))
    return session


def test_replayed_batches_are_answered_as_those_that_are_run(replaying):
    generator = np.random.default_rng(0)
    for seed in range(100):
        windows = make_windows(generator.integers(1, 60, generator.integers(1, 9)), seed)
        assert replaying._cuda_graphs[0].bucket_for(windows) is not None
        for ours, theirs in zip(replaying.run(windows), replaying.run_uncaptured(windows), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=0.02)  # fp16: kernels differ by shape


def test_runners_replay_and_run_at_once_while_another_model_is_captured(replaying, sentiment):
    """Memory is allocated meanwhile, which a capture of CUDA's default mode would not allow."""
    batches = [make_windows(lengths_of(seed), seed) for seed in range(200)]
    expected = [np.concatenate(replaying.run_uncaptured(batch)) for batch in batches]

    def run(runner):
        return [np.concatenate(replaying.run(batch, runner=runner)) for batch in batches[runner::2]]

    with ThreadPoolExecutor(3) as pool:
        other = open_gpu(sentiment, "int8", runners=1)
        loading = pool.submit(other.prepare, None)
        for runner, answers in enumerate(pool.map(run, range(2))):
            for ours, theirs in zip(answers, expected[runner::2], strict=True):
                np.testing.assert_allclose(ours, theirs, atol=0.02)
        loading.result()
    windows = make_windows((24,))
    np.testing.assert_allclose(other.run(windows)[0], replaying.run(windows)[0], atol=0.02)


def test_models_that_are_loaded_at_once_are_all_captured(shipped_models):
    local = LocalEngine(Settings(models=shipped_models, device="cuda"), Metrics(CollectorRegistry()))
    local.loader.load()
    windows = make_windows((24, 40))
    for entry in local.registry.entries:
        session, tolerance = entry.model.lane.run.__self__, entry.model.bundle.manifest.graphs["int8"].tolerance
        assert session.has_cuda_graphs, entry.name
        for ours, theirs in zip(session.run(windows), session.run_uncaptured(windows), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=tolerance)


def lengths_of(seed):
    """Small batches that are replayed, and larger ones that are run, larger with every tenth."""
    return (60,) * (seed + 10) if seed % 10 == 0 else (1 + seed % 60,) * (1 + seed % 8)


def test_a_model_that_memory_does_not_hold_is_refused_with_a_sentence(shipped_models):
    settings = Settings(models=shipped_models, device="cuda", gpu_memory_limit_mb=64)
    local = LocalEngine(settings, Metrics(CollectorRegistry()))
    local.loader.load()
    reasons = [reason for entry in local.registry.entries for reason in entry.refused.values()]
    assert reasons
    assert all("GPU memory does not suffice" in reason for reason in reasons), reasons


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(SessionError, match="there is no GPU 99"):
        open_runtime([99])


def test_rows_of_a_file_are_answered_as_on_a_cpu(sentiment):
    from app.bulk.opening import open_predictor

    def predict(device):
        with open_predictor(sentiment, Settings(device=device), {"top_k": 1}) as predictor:
            return [prediction.cells for prediction in predictor.predict(["A warm film.", "Dull, " * 30] * 500)]

    for on_cpu, on_gpu in zip(predict("cpu"), predict("cuda"), strict=True):
        assert on_gpu == {**on_cpu, "score": pytest.approx(on_cpu["score"], abs=0.05), "labels": on_gpu["labels"]}
