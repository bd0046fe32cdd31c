"""Where the words of a text begin, for tokenizers that do not say it: byte-level BPE and SentencePiece.

Words stand between white space, without the punctuation around them. Hyphens, apostrophes, full stops and the like
within a word belong to it, as combining marks do. In scripts that put no space between words each character is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby

JOINERS = "'\u2019\\-\u2010\u2011.&@+_\u00b7\u200c\u200d"  # within a word, between two letters or digits
# Ideographs, kana, Thai, Lao, Tibetan, Burmese, Khmer.
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)

MARKED = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]  # where Unicode has combining marks


@cache
def word_pattern() -> re.Pattern[str]:
    """Return the pattern of a word, or of the signs between two: whatever is not white space is in a match."""
    letter, mark = rf"(?![{UNSPACED}])[^\W_]", f"[{marks()}]"
    return re.compile(
        rf"[{UNSPACED}]{mark}*|{letter}(?:{letter}|{mark}|[{JOINERS}]+(?={letter}))*|(?:(?!{letter}|[{UNSPACED}])\S)+"
    )


def marks() -> str:
    """Return the combining marks of Unicode as ranges of a character class."""
    points = (point for point in MARKED if unicodedata.category(chr(point))[0] == "M")
    runs = (list(run) for _, run in groupby(enumerate(points), key=lambda pair: pair[1] - pair[0]))
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


def number_words(text: str, starts: Iterable[int]) -> Iterator[int]:
    """Yield the number of the word that each token is in, by where tokens start; starts ascend."""
    begins = (match.start() for match in word_pattern().finditer(text))
    number, following = 0, next(begins, None)
    for start in starts:
        while following is not None and following <= start:
            number, following = number + 1, next(begins, None)
        yield number
