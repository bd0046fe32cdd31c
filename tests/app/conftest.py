"""Tokenizers as the service reads them, and a tiny bundle."""

import pytest

from app.bundle import read_bundle
from tests.app.builders import make_encoder, sentencepiece_tokenizer, wordpiece_tokenizer


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
