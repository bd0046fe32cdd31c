"""RoBERTa and the encoders of its architecture: XLM-RoBERTa, CamemBERT and DistilRoBERTa."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from transformers import PretrainedConfig, PreTrainedModel

from training.encoders.base import Head
from training.encoders.bert import BertLike


class Roberta(BertLike):
    """Positions count from pad_token_id + 1. Source: fairseq's make_positions; Liu et al. 2019, arXiv:1907.11692."""

    model_types: ClassVar[tuple[str, ...]] = ("roberta", "xlm-roberta", "camembert")
    can_be_transplanted: ClassVar[bool] = True

    def position_offset(self, config: PretrainedConfig) -> int:
        padding = getattr(config, "pad_token_id", None)
        return (1 if padding is None else int(padding)) + 1

    def language_head(self, model: PreTrainedModel) -> Head:
        return Head(cast(Any, model).lm_head)
