"""A text, or a pair of texts, of which some words are masked, token by token: what is left keeps its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.tasks.partition import Plan, bits_of
from app.tasks.text import EncodedPair, EncodedText, Piece, TextEncoder
from app.tasks.words import number_words
from app.window import Floats, Ints, Window

NO_WORD = -1  # of a special token


class Word(NamedTuple):
    """A word, `start:end` in code points of the text with the number `text`: the second of a pair has 1."""

    text: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One window of an input, and the words that its tokens belong to."""

    window: Window
    words: Ints  # (tokens,) by number; NO_WORD for special tokens
    bits: int  # all of them

    def masked(self, kept: int, count: int, mask_id: int) -> Window:
        """Return the window with all words masked that are not `kept`, bits of `count` words."""
        is_kept = np.append(bits_of(kept, count), True)  # of no word, which is the last
        return replace(self.window, input_ids=np.where(is_kept[self.words], self.window.input_ids, mask_id))


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """An input with its words, its windows, and the plan of what is masked.

    `of_sets` says, for each view, which of its masked windows belongs to each of the plan's sets.
    """

    item: EncodedText | EncodedPair
    words: list[Word]
    views: list[View]
    plan: Plan
    of_sets: list[NDArray[np.intp]]  # (sets,) for each view

    @classmethod
    def of(cls, item: EncodedText | EncodedPair, words: list[Word], views: list[View], plan: Plan) -> Masked:
        of_sets = []
        for view in views:
            numbers: dict[int, int] = {}
            of_sets.append(np.array([numbers.setdefault(words & view.bits, len(numbers)) for words in plan.sets]))
        return cls(item, words, views, plan, of_sets)

    def windows(self, mask_id: int) -> Iterator[Window]:
        """Yield the windows that differ, view by view."""
        for view in self.views:
            for kept in dict.fromkeys(words & view.bits for words in self.plan.sets):
                yield view.masked(kept, len(self.words), mask_id)

    def by_view(self, outputs: Sequence[Floats]) -> Iterator[Floats]:
        """Yield for each view the outputs of its masked windows, (windows, rows, width)."""
        start = 0
        for numbers in self.of_sets:
            end = start + int(numbers.max()) + 1
            yield np.stack(outputs[start:end])
            start = end


def words_and_views(
    encoder: TextEncoder, item: EncodedText | EncodedPair, rows: Callable[[Piece], Ints]
) -> tuple[list[Word], list[View]]:
    """Return the words of an input, and its windows; `rows` says for which tokens each answers."""
    special, shown = encoder.special, item.pieces[-1].end
    if isinstance(item, EncodedText):
        numbers, words = words_of(item, shown, 0)
        begin = len(special.prefix)
        return words, [
            view_of(encoder.window(item.ids, piece, rows(piece)), {begin: numbers[piece.start : piece.end]}, len(words))
            for piece in item.pieces
        ]
    tokens = (len(item.first.ids), shown) if item.is_second_cut else (shown, len(item.second.ids))
    first, words = words_of(item.first, tokens[0], 0)
    second, more = words_of(item.second, tokens[1], 1)
    second, words = second + len(words), words + more
    views = []
    for piece in item.pieces:
        part = slice(piece.start, piece.end)
        left, right = (first, second[part]) if item.is_second_cut else (first[part], second)
        begin = len(special.pair_prefix)
        places = {begin: left, begin + len(left) + len(special.pair_middle): right}
        views.append(view_of(encoder.pair_window(item, piece, rows(piece)), places, len(words)))
    return words, views


def view_of(window: Window, places: Mapping[int, Ints], count: int) -> View:
    """Return a window with the words of its tokens, `count` in all; `places` have them by where they begin."""
    words = np.full(len(window), NO_WORD, np.int64)
    for start, numbers in places.items():
        words[start : start + len(numbers)] = numbers
    present = np.zeros(count, np.bool_)
    present[words[words != NO_WORD]] = True
    return View(window, words, int.from_bytes(np.packbits(present, bitorder="little").tobytes(), "little"))


def words_of(text: EncodedText, tokens: int, number: int) -> tuple[Ints, list[Word]]:
    """Return the number of the word that each of the first tokens belongs to, (tokens,), and these words.

    A token belongs to the word in which it begins, or to the one before it where it covers no character.
    """
    if not tokens:
        return np.empty(0, np.int64), []
    offsets = text.offsets()[:tokens]
    begun = np.fromiter(number_words(text.text, offsets[:, 0].tolist()), np.int64, tokens)
    _, numbers = np.unique(np.maximum(begun, 1), return_inverse=True)
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    solid = offsets[:, 0] < offsets[:, 1]
    starts = np.where(solid, offsets[:, 0], len(text.text))
    ends = np.where(solid, offsets[:, 1], 0)
    starts, ends = np.minimum.reduceat(starts, firsts), np.maximum.reduceat(ends, firsts)
    places = zip(np.minimum(starts, ends).tolist(), ends.tolist(), strict=True)
    return numbers.astype(np.int64), [Word(number, start, end) for start, end in places]
