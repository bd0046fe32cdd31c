"""Graphs with onnxruntime's contributed operators answer what they answered before, as far as a CPU can run them."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.graphs.dequantize import dequantize
from app.graphs.fusing import fuse
from app.graphs.gpu import read_for_gpu
from app.runtime.packing import PackedLayout
from app.runtime.session import session_options
from app.window import Window
from tests.app.builders import toy_graph
from tests.support.tiny import fp32_graph, tiny_model

TASKS = ("text-classification", "token-classification", "fill-mask")
PACKED_INPUTS = ("input_ids", "position_ids", "head_rows", "token_offset", "cumulative_lengths")
GRID_INPUTS = ("input_ids", "position_ids", "head_rows", "pad_rows", "unpad_rows", "attention_mask", "single_window")


def kinds(graph):
    return Counter(node.op_type for node in graph.graph.node)


def run(graph, feed):
    session = ort.InferenceSession(graph.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def make_feed(names):
    windows = [Window(np.arange(5, 5 + n), np.array([0, n - 1])) for n in (3, 17, 60)]
    return PackedLayout(names, 2).feed(windows)


@pytest.fixture(scope="module", params=TASKS)
def exported(request):
    """An fp32 graph whose biases are not zero, or the exporter would leave them out."""
    import torch

    model = tiny_model(request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return fp32_graph(model)


def test_norms_and_gelus_take_over_biases_and_the_answer_is_the_same(exported):
    fused = fuse(exported)
    before, after = kinds(exported), kinds(fused)
    assert after["SkipLayerNormalization"] == 5  # the embeddings', and two in each of two layers
    assert before["LayerNormalization"] == after["SkipLayerNormalization"] + after["LayerNormalization"]
    assert after["BiasGelu"] == before["Gelu"]
    assert after["Gelu"] == 0
    bare = [node for node in fused.graph.node if node.op_type == "Gemm" and len(node.input) == 2]
    assert len(bare) == 2 * 2 + after["BiasGelu"]  # all but QKV's, which attention takes over on CUDA, and the heads'
    feed = make_feed(GRID_INPUTS)
    np.testing.assert_allclose(run(fused, feed)[0], run(exported, feed)[0], atol=1e-5)


def test_attention_gets_the_product_by_head_and_its_bias(exported):
    """Up to attention, which only CUDA has: (T, heads, 3, width), and the bias by matrix, are what was split before."""
    packed = dequantize(exported, np.float32, packed_attention=True)
    fused = fuse(packed)
    assert "Split" not in kinds(fused)
    plain = next(node for node in packed.graph.node if node.op_type == "PackedMultiHeadAttention")
    ours = next(node for node in fused.graph.node if node.op_type == "PackedMultiHeadAttention")
    assert list(ours.input[1:3]) == ["", ""]
    assert list(ours.input[4:]) == ["token_offset", "cumulative_lengths"]
    assert ours.attribute == plain.attribute
    feed = make_feed(("input_ids", "position_ids"))
    (by_head,) = run(cut(fused, ours.input[:1]), feed)  # (T, heads, 3, width)
    matrices = run(cut(packed, plain.input[:3]), feed)  # three of (T, hidden)
    (bias,) = (numpy_helper.to_array(w) for w in fused.graph.initializer if w.name == ours.input[3])
    for number, (matrix, part) in enumerate(zip(matrices, np.split(bias, 3), strict=True)):
        np.testing.assert_allclose(by_head[:, :, number].reshape(matrix.shape) + part, matrix, atol=1e-5)


def cut(graph, outputs):
    """The graph up to some of its tensors."""
    part = onnx.ModelProto()
    part.CopyFrom(graph)
    del part.graph.output[:], part.graph.node[:]
    wanted = set(outputs)
    for node in reversed(graph.graph.node):
        if wanted & set(node.output):
            part.graph.node.insert(0, node)
            wanted |= set(node.input)
    for value in [value for value in part.graph.input if value.name not in wanted]:
        part.graph.input.remove(value)
    part.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
    return part


def test_onnxruntime_takes_what_a_gpu_gets_but_for_the_kernel_that_only_cuda_has(shipped_models):
    """Types and shapes are inferred for the whole graph before a kernel is looked for."""
    graph = read_for_gpu(shipped_models / "sentiment/1/model.int8.onnx", "int8")
    found = kinds(onnx.load_from_string(graph))
    assert found["PackedMultiHeadAttention"] == found["BiasGelu"] == 6
    assert found["SkipLayerNormalization"] == 13
    assert not found.keys() & {"Gelu", "LayerNormalization", "Split"}
    with pytest.raises(Exception, match=r"Failed to find kernel for com\.microsoft\.PackedMultiHeadAttention"):
        ort.InferenceSession(graph, session_options(1), providers=["CPUExecutionProvider"])


# --- What stays as it is ----------------------------------------------------------------------------------


def linear_graph(*nodes, outputs=("y",), bias_shape=(4,)):
    """x (T, 4) through a Gemm to `linear`, and whatever follows."""
    weight, bias = np.eye(4, dtype=np.float32), np.ones(bias_shape, np.float32)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "weight", "bias"], ["linear"]), *nodes],
        "linear",
        [tensor("x", TensorProto.FLOAT, ["T", 4])],
        [tensor(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize(
    "graph",
    [
        toy_graph(),
        linear_graph(helper.make_node("Gelu", ["linear"], ["y"], approximate="tanh")),
        linear_graph(helper.make_node("Gelu", ["linear"], ["y"]), bias_shape=(1, 4)),
        linear_graph(helper.make_node("Gelu", ["linear"], ["g"]), helper.make_node("Add", ["g", "linear"], ["y"])),
        linear_graph(
            helper.make_node("Add", ["linear", "bias"], ["sum"]),
            helper.make_node("LayerNormalization", ["sum", "bias", "bias"], ["y"]),
        ),
    ],
    ids=["nothing known", "another GELU", "a bias of two dimensions", "two readers", "a row added to all"],
)
def test_what_is_not_known_stays_as_it_is(graph):
    assert [node.op_type for node in fuse(graph).graph.node] == [node.op_type for node in graph.graph.node]
