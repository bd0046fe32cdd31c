"""ModernBERT: rotary positions, local attention in most layers, norms before the sums, gated feed-forward blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from training.encoders.base import Attention, Encoder, Head, Inputs, UnsupportedModelError
from training.encoders.blocks import linear_with_bias, norm_with_bias
from training.encoders.pooling import Pooling

LOCAL = "sliding_attention"  # what a config calls a layer whose tokens see only their neighbors


class ModernBert(Encoder):
    """Source: Warner et al. 2024, arXiv:2412.13663."""

    model_types: ClassVar[tuple[str, ...]] = ("modernbert",)
    layer_list: ClassVar[str] = "layers"
    feed_forward_in: ClassVar[str] = "mlp.Wi"
    feed_forward_out: ClassVar[str] = "mlp.Wo"
    dropout_fields: ClassVar[tuple[str, ...]] = ("embedding_dropout", "mlp_dropout", "classifier_dropout")
    attention_dropout_field: ClassVar[str] = "attention_dropout"
    keeps_first_layer: ClassVar[bool] = True  # it alone has no norm before its attention

    def check(self, config: PretrainedConfig) -> None:
        super().check(config)
        kinds = {parameters["rope_type"] for parameters in config.rope_parameters.values()}
        if changing := sorted(kind for kind in kinds if kind == "longrope" or "dynamic" in kind):
            raise UnsupportedModelError(f"rotary positions of type {changing[0]} depend on a text's length")

    def local_attention(self, config: PretrainedConfig) -> int | None:
        return int(config.local_attention) // 2 if LOCAL in config.layer_types else None

    def packed_embeddings(self, model: PreTrainedModel) -> nn.Module:
        embeddings = cast(Any, model.base_model).embeddings
        return RotaryEmbeddings(embeddings.tok_embeddings, embeddings.norm)

    def packed_layers(self, model: PreTrainedModel, attention: Attention) -> Sequence[nn.Module]:
        kinds, heads = list(model.config.layer_types), int(model.config.num_attention_heads)
        rotations = {kind: Rotation(*angles(model, kind)) for kind in set(kinds)}
        return [
            GatedLayer(layer, attention, heads, rotations[kind], is_local=kind == LOCAL)
            for layer, kind in zip(self.layers(model), kinds, strict=True)
        ]

    def final_norm(self, model: PreTrainedModel) -> nn.Module | None:
        return norm_with_bias(cast(Any, model.base_model).final_norm)

    def sequence_head(self, model: PreTrainedModel) -> Head:
        head = self.two_parts(model, "classifier")
        return Head(Pooling("mean", head), "window") if model.config.classifier_pooling == "mean" else Head(head)

    def token_head(self, model: PreTrainedModel) -> Head:
        return Head(self.two_parts(model, "classifier"))

    def span_head(self, model: PreTrainedModel) -> Head:
        return Head(self.two_parts(model, "classifier"))

    def language_head(self, model: PreTrainedModel) -> Head:
        return Head(self.two_parts(model, "decoder"))

    @staticmethod
    def two_parts(model: PreTrainedModel, last: str) -> nn.Module:
        """Join the part that all heads have with a head's own last layer."""
        return nn.Sequential(OrderedDict({"transform": cast(Any, model).head, last: getattr(model, last)}))

    def smaller_config(self, config: PretrainedConfig, layers: Sequence[int]) -> dict[str, Any]:
        if layers[0] != 0:
            raise UnsupportedModelError("its first layer cannot be left out: it alone has no norm before its attention")
        kinds = [config.layer_types[layer] for layer in layers]
        return {**super().smaller_config(config, layers), "layer_types": kinds}

    def cut(self, part: str, weight: Tensor, neurons: Tensor) -> Tensor:
        if not part.startswith(f"{self.feed_forward_in}."):
            return super().cut(part, weight, neurons)
        return weight[torch.cat([neurons, neurons + len(weight) // 2])]  # values, then their gates


class RotaryEmbeddings(nn.Module):
    """Word embeddings, layer-normed: (T,) -> (T, hidden). Positions come in with attention."""

    def __init__(self, word: nn.Module, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.word, self.norm = word, norm_with_bias(norm)

    def forward(self, inputs: Inputs) -> Tensor:
        return cast(Tensor, self.norm(self.word(inputs["input_ids"])))


class GatedLayer(nn.Module):
    """A transformer block whose norms come first, and whose feed-forward block multiplies two halves."""

    def __init__(self, layer: Any, attention: Attention, heads: int, rotation: Rotation, *, is_local: bool) -> None:
        super().__init__()
        self.heads, self.attend, self.is_local = heads, attention, is_local
        self.rotation = rotation
        self.attention_norm = norm_with_bias(layer.attn_norm) if isinstance(layer.attn_norm, nn.LayerNorm) else None
        self.qkv = linear_with_bias(layer.attn.Wqkv)
        self.attention_output = linear_with_bias(layer.attn.Wo)
        self.output_norm = norm_with_bias(layer.mlp_norm)
        self.intermediate = linear_with_bias(layer.mlp.Wi)
        self.activation = layer.mlp.act
        self.output = linear_with_bias(layer.mlp.Wo)

    def forward(self, hidden: Tensor, inputs: Inputs, rows: Tensor | None = None) -> Tensor:
        """Return (T, hidden), or (N, hidden) where only some rows are read."""
        normed = hidden if self.attention_norm is None else self.attention_norm(hidden)
        qkv = self.rotation(self.qkv(normed), inputs["position_ids"])
        context = self.attend(qkv, inputs, self.heads, is_local=self.is_local)
        if rows is not None:
            context, hidden = context.index_select(0, rows), hidden.index_select(0, rows)
        hidden = hidden + self.attention_output(context)
        values, gates = self.intermediate(self.output_norm(hidden)).chunk(2, dim=-1)  # (T, width) each
        return cast(Tensor, hidden + self.output(self.activation(values) * gates))


class Rotation(nn.Module):
    """Turns query and key by their token's position: qkv (T, 3 * hidden) -> the same shape.

    One onnxruntime node turns both, as if they were twice as many heads; it takes a row of angles for each token. The
    graph reads the angles from tables, since fp16 cannot count positions beyond 2048. Sources: Su et al. 2021,
    arXiv:2104.09864; onnxruntime's rotary_embedding.cc.
    """

    cosines: Tensor
    sines: Tensor
    first_row: Tensor

    def __init__(self, cosines: Tensor, sines: Tensor) -> None:
        """Both are (positions, head width / 2)."""
        super().__init__()
        self.register_buffer("cosines", cosines)
        self.register_buffer("sines", sines)
        self.register_buffer("first_row", torch.zeros(1, dtype=torch.int64))

    def forward(self, qkv: Tensor, position_ids: Tensor) -> Tensor:
        tokens, hidden = qkv.shape[0], qkv.shape[1] // 3
        query_key, value = torch.split(qkv, [2 * hidden, hidden], dim=-1)
        turned = torch.onnx.ops.symbolic(
            "com.microsoft::RotaryEmbedding",
            (query_key[None], self.first_row, self.cosines[position_ids], self.sines[position_ids]),
            dtype=qkv.dtype,
            shape=(1, tokens, 2 * hidden),
            version=1,
        )
        return torch.cat([turned.squeeze(0), value], dim=-1)


def angles(model: PreTrainedModel, kind: str) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines of every position, (positions, head width / 2) each, for one kind of layer."""
    positions = torch.arange(int(model.config.max_position_embeddings))[None]
    tables = cast(Any, model.base_model).rotary_emb(torch.zeros(1), positions, kind)  # (1, positions, head width) each
    cosines, sines = (table[0, :, : table.shape[-1] // 2].contiguous() for table in tables)  # both halves are equal
    return cosines, sines
