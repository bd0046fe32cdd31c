"""Which spans of a context answer a question, by a logit for "begins here" and one for "ends here" of every token.

Scores are those of transformers' question-answering pipeline: in each window both columns are softmaxed over the
context and the first special token, which stands for "no answer", and a span scores the product of its ends'
probabilities. Source: transformers 4.57, pipelines/question_answering.py; Devlin et al. 2019, arXiv:1810.04805,
sections 4.2 and 4.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.tasks.text import EncodedText, Piece, solid_characters
from app.window import Floats, Ints

MOST_SPANS = 2**13  # of one window: those that score least are left out

Scores = NDArray[np.float64]


class Span(NamedTuple):
    """A part of a context, `start:end` in code points, and the probability that it is the answer."""

    score: float
    start: int
    end: int


class Places(NamedTuple):
    """Where an answer begins that begins with a token, and where one ends that ends with it: (tokens,) code points."""

    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, context: EncodedText, *, by_words: bool) -> Places:
        """Return the places of a context's tokens, or of the words that these belong to, without white space."""
        solid = solid_characters(context.text)
        after = np.append(solid, len(context.text))
        before = np.insert(solid + 1, 0, 0)
        starts = after[np.searchsorted(solid, context.spans[:, 0])]
        ends = before[np.searchsorted(solid, context.spans[:, 1])]
        if not by_words or not len(starts):
            return cls(starts, ends)
        first = first_of_word(context.words)
        last = (len(starts) - 1 - first_of_word(context.words[::-1]))[::-1]
        return cls(starts[first], ends[last])

    def of_piece(self, piece: Piece) -> Places:
        return Places(self.starts[piece.start : piece.end], self.ends[piece.start : piece.end])


def first_of_word(words: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the first token of each token's word: (tokens,). A token without a word, -1, is one of its own."""
    begins = np.append(True, (words[1:] != words[:-1]) | (words[1:] < 0))
    return np.maximum.accumulate(np.where(begins, np.arange(len(words)), 0))


def windows_of(tokens: int, capacity: int, overlap: int) -> list[Piece]:
    """Cut `tokens` into pieces of at most `capacity` that share `overlap`, as `tokenizers` does: the last is shorter.

    A piece answers with all of its tokens.
    """
    step = max(1, capacity - overlap)
    starts = [0, *range(step, tokens - overlap, step)]
    ends = [min(start + capacity, tokens) for start in starts]
    return [Piece(start, end, start, end) for start, end in zip(starts, ends, strict=True)]


class Found(NamedTuple):
    """The best spans that do not overlap, the best first, and the logarithm of the probability of no answer."""

    spans: list[Span]
    log_none: float

    @property
    def margin(self) -> float:
        """Return how much likelier no answer is than the best one: the difference of the logarithms."""
        best = self.spans[0].score if self.spans else 0.0
        return self.log_none - math.log(best) if best > 0 else math.inf


def find_spans(parts: Iterable[tuple[Floats, Places]], count: int, longest: int) -> Found:
    """Return up to `count` spans of at most `longest` tokens, of the windows of one context.

    Each window has the logits (1 + tokens, 2) of its first special token and of its part of the context. A span that
    is in two windows scores as in the better one. The probability of no answer is the least of any window.
    """
    best: dict[tuple[int, int], float] = {}
    log_none = 0.0
    for logits, places in parts:
        logs = log_softmax(logits.astype(np.float64))  # (1 + tokens, 2)
        log_none = min(log_none, float(logs[0].sum()))
        for span in spans_in(np.exp(logs[1:]), places, count, longest):
            best[span.start, span.end] = max(span.score, best.get((span.start, span.end), 0.0))
    ordered = sorted((Span(score, *place) for place, score in best.items()), key=lambda span: (-span.score, span.start))
    return Found(apart(ordered, count), log_none)


def spans_in(probabilities: Scores, places: Places, count: int, longest: int) -> list[Span]:
    """Return up to `count` spans of one window that do not overlap, the best first.

    `probabilities` (tokens, 2). Tokens that are one word to `places` are one answer, whose score is their sum.
    """
    longest = min(longest, len(probabilities))
    if not longest:
        return []
    ends = np.concatenate([probabilities[:, 1], np.zeros(longest - 1)])
    scores = probabilities[:, :1] * np.lib.stride_tricks.sliding_window_view(ends, longest)  # (tokens, longest)
    flat = greatest_of(scores.ravel(), MOST_SPANS)
    first, last = flat // longest, flat // longest + flat % longest
    inside = last < len(probabilities)
    starts, stops = places.starts[first[inside]], places.ends[last[inside]]
    solid = starts < stops
    width = int(places.ends.max(initial=0)) + 1
    spans, numbers = np.unique(starts[solid] * width + stops[solid], return_inverse=True)
    sums: Scores = np.zeros(len(spans))
    np.add.at(sums, numbers, scores.ravel()[flat[inside][solid]])
    return best_apart(spans // width, spans % width, sums, count)


def best_apart(starts: Ints, ends: Ints, scores: Scores, count: int) -> list[Span]:
    """Return up to `count` spans, each the best of those that do not overlap a better one."""
    found: list[Span] = []
    while len(scores) and len(found) < count:
        best = int(scores.argmax())
        found.append(Span(float(scores[best]), int(starts[best]), int(ends[best])))
        if len(found) < count:
            is_free = (ends <= starts[best]) | (starts >= ends[best])
            starts, ends, scores = starts[is_free], ends[is_free], scores[is_free]
    return found


def apart(ordered: Sequence[Span], count: int) -> list[Span]:
    """Return the first `count` spans of those that do not overlap an earlier one."""
    found: list[Span] = []
    for span in ordered:
        if len(found) == count:
            break
        if all(span.end <= other.start or span.start >= other.end for other in found):
            found.append(span)
    return found


def greatest_of(values: Scores, most: int) -> NDArray[np.intp]:
    """Return the indices of the `most` greatest values, of all where there are no more, in ascending order."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.sort(np.argpartition(values, len(values) - most)[-most:])


def log_softmax(logits: Scores) -> Scores:
    """Log-softmax over the first axis."""
    shifted = logits - logits.max(axis=0)
    logs: Scores = shifted - np.log(np.exp(shifted).sum(axis=0))
    return logs
