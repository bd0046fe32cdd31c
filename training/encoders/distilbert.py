"""DistilBERT: BERT's layers under other names, without token types and without a pooler."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from torch import nn
from transformers import PreTrainedModel

from training.encoders.base import Attention, Encoder, Head
from training.encoders.blocks import AbsoluteEmbeddings, PostNormLayer, merge_linears


class DistilBert(Encoder):
    """Source: Sanh et al. 2019, arXiv:1910.01108."""

    model_types: ClassVar[tuple[str, ...]] = ("distilbert",)
    layer_list: ClassVar[str] = "transformer.layer"
    feed_forward_in: ClassVar[str] = "ffn.lin1"
    feed_forward_out: ClassVar[str] = "ffn.lin2"
    width_field: ClassVar[str] = "hidden_dim"
    dropout_fields: ClassVar[tuple[str, ...]] = ("dropout", "seq_classif_dropout")
    attention_dropout_field: ClassVar[str] = "attention_dropout"

    def packed_embeddings(self, model: PreTrainedModel) -> nn.Module:
        embeddings = cast(Any, model.base_model).embeddings
        return AbsoluteEmbeddings(embeddings.word_embeddings, embeddings.position_embeddings, embeddings.LayerNorm)

    def packed_layers(self, model: PreTrainedModel, attention: Attention) -> Sequence[nn.Module]:
        heads = int(model.config.n_heads)
        return [self.packed_layer(layer, attention, heads) for layer in self.layers(model)]

    def merged_linears(self, layer: Any) -> tuple[nn.Linear, ...]:
        source = layer.attention
        return source.q_lin, source.k_lin, source.v_lin

    def packed_layer(self, layer: Any, attention: Attention, heads: int) -> nn.Module:
        return PostNormLayer(
            attention,
            heads,
            qkv=merge_linears(*self.merged_linears(layer)),
            attention_output=layer.attention.out_lin,
            attention_norm=layer.sa_layer_norm,
            intermediate=layer.ffn.lin1,
            activation=layer.ffn.activation,
            output=layer.ffn.lin2,
            output_norm=layer.output_layer_norm,
        )

    def sequence_head(self, model: PreTrainedModel) -> Head:
        source = cast(Any, model)
        parts = {"pre_classifier": source.pre_classifier, "activation": nn.ReLU(), "classifier": source.classifier}
        return Head(nn.Sequential(OrderedDict(parts)))

    def language_head(self, model: PreTrainedModel) -> Head:
        source = cast(Any, model)
        parts = {
            "transform": source.vocab_transform,
            "activation": source.activation,
            "norm": source.vocab_layer_norm,
            "decoder": source.vocab_projector,
        }
        return Head(nn.Sequential(OrderedDict(parts)))
