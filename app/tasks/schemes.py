"""What labels of entities say, in whatever scheme and spelling: where in an entity a token stands, and its type.

IO, IOB, IOE, BIOES, BILOU and BMEWO; a prefix or a suffix, parted by a hyphen, an underscore or the like; in capitals
or not. What a label means depends on the others: `E-MAIL` is a type where no label begins with B or I.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

Place = Literal["O", "B", "I", "E", "S", ""]  # outside; an entity's first, inner, last and only token; not said

PLACES: dict[str, Place] = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
OUTSIDE = "O"
SIDES: tuple[Literal["prefix", "suffix"], ...] = ("prefix", "suffix")
SEPARATORS = "-_.:/| "


class Mark(NamedTuple):
    """What one label says. The type of what is outside of entities is `O`."""

    place: Place
    kind: str

    @property
    def ends(self) -> bool:
        return self.place in ("E", "S")


@dataclass(frozen=True)
class Spelling:
    """How a set of labels is written: on which side the place stands, and what parts it from the type."""

    side: Literal["prefix", "suffix"] = "prefix"
    separator: str = "-"
    is_lower: bool = False

    def read(self, label: str) -> Mark:
        """Return what a label says; one that is not spelled so is a type by itself."""
        if label.upper() == OUTSIDE:
            return Mark("O", OUTSIDE)
        letter, kind = self.split(label)
        place = PLACES.get(letter.upper() if self.is_lower else letter)
        return Mark(place, kind) if place and kind else Mark("", label)

    def split(self, label: str) -> tuple[str, str]:
        """Return the two parts of a label: what may be its place, and what may be its type."""
        if self.side == "prefix":
            letter, _, kind = label.partition(self.separator)
        else:
            kind, _, letter = label.rpartition(self.separator)
        return letter, kind


USUAL = Spelling()


def find_spelling(labels: Iterable[str]) -> Spelling:
    """Return the spelling of a set of labels: the usual one, `B-PER`, wherever it fits some of them.

    Any other must fit every label that is not `O`. A spelling fits where some place is B or I.
    """
    every = [label for label in dict.fromkeys(labels) if label.upper() != OUTSIDE]
    if is_spelled(USUAL, every, least=1):
        return USUAL
    for is_lower, side, separator in product((False, True), SIDES, SEPARATORS):
        if is_spelled(spelling := Spelling(side, separator, is_lower), every, least=len(every)):
            return spelling
    return USUAL


def is_spelled(spelling: Spelling, labels: Sequence[str], least: int) -> bool:
    places = [spelling.read(label).place for label in labels]
    return bool({"B", "I"} & set(places)) and sum(place != "" for place in places) >= least


def read_labels(labels: Sequence[str]) -> list[Mark]:
    """Return what each of a model's labels says, in order."""
    spelling = find_spelling(labels)
    marks = [spelling.read(label) for label in labels]
    if not {"B", "I"} & {mark.place for mark in marks}:  # E-MAIL beside PERSON
        return [mark if mark.place == "O" else Mark("", label) for mark, label in zip(marks, labels, strict=True)]
    return marks


def goes_on(before: Mark, mark: Mark, *, in_one_word: bool = False) -> bool:
    """Whether a token belongs to the entity of the token before it.

    An entity may begin with I. Models repeat a word's label on each of its tokens: `in_one_word`, another E or S goes
    on with the entity that the first of them ends.
    """
    if before.kind != mark.kind:
        return False
    if in_one_word and mark.ends and before == mark:
        return True
    return mark.place not in ("B", "S") and not before.ends


def as_iob2(mark: Mark) -> str:
    """Return a label of IOB2, of which an entity may begin with I-."""
    if mark.place == "O":
        return OUTSIDE
    return f"{'B' if mark.place in ('B', 'S') else 'I'}-{mark.kind}"
