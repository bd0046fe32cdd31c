"""From text to windows: tokens, offsets, special tokens and overlapping windows for texts that are too long."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRequestError
from app.tasks.pausing import pause
from app.tasks.tokenizer import open_tokenizer, probe_special_tokens
from app.tasks.tokens import TextTokenizer, Tokens
from app.window import Ints, Window

PAUSE_EVERY = 64  # windows
OVERLAP_SHARE = 4  # consecutive windows share a quarter of their tokens, unless the request says otherwise

BEYOND_SPACES = 0x3001  # a code point beyond all white space
IS_SPACE = np.array([chr(point).isspace() for point in range(BEYOND_SPACES + 1)])

CutSide = Literal["longer", "first", "second"]  # which text of a pair is cut where both do not fit into one window


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
    """The content tokens of one text, without special tokens, and the pieces that windows are made of.

    `spans` (tokens, 2) are code point ranges in `text`, white space included; `words` (tokens,) numbers the words that
    tokens belong to.
    """

    text: str
    ids: list[int]
    spans: NDArray[np.int32]
    words: NDArray[np.int32]
    pieces: list[Piece]
    are_words_given: bool = False  # by the caller

    def offsets(self) -> NDArray[np.int64]:
        """Return (tokens, 2) code point ranges in `text`, with no white space at either end."""
        starts, ends = self.spans.T.astype(np.int64)
        solid = solid_characters(self.text)  # positions, ascending
        first = np.searchsorted(solid, starts)  # of the solid characters that a token begins before
        last = np.searchsorted(solid, ends)
        is_empty = first >= last
        bounded = np.append(solid, len(self.text))
        offsets = np.stack([bounded[first], bounded[last - 1] + 1], axis=1)
        offsets[is_empty] = ends[is_empty, None]
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

    def __init__(self, tokenizer_file: Path, max_length: int, max_tokens: int | None = None) -> None:
        """Open a tokenizer. One request may have `max_tokens` at most, where that is not None."""
        self.tokenizer = open_tokenizer(tokenizer_file)
        self.max_length = max_length
        self.special = probe_special_tokens(self.tokenizer)
        self.capacity = max_length - len(self.special.prefix) - len(self.special.suffix)
        self.texts = TextTokenizer(self.tokenizer, max_tokens)

    def encode(
        self,
        texts: Sequence[str],
        *,
        overlap: int | None = None,
        truncate: bool = False,
        max_length: int | None = None,
        with_offsets: bool = True,
    ) -> list[EncodedText]:
        """Tokenize texts and cut those that are too long into overlapping pieces, or to the first of them.

        The first may be shorter than the others would be: `max_length` tokens, special ones included.
        Without offsets, which is faster, there are no spans and no words. Raises `InvalidRequestError` for an overlap
        in tokens of more than half a window, `RequestTooLargeError` for more tokens than one request may have.
        """
        overlap = self.capacity // OVERLAP_SHARE if overlap is None else overlap
        if overlap > self.capacity // 2:
            raise InvalidRequestError(
                f"parameters.stride must be at most {self.capacity // 2}, half of a window of {self.capacity} tokens"
            )
        result = []
        capacity = self.capacity if max_length is None else self.capacity - max(0, self.max_length - max_length)
        tokenized = self.texts.tokens_of(texts, with_offsets=with_offsets, most=capacity if truncate else None)
        for text, tokens in zip(texts, tokenized, strict=True):
            shown = min(len(tokens.ids), capacity) if truncate else len(tokens.ids)
            pieces = cut(shown, self.capacity, overlap)
            result.append(EncodedText(text, tokens.ids, tokens.offsets, tokens.words, pieces))
        return result

    def bounded(self, windows: Iterable[Window]) -> list[Window]:
        """Return the windows of one request, where texts are in several of them, as a list.

        Raises `RequestTooLargeError` as soon as they have more tokens than one request may have.
        """
        result, tokens = [], 0
        for number, window in enumerate(windows):
            if number % PAUSE_EVERY == 0:
                pause()
            tokens += len(window)
            self.texts.check(tokens)
            result.append(window)
        return result

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
        max_length: int | None = None,
        with_offsets: bool = True,
    ) -> list[EncodedPair]:
        """Tokenize pairs of texts. Where a pair does not fit into one window, one text is cut into overlapping pieces.

        To truncate leaves the first of them, of `max_length` tokens at most where that is less than a window has.
        `fields` are the names of the two texts in errors. Raises `InvalidRequestError` when the text that stays whole
        leaves less than a quarter of a window to the other, and the other does not fit into that.
        """
        every = list(dict.fromkeys(itertools.chain.from_iterable(pairs)))  # a text of several pairs is tokenized once
        window = min(self.max_length, max_length or self.max_length) if truncate else self.max_length
        most = window + 1 if truncate else None  # enough to see which text is the longer one
        tokenized = self.texts.tokens_of(every, with_offsets=with_offsets, most=most)
        texts = {text: encoded_whole(text, tokens) for text, tokens in zip(every, tokenized, strict=True)}
        result, count = [], 0
        for first, second in ((texts[first], texts[second]) for first, second in pairs):
            count += sum(len(each.ids) if most is None else min(most, len(each.ids)) for each in (first, second))
            self.texts.check(count)
            is_second_cut = len(second.ids) > len(first.ids) if cut_side == "longer" else cut_side == "second"
            whole, other = (first, second) if is_second_cut else (second, first)
            capacity = window - self.special.of_pair - len(whole.ids)
            if capacity < min(len(other.ids), max(1, (self.capacity - self.max_length + window) // OVERLAP_SHARE)):
                raise InvalidRequestError(self.too_long(cut_side, window, *fields))
            tokens = min(len(other.ids), capacity) if truncate else len(other.ids)
            shared = capacity // OVERLAP_SHARE if overlap is None else min(overlap, capacity // 2)
            other = replace(other, pieces=cut(tokens, capacity, shared))
            result.append(EncodedPair(*((whole, other) if is_second_cut else (other, whole)), is_second_cut))
        return result

    def too_long(self, cut_side: CutSide, window: int, first: str, second: str) -> str:
        """Return what is wrong with a pair whose uncut text leaves too little of a window to the other."""
        if cut_side != "longer":
            whole, other = (first, second) if cut_side == "second" else (second, first)
            return f"{whole} leaves {other} too little of a window of {window} tokens; shorten {whole}"
        return f"{first} and {second} are both too long for one window of {window} tokens; shorten one"

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


def encoded_whole(text: str, tokens: Tokens) -> EncodedText:
    """Return a text of one piece, however long."""
    whole = Piece(0, len(tokens.ids), 0, len(tokens.ids))
    return EncodedText(text, tokens.ids, tokens.offsets, tokens.words, [whole])


def solid_characters(text: str) -> NDArray[np.int64]:
    """Return the positions of a text's characters that are not white space."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.flatnonzero(~IS_SPACE[np.minimum(points, BEYOND_SPACES)])


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
