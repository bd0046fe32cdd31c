"""DistilBERT's graphs answer as its checkpoints do, for every task and over every mix of lengths."""

from __future__ import annotations

import pytest
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
)

from tests.support.encoders import VOCABULARY, random_model
from tests.training.encoders.checks import check_fp16, check_fp32, check_int8, check_int8_for_cuda

CLASSES = (DistilBertForSequenceClassification, DistilBertForTokenClassification, DistilBertForMaskedLM)


def model_of(model_class):
    config = DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=512, num_labels=3
    )
    return random_model(model_class, config)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_the_packed_graph_matches_torch(model_class):
    check_fp32(model_of(model_class))


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_rounded_to_int8(model_class):
    check_int8_for_cuda(check_int8(model_of(model_class), layers=2), layers=2)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_written_for_cuda(model_class):
    check_fp16(model_of(model_class), packed_attention=2)
