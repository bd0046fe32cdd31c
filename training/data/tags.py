"""Schemes of entity tags: IO, IOB1, IOB2 and BIOES in, IOB2 out. How labels are spelled, `app.tasks.schemes` knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from app.tasks.schemes import PLACES, USUAL, Mark, find_spelling, read_labels
from training.config import TagScheme

PREFIXES: dict[TagScheme, str] = {"IO": "I", "IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}


class TagError(ValueError):
    """A tag that its scheme does not have at its place; `index` is that of its word."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and entity type; ("", type) of a bare type, ("O", "") outside entities."""
    if tag == "O":
        return "O", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and kind and prefix in PLACES else ("", tag)


def respelled(tags: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return sentences of tags as IOB2 and BIOES write them, `B-PER`, whatever their own spelling: `B_PER`, `per-b`."""
    sentences = [tuple(sentence) for sentence in tags]
    every = dict.fromkeys(tag for sentence in sentences for tag in sentence)
    if (spelling := find_spelling(every)) == USUAL:
        usual = {tag: "O" if tag == "o" else tag for tag in every}
    else:
        usual = {tag: usual_tag(spelling.read(tag)) for tag in every}
    return [tuple(usual[tag] for tag in sentence) for sentence in sentences]


def usual_tag(mark: Mark) -> str:
    return f"{mark.place}-{mark.kind}" if mark.place not in ("O", "") else mark.kind


def find_scheme(tags: Iterable[Sequence[str]]) -> TagScheme:
    """Return the scheme of sentences of tags.

    E-, S- and their like are BIOES'. Where every B- parts two neighbors of one type, and some entity begins
    with I-, it is IOB1, which reads IO with prefixes too. Bare types are IO. Everything else is IOB2.
    """
    prefixes: set[str] = set()
    begins_inside = begins_apart = False
    for sentence in tags:
        pairs = [("O", ""), *map(split_tag, sentence)]
        prefixes |= {prefix for prefix, _ in pairs}
        for (_, before), (prefix, kind) in pairwise(pairs):
            begins_inside |= prefix == "I" and before != kind
            begins_apart |= prefix == "B" and before != kind
    if prefixes & (PLACES.keys() - {"B", "I"}):
        return "BIOES"
    if "" in prefixes and not prefixes & set("BI"):
        return "IO"
    return "IOB1" if begins_inside and not begins_apart else "IOB2"


def to_iob2(tags: Sequence[str], scheme: TagScheme) -> tuple[str, ...]:
    """Turn tags into IOB2; raises `TagError` at one that the scheme does not have there.

    An entity that begins with I- is illegal in IOB2 and read as if it were not: IOB1 files and models have it.
    """
    pairs = [parsed(index, tag, scheme) for index, tag in enumerate(tags)]
    if scheme == "BIOES":
        check_bioes(pairs)
        letters = {"E": "I", "S": "B"}
        return tuple("O" if prefix == "O" else f"{letters.get(prefix, prefix)}-{kind}" for prefix, kind in pairs)
    if scheme == "IOB1":
        check_iob1(pairs)
    return legal_iob2(["O" if prefix == "O" else f"{prefix}-{kind}" for prefix, kind in pairs])


def legal_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Turn each I- that continues nothing of its own type into B-, in a file's IOB1 or a model's output."""
    legal: list[str] = []
    for previous, tag in zip(("O", *tags), tags, strict=False):
        starts = tag.startswith("I-") and previous[2:] != tag[2:]
        legal.append(f"B-{tag[2:]}" if starts else tag)
    return tuple(legal)


def parsed(index: int, tag: str, scheme: TagScheme) -> tuple[str, str]:
    prefix, kind = split_tag(tag)
    if scheme == "BIOES":
        prefix = PLACES.get(prefix, prefix)
    if scheme == "IO" and prefix == "":
        prefix = "I"
    if prefix != "O" and (prefix not in tuple(PREFIXES[scheme]) or not kind):
        raise TagError(index, f"{tag!r} is no tag of the scheme {scheme}")
    return prefix, kind


def check_iob1(pairs: Sequence[tuple[str, str]]) -> None:
    for index, ((_, before), (prefix, kind)) in enumerate(pairwise([("O", ""), *pairs])):
        if prefix == "B" and before != kind:
            raise TagError(index, f"'B-{kind}' parts no two entities of one type, as IOB1 has it")


def check_bioes(pairs: Sequence[tuple[str, str]]) -> None:
    """Check that every entity is B- I- .. E-, or S-."""
    for index, ((before, old), (prefix, kind)) in enumerate(pairwise([("O", ""), *pairs, ("O", "")])):
        is_open = before in ("B", "I")
        if is_open != (prefix in ("I", "E")) or (is_open and old != kind):
            last = min(index, len(pairs) - 1)
            found, preceding = f"{prefix}-{kind}".rstrip("-"), f"{before}-{old}".rstrip("-")
            raise TagError(last, f"{found!r} cannot follow {preceding!r} in BIOES")


def types_of(labels: Sequence[str]) -> list[str]:
    """Return the entity types of a model's labels, in whatever scheme, sorted."""
    return sorted({mark.kind for mark in read_labels(labels) if mark.place != "O"})
