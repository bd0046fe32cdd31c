"""The texts that every server is asked: short ones, and a mix of short and long."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

TEXTS = 256  # in a set; at 32 connections none is asked twice at once, so that its answer can be told apart
SHORT_TOKENS = range(17, 65)  # one or two sentences: on the shipped data the mean is 25
LONG_EVERY = 6  # in the mixed set, one text in six is the beginning of a long review
LONG_WORDS = range(40, 300, 13)  # how many words of it, in turn: 50 to 360 tokens


class TextSet(NamedTuple):
    """Texts, and the tokens in each, special tokens included."""

    name: str
    texts: list[str]
    tokens: list[int]

    def __str__(self) -> str:
        mean = sum(self.tokens) / len(self.tokens)
        return f"{self.name}: {len(self.texts)} texts, {min(self.tokens)} to {max(self.tokens)} tokens, mean {mean:.0f}"


def read_texts(path: Path) -> list[str]:
    """Read the `text` of each line of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def short_and_mixed(texts: list[str], tokenizer_file: Path) -> tuple[TextSet, TextSet]:
    """Choose both sets from `texts`, in their order."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))

    def text_set(name: str, chosen: list[str]) -> TextSet:
        return TextSet(name, chosen, [len(e.ids) for e in tokenizer.encode_batch(chosen)])

    tokens = text_set("all", texts).tokens
    short = [text for text, count in zip(texts, tokens, strict=True) if count in SHORT_TOKENS][:TEXTS]
    long = [text for text, count in zip(texts, tokens, strict=True) if count > 512]
    return text_set("short", short), text_set("mixed", list(mix(short, long)))


def mix(short: list[str], long: list[str]) -> Iterator[str]:
    """Replace one short text in `LONG_EVERY` by the first words of a long one."""
    beginnings = zip(itertools.cycle(long), itertools.cycle(LONG_WORDS), strict=False)  # endless, both
    for number, text in enumerate(short):
        if number % LONG_EVERY == 0:
            review, words = next(beginnings)
            yield " ".join(review.split()[:words])
        else:
            yield text
