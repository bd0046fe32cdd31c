"""What holds for every packed family, whatever its task."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto
from transformers import PreTrainedModel

from app.graphs.dequantize import dequantize
from app.graphs.fusing import fuse
from tests.support.encoders import PackedGraph, random_windows, torch_answer
from tests.support.tiny import fp16_graph, fp32_graph
from training.encoders import family_of
from training.export.quantize import operators_of, quantize_int8
from training.export.verify import LENGTH_MIXES

TOLERANCE = 1e-4


def mixes_for(model: PreTrainedModel):
    """Yield batches of windows of every mix of lengths that an export is verified with."""
    family = family_of(model)
    is_sequence = type(model).__name__.endswith("ForSequenceClassification")
    for seed, lengths in enumerate(LENGTH_MIXES):
        yield random_windows(
            lengths,
            all_rows=not is_sequence,
            limit=family.positions(model.config),
            types=family.token_types(model.config) > 1,
            seed=seed,
        )


def check_fp32(model: PreTrainedModel) -> None:
    """The fp32 graph answers as torch does over every mix, and each window as it does alone."""
    graph = PackedGraph(fp32_graph(model), model)
    for windows in mixes_for(model):
        for window, answer in zip(windows, graph.run(windows), strict=True):
            expected = torch_answer(model, window)
            assert np.abs(expected).max() < 100  # where a difference of 1e-4 is no matter of rounding
            np.testing.assert_allclose(answer, expected, atol=TOLERANCE)
            np.testing.assert_allclose(graph.run([window])[0], answer, atol=TOLERANCE)


def check_int8(model: PreTrainedModel, layers: int) -> ModelProto:
    """Every linear layer and the word embeddings become int8, and no answer depends on the batch."""
    fp32 = fp32_graph(model)
    exact = PackedGraph(fp32, model)
    mixes = list(mixes_for(model))
    int8 = quantize_int8(fp32, [exact.layout.feed(windows) for windows in mixes])
    parts = ("qkv", "attention_output", "intermediate", "output")
    wanted = {"embeddings.word", *(f"layers.{layer}.{part}" for layer in range(layers) for part in parts)}
    assert wanted <= set(operators_of(fp32))
    stored = {tensor.name: tensor.data_type for tensor in int8.graph.initializer}
    assert all(stored[f"{name}.weight.int8"] == onnx.TensorProto.INT8 for name in operators_of(fp32))
    rounded, errors, scales = PackedGraph(int8, model), [], []
    for windows in mixes:
        for window, answer, close in zip(windows, rounded.run(windows), exact.run(windows), strict=True):
            np.testing.assert_allclose(rounded.run([window])[0], answer, atol=TOLERANCE)
            errors.append(np.abs(answer - close).mean())
            scales.append(close.std() if close.size > 1 else np.abs(close).max())
    assert np.mean(errors) < 0.25 * np.mean(scales)  # the weights are random: a trained model has less noise
    return int8


def check_int8_for_cuda(int8: ModelProto, layers: int) -> None:
    """An int8 graph is made one for CUDA as RoBERTa's is: floats for every weight, one packed node per attention."""
    graph = fuse(dequantize(int8, np.float16, packed_attention=True))
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("PackedMultiHeadAttention") == layers
    assert not {"QuantizeLinear", "MatMulIntegerToFloat", "Attention", "If"} & set(kinds)
    assert onnx.TensorProto.INT8 not in {tensor.data_type for tensor in graph.graph.initializer}


def check_fp16(model: PreTrainedModel, packed_attention: int) -> ModelProto:
    """The fp16 graph is written for CUDA: weights in fp16, answers in fp32, attention packed where it can be."""
    graph = fp16_graph(model)
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("PackedMultiHeadAttention") == packed_attention
    assert {opset.domain: opset.version for opset in graph.opset_import} == {"": 20, "com.microsoft": 1}
    weights = {tensor.data_type for tensor in graph.graph.initializer if tensor.dims}
    assert onnx.TensorProto.FLOAT16 in weights
    assert onnx.TensorProto.FLOAT not in weights
    assert graph.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    return graph
