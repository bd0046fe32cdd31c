"""Modules that several families are packed with, and the heads that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from training.encoders.base import Attention, Inputs


class AbsoluteEmbeddings(nn.Module):
    """Word + position + token type embeddings, layer-normed: (T,) -> (T, hidden).

    `token_type` is None where the family has none, `project` where the embeddings are as wide as the layers.
    """

    def __init__(
        self,
        word: nn.Module,
        position: nn.Module,
        norm: nn.Module,
        token_type: nn.Embedding | None = None,
        project: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.word, self.position = word, position
        self.token_type = token_type
        self.norm, self.project = norm, project

    def forward(self, inputs: Inputs) -> Tensor:
        if self.token_type is None:
            words = self.word(inputs["input_ids"])
        else:
            types = inputs.get("token_type_ids")
            type_vectors = self.token_type.weight[0] if types is None else self.token_type(types)
            words = self.word(inputs["input_ids"]) + type_vectors
        hidden = cast(Tensor, self.norm(words + self.position(inputs["position_ids"])))
        return hidden if self.project is None else cast(Tensor, self.project(hidden))


class PostNormLayer(nn.Module):
    """A transformer block whose norms follow its sums; query, key and value are one matrix."""

    def __init__(
        self,
        attention: Attention,
        heads: int,
        *,
        qkv: nn.Linear,
        attention_output: nn.Module,
        attention_norm: nn.Module,
        intermediate: nn.Module,
        activation: Callable[[Tensor], Tensor],
        output: nn.Module,
        output_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.heads, self.attend = heads, attention
        self.qkv = qkv
        self.attention_output, self.attention_norm = attention_output, attention_norm
        self.intermediate, self.activation = intermediate, activation
        self.output, self.output_norm = output, output_norm

    def forward(self, hidden: Tensor, inputs: Inputs, rows: Tensor | None = None) -> Tensor:
        """Return (T, hidden), or (N, hidden) where only some rows are read."""
        context = self.attend(self.qkv(hidden), inputs, self.heads)
        if rows is not None:
            context, hidden = context.index_select(0, rows), hidden.index_select(0, rows)
        hidden = self.attention_norm(self.attention_output(context) + hidden)
        return cast(Tensor, self.output_norm(self.output(self.activation(self.intermediate(hidden))) + hidden))


class PooledHead(nn.Module):
    """Classification from each window's first token, by modules that expect (N, tokens, hidden) and read token 0."""

    def __init__(self, classifier: nn.Module, pooler: nn.Module | None = None) -> None:
        super().__init__()
        self.pooler, self.classifier = pooler, classifier

    def forward(self, rows: Tensor) -> Tensor:
        first = rows.unsqueeze(1)
        return cast(Tensor, self.classifier(first if self.pooler is None else self.pooler(first)))


def merge_linears(*linears: nn.Linear) -> nn.Linear:
    """Stack linear layers of the same input into one: (T, hidden) -> (T, sum of outputs)."""
    merged = nn.Linear(linears[0].in_features, sum(linear.out_features for linear in linears))
    merged.weight = nn.Parameter(torch.cat([linear.weight for linear in linears]).detach())
    merged.bias = nn.Parameter(torch.cat([linear.bias for linear in linears]).detach())
    return merged


def linear_with_bias(linear: nn.Linear) -> nn.Linear:
    """Return `linear` with a bias of zeros where it has none, so that it is exported as a Gemm: int8 takes those."""
    if linear.bias is not None:
        return linear
    biased = nn.Linear(linear.in_features, linear.out_features)
    biased.weight = linear.weight
    biased.bias = nn.Parameter(torch.zeros(linear.out_features, dtype=linear.weight.dtype))
    return biased


def norm_with_bias(norm: nn.LayerNorm) -> nn.LayerNorm:
    """Return `norm` with a bias of zeros where it has none: the fused operators for CUDA take one."""
    if norm.bias is not None:
        return norm
    biased = nn.LayerNorm(norm.normalized_shape, eps=norm.eps)
    biased.weight = norm.weight
    return biased
