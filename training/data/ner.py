"""Sentences written as raw text, with their entities as character spans of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from training.config import DataConfig, TagScheme
from training.data.detokenize import natural_gaps
from training.data.examples import NerExample, Sentence, Span, Style
from training.data.sources import Source
from training.data.tagged import read_sentences


def read_ner(
    source: Source,
    style: Style | None,
    seed: int = 0,
    data: DataConfig | None = None,
    scheme: TagScheme | None = None,
) -> list[NerExample]:
    """Read sentences, as `read_sentences`, and render them, as `render_all`."""
    return render_all(read_sentences(source, data, scheme), style, seed)


def render_all(sentences: Iterable[Sentence], style: Style | None, seed: int = 0) -> list[NerExample]:
    """Render each sentence in `style`, or (none) in one chosen by a seeded coin."""
    coin = random.Random(seed)
    styles: tuple[Style, ...] = (style,) if style else ("spaced", "natural")
    return [render(each, coin.choice(styles)) for each in sentences]


def render(sentence: Sentence, style: Style) -> NerExample:
    """Write the words as raw text, single spaces between all of them or only where prose has them.

    Words that were cut from a text stay in it.
    """
    if sentence.text is not None:
        return NerExample(sentence.text, spans_of(sentence.tags, sentence.offsets), sentence.offsets, sentence.tags)
    gaps = natural_gaps(sentence.words) if style == "natural" else [" "] * (len(sentence.words) - 1)
    text, offsets = "", []
    for word, gap in zip(sentence.words, [*gaps, ""], strict=True):
        offsets.append((len(text), len(text) + len(word)))
        text += word + gap
    return NerExample(text, spans_of(sentence.tags, offsets), tuple(offsets), sentence.tags)


def tag_names(examples: Iterable[NerExample]) -> tuple[str, ...]:
    """Return `O`, then `B-` and `I-` of every entity type in use, types sorted."""
    types = sorted({kind for example in examples for _, _, kind in example.spans})
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))


def spans_of(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for tag, (start, end) in zip(tags, offsets, strict=True):
        if tag.startswith("B-"):
            spans.append((start, end, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], end, tag[2:])
    return tuple(spans)
