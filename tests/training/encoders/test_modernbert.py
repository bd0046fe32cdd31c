"""ModernBERT's graphs answer as its checkpoints do, for texts far longer than the reach of its local attention."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import (
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
)

from tests.support.encoders import VOCABULARY, PackedGraph, random_model, random_windows, torch_answer
from tests.support.tiny import fp32_graph
from tests.training.encoders.checks import (
    TOLERANCE,
    check_fp16,
    check_fp32,
    check_int8,
    check_int8_for_cuda,
    mixes_for,
)
from training.encoders import UnsupportedModelError, family_of
from training.export.attention import GridAttention, masked_attention
from training.export.graph import export
from training.export.packed import PackedModel

CLASSES = (ModernBertForSequenceClassification, ModernBertForTokenClassification, ModernBertForMaskedLM)


def config_of(**fields):
    return ModernBertConfig(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 600,
            "local_attention": 12,
            "num_labels": 3,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
        }
        | fields
    )


def model_of(model_class, **fields):
    return random_model(model_class, config_of(**fields))


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_the_packed_graph_matches_torch(model_class):
    check_fp32(model_of(model_class))


@pytest.mark.parametrize(
    "fields",
    [
        {"classifier_pooling": "mean"},
        {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True},
        {"layer_types": ["full_attention"] * 2},
        {"layer_types": ["sliding_attention"] * 2, "local_attention": 9},
        {
            "rope_parameters": {
                kind: {"rope_type": "linear", "factor": 2.0} for kind in ("full_attention", "sliding_attention")
            }
        },
    ],
    ids=str,
)
def test_variants_match_torch(fields):
    check_fp32(model_of(ModernBertForSequenceClassification, **fields))


def test_the_reach_of_local_attention_matters():
    """A graph that is told another reach answers otherwise, so that the tests above can fail."""
    model = model_of(ModernBertForTokenClassification)
    graph = PackedGraph(fp32_graph(model), model)
    assert graph.layout.local_attention == 6
    windows = random_windows((100, 40), all_rows=True, limit=600)
    expected = torch_answer(model, windows[0])
    for reach in (5, 7):
        graph.layout.local_attention = reach
        for answer in (graph.run(windows)[0], graph.run(windows[:1])[0]):
            assert np.abs(answer - expected).max() > 1e-2


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_rounded_to_int8(model_class):
    check_int8(model_of(model_class), layers=2)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda each: each.__name__)
def test_it_can_be_written_for_cuda(model_class):
    """One layer attends globally, in a packed node; the other on the grid, in operators that CUDA has."""
    graph = check_fp16(model_of(model_class), packed_attention=1)
    assert [node.op_type for node in graph.graph.node].count("Softmax") == 1
    assert {value.name for value in graph.graph.input} == {
        *("input_ids", "position_ids", "head_rows", "token_offset", "cumulative_lengths"),
        *("pad_rows", "unpad_rows", "local_attention_mask"),
    }


class MaskedLocally(GridAttention):
    """Local layers as they are computed for CUDA, global ones as for the CPU."""

    def __call__(self, qkv, inputs, heads, *, is_local=False):
        return masked_attention(qkv, inputs, heads) if is_local else super().__call__(qkv, inputs, heads)


def test_the_operators_of_local_layers_for_cuda_match_torch():
    """In float32 on the CPU; in float16 on CUDA the service holds the graph to its probes."""
    model = model_of(ModernBertForTokenClassification)
    family = family_of(model)
    packed = PackedModel(family, model, MaskedLocally(), *family.token_head(model))
    graph = PackedGraph(export(packed), model)
    for windows in mixes_for(model):
        for window, answer in zip(windows, graph.run(windows), strict=True):
            np.testing.assert_allclose(answer, torch_answer(model, window), atol=TOLERANCE)


def test_layers_that_are_all_global_become_packed_nodes_from_int8_as_well():
    model = model_of(ModernBertForMaskedLM, layer_types=["full_attention"] * 2)
    check_int8_for_cuda(check_int8(model, layers=2), layers=2)


def test_positions_that_depend_on_a_texts_length_are_refused():
    parameters = {"rope_type": "dynamic", "factor": 2.0}
    model = model_of(ModernBertForMaskedLM, rope_parameters={"full_attention": parameters})
    with pytest.raises(UnsupportedModelError, match="dynamic depend on a text's length"):
        family_of(model)
