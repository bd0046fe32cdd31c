"""BERT: absolute positions from zero, two token types, a pooler before the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from torch import nn
from transformers import PreTrainedModel

from training.encoders.base import Attention, Encoder, Head
from training.encoders.blocks import AbsoluteEmbeddings, PooledHead, PostNormLayer, merge_linears


class BertLike(Encoder):
    """What BERT and the encoders that took over its layers have in common."""

    layer_list: ClassVar[str] = "encoder.layer"
    feed_forward_in: ClassVar[str] = "intermediate.dense"
    feed_forward_out: ClassVar[str] = "output.dense"

    def packed_embeddings(self, model: PreTrainedModel) -> nn.Module:
        encoder = cast(Any, model.base_model)
        embeddings = encoder.embeddings
        return AbsoluteEmbeddings(
            word=embeddings.word_embeddings,
            position=embeddings.position_embeddings,
            norm=embeddings.LayerNorm,
            token_type=embeddings.token_type_embeddings,
            project=getattr(encoder, "embeddings_project", None),  # of ELECTRA, where the two widths differ
        )

    def packed_layers(self, model: PreTrainedModel, attention: Attention) -> Sequence[nn.Module]:
        heads = int(model.config.num_attention_heads)
        return [self.packed_layer(layer, attention, heads) for layer in self.layers(model)]

    def merged_linears(self, layer: Any) -> tuple[nn.Linear, ...]:
        source = layer.attention.self
        return source.query, source.key, source.value

    def packed_layer(self, layer: Any, attention: Attention, heads: int) -> nn.Module:
        return PostNormLayer(
            attention,
            heads,
            qkv=merge_linears(*self.merged_linears(layer)),
            attention_output=layer.attention.output.dense,
            attention_norm=layer.attention.output.LayerNorm,
            intermediate=layer.intermediate.dense,
            activation=layer.intermediate.intermediate_act_fn,
            output=layer.output.dense,
            output_norm=layer.output.LayerNorm,
        )

    def sequence_head(self, model: PreTrainedModel) -> Head:
        return Head(PooledHead(cast(Any, model).classifier, getattr(model.base_model, "pooler", None)))


class Bert(BertLike):
    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    can_be_transplanted: ClassVar[bool] = True

    def language_head(self, model: PreTrainedModel) -> Head:
        return Head(cast(Any, model).cls)
