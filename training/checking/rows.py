"""Rows that training refuses, by what is wrong with them, and texts that it takes but cannot learn from."""

from __future__ import annotations

from collections.abc import Sequence

from training.checking.findings import Finding, first, shortened
from training.data import (
    DataError,
    EmptyTextError,
    EncodingError,
    IllegalTagError,
    MissingColumnError,
    MissingLabelError,
    Part,
    SpanError,
)

# Of these the first that fits: the name of the check, and the remedy.
KINDS: tuple[tuple[type[DataError], str, str], ...] = (
    (EmptyTextError, "empty text", "Remove these rows, or write their texts."),
    (MissingLabelError, "no label", "Give these rows a label, or remove them."),
    (
        MissingColumnError,
        "missing column",
        "Name the columns in the recipe, as data.text_column, data.label_column, or data.question_column.",
    ),
    (SpanError, "wrong span", "Correct these spans in the tool that marked them, and export them again."),
    (IllegalTagError, "illegal tags", "Correct the tags, or name the scheme: data.tag_scheme."),
    (EncodingError, "encoding of the file", "Save the file as UTF-8, or set data.encoding."),
    (DataError, "unreadable", "Correct these; each says what is wrong with it."),
)


def refused_rows(parts: Sequence[Part]) -> list[Finding]:
    """Find what keeps a split from being read."""
    return [finding for part in parts for finding in refusals_of(part)]


def tolerated_tags(parts: Sequence[Part]) -> list[Finding]:
    """Find sentences in IOB2 that have an entity beginning with I-."""
    found = []
    for part in parts:
        if places := [f"{item.where}  {shortened(item.text)}" for item in part.items if item.bare]:
            summary, remedy = "an entity begins with I-", "It is read as B-; correct it if it was meant to go on."
            found.append(Finding("warning", "illegal tags", part.split, len(places), summary, first(places), remedy))
    return found


def texts_without_words(parts: Sequence[Part]) -> list[Finding]:
    """Find texts without a single letter or digit."""
    found = []
    for part in parts:
        bare = [item for item in part.items if not any(character.isalnum() for character in item.words)]
        if bare:
            places = [f"{item.where}  {shortened(item.words)!r}" for item in bare]
            summary, remedy = "no letter or digit in the text", "Remove them, unless signs such as :-) carry the label."
            found.append(Finding("warning", "no words", part.split, len(bare), summary, first(places), remedy))
    return found


def refusals_of(part: Part) -> list[Finding]:
    groups: dict[int, list[str]] = {}
    for error in part.refused:
        kind = next(index for index, (cause, _, _) in enumerate(KINDS) if isinstance(error, cause))
        groups.setdefault(kind, []).append(str(error))
    return [
        Finding(
            "error",
            KINDS[kind][1],
            part.split,
            len(found),
            "training would stop at the first of these",
            first(found),
            KINDS[kind][2],
        )
        for kind, found in sorted(groups.items())
    ]
