"""From text to windows: tokens, offsets, special tokens and overlapping windows for texts that are too long."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.errors import InvalidRequestError
from app.tasks.tokenizer import open_tokenizer
from app.window import Ints, Window

OVERLAP_SHARE = 4  # consecutive windows share a quarter of their tokens, unless the request says otherwise


class Piece(NamedTuple):
    """One window of a text, as ranges of its content tokens.

    `start:end` is what the window shows the model; `home_start:home_end` are the tokens that are answered from
    it, being the window where they have most context. The homes of a text's pieces tile it.
    """

    start: int
    end: int
    home_start: int
    home_end: int


class SpecialTokens(NamedTuple):
    """What the tokenizer puts around a text, and around and between the two texts of a pair."""

    prefix: list[int]
    suffix: list[int]
    pair_prefix: list[int]
    pair_middle: list[int]
    pair_suffix: list[int]
    pair_type: int  # token type of the second text: 1 for BERT, 0 for RoBERTa


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The content tokens of one text, without special tokens, and the pieces that will be run."""

    text: str
    encoding: Encoding
    ids: list[int]
    pieces: list[Piece]

    def offsets(self) -> NDArray[np.int64]:
        """Return (tokens, 2) code point ranges in `text`, with no white space at either end."""
        offsets = np.array(self.encoding.offsets, np.int64).reshape(-1, 2)
        for row in offsets:
            while row[0] < row[1] and self.text[row[0]].isspace():
                row[0] += 1
            while row[0] < row[1] and self.text[row[1] - 1].isspace():
                row[1] -= 1
        return offsets


class TextEncoder:
    """A bundle's tokenizer, and the length of its windows."""

    def __init__(self, tokenizer_file: Path, max_length: int) -> None:
        self.tokenizer = open_tokenizer(tokenizer_file)
        self.max_length = max_length
        self.special = probe_special_tokens(self.tokenizer)
        self.capacity = max_length - len(self.special.prefix) - len(self.special.suffix)

    def encode(
        self, texts: Sequence[str], *, overlap: int | None = None, truncate: bool = False, with_offsets: bool = True
    ) -> list[EncodedText]:
        """Tokenize texts and cut those that are too long into overlapping pieces, or to the first of them.

        Without offsets, which take a fifth of the time, those of the encodings are all (0, 0). Raises
        `InvalidRequestError` for an overlap in tokens of more than half a window.
        """
        overlap = self.capacity // OVERLAP_SHARE if overlap is None else overlap
        if overlap > self.capacity // 2:
            raise InvalidRequestError(
                f"parameters.stride must be at most {self.capacity // 2}, half of a window of {self.capacity} tokens"
            )
        result = []
        for text, encoding in zip(texts, self.tokenize(texts, with_offsets), strict=True):
            ids = encoding.ids
            tokens = min(len(ids), self.capacity) if truncate else len(ids)
            result.append(EncodedText(text, encoding, ids, cut(tokens, self.capacity, overlap)))
        return result

    def tokenize(self, texts: Sequence[str], with_offsets: bool) -> list[Encoding]:
        """Encode without special tokens; where offsets are wanted, one text alone is cheaper than a batch of one."""
        if not with_offsets:
            return self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        if len(texts) == 1:
            return [self.tokenizer.encode(texts[0], add_special_tokens=False)]
        return self.tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def window(self, ids: list[int], piece: Piece, head_rows: Ints) -> Window:
        """Put special tokens around one piece; `head_rows` count from the window's first special token."""
        prefix, suffix = self.special.prefix, self.special.suffix
        return Window(np.array([*prefix, *ids[piece.start : piece.end], *suffix], np.int64), head_rows)

    def home_rows(self, piece: Piece) -> Ints:
        """Return the rows of the window that hold the tokens answered from this piece."""
        shift = len(self.special.prefix) - piece.start
        return np.arange(piece.home_start + shift, piece.home_end + shift)

    def pair_windows(self, first: str, second: str, head_rows: Ints, *, truncate: bool) -> list[Window]:
        """Encode a text pair; the longer of the two is cut into pieces where they do not fit together.

        Raises `InvalidRequestError` when even the shorter one leaves no room.
        """
        a, b = (encoding.ids for encoding in self.tokenize([first, second], with_offsets=False))
        special = self.special
        specials = len(special.pair_prefix) + len(special.pair_middle) + len(special.pair_suffix)
        room = self.max_length - specials - min(len(a), len(b))
        if room < self.capacity // OVERLAP_SHARE:
            raise InvalidRequestError(
                f"text and text_pair are both too long for one window of {self.max_length} tokens; shorten one"
            )
        pieces = cut(max(len(a), len(b)), room, room // OVERLAP_SHARE)
        windows = []
        for piece in pieces[:1] if truncate else pieces:
            cut_a = a[piece.start : piece.end] if len(a) >= len(b) else a
            cut_b = b if len(a) >= len(b) else b[piece.start : piece.end]
            left = [*special.pair_prefix, *cut_a, *special.pair_middle]
            right = [*cut_b, *special.pair_suffix]
            types = np.repeat(np.array([0, special.pair_type], np.int64), [len(left), len(right)])
            windows.append(Window(np.array(left + right, np.int64), head_rows, types))
        return windows


def cut(tokens: int, capacity: int, overlap: int) -> list[Piece]:
    """Cut `tokens` into pieces of at most `capacity` that share `overlap`; the last one ends at the end.

    A token that two pieces show is at home in the one where it is farther from an edge.
    """
    if tokens <= capacity:
        return [Piece(0, tokens, 0, tokens)]
    starts = [*range(0, tokens - capacity, capacity - overlap), tokens - capacity]
    borders = [
        0,
        *((start + previous + capacity) // 2 for previous, start in itertools.pairwise(starts)),
        tokens,
    ]
    return [Piece(start, start + capacity, borders[i], borders[i + 1]) for i, start in enumerate(starts)]


def probe_special_tokens(tokenizer: Tokenizer) -> SpecialTokens:
    """Learn the special tokens by encoding a letter, which works for every post-processor."""
    single, pair = tokenizer.encode("a"), tokenizer.encode("a", "a")
    content = [i for i, special in enumerate(single.special_tokens_mask) if not special]
    first = [i for i, sequence in enumerate(pair.sequence_ids) if sequence == 0]
    second = [i for i, sequence in enumerate(pair.sequence_ids) if sequence == 1]
    return SpecialTokens(
        prefix=single.ids[: content[0]],
        suffix=single.ids[content[-1] + 1 :],
        pair_prefix=pair.ids[: first[0]],
        pair_middle=pair.ids[first[-1] + 1 : second[0]],
        pair_suffix=pair.ids[second[-1] + 1 :],
        pair_type=pair.type_ids[second[0]],
    )
