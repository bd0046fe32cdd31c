"""Rewriting an int8 or fp32 graph that was exported for the CPU to one for CUDA.

CUDA has no kernels for the unsigned int8 activations of `training.export.quantize`; its tensor cores multiply fp16.
Weights become their dequantized values, activations are not rounded, and attention reads the packed rows without a
grid. So one small graph in a bundle serves both devices. Only the patterns that our exporter writes are known; any
other graph is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from app.graphs.rewriting import RewriteError, Rewriter, needed

OPSET = 20  # of rewritten graphs, as of exported fp16 graphs
GRID_INPUTS = ("pad_rows", "unpad_rows", "attention_mask")
INTEGER_ARITHMETIC = {
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "QLinearMatMul",
    "QuantizeLinear",
}

FloatType = type[np.float16] | type[np.float32]


def dequantize(model: ModelProto, dtype: FloatType, *, packed_attention: bool) -> ModelProto:
    """Return `model` with float weights of `dtype`; its output stays float32.

    `packed_attention` replaces attention over the grid, and the inputs that describe the grid, by CUDA's attention over
    packed rows. Without it the graph runs on the CPU in float32, which tests use. Raises `RewriteError`.
    """
    rewriter = Dequantizer(model, dtype)
    rewriter.dequantize_embeddings()
    rewriter.dequantize_linears()
    if packed_attention:
        rewriter.pack_attention()
    rewriter.convert_floats()
    return rewriter.finish()


class Dequantizer(Rewriter):
    """Replaces the patterns of `training.export.quantize` by the float operators that they stand for."""

    def __init__(self, model: ModelProto, dtype: FloatType) -> None:
        super().__init__(model)
        self.dtype, self.onnx_dtype = np.dtype(dtype), helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    # --- The patterns of training.export.quantize -----------------------------------------------------

    def dequantize_embeddings(self) -> None:
        """Gather(levels) -> Cast -> Mul(Unsqueeze(Gather(scale))) becomes one Gather of floats."""
        for gather in self.find("Gather"):
            levels = gather.input[0]
            if self.weights.get(levels, np.empty(0)).dtype != np.int8:
                continue
            product = self.only_reader(self.only_reader(gather.output[0], "Cast").output[0], "Mul")
            table = self.dequantized(levels, scale_of(levels), axis=0)
            self.replace(product, helper.make_node("Gather", [table, gather.input[1]], [product.output[0]]))

    def dequantize_linears(self) -> None:
        """QuantizeLinear -> MatMulIntegerToFloat becomes one Gemm on the activation as it was."""
        for product in self.find("MatMulIntegerToFloat"):
            quantized, columns, _, scale, _, _, *bias = product.input
            quantizer = self.producer(quantized)
            if quantizer is None or quantizer.op_type != "QuantizeLinear":
                raise unknown(f"{product.op_type} {product.output[0]} has an input that is not a QuantizeLinear")
            transposition = self.producer(columns)
            by_rows = transposition is not None and transposition.op_type == "Transpose"
            levels = transposition.input[0] if transposition is not None and by_rows else columns
            weight = self.dequantized(levels, scale, axis=0 if by_rows else 1)
            inputs = [quantizer.input[0], weight, *(name for name in bias if name)]
            self.replace(product, helper.make_node("Gemm", inputs, list(product.output), transB=int(by_rows)))

    def pack_attention(self) -> None:
        """Gather -> Split -> Attention -> Reshape -> Gather becomes Split -> PackedMultiHeadAttention.

        The other nodes are of an opset before ONNX had Attention, so the graph has that opset. The branch for a single
        window is dropped: it skips the grid, which packed attention does not have.
        """
        self.choose_branches("single_window", "else_branch")
        attentions = self.find("Attention")
        if not attentions:
            raise unknown("it has no Attention")
        shapes = {name: value for value in self.inputs if (name := value.name) in GRID_INPUTS}
        if len(shapes) < len(GRID_INPUTS):
            raise unknown(f"it lacks the inputs {', '.join(sorted(set(GRID_INPUTS) - shapes.keys()))}")
        for attention in attentions:
            self.pack_one(attention)
        kept = [value for value in self.inputs if value.name not in shapes]
        where = [
            helper.make_tensor_value_info("token_offset", TensorProto.INT32, ["texts", "longest"]),
            helper.make_tensor_value_info("cumulative_lengths", TensorProto.INT32, ["texts_plus_1"]),
        ]
        self.inputs = [*kept, *where]
        self.opsets |= {"": OPSET, "com.microsoft": 1}

    def pack_one(self, attention: NodeProto) -> None:
        split = self.producer(attention.input[0])
        gather = self.producer(split.input[0]) if split is not None else None
        if split is None or gather is None or list(split.output) != list(attention.input[:3]):
            raise unknown(f"attention {attention.output[0]} does not read one Split of the padded rows")
        if gather.op_type != "Gather" or gather.input[1] != "pad_rows":
            raise unknown(f"attention {attention.output[0]} does not read rows that pad_rows has gathered")
        if list(attention.input[3:]) != ["attention_mask"]:
            raise unknown(f"attention {attention.output[0]} has another mask than attention_mask")
        unpadded = self.only_reader(self.only_reader(attention.output[0], "Reshape").output[0], "Gather")
        parts = list(split.output)
        self.replace(split, helper.make_node("Split", [gather.input[0]], parts, axis=1, num_outputs=3))
        packed = helper.make_node(
            "PackedMultiHeadAttention",
            [*parts, "", "token_offset", "cumulative_lengths"],
            list(unpadded.output),
            domain="com.microsoft",
            num_heads=next(a.i for a in attention.attribute if a.name == "q_num_heads"),
        )
        packed.attribute.extend(a for a in attention.attribute if a.name == "scale")
        self.replace(unpadded, packed)

    def convert_floats(self) -> None:
        """Make every float weight and every Cast to float `dtype`, and cast the logits back."""
        for name, values in self.weights.items():
            if values.dtype == np.float32:
                self.weights[name] = self.narrowed(name, values)
        if self.dtype == np.float32:
            return
        for cast in self.find("Cast"):
            for attribute in cast.attribute:
                if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = self.onnx_dtype
        output = self.output
        last = self.producer(output)
        if last is None:
            raise unknown("nothing computes its output")
        narrow = f"{output}.{self.dtype}"
        last.output[list(last.output).index(output)] = narrow
        self.nodes.append(helper.make_node("Cast", [narrow], [output], to=TensorProto.FLOAT))

    # --- What the patterns are made of ----------------------------------------------------------------

    def only_reader(self, name: str, op_type: str) -> NodeProto:
        readers = self.readers(name)
        if len(readers) != 1 or readers[0].op_type != op_type:
            raise unknown(f"{name} is read by {', '.join(n.op_type for n in readers) or 'nothing'}, not by {op_type}")
        return readers[0]

    def dequantized(self, levels: str, scale: str, axis: int) -> str:
        """Store levels times scale, which has an element for each index of `axis`; return the new weight's name."""
        name = levels.removesuffix(".int8")
        if name not in self.weights:
            if not {levels, scale} <= self.weights.keys():
                raise unknown(f"{levels} or {scale} is not a constant")
            scales = np.expand_dims(self.weights[scale], 1 - axis)
            self.weights[name] = self.weights[levels].astype(np.float32) * scales
        return name

    def narrowed(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            narrow = values.astype(self.dtype)
        if not np.isfinite(narrow).all():
            raise RewriteError(f"{name} has values beyond {self.dtype}; export the bundle with fp32")
        return narrow

    def finish(self) -> ModelProto:
        if left := INTEGER_ARITHMETIC & {node.op_type for node in needed(self.nodes, self.output)}:
            raise unknown(f"it has {', '.join(sorted(left))} in places that are not known")
        return super().finish()


def scale_of(levels: str) -> str:
    return f"{levels.removesuffix('.int8')}.scale"


def unknown(what: str) -> RewriteError:
    return RewriteError(
        f"the graph is not one that can be rewritten for CUDA: {what}; export the bundle again with fp16"
    )
