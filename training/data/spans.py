"""Marked spans of a text as words with tags, held against what stands in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from training.data.annotations.base import Mark
from training.data.errors import EmptyTextError, Refuse, SpanError
from training.data.examples import TaggedWords
from training.data.spelling import as_label

WORD = re.compile(r"\w+|[^\w\s]")


def of_marks(where: str, text: str, marks: Sequence[Mark], refuse: Refuse) -> Iterator[TaggedWords]:
    """Yield a text as words with IOB2 tags; refuses spans that are not in it, or lie over each other."""
    if not text.strip():
        refuse(EmptyTextError(f"{where}: the text is empty; write one, or remove the row"))
        return
    placed = sorted((trimmed(text, each) for each in in_code_points(text, marks)), key=lambda mark: mark[:3])
    wrong = next((reason for each in placed if (reason := wrong_with(text, each))), "") or overlap(text, placed)
    if wrong:
        refuse(SpanError(f"{where}: {wrong}"))
        return
    words = list(words_of(text, placed))
    tags = [tag for _, _, tag in words]
    offsets = tuple((start, end) for start, end, _ in words)
    yield TaggedWords(
        tuple(text[start:end] for start, end in offsets), tuple(tags), (where,) * len(words), text, offsets
    )


def in_code_points(text: str, marks: Sequence[Mark]) -> Sequence[Mark]:
    """Return the spans with offsets in code points, where those in UTF-16 code units alone fit what is quoted."""
    if text.isascii() or all(fits(text, each) for each in marks):
        return marks
    units = [0]  # of UTF-16 before each character
    for character in text:
        units.append(units[-1] + (2 if ord(character) > 0xFFFF else 1))
    position = {unit: index for index, unit in enumerate(units)}
    moved = [
        each._replace(start=position.get(each.start, each.start), end=position.get(each.end, each.end))
        for each in marks
    ]
    return moved if all(fits(text, each) for each in moved) else marks


def fits(text: str, mark: Mark) -> bool:
    """Say whether what a span quotes stands at its place, white space aside; one that quotes nothing fits inside."""
    if not 0 <= mark.start < mark.end <= len(text):
        return False
    return mark.quoted is None or text[mark.start : mark.end].split() == mark.quoted.split()


def trimmed(text: str, mark: Mark) -> Mark:
    """Return a span without white space at its ends."""
    if not 0 <= mark.start < mark.end <= len(text):
        return mark
    word = text[mark.start : mark.end]
    start, end = mark.end - len(word.lstrip()), mark.start + len(word.rstrip())
    return mark._replace(start=start, end=end) if start < end else mark


def wrong_with(text: str, mark: Mark) -> str:
    """Say in a sentence what is wrong with a span; nothing where it is in order."""
    named = f"the span {mark.start}..{mark.end} {mark.kind[:40]!r}"
    if not as_label(mark.kind):
        return f"the span {mark.start}..{mark.end} has no type; give it one, or remove it"
    if not 0 <= mark.start < mark.end <= len(text):
        return f"{named} is not in the text of {len(text)} characters; correct its offsets"
    found = text[mark.start : mark.end]
    if not fits(text, mark):
        return f"{named} should be {str(mark.quoted)[:40]!r}, but {found[:40]!r} stands there; correct its offsets"
    if not found.strip():
        return f"{named} covers white space alone; correct its offsets"
    return ""


def overlap(text: str, marks: Sequence[Mark]) -> str:
    for one, other in pairwise(marks):
        if other.start < one.end and other[:3] != one[:3]:
            pair = f"{text[one.start : one.end][:40]!r} {one.kind!r} and {text[other.start : other.end][:40]!r}"
            return f"the spans {pair} {other.kind!r} lie over each other; keep one of them"
    return ""


def words_of(text: str, marks: Sequence[Mark]) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, tag) of each word; a span ends a word where it begins or ends within one."""
    position = 0
    for mark in dict.fromkeys(marks):
        if mark.start < position:
            continue  # the same span once more
        yield from ((start, end, "O") for start, end in pieces(text, position, mark.start))
        kind = as_label(mark.kind)
        inside = enumerate(pieces(text, mark.start, mark.end))
        yield from ((start, end, f"{'I' if number else 'B'}-{kind}") for number, (start, end) in inside)
        position = mark.end
    yield from ((start, end, "O") for start, end in pieces(text, position, len(text)))


def pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    return (found.span() for found in WORD.finditer(text, start, end))


def is_torn(text: str, start: int, end: int) -> bool:
    """Say whether a span begins or ends within a word."""
    edges = (index for index in (start, end) if 0 < index < len(text))
    return any(text[index - 1].isalnum() and text[index].isalnum() for index in edges)
