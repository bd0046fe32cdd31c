"""int8 graphs rewritten for a GPU, held against the checkpoint's own logits on the CPU."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from app.bundle import read_bundle
from app.graphs.dequantize import dequantize
from app.graphs.rewriting import RewriteError
from app.runtime.cpu.session import CpuSession
from app.runtime.packing import PackedLayout
from app.runtime.session import session_options
from app.tasks import open_task
from tests.app.builders import toy_graph

SHIPPED = ("sentiment", "ner", "fill-mask")
PACKED_INPUTS = {"input_ids", "position_ids", "head_rows", "token_offset", "cumulative_lengths"}


@pytest.fixture(params=SHIPPED)
def bundle(request, shipped_models):
    (path,) = (shipped_models / request.param).iterdir()
    return read_bundle(path, name=request.param, version=int(path.name))


def drifts(session, bundle):
    """How far each probe's logits are from the checkpoint's."""
    task = open_task(bundle, "int8")
    return [probe.drift(session.run([task.probe(probe.text)])[0]) for probe in bundle.manifest.probes]


def test_a_shipped_bundle_dequantized_is_the_checkpoint_and_nearer_to_it_than_int8(bundle):
    session = CpuSession(bundle, "int8")
    int8 = drifts(session, bundle)
    graph = dequantize(onnx.load(bundle.graph_file("int8")), np.float32, packed_attention=False)
    session.session = ort.InferenceSession(
        graph.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )
    dequantized = drifts(session, bundle)
    assert max(dequantized) < bundle.manifest.graphs["int8"].tolerance
    assert max(dequantized) < max(int8)
    assert np.mean(dequantized) < np.mean(int8)


def test_what_a_gpu_gets_is_fp16_with_packed_attention(bundle):
    before = onnx.load(bundle.graph_file("int8"))
    graph = dequantize(onnx.load(bundle.graph_file("int8")), np.float16, packed_attention=True)
    onnx.checker.check_model(graph)
    kinds = Counter(node.op_type for node in graph.graph.node)
    linears = Counter(node.op_type for node in before.graph.node)
    assert kinds["PackedMultiHeadAttention"] == bundle.config["num_hidden_layers"]
    assert kinds["Gemm"] == linears["MatMulIntegerToFloat"] + linears["Gemm"]
    assert not kinds.keys() & {"QuantizeLinear", "MatMulIntegerToFloat", "Attention", "Transpose", "Mul"}
    assert {opset.domain: opset.version for opset in graph.opset_import} == {"": 20, "com.microsoft": 1}
    assert {i.name for i in graph.graph.input} == PACKED_INPUTS
    PackedLayout(PACKED_INPUTS, 2)  # every one is an array that the service makes
    assert {t.data_type for t in graph.graph.initializer} == {TensorProto.FLOAT16, TensorProto.INT64}
    (output,) = graph.graph.output
    assert (output.name, output.type.tensor_type.elem_type) == ("logits", TensorProto.FLOAT)
    read = {name for node in graph.graph.node for name in node.input}
    assert {t.name for t in graph.graph.initializer} <= read


def test_packed_attention_has_the_inputs_and_attributes_that_the_operator_documents(bundle):
    """query, key, value (T, hidden), no bias, token_offset (B, S) and cumulative_sequence_length (B + 1), int32."""
    graph = dequantize(onnx.load(bundle.graph_file("int8")), np.float16, packed_attention=True).graph
    types = {i.name: i.type.tensor_type for i in graph.input}
    assert [types[name].elem_type for name in ("token_offset", "cumulative_lengths")] == [TensorProto.INT32] * 2
    assert [len(types[name].shape.dim) for name in ("token_offset", "cumulative_lengths")] == [2, 1]
    by_output = {name: node for node in graph.node for name in node.output}
    attention = [node for node in graph.node if node.op_type == "PackedMultiHeadAttention"]
    for node in attention:
        assert node.domain == "com.microsoft"
        assert list(node.input[3:]) == ["", "token_offset", "cumulative_lengths"]
        assert {a.name: a.i for a in node.attribute} == {"num_heads": bundle.config["num_attention_heads"]}
        split = by_output[node.input[0]]
        assert list(split.output) == list(node.input[:3])
        assert {a.name: a.i for a in split.attribute} == {"axis": 1, "num_outputs": 3}
        assert by_output[split.input[0]].op_type == "Gemm"


def test_operators_left_in_fp32_are_rewritten_too():
    from tests.support.tiny import fp32_graph, tiny_model
    from tests.training.export.test_quantize import make_feeds
    from training.export.gate import logits_of
    from training.export.quantize import operators_of, quantize_int8

    graph = fp32_graph(tiny_model("fill-mask"))
    feeds = make_feeds(graph, all_rows=True)
    for_gpu = dequantize(graph, np.float32, packed_attention=True)  # fp32 that is chosen stays fp32
    assert {i.name for i in for_gpu.graph.input} == PACKED_INPUTS
    assert TensorProto.FLOAT16 not in {t.data_type for t in for_gpu.graph.initializer}
    for kept in (frozenset(), {"embeddings.word"}, {"layers.0.qkv", "layers.1.output"}, set(operators_of(graph))):
        int8 = quantize_int8(graph, feeds, kept)
        rewritten = dequantize(int8, np.float32, packed_attention=False)
        errors = [np.abs(logits_of(each, feeds) - logits_of(graph, feeds)).mean() for each in (rewritten, int8)]
        assert errors[0] <= errors[1] < 0.5
        packed = dequantize(int8, np.float16, packed_attention=True)
        assert {i.name for i in packed.graph.input} == PACKED_INPUTS


def test_another_graph_is_refused_with_a_sentence():
    graph = toy_graph()
    graph.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["logits"], ["u8", "s", "z"]))
    graph.graph.node.append(helper.make_node("DequantizeLinear", ["u8", "s", "z"], ["rounded"]))
    graph.graph.output[0].name = "rounded"
    with pytest.raises(RewriteError, match="it has DequantizeLinear, DynamicQuantizeLinear in places"):
        dequantize(graph, np.float32, packed_attention=False)
    with pytest.raises(RewriteError, match="it has no Attention"):
        dequantize(toy_graph(), np.float16, packed_attention=True)


def test_weights_beyond_fp16_are_refused():
    table = np.full((1000, 3), 1e5, np.float32)
    with pytest.raises(RewriteError, match="table has values beyond float16"):
        dequantize(toy_graph(table), np.float16, packed_attention=False)
