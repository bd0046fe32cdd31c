"""Tokenizers as the service reads them, a tiny bundle, and GPUs that are played by the CPU."""

import ctypes

import onnxruntime as ort
import pytest

from app.bundle import read_bundle
from app.graphs import gpu as gpu_graph
from app.runtime.cuda import opening, session
from tests.app.builders import make_encoder, sentencepiece_tokenizer, wordpiece_tokenizer
from tests.support.memory import HostMemory


@pytest.fixture(scope="session")
def byte_level(tokenizer):
    """The tiny RoBERTa's tokenizer, as `tokenizers` knows it."""
    return tokenizer.backend_tokenizer


@pytest.fixture(scope="session")
def encoder(byte_level, tmp_path_factory):
    return make_encoder(byte_level, tmp_path_factory.mktemp("byte-level"))


@pytest.fixture(scope="session")
def bert_encoder(tmp_path_factory):
    return make_encoder(wordpiece_tokenizer(), tmp_path_factory.mktemp("wordpiece"))


@pytest.fixture(scope="session")
def xlmr_encoder(tmp_path_factory):
    return make_encoder(sentencepiece_tokenizer(), tmp_path_factory.mktemp("sentencepiece"))


@pytest.fixture(scope="session")
def fp32_bundle(tiny_models):
    return read_bundle(tiny_models / "tiny-ner" / "1", name="tiny-ner", version=1)


@pytest.fixture
def cudart(monkeypatch):
    """Return a function that puts a CUDA library in place, `OSError` where it is None."""

    def install(library):
        def load(name):
            assert name == "libcudart.so.13"
            if library is None:
                raise OSError("not there")
            return library

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(ort, "cuda_version", "13.0")
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)

    return install


@pytest.fixture
def on_host(monkeypatch):
    """Let a CUDA session run on the CPU; return the GPUs for which memory was asked, runner by runner."""
    asked = []

    def memory(runtime, gpu):
        asked.append(gpu)
        return HostMemory()

    monkeypatch.setattr(session, "open_runtime", lambda gpus: None)
    monkeypatch.setattr(session, "CudaMemory", memory)
    monkeypatch.setattr(opening, "PROVIDERS", {"cuda": "CPUExecutionProvider"})
    monkeypatch.setattr(opening, "provider_options", lambda gpu, limit, stream: {})
    monkeypatch.setattr(gpu_graph, "read_for_gpu", lambda path, _: str(path))  # only CUDA has packed attention
    return asked
