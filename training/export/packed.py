"""The packed module: a transformers checkpoint's own layers, rearranged to compute no padding.

With T tokens in the whole batch, B windows and S the longest, everything but attention runs on (T, hidden);
only attention sees a grid, and the last layer ends on the N rows that the head reads. The served graph is
the ONNX export of this module, so its inputs are the contract with `app.runtime.packing`, which builds them.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from training.encoders import Encoder, Inputs, Reads
from training.encoders.pooling import Membership
from training.export.attention import GraphAttention


class PackedModel(nn.Module):
    """Encoder and head of `model` over packed tokens; computes what `model` computes, without padding."""

    def __init__(
        self, family: Encoder, model: PreTrainedModel, attention: GraphAttention, head: nn.Module, reads: Reads
    ) -> None:
        super().__init__()
        self.head, self.reads = head, reads
        self.embeddings = family.packed_embeddings(model)
        self.layers = nn.ModuleList(family.packed_layers(model, attention))
        self.norm = family.final_norm(model)
        self.position_offset = family.position_offset(model.config)
        self.input_names = [
            "input_ids",
            "position_ids",
            *(("head_rows",) if reads == "rows" else ("token_windows", "window_lengths")),
            *attention.inputs(is_local=family.local_attention(model.config) is not None),
            *(("token_type_ids",) if family.token_types(model.config) > 1 else ()),
        ]
        self.opset = attention.opset
        self.eval()

    def forward(self, inputs: Inputs) -> Tensor:
        """Return float32 logits: (N, width) where the head reads rows, (B, width) where it reads windows."""
        hidden = self.embeddings(inputs)
        *layers, last = self.layers
        for layer in layers:
            hidden = layer(hidden, inputs)
        hidden = last(hidden, inputs, inputs.get("head_rows"))
        if self.norm is not None:
            hidden = self.norm(hidden)
        answer = self.head(hidden) if self.reads == "rows" else self.head(hidden, self.membership(inputs))
        return cast(Tensor, answer).float()

    def membership(self, inputs: Inputs) -> Membership:
        places = inputs["position_ids"] - self.position_offset
        return Membership(inputs["token_windows"], inputs["window_lengths"], places)
