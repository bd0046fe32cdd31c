"""Losses of vectors: similar texts against all others of their batch, and cosines against given scores.

Both take what `Similar` makes of a batch: the first texts of all examples, then the second ones, then all negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from training.data.similarity import scale_of
from training.encoders.sentences import VECTOR

SCALE = 20.0  # of the cosine; sentence-transformers' MultipleNegativesRankingLoss has the same


class Similar:
    """Makes a batch of rows that each have several texts: `input_ids` and `numbers` list them in one order."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return `input_ids` and `attention_mask` (N, S), `numbers` (N,) and `labels` (B,)."""
        ids, numbers = (in_order([row[name] for row in rows]) for name in ("input_ids", "numbers"))
        batch: dict[str, Tensor] = dict(self.tokenizer.pad({"input_ids": ids}, return_tensors="pt"))
        return batch | {"numbers": torch.tensor(numbers), "labels": torch.tensor([row["labels"] for row in rows])}


def in_order(texts: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the first of each list, the second of each, and then all others."""
    return [
        *(each[0] for each in texts),
        *(each[1] for each in texts),
        *chain.from_iterable(each[2:] for each in texts),
    ]


def contrastive_loss(
    outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Return the cross-entropy of finding each first text's second among those of the whole batch, and the negatives.

    Summed over the batch, and divided by the examples of all accumulated ones. A text that is no negative of another,
    because it equals one of that one's, is not counted among them.
    Source: Henderson et al. 2017, arXiv:1705.00652, section 4.4; sentence-transformers' MultipleNegativesRankingLoss.
    """
    count = len(batch["labels"])
    vectors = F.normalize(outputs[VECTOR].float(), dim=1)  # (N, width)
    nearness = SCALE * vectors[:count] @ vectors[count:].T  # (B, N - B)
    nearness = nearness.masked_fill(false_negatives(batch["numbers"], count), -torch.inf)
    right = torch.arange(count, device=nearness.device)
    total = F.cross_entropy(nearness, right, reduction="sum")
    return total / (count if num_items_in_batch is None else num_items_in_batch)


def false_negatives(numbers: Tensor, count: int) -> Tensor:
    """Return which candidates are no negatives of which texts, (B, N - B), by the numbers of equal texts (N,).

    A candidate that equals the text, or its second text, or the second text of an equal one.
    """
    texts, candidates = numbers[:count], numbers[count:]
    equal = (candidates == candidates[:count, None]) | (candidates == texts[:, None])
    of_equal = texts == texts[:, None]  # (B, B)
    equal[:, :count] |= of_equal
    equal.fill_diagonal_(False)  # what is to be found
    return equal


class CosineLoss:
    """The squared difference of cosines and scores, which are brought from their scale to 0..1, or -1..1.

    Source: Reimers & Gurevych 2019, arXiv:1908.10084, section 3, the regression objective.
    """

    def __init__(self, scores: Sequence[float]) -> None:
        self.low, self.high = scale_of(scores)

    def scaled(self, scores: Tensor) -> Tensor:
        """Return scores (B,) from 0 to 1, or from -1 to 1 where the scale goes below 0."""
        return scores / self.high if self.low < 0 else (scores - self.low) / (self.high - self.low)

    def __call__(
        self, outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        count = len(batch["labels"])
        vectors = F.normalize(outputs[VECTOR].float(), dim=1)  # (N, width)
        cosines = (vectors[:count] * vectors[count : 2 * count]).sum(dim=1)  # (B,)
        total = F.mse_loss(cosines, self.scaled(batch["labels"]).to(cosines.dtype), reduction="sum")
        return total / (count if num_items_in_batch is None else num_items_in_batch)
