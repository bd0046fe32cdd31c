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

    @property
    def opset(self) -> int:
        """The least ONNX opset that has its operators; 20 is the first with a Gelu of one node."""
        ...

    def __call__(self, qkv: Tensor, where: tuple[Tensor, ...], heads: int) -> Tensor: ...


class GridAttention:
    """Gather the packed rows into an (R, S) grid, attend among tokens of the same text, and gather back.

    A row of the grid holds as many texts as fit without changing how each is summed up: see `app.runtime.grid`. A text
    that is alone needs none: `training.export.single_window` adds a branch for it.
    For the CPU, whose kernel for ONNX's own Attention takes half to three quarters of the time that onnxruntime's
    MultiHeadAttention takes with such a mask, and answers the same bits.
    """

    input_names = ("pad_rows", "unpad_rows", "attention_mask")
    opset = 23  # the first that has Attention

    def __call__(self, qkv: Tensor, where: tuple[Tensor, ...], heads: int) -> Tensor:
        pad_rows, unpad_rows, attention_mask = where  # (R, S), (T,), (R, 1, S, S) bool
        hidden = qkv.shape[1] // 3
        grid = functional.embedding(pad_rows, qkv)  # a plain Gather: (R, S, 3 * hidden)
        query, key, value = torch.split(grid, hidden, dim=-1)
        context, *_ = torch.onnx.ops.attention(query, key, value, attention_mask, q_num_heads=heads, kv_num_heads=heads)
        return context.reshape(-1, hidden).index_select(0, unpad_rows)


class FlashAttention:
    """CUDA only: one `PackedMultiHeadAttention` node reads the packed rows as they are; no grid, no mask.

    The scale is 1 / sqrt(head width) where none is given. Source: onnxruntime's packed_multihead_attention.cc.
    `app.graphs.dequantize` makes the same nodes of an int8 graph; `app.graphs.fusing` then joins them with what goes
    before.
    """

    input_names = ("token_offset", "cumulative_lengths")
    opset = 20

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
