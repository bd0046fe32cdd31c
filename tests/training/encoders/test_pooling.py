"""A graph that reads windows pools each of them by itself, without a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
)

from tests.support.encoders import VOCABULARY, PackedGraph, random_model, random_windows
from training.encoders.pooling import POOLINGS, Membership, PaddedMembership, Pooling
from training.export.graph import export_fp16, export_fp32
from training.export.quantize import quantize_int8
from training.export.verify import LENGTH_MIXES

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
DISTIL = DistilBertConfig(vocab_size=VOCABULARY, dim=32, n_layers=1, n_heads=4, hidden_dim=48)
MODELS = [
    (RobertaModel, RobertaConfig(**SHAPE, max_position_embeddings=514)),
    (BertModel, BertConfig(**SHAPE)),
    (DistilBertModel, DISTIL),
    (
        ModernBertModel,  # the second layer attends locally
        ModernBertConfig(
            **SHAPE | {"num_hidden_layers": 2}, pad_token_id=0, local_attention=10, max_position_embeddings=600
        ),
    ),
]
EXPECTED = {
    "mean": lambda hidden: hidden.mean(0),
    "first": lambda hidden: hidden[0],
    "last": lambda hidden: hidden[-1],
    "max": lambda hidden: hidden.amax(0),
    "mean_sqrt_len": lambda hidden: hidden.sum(0) / len(hidden) ** 0.5,
    "weighted_mean": lambda hidden: (
        (torch.arange(1.0, len(hidden) + 1)[:, None] * hidden).sum(0) / sum(range(1, len(hidden) + 1))
    ),
}
# One family with every pooling, and every family with one.
CASES = [(*MODELS[0], how) for how in EXPECTED] + [(*each, "mean") for each in MODELS[1:]]


def test_every_pooling_is_proved_here():
    assert set(EXPECTED) == set(POOLINGS)


@pytest.mark.parametrize(("model_class", "config", "how"), CASES, ids=lambda each: getattr(each, "__name__", None))
def test_the_graph_answers_one_vector_per_window(model_class, config, how):
    model = random_model(model_class, config)
    graph = PackedGraph(export_fp32(model, Pooling(how), "window"), model)
    assert "head_rows" not in graph.names
    for lengths in LENGTH_MIXES:
        windows = random_windows(lengths, all_rows=False, limit=512)
        for window, answer in zip(windows, graph.run(windows), strict=True):
            with torch.inference_mode():
                hidden = model(input_ids=torch.from_numpy(window.input_ids)[None]).last_hidden_state[0]
            np.testing.assert_allclose(answer, EXPECTED[how](hidden).numpy()[None], atol=1e-4)


def test_a_task_may_have_a_head_of_its_own_over_the_pooled_vector():
    model = random_model(RobertaModel, RobertaConfig(**SHAPE, max_position_embeddings=514))
    own = nn.Linear(32, 5)
    graph = PackedGraph(export_fp32(model, Pooling("mean", own), "window"), model)
    (window,) = random_windows((30,), all_rows=False, limit=512)
    with torch.inference_mode():
        hidden = model(input_ids=torch.from_numpy(window.input_ids)[None]).last_hidden_state[0]
        np.testing.assert_allclose(graph.run([window])[0], own(hidden.mean(0, keepdim=True)).numpy(), atol=1e-4)


def test_a_pooled_vector_of_an_int8_graph_does_not_depend_on_the_batch():
    model = random_model(RobertaModel, RobertaConfig(**SHAPE, max_position_embeddings=514))
    fp32 = export_fp32(model, Pooling(), "window")
    windows = random_windows((3, 60, 17, 200), all_rows=False, limit=512)
    exact = PackedGraph(fp32, model)
    int8 = PackedGraph(quantize_int8(fp32, [exact.layout.feed(windows)]), model)
    for window, answer in zip(windows, int8.run(windows), strict=True):
        np.testing.assert_allclose(int8.run([window])[0], answer, atol=1e-4)


def test_no_operator_asks_for_the_shape_of_an_array():
    """A CUDA graph cannot hold one that does."""
    model = random_model(RobertaModel, RobertaConfig(**SHAPE, max_position_embeddings=514))
    for how in ("mean", "first", "max"):
        kinds = {node.op_type for node in export_fp16(model, Pooling(how), "window").graph.node}
        assert not kinds & {"Shape", "Size", "Range", "NonZero", "ConstantOfShape"}


def test_padding_belongs_to_no_window():
    """A CUDA bucket has tokens of window -1, and windows of one token that no token belongs to."""
    token_windows = torch.tensor([0, 0, 1, -1, -1])
    membership = Membership(token_windows, torch.tensor([2, 1, 1]), torch.tensor([0, 1, 0, 0, 1]))
    hidden = torch.tensor([[1.0], [3.0], [5.0], [100.0], [100.0]])
    assert membership.pool("mean", hidden).tolist() == [[2.0], [5.0], [0.0]]
    assert membership.pool("first", hidden).tolist() == [[1.0], [5.0], [0.0]]
    assert membership.pool("max", hidden)[:2].tolist() == [[3.0], [5.0]]


@pytest.mark.parametrize("how", POOLINGS)
def test_a_padded_batch_is_pooled_alike_whichever_side_is_padded(how):
    hidden = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
    right, left = PaddedMembership(mask).pool(how, hidden)
    torch.testing.assert_close(right, EXPECTED[how](hidden[0, :3]))
    torch.testing.assert_close(left, EXPECTED[how](hidden[1, 1:]))
