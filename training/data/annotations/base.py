"""What the export of an annotation tool is: rows that it recognizes, and texts with spans or choices in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from training.config import DataConfig

STARTS, ENDS = ("start", "start_offset", "startOffset", "begin"), ("end", "end_offset", "endOffset")
KINDS = ("label", "labels", "entity", "type", "tag", "entity_group", "category", "class")
QUOTES = ("text", "word", "surface", "value")

Values = Mapping[str, object]


class Mark(NamedTuple):
    """A marked span: start and end (code points, end exclusive), its type, and what stands there, if that is told."""

    start: int
    end: int
    kind: str
    quoted: str | None = None


@dataclass(frozen=True)
class Annotated:
    """A text with its spans, or its choices; None where it was not asked for them."""

    text: str
    marks: tuple[Mark, ...] | None = None
    choices: tuple[str, ...] | None = None


class MalformedError(ValueError):
    """A row of an export that does not hold what such rows do; the message says what."""


class Tool(ABC):
    """One annotation tool. A row of its exports may hold several texts, or none that was finished.

    `is_general`: others write rows like its own, so that it is asked last. `verdict`: the key that says whether an
    annotation counts, which in an ordinary table may be the label.
    """

    name: ClassVar[str]
    is_general: ClassVar[bool] = False
    verdict: ClassVar[str | None] = None

    @abstractmethod
    def recognizes(self, values: Values) -> bool:
        """Say whether a row is of this tool, by its keys and what stands in them."""

    @abstractmethod
    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        """Yield the texts of a row that it recognized. Raises `MalformedError`."""


def is_mark(value: object) -> bool:
    """Say whether a value is a span in any of the notations."""
    try:
        mark_of(value)
    except MalformedError:
        return False
    return True


def are_marks(value: object) -> bool:
    """Say whether a value is a list of spans, of which there may be none."""
    return isinstance(value, list) and all(map(is_mark, value))


def marks_of(values: object) -> tuple[Mark, ...]:
    """Return the spans of a list; none of no list."""
    if values is None:
        return ()
    if not isinstance(values, list):
        raise MalformedError(f"expected a list of spans, found {str(values)[:40]!r}")
    return tuple(map(mark_of, values))


def mark_of(value: object) -> Mark:
    """Return the span of [start, end, type], of [type, start, end], or of an object with these."""
    if isinstance(value, list | tuple):
        numbers = [each for each in value[:3] if isinstance(each, int) and not isinstance(each, bool)]
        kinds = [each for each in value[:3] if isinstance(each, str)]
        if len(numbers) == 2 and len(kinds) == 1:
            return Mark(numbers[0], numbers[1], kinds[0])
    elif isinstance(value, Mapping):
        start, end, kind = first_of(value, STARTS), first_of(value, ENDS), first_of(value, KINDS)
        if isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
        quoted = first_of(value, QUOTES)
        if isinstance(start, int) and isinstance(end, int) and isinstance(kind, str):
            return Mark(start, end, kind, quoted if isinstance(quoted, str) else None)
    raise MalformedError(f"a span needs a start, an end and a type, found {str(value)[:80]}")


def first_of(values: Mapping[str, object], keys: Sequence[str]) -> object:
    return next((values[key] for key in keys if key in values), None)


def choices_of(value: object) -> tuple[str, ...]:
    """Return the labels of a choice: a text, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | int) for each in items):
        raise MalformedError(f"expected the label that was chosen, or a list of them, found {str(value)[:60]}")
    return tuple(map(str, items))


def text_in(values: Mapping[str, object], data: DataConfig) -> str:
    """Return the text of a row: in the column that the recipe names, or in the only field that is one."""
    value = values.get(data.text_column)
    if isinstance(value, str):
        return value
    texts = [each for each in values.values() if isinstance(each, str)]
    if data.text_column == "text" and len(texts) == 1:
        return texts[0]
    found = ", ".join(repr(key[:40]) for key in list(values)[:10])
    raise MalformedError(f"no text {data.text_column!r}; found {found}: set data.text_column")
