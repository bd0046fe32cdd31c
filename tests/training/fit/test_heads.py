"""The head of a base: kept for the same labels, in the data's order, and begun anew for others, which a line says."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from tests.support.tiny import save_checkpoint, tiny_sequence_model
from training.config import Recipe, RecipeError
from training.data import Labeling
from training.encoders.output import output_layer
from training.fit.bases import load_base

SINGLE, MULTI, NUMBER = "single_label_classification", "multi_label_classification", "regression"
THREE = {0: "bad", 1: "fair", 2: "good"}
TAGS = ["O", "B-PER", "I-PER"]


def base(folder, model_class=RobertaForSequenceClassification, config_class=RobertaConfig, **fields):
    return save_checkpoint(tiny_sequence_model(model_class, config_class, **fields), folder)


def load(folder, labels, kind=SINGLE, task="text-classification"):
    recipe = Recipe.model_validate({"name": "x", "task": task, "base": str(folder)})
    model, _ = load_base(recipe, Labeling(tuple(labels), kind))
    assert [model.config.id2label[i] for i in range(len(labels))] == list(labels)
    assert output_layer(model).out_features == len(labels)
    return model


def rows(folder, model_class=RobertaForSequenceClassification):
    return output_layer(model_class.from_pretrained(folder)).weight


@pytest.mark.parametrize(
    ("model_class", "config_class"),
    [
        (RobertaForSequenceClassification, RobertaConfig),
        (BertForSequenceClassification, BertConfig),
        (ElectraForSequenceClassification, ElectraConfig),
        (AlbertForSequenceClassification, AlbertConfig),
    ],
)
def test_the_same_labels_in_another_order_keep_their_rows(model_class, config_class, tmp_path, caplog):
    folder = base(tmp_path, model_class, config_class, id2label=THREE)
    caplog.set_level(logging.INFO)
    weight = output_layer(load(folder, ["good", "bad", "fair"])).weight
    torch.testing.assert_close(weight, rows(folder, model_class)[[2, 0, 1]])
    assert "the same labels in another order" in caplog.text


def test_the_same_labels_in_the_same_order_keep_the_head_without_a_word(tmp_path, caplog):
    folder = base(tmp_path, id2label=THREE)
    caplog.set_level(logging.INFO)
    torch.testing.assert_close(output_layer(load(folder, THREE.values())).weight, rows(folder))
    assert "labels" not in caplog.text


@pytest.mark.parametrize(
    ("labels", "kind", "shown"),
    [
        (["a", "b"], SINGLE, "was trained on bad, fair, good, the data has a, b"),
        (["x0", "x1", "x2"], SINGLE, "was trained on bad, fair, good, the data has x0, x1, x2"),
        (["bad", "fair", "good", "new"], SINGLE, "the data has bad, fair, good, new"),
        (["bad", "fair", "good"], MULTI, "the data has bad, fair, good"),
        (["score"], NUMBER, "the data has score"),
    ],
    ids=str,
)
def test_another_number_or_kind_of_labels_gets_a_new_head(labels, kind, shown, tmp_path, caplog):
    folder = base(tmp_path, id2label=THREE)
    caplog.set_level(logging.INFO)
    model = load(folder, labels, kind)
    assert model.config.problem_type == kind
    assert shown in caplog.text
    assert "the output layer begins anew" in caplog.text
    kept = rows(folder)
    assert not any(torch.allclose(row, old) for row in output_layer(model).weight for old in kept)


def test_a_number_keeps_its_head_whatever_it_is_called(tmp_path):
    folder = base(tmp_path, id2label={0: "stars"}, problem_type="regression")
    torch.testing.assert_close(output_layer(load(folder, ["score"], NUMBER)).weight, rows(folder))


@pytest.mark.parametrize(
    ("model_class", "config_class"),
    [(RobertaForTokenClassification, RobertaConfig), (BertForTokenClassification, BertConfig)],
)
def test_a_tagger_becomes_a_classifier_with_a_new_head(model_class, config_class, tmp_path, caplog):
    """BERT's two heads have weights of the same name."""
    folder = base(tmp_path, model_class, config_class, id2label=dict(enumerate(TAGS)))
    caplog.set_level(logging.INFO)
    model = load(folder, TAGS)
    assert "was trained for token-classification on O, B-PER, I-PER" in caplog.text
    kept = rows(folder, model_class)
    assert not any(torch.allclose(row, old) for row in output_layer(model).weight for old in kept)


def test_five_tags_become_nine(tmp_path, caplog):
    folder = base(tmp_path, RobertaForTokenClassification, id2label=dict(enumerate([*TAGS, "B-LOC", "I-LOC"])))
    caplog.set_level(logging.INFO)
    nine = ["O", *(f"{letter}-{kind}" for kind in ("LOC", "MISC", "ORG", "PER") for letter in "BI")]
    load(folder, nine, None, "token-classification")
    assert "the data has O, B-LOC, I-LOC, B-MISC, I-MISC, B-ORG and 3 more" in caplog.text


def test_a_base_that_cannot_be_loaded_is_one_sentence(tmp_path):
    with pytest.raises(RecipeError, match=r"^base .*: there is no folder /nowhere/at/all$"):
        load("/nowhere/at/all", ["a", "b"])
