# ruff: noqa: RUF001
"""Where the sentences of a text are, in code points, by rules in the manner of Unicode's sentence boundaries.

Source: UAX #29, with what it leaves to others: abbreviations, initials, ordinals, and lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CLOSING = "\"')\\]}»”’›」』】）》"
IDEOGRAPHIC = "。！？｡"  # end a sentence whatever follows
OTHERS = "!?…‽؟۔।॥።၊။"  # end one before a space
END = re.compile(rf"[{IDEOGRAPHIC}]+[{CLOSING}]*|[.{OTHERS}]+[{CLOSING}]*(?:[ \u00a0\u202f]»)?(?=\s|$)")  # « so »
PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\n(?=[^\S\n]*(?:[-*+•‣–—]|\(?\w{1,3}[.)])\s)|[\r\u2028\u2029](?!\n)")
LAST_WORD = re.compile(r"[^\W_][\w.’'-]*\Z")
ABBREVIATIONS = frozenset(
    word
    for line in (
        "mr mrs ms dr prof sr jr st vs etc eg e.g ie i.e cf al fig figs eq no nos vol pp ed eds inc ltd co corp",
        "dept gen gov sen rep rev hon capt col lt sgt approx est jan feb mar apr jun jul aug sep sept oct nov dec",
        "u.s u.k a.m p.m ph.d bzw z.b d.h u.a usw ca nr str hr fr evtl ggf vgl abb inkl mio mrd sog mme mlle mm p.ex",
        "env sra srta ud uds pág núm avda ee.uu sig dott ing avv ecc pag dr.ssa т.е т.д т.п ул см им bv o.a dhr mevr",
    )
    for word in line.split()
)
MOST_ORDINAL_DIGITS = 2
LOOKED_BACK = 32  # characters before a period in which its word is looked for


def sentences_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each sentence, without the white space around it; together they have all the rest."""
    start = 0
    for border in borders(text):
        if (span := trimmed(text, start, border)) is not None:
            yield span
        start = border


def borders(text: str) -> list[int]:
    """Return where sentences may end, ascending, the end of the text last."""
    ends = {found.end() for found in END.finditer(text) if is_end(text, found)}
    return sorted(ends | {found.start() for found in PARAGRAPH.finditer(text)} | {len(text)})


def trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    left, right = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
    return (left, right) if left < right else None


def is_end(text: str, found: re.Match[str]) -> bool:
    """Whether punctuation ends a sentence: not where it goes on in lower case, nor after an abbreviation."""
    mark = found[0]
    if mark[0] in IDEOGRAPHIC:
        return True
    after = text[found.end() : found.end() + LOOKED_BACK].lstrip(" \t\n\"'“‘«(„¿¡")
    if after[:1].islower():
        return mark[0] not in "." and mark[-1] not in "\"'”’»)"
    if mark != ".":
        return True
    before = LAST_WORD.search(text, max(0, found.start() - LOOKED_BACK), found.start())
    return before is None or not is_abbreviated(before[0], text[: before.start()])


def is_abbreviated(word: str, before: str) -> bool:
    """Whether a period after a word belongs to it: an abbreviation, an initial, or the number of an ordinal."""
    is_initial = len(word) == 1 and word.isalpha() and word != "I"
    is_ordinal = word.isdecimal() and len(word) <= MOST_ORDINAL_DIGITS
    return is_initial or is_ordinal or word.lower() in ABBREVIATIONS
