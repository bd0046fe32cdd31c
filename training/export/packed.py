"""The packed module: a transformers checkpoint's own layers, rearranged to compute no padding.

With T tokens in the whole batch, B texts and S the longest, everything but attention runs on (T, hidden);
only attention sees the (B, S) grid, and the last layer ends on the N rows that the head reads. The served graph is
the ONNX export of this module, so its inputs are the contract with `app.runtime.packing`, which builds them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.encoders.heads import UnsupportedModelError, head_of
from training.export.attention import Attention


class PackedModel(nn.Module):
    """Encoder and head of `model` over packed tokens; computes what `model` computes, without padding."""

    def __init__(self, model: PreTrainedModel, attention: Attention) -> None:
        super().__init__()
        self.task, self.head = head_of(model)
        encoder = encoder_of(model)
        heads = int(model.config.num_attention_heads)
        self.embeddings = PackedEmbeddings(encoder.embeddings)
        self.layers = nn.ModuleList(PackedLayer(layer, heads, attention) for layer in encoder.encoder.layer)
        self.eval()

    def forward(
        self,
        input_ids: Tensor,  # (T,)
        position_ids: Tensor,  # (T,)
        head_rows: Tensor,  # (N,) the token rows that the head is computed for
        where: tuple[Tensor, ...],  # which token belongs to which text, in the form that the attention reads
        token_type_ids: Tensor | None = None,  # (T,) only where the checkpoint has more than one type
    ) -> Tensor:
        """Return float32 logits of shape (N, width)."""
        hidden = self.embeddings(input_ids, position_ids, token_type_ids)
        *layers, last = self.layers
        for layer in layers:
            hidden = layer(hidden, where)
        return cast(Tensor, self.head(last(hidden, where, head_rows))).float()


def encoder_of(model: PreTrainedModel) -> Any:
    """Return the RoBERTa- or BERT-architecture encoder inside `model`.

    RoBERTa, XLM-RoBERTa, CamemBERT and DistilRoBERTa share one structure, BERT the same one with token types.
    """
    encoder = cast(Any, model.base_model)
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not layers or not hasattr(layers[0], "attention") or not hasattr(encoder, "embeddings"):
        raise UnsupportedModelError(
            f"{type(model).__name__} is not a RoBERTa- or BERT-architecture encoder; "
            "supported: roberta, xlm-roberta, camembert, distilroberta, bert"
        )
    if getattr(model.config, "is_decoder", False):
        raise UnsupportedModelError("a decoder (is_decoder=true in config.json) cannot be packed")
    if getattr(model.config, "position_embedding_type", "absolute") != "absolute":
        raise UnsupportedModelError("only absolute position embeddings can be packed")
    return encoder


class PackedEmbeddings(nn.Module):
    """Word + position + token type embeddings, layer-normed: (T,) -> (T, hidden)."""

    def __init__(self, embeddings: Any) -> None:
        super().__init__()
        self.word = embeddings.word_embeddings
        self.position = embeddings.position_embeddings
        self.token_type = embeddings.token_type_embeddings
        self.norm = embeddings.LayerNorm

    def forward(self, input_ids: Tensor, position_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        types = self.token_type.weight[0] if token_type_ids is None else self.token_type(token_type_ids)
        return cast(Tensor, self.norm(self.word(input_ids) + types + self.position(position_ids)))


class PackedLayer(nn.Module):
    """One transformer block; query, key and value are one matrix."""

    def __init__(self, layer: Any, heads: int, attention: Attention) -> None:
        super().__init__()
        source = layer.attention.self
        self.heads, self.attend = heads, attention
        self.qkv = merge_linears(source.query, source.key, source.value)
        self.attention_output = layer.attention.output.dense
        self.attention_norm = layer.attention.output.LayerNorm
        self.intermediate = layer.intermediate.dense
        self.activation = layer.intermediate.intermediate_act_fn
        self.output = layer.output.dense
        self.output_norm = layer.output.LayerNorm

    def forward(self, hidden: Tensor, where: tuple[Tensor, ...], rows: Tensor | None = None) -> Tensor:
        """Return (T, hidden), or (N, hidden) where only some rows are read: what follows attention is theirs alone."""
        context = self.attend(self.qkv(hidden), where, self.heads)
        if rows is not None:
            context, hidden = context.index_select(0, rows), hidden.index_select(0, rows)
        hidden = self.attention_norm(self.attention_output(context) + hidden)
        return cast(Tensor, self.output_norm(self.output(self.activation(self.intermediate(hidden))) + hidden))


def merge_linears(*linears: nn.Linear) -> nn.Linear:
    """Stack linear layers of the same input into one: (T, hidden) -> (T, sum of outputs)."""
    merged = nn.Linear(linears[0].in_features, sum(linear.out_features for linear in linears))
    merged.weight = nn.Parameter(torch.cat([linear.weight for linear in linears]).detach())
    merged.bias = nn.Parameter(torch.cat([linear.bias for linear in linears]).detach())
    return merged
