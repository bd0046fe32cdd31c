"""ELECTRA's graphs answer as its checkpoints do, with embeddings narrower than its layers as well."""

from __future__ import annotations

import pytest
from transformers import (
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
)

from tests.support.encoders import VOCABULARY, random_model
from tests.training.encoders.checks import check_fp16, check_fp32, check_int8, check_int8_for_cuda
from training.export.quantize import operators_of

CLASSES = (ElectraForSequenceClassification, ElectraForTokenClassification, ElectraForMaskedLM)


def model_of(model_class, embedding_size=16):
    config = ElectraConfig(
        vocab_size=VOCABULARY,
        embedding_size=embedding_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=512,
        num_labels=3,
    )
    return random_model(model_class, config)


@pytest.mark.parametrize("embedding_size", [16, 32])
@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_the_packed_graph_matches_torch(model_class, embedding_size):
    check_fp32(model_of(model_class, embedding_size))


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_rounded_to_int8(model_class):
    int8 = check_int8(model_of(model_class), layers=2)
    check_int8_for_cuda(int8, layers=2)
    assert "embeddings.project.weight.int8" in {tensor.name for tensor in int8.graph.initializer}
    assert operators_of(int8) == ["embeddings.word"]  # nothing is left to round


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_written_for_cuda(model_class):
    check_fp16(model_of(model_class), packed_attention=2)
