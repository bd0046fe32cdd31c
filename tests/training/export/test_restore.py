"""A bundle is a base: the checkpoint that is made of its graph is the one that the graph was made of."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
)

from tests.support.tiny import tiny_sequence_model
from training.config import Recipe
from training.data import Labeling
from training.encoders import UnsupportedModelError, family_of
from training.export import restore
from training.export.attention import GridAttention
from training.export.packed import PackedModel
from training.fit.bases import load_base
from training.tasks import training_task

FAMILIES = [
    (BertForSequenceClassification, BertConfig),
    (RobertaForSequenceClassification, RobertaConfig),
    (DistilBertForSequenceClassification, DistilBertConfig),
    (ElectraForSequenceClassification, ElectraConfig),
    (ModernBertForSequenceClassification, ModernBertConfig),
]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr("training.export.restore.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))


def packed(model) -> PackedModel:
    family = family_of(model)
    head, reads = training_task("text-classification").head(family, model)
    return PackedModel(family, model, GridAttention(), head, reads)


@pytest.mark.parametrize(("model_class", "config_class"), FAMILIES, ids=[config.model_type for _, config in FAMILIES])
def test_every_weight_of_every_family_finds_its_place(model_class, config_class):
    model = tiny_sequence_model(model_class, config_class)
    weights = {name: value.detach().clone() for name, value in packed(model).named_parameters()}
    fresh = model_class(model.config).eval()
    module = packed(fresh)
    restore.take_over(module, fresh, weights)
    restore.split_attention(family_of(fresh), fresh, module)
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "auto_model"),
    [("classify", AutoModelForSequenceClassification), ("fill-mask", AutoModelForMaskedLM)],
)
def test_a_bundle_s_checkpoint_is_the_one_that_it_was_made_of(name, auto_model, tiny_models, tiny_checkpoints):
    folder = restore.base_folder(str(tiny_models / f"tiny-{name}"))
    found = auto_model.from_pretrained(folder).state_dict()
    for weight, right in auto_model.from_pretrained(tiny_checkpoints[name]).state_dict().items():
        rounding = right.abs().max() / 64  # half a step of int8, and what its biases correct
        assert (found[weight] - right).abs().max() <= rounding, weight


def test_it_is_made_once_and_of_the_newest_version(tiny_models, tmp_path):
    bundles = tmp_path / "models" / "tiny-classify"
    shutil.copytree(tiny_models / "tiny-classify" / "1", bundles / "1")
    first = restore.base_folder(str(bundles))
    assert restore.base_folder(str(bundles / "1")) == first
    manifest = json.loads((bundles / "1" / "manifest.json").read_text())
    shutil.copytree(bundles / "1", bundles / "2")
    (bundles / "2" / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
    assert restore.base_folder(str(bundles)) != first


def test_what_is_no_bundle_is_left_as_it_is(tmp_path, tiny_checkpoints):
    for source in ("roberta-base", str(tmp_path), str(tiny_checkpoints["classify"])):
        assert restore.base_folder(source) == source


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layout": "padded"}, "has no packed graph in fp32 or int8"),
        ({"probes": []}, "has no packed graph in fp32 or int8 with probes"),
        ({"version": 7}, "the folder says tiny-classify:1"),
        ({"probes": [{"text": "a good film", "logits": [[50.0, 0.0, 0.0]]}]}, "answers probe 0 otherwise"),
    ],
)
def test_a_bundle_that_cannot_be_a_base_says_why(changes, reason, tiny_models, tmp_path):
    bundle = tmp_path / "tiny-classify" / "1"
    shutil.copytree(tiny_models / "tiny-classify" / "1", bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))
    with pytest.raises(UnsupportedModelError, match=reason):
        restore.base_folder(str(bundle))


def test_a_fine_tuning_begins_from_a_bundle(tiny_models, tiny_checkpoints):
    recipe = Recipe.model_validate(
        {"name": "x", "task": "text-classification", "base": str(tiny_models / "tiny-fill-mask")}
    )
    model, tokenizer = load_base(recipe, Labeling(("bad", "good"), "single_label_classification"))
    source = RobertaForMaskedLM.from_pretrained(tiny_checkpoints["fill-mask"])
    rows = torch.tensor(tokenizer("a good film")["input_ids"])
    found, right = (each.base_model.embeddings.word_embeddings.weight[rows].detach() for each in (model, source))
    torch.testing.assert_close(found, right, atol=float(right.abs().max()) / 64, rtol=0)
    assert model.config.id2label == {0: "bad", 1: "good"}
