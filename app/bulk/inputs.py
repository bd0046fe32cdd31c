"""Inputs, how large they are, and what is said about each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.errors import ServeError

FIRST_SHARE = 8  # the first chunk has one part in so many
CHARACTERS_PER_INPUT = 16  # that count beside those of an input, for its special tokens
ONLY_INPUT = re.compile(r"^inputs(\.0)?(: text 0 |: |\.)")  # how errors name the input of a list of one


class Prediction(NamedTuple):
    """What a model says about one input: what stands in each column of its task, or what is wrong with the input."""

    cells: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input that could not be read; `error` says why."""

    error: str


def size_of(given: Any) -> int:
    """Return about how many characters an input has, with some for its special tokens."""
    texts = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else (given,)
    return CHARACTERS_PER_INPUT + sum(len(text) for text in texts if isinstance(text, str))


def first_size(size: int) -> int:
    """Return the size of the first chunk of all: runners wait until it is tokenized."""
    return size // FIRST_SHARE


def sentence_of(error: BaseException) -> str:
    """Return what is wrong with an only input, in words that do not speak of a list."""
    if not isinstance(error, ServeError):
        return f"the text cannot be tokenized: {type(error).__name__}"
    return ONLY_INPUT.sub("", str(error))
