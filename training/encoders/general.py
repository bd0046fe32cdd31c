"""The family of last resort: encoders that have no packed form here, exported as they are and served padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from app.bundle import Precision
from training.encoders.base import Attention, Encoder, Head, Layout, UnsupportedModelError

FAIRSEQ_PADDING = 1  # the id of padding in models that count positions from the one after it


class OwnHead(nn.Module):
    """Stands for the head that a checkpoint has already: the graph answers what the checkpoint's `logits` are."""


class General(Encoder):
    """Any encoder of transformers that masked tokens can be predicted with: the graph is its own forward pass."""

    layout: ClassVar[Layout] = "padded"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    can_be_pruned: ClassVar[bool] = False
    can_be_pretrained: ClassVar[bool] = False

    @staticmethod
    def knows(config: PretrainedConfig) -> bool:
        """Whether transformers has a masked language model of this type, and it is no encoder with a decoder."""
        return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder

    def check(self, config: PretrainedConfig) -> None:
        if getattr(config, "is_decoder", False):
            raise UnsupportedModelError("a decoder (is_decoder=true in config.json) cannot be served")

    def positions(self, config: PretrainedConfig) -> int:
        """Return how many tokens a window can have: those whose padding has id 1 count positions from 2."""
        padding = getattr(config, "pad_token_id", None)
        skipped = FAIRSEQ_PADDING + 1 if padding == FAIRSEQ_PADDING else 0
        return int(getattr(config, "max_position_embeddings", 512)) - skipped

    def packed_embeddings(self, model: PreTrainedModel) -> nn.Module:
        raise self.unpacked(model)

    def packed_layers(self, model: PreTrainedModel, attention: Attention) -> Sequence[nn.Module]:
        raise self.unpacked(model)

    @staticmethod
    def unpacked(model: PreTrainedModel) -> UnsupportedModelError:
        return UnsupportedModelError(f"{type(model).__name__} has no packed form; export it in the padded layout")

    def sequence_head(self, model: PreTrainedModel) -> Head:
        return Head(OwnHead())

    def token_head(self, model: PreTrainedModel) -> Head:
        return Head(OwnHead())

    def language_head(self, model: PreTrainedModel) -> Head:
        return Head(OwnHead())

    def layer_list_of(self, model: PreTrainedModel) -> str:
        """Return where the layers are: the longest list of modules in the encoder."""
        modules = self.base(model).named_modules()
        lists: dict[str, int] = {name: len(part) for name, part in modules if isinstance(part, nn.ModuleList)}
        if not lists:
            raise UnsupportedModelError(f"{type(model).__name__} has no list of layers")
        longest: str = max(lists, key=lists.__getitem__)
        return longest

    def smaller_config(self, config: PretrainedConfig, layers: Sequence[int]) -> dict[str, Any]:
        if list(layers) != list(range(config.num_hidden_layers)):
            raise UnsupportedModelError(f"layers of a {config.model_type} cannot be left out")
        return {}
