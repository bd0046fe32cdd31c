"""Fewer passes over memory on CUDA, by onnxruntime's contributed operators in place of ONNX's.

onnxruntime's CUDA Gemm writes the bias to every output row before it multiplies, an addition and a norm over packed
rows, (T, hidden), stay two kernels, and a product that holds query, key and value is split first. The contributed
operators do all of this in passes that are needed anyway. Only the order of additions changes. Sources: onnxruntime's
gemm.cc, skip_layer_norm.cc, bias_gelu.cc and packed_multihead_attention_impl.cu.

On the CPU this does not pay: its SkipLayerNormalization is slower than an Add and a LayerNormalization.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from app.graphs.rewriting import Rewriter

CONTRIBUTED = "com.microsoft"


def fuse(model: ModelProto) -> ModelProto:
    """Return `model`, a packed graph in fp16 or fp32, with fewer and larger nodes; other patterns stay."""
    fuser = Fuser(model)
    fuser.fuse_norms()
    fuser.fuse_gelus()
    fuser.fuse_attention()
    return fuser.finish()


class Fuser(Rewriter):
    """Replaces each of the patterns that our exporter writes by one node."""

    def fuse_norms(self) -> None:
        """Add -> LayerNormalization becomes SkipLayerNormalization, which also adds the bias of the product before."""
        for norm in self.find("LayerNormalization"):
            added = self.producer(norm.input[0])
            if added is None or added.op_type != "Add" or len(self.readers(added.output[0])) > 1:
                continue
            if any(name in self.weights for name in added.input):  # one row that is added to every token
                continue
            bias = next((taken for name in added.input if (taken := self.take_bias(name))), "")
            fused = contributed("SkipLayerNormalization", [*added.input, *norm.input[1:3], bias], norm)
            fused.attribute.extend(a for a in norm.attribute if a.name == "epsilon")
            self.replace(norm, fused)
            self.nodes.remove(added)

    def fuse_gelus(self) -> None:
        """Gemm -> Gelu becomes Gemm without a bias -> BiasGelu."""
        for gelu in self.find("Gelu"):
            is_exact = all(a.s in (b"", b"none") for a in gelu.attribute if a.name == "approximate")
            if is_exact and (bias := self.take_bias(gelu.input[0])):
                self.replace(gelu, contributed("BiasGelu", [gelu.input[0], bias], gelu))

    def fuse_attention(self) -> None:
        """Gemm -> Split -> attention becomes Gemm without a bias -> attention that reads (T, heads, 3, width)."""
        for attention in self.find("PackedMultiHeadAttention"):
            split = self.producer(attention.input[0])
            if split is None or split.op_type != "Split" or list(split.output) != list(attention.input[:3]):
                continue
            product = self.producer(split.input[0])
            if product is None or not self.is_linear(product) or len(self.readers(split.input[0])) > 1:
                continue
            bias = self.take_bias(split.input[0])
            heads = next(a.i for a in attention.attribute if a.name == "num_heads")
            packed = self.multiply_by_head(product, heads)
            self.nodes.remove(split)
            inputs = [packed, "", "", bias, *attention.input[4:6]]
            fused = contributed("PackedMultiHeadAttention", inputs, attention)
            fused.attribute.extend(attention.attribute)
            self.replace(attention, fused)

    def multiply_by_head(self, product: NodeProto, heads: int) -> str:
        """Sort the columns of a product, (T, 3 * hidden), by head; return the name of (T, heads, 3, width)."""
        weight = self.weights[product.input[1]]
        rows = weight if is_transposed(product) else weight.T  # (3 * hidden, hidden)
        by_head = rows.reshape(3, heads, -1, rows.shape[1]).swapaxes(0, 1)  # (heads, 3, width, hidden)
        linear = product.output[0]
        name, shape, packed = f"{linear}.weight", f"{linear}.shape", f"{linear}.by_head"
        self.weights[name] = by_head.reshape(rows.shape)
        self.weights[shape] = np.array([-1, *by_head.shape[:3]], np.int64)
        sorted_product = helper.make_node("Gemm", [product.input[0], name], [linear], transB=1)
        self.replace(product, sorted_product, helper.make_node("Reshape", [linear, shape], [packed]))
        return packed

    def take_bias(self, name: str) -> str:
        """Remove the bias, (width,), from the Gemm that computes `name` and return its name, or an empty one."""
        product = self.producer(name)
        if product is None or len(product.input) < 3 or not self.is_linear(product) or len(self.readers(name)) > 1:
            return ""
        bias: str = product.input.pop()
        return bias

    def is_linear(self, product: NodeProto) -> bool:
        """Whether a node is x W + b or x W: a Gemm without factors, its weight and its bias, (width,), constants."""
        if product.op_type != "Gemm" or any(a.f != 1 for a in product.attribute if a.name in ("alpha", "beta")):
            return False
        weight, *bias = product.input[1:]
        return weight in self.weights and all(b in self.weights and self.weights[b].ndim == 1 for b in bias)


def contributed(op_type: str, inputs: list[str], old: NodeProto) -> NodeProto:
    """Return a node of an operator of onnxruntime's own that has the outputs of `old`."""
    return helper.make_node(op_type, inputs, list(old.output), domain=CONTRIBUTED)


def is_transposed(product: NodeProto) -> bool:
    """Whether a Gemm's weight has a row for each output."""
    return any(a.name == "transB" and a.i for a in product.attribute)
