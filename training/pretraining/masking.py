"""Chooses the tokens that a masked language model must guess, anew each time a sequence is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.evaluation.fill_mask import KEPT_SHARE, RANDOM_SHARE
from training.losses import IGNORED


class MaskingCollator:
    """Stacks rows of equal length and masks them: 80 % of the chosen tokens become <mask>, 10 % a random token
    and 10 % stay, whether single tokens or whole words are chosen.

    Randomness is torch's, so that a seed and a resumed run's restored state give the same masks.
    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1; dynamic masking, arXiv:1907.11692, section 4.1.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, share: float, *, whole_words: bool = False) -> None:
        self.share, self.whole_words = share, whole_words
        self.mask_id, self.vocabulary = tokenizer.mask_token_id, len(tokenizer)
        self.special = torch.tensor(tokenizer.all_special_ids)
        self.begins_word = word_beginnings(tokenizer)  # (vocabulary,) bool

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Tensor]:
        """Return `input_ids` and `labels`, both (B, S); a label is `IGNORED` where nothing is guessed."""
        ids = torch.tensor([row["input_ids"] for row in rows], dtype=torch.long)  # (B, S)
        chosen = self.choose(ids)
        labels = ids.masked_fill(~chosen, IGNORED)
        fate = torch.rand(ids.shape)
        masked = chosen & (fate >= KEPT_SHARE + RANDOM_SHARE)
        swapped = chosen & (fate < RANDOM_SHARE)
        ids = ids.masked_fill(masked, self.mask_id)
        return {"input_ids": torch.where(swapped, torch.randint(self.vocabulary, ids.shape), ids), "labels": labels}

    def choose(self, ids: Tensor) -> Tensor:
        """Return a bool (B, S): the tokens to guess, special tokens never; at least one token of the batch."""
        can_be_chosen = ~torch.isin(ids, self.special)
        units = self.words_of(ids) if self.whole_words else torch.arange(ids.numel()).view_as(ids)
        drawn = torch.rand(ids.numel())[units] < self.share
        chosen = drawn & can_be_chosen
        if not chosen.any():
            chosen.view(-1)[int(can_be_chosen.view(-1).float().argmax())] = True
        return chosen

    def words_of(self, ids: Tensor) -> Tensor:
        """Number the words (B, S): the tokens of one word share a number, and a row begins a word."""
        begins = self.begins_word[ids] | torch.isin(ids, self.special)
        begins[:, 0] = True
        return begins.view(-1).cumsum(0).view_as(ids) - 1


def word_beginnings(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Return a bool (vocabulary,): whether a token begins a word.

    A token of byte-level BPE begins one with the space in front (`Ġ`), one of SentencePiece with `▁`, and
    one of WordPiece wherever it does not begin with `##`.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    spaced = ("Ġ", "▁", "Ċ")
    if any(token.startswith("##") for token in tokens):
        return torch.tensor([not token.startswith("##") for token in tokens])
    return torch.tensor([token.startswith(spaced) for token in tokens])
