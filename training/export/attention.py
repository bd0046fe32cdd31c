"""Attention over packed tokens: the only place where the texts of a batch are told apart.

Each form names the graph inputs it needs; `app.runtime.packing` builds them by name.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Attention(Protocol):
    """Attend within each text: qkv (T, 3 * hidden) -> context (T, hidden)."""

    @property
    def input_names(self) -> tuple[str, ...]: ...

    def __call__(self, qkv: Tensor, where: tuple[Tensor, ...], heads: int) -> Tensor: ...


class GridAttention:
    """Gather the packed rows into an (R, S) grid, attend among tokens of the same text, and gather back.

    A row of the grid holds as many texts as fit without changing how each is summed up: see `app.runtime.grid`.
    For the CPU: CUDA has no such mask. One fused node does the attention: it measured 2 to 6 % faster than MatMul,
    Softmax and MatMul, and needs a third of the nodes.
    """

    input_names = ("pad_rows", "unpad_rows", "attention_mask")

    def __call__(self, qkv: Tensor, where: tuple[Tensor, ...], heads: int) -> Tensor:
        pad_rows, unpad_rows, attention_mask = where  # (R, S), (T,), (R, S, S) int32
        rows, longest = pad_rows.shape
        hidden = qkv.shape[1] // 3
        grid = functional.embedding(pad_rows, qkv)  # a plain Gather: (R, S, 3 * hidden)
        query, key, value = torch.split(grid, hidden, dim=-1)
        context = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (query, key, value, None, attention_mask),
            {"num_heads": heads},
            dtype=qkv.dtype,
            shape=(rows, longest, hidden),
            version=1,
        )
        return context.reshape(-1, hidden).index_select(0, unpad_rows)


class FlashAttention:
    """CUDA only: one `PackedMultiHeadAttention` node reads the packed rows as they are; no grid, no mask.

    The scale is 1 / sqrt(head width) where none is given. Source: onnxruntime's packed_multihead_attention.cc.
    `app.runtime.dequantise` makes the same nodes of an int8 graph; `app.runtime.fusing` then joins them with what goes
    before.
    """

    input_names = ("token_offset", "cumulative_lengths")

    def __call__(self, qkv: Tensor, where: tuple[Tensor, ...], heads: int) -> Tensor:
        token_offset, cumulative_lengths = where  # (B, S), (B + 1,), both int32
        tokens, hidden = qkv.shape[0], qkv.shape[1] // 3
        query, key, value = torch.split(qkv, hidden, dim=-1)  # (T, hidden) each
        return torch.onnx.ops.symbolic(
            "com.microsoft::PackedMultiHeadAttention",
            (query, key, value, None, token_offset, cumulative_lengths),
            {"num_heads": heads},
            dtype=qkv.dtype,
            shape=(tokens, hidden),
            version=1,
        )
