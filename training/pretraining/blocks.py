"""Packs documents into full sequences: pretraining without padding and without cut-off text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

Ids = NDArray[np.int32]

DOCUMENTS_PER_CALL = 1000  # the tokenizer works on all cores within one call


def pack_documents(documents: Sequence[str], tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Return rows of `input_ids` of exactly `length` tokens, <s> and </s> included.

    Documents follow each other with one </s> between them, and a row may cross from one into the next. The
    tokens at the end that do not fill a row are left out. Raises `ValueError` when they do not fill one.
    Source: FULL-SENTENCES without next-sentence prediction, Liu et al. 2019, arXiv:1907.11692, section 4.2.
    """
    stream = np.concatenate(list(token_stream(documents, tokenizer)))  # (all tokens,)
    content = length - 2  # tokens of a row between <s> and </s>
    rows = len(stream) // content
    if rows == 0:
        raise ValueError(f"the documents hold {len(stream)} tokens, which do not fill one sequence of {length}")
    blocks = np.empty((rows, length), np.int32)
    blocks[:, 0], blocks[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    blocks[:, 1:-1] = stream[: rows * content].reshape(rows, content)
    return Dataset.from_dict({"input_ids": list(blocks)})


def token_stream(documents: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[Ids]:
    """Yield the ids of each document, the separator that ends it included."""
    for start in range(0, len(documents), DOCUMENTS_PER_CALL):
        some = list(documents[start : start + DOCUMENTS_PER_CALL])
        for ids in tokenizer(some, add_special_tokens=False, verbose=False)["input_ids"]:
            yield np.array([*ids, tokenizer.sep_token_id], np.int32)
