"""Text that went through a wrong encoding."""

import contextlib
import re
import unicodedata
from collections.abc import Callable, Sequence

from training.checking.findings import Finding, first, shortened
from training.checking.reading import Item, Part

_FOREIGN = re.compile(r"[^\x00-\x7f]{2,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_TROUBLES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("U+FFFD, where bytes were lost", lambda text: "\ufffd" in text, "Export the data again as UTF-8."),
    (
        "mojibake such as Ã©, UTF-8 read as Latin-1",
        lambda text: any(map(_is_mojibake, _FOREIGN.findall(text))),
        "Read the source as UTF-8, or repair it: text.encode('cp1252').decode('utf-8').",
    ),
    ("control characters", lambda text: _CONTROL.search(text) is not None, "Remove them."),
)


def encoding_trouble(parts: Sequence[Part]) -> list[Finding]:
    """Find lost characters, mojibake, control characters, and a mixture of composed and decomposed accents."""
    found = []
    for part in parts:
        for summary, is_troubled, remedy in _TROUBLES:
            if items := [item for item in part.items if is_troubled(item.words)]:
                found.append(_finding(part.split, items, summary, remedy))
    return found + _mixed_forms(parts)


def _is_mojibake(run: str) -> bool:
    """Say whether characters beyond ASCII are UTF-8 that was read as Windows-1252 or Latin-1."""
    for codec in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeError):
            run.encode(codec).decode("utf-8")
            return True
    return False


def _mixed_forms(parts: Sequence[Part]) -> list[Finding]:
    """Find decomposed text where other texts are composed: the same word is then two for a tokenizer."""
    accented = [(part.split, item) for part in parts for item in part.items if not item.words.isascii()]
    decomposed = [(split, item) for split, item in accented if _is_decomposed(item.words)]
    if not decomposed or not any(not unicodedata.is_normalized("NFD", item.words) for _, item in accented):
        return []
    splits = ", ".join(dict.fromkeys(split for split, _ in decomposed))
    summary, remedy = "decomposed accents (NFD) among composed ones", "Normalise all texts to NFC."
    return [_finding(splits, [item for _, item in decomposed], summary, remedy)]


def _is_decomposed(text: str) -> bool:
    """Say whether composing makes the text shorter; marks in another order, as in Hebrew, do not count."""
    return len(unicodedata.normalize("NFC", text)) < len(text)


def _finding(splits: str, items: Sequence[Item], summary: str, remedy: str) -> Finding:
    places = first([f"{item.where}  {shortened(item.words)!r}" for item in items])
    return Finding("warning", "encoding", splits, len(items), summary, places, remedy)
