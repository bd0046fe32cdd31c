"""Texts that may come as the list of their words, as a data set of named entities has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Discriminator, Field, Tag

from app.tasks.base import ONE_OR_MORE, Text, branch_of
from app.tasks.text import EncodedText

TextOrWords = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<list>")],
    Discriminator(
        branch_of, custom_error_type="inputs_type", custom_error_message="must be a text or a list of its words"
    ),
]
TextsOrWords = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[TextOrWords], Field(min_length=1, fail_fast=True), Tag("<list>")],
    ONE_OR_MORE,
]


def with_words(text: EncodedText, words: Sequence[str], delimiter: str) -> EncodedText:
    """Return a text of which each token belongs to the word that it begins in; `delimiter` joined the words."""
    lengths = np.array([len(word) + len(delimiter) for word in words], np.int64)
    starts = np.cumsum(lengths) - lengths
    numbers = np.searchsorted(starts, text.offsets()[:, 0], side="right") - 1  # (tokens,)
    return replace(text, words=numbers.astype(np.int32), are_words_given=True)
