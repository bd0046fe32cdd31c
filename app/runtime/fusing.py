"""Fewer passes over memory on CUDA: onnxruntime's contributed operators in place of ONNX's.

Its CUDA Gemm writes a bias out to every row before it multiplies, it does not join an addition and a norm over packed
rows, (T, hidden), and three matrices that one product made have to be split first. The contributed operators do all
that within passes that are made anyway. What is computed stays the same but for the order of additions. Sources:
onnxruntime's gemm.cc, skip_layer_norm.cc, bias_gelu.cc and packed_multihead_attention_impl.cu.

Not for the CPU, whose SkipLayerNormalization measured slower than an Add and a LayerNormalization.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from app.runtime.rewriting import Rewriter

CONTRIBUTED = "com.microsoft"


def fuse(model: ModelProto) -> ModelProto:
    """Return `model`, a packed graph in fp16 or fp32, with fewer and larger nodes. What is not known stays as it is."""
    fuser = Fuser(model)
    fuser.fuse_norms()
    fuser.fuse_gelus()
    fuser.fuse_attention()
    return fuser.finish()


class Fuser(Rewriter):
    """Finds the patterns that our exporter writes, and replaces each by one node."""

    def fuse_norms(self) -> None:
        """Add -> LayerNormalization becomes SkipLayerNormalization, which adds a product's bias as well."""
        for norm in self.find("LayerNormalization"):
            added = self.producer(norm.input[0])
            if added is None or added.op_type != "Add" or len(self.readers(added.output[0])) > 1:
                continue
            if any(name in self.weights for name in added.input):  # a row for all tokens, not one for each
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
        """Gemm -> Split -> attention becomes Gemm without a bias -> attention on (T, heads, 3, width) as it is."""
        for attention in self.find("PackedMultiHeadAttention"):
            split = self.producer(attention.input[0])
            if split is None or split.op_type != "Split" or list(split.output) != list(attention.input[:3]):
                continue
            product = self.producer(split.input[0])
            if product is None or product.op_type != "Gemm" or product.input[1] not in self.weights:
                continue
            if not is_plain(product) or len(self.readers(split.input[0])) > 1:
                continue
            bias = self.take_bias(split.input[0])
            if len(product.input) > 2 and not bias:
                continue
            heads = next(a.i for a in attention.attribute if a.name == "num_heads")
            rows = self.weights[product.input[1]] if is_transposed(product) else self.weights[product.input[1]].T
            by_head = rows.reshape(3, heads, -1, rows.shape[1]).swapaxes(0, 1)  # (heads, 3, width, hidden)
            weight, shape, packed = (f"{product.output[0]}.{what}" for what in ("weight", "shape", "by_head"))
            self.weights[weight] = by_head.reshape(rows.shape)
            self.weights[shape] = np.array([-1, *by_head.shape[:3]], np.int64)
            product = self.producer(split.input[0]) or product  # the one without a bias
            self.replace(product, helper.make_node("Gemm", [product.input[0], weight], list(product.output), transB=1))
            self.replace(split, helper.make_node("Reshape", [split.input[0], shape], [packed]))
            fused = contributed("PackedMultiHeadAttention", [packed, "", "", bias, *attention.input[4:6]], attention)
            fused.attribute.extend(attention.attribute)
            self.replace(attention, fused)

    def take_bias(self, name: str) -> str:
        """Take the bias, (width,), from the Gemm that computes `name`; nothing where there is none to take."""
        product = self.producer(name)
        if product is None or product.op_type != "Gemm" or len(product.input) < 3 or len(self.readers(name)) > 1:
            return ""
        bias: str = product.input[2]
        if bias not in self.weights or self.weights[bias].ndim != 1 or not is_plain(product):
            return ""
        without = helper.make_node("Gemm", list(product.input[:2]), list(product.output))
        without.attribute.extend(product.attribute)
        self.replace(product, without)
        return bias


def contributed(op_type: str, inputs: list[str], old: NodeProto) -> NodeProto:
    """Return a node of onnxruntime's own that answers what `old` does."""
    return helper.make_node(op_type, inputs, list(old.output), domain=CONTRIBUTED)


def is_plain(product: NodeProto) -> bool:
    """Whether a Gemm multiplies and adds without factors."""
    return all(a.f == 1 for a in product.attribute if a.name in ("alpha", "beta"))


def is_transposed(product: NodeProto) -> bool:
    """Whether a Gemm's weight has a row for each output."""
    return any(a.name == "transB" and a.i for a in product.attribute)
