"""Encoders that answer a vector for each text: an encoder of transformers with the modules behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.encoders.modules import Modules
from training.encoders.pooling import POOLINGS, PaddedMembership, Pooling

MODULES = "sentence_modules"  # attribute of the encoder: what its files say is behind it
PART = "sentence_head"  # of the encoder: what is behind it, with its weights
VECTOR = "sentence_embedding"  # what the encoder answers beside its hidden states


class SentenceHead(nn.Module):
    """Pooling and dense layers: the hidden states of all tokens -> (B, width), not normalized."""

    def __init__(self, modules: Modules) -> None:
        super().__init__()
        self.pooling = Pooling(modules.pooling, nn.Sequential(*modules.dense) if modules.dense else None)

    def forward(self, hidden: Tensor, windows: Any) -> Tensor:
        return cast(Tensor, self.pooling(hidden, windows))


def add_modules(model: PreTrainedModel, modules: Modules) -> None:
    """Make an encoder answer a vector for each text as well, trained and moved with it."""
    setattr(model, MODULES, modules)
    if modules.pooling in POOLINGS:
        setattr(model, PART, SentenceHead(modules))
        model.register_forward_hook(with_vectors, with_kwargs=True)


def drop_pooler(model: PreTrainedModel) -> None:
    """Take away an architecture's own pooler, with which no vector is made and which no graph has."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None


def with_vectors(model: nn.Module, _: object, inputs: Mapping[str, Tensor], outputs: Any) -> Any:
    """Add the vectors, (B, width), to what an encoder answers."""
    hidden: Tensor = outputs.last_hidden_state  # (B, S, hidden)
    mask = inputs.get("attention_mask")
    if mask is None:  # nothing is padded
        mask = torch.ones(hidden.shape[:2], dtype=torch.int64, device=hidden.device)
    outputs[VECTOR] = cast(SentenceHead, getattr(model, PART))(hidden, PaddedMembership(mask))
    return outputs


def modules_of(model: nn.Module) -> Modules:
    return cast(Modules, getattr(model, MODULES))
