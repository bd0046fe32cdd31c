"""The base of a fine-tuning, of whatever family: its dropout by the family's own names, and its positions."""

from __future__ import annotations

import pytest
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from tests.support.tiny import save_checkpoint, tiny_sequence_model
from training.config import Recipe
from training.data import Labeling
from training.fit.bases import load_base, longest_input

BERT_DROPOUT = {"hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.125}
BASES = [
    (
        DistilBertForSequenceClassification,
        DistilBertConfig,
        {"dropout": 0.25, "seq_classif_dropout": 0.25, "attention_dropout": 0.125},
        66,
    ),
    (
        ModernBertForSequenceClassification,
        ModernBertConfig,
        {"embedding_dropout": 0.25, "mlp_dropout": 0.25, "classifier_dropout": 0.25, "attention_dropout": 0.125},
        66,
    ),
    (ElectraForSequenceClassification, ElectraConfig, BERT_DROPOUT | {"classifier_dropout": 0.25}, 66),
    (MPNetForSequenceClassification, MPNetConfig, BERT_DROPOUT, 64),
    (DebertaV2ForSequenceClassification, DebertaV2Config, BERT_DROPOUT, 64),
]


@pytest.mark.parametrize(("model_class", "config_class", "dropouts", "positions"), BASES)
def test_a_base_of_any_family_is_loaded(model_class, config_class, dropouts, positions, tmp_path):
    folder = save_checkpoint(tiny_sequence_model(model_class, config_class), tmp_path)
    training = {"dropout": 0.25, "attention_dropout": 0.125}
    recipe = Recipe.model_validate(
        {"name": "x", "task": "text-classification", "base": str(folder), "training": training}
    )
    model, tokenizer = load_base(recipe, Labeling(("bad", "good"), "single_label_classification"))
    assert {name: getattr(model.config, name) for name in dropouts} == dropouts
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert longest_input(model, 512) == positions
    assert tokenizer.model_max_length == 512
