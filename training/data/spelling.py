"""Labels as they are meant: where only white space or the Unicode form differs, two spellings are one label."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
MISSING = frozenset(
    {
        *("", "nan", "NaN", "NAN", "-nan", "-NaN", "None", "NONE", "null", "NULL", "Null", "nil", "<NA>", "#NA"),
        *("NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NULL!", "#VALUE!", "#REF!", "#DIV/0!", "1.#QNAN", "-1.#IND"),
    }
)
NO_CLASS = frozenset({"-1", "-1.0"})  # what data sets with numbered classes have for no label


def as_label(value: object) -> str:
    """Return a label, or an entity type, in NFC and with single spaces between its words alone."""
    return " ".join(INVISIBLE.sub("", unicodedata.normalize("NFC", str(value))).split())


def stands_for_none(label: str) -> bool:
    """Say whether a label is how programs write that there is none."""
    return as_label(label) in MISSING


def merged(spelled: Mapping[str, int]) -> dict[str, Counter[str]]:
    """Return the labels that a file spells in several ways, with how often each way occurs."""
    groups: dict[str, Counter[str]] = {}
    for each, count in spelled.items():
        groups.setdefault(as_label(each), Counter())[each] += count
    return {label: ways for label, ways in groups.items() if len(ways) > 1 or label not in ways}


def alike(counts: Mapping[str, int]) -> list[list[str]]:
    """Return groups of labels that differ in nothing but case, compatible characters or invisible ones."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(unicodedata.normalize("NFKC", label).casefold(), []).append(label)
    return [sorted(group) for group in groups.values() if len(group) > 1]
