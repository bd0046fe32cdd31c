"""Examples: raw text, with labels for all of it or for character spans of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["spaced", "natural"]
ModelInput = str | tuple[str, str]  # a text, or a pair of texts
Span = tuple[int, int, str]  # start, end (code points, end exclusive), entity type


@dataclass(frozen=True)
class ClassificationExample:
    """A text, or a pair of texts, with its labels (one, or any number for multi-label data) or its number.

    `target`: the number of a regression example, whose `labels` are empty; None otherwise.
    """

    text: str
    labels: tuple[str, ...]
    text_pair: str | None = None
    target: float | None = None

    @property
    def model_input(self) -> ModelInput:
        """Return what a tokenizer takes: the text, or the pair of texts."""
        return self.text if self.text_pair is None else (self.text, self.text_pair)


@dataclass(frozen=True)
class LabeledText:
    """A text, or a pair, with its label as the file has it, a text, a number, or a list, and that label's column."""

    where: str
    text: str
    text_pair: str | None
    label: object
    column: str

    @property
    def words(self) -> str:
        """Return all the text that there is."""
        return self.text if self.text_pair is None else f"{self.text}\n{self.text_pair}"


@dataclass(frozen=True)
class Sentence:
    """Words of one sentence with their IOB2 tags; where they were cut from a text, that and their places in it."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class TaggedWords:
    """Words with the tags that the file has, in whatever scheme; `where`: FILE:LINE of each word.

    `text` and `offsets`: the text whose words they are, with IOB2 tags, where the file has spans of a text.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: tuple[str, ...]
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def place(self) -> str:
        """Return where the first word is."""
        return self.where[0]


@dataclass(frozen=True)
class NerExample:
    """Raw text with its entities; the words and tags that it was rendered from serve evaluation.

    `spans`: (start, end, type) per entity, in code points, end exclusive.
    `word_offsets`: (start, end) per word. `tags`: the IOB2 tag per word.
    """

    text: str
    spans: tuple[Span, ...]
    word_offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
