"""Text that went through a wrong encoding."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Sequence

from training.checking.findings import Finding, first, shortened
from training.data import Item, Part

FOREIGN = re.compile(r"[^\x00-\x7f]{2,}")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

TROUBLES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("U+FFFD, where bytes were lost", lambda text: "\ufffd" in text, "Export the data again as UTF-8."),
    (
        "mojibake such as Ã©, UTF-8 read as Latin-1",
        lambda text: any(map(is_mojibake, FOREIGN.findall(text))),
        "Read the source as UTF-8, or repair it: text.encode('cp1252').decode('utf-8').",
    ),
    ("control characters", lambda text: CONTROL.search(text) is not None, "Remove them."),
)


def encoding_trouble(parts: Sequence[Part]) -> list[Finding]:
    """Find lost characters, mojibake, control characters, and a mixture of composed and decomposed accents."""
    found = []
    for part in parts:
        for summary, is_troubled, remedy in TROUBLES:
            if items := [item for item in part.items if is_troubled(item.words)]:
                found.append(finding(part.split, items, summary, remedy))
    return found + mixed_forms(parts)


def is_mojibake(run: str) -> bool:
    """Say whether characters beyond ASCII are UTF-8 that was read as Windows-1252 or Latin-1."""
    for codec in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeError):
            run.encode(codec).decode("utf-8")
            return True
    return False


def mixed_forms(parts: Sequence[Part]) -> list[Finding]:
    """Find decomposed text where other texts are composed: the same word is then two for a tokenizer."""
    accented = [(part.split, item) for part in parts for item in part.items if not item.words.isascii()]
    decomposed = [(split, item) for split, item in accented if is_decomposed(item.words)]
    if not decomposed or not any(not unicodedata.is_normalized("NFD", item.words) for _, item in accented):
        return []
    splits = ", ".join(dict.fromkeys(split for split, _ in decomposed))
    summary, remedy = "decomposed accents (NFD) among composed ones", "Normalize all texts to NFC."
    return [finding(splits, [item for _, item in decomposed], summary, remedy)]


def is_decomposed(text: str) -> bool:
    """Say whether composing makes the text shorter; marks in another order, as in Hebrew, do not count."""
    return len(unicodedata.normalize("NFC", text)) < len(text)


def finding(splits: str, items: Sequence[Item], summary: str, remedy: str) -> Finding:
    places = first([f"{item.where}  {shortened(item.words)!r}" for item in items])
    return Finding("warning", "encoding", splits, len(items), summary, places, remedy)
