"""Encoders without a packed form are exported as they are, for batches of any size and length."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    MPNetConfig,
    MPNetForMaskedLM,
    MPNetForSequenceClassification,
    MPNetForTokenClassification,
    MPNetModel,
)

from app.runtime.padding import Input, PaddedLayout
from tests.support.encoders import VOCABULARY, random_model, random_windows, torch_answer
from tests.support.tiny import fp16_graph, fp32_graph
from tests.training.encoders.checks import TOLERANCE, mixes_for
from training.encoders import UnsupportedModelError, family_of
from training.encoders.pooling import Pooling
from training.export.graph import export_fp32
from training.fit.optimizer import parameter_groups

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_labels": 3,
}


def mpnet():
    return MPNetConfig(**SHAPE, max_position_embeddings=514, pad_token_id=1)


def deberta(**fields):
    """Return the shape of DeBERTa-v3: relative positions in buckets, shared with those of keys and queries."""
    return DebertaV2Config(
        **SHAPE,
        **{
            "max_position_embeddings": 512,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        }
        | fields,
    )


MODELS = [
    (MPNetForSequenceClassification, mpnet()),
    (MPNetForTokenClassification, mpnet()),
    (MPNetForMaskedLM, mpnet()),
    (DebertaV2ForSequenceClassification, deberta()),
    (DebertaV2ForTokenClassification, deberta()),
    (DebertaV2ForMaskedLM, deberta()),
    (DebertaV2ForSequenceClassification, deberta(type_vocab_size=2, position_biased_input=True, share_att_key=False)),
    (AlbertForSequenceClassification, AlbertConfig(**SHAPE, embedding_size=16)),
]


class PaddedGraph:
    def __init__(self, graph, pad_id):
        self.names = [value.name for value in graph.graph.input]
        self.layout = PaddedLayout(dict.fromkeys(self.names, Input()), pad_id)
        self.session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(self, windows):
        return self.layout.split(self.session.run(None, self.layout.feed(windows))[0], windows)


@pytest.mark.parametrize(("model_class", "config"), MODELS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_padded_graph_matches_torch(model_class, config):
    model = random_model(model_class, config)
    assert family_of(model).layout == "padded"
    graph = PaddedGraph(fp32_graph(model), config.pad_token_id)
    assert ("token_type_ids" in graph.names) == (getattr(config, "type_vocab_size", 0) > 1)
    for windows in mixes_for(model):
        for window, answer in zip(windows, graph.run(windows), strict=True):
            np.testing.assert_allclose(answer, torch_answer(model, window), atol=TOLERANCE)


POOLED = [(Pooling("mean"), lambda h: h.mean(0)), (Pooling("max"), lambda h: h.amax(0))]


@pytest.mark.parametrize(("pooling", "read"), POOLED, ids=("mean", "max"))
def test_a_window_is_pooled_without_its_padding(pooling, read):
    model = random_model(MPNetModel, mpnet())
    graph = PaddedGraph(export_fp32(model, pooling, "window"), 1)
    windows = random_windows((1, 40, 9), all_rows=False, limit=512)
    for window, answer in zip(windows, graph.run(windows), strict=True):
        with torch.inference_mode():
            hidden = model(input_ids=torch.from_numpy(window.input_ids)[None]).last_hidden_state[0]
        np.testing.assert_allclose(answer[0], read(hidden).numpy(), atol=TOLERANCE)


def test_only_fp32_is_offered(caplog):
    model = random_model(MPNetForTokenClassification, mpnet())
    assert family_of(model).offered(("int8", "fp32")) == ("fp32",)
    assert family_of(model).offered(("int8",)) == ("fp32",)
    assert "no int8 graph: fp32 is published" in caplog.text
    with pytest.raises(UnsupportedModelError, match="exported in fp32 only"):
        fp16_graph(model)


def test_lower_layers_learn_more_slowly():
    model = random_model(DebertaV2ForTokenClassification, deberta())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, 1.0, 0.1, 0.5)
    rates = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert {rates[name] for name in rates if ".layer.1." in name} == {0.5}
    assert {rates[name] for name in rates if ".layer.0." in name} == {0.25}
    assert rates["deberta.embeddings.word_embeddings.weight"] == 0.125
    assert rates["classifier.weight"] == 1.0
