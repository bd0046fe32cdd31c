"""Where a long text may be cut without changing its tokens: at places of kinds that a tokenizer was tried on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from app.errors import RequestTooLargeError

CHUNK = 4096  # characters from which on a chunk ends at the next place: a few milliseconds of tokenizing
MOST_UNCUT = 65_536  # characters without any such place

# A letter or digit, but no presentation form, which a normalizer may take apart; or a mark of ASCII.
SOLID = r"(?:(?![\uf900-\uffff])[^\W_]|[!-~])"
SPACE = r"[ \t\n\r\u00a0\u3000]"
IDEOGRAPH, KANA = r"\u3400-\u4dbf\u4e00-\u9fff", r"\u3041-\u3096\u30a1-\u30fa"


class Kind(NamedTuple):
    """A kind of place, as a pattern whose match ends there, and what stands before and after it in trials."""

    pattern: str
    before: tuple[str, ...]
    after: tuple[str, ...]


WORDS = (
    "the film",
    "Don't",
    "end.",
    "x9",
    "(a",
    "\u00e9t\u00e9",
    "\u041f\u0440\u0438\u0432\u0435\u0442",
    "\u6771\u4eac",
    "\ud55c\uad6d",
    "UPPER",
    "-",
)
NEXT_WORDS = ("word", "'s", "\u00c9t\u00e9", "123", "(x", "...", "\u6771\u4eac", "a  b")
SPACES = (" ", "  ", "\n", "\n\n", "\t", " \n ", "\r\n", "\u00a0", "\u3000", " " * 9)
KINDS = (
    Kind(f"{SOLID}(?={SPACE}{{1,64}}{SOLID})", WORDS, tuple(map("".join, product(SPACES, NEXT_WORDS)))),
    Kind(f"{SOLID}(?= {SOLID})", WORDS, tuple(f" {word}" for word in NEXT_WORDS)),
    Kind("[A-Za-z0-9](?= [A-Za-z0-9])", ("the film", "x9", "UP"), (" word", " 123", " A B", " s")),
    Kind(f"[{IDEOGRAPH}](?=[{IDEOGRAPH}])", ("a \u6771", "\u6771\u4eac"), ("\u5927", "\u5927\u962a a", "\u4eba,")),
    Kind(
        f"[\u3002\uff01\uff1f\u3001\uff0c](?=[{IDEOGRAPH}{KANA}])",
        ("\u6771\u4eac\u3002", "\u306f\u3001", "a\uff0c", "\u4eac!\uff1f"),
        ("\u5927", "\u5927\u962a a", "\u306f\u3044", "\u30ab\u30ca"),
    ),
    Kind("[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])", ("abc", "a 12", "It's 1"), ("9", "x", "12ab")),
    Kind("[A-Za-z](?=[,;:])", ("abc", "a 12x", "It's", "A"), (",", ",b", ";d e", ":/x", ",,", ", b", ":)")),
)


class Cutter:
    """Cuts texts for one tokenizer into chunks whose tokens, put together, are those of the whole text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        added = tokenizer.get_added_tokens_decoder().values()
        self._masks = tuple(token.content for token in added if token.lstrip or token.rstrip)
        proven = [kind.pattern for kind in KINDS if self._holds(tokenizer, kind)]
        # An added token is found across a place that it contains, or where it takes the space beside it.
        patterns = [p for p in proven if not any(re.search(p, token.content) for token in added)]
        self.pattern = re.compile("|".join(patterns)) if patterns else None

    def _holds(self, tokenizer: Tokenizer, kind: Kind) -> bool:
        """Whether the tokens of two texts of each trial are those of both as one text."""
        place = re.compile(kind.pattern)
        trials = [
            (before, after)
            for before, after in product(
                self._with_masks(kind.before, "{1} {0}"), self._with_masks(kind.after, "{0} {1}")
            )
            if is_place(place, before, after)
        ]
        texts = [text for before, after in trials for text in (before + after, before, after)]
        encodings = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
        groups = zip(trials, encodings, encodings, encodings, strict=True)
        return bool(trials) and all(is_the_same(*trial, *each) for trial, *each in groups)

    def _with_masks(self, texts: tuple[str, ...], form: str) -> list[str]:
        """Return texts, and the first of them beside each added token that takes white space."""
        return [*texts, *(form.format(texts[0], mask) for mask in self._masks)]

    def chunks(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the ranges of a text's chunks, in code points.

        Raises `RequestTooLargeError` where there is no place to cut for too long.
        """
        start = 0
        while start < len(text):
            end = self._end(text, start)
            yield start, end
            start = end

    def _end(self, text: str, start: int) -> int:
        limit = start + CHUNK + MOST_UNCUT
        place = None if self.pattern is None else self.pattern.search(text, start + CHUNK - 1, limit)
        if place is not None:
            return place.end()
        if limit < len(text):
            raise RequestTooLargeError(self._refusal(start))
        return len(text)

    def _refusal(self, start: int) -> str:
        if self.pattern is None:
            return (
                f"a text is too long: this model's tokenizer reads a text as a whole, of at most {MOST_UNCUT:,} "
                "characters here; send parts of it"
            )
        return (
            f"a text has more than {MOST_UNCUT:,} characters in a row, from character {start:,} on, that cannot be "
            "taken apart; put spaces or line breaks between words"
        )


def is_place(pattern: re.Pattern[str], before: str, after: str) -> bool:
    """Whether two texts meet at a place of a kind."""
    return any(match.end() == len(before) for match in pattern.finditer(before + after))


def is_the_same(before: str, after: str, whole: Encoding, first: Encoding, second: Encoding) -> bool:
    """Whether two texts have the tokens, offsets and words that they have as one text, but for white space."""
    if whole.ids != first.ids + second.ids:
        return False
    text = before + after
    offsets = first.offsets + [(start + len(before), end + len(before)) for start, end in second.offsets]
    words = [("a", word) for word in first.word_ids] + [("b", word) for word in second.word_ids]
    spans = [text[start:end].strip() for start, end in offsets] == [
        text[start:end].strip() for start, end in whole.offsets
    ]
    return spans and borders(words) == borders(whole.word_ids)


def borders(words: Sequence[object]) -> list[int]:
    """Return the positions of the tokens that begin another word than the token before."""
    return [i for i in range(1, len(words)) if words[i] != words[i - 1]]
