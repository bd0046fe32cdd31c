"""ELECTRA: BERT's layers, embeddings that may be narrower than these, and no pooler."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar, cast

from torch import nn
from transformers import PreTrainedModel

from training.encoders.base import Head
from training.encoders.bert import BertLike


class Electra(BertLike):
    """Source: Clark et al. 2020, arXiv:2003.10555."""

    model_types: ClassVar[tuple[str, ...]] = ("electra",)

    def language_head(self, model: PreTrainedModel) -> Head:
        source = cast(Any, model)
        parts = {"predictions": source.generator_predictions, "decoder": source.generator_lm_head}
        return Head(nn.Sequential(OrderedDict(parts)))
