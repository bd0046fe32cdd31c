"""From a checkpoint of each family to a bundle whose graphs were verified, and which answers its probes."""

from __future__ import annotations

import numpy as np
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

from app.bundle import read_bundle
from tests.support.tiny import publish_tiny, save_checkpoint, tiny_sequence_model
from training.evaluation.served import ServedGraph

LOCAL = {"local_attention": 8}
RELATIVE = {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]}
PACKED = [
    (DistilBertForSequenceClassification, DistilBertConfig, {"hidden_dim": 64}, None),
    (ElectraForSequenceClassification, ElectraConfig, {"embedding_size": 16}, None),
    (ModernBertForSequenceClassification, ModernBertConfig, LOCAL, 4),
    (ModernBertForSequenceClassification, ModernBertConfig, LOCAL | {"classifier_pooling": "mean"}, 4),
]
PADDED = [
    (MPNetForSequenceClassification, MPNetConfig, {}),
    (DebertaV2ForSequenceClassification, DebertaV2Config, RELATIVE),
]


@pytest.mark.parametrize(("model_class", "config_class", "fields", "reach"), PACKED)
def test_a_packed_family_is_published_in_int8_and_fp32(model_class, config_class, fields, reach, tmp_path):
    model = tiny_sequence_model(model_class, config_class, **fields)
    bundle = published(model, tmp_path)
    manifest = bundle.manifest
    assert (manifest.layout, manifest.position_offset, manifest.local_attention) == ("packed", 0, reach)
    assert set(manifest.graphs) == {"int8", "fp32"}
    check_probes(bundle)


@pytest.mark.parametrize(("model_class", "config_class", "fields"), PADDED)
def test_another_family_is_published_padded_in_fp32(model_class, config_class, fields, tmp_path):
    bundle = published(tiny_sequence_model(model_class, config_class, **fields), tmp_path)
    assert bundle.manifest.layout == "padded"
    assert set(bundle.manifest.graphs) == {"fp32"}
    check_probes(bundle)


def published(model, folder):
    checkpoint = save_checkpoint(model, folder / "checkpoint")
    bundle = read_bundle(publish_tiny(checkpoint, folder / "models", "tiny"), name="tiny", version=1)
    assert f"\n- {model.config.model_type}\n- onnx\n" in (bundle.path / "README.md").read_text(encoding="utf-8")
    return bundle


def check_probes(bundle):
    """Every graph answers each probe within its tolerance, and no two probes alike."""
    for precision, graph in bundle.manifest.graphs.items():
        served = ServedGraph(bundle, precision)
        probes = bundle.manifest.probes
        answers = [served.session.run([served.task.probe(probe.text)])[0] for probe in probes]
        assert all(p.drift(a) <= graph.tolerance for p, a in zip(probes, answers, strict=True))
        assert len(np.unique(np.concatenate(answers), axis=0)) == len(probes) > 3
