"""Attention over packed tokens, in which a token sees tokens of its own window only.

Each form names the graph inputs it needs; `app.runtime.packing` builds them by name.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from training.encoders import Attention, Inputs

GRID = ("pad_rows", "unpad_rows")  # (R, S) and (T,)
MASK, LOCAL_MASK = "attention_mask", "local_attention_mask"  # (R, 1, S, S) bool


class GraphAttention(Attention, Protocol):
    """A form of attention in a graph."""

    @property
    def opset(self) -> int:
        """The least ONNX opset that has its operators; 20 is the first with a Gelu of one node."""
        ...

    def inputs(self, *, is_local: bool) -> tuple[str, ...]:
        """Name the graph inputs that it reads; `is_local` says that some layers attend locally."""
        ...


class GridAttention:
    """Gather the packed rows into an (R, S) grid, attend among tokens of the same window, and gather back.

    A row of the grid holds as many windows as fit without changing the order in which a window's values are summed: see
    `app.runtime.grid`. A batch of one window needs no grid: `training.export.single_window` adds a branch for it. Local
    attention has another mask. For the CPU: its kernel for ONNX's Attention is faster with a mask than the one for
    onnxruntime's MultiHeadAttention, and computes the same bits.
    """

    opset = 23  # the first that has Attention

    def inputs(self, *, is_local: bool) -> tuple[str, ...]:
        return (*GRID, MASK, LOCAL_MASK) if is_local else (*GRID, MASK)

    def __call__(self, qkv: Tensor, inputs: Inputs, heads: int, *, is_local: bool = False) -> Tensor:
        hidden = qkv.shape[1] // 3
        grid = functional.embedding(inputs["pad_rows"], qkv)  # a plain Gather: (R, S, 3 * hidden)
        query, key, value = torch.split(grid, hidden, dim=-1)
        mask = inputs[LOCAL_MASK if is_local else MASK]
        context, *_ = torch.onnx.ops.attention(query, key, value, mask, q_num_heads=heads, kv_num_heads=heads)
        return context.reshape(-1, hidden).index_select(0, inputs["unpad_rows"])


class FlashAttention:
    """CUDA only: one `PackedMultiHeadAttention` node reads the packed rows as they are; no grid, no mask.

    The scale is 1 / sqrt(head width) where none is given. Source: onnxruntime's packed_multihead_attention.cc.
    `app.graphs.dequantize` makes the same nodes of an int8 graph; `app.graphs.fusing` then joins them with what goes
    before. That node cannot attend locally: layers that do are computed on the grid.
    """

    opset = 20

    def inputs(self, *, is_local: bool) -> tuple[str, ...]:
        packed = ("token_offset", "cumulative_lengths")
        return (*packed, *GRID, LOCAL_MASK) if is_local else packed

    def __call__(self, qkv: Tensor, inputs: Inputs, heads: int, *, is_local: bool = False) -> Tensor:
        if is_local:
            return masked_attention(qkv, inputs, heads)
        tokens, hidden = qkv.shape[0], qkv.shape[1] // 3
        query, key, value = torch.split(qkv, hidden, dim=-1)  # (T, hidden) each
        return torch.onnx.ops.symbolic(
            "com.microsoft::PackedMultiHeadAttention",
            (query, key, value, None, inputs["token_offset"], inputs["cumulative_lengths"]),
            {"num_heads": heads},
            dtype=qkv.dtype,
            shape=(tokens, hidden),
            version=1,
        )


def masked_attention(qkv: Tensor, inputs: Inputs, heads: int) -> Tensor:
    """Attend on the grid under the local mask, in operators that every device has."""
    hidden = qkv.shape[1] // 3
    grid = functional.embedding(inputs["pad_rows"], qkv)  # (R, S, 3 * hidden)
    rows, columns = grid.shape[:2]
    parts = [part.reshape(rows, columns, heads, -1).transpose(1, 2) for part in torch.split(grid, hidden, dim=-1)]
    query, key, value = parts  # (R, heads, S, width)
    width = hidden // heads
    scores = (query * width**-0.5) @ key.transpose(2, 3)
    seen = torch.where(inputs[LOCAL_MASK], scores, torch.full((), torch.finfo(qkv.dtype).min, dtype=qkv.dtype))
    context = torch.softmax(seen, dim=-1) @ value  # (R, heads, S, width)
    return context.transpose(1, 2).reshape(-1, hidden).index_select(0, inputs["unpad_rows"])
