"""The padded graph of an encoder that has no packed form: the checkpoint's own forward pass, as it is.

Its inputs are those of `app.runtime.padding.PaddedLayout`, as graphs have them that Optimum exports.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel

from training.encoders import Encoder, Reads, UnsupportedModelError
from training.encoders.general import OwnHead
from training.encoders.pooling import PaddedMembership
from training.export.tracing import trace

OPSET = 20  # the first with a Gelu of one node


class PaddedModel(nn.Module):
    """What a checkpoint computes for (B, S) tokens, and a head of it or another one."""

    def __init__(self, model: PreTrainedModel, head: nn.Module, reads: Reads) -> None:
        super().__init__()
        self.reads = reads
        self.model = cast(Any, model if isinstance(head, OwnHead) else model.base_model)
        self.head = None if isinstance(head, OwnHead) else head
        self.eval()

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return float32 logits: (B, S, width) or, where the head reads a window, (B, width)."""
        output = self.model(**inputs)
        if self.head is None:
            return cast(Tensor, output.logits).float()
        hidden: Tensor = output.last_hidden_state
        if self.reads == "rows":
            return cast(Tensor, self.head(hidden)).float()
        return cast(Tensor, self.head(hidden, PaddedMembership(inputs["attention_mask"]))).float()


def export_padded(family: Encoder, model: PreTrainedModel, head: nn.Module, reads: Reads) -> ModelProto:
    """Export a checkpoint in float32 for batches of any size and length.

    Raises `UnsupportedModelError` where torch's exporter cannot follow what the checkpoint computes.
    """
    batch, longest = Dim("batch"), Dim("longest")
    ids = torch.arange(5, 26).reshape(3, 7)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if family.token_types(model.config) > 1:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    shapes = {name: {0: batch, 1: longest} for name in inputs}
    module = PaddedModel(model, head, reads)
    try:
        return trace(module, {"inputs": inputs}, {"inputs": shapes}, list(inputs), OPSET)
    except Exception as error:  # torch has a type for each of its stages
        raise UnsupportedModelError(
            f"{type(model).__name__} cannot be exported: torch's exporter cannot follow what it computes "
            f"({type(error).__name__}); serve an ONNX graph of it that others have made, or train another encoder"
        ) from error
