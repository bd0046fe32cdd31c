"""From text to windows: tokens, offsets, special tokens and overlapping windows for texts that are too long."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from app.errors import InvalidRequestError
from app.tasks.tokenizer import open_tokenizer, probe_special_tokens
from app.window import Ints, Window

OVERLAP_SHARE = 4  # consecutive windows share a quarter of their tokens, unless the request says otherwise

CutSide = Literal["longer", "second"]  # which text of a pair is cut where both do not fit into one window


class Piece(NamedTuple):
    """The part of a text that one window holds, as ranges of its content tokens.

    The window holds the tokens `start:end`, and answers for those of `home_start:home_end`, which have more context
    in it than in any other. Every token is at home in exactly one piece.
    """

    start: int
    end: int
    home_start: int
    home_end: int


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The content tokens of one text, without special tokens, and the pieces that windows are made of."""

    text: str
    encoding: Encoding
    ids: list[int]
    pieces: list[Piece]

    def span(self, token: int) -> tuple[int, int]:
        """Return the code point range of one token in `text`, white space included."""
        start, end = self.encoding.offsets[token]
        return start, end

    def offsets(self) -> NDArray[np.int64]:
        """Return (tokens, 2) code point ranges in `text`, with no white space at either end."""
        offsets = np.array(self.encoding.offsets, np.int64).reshape(-1, 2)
        for row in offsets:
            while row[0] < row[1] and self.text[row[0]].isspace():
                row[0] += 1
            while row[0] < row[1] and self.text[row[1] - 1].isspace():
                row[1] -= 1
        return offsets


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """Two encoded texts that share windows: each window holds the whole of one and a piece of the other."""

    first: EncodedText
    second: EncodedText
    is_second_cut: bool  # whether the pieces are those of the second text; the first is whole then

    @property
    def pieces(self) -> list[Piece]:
        return self.second.pieces if self.is_second_cut else self.first.pieces

    def ids_in(self, piece: Piece) -> tuple[list[int], list[int]]:
        """Return the content tokens of both texts that the window of a piece holds."""
        if self.is_second_cut:
            return self.first.ids, self.second.ids[piece.start : piece.end]
        return self.first.ids[piece.start : piece.end], self.second.ids


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

        Without offsets, which is faster, those of the encodings are all (0, 0). Raises `InvalidRequestError` for an
        overlap in tokens of more than half a window.
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
        """Encode without special tokens. For one text with offsets, `encode` is cheaper than a batch of one."""
        if not texts:
            return []
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

    def encode_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        cut_side: CutSide = "longer",
        fields: tuple[str, str] = ("text", "text_pair"),
        overlap: int | None = None,
        truncate: bool = False,
        with_offsets: bool = True,
    ) -> list[EncodedPair]:
        """Tokenize pairs of texts. Where a pair does not fit into one window, one text is cut into overlapping pieces.

        `fields` are the names of the two texts in errors. Raises `InvalidRequestError` when the text that stays whole
        leaves less than a quarter of a window to the other, and the other does not fit into that.
        """
        encodings = self.tokenize([text for pair in pairs for text in pair], with_offsets)
        texts = [encoded_whole(*each) for each in zip(itertools.chain.from_iterable(pairs), encodings, strict=True)]
        result = []
        for first, second in zip(texts[::2], texts[1::2], strict=True):
            is_second_cut = cut_side == "second" or len(second.ids) > len(first.ids)
            whole, other = (first, second) if is_second_cut else (second, first)
            capacity = self.max_length - self.special.of_pair - len(whole.ids)
            if capacity < min(len(other.ids), max(1, self.capacity // OVERLAP_SHARE)):
                raise InvalidRequestError(self.too_long(cut_side, *fields))
            tokens = min(len(other.ids), capacity) if truncate else len(other.ids)
            shared = capacity // OVERLAP_SHARE if overlap is None else min(overlap, capacity // 2)
            other = replace(other, pieces=cut(tokens, capacity, shared))
            result.append(EncodedPair(*((whole, other) if is_second_cut else (other, whole)), is_second_cut))
        return result

    def too_long(self, cut_side: CutSide, first: str, second: str) -> str:
        """Return what is wrong with a pair whose uncut text leaves too little of a window to the other."""
        if cut_side == "second":
            return f"{first} leaves {second} too little of a window of {self.max_length} tokens; shorten {first}"
        return f"{first} and {second} are both too long for one window of {self.max_length} tokens; shorten one"

    def pair_window(self, pair: EncodedPair, piece: Piece, head_rows: Ints) -> Window:
        """Make a window of a pair and its special tokens, with `piece` of the text that is cut.

        `head_rows` count from the window's first special token.
        """
        special, (first, second) = self.special, pair.ids_in(piece)
        left = [*special.pair_prefix, *first, *special.pair_middle]
        right = [*second, *special.pair_suffix]
        types = np.repeat(np.array([0, special.pair_type], np.int64), [len(left), len(right)])
        return Window(np.array(left + right, np.int64), head_rows, types)

    def pair_home_rows(self, pair: EncodedPair, piece: Piece) -> Ints:
        """Return the rows of a pair's window that hold the tokens answered from this piece of the text that is cut."""
        shift = len(self.special.pair_prefix) - piece.start
        if pair.is_second_cut:
            shift += len(pair.first.ids) + len(self.special.pair_middle)
        return np.arange(piece.home_start + shift, piece.home_end + shift)


def encoded_whole(text: str, encoding: Encoding) -> EncodedText:
    """Return a text of one piece, however long."""
    ids = encoding.ids
    return EncodedText(text, encoding, ids, [Piece(0, len(ids), 0, len(ids))])


def cut(tokens: int, capacity: int, overlap: int) -> list[Piece]:
    """Cut `tokens` into pieces of at most `capacity` that share `overlap`; the last one ends at the end.

    A token that is in two pieces is at home in the one where it is farther from an edge.
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
