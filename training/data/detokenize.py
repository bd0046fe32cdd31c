"""Spaces words as prose does: the corpora hold words, the service is sent text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

# Two words with a space between them that prose would not have.
JOINED = re.compile(
    r"""
    \S+\ (?: [.,;:!?]+ | [)\]}%…”] | '' | ' )               # closing punctuation
    | (?: [(\[{$£€“#@] | ` )\ \S+                           # opening punctuation and signs
    | \S+\ (?i: ['\u2019](?:s|m|d|re|ve|ll) | n['\u2019]t )  # contractions: it 's, do n't
    | ['\u2019]\ (?i: s|t|m|d|re|ve|ll )                     # the same, split at the apostrophe
    | (?i: gon\ na | wan\ na | got\ ta )
    | [A-Z]\.\ [A-Z]\.                                       # initials: U. S.
    """,
    re.VERBOSE,
)
JOINING = frozenset("-/\u2013")  # with the en dash


def natural_gaps(words: Sequence[str]) -> list[str]:
    """Return the space, or nothing, between each word and the next: rules of English typography."""
    gaps = []
    quoted = False
    for index, (left, right) in enumerate(itertools.pairwise(words)):
        quoted ^= left == '"'  # True after the opening quote
        joined = (
            JOINED.fullmatch(f"{left} {right}") is not None
            or (quoted and '"' in (left, right))
            or (right in JOINING and is_compound(words, index + 1))
            or (left in JOINING and is_compound(words, index))
            or (left == "," and is_thousands(words, index))
        )
        gaps.append("" if joined else " ")
    return gaps


def is_compound(words: Sequence[str], index: int) -> bool:
    """Say whether the hyphen or slash at `index` joins its neighbors, as in well-known or 24/7."""
    if not 0 < index < len(words) - 1:
        return False
    before, after = words[index - 1], words[index + 1]
    return before[-1].isalnum() and after[0].isalnum() and (words[index] == "/" or not after[0].isupper())


def is_thousands(words: Sequence[str], index: int) -> bool:
    """Say whether the comma at `index` groups digits, as in 28,000."""
    return index > 0 and words[index - 1].isdigit() and re.fullmatch(r"\d{3}", words[index + 1]) is not None
