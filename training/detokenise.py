"""Spaces words as prose does: the corpora hold words, the service is sent text."""

import itertools
import re
from collections.abc import Sequence

_APOSTROPHE = "['\u2019]"  # typewriter or typographic
_CLOSING = re.compile(
    rf"[.,;:!?]+|[)\]}}%…”]|''|'|{_APOSTROPHE}(?i:s|m|d|re|ve|ll)|(?i:n){_APOSTROPHE}(?i:t)"
)
_OPENING = re.compile(r"[(\[{$£€“]|``")
_JOINING = frozenset("-/\u2013")  # with the en dash
_SPLIT_WORDS = frozenset({("gon", "na"), ("wan", "na"), ("got", "ta")})


def natural_gaps(words: Sequence[str]) -> list[str]:
    """Return the space, or nothing, between each word and the next: rules of English typography."""
    gaps = []
    quoted = False
    for index, (left, right) in enumerate(itertools.pairwise(words)):
        quoted ^= left == '"'  # True after the opening quote
        joined = (
            (right == '"' and quoted)
            or (left == '"' and quoted)
            or _CLOSING.fullmatch(right) is not None
            or _OPENING.fullmatch(left) is not None
            or (left.lower(), right.lower()) in _SPLIT_WORDS
            or (right in _JOINING and _is_compound(words, index + 1))
            or (left in _JOINING and _is_compound(words, index))
        )
        gaps.append("" if joined else " ")
    return gaps


def _is_compound(words: Sequence[str], index: int) -> bool:
    """Say whether the hyphen or slash at ``index`` joins its neighbours, as in well-known or 24/7."""
    if not 0 < index < len(words) - 1:
        return False
    before, after = words[index - 1], words[index + 1]
    return before[-1].isalnum() and after[0].isalnum() and (words[index] == "/" or not after[0].isupper())
