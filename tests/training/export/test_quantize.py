"""int8 graphs: which operators are rounded, which stay as they are, and how far the answers move."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from app.runtime.packing import PackedLayout
from app.window import Window
from tests.support.tiny import fp32_graph, tiny_model
from training.export.gate import logits_of
from training.export.quantize import WEIGHT_MAX, operators_of, quantize_int8, quantize_rows
from training.export.ranges import Observations, Range, choose_range, observe, round_trip

LINEARS = [f"layers.{i}.{part}" for i in (0, 1) for part in ("qkv", "attention_output", "intermediate", "output")]


@pytest.fixture(scope="module")
def graph():
    return fp32_graph(tiny_model("text-classification", ["a", "b", "c"]))


@pytest.fixture(scope="module")
def feeds(graph):
    return make_feeds(graph, all_rows=False)


def make_feeds(graph, all_rows):
    layout = PackedLayout([i.name for i in graph.graph.input], 2)
    generator = np.random.default_rng(0)
    return [
        layout.feed([Window(generator.integers(5, 300, n), np.arange(n if all_rows else 1)) for n in lengths])
        for lengths in ((3, 20, 7), (64,), (30, 31, 32))
    ]


def error_of(quantized, graph, feeds):
    return float(np.abs(logits_of(quantized, feeds) - logits_of(graph, feeds)).mean())


def weights_of(graph):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def test_every_linear_layer_and_the_embeddings_become_int8_and_the_head_does_not(graph, feeds):
    quantized = quantize_int8(graph, feeds)
    assert operators_of(graph) == ["embeddings.word", *LINEARS]
    weights = weights_of(quantized)
    for name in operators_of(graph):
        assert weights[f"{name}.weight.int8"].dtype == np.int8
        assert f"{name}.weight" not in weights
    assert weights["head.classifier.dense.weight"].dtype == np.float32
    assert error_of(quantized, graph, feeds) < 0.2


@pytest.mark.parametrize("kept", [{"layers.0.qkv"}, {"embeddings.word", "layers.1.output"}], ids=str)
def test_named_operators_keep_their_fp32_weights(kept, graph, feeds):
    before, after = weights_of(graph), weights_of(quantize_int8(graph, feeds, kept))
    for name in operators_of(graph):
        assert (f"{name}.weight" in after) == (name in kept)
        assert (f"{name}.weight.int8" in after) == (name not in kept)
    for name in kept:
        np.testing.assert_array_equal(after[f"{name}.weight"], before[f"{name}.weight"])


def test_with_every_operator_in_fp32_the_graph_is_the_fp32_graph(graph, feeds):
    same = quantize_int8(graph, feeds, frozenset(operators_of(graph)))
    assert error_of(same, graph, feeds) == 0.0
    assert len(onnx.load_from_string(same.SerializeToString()).graph.node) == len(graph.graph.node)


def test_a_tied_vocabulary_projection_is_stored_once_in_either_form():
    graph = fp32_graph(tiny_model("fill-mask"))
    feeds = make_feeds(graph, all_rows=True)
    for kept in ({"embeddings.word"}, frozenset()):
        quantized = quantize_int8(graph, feeds, kept)
        tables = [v for v in weights_of(quantized).values() if v.ndim == 2 and len(v) == graph_vocabulary(graph)]
        assert [table.dtype for table in tables] == [np.dtype(np.float32 if kept else np.int8)]
        assert error_of(quantized, graph, feeds) < 0.5


def graph_vocabulary(graph):
    return len(weights_of(graph)["embeddings.word.weight"])


def test_rounding_shifts_no_output_on_average(graph, feeds):
    """Over the texts that it was calibrated on, an int8 layer's mean output is that of fp32: its bias makes up."""
    kept = frozenset(operators_of(graph)) - {"layers.0.qkv"}
    qkv = next(n for n in graph.graph.node if n.op_type == "Gemm" and n.input[1] == "layers.0.qkv.weight").output[0]
    outputs = [
        np.concatenate([values for _, values in observe(each, [qkv], feeds)])
        for each in (graph, quantize_int8(graph, feeds, kept))
    ]
    assert np.abs(outputs[1] - outputs[0]).max() > 1e-3
    np.testing.assert_allclose(outputs[1].mean(axis=0), outputs[0].mean(axis=0), atol=1e-4)


def test_rows_are_rounded_within_half_a_step():
    weight = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    levels, scale = quantize_rows(weight)
    assert np.abs(levels).max() <= WEIGHT_MAX
    assert np.abs(levels * scale[:, None] - weight).max() <= scale.max() / 2 * 1.0001


def test_the_range_that_rounds_with_least_error_is_chosen():
    """One outlier in a million is not worth coarse steps for all the others; one in a thousand is."""
    values = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    rare, common = np.append(values, np.float32(60.0)), np.append(values[:1000], np.float32(60.0))
    assert choose_range(rare).high < 10
    assert choose_range(common).high == 60.0
    whole = Range(float(rare.min()), float(rare.max()))
    assert np.mean((rare - round_trip(rare, choose_range(rare))) ** 2) < np.mean((rare - round_trip(rare, whole)) ** 2)


def test_means_are_of_all_tokens_and_rounding_is_measured_on_a_sample():
    """A sample of a tenth gives the mean after rounding to a few hundredths of a step."""
    generator = np.random.default_rng(0)
    runs = [generator.normal(size=(4000, 8)).astype(np.float32) ** 2 for _ in range(5)]
    every = np.concatenate(runs)
    seen = Observations(tokens_per_run=400)
    for values in runs:
        seen.add(values)
    found = seen.summarize()
    np.testing.assert_allclose(found.mean, every.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        found.rounded_mean, round_trip(every, found.range).mean(axis=0), atol=0.03 * found.range.scale
    )
    assert found.range.low == 0.0
    assert np.percentile(every, 99.9) < found.range.high <= every.max()


def test_with_as_many_tokens_as_the_sample_takes_the_mean_after_rounding_is_exact():
    values = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    seen = Observations(tokens_per_run=64)
    seen.add(values)
    found = seen.summarize()
    np.testing.assert_allclose(found.rounded_mean, round_trip(values, found.range).mean(axis=0), atol=1e-6)
