"""int8 graphs whose answers do not depend on the rest of the batch.

ONNX Runtime's dynamic quantization takes one activation scale from the whole batch, so a text's answer moves
with the other texts. Here every activation has a scale measured beforehand (`ranges`). Activations are uint8 with
a zero point, weights signed with a scale per output channel, and each linear layer of the encoder becomes
`QuantizeLinear -> com.microsoft.MatMulIntegerToFloat`. Heads stay fp32, but for a vocabulary projection tied
to the word embeddings: those are stored once, int8 with a scale per row, for both uses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from app.graphs.rewriting import reads
from training.export.ranges import Activation, Feed, observe_activations

# AVX2's int8 instruction adds two u8*s8 products in a saturating int16. 2 * 255 * 64 < 2**15, so weights
# within +-64 cannot saturate, and every CPU computes the same integers as one with VNNI. Errors are hardly
# larger than with +-127.
WEIGHT_MAX = 64
EMBEDDINGS = "embeddings.word.weight"
HEAD_PREFIX = "head."
NOTHING: AbstractSet[str] = frozenset()


def quantize_int8(model: ModelProto, feeds: Iterable[Feed], keep_fp32: AbstractSet[str] = NOTHING) -> ModelProto:
    """Return an int8 copy of an fp32 packed graph, with the activation scales that `feeds` need.

    The operators named in `keep_fp32`, of those that `operators_of` lists, stay as they are.
    """
    return quantize(model, measure_activations(model, feeds), keep_fp32)


def measure_activations(model: ModelProto, feeds: Iterable[Feed]) -> dict[str, Activation]:
    """Measure every activation that int8 may round; this serves any choice of operators."""
    return observe_activations(model, [node.input[0] for node in find_linears(model)], feeds)


def quantize(
    model: ModelProto, activations: Mapping[str, Activation], keep_fp32: AbstractSet[str] = NOTHING
) -> ModelProto:
    """Return an int8 copy of `model` by measured activations, the operators in `keep_fp32` left as they are."""
    return Quantizer(model, activations, keep_fp32).run()


def operators_of(model: ModelProto) -> list[str]:
    """List the operators that int8 quantizes, by the names of their weights: `embeddings.word`, `layers.0.qkv`, ..."""
    return list(dict.fromkeys([name_of(EMBEDDINGS), *(name_of(node.input[1]) for node in find_linears(model))]))


def name_of(weight: str) -> str:
    return weight.removesuffix(".weight")


def find_linears(model: ModelProto) -> list[NodeProto]:
    """List the Gemm nodes to quantize, `x (rows, K) @ weight (N, K).T + bias (N,)`."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type == "Gemm" and node.input[1] in constants and not node.input[1].startswith(HEAD_PREFIX)
    ]


def quantize_rows(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize each row of (rows, K) symmetrically: int8 within +-WEIGHT_MAX, and a scale per row."""
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-8) / WEIGHT_MAX
    return np.round(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def weights_of(model: ModelProto) -> dict[str, NDArray[np.float32]]:
    """Return the float weights of a packed graph, by their names before int8; those in int8 as what they stand for."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {}
    for name, values in tensors.items():
        weight = name.removesuffix(".int8")
        if values.dtype == np.int8:
            rows = values if weight == EMBEDDINGS else values.T  # (N, K)
            weights[weight] = rows * tensors[f"{weight}.scale"][:, None]
        elif values.dtype == np.float32 and not name.endswith(".scale"):
            weights[weight] = values.copy()
    return weights


class Quantizer:
    """Rewrites one graph, node by node, in order."""

    def __init__(self, model: ModelProto, activations: Mapping[str, Activation], keep_fp32: AbstractSet[str]) -> None:
        self.result = copy.deepcopy(model)
        self.activations = activations
        self.keep_fp32 = keep_fp32
        self.linears = {n.output[0] for n in find_linears(model) if name_of(n.input[1]) not in keep_fp32}
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.constants: dict[str, TensorProto] = {}
        self.nodes: list[NodeProto] = []

    def run(self) -> ModelProto:
        for node in self.result.graph.node:
            if node.op_type == "Gather" and node.input[0] == EMBEDDINGS and name_of(EMBEDDINGS) not in self.keep_fp32:
                self.add_embedding(node)
            elif node.output[0] in self.linears:
                self.add_linear(node)
            else:
                self.nodes.append(node)
        graph = self.result.graph
        used = {name for node in self.nodes for name in reads(node)}
        kept = [tensor for tensor in graph.initializer if tensor.name in used] + list(self.constants.values())
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(kept)
        self.result.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return self.result

    def add_embedding(self, gather: NodeProto) -> None:
        """Gather int8 rows and their scales, and dequantize only those: (T,) -> (T, hidden)."""
        ids, output = gather.input[1], gather.output[0]
        levels, scale = self.rows_of(EMBEDDINGS)
        self.add("Gather", [levels, ids], f"{output}.int8")
        self.add("Cast", [f"{output}.int8"], f"{output}.levels", to=TensorProto.FLOAT)
        self.add("Gather", [scale, ids], f"{output}.row_scale")
        axis = self.constant("last_axis", np.array([-1]))
        self.add("Unsqueeze", [f"{output}.row_scale", axis], f"{output}.scale")
        self.add("Mul", [f"{output}.levels", f"{output}.scale"], output)

    def add_linear(self, gemm: NodeProto) -> None:
        x, weight, *bias = gemm.input  # the exporter leaves out a bias of zeros
        activation = self.activations[x]
        scale = self.constant(f"{x}.scale", np.asarray(activation.range.scale))
        zero_point = self.constant(f"{x}.zero_point", np.asarray(activation.range.zero_point))
        self.add("QuantizeLinear", [x, scale, zero_point], f"{x}.uint8")
        columns, column_scale = self.columns_of(weight)
        corrected = self.corrected_bias(weight, bias[0] if bias else None, activation)
        inputs = [f"{x}.uint8", columns, scale, column_scale, zero_point, "", corrected]
        self.add("MatMulIntegerToFloat", inputs, gemm.output[0], domain="com.microsoft")

    def corrected_bias(self, weight: str, bias: str | None, activation: Activation) -> str:
        """Take out of a bias (N,) what rounding adds to the layer's outputs on average; return the new one's name.

        Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2.
        """
        exact = numpy_helper.to_array(self.weights[weight])  # (N, K)
        levels, scale = quantize_rows(exact)
        shift = (levels @ activation.rounded_mean) * scale - exact @ activation.mean  # (N,)
        before = numpy_helper.to_array(self.weights[bias]) if bias else 0.0
        return self.constant(f"{name_of(weight)}.bias.int8", (before - shift).astype(np.float32))

    def rows_of(self, weight: str) -> tuple[str, str]:
        """Store a weight (N, K) as int8 with a scale per row; return the names of both."""
        levels, scale = quantize_rows(numpy_helper.to_array(self.weights[weight]))
        return self.constant(f"{weight}.int8", levels), self.constant(f"{weight}.scale", scale)

    def columns_of(self, weight: str) -> tuple[str, str]:
        """Store a weight (N, K) as int8 (K, N) with a scale per column; return the names of both."""
        if weight == EMBEDDINGS:  # stored once, by rows; onnxruntime folds the transposition at load
            rows, scale = self.rows_of(weight)
            self.add("Transpose", [rows], f"{weight}.columns", perm=[1, 0])
            return f"{weight}.columns", scale
        levels, column_scale = quantize_rows(numpy_helper.to_array(self.weights[weight]))
        columns = self.constant(f"{weight}.int8", np.ascontiguousarray(levels.T))
        return columns, self.constant(f"{weight}.scale", column_scale)

    def add(self, op_type: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(values, name))
        return name
