"""Texts become tokens: short ones together, long ones chunk by chunk, so that no step takes long or much memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.errors import RequestTooLargeError
from app.tasks.cutting import Cutter
from app.tasks.pausing import pause

WHOLE = 8192  # characters of a text up to which it is not cut
TOGETHER = 16_384  # characters of short texts that are tokenized together
ALONE = 2048  # characters of a text up to which it may hold the GIL for as long as it takes


@dataclass(slots=True)
class Tokens:
    """The tokens of one text, without special tokens: `offsets` (tokens, 2) in its code points, white space included.

    `words` (tokens,) numbers the words that tokens belong to. Without offsets both are empty.
    """

    ids: list[int]
    offsets: NDArray[np.int32]
    words: NDArray[np.int32]

    @classmethod
    def of(cls, encoding: Encoding, with_offsets: bool) -> Tokens:
        ids = encoding.ids
        if not with_offsets:
            return cls(ids, NO_OFFSETS, NO_WORDS)
        offsets = np.fromiter(chain.from_iterable(encoding.offsets), np.int32, 2 * len(ids)).reshape(-1, 2)
        words = np.fromiter((-1 if word is None else word for word in encoding.word_ids), np.int32, len(ids))
        return cls(ids, offsets, words)

    @classmethod
    def join(cls, parts: Sequence[Tokens], starts: Sequence[int]) -> Tokens:
        """Return the tokens of a text from those of its chunks, which start at `starts`."""
        ids = list(chain.from_iterable(part.ids for part in parts))
        offsets = [part.offsets + np.int32(start) for part, start in zip(parts, starts, strict=True)]
        words, first = [], 0
        for part in parts:
            words.append(part.words + np.int32(first))
            first = int(words[-1][-1]) + 1 if len(part.words) else first
        return cls(ids, np.concatenate(offsets), np.concatenate(words))


NO_OFFSETS, NO_WORDS = np.empty((0, 2), np.int32), np.empty(0, np.int32)


class TextTokenizer:
    """A tokenizer of texts of any length; one request has `max_tokens` at most, where that is not None."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int | None) -> None:
        self._tokenizer, self._max_tokens = tokenizer, max_tokens
        self._cutter = Cutter(tokenizer)

    def tokens_of(self, texts: Sequence[str], *, with_offsets: bool, most: int | None = None) -> list[Tokens]:
        """Tokenize texts; of a long one, the first `most` tokens or a few more.

        Raises `RequestTooLargeError` as soon as there are more tokens than one request may have, and for a text that
        cannot be cut.
        """
        if not texts:
            return []
        if sum(map(len, texts)) <= WHOLE:
            return self._together(texts, with_offsets)
        result: list[Tokens] = []
        count = 0
        for tokens in self._one_by_one(texts, with_offsets, most):
            result.append(tokens)
            count += len(tokens.ids) if most is None else min(most, len(tokens.ids))
            self.check(count)
        return result

    def _one_by_one(self, texts: Sequence[str], with_offsets: bool, most: int | None) -> Iterator[Tokens]:
        short: list[str] = []
        for text in texts:
            if short and (len(text) > WHOLE or sum(map(len, short)) + len(text) > TOGETHER):
                yield from self._together(short, with_offsets)
                pause()
                short = []
            if len(text) > WHOLE:
                yield self._in_chunks(text, with_offsets, most)
            else:
                short.append(text)
        yield from self._together(short, with_offsets)

    def _together(self, texts: Sequence[str], with_offsets: bool) -> list[Tokens]:
        """Tokenize texts that are not cut. For one with offsets, `encode` is cheaper than a batch; it keeps the GIL."""
        if not texts:
            return []
        if not with_offsets:
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        elif len(texts) == 1 and len(texts[0]) <= ALONE:
            encodings = [self._tokenizer.encode(texts[0], add_special_tokens=False)]
        else:
            encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [Tokens.of(encoding, with_offsets) for encoding in encodings]

    def _in_chunks(self, text: str, with_offsets: bool, most: int | None) -> Tokens:
        """Tokenize a long text. Only the batch functions let other threads run meanwhile."""
        encode = self._tokenizer.encode_batch if with_offsets else self._tokenizer.encode_batch_fast
        parts, starts, count = [], [], 0
        for start, end in self._cutter.chunks(text):
            (encoding,) = encode([text[start:end]], add_special_tokens=False)
            parts.append(Tokens.of(encoding, with_offsets))
            starts.append(start)
            count += len(parts[-1].ids)
            if most is not None and count >= most:
                break
            self.check(count)
            pause()
        return Tokens.join(parts, starts)

    def check(self, count: int) -> None:
        """Raise `RequestTooLargeError` for more tokens than one request may have."""
        if self._max_tokens is not None and count > self._max_tokens:
            raise RequestTooLargeError(
                f"the request has more than {self._max_tokens} tokens; at most {self._max_tokens} are taken at once"
            )
