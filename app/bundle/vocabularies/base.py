"""What every kind of tokenizer is made of: its parts, the names of its special tokens, a post-processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ROBERTA = dict(zip(NAMED, ("<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"), strict=True))
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")

Token = dict[str, Any]  # an added token, as tokenizer.json has it


class Parts(NamedTuple):
    """A tokenizer without its added tokens. `ids` are the tokens' numbers; `finish` makes the post-processor of all."""

    model: dict[str, Any]
    ids: dict[str, int]
    normalizer: dict[str, Any] | None
    pre_tokenizer: dict[str, Any]
    decoder: dict[str, Any]
    finish: Callable[[Mapping[str, str], Mapping[str, int]], dict[str, Any]]
    extra: tuple[Token, ...] | None = None  # further added tokens; None: those that the settings name


class Kind(NamedTuple):
    """A kind of tokenizer: its files, and the names by which transformers' classes and types of models mean it.

    `named` has the special tokens where nothing else is said. `make` is given the folder, the tokenizer's settings and
    the texts of the special tokens by name.
    """

    files: tuple[str, ...]
    classes: tuple[str, ...]
    model_types: tuple[str, ...]
    named: Mapping[str, Any]
    make: Callable[[Path, Mapping[str, Any], Mapping[str, str]], Parts]


def template(
    numbers: Mapping[str, int], single: list[str | int], pair: list[str | int], second_type: int
) -> dict[str, Any]:
    """Return a post-processor: special tokens by their texts, the two texts of a pair as 0 and 1."""

    def pieces(form: list[str | int]) -> Iterator[dict[str, Any]]:
        kind = 0
        for part in form:
            kind = second_type if part == 1 else kind
            name, text = ("Sequence", "AB"[part]) if isinstance(part, int) else ("SpecialToken", part)
            yield {name: {"id": text, "type_id": kind}}

    special = {text: {"id": text, "ids": [numbers[text]], "tokens": [text]} for text in single if isinstance(text, str)}
    return {
        "type": "TemplateProcessing",
        "single": list(pieces(single)),
        "pair": list(pieces(pair)),
        "special_tokens": special,
    }
