"""What kind of graph a folder of the Hub has, by what it is made of: a name such as `model_O2.onnx` does not say it."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from app.bundle.graph_file import GraphFacts
from app.bundle.manifest import Precision

# Operators that take the scales of activations from the batch at hand.
DYNAMIC = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}
# Operators on weights of 4 bits or fewer, and on those of 8.
FOUR_BITS = {"MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"}
EIGHT_BITS = DYNAMIC | {
    *("MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "QGemm", "QAttention", "QLinearAdd"),
    *("QEmbedLayerNormalization", "QuantizeLinear", "DequantizeLinear", "QOrderedMatMul"),
}
FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16  # of TensorProto.DataType
# Of several graphs of one precision, the first by what its name has goes before the others.
WORDS = ("model.onnx", "quantized", "optimized", "O3", "O2", "O1", "O4", "int8", "qint8", "uint8", "quint8", "q4")
# Names of outputs, as Optimum and sentence-transformers give them.
TOKEN_OUTPUTS, POOLED_OUTPUTS = ("last_hidden_state", "token_embeddings"), ("sentence_embedding",)
ARM, X86 = ("arm64",), ("avx2", "avx512", "vnni")  # in names of graphs that are made for one kind of processor


def precision_of(facts: GraphFacts) -> Precision:
    """Return the number format of most of a graph's products."""
    if facts.operators & FOUR_BITS:
        return "int4"
    if facts.operators & EIGHT_BITS:
        return "int8"
    halves = facts.weights[FLOAT16] + facts.weights[BFLOAT16]
    return "fp16" if halves > facts.weights[FLOAT] else "fp32"


def depends_on_batch(facts: GraphFacts) -> bool:
    """Whether a text's answer depends on the texts beside it: int8 scales are those of the whole batch."""
    return bool(facts.operators & DYNAMIC)


def columns_of(facts: GraphFacts) -> int | None:
    """Return the columns of the output that is read, where the graph states them."""
    return facts.outputs.get("logits", next(iter(facts.outputs.values()), None))


def in_order(files: Iterable[str]) -> list[str]:
    """Return graph files with the one to prefer first: for this machine's processor, plainly named, not in a folder."""
    foreign = X86 if platform.machine().lower() in ("arm64", "aarch64") else ARM

    def rank(file: str) -> tuple[bool, int, int, str]:
        name = file.rpartition("/")[2]
        word = next((place for place, word in enumerate(WORDS) if word in name), len(WORDS))
        return any(word in name for word in foreign), word, file.count("/"), file

    return sorted(files, key=rank)


def token_output_of(facts: GraphFacts) -> str | None:
    """Return the output that has a vector for each token; None where there is none."""
    return named_or_only(facts, TOKEN_OUTPUTS, rank=3)


def pooled_output_of(facts: GraphFacts) -> str | None:
    """Return the output that has a vector for each window, by its name or because it is the only one."""
    return named_or_only(facts, POOLED_OUTPUTS, rank=2)


def named_or_only(facts: GraphFacts, names: Iterable[str], rank: int) -> str | None:
    if (named := next((name for name in names if name in facts.outputs), None)) is not None:
        return named
    only = next(iter(facts.outputs), None) if len(facts.outputs) == 1 else None
    return only if only is not None and only != "logits" and facts.ranks[only] == rank else None
